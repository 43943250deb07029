"""Trees of folders, classes and parts: what is asked about, what is refused, and what is never lost or invented."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from leuko.core.errors import LeukoError
from leuko.importers.base import Item
from leuko.importers.division import divide
from leuko.importers.labels import Choice, assign_classes
from leuko.importers.patterns import compile_pattern
from leuko.importers.writing import place
from tests.course import noise, save, square_mask
from tests.importing import FIVE, run_import, survey, tree


@pytest.fixture
def source(tmp_path):
    """Ten images of each of the five types."""
    for label in FIVE:
        for number in range(10):
            save(noise([FIVE.index(label), number]), tmp_path / "source" / label / f"{number}.png")
    return tmp_path / "source"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def refused(*words) -> str:
    """The message of an import that is refused, and leaves nothing behind."""
    with pytest.raises(LeukoError) as error:
        run_import(*words)
    out = words[words.index("--out") + 1]
    assert not out.exists() and not list(out.parent.glob(f".{out.name}*"))
    return str(error.value)


def test_unknown_and_ambiguous_names_stop_with_the_list_and_the_flags(source, out):
    save(noise(1), source / "neutrophil_band" / "1.png")
    save(noise(2), source / "ig" / "1.png")
    save(noise(3), source / "Sonstiges" / "1.png")
    message = refused("folders", source, "--out", out)
    assert "neutrophil_band (1): neutrophil_band may or may not count as neutrophil" in message
    assert "ig (1): ig is none of the classes" in message and "Sonstiges (1): not known" in message
    assert "--map LABEL=CLASS" in message and "--drop LABEL" in message
    decisions = ["--map", "neutrophil_band=Neutrophil", "--drop", "ig", "--drop", "Sonstiges"]
    run_import("folders", source, "--out", out, *decisions)
    assert Counter(survey(out)["class"]) == dict.fromkeys(FIVE, 10) | {"Neutrophil": 11}


def test_decisions_about_what_is_not_there_are_refused(source, out):
    assert "no label is called Basofil" in refused("folders", source, "--out", out, "--drop", "Basofil")
    assert "none of the classes" in refused("folders", source, "--out", out, "--map", "Monocyte=Mono")
    assert "LABEL=CLASS" in refused("folders", source, "--out", out, "--map", "Monocyte")
    message = refused("folders", source, "--out", out, "--classes", "Basophil,Monocyte,Blast", "--drop", "Eosinophil",
                      "--map", "Lymphocyte=Blast")  # fmt: skip
    assert "Neutrophil (10)" in message


def test_classes_without_an_image_are_named_with_what_to_choose(source, out):
    for path in (source / "Basophil").iterdir():
        path.unlink()
    message = refused("folders", source, "--out", out)
    assert "No image of Basophil" in message and "--classes Eosinophil,Lymphocyte,Monocyte,Neutrophil" in message


def test_any_classes_in_any_script(tmp_path, out):
    names = ("Zellen mit Kern", "白血球", "ALL", "NA")
    for name in names:
        for number in range(6):
            save(noise([names.index(name), number]), tmp_path / "source" / name / f"{number} ü.png")
    run_import("folders", tmp_path / "source", "--out", out, "--all-classes")
    assert Counter(survey(out, names)["class"]) == dict.fromkeys(names, 6)


@pytest.mark.parametrize("name", [".png", "..", "a/b", "path"])
def test_names_that_cannot_be_folders_or_columns_are_refused(name, tmp_path, out):
    (tmp_path / "images").mkdir()
    rows = ["path,label"]
    for number, label in enumerate(["good"] * 6 + [name] * 6):
        save(noise(number), tmp_path / "images" / f"{number}.png")
        rows.append(f"images/{number}.png,{label}")
    (tmp_path / "table.csv").write_text("\n".join(rows))
    assert repr(name) in refused("csv", tmp_path / "table.csv", "--out", out, "--all-classes")


@pytest.mark.slow
def test_patients_above_classes_or_below_are_kept_whole(tmp_path, out):
    for patient in range(10):
        for label in FIVE:
            for number in range(1 + patient % 2):
                save(noise([patient, FIVE.index(label), number]), tmp_path / f"p/{patient}/{label}/{number}.png")
                save(noise([patient, FIVE.index(label), number]), tmp_path / f"c/{label}/{patient}/{number}.png")
    message = refused("folders", tmp_path / "c", "--out", out)
    assert "--pattern" in message and "Basophil/3" in message
    run_import("folders", tmp_path / "c", "--pattern", "{class}/{group}/*", "--out", tmp_path / "below")
    run_import("folders", tmp_path / "p", "--pattern", "**/{class}/*", "--group", "^(?P<group>[^/]+)/", "--out", out)
    for root in (out, tmp_path / "below"):
        groups = pd.read_csv(root / "groups.csv", dtype=str).merge(survey(root), on="path", suffixes=("", "_seen"))
        assert len(groups) == 75
        assert groups[["group", "part"]].drop_duplicates()["group"].is_unique
        sizes = groups.groupby("part").size() / len(groups)
        assert abs(sizes - pd.Series({"train": 0.7, "val": 0.1, "test": 0.2})).max() < 0.07


def test_a_pattern_for_groups_that_fits_nothing_is_refused(source, out):
    assert "fits no image, such as Basophil/0.png" in refused(
        "folders", source, "--out", out, "--group", "(?P<group>x)"
    )
    assert "--group" in refused("folders", source, "--out", out, "--group", "patient")


def test_names_that_come_again_are_numbered(source, out):
    save(noise(7), source / "baso" / "0.png")
    save(noise(8), source / "basophils" / "0.PNG")
    run_import("folders", source, "--out", out)
    origins = pd.read_csv(out / "import.csv")
    assert origins["path"].str.casefold().is_unique and len(origins) == 52
    for row in origins.itertuples():
        assert (out / row.path).samefile(source / row.origin)
    assert Counter(survey(out)["class"])["Basophil"] == 12


@pytest.mark.slow
def test_masks_are_found_beside_or_in_a_tree_of_their_own(source, tmp_path, out):
    for label in FIVE:
        for number in range(10):
            save(square_mask(), tmp_path / f"masks/{label}/{number}_seg.bmp")
            save(square_mask(), source / label / f"{number}_mask.png")
    run_import("folders", source, "--masks", "{stem}_mask.png", "--out", out)
    manifest = survey(out)
    assert len(manifest) == 50 and ((manifest["mask"] != "") == (manifest["part"] == "train")).all()
    pattern = ["--pattern", "source/{class}/*", "--masks", "masks/{class}/{stem}_seg.*"]
    for path in source.rglob("*_mask.png"):
        path.unlink()
    run_import("folders", tmp_path, *pattern, "--out", tmp_path.parent / f"{tmp_path.name} two")
    assert (survey(tmp_path.parent / f"{tmp_path.name} two")["mask"] != "").sum() == 35


def test_masks_that_belong_to_no_image_or_come_twice_are_refused(source, out):
    save(square_mask(), source / "Basophil" / "77_mask.png")
    save(square_mask(), source / "Basophil" / "1_mask.bmp")
    save(square_mask(), source / "Basophil" / "1_mask.png")
    message = refused("folders", source, "--masks", "{stem}_mask.*", "--out", out)
    assert "77_mask.png" in message and "Several masks of one image" in message


@pytest.mark.parametrize("pattern", ["/etc/{class}/*", "../{class}/*", "{patient}/{class}/*"])
def test_patterns_stay_below_the_source_and_have_known_fields(pattern, source, out):
    assert "--pattern" in refused("folders", source, "--pattern", pattern, "--out", out)


def test_links_out_of_the_source_are_refused_and_those_within_followed(source, tmp_path, out):
    save(noise(5), tmp_path / "elsewhere" / "secret.png")
    (source / "Basophil" / "inside.png").symlink_to(source / "Monocyte" / "1.png")
    run_import("folders", source, "--out", out)
    linked = next(out.rglob("inside.png"))
    assert not linked.is_symlink() and linked.samefile(source / "Monocyte" / "1.png")
    (source / "Basophil" / "out.png").symlink_to(tmp_path / "elsewhere" / "secret.png")
    (source / "Monocyte" / "more").symlink_to(tmp_path / "elsewhere")
    message = refused("folders", source, "--out", tmp_path / "two")
    assert "Basophil/out.png" in message and "Monocyte/more" in message


def test_what_cannot_be_used_is_listed_or_left_out(source, out):
    (source / "Basophil" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    save(noise(3, 8, 40), source / "Basophil" / "thin.png")
    save(noise(3, 20, 200), source / "Basophil" / "long.png")
    save(square_mask(20, 20), source / "Basophil" / "1_mask.png")
    words = ["folders", source, "--masks", "{stem}_mask.png", "--out", out]
    message = refused(*words)
    assert all(name in message for name in ("broken.jpg", "thin.png", "long.png", "mask of 20 x 20", "--skip-unusable"))
    run_import(*words, "--skip-unusable")
    assert Counter(survey(out)["class"]) == dict.fromkeys(FIVE, 10)


def test_what_ingest_would_refuse_is_not_written(source, out):
    for label in FIVE:
        for number in range(10):
            save(Image.new("L", (16, 16)), source / label / f"{number}_mask.png")
    message = refused("folders", source, "--masks", "{stem}_mask.png", "--out", out)
    assert "WBC_100/train/mask/" in message


def test_the_target_is_new_and_outside_of_the_source(source, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")
    before = tree(tmp_path)
    for out in (source, source / "new", tmp_path / "full", tmp_path / "full/notes.txt"):
        with pytest.raises(LeukoError, match="--out"):
            run_import("folders", source, "--out", out)
    assert tree(tmp_path) == before
    (tmp_path / "empty").mkdir()
    run_import("folders", source, "--out", tmp_path / "empty")
    survey(tmp_path / "empty")


def test_an_import_that_fails_while_adding_leaves_the_data_root_as_it_was(source, tmp_path, out):
    for number in range(4):
        save(noise(number), tmp_path / "tissue" / f"{number}.png")
    run_import("tiles", tmp_path / "tissue", "--out", out)
    (out / "groups.csv").mkdir()  # in the way of a table
    before = tree(out)
    with pytest.raises(OSError, match=r"groups\.csv"):
        run_import("folders", source, "--group", r"(?P<group>\d)\.png", "--out", out, "--add")
    assert tree(out) == before and not (out / "WBC_100").exists()


def test_archives_and_what_is_not_there_are_named(tmp_path, out):
    (tmp_path / "Train.rar").write_bytes(b"Rar!\x1a\x07")
    message = refused("raabin", tmp_path / "Train.rar", tmp_path / "none", "--out", out)
    assert "Train.rar: an archive; unpack it first" in message and "none: there is no such" in message
    (tmp_path / "webp").mkdir()
    (tmp_path / "webp/1.webp").write_bytes(b"RIFF")
    assert "(.webp): 1" in refused("folders", tmp_path / "webp", "--out", out)


@pytest.mark.slow
def test_parts_of_the_source_hold_unless_ratios_are_given(source, tmp_path, out):
    for part, numbers in (("train", range(6)), ("test", range(6, 10))):
        for label in FIVE:
            for number in numbers:
                os.renames(source / label / f"{number}.png", tmp_path / "divided" / part / label / f"{number}.png")
    run_import("folders", tmp_path / "divided", "--out", out)
    counts = survey(out).groupby("part").size()
    assert counts.to_dict() == {"train": 25, "val": 5, "test": 20}
    run_import("folders", tmp_path / "divided", "--out", tmp_path / "anew", "--ratios", 50, 20, 30)
    assert survey(tmp_path / "anew").groupby("part").size().to_dict() == {"train": 25, "val": 10, "test": 15}
    for ratios in ([0, 1, 1], [1, 0, 1], [1, 1, -1], ["nan", 1, 1], ["inf", 1, 1]):
        assert "--ratios" in refused("folders", tmp_path / "divided", "--out", tmp_path / "three", "--ratios", *ratios)
    for path in (tmp_path / "divided").iterdir():
        path.rename(path.with_name({"train": "val"}.get(path.name, path.name)))
    assert "--ratios" in refused("folders", tmp_path / "divided", "--out", tmp_path / "three")


def test_a_source_that_has_a_training_part_only_is_divided(source, tmp_path, out):
    source.rename(tmp_path / "train")
    (tmp_path / "data").mkdir()
    (tmp_path / "train").rename(tmp_path / "data/train")
    run_import("folders", tmp_path / "data", "--out", out)
    assert survey(out).groupby("part").size().to_dict() == {"train": 35, "val": 5, "test": 10}


def test_tissue_with_labels_fills_the_tissue_set(tmp_path, out):
    for label in ("Normal", "tumors"):
        for number in range(20):
            save(noise([len(label), number]), tmp_path / "source" / label / f"{number}.png")
    run_import("folders", tmp_path / "source", "--tissue", "--out", out)
    found = Counter(path.split("/")[1] for path in tree(out) if path.endswith(".png"))
    assert found == {"train": 28, "val": 4, "test": 8}


def test_no_more_than_the_limit_of_each_class_and_part(source, out):
    run_import("folders", source, "--limit", 2, "--out", out)
    assert set(survey(out).groupby(["part", "class"]).size()) == {1, 2}


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["", "1", "2", "3", "4", "5"])), min_size=3, max_size=40
    ),
    st.integers(0, 3),
)
def test_divisions_keep_groups_whole(images, seed):
    labels, groups = zip(*images, strict=True)
    parts = divide(labels, groups, [""] * len(images), ("train", "val"), (60, 20, 20), seed)
    assert set(parts) <= {"train", "val", "test"}
    whole = {(group, part) for group, part in zip(groups, parts, strict=True) if group}
    assert len(whole) == len({group for group, _ in whole})
    given_parts = ["train" if part == "val" else part for part in parts]
    if {"train", "test"} <= set(given_parts):
        again = divide(labels, groups, given_parts, ("train", "val"), None, seed)
        assert [part == "test" for part in again] == [part == "test" for part in parts]


def test_names_that_a_folder_would_have_twice_are_numbered():
    items = [Item(f"{number}/{name}", name, Path(name)) for number, name in enumerate(("a.png", "A.JPG", "b", "a.png"))]
    placed = place("wbc", [(item, "X", "val") for item in items] + [(items[0], "X", "test")])
    folders, names = zip(*(str(entry.path).rsplit("/", 1) for entry in placed), strict=True)
    assert names == ("a.png", "A-2.JPG", "b", "a-3.png", "a.png")
    assert folders == (*["WBC_100/val/data/X"] * 4, "WBC_test/data/X")


def test_parts_for_some_images_only_are_refused():
    with pytest.raises(LeukoError, match="1 of 2 images have no part"):
        divide("ab", ["", ""], ["train", ""], ("train", "val"), None, 0)


@given(st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1))
def test_a_label_is_a_class_or_asked_about_but_never_lost(label):
    labels = Counter([*FIVE, label])
    try:
        meaning = assign_classes(labels, Choice())
    except LeukoError as error:
        assert f"{label} (1)" in str(error)
    else:
        assert meaning[label] in FIVE


def test_bare_numbers_are_asked_about():
    with pytest.raises(LeukoError, match=r"1 \(1\): not known"):
        assign_classes(Counter([*FIVE, "1"]), Choice())


@pytest.mark.parametrize(
    ("pattern", "path", "fields"),
    [
        ("{class}/*", "Neutrophil/a.png", {"class": "Neutrophil"}),
        ("{class}/*", "deeper/Neutrophil/a.png", None),
        ("**/{class}/*", "x/y/Neutrophil/a.png", {"class": "Neutrophil"}),
        ("{class}_*", "BA_12_3.jpg", {"class": "BA"}),
        ("{class}/{class}/*", "a/a/1.tif", {"class": "a"}),
        ("{class}/{class}/*", "a/b/1.tif", None),
        ("{part}/[x] {class}/{group}-*", "train/[X] b/p1-2.png", {"part": "train", "class": "b", "group": "p1"}),
        ("{folder}/{stem}_mask.*", "a_mask.png", {"folder": None, "stem": "a"}),
        ("masks/{folder}/{stem}.*", "masks/b/c/a.b.png", {"folder": "b/c", "stem": "a.b"}),
    ],
)
def test_patterns(pattern, path, fields):
    match = compile_pattern(pattern, "--pattern", ("class", "part", "group", "folder", "stem")).fullmatch(path)
    assert (match.groupdict() if match else None) == fields


def test_pixels_that_an_importer_makes_are_written_as_they_are(tmp_path, out):
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28, 3), dtype=np.uint8)
    arrays = {}
    for part in ("train", "val", "test"):
        arrays |= {f"{part}_images": images, f"{part}_labels": np.array([0, 1, 4, 5, 6] * 8)[:, None]}
    np.savez(tmp_path / "bloodmnist.npz", **arrays)
    run_import("medmnist", tmp_path / "bloodmnist.npz", "--out", out)
    np.testing.assert_array_equal(
        np.asarray(Image.open(out / "WBC_100/train/data/Monocyte/train_00003.png")), images[3]
    )
