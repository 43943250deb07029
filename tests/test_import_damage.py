"""Sources, lists and records that are damaged, vanish or are something else: one sentence, and nothing is written."""

import h5py
import numpy as np
import pytest

from leuko.core.errors import LeukoError
from leuko.importers import command
from tests.importing import run_import, tree
from tests.test_importers import draw


def test_lists_and_tables_of_bccd_that_are_none_are_refused(tmp_path):
    _, words = draw("bccd", tmp_path / "source")
    (tmp_path / "types.csv").write_text(f"Image,Category\n{'1' * 5000},NEUTROPHIL\n")
    with pytest.raises(LeukoError, match="no image of kind bccd"):
        run_import(words[0], words[1], "--types", tmp_path / "types.csv", "--out", tmp_path / "out")
    (tmp_path / "source/BCCD/ImageSets/Main/train.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(LeukoError, match=r"train\.txt: not a list of names"):
        run_import(*words, "--out", tmp_path / "out")


def test_an_image_that_vanishes_before_it_is_cut_stops_the_import_and_leaves_nothing(tmp_path, monkeypatch):
    _, words = draw("bccd", tmp_path / "source")

    def vanish(out, placed):
        (tmp_path / "source/BCCD/JPEGImages/BloodImage_00003.jpg").unlink()

    monkeypatch.setattr(command, "check_room", vanish)  # which comes between looking and writing
    with pytest.raises(LeukoError, match=r"BloodImage_00003\.jpg: cannot be opened"):
        run_import(*words, "--out", tmp_path / "out")
    assert list(tmp_path.iterdir()) == [tmp_path / "source"]


def test_damaged_patches_of_pcam_are_said_with_their_file(tmp_path):
    _, words = draw("pcam", tmp_path / "source")
    path = tmp_path / "source/camelyonpatch_level_2_split_test_x.h5"
    patches = np.random.default_rng(0).integers(0, 256, (6, 96, 96, 3), np.uint8)
    with h5py.File(path, "w") as file:
        place = file.create_dataset("x", data=patches, chunks=patches.shape, compression="gzip").id.get_chunk_info(0)
    with path.open("r+b") as content:
        content.seek(place.byte_offset)
        content.write(bytes(place.size))
    with pytest.raises(LeukoError, match=r"test_x\.h5: damaged"):
        run_import(*words, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("import.json", "{}"),
        ("import.json", '{"imports": 1}'),
        ("import.json", "[" * 100_000),
        ("groups.csv", "x,y\n1,2\n"),
        ("import.csv", ""),
        ("groups.csv", "path,group\n\udcff,1\n"),
    ],
)
def test_what_is_no_record_of_imports_is_not_continued(name, content, tmp_path):
    _, words = draw("tiles", tmp_path / "source")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text(content, errors="surrogateescape")
    before = tree(tmp_path / "out")
    with pytest.raises(LeukoError, match=rf"{name}: not "):
        run_import(*words, "--out", tmp_path / "out", "--add")
    assert tree(tmp_path / "out") == before


def test_a_place_that_cannot_be_written_to_is_found_before_any_image_is_read(tmp_path, monkeypatch):
    _, words = draw("tiles", tmp_path / "source")
    (tmp_path / "file").touch()
    (tmp_path / "round").symlink_to("round")
    monkeypatch.setattr(command, "make_plan", None)
    for out, words_of_it in (("file/out", "no folder"), ("file", "a file of that name"), ("round", "of that name")):
        with pytest.raises(LeukoError, match=words_of_it):
            run_import(*words, "--out", tmp_path / out)
    with pytest.raises(LeukoError, match="there is no such file or folder"):
        run_import("tiles", tmp_path / "round", "--out", tmp_path / "out")
