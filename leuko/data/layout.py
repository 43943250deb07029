"""The course layout: where each set's images and masks lie, and what can be wrong with them.

    <root>/WBC_{1,10,50,100}/train/{data,mask}/<Class>/*
    <root>/WBC_100/val/data/<Class>/*
    <root>/WBC_test/data/<Class>/*                                  (optional: a test set of its own)
    <root>/WBC_test_<name>/data/<Class>/*                           (optional: another laboratory, see `external`)
    <root>/CAM16_100cls_10mask/{train,val,test}/data/<class>/*
    <root>/CAM16_100cls_10mask/train/mask/<class>/*
    <root>/pRCC/**/*

A mask has its image's name; only its extension may differ. Class folders match in any case, singular or plural, and by
the names that public data sets use. The two tissue sets, all masks and the subset folders may be missing.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from leuko.core.classes import SUBSETS, TISSUE_CLASSES, match_class, nearest_class
from leuko.core.errors import LeukoError
from leuko.core.files import holds
from leuko.data.images import EXTENSIONS
from leuko.data.tables import TABLE
from leuko.data.tree import Problems, Tree

CAM16_FOLDER = "CAM16_100cls_10mask"
PRCC_FOLDER = "pRCC"
SUBSET_FOLDERS = tuple(f"WBC_{subset}" for subset in SUBSETS)
WBC_TEST_FOLDER = "WBC_test"
LABORATORY = "WBC_test_"
"""How the folders of other laboratories begin, which the setting `external` names."""

STEM = "{stem}"
"""What stands for an image's name in the pattern of its mask's."""


@dataclass(frozen=True)
class ImageFile:
    """An image of the data set; paths are relative to the data root.

    Attributes:
        set: `wbc`, `cam16` or `prcc`.
        part: `train`, `val` or `test`; for pRCC empty, as its folder is not divided.
        label: the class, in its canonical spelling; empty for pRCC.
        path: the image.
        mask: its mask, if there is one.
        subset: the smallest WBC subset folder that holds a copy of it; 0 where subsets do not apply.
        mask_subset: the same for its mask.
        copies: its copies in the subset folders, which must be equal to it.
        mask_copies: the same for its mask.
    """

    set: str
    part: str
    label: str
    path: Path
    mask: Path | None = None
    subset: int = 0
    mask_subset: int = 0
    copies: tuple[Path, ...] = ()
    mask_copies: tuple[Path, ...] = ()


Named = dict[tuple[str, str], Path]
"""Files by class and by name without extension, in one spelling of Unicode."""


@dataclass(frozen=True)
class Classes:
    """The classes of a set, further names that its folders may have for them, and how its masks are named."""

    labels: Sequence[str]
    synonyms: Mapping[str, str] = field(default_factory=dict)
    mask_name: str = STEM


def discover(
    root: Path, classes: Sequence[str], synonyms: Mapping[str, str], mask_name: str = STEM
) -> tuple[list[ImageFile], Problems]:
    """Find all images of a data root and note what is missing or out of place; no image is opened.

    Args:
        root: a folder in the course layout.
        classes: of the blood cells.
        synonyms: further names of class folders, each with the class that it stands for.
        mask_name: how masks are named after their image's `{stem}`, beside those of the same name.

    Returns:
        The images in a fixed order, and the problems found.

    Raises:
        LeukoError: if the data root is not a folder.
    """
    _want_folder(root, f"data_root: {root} is not a folder; set data_root to a folder in the course layout")
    tree = Tree(root, Problems())
    _note_strangers(tree, Path(), (*SUBSET_FOLDERS, WBC_TEST_FOLDER, CAM16_FOLDER, PRCC_FOLDER))
    blood = Classes(classes, synonyms, mask_name)
    tissue = Classes(TISSUE_CLASSES, mask_name=mask_name)
    wbc = [*_wbc_train(tree, blood), *_wbc_held_out(tree, blood)]
    cam16 = [image for part in ("train", "val", "test") for image in _cam16(tree, part, tissue)]
    prcc = [ImageFile("prcc", "", "", path) for path in _prcc(tree)]
    return [*wbc, *cam16, *prcc], tree.problems


def discover_laboratory(
    folder: Path, classes: Sequence[str], synonyms: Mapping[str, str]
) -> tuple[list[ImageFile], Problems]:
    """Find the images of another laboratory; no image is opened.

    Args:
        folder: of class folders, or with such a folder called `data`, as `WBC_test_<name>` has it.
        classes: of the blood cells, of which it may lack some.
        synonyms: further names of class folders.

    Returns:
        The images in a fixed order, as a test's, and the problems found.

    Raises:
        LeukoError: if it is not a folder.
    """
    _want_folder(folder, f"{folder} is not a folder; name one that holds a folder for every class")
    tree = Tree(folder, Problems())
    place = Path("data") if (folder / "data").is_dir() else Path()
    found = _by_class(tree, place, Classes(classes, synonyms), besides=Path(TABLE))
    for other in tree.entries(Path())[0] if place.parts else ():
        if other != place and match_class(other.name, classes, synonyms).label:
            tree.problems.add("Class folders beside one called data; move them into it, or rename it", other)
    if not found:
        tree.problems.add("Folders without an image; fill or remove them", folder)
    return [ImageFile("wbc", "test", label, path) for (label, _), path in found.items()], tree.problems


def discover_unlabelled(folder: Path) -> tuple[list[ImageFile], Problems]:
    """Find all images in and below a folder that tells no classes; no image is opened.

    Raises:
        LeukoError: if it is not a folder.
    """
    _want_folder(folder, f"{folder} is not a folder")
    tree = Tree(folder, Problems())
    files = (path for path in tree.below(Path()) if path != Path(TABLE))
    found = sorted((path for path in files if _is_image(path, tree.problems)), key=Path.as_posix)
    if not found and not tree.problems.found:
        tree.problems.add("Folders without an image; fill or remove them", folder)
    return [ImageFile("wbc", "test", "", path) for path in found], tree.problems


def subset_folders(root: Path) -> tuple[list[Path], list[Path]]:
    """The folders of the smaller WBC subsets, relative to the data root: those that are there, and those missing."""
    folders = [Path(folder) for folder in SUBSET_FOLDERS[:-1]]
    present = [folder for folder in folders if (root / folder).is_dir()]
    return present, [folder for folder in folders if folder not in present]


def _wbc_train(tree: Tree, blood: Classes) -> Iterator[ImageFile]:
    """The WBC training images with their masks and the smallest subset of each."""
    folders = {subset: Path(f"WBC_{subset}/train") for subset in SUBSETS}
    present = [subset for subset in SUBSETS if subset == 100 or tree.has_folder(folders[subset].parent)]
    images = {subset: _by_class(tree, folders[subset] / "data", blood, every_class=True) for subset in present}
    masks = {subset: _masks(tree, folders[subset], blood, images[subset]) for subset in present}
    for subset in present[:-1]:
        for key in images[subset].keys() - images[100].keys():
            tree.problems.add(
                "Images of a subset that WBC_100/train/data lacks; add or remove them", images[subset][key]
            )
    for key, path in images[100].items():
        copies = [subset for subset in present if key in images[subset]]
        masked = [subset for subset in copies if key in masks[subset]]
        yield ImageFile(
            set="wbc",
            part="train",
            label=key[0],
            path=path,
            mask=masks[max(masked)][key] if masked else None,
            subset=min(copies),
            mask_subset=min(masked, default=0),
            copies=tuple(images[subset][key] for subset in copies if subset != 100),
            mask_copies=tuple(masks[subset][key] for subset in masked[:-1]),
        )


def _wbc_held_out(tree: Tree, blood: Classes) -> Iterator[ImageFile]:
    """The WBC images of the val folder and, where there is one, of the test folder."""
    folders = {"val": Path("WBC_100/val")}
    if tree.has_folder(Path(WBC_TEST_FOLDER)):
        folders["test"] = Path(WBC_TEST_FOLDER)
    for part, folder in folders.items():
        images = _by_class(tree, folder / "data", blood, every_class=part == "val")
        _masks(tree, folder, blood, images)
        if not images and tree.has_folder(folder / "data") and not any(tree.entries(folder / "data")):
            tree.problems.add("Folders without an image; fill or remove them", folder / "data")
        for (label, _), path in images.items():
            yield ImageFile("wbc", part, label, path)


def _cam16(tree: Tree, part: str, tissue: Classes) -> Iterator[ImageFile]:
    """The CAM16 images of one part, if there is such a set; of the masks, those of the training part are used."""
    if not tree.has_folder(Path(CAM16_FOLDER)):
        return
    folder = Path(CAM16_FOLDER) / part
    images = _by_class(tree, folder / "data", tissue, every_class=True)
    masks = _masks(tree, folder, tissue, images)
    for key, path in images.items():
        yield ImageFile("cam16", part, key[0], path, masks.get(key) if part == "train" else None)


def _prcc(tree: Tree) -> list[Path]:
    """All images in and below the pRCC folder, if there is one."""
    folder = Path(PRCC_FOLDER)
    if not tree.has_folder(folder):
        return []
    found = [path for path in tree.below(folder) if _is_image(path, tree.problems)]
    if len(found) < 3:
        tree.problems.add("Folders with fewer than 3 images, one for each of train, val and test; add some", folder)
    return sorted(found, key=Path.as_posix)


def _masks(tree: Tree, folder: Path, classes: Classes, images: Named) -> Named:
    """The masks beside the images of a part; those without an image are noted, and so are neighbours of no meaning."""
    if tree.has_folder(folder):
        _note_strangers(tree, folder, ("data", "mask"))
    if not tree.has_folder(folder / "mask"):
        return {}
    files = _by_class(tree, folder / "mask", classes)
    prefix, suffix = classes.mask_name.split(STEM)
    masks: Named = {}
    strays: Named = {}
    for (label, name), path in files.items():
        stem = name.removeprefix(prefix).removesuffix(suffix) if name.startswith(prefix) else name
        key = next((key for key in ((label, name), (label, stem)) if key in images), None)
        if key is None:
            strays[(label, name)] = path
        elif key in masks:
            tree.problems.add("Images with several masks; remove all but one", path)
        else:
            masks[key] = path
    for key, path in strays.items():
        if pattern := _pattern(key, images):
            kind = f"Masks named otherwise than their image; set ingest.mask_name to '{pattern}', or rename them"
            tree.problems.add(kind, path)
        else:
            tree.problems.add("Masks without an image of the same name and class; rename or remove them", path)
    return masks


def _pattern(mask: tuple[str, str], images: Named) -> str:
    """How a mask's name is made from an image's of its class, if it holds one; empty otherwise."""
    label, name = mask
    held = [stem for of_class, stem in images if of_class == label and stem in name]
    return name.replace(max(held, key=len), STEM, 1) if held else ""


def _by_class(
    tree: Tree, folder: Path, classes: Classes, *, every_class: bool = False, besides: Path | None = None
) -> Named:
    """The images in a folder's class folders.

    Args:
        tree: the data root.
        folder: in it; it must be there.
        classes: of the set.
        every_class: whether every class must have an image.
        besides: a file that may lie beside the class folders.

    Returns:
        Paths by class and name, in the order of the classes and names.
    """
    labels, problems = classes.labels, tree.problems
    if not tree.has_folder(folder, required=True):
        return {}
    folders, files = tree.entries(folder)
    for path in files:
        if path != besides:
            problems.add("Files outside the class folders; move them into one or away", path)
    of_class: dict[str, list[Path]] = defaultdict(list)
    for path in folders:
        match = match_class(path.name, labels, classes.synonyms)
        if match.label:
            of_class[match.label].append(path)
        elif match.question:
            problems.add("Folders whose class a person has to decide", f"{path.as_posix()}: {match.question}")
        else:
            way_out = "rename or remove them; other classes of blood cells are set by classes"
            kind = f"Folders of no known class; the classes are {', '.join(labels)}; {way_out}"
            near = nearest_class(path.name, labels)
            problems.add(kind, f"{path.as_posix()}: {near}?" if near else path)
    found: Named = {}
    for label, places in of_class.items():
        for place in places:
            if len(places) > 1:
                problems.add("Folders of one and the same class; make them one", place)
            found |= _of_class(tree, place, label)
    if every_class:
        for label in labels:
            if not any(key[0] == label for key in found):
                problems.add("Classes without an image; add some", folder / label)
    return dict(sorted(found.items(), key=lambda item: (labels.index(item[0][0]), item[0][1])))


def _of_class(tree: Tree, folder: Path, label: str) -> Named:
    """The images in one class folder."""
    folders, files = tree.entries(folder)
    for path in folders:
        tree.problems.add(
            "Folders in a class folder, where only images are; move their images up, or remove them", path
        )
    tree.note_alike(files)
    found: Named = {}
    for path in files:
        if _is_image(path, tree.problems):
            key = (label, unicodedata.normalize("NFC", path.stem))
            if key in found:
                kind = "Images of one class with the same name but for the extension; rename one"
                tree.problems.add(kind, path)
            found[key] = path
    return found


def _note_strangers(tree: Tree, folder: Path, known: Iterable[str]) -> None:
    """Note the folders that are misspelt, as far as one can tell: what is optional would be missed in silence."""
    for path in tree.entries(folder)[0]:
        if (
            path.name not in known
            and not path.name.startswith(LABORATORY)
            and any(_resembles(path.name, name) for name in known)
        ):
            kind = f"Folders that the layout does not know; there are {', '.join(known)}; rename or move them"
            tree.problems.add(kind, path)


def _resembles(name: str, known: str) -> bool:
    """Whether a folder's name has the first word of a known one, in any case, singular or plural."""
    word = known.split("_")[0].casefold()
    return bool(re.fullmatch(rf"{word}s?([^a-z0-9].*)?", name.casefold()))


def _is_image(path: Path, problems: Problems) -> bool:
    """Whether a file is an image by its extension; anything that does not belong there is noted."""
    if path.suffix.casefold() in EXTENSIONS:
        return True
    problems.add(f"Not images by their extension ({', '.join(EXTENSIONS)}); convert, rename or remove them", path)
    return False


def _want_folder(path: Path, otherwise: str) -> None:
    """Refuse what is not a folder.

    Raises:
        LeukoError: saying so.
    """
    if not holds(path.is_dir):
        raise LeukoError(otherwise)
