"""One picture in every way that it can be saved is one and the same; what cannot be read rightly is refused by name."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from leuko.data.images import probe_image, read_rgb, resize
from leuko.data.scale import from_json, settle
from leuko.packs.augmentation import Pose
from leuko.packs.reading import read_images, read_scales
from leuko.packs.writing import write_pack
from tests import pictures

WAYS = {name: (extension, content) for name, extension, content in pictures.ways()}
DECLARED = dict(pictures.declared())
GREYS = {name: (extension, content) for name, extension, content in pictures.greys()}


def read(folder, extension, content) -> np.ndarray:
    path = folder / f"picture{extension}"
    path.write_bytes(content)
    probe = probe_image(path)
    assert (probe.height, probe.width) == pictures.SIDES
    return np.asarray(read_rgb(path)).astype(int)


@pytest.mark.parametrize("name", WAYS)
def test_a_picture_is_the_same_however_it_was_saved(tmp_path, name):
    assert np.abs(read(tmp_path, *WAYS[name]) - pictures.picture()).max() <= 2


@pytest.mark.parametrize("name", GREYS)
def test_so_is_a_grey_one(tmp_path, name):
    found = read(tmp_path, *GREYS[name])
    assert np.abs(found - pictures.picture()[..., 1:2]).max() <= 2


@pytest.mark.parametrize("name", DECLARED)
def test_a_scale_that_the_file_declares_is_its_own(tmp_path, name):
    assert np.abs(read(tmp_path, ".tif", DECLARED[name]) - pictures.picture() // 3).max() <= 1


def test_it_gives_the_same_row_of_a_pack_and_the_same_input_of_a_prediction(tmp_path):
    expected = resize(Image.fromarray(pictures.picture()), 32).astype(int)
    for number, (extension, content) in enumerate(WAYS.values()):
        path, pack = tmp_path / f"{number}{extension}", tmp_path / f"{number}"
        path.write_bytes(content)
        pack.mkdir()
        rows = pd.DataFrame({"class": [""], "subset": 0, "path": path.name, "source": "", "group": ""})
        write_pack(pack, rows, [path], [[Pose()]], {"wbc": 32}, "packing", settle([probe_image(path).depth], None))
        assert np.abs(read_images(pack, "wbc")[0] - expected).max() <= 2
        predicted = resize(read_rgb(path, from_json(read_scales(pack))), 32)
        assert np.abs(predicted - expected).max() <= 2
    assert number >= 50
