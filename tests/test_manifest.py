"""How the images are divided: parts, subsets, and what decides them."""

import random

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from leuko.core.classes import SUBSETS
from leuko.core.errors import LeukoError
from leuko.core.files import write_table
from leuko.data.images import read_rgb
from leuko.data.manifest import COLUMNS, read_manifest
from tests.conftest import run_stage, tiny_settings, write_settings
from tests.course import (
    CAM16,
    WBC,
    content,
    draw_course,
    make_manifest,
    noise,
    plan_course,
    save,
    square_mask,
    write_course,
)

OPTIONS = tiny_settings()["ingest"]

# Published: images of each class in the training subsets, and in the val folder.
PUBLISHED = {
    "Basophil": (176, 88, 17, 1),
    "Eosinophil": (618, 309, 61, 6),
    "Lymphocyte": (2015, 1007, 201, 20),
    "Monocyte": (466, 233, 46, 4),
    "Neutrophil": (5172, 2586, 517, 51),
}
PUBLISHED_VAL = {"Basophil": 36, "Eosinophil": 126, "Lymphocyte": 412, "Monocyte": 95, "Neutrophil": 1059}

by_class = st.fixed_dictionaries({label: st.integers(2, 30) for label in WBC})


def wbc_train(manifest: pd.DataFrame) -> pd.DataFrame:
    return manifest[(manifest["set"] == "wbc") & (manifest["part"] == "train")]


def wbc_held_out(manifest: pd.DataFrame) -> pd.DataFrame:
    return manifest[(manifest["set"] == "wbc") & (manifest["part"] != "train")]


def test_the_subsets_of_the_folders_are_kept(tmp_path):
    root = draw_course(tmp_path, train=21, masked=3)
    rows = wbc_train(make_manifest(root, **OPTIONS))
    for subset in SUBSETS:
        for kind, column in (("data", "subset"), ("mask", "mask_subset")):
            folder = root / f"WBC_{subset}/train/{kind}"
            there = {path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg")}
            chosen = rows[rows[column].between(1, subset)]["path"]
            assert {path.removeprefix("WBC_100/train/data/") for path in chosen} == there
    assert set(rows["subset"]) == {1, 10, 50, 100}


@settings(max_examples=10)
@given(train=by_class, seed=st.integers(0, 5))
def test_without_folders_stratified_nested_subsets_are_drawn(tmp_path_factory, train, seed):
    root = draw_course(tmp_path_factory.mktemp("course"), train=train, val=2, subsets=(), masked=3, alike=True)
    rows = wbc_train(make_manifest(root, **OPTIONS | {"subset_seed": seed}))
    assert rows["subset"].isin(SUBSETS).all()
    for label, count in train.items():
        members = rows[rows["class"] == label]
        for subset in SUBSETS:
            # Nested: whatever is in a subset is in every larger one.
            assert (members["subset"] <= subset).sum() == max(1, count * subset // 100)
        masked = members[members["mask"] != ""]
        assert len(masked) == min(3, count)
        assert (masked["mask_subset"] == masked["subset"]).all()
        assert (members[members["mask"] == ""]["mask_subset"] == 0).all()


@pytest.mark.slow
def test_subsets_drawn_of_the_published_counts_have_the_published_sizes(tmp_path):
    train = {label: counts[0] for label, counts in PUBLISHED.items()}
    root = draw_course(tmp_path, train=train, val=PUBLISHED_VAL, subsets=(), masked=0, alike=True)
    manifest = make_manifest(root, **OPTIONS)
    rows = wbc_train(manifest)
    drawn = {
        label: tuple(((rows["class"] == label) & (rows["subset"] <= s)).sum() for s in SUBSETS[::-1]) for label in WBC
    }
    assert drawn == PUBLISHED
    assert [sum(counts) for counts in zip(*drawn.values(), strict=True)] == [8447, 4223, 842, 82]
    held_out = wbc_held_out(manifest).groupby(["part", "class"]).size()
    for label, count in PUBLISHED_VAL.items():
        assert held_out["val", label] == round(0.3 * count)
        assert held_out["test", label] == count - round(0.3 * count)


@settings(max_examples=15)
@given(val=by_class, fraction=st.floats(0.01, 0.99), seed=st.integers(0, 2**32 - 1))
def test_every_class_is_in_val_and_test_by_its_share(tmp_path_factory, val, fraction, seed):
    root = draw_course(tmp_path_factory.mktemp("course"), train=1, val=val, subsets=(), alike=True)
    options = OPTIONS | {"val_fraction": fraction, "seed": seed}
    held_out = wbc_held_out(make_manifest(root, **options))
    assert not held_out["path"].duplicated().any()
    for label, count in val.items():
        parts = held_out[held_out["class"] == label]["part"].value_counts()
        assert parts.sum() == count
        assert parts["val"] >= 1
        assert parts["test"] >= 1
        assert abs(parts["val"] - fraction * count) <= 1


def test_a_test_folder_becomes_the_test_set_and_val_stays_whole(tmp_path):
    held_out = wbc_held_out(make_manifest(draw_course(tmp_path, val=6, test=3), **OPTIONS))
    assert {(part, path.split("/")[0]) for part, path in zip(held_out["part"], held_out["path"], strict=True)} == {
        ("val", "WBC_100"),
        ("test", "WBC_test"),
    }
    assert held_out.groupby(["part", "class"]).size().to_dict() == {
        (part, label): count for part, count in (("val", 6), ("test", 3)) for label in WBC
    }


def test_an_empty_test_folder_is_refused(tmp_path):
    root = draw_course(tmp_path)
    (root / "WBC_test/data").mkdir(parents=True)
    with pytest.raises(LeukoError, match=r"Folders without an image.*\n +WBC_test/data"):
        make_manifest(root, **OPTIONS)


def test_some_subset_folders_without_the_others_are_refused_unless_subsets_are_drawn(tmp_path):
    root = draw_course(tmp_path, subsets=[50])
    with pytest.raises(LeukoError, match=r"(?s)Subset folders missing.*WBC_1\n.*WBC_10"):
        make_manifest(root, **OPTIONS)
    train = make_manifest(root, **OPTIONS | {"subsets": "drawn"}).query("set == 'wbc' and part == 'train'")
    assert (train["subset"] == 1).any()


def test_a_test_folder_may_lack_classes(tmp_path):
    files = plan_course(test=2)
    files = {path: part for path, part in files.items() if not path.startswith("WBC_test/data/Basophil")}
    held_out = wbc_held_out(make_manifest(write_course(tmp_path, files), **OPTIONS))
    assert set(held_out[held_out["part"] == "test"]["class"]) == set(WBC[1:])


@settings(max_examples=15)
@given(
    n_images=st.integers(3, 60),
    val=st.floats(0.01, 0.99),
    test=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32 - 1),
)
def test_prcc_is_divided_into_three_parts_none_empty(tmp_path_factory, n_images, val, test, seed):
    root = draw_course(tmp_path_factory.mktemp("course"), train=1, val=2, subsets=(), prcc=n_images, alike=True)
    options = OPTIONS | {"prcc_val_fraction": val, "prcc_test_fraction": test, "seed": seed}
    manifest = make_manifest(root, **options)
    rows = manifest[manifest["set"] == "prcc"]
    parts = rows["part"].value_counts()
    assert len(rows) == rows["path"].nunique() == n_images
    assert set(parts.index) == {"train", "val", "test"}
    if val + test < 0.9 and n_images > 10:
        assert abs(parts["val"] - val * n_images) <= 1
        assert abs(parts["test"] - test * n_images) <= 1


def test_the_manifest_has_a_row_for_every_image_and_knows_it(tmp_path):
    root = draw_course(tmp_path, train=3, val=3, test=1)
    manifest = make_manifest(root, **OPTIONS)
    assert list(manifest.columns) == list(COLUMNS)
    assert not manifest["path"].duplicated().any()
    assert set(manifest["set"]) == {"wbc", "cam16", "prcc"}
    assert set(manifest["part"]) == {"train", "val", "test"}
    assert set(manifest[manifest["set"] == "cam16"]["class"]) == set(CAM16)
    assert set(manifest[manifest["set"] == "prcc"]["class"]) == {""}
    assert (manifest["source"] == "").all()
    for _, row in manifest.iterrows():
        assert read_rgb(root / row["path"]).size == (row["width"], row["height"])
        assert row["mask"] == "" or (root / row["mask"]).is_file()
        assert row["set"] == "wbc" or (row["subset"], row["mask_subset"]) == (0, 0)


def test_no_image_is_in_two_parts(project):
    manifest = read_manifest(project / "data/manifest.csv")
    assert len(manifest) >= 30
    assert not manifest["path"].duplicated().any()
    parts_of_content = manifest[["sha256", "part"]].drop_duplicates()
    assert not parts_of_content["sha256"].duplicated().any()


def test_settings_and_names_decide_the_bytes_not_the_order_of_the_files(tmp_path):
    files = plan_course(train=20, val=12, prcc=20, subsets=())
    shuffled = list(files.items())
    random.Random(0).shuffle(shuffled)
    first, second = write_course(tmp_path / "first", files), write_course(tmp_path / "second", dict(shuffled))
    written = []
    for number, root in enumerate((first, first, second)):
        write_table(tmp_path / f"{number}.csv", make_manifest(root, **OPTIONS))
        written.append((tmp_path / f"{number}.csv").read_bytes())
    assert written[0] == written[1] == written[2]


def test_the_seed_decides_the_division_and_the_subsets_have_one_of_their_own(tmp_path):
    root = draw_course(tmp_path, train=20, val=12, prcc=20, subsets=())
    plain, divided, drawn = (
        make_manifest(root, **OPTIONS | {"seed": seed, "subset_seed": subset_seed})
        for seed, subset_seed in ((0, 0), (1, 0), (0, 1))
    )
    assert list(plain["path"]) == list(divided["path"]) == list(drawn["path"])
    assert list(plain["subset"]) != list(drawn["subset"])
    assert list(plain["part"]) == list(drawn["part"])
    for name in ("wbc", "prcc"):
        chosen = plain["set"] == name
        assert list(plain[chosen]["part"]) != list(divided[chosen]["part"])


def test_subsets_can_be_drawn_although_there_are_folders(tmp_path):
    files = plan_course(train=20, masked=0)
    bare = {path: part for path, part in files.items() if not path.startswith(("WBC_1/", "WBC_10/", "WBC_50/"))}
    with_folders, without = write_course(tmp_path / "with", files), write_course(tmp_path / "without", bare)
    drawn = make_manifest(with_folders, **OPTIONS | {"subsets": "drawn"})
    pd.testing.assert_frame_equal(drawn, make_manifest(without, **OPTIONS))
    assert list(drawn["subset"]) != list(make_manifest(with_folders, **OPTIONS)["subset"])


def test_a_manifest_comes_back_from_its_file_as_it_was(tmp_path):
    manifest = make_manifest(draw_course(tmp_path / "course", train=3), **OPTIONS)
    write_table(tmp_path / "manifest.csv", manifest)
    pd.testing.assert_frame_equal(read_manifest(tmp_path / "manifest.csv"), manifest)


def test_odd_images_pass_through_the_data_stages(tmp_path):
    files = plan_course(train=6, val=3, masked=0)
    root = write_course(tmp_path / "course", files)
    folder = root / "WBC_100/train/data/Monocyte"
    image = noise(0, 40, 24)
    turned = Image.Exif()
    turned[0x0112] = 6
    save(image.convert("L"), folder / "odd_l.png")
    save(image.quantize(8), folder / "odd_p.png")
    save(image.convert("RGBA"), folder / "odd_rgba.png")
    save(image.convert("1"), folder / "odd_1.png")
    save(image.convert("CMYK"), folder / "odd_cmyk.jpg")
    save(Image.new("I;16", (40, 24), 30000), folder / "odd_16.png")
    save(image, folder / "odd_turned.jpg", exif=turned)
    mask = root / "WBC_100/train/mask/Monocyte"
    save(square_mask(40, 24), mask / "odd_l.jpg", quality=60)
    save(square_mask(40, 24).convert("RGB"), mask / "odd_p.jpg")
    save(square_mask(40, 24).convert("1"), mask / "odd_rgba.png")
    save(square_mask(24, 40), mask / "odd_turned.png")
    write_settings(tmp_path, data_root="course")
    for stage in ("ingest", "prepare_masks", "augment"):
        run_stage(stage, tmp_path)

    manifest = read_manifest(tmp_path / "data/manifest.csv").set_index("path")
    odd = manifest[manifest.index.str.contains("odd_")]
    assert len(odd) == 7
    upright = odd["width"].eq(40) & odd["height"].eq(24)
    assert list(odd[~upright].index) == ["WBC_100/train/data/Monocyte/odd_turned.jpg"]
    masked = read_manifest(tmp_path / "data/masked/manifest.csv")
    assert sorted(masked["source"].str.split("/").str[-1]) == [
        "odd_l.png",
        "odd_p.png",
        "odd_rgba.png",
        "odd_turned.jpg",
    ]
    rows = pd.read_csv(tmp_path / "data/packs/wbc/train/rows.csv")
    assert rows["source"].str.contains("odd_").sum() == 7 + 4


def test_subset_copies_are_compared_by_their_bytes(tmp_path):
    files = plan_course(train=4)
    same = "WBC_50/train/data/Basophil/basophil_0001.jpg"
    assert files[same] == files[same.replace("_50", "_100")]
    make_manifest(write_course(tmp_path, files), **OPTIONS)
    (tmp_path / same).write_bytes(content(noise(99)))
    with pytest.raises(Exception, match=f"differ from WBC_100's.*\n    {same}"):
        make_manifest(tmp_path, **OPTIONS)
