"""What every stage relies on: whole files, errors without traceback, work on all cores."""

import errno
import json
import math
import os
import re
import threading
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from leuko.core.errors import LeukoError, run
from leuko.core.files import atomic_file, atomic_folder, write_bytes, write_json, write_table, written_meanwhile
from leuko.core.image_grid import image_grid
from leuko.core.parallel import map_images, n_cores


def test_a_file_appears_whole_and_folders_are_made(tmp_path):
    path = tmp_path / "a/b/file.txt"
    with atomic_file(path) as temporary:
        temporary.write_text("first half, ")
        assert not path.exists()
    assert path.read_text() == "first half, "
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "file.txt"
    write_bytes(path, b"old")
    with pytest.raises(error), atomic_file(path) as temporary:
        temporary.write_text("half of the ne")
        raise error
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_appears_whole_in_place_of_the_old_one(tmp_path):
    path = tmp_path / "a/b"
    for content in ("first", "second"):
        with atomic_folder(path) as temporary:
            assert list(temporary.iterdir()) == []
            (temporary / content).mkdir()
            (temporary / content / "file.txt").write_text(content)
            assert not (path / content).exists()
        assert [file.relative_to(path).as_posix() for file in path.rglob("*.txt")] == [f"{content}/file.txt"]
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_the_old_folder_and_nothing_else(tmp_path, error):
    path = tmp_path / "folder"
    with atomic_folder(path) as temporary:
        (temporary / "old.txt").touch()
    with pytest.raises(error), atomic_folder(path) as temporary:
        (temporary / "new.txt").touch()
        raise error
    assert list(tmp_path.rglob("*")) == [path, path / "old.txt"]


def test_what_a_killed_run_left_half_written_is_no_obstacle(tmp_path):
    for folder in (".folder.temporary", "folder"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "old.txt").touch()
    with atomic_folder(tmp_path / "folder") as temporary:
        (temporary / "new.txt").touch()
    assert list(tmp_path.rglob("*")) == [tmp_path / "folder", tmp_path / "folder/new.txt"]


@pytest.mark.parametrize("whole", [atomic_file, atomic_folder])
def test_a_full_disk_is_reported_with_what_it_had_no_room_for(tmp_path, whole):
    def stage() -> None:
        with whole(tmp_path / "a/file.txt"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as any write on a full disk does

    with pytest.raises(SystemExit) as caught:
        run(stage)
    assert re.fullmatch(r"\n.*file\.txt: No space left on device\. Make room, then .*", str(caught.value.code))


def test_files_reach_the_disk_while_they_are_filled(tmp_path, monkeypatch):
    flushed = threading.Event()
    monkeypatch.setattr("os.fsync", lambda _: flushed.set())
    with (tmp_path / "file").open("wb") as file, written_meanwhile([file]):
        file.write(b"content")
        assert flushed.wait(10)


def test_what_the_disk_did_not_take_meanwhile_is_an_error_at_the_end(tmp_path, monkeypatch):
    tried = threading.Event()

    def full(_: int) -> None:
        tried.set()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with (
        pytest.raises(OSError, match="No space left"),
        (tmp_path / "file").open("wb") as file,
        written_meanwhile([file]),
    ):
        assert tried.wait(10)


def test_a_folders_files_reach_the_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(
        "leuko.core.files._sync_file", lambda path: flushed.append((path.name, (tmp_path / "a").exists()))
    )
    with atomic_folder(tmp_path / "a") as temporary:
        (temporary / "b").mkdir()
        (temporary / "b/c.txt").touch()
        (temporary / "d.txt").touch()
    assert sorted(flushed) == [("c.txt", False), ("d.txt", False)]


def test_a_file_that_must_not_be_read_is_reported_without_traceback():
    def stage() -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "data/packs")

    with pytest.raises(SystemExit, match=r"data/packs: Permission denied\. Let it be read and written"):
        run(stage)


def test_a_new_file_replaces_a_read_only_link_without_touching_what_it_links_to(tmp_path):
    # DVC links outputs to its cache, read-only; writing through such a link would spoil the cache.
    cached, path = tmp_path / "cached", tmp_path / "file.txt"
    cached.write_bytes(b"old")
    cached.chmod(0o444)
    path.hardlink_to(cached)
    write_bytes(path, b"new")
    assert (path.read_bytes(), cached.read_bytes()) == (b"new", b"old")


def test_json_keeps_its_order_and_refuses_what_is_not_json(tmp_path):
    path = tmp_path / "scores.json"
    write_json(path, {"b": 1, "a": [0.1, None]})
    assert path.read_text() == '{\n  "b": 1,\n  "a": [\n    0.1,\n    null\n  ]\n}\n'
    assert list(json.loads(path.read_text())) == ["b", "a"]
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match="JSON"):
            write_json(path, {"loss": bad})
    assert json.loads(path.read_text())["b"] == 1


def test_tables_have_six_digits_and_no_index(tmp_path):
    write_table(tmp_path / "table.csv", pd.DataFrame({"name": ["x, y", ""], "value": [1 / 3, 2.0], "n": [1, 2]}))
    assert (tmp_path / "table.csv").read_bytes() == b'name,value,n\n"x, y",0.333333,1\n,2,2\n'


def test_an_error_that_a_user_can_mend_ends_a_stage_with_its_message_alone(capsys):
    def stage():
        raise LeukoError("data_root: set it")

    with pytest.raises(SystemExit) as caught:
        run(stage)
    assert caught.value.code == "\ndata_root: set it"


def test_other_errors_keep_their_traceback_and_success_is_silent():
    with pytest.raises(ZeroDivisionError):
        run(lambda: 1 / 0)
    assert run(lambda: None) is None


def test_results_come_in_the_order_of_the_items():
    gate = threading.Event()

    def wait_if_first(item: int) -> int:
        if item == 0 and n_cores() > 1:
            gate.wait(10)
        gate.set()
        return item**2

    assert map_images(wait_if_first, range(20), "counting") == [item**2 for item in range(20)]


def test_the_first_error_ends_the_work():
    done = []

    def fail_at_three(item: int) -> None:
        if item == 3:
            raise ValueError("three")
        time.sleep(0.001)
        done.append(item)

    with pytest.raises(ValueError, match="three"):
        map_images(fail_at_three, range(10_000), "counting")
    assert len(done) < 10_000


def test_pictures_are_equal_to_the_byte_and_hold_the_images(tmp_path):
    red, kept = np.full((8, 8, 3), (255, 0, 0), np.uint8), np.eye(8, dtype=bool)
    rows = [("first", [("a", red), ("b", kept)]), ("second", [("c", red)])]
    for name in ("once", "again"):
        image_grid(tmp_path / f"{name}.png", rows)
    assert (tmp_path / "once.png").read_bytes() == (tmp_path / "again.png").read_bytes()
    with Image.open(tmp_path / "once.png") as picture:
        share_red = (np.asarray(picture.convert("RGB")) == (255, 0, 0)).all(axis=2).mean()
    assert 0.2 < share_red < 0.6
