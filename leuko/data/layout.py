"""The course layout: where each set's images and masks lie, and what can be wrong with them.

    <root>/WBC_{1,10,50,100}/train/{data,mask}/<Class>/*
    <root>/WBC_100/val/data/<Class>/*
    <root>/WBC_test/data/<Class>/*                                  (optional: a test set of its own)
    <root>/CAM16_100cls_10mask/{train,val,test}/data/<class>/*
    <root>/CAM16_100cls_10mask/train/mask/<class>/*
    <root>/pRCC/**/*

A mask has its image's name; only its extension may differ. Class folders match in any case, singular or plural.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from leuko.data.classes import CLASSES, SUBSETS
from leuko.data.images import EXTENSIONS
from leuko.errors import LeukoError

CAM16_FOLDER = "CAM16_100cls_10mask"
PRCC_FOLDER = "pRCC"
WBC_TEST_FOLDER = "WBC_test"

CLUTTER = ("thumbs.db", "desktop.ini")


@dataclass
class Problems:
    """Everything found wrong, collected so that one report can name it all.

    A kind of problem is a sentence that says what is wrong and how to mend it; under it stand the paths.
    """

    found: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, kind: str, path: Path | str) -> None:
        """Note a problem.

        Args:
            kind: what is wrong, and how to mend it.
            path: where.
        """
        self.found[kind].append(path.as_posix() if isinstance(path, Path) else path)

    def raise_if_any(self, root: Path) -> None:
        """Report all that was found, grouped and counted.

        Raises:
            LeukoError: if anything was found.
        """
        if not self.found:
            return
        total = sum(len(paths) for paths in self.found.values())
        lines = [f"{total} problem{'s' * (total > 1)} in {root}; nothing was written.", ""]
        for kind, paths in sorted(self.found.items()):
            lines.append(f"{kind} ({len(paths)}):")
            lines.extend(f"    {path}" for path in sorted(paths))
        raise LeukoError("\n".join(lines))


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
    """

    set: str
    part: str
    label: str
    path: Path
    mask: Path | None = None
    subset: int = 0
    mask_subset: int = 0
    copies: tuple[Path, ...] = ()


Named = dict[tuple[str, str], Path]
"""Files by class and by name without extension."""


def discover(root: Path) -> tuple[list[ImageFile], Problems]:
    """Find all images of a data root and note what is missing or out of place; no image is opened.

    Args:
        root: a folder in the course layout.

    Returns:
        The images in a fixed order, and the problems found.

    Raises:
        LeukoError: if the data root is not a folder.
    """
    if not root.is_dir():
        raise LeukoError(f"data_root: {root} is not a folder; set data_root to a folder in the course layout")
    problems = Problems()
    wbc = [*_wbc_train(root, problems), *_wbc_held_out(root, problems)]
    cam16 = [image for part in ("train", "val", "test") for image in _cam16(root, part, problems)]
    prcc = [ImageFile("prcc", "", "", path) for path in _prcc(root, problems)]
    return [*wbc, *cam16, *prcc], problems


def subset_folders(root: Path) -> tuple[list[Path], list[Path]]:
    """The folders of the smaller WBC subsets, relative to the data root: those that are there, and those missing."""
    folders = [Path(f"WBC_{subset}") for subset in SUBSETS[:-1]]
    present = [folder for folder in folders if (root / folder).is_dir()]
    return present, [folder for folder in folders if folder not in present]


def _wbc_train(root: Path, problems: Problems) -> Iterator[ImageFile]:
    """The WBC training images with their masks and the smallest subset of each."""
    present = [subset for subset in SUBSETS if subset == 100 or (root / f"WBC_{subset}").is_dir()]
    images = {
        subset: _by_class(root, Path(f"WBC_{subset}/train/data"), "wbc", problems, every_class=True)
        for subset in present
    }
    masks = {
        subset: _by_class(root, Path(f"WBC_{subset}/train/mask"), "wbc", problems, required=False) for subset in present
    }
    for subset in present[:-1]:
        for key in images[subset].keys() - images[100].keys():
            problems.add("Images of a subset that WBC_100/train/data lacks; add or remove them", images[subset][key])
    for subset in present:
        _note_orphans(masks[subset], images[subset], problems)
    for key, path in images[100].items():
        copies = [subset for subset in present if key in images[subset]]
        masked = [subset for subset in present if key in masks[subset] and key in images[subset]]
        yield ImageFile(
            set="wbc",
            part="train",
            label=key[0],
            path=path,
            mask=masks[max(masked)][key] if masked else None,
            subset=min(copies),
            mask_subset=min(masked, default=0),
            copies=tuple(images[subset][key] for subset in copies if subset != 100),
        )


def _wbc_held_out(root: Path, problems: Problems) -> Iterator[ImageFile]:
    """The WBC images of the val folder and, where there is one, of the test folder."""
    folders = {"val": Path("WBC_100/val/data")}
    if (root / WBC_TEST_FOLDER).is_dir():
        folders["test"] = Path(WBC_TEST_FOLDER) / "data"
    for part, folder in folders.items():
        images = _by_class(root, folder, "wbc", problems, every_class=part == "val")
        if not images and (root / folder).is_dir():
            problems.add("Folders without an image; fill or remove them", folder)
        for (label, _), path in images.items():
            yield ImageFile("wbc", part, label, path)


def _cam16(root: Path, part: str, problems: Problems) -> Iterator[ImageFile]:
    """The CAM16 images of one part; the training part has masks."""
    folder = Path(CAM16_FOLDER) / part
    images = _by_class(root, folder / "data", "cam16", problems, every_class=True)
    masks = _by_class(root, folder / "mask", "cam16", problems, required=False) if part == "train" else {}
    _note_orphans(masks, images, problems)
    for key, path in images.items():
        yield ImageFile("cam16", part, key[0], path, masks.get(key))


def _prcc(root: Path, problems: Problems) -> list[Path]:
    """All images in and below the pRCC folder."""
    folder = root / PRCC_FOLDER
    if not folder.is_dir():
        problems.add("Folders that are missing; make them", Path(PRCC_FOLDER))
        return []
    found = [path.relative_to(root) for path in folder.rglob("*") if path.is_file() and _is_image(path, root, problems)]
    if len(found) < 3:
        problems.add("Folders with fewer than 3 images, one for each of train, val and test; add some", PRCC_FOLDER)
    return sorted(found, key=Path.as_posix)


def _by_class(
    root: Path,
    folder: Path,
    of_set: str,
    problems: Problems,
    *,
    required: bool = True,
    every_class: bool = False,
) -> Named:
    """The images in a folder's class folders.

    Args:
        root: the data root.
        folder: relative to it.
        of_set: whose classes are meant.
        problems: where to note what is wrong.
        required: whether the folder must exist.
        every_class: whether every class must have an image.

    Returns:
        Paths relative to the root, by class and name, in the order of the classes and names.
    """
    classes = CLASSES[of_set]
    if not (root / folder).is_dir():
        if required:
            problems.add("Folders that are missing; make them", folder)
        return {}
    spelling = {_normal(label): label for label in classes}
    found: Named = {}
    for entry in _entries(root / folder, root, problems):
        label = spelling.get(_normal(entry.name))
        if entry.is_file():
            if not _is_clutter(entry):
                problems.add("Files outside the class folders; move them into one or away", folder / entry.name)
        elif label is None:
            problems.add(
                f"Folders of no known class; the classes are {', '.join(classes)}; rename or remove them",
                folder / entry.name,
            )
        else:
            for path in _entries(entry, root, problems):
                if _is_image(path, root, problems):
                    key = (label, path.stem)
                    if key in found:
                        problems.add(
                            "Images of one class with the same name but for the extension; rename one",
                            path.relative_to(root),
                        )
                    found[key] = path.relative_to(root)
    if every_class:
        for label in classes:
            if not any(key[0] == label for key in found):
                problems.add("Classes without an image; add some", folder / label)
    return dict(sorted(found.items(), key=lambda item: (classes.index(item[0][0]), item[0][1])))


def _entries(folder: Path, root: Path, problems: Problems) -> list[Path]:
    """What is in a folder, by name; a folder that cannot be read, such as a link to nowhere, is noted."""
    try:
        return sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as error:
        kind = "Folders that cannot be read; replace them or give permission"
        problems.add(kind, f"{folder.relative_to(root).as_posix()}: {error.strerror}")
        return []


def _normal(name: str) -> str:
    """A class folder's name without regard to case and plural."""
    return name.casefold().removesuffix("s")


def _is_clutter(path: Path) -> bool:
    """Whether an operating system left this file."""
    return path.name.startswith(".") or path.name.casefold() in CLUTTER


def _is_image(path: Path, root: Path, problems: Problems) -> bool:
    """Whether a path is an image by its extension; anything that does not belong there is noted."""
    if _is_clutter(path):
        return False
    if path.is_file() and path.suffix.casefold() in EXTENSIONS:
        return True
    problems.add(
        f"Not images by their extension ({', '.join(EXTENSIONS)}); convert, rename or remove them",
        path.relative_to(root),
    )
    return False


def _note_orphans(masks: Named, images: Named, problems: Problems) -> None:
    """Note the masks that have no image."""
    for key in masks.keys() - images.keys():
        problems.add("Masks without an image of the same name and class; rename or remove them", masks[key])
