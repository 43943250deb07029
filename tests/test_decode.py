"""One picture in every way that it can be saved is one and the same; what cannot be read rightly is refused by name."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageCms

from leuko.data.images import UnreadableImageError, probe_image, read_rgb, resize
from leuko.data.scale import from_json, settle
from leuko.models.store import save_model
from leuko.packs.augmentation import Pose
from leuko.packs.reading import read_images, read_preparation
from leuko.packs.writing import write_pack
from leuko.prediction.table import predict_to_table
from tests import encoding, pictures
from tests.course import WBC
from tests.models import draw_classifier
from tests.profiles import cmyk_profile

WAYS = {name: (extension, content) for name, extension, content in pictures.ways()}
DECLARED = dict(pictures.declared())
LOSSY = {name: (extension, content) for name, extension, content in pictures.lossy()}
HALF_HIDDEN = {name: (extension, content) for name, extension, content in pictures.half_hidden()}
HALF_HIDDEN_GREYS = {name: (extension, content) for name, extension, content in pictures.half_hidden_greys()}
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


@pytest.mark.parametrize("name", LOSSY)
def test_what_was_lost_in_saving_is_all_that_differs(tmp_path, name):
    differences = np.abs(read(tmp_path, *LOSSY[name]) - pictures.picture())
    assert differences.mean() < 3.5
    assert differences.max() <= 20


def on_white(colours: np.ndarray) -> np.ndarray:
    """A half hidden picture as it shows."""
    shown = pictures.opacity()[..., None] / 255
    return np.rint(colours * shown + 255 * (1 - shown))


@pytest.mark.parametrize("name", HALF_HIDDEN)
def test_what_is_half_transparent_is_laid_on_white_however_it_was_saved(tmp_path, name):
    assert np.abs(read(tmp_path, *HALF_HIDDEN[name]) - on_white(pictures.picture())).max() <= 2


@pytest.mark.parametrize("name", HALF_HIDDEN_GREYS)
def test_so_is_what_is_grey(tmp_path, name):
    assert np.abs(read(tmp_path, *HALF_HIDDEN_GREYS[name]) - on_white(pictures.picture()[..., 1:2])).max() <= 2


@pytest.mark.parametrize(("kind", "extension"), [("TIFF", ".tif"), ("JPEG", ".jpg")])
def test_inks_are_those_of_their_profile(tmp_path, kind, extension):
    profile = cmyk_profile()
    inks = Image.fromarray(pictures.picture()).convert("CMYK")
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    found = read(tmp_path, extension, encoding.encoded(inks, kind, icc_profile=profile, **options))
    source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    expected = np.asarray(ImageCms.profileToProfile(inks, source, target, outputMode="RGB")).astype(int)
    assert np.abs(found - expected).max() <= 2
    assert np.abs(expected - pictures.picture()).mean() > 10


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (encoding.encoded(Image.fromarray(pictures.picture()), "PPM"), "not an image of a known format"),
        (b"P6 2 2 65535\n" + bytes(24), "not an image of a known format"),
        (encoding.tiff(pictures.picture().astype(np.uint16), photometric="cielab"), "colours of a kind"),
        (encoding.pages(*[(pictures.picture(), {"photometric": "rgb"})] * 2), "2 pages of one size"),
        (encoding.tiff(np.zeros((44, 32, 7), np.uint8), photometric="minisblack", planarconfig="contig"), "7 channels"),
        (encoding.tiff(pictures.picture().astype(np.complex64), photometric="rgb"), "samples of a type"),
    ],
)
def test_what_cannot_be_read_rightly_is_refused_by_name(tmp_path, content, words):
    (tmp_path / "picture.tif").write_bytes(content)
    with pytest.raises(UnreadableImageError, match=words):
        read_rgb(tmp_path / "picture.tif")


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
        predicted = resize(read_rgb(path, from_json(read_preparation(pack)["scales"])), 32)
        assert np.abs(predicted - expected).max() <= 2
    assert number >= 50


def test_it_is_predicted_as_the_same(tmp_path):
    network, config = draw_classifier("wbc")
    save_model(tmp_path / "model.safetensors", network, config)
    files = [tmp_path / f"{number}{extension}" for number, (extension, _) in enumerate(WAYS.values())]
    for path, (_, content) in zip(files, WAYS.values(), strict=True):
        path.write_bytes(content)
    table = tmp_path / "table.csv"
    assert predict_to_table(list(map(str, files)), model=str(tmp_path / "model.safetensors"), out=str(table)) == 0
    rows = pd.read_csv(table)
    assert len(set(rows["predicted"])) == 1
    # Two levels of 255 change the probabilities by 3e-4, grey instead of colour by 14e-4.
    assert np.ptp(rows[list(WBC)].to_numpy(), axis=0).max() < 5e-4
