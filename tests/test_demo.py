from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leuko.demo import draw_demo
from leuko.demo.blood import CLASSES

FRACTION = 0.03


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "demo"
    draw_demo(root, seed=1, fraction=FRACTION)
    return root


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_part_and_class_has_images(demo):
    folders = [f"WBC_{share}/train/data/{kind}" for share in (1, 10, 50, 100) for kind in CLASSES]
    folders += [f"WBC_100/val/data/{kind}" for kind in CLASSES]
    folders += [f"WBC_100/train/mask/{kind}" for kind in CLASSES]
    nodes = "CAM16_100cls_10mask"
    folders += [f"{nodes}/{part}/data/{kind}" for part in ("train", "val", "test") for kind in ("normal", "tumor")]
    folders += [f"{nodes}/train/mask/{kind}" for kind in ("normal", "tumor")]
    assert {str(path.parent.relative_to(demo)) for path in demo.rglob("*.jpg")} >= {*folders, "pRCC"}
    assert len(list((demo / "WBC_100/train/data/Neutrophil").iterdir())) == int(150 * FRACTION)
    assert len(list((demo / "pRCC").iterdir())) == 3
    assert "synthetic" in (demo / "README.md").read_text()


def test_image_names_are_unique(demo):
    names = [path.name for path in demo.glob("WBC_100/*/data/*/*.jpg")]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("smaller", "larger"), [(1, 10), (10, 50), (50, 100)])
def test_subsets_are_nested(demo, smaller, larger):
    inner, outer = (files_in(demo / f"WBC_{share}/train") for share in (smaller, larger))
    assert inner.items() <= outer.items()
    data = demo / f"WBC_{smaller}/train/data"
    with_mask = {name for name in outer if name.startswith("mask") and (data / name[5:]).exists()}
    assert with_mask == {name for name in inner if name.startswith("mask")}


@pytest.mark.slow
def test_seed_alone_decides_the_bytes(demo, tmp_path):
    draw_demo(tmp_path / "same", seed=1, fraction=FRACTION)
    draw_demo(tmp_path / "other", seed=2, fraction=FRACTION)
    drawn, same, other = files_in(demo), files_in(tmp_path / "same"), files_in(tmp_path / "other")
    assert same == drawn
    pictures = [name for name in drawn if "data" in name]
    assert all(drawn[name] != other.get(name) for name in pictures)


def test_masks_match_their_images_and_are_nearly_binary(demo):
    masks = list(demo.glob("*/train/mask/*/*.jpg"))
    for path in masks:
        mask, image = (Image.open(p) for p in (path, Path(str(path).replace("/mask/", "/data/"))))
        assert (mask.mode, image.mode) == ("L", "RGB")
        assert mask.size == image.size == (144, 144)
        levels = np.asarray(mask)
        assert ((levels < 40) | (levels > 215)).mean() > 0.98
        assert levels.max() < 10 if path.parent.name == "normal" else 0.05 < (levels > 127).mean() < 0.95


def test_a_folder_with_content_is_refused(tmp_path):
    (tmp_path / "precious.txt").write_text("keep me")
    with pytest.raises(FileExistsError, match="empty"):
        draw_demo(tmp_path, seed=1, fraction=FRACTION)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


@pytest.mark.parametrize("fraction", [0, -0.5, 1.1])
def test_fraction_out_of_range_is_refused(tmp_path, fraction):
    with pytest.raises(ValueError, match="fraction"):
        draw_demo(tmp_path / "demo", seed=1, fraction=fraction)
