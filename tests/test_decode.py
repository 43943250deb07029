"""One picture in every way that it can be saved is one and the same; what cannot be read rightly is refused by name."""

import numpy as np
import pytest

from leuko.data.images import probe_image, read_rgb
from tests import pictures

WAYS = {name: (extension, content) for name, extension, content in pictures.ways()}
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
