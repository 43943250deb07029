import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from leuko.core.files import atomic_file
from leuko.data.images import read_rgb
from leuko.data.manifest import COLUMNS, read_manifest
from leuko.data.mask_reading import MaskRule, read_mask
from leuko.data.masks import apply_mask, masked_examples, plan_masks, write_masked
from tests.conftest import tiny_settings
from tests.course import WBC, draw_course, make_manifest, noise, save, square_mask

OPTIONS = tiny_settings()["ingest"]
NORMAL, TUMOR = (f"CAM16_100cls_10mask/train/mask/{label}" for label in ("normal", "tumor"))
FILL = (10, 200, 30)


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A data root with a few masks of every kind, and its manifest; tests leave them as they are."""
    root = draw_course(tmp_path_factory.mktemp("masks"), train=4, val=2, masked=3, cam16=5)
    wide = "CAM16_100cls_10mask/train/{}/tumor/tumor_0002.jpg"
    save(noise(1, 64, 32), root / wide.format("data"))
    save(square_mask(64, 32), root / wide.format("mask"))
    return root, make_manifest(root, **OPTIONS)


@given(
    st.integers(1, 20),
    st.integers(1, 20),
    st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255)),
    st.integers(0, 2**16),
)
def test_the_mask_decides_every_pixel(width, height, fill, seed):
    image = noise([seed, 0], width, height)
    mask = np.random.default_rng([seed, 1]).random((height, width)) < 0.5
    masked = apply_mask(image, mask, fill)
    assert (masked.mode, masked.size) == ("RGB", image.size)
    np.testing.assert_array_equal(np.asarray(masked)[mask], np.asarray(image)[mask])
    assert (np.asarray(masked)[~mask] == fill).all()


@pytest.mark.parametrize(("cam16", "labels"), [("both", {"normal", "tumor"}), ("tumor", {"tumor"}), ("none", set())])
def test_the_setting_chooses_the_tissue_classes(course, cam16, labels):
    root, manifest = course
    plan = plan_masks(manifest, root, cam16, seed=0)
    assert (plan["part"] == "train").all()
    assert set(plan[plan["set"] == "cam16"]["class"]) == labels
    assert set(plan[plan["set"] == "wbc"]["class"]) == set(WBC)
    assert plan["set"].isin(["wbc", "cam16"]).all()


def test_every_other_image_keeps_its_own_mask(course):
    root, manifest = course
    plan = plan_masks(manifest, root, "both", seed=0)
    own = manifest.set_index("path")["mask"]
    for _, row in plan[plan["class"] != "normal"].iterrows():
        assert row["mask"] == own[row["path"]]


def test_normal_tissue_borrows_tumor_masks_all_equally_often(course):
    root, manifest = course
    plan = plan_masks(manifest, root, "both", seed=0)
    lent = plan[plan["class"] == "normal"]["mask"]
    assert len(lent) == 3
    assert lent.str.startswith(f"{TUMOR}/").all()
    assert not lent.duplicated().any()  # three masks for three images


def test_more_borrowers_than_lenders_share(tmp_path):
    root = draw_course(tmp_path, train=1, val=2, subsets=(), masked=5, cam16=5)
    for number in (3, 4, 5):
        (root / TUMOR / f"tumor_{number:04}.jpg").unlink()
    manifest = make_manifest(root, **OPTIONS)
    lent = plan_masks(manifest, root, "both", seed=0).query("`class` == 'normal'")["mask"].value_counts()
    assert sorted(lent) == [2, 3]


def test_a_normal_image_with_a_mask_of_its_own_keeps_it(course, tmp_path):
    root = draw_course(tmp_path, train=1, val=2, subsets=(), masked=2, cam16=2)
    save(square_mask(), root / NORMAL / "normal_0001.jpg")
    plan = plan_masks(make_manifest(root, **OPTIONS), root, "both", seed=0)
    masks = plan[plan["class"] == "normal"].set_index("path")["mask"]
    assert [mask.split("/")[-2] for mask in masks] == ["normal", "tumor"]


def test_without_tumor_masks_there_is_nothing_to_borrow(tmp_path):
    root = draw_course(tmp_path, train=1, val=2, subsets=(), masked=1)
    (root / TUMOR / "tumor_0001.jpg").unlink()
    plan = plan_masks(make_manifest(root, **OPTIONS), root, "both", seed=0)
    assert set(plan["set"]) == {"wbc"}


def test_the_seed_decides_who_borrows_what(course):
    root, manifest = course
    plans = [plan_masks(manifest, root, "both", seed=seed) for seed in (0, 0, 1, 2, 3)]
    pd.testing.assert_frame_equal(plans[0], plans[1])
    assert any(not plans[0].equals(plan) for plan in plans[2:])


def test_copies_are_the_images_with_their_masks_applied(course, tmp_path):
    root, manifest = course
    plan = plan_masks(manifest, root, "both", seed=0)
    copies = write_masked(plan, root, tmp_path, FILL)
    assert list(copies.columns) == list(COLUMNS)
    assert len(copies) == len(plan)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")} == set(copies["path"])
    sizes = set()
    for (_, copy), (_, planned) in zip(copies.iterrows(), plan.iterrows(), strict=True):
        image, mask = read_rgb(root / planned["path"]), read_mask(root / planned["mask"], MaskRule())
        if planned["class"] == "normal":  # a borrowed mask takes the image's size
            sizes.add(mask.shape)
            mask = np.asarray(Image.fromarray(mask).resize(image.size, Image.Resampling.NEAREST))
        written = np.asarray(Image.open(tmp_path / copy["path"]))
        np.testing.assert_array_equal(written[mask], np.asarray(image)[mask])
        assert (written[~mask] == FILL).all()
        assert mask.any()
        assert not mask.all()
    assert sizes == {(16, 16), (32, 64)}


def test_copies_name_their_source_and_take_the_masks_subset(course, tmp_path):
    root, manifest = course
    copies = write_masked(plan_masks(manifest, root, "both", seed=0), root, tmp_path, FILL)
    originals = manifest.set_index("path")
    assert not copies["source"].duplicated().any()
    for _, copy in copies.iterrows():
        original = originals.loc[copy["source"]]
        assert (copy["set"], copy["part"], copy["class"]) == (original["set"], "train", original["class"])
        assert copy["subset"] == original["mask_subset"]
        assert (copy["mask"], copy["mask_subset"]) == ("", 0)
        assert copy["sha256"] != original["sha256"]
        assert Image.open(tmp_path / copy["path"]).size == (copy["width"], copy["height"])


def test_a_mask_may_come_in_a_later_subset_than_its_image(tmp_path):
    root = draw_course(tmp_path / "course", train=4, val=2)
    image = "train/mask/Monocyte/monocyte_0001.jpg"
    for subset in (1, 10):
        (root / f"WBC_{subset}" / image).unlink()
    manifest = make_manifest(root, **OPTIONS)
    copies = write_masked(plan_masks(manifest, root, "none", seed=0), root, tmp_path / "masked", FILL)
    (copy,) = copies[copies["class"] == "Monocyte"].to_dict("records")
    (original,) = manifest[manifest["path"] == copy["source"]].to_dict("records")
    assert (original["subset"], copy["subset"]) == (1, 50)


def test_the_stage_wrote_what_its_manifest_says(project):
    copies = read_manifest(project / "data/masked/manifest.csv")
    assert set(copies["set"]) == {"wbc", "cam16"}
    assert set(copies["class"]) == {*WBC, "normal", "tumor"}
    for path in copies["path"]:
        assert (np.asarray(Image.open(project / "data/masked" / path)) == 0).all(axis=2).mean() > 0.05
    assert Image.open(project / "plots/masked.png").size > (100, 100)


def test_the_picture_of_examples_is_the_same_every_time(course, tmp_path):
    root, manifest = course
    plan = plan_masks(manifest, root, "both", seed=0)
    copies = write_masked(plan, root, tmp_path / "masked", FILL)
    for name in ("first", "second"):
        masked_examples(tmp_path / f"{name}.png", plan, copies, root, tmp_path / "masked")
    first = (tmp_path / "first.png").read_bytes()
    assert first == (tmp_path / "second.png").read_bytes()
    Image.open(io.BytesIO(first)).verify()


def test_without_any_masks_the_stages_output_is_an_empty_table(course, tmp_path):
    root, manifest = course
    bare = manifest.assign(mask="", mask_subset=0)
    plan = plan_masks(bare, root, "both", seed=0)
    copies = write_masked(plan, root, tmp_path, FILL)
    assert len(copies) == 0
    with atomic_file(tmp_path / "manifest.csv") as temporary:
        copies.to_csv(temporary, index=False)
    assert list(read_manifest(tmp_path / "manifest.csv").columns) == list(COLUMNS)
    masked_examples(tmp_path / "masked.png", plan, copies, root, tmp_path)
    assert (tmp_path / "masked.png").is_file()
