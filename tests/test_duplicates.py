"""One picture in several files: what is found, and what becomes of it."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.duplicates import all_pairs, mixed
from leuko.core.errors import LeukoError
from leuko.data import duplicates
from leuko.data.duplicates import NEAR, as_pixels, candidates, fingerprints, in_words, same_pictures, standardise
from leuko.data.images import Pixels, describe_image, read_rgb
from leuko.data.manifest import read_manifest
from leuko.data.survey import survey_data
from leuko.packs.reading import read_rows
from tests.conftest import run_stage, tiny_settings, write_settings
from tests.course import CAM16, WBC, content, draw_course, noise, plan_course, save, write_course

OPTIONS = tiny_settings()["ingest"] | {"classes": WBC, "synonyms": {}}


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def scaled(image: Image.Image, factor: float) -> Image.Image:
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)


def thumbnail(image: bytes) -> Pixels:
    return describe_image(image).thumbnail()


COPIES = {
    "quality 50": lambda image: jpeg(image, 50),
    "half": lambda image: jpeg(scaled(image, 0.5)),
    "larger": lambda image: jpeg(scaled(image, 1.5)),
    "without loss": lambda image: content(image, "PNG"),
    "rotated, smaller, worse": lambda image: jpeg(scaled(image, 0.75).transpose(Image.Transpose.ROTATE_90), 60),
    **{way.name.lower(): lambda image, way=way: jpeg(image.transpose(way)) for way in Image.Transpose},
}


@pytest.fixture(scope="module")
def originals(demo) -> list[Image.Image]:
    paths = (
        sorted(demo.glob("WBC_test/data/*/*")) + sorted(demo.glob("WBC_100/*/data/*/*")) + sorted(demo.glob("pRCC/*"))
    )
    return [read_rgb(path) for path in paths]


def test_images_alike_are_not_taken_for_one(originals):
    pictures = same_pictures(as_pixels([thumbnail(content(image, "PNG")) for image in originals]))
    assert len(pictures) > 20
    assert len(set(pictures)) == len(pictures)


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES.keys())
def test_copies_are_found_however_they_were_made(originals, copy):
    images = [*(content(image, "PNG") for image in originals), *(copy(image) for image in originals)]
    pictures = same_pictures(as_pixels([thumbnail(image) for image in images]))
    first, second = np.split(pictures, 2)
    assert (first == second).mean() > 0.95
    assert len(set(first)) == len(first)


def test_images_of_one_colour_equal_nothing():
    flat = np.stack([np.full((32, 32, 3), grey, np.uint8) for grey in (0, 0, 200)])
    assert len(set(same_pictures(flat))) == 3


@given(st.integers(0, 2**32 - 1), st.integers(0, 3), st.booleans())
def test_a_fingerprint_does_not_depend_on_how_an_image_lies(seed, turns, flipped):
    image = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    laid = np.rot90(image[:, ::-1] if flipped else image, turns)
    first, second = fingerprints(standardise(np.stack([image, laid])))
    np.testing.assert_allclose(first, second, atol=1e-6)
    assert np.linalg.norm(first) <= 1


@given(st.lists(st.integers(0, 5), max_size=30), st.sampled_from([1, 3, 100]), st.sampled_from([1, 7, 100]))
def test_neither_order_nor_boxes_matter(drawn, box, pairs):
    kinds = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    images = kinds[drawn] if drawn else kinds[:0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "BOX", box)
        patch.setattr(duplicates, "PAIRS", pairs)
        pictures = same_pictures(images)
    assert {(a, b) for a in range(len(drawn)) for b in range(len(drawn)) if pictures[a] == pictures[b]} == {
        (a, b) for a in range(len(drawn)) for b in range(len(drawn)) if drawn[a] == drawn[b]
    }


@given(st.integers(0, 2**32 - 1), st.integers(2, 120), st.integers(1, 40), st.floats(0.001, 0.3))
def test_the_index_misses_no_pair(seed, count, width, spread):
    rng = np.random.default_rng(seed)
    prints = (rng.normal(size=(count, width)) * rng.exponential(spread, width)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "BOX", 8)
        found = [(int(a), int(b)) for pairs in candidates(prints) for a, b in pairs.T]
    assert len(set(found)) == len(found)
    assert all(first < second for first, second in found)
    distances = np.linalg.norm(prints[:, None].astype(float) - prints, axis=2)
    near = np.argwhere(np.triu(distances < NEAR, k=1))
    assert set(map(tuple, near.tolist())) <= set(found)


def test_findings_are_those_of_a_look_at_every_pair(originals, monkeypatch):
    thumbnails = mixed(as_pixels([thumbnail(content(image, "PNG")) for image in originals]), 400)
    monkeypatch.setattr(duplicates, "BOX", 16)
    found, expected = (pd.factorize(find(thumbnails))[0] for find in (same_pictures, all_pairs))
    np.testing.assert_array_equal(found, expected)
    assert 300 < len(set(found)) <= 380


# What becomes of them.

TRAIN, VAL, TEST = "WBC_100/train/data", "WBC_100/val/data", "WBC_test/data"


def large(seed: int) -> Image.Image:
    """A picture that survives compression: few large patches of colour."""
    return noise(seed, 4, 4).resize((64, 64), Image.Resampling.BICUBIC)


@pytest.fixture
def course(tmp_path):
    """A data root with a leak, a near leak across sets, a conflict and a copy."""
    files = plan_course(test=3, subsets=())
    files[f"{TRAIN}/Basophil/leak.jpg"] = files[f"{VAL}/Basophil/held.jpg"] = jpeg(large(1))
    files["pRCC/near.png"] = content(large(2).transpose(Image.Transpose.ROTATE_90), "PNG")
    files[f"{TEST}/Monocyte/near.jpg"] = jpeg(large(2), 60)
    files[f"{TRAIN}/Monocyte/one.jpg"] = files[f"{TRAIN}/Neutrophil/two.jpg"] = jpeg(large(3))
    files[f"{TRAIN}/Eosinophil/a.jpg"] = files[f"{TRAIN}/Eosinophil/b.jpg"] = jpeg(large(4))
    return write_course(tmp_path / "course", files)


FOUND = {
    (1, "leak", "exact", f"{TRAIN}/Basophil/leak.jpg"),
    (1, "leak", "exact", f"{VAL}/Basophil/held.jpg"),
    (2, "copy", "exact", f"{TRAIN}/Eosinophil/a.jpg"),
    (2, "copy", "exact", f"{TRAIN}/Eosinophil/b.jpg"),
    (3, "conflict", "exact", f"{TRAIN}/Monocyte/one.jpg"),
    (3, "conflict", "exact", f"{TRAIN}/Neutrophil/two.jpg"),
    (4, "leak", "near", f"{TEST}/Monocyte/near.jpg"),
    (4, "leak", "near", "pRCC/near.png"),
}
DROPPED = [f"{TRAIN}/Basophil/leak.jpg", f"{TRAIN}/Monocyte/one.jpg", f"{TRAIN}/Neutrophil/two.jpg", "pRCC/near.png"]


def test_warned_of_are_all_and_none_is_dropped(course):
    survey = survey_data(course, **OPTIONS)
    assert not survey.problems.found
    assert set(survey.duplicates[["group", "finding", "kind", "path"]].itertuples(index=False, name=None)) == FOUND
    assert not survey.duplicates["dropped"].any()
    assert set(survey.duplicates["path"]) <= set(survey.manifest["path"])


def test_dropped_is_what_is_held_out_elsewhere_and_what_has_two_classes(course):
    kept, left = (survey_data(course, **OPTIONS | {"duplicates": choice}) for choice in ("warn", "drop"))
    assert not left.problems.found
    assert list(left.duplicates["path"][left.duplicates["dropped"]]) == DROPPED
    assert set(kept.manifest["path"]) - set(left.manifest["path"]) == set(DROPPED)


def test_failing_names_what_is_in_several_parts_or_classes(course):
    problems = survey_data(course, **OPTIONS | {"duplicates": "fail"}).problems
    with pytest.raises(LeukoError, match=r"^3 problems") as caught:
        problems.raise_if_any(course)
    assert f"near: {TEST}/Monocyte/near.jpg (test) = pRCC/near.png (" in str(caught.value)
    assert "Eosinophil" not in str(caught.value)


def test_dropping_the_last_image_of_a_class_is_a_problem(tmp_path):
    files = plan_course(train=1, val=2, subsets=())
    files[f"{VAL}/Monocyte/monocyte_0001.jpg"] = files[f"{TRAIN}/Monocyte/monocyte_0001.jpg"]
    survey = survey_data(write_course(tmp_path, files), **OPTIONS | {"duplicates": "drop"})
    with pytest.raises(LeukoError, match=r"left without an image.*\n    wbc train Monocyte in the subset of 100 %"):
        survey.problems.raise_if_any(tmp_path)


def test_the_stage_writes_the_same_table_every_time_and_says_what_it_found(course, capsys):
    folder = course.parent
    write_settings(folder, data_root="course")
    written = []
    for _ in range(2):
        run_stage("ingest", folder)
        written.append((folder / "data/duplicates.csv").read_bytes())
        assert "Pictures in several parts (2):" in capsys.readouterr().out
    assert written[0] == written[1]
    table = pd.read_csv(folder / "data/duplicates.csv")
    assert set(table[["group", "finding", "kind", "path"]].itertuples(index=False, name=None)) == FOUND


places = st.sampled_from(
    [f"{folder}/{label}" for folder in (TRAIN, VAL, TEST) for label in WBC]
    + [f"CAM16_100cls_10mask/{part}/data/{label}" for part in ("train", "val", "test") for label in CAM16]
    + ["pRCC"]
)


@pytest.mark.slow
@settings(max_examples=15)
@given(st.lists(st.tuples(places, st.integers(0, 3)), max_size=16), st.integers(0, 5))
def test_after_dropping_every_picture_is_in_one_part_and_the_test_sets_are_as_they_were(tmp_path_factory, put, seed):
    files = plan_course(test=2, prcc=20)
    for number, (place, picture) in enumerate(put):
        files[f"{place}/extra_{number}.jpg"] = content(noise([50, picture]))
    root = write_course(tmp_path_factory.mktemp("course"), files)
    before, after = (
        survey_data(root, **OPTIONS | {"seed": seed, "duplicates": choice}).manifest for choice in ("warn", "drop")
    )
    assert after.groupby("sha256")["part"].nunique().max() == 1
    learnt = after[after["part"] != "test"]
    assert learnt.groupby(["sha256", "set"])["class"].nunique().max() == 1
    tests = [rows[rows["part"] == "test"].reset_index(drop=True) for rows in (before, after)]
    pd.testing.assert_frame_equal(*tests)
    assert len(after) >= len(files) - len(put) - files_beside_the_images(files)


def files_beside_the_images(files) -> int:
    """How many files are masks or in the smaller subsets."""
    return sum("/mask/" in path or path.startswith(("WBC_1/", "WBC_10/", "WBC_50/")) for path in files)


@pytest.mark.slow
@settings(max_examples=5)
@given(
    st.integers(2, 8), st.integers(0, 3), st.sampled_from(["both", "tumor", "none"]), st.booleans(), st.integers(0, 99)
)
def test_derived_images_stay_in_their_sources_part(tmp_path_factory, train, test, cam16, balance, seed):
    folder = tmp_path_factory.mktemp("project")
    draw_course(folder / "course", train=dict.fromkeys(WBC, 2) | {"Monocyte": train}, test=test, masked=2)
    save(noise(seed), folder / "course/pRCC/deep/er.png")
    choices = {"ingest.seed": seed, "prepare_masks.cam16": cam16, "augment.balance": balance}
    write_settings(folder, data_root="course", **choices)
    for stage in ("ingest", "prepare_masks", "augment"):
        run_stage(stage, folder)
    part_of = read_manifest(folder / "data/manifest.csv").set_index("path")["part"]
    masked = read_manifest(folder / "data/masked/manifest.csv")
    assert (part_of[masked["source"]].to_numpy() == masked["part"].to_numpy()).all()
    packs = sorted(Path(folder / "data/packs").glob("*/*"))
    assert len(packs) == 9
    for pack in packs:
        assert (part_of[read_rows(pack)["source"]] == pack.name).all()


def test_of_a_picture_in_many_images_the_first_of_every_part_and_class_is_named():
    parts = ["train"] * 4 + ["val", "test"]
    paths = [f"{number}.jpg" for number in range(6)]
    table = pd.DataFrame({"group": 1, "finding": "leak", "kind": "exact", "class": "Monocyte"}, index=range(6))
    table = table.assign(part=parts, path=paths)
    assert in_words(table)["leak"] == ["exact: 0.jpg (train) = 4.jpg (val) = 5.jpg (test) and 3 more"]
    assert in_words(table[2:])["leak"] == ["exact: 2.jpg (train) = 3.jpg (train) = 4.jpg (val) = 5.jpg (test)"]
