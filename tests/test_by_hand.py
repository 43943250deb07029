"""What people do by hand ends with one message that says what to type, not with a traceback."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from leuko.core.errors import LeukoError, run
from leuko.data.manifest import read_manifest
from leuko.models.store import load_config
from leuko.packs.reading import read_images, read_preparation, read_rows
from tests.conftest import REPOSITORY, write_settings


def by_hand(folder, *arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", *arguments]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "missing", "command"),
    [
        (["stages.prepare_masks"], "data/manifest.csv", "dvc repro prepare_masks"),
        (["stages.train_wbc_plus"], "models/prcc.safetensors", "dvc repro train_wbc_plus"),
        (["stages.finetune", "scratch"], "models/encoders/scratch.safetensors", "dvc repro finetune@scratch"),
    ],
)
def test_a_stage_without_its_inputs_says_what_to_type(tmp_path, arguments, missing, command):
    write_settings(tmp_path)
    done = by_hand(tmp_path, *arguments)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(missing)
    assert command in line


def test_a_missing_model_says_what_to_type(tmp_path):
    with pytest.raises(LeukoError, match=r"wbc\.safetensors is not there.*type dvc repro"):
        load_config(tmp_path / "wbc.safetensors")


@pytest.mark.parametrize(
    ("file", "keep"),
    [("wbc.npy", 0), ("wbc.npy", 60), ("wbc.npy", 5000), ("rows.csv", 0), ("rows.csv", 700), ("scales.json", 1)],
)
def test_a_truncated_pack_is_named(project, tmp_path, file, keep):
    pack = tmp_path / "pack"
    shutil.copytree(project / "data/packs/wbc/train", pack)
    os.truncate(pack / file, keep)
    with pytest.raises(LeukoError, match=rf"{file} is damaged .*let dvc repro make it anew"):
        (read_rows(pack), read_images(pack, "wbc"), read_preparation(pack))


def test_a_pack_whose_table_and_arrays_differ_is_named(project, tmp_path):
    pack = tmp_path / "pack"
    shutil.copytree(project / "data/packs/wbc/train", pack)
    lines = (pack / "rows.csv").read_text().splitlines(keepends=True)
    (pack / "rows.csv").write_text("".join(lines[:-1]))
    with pytest.raises(LeukoError, match=rf"{len(lines) - 2} rows, but {len(lines) - 1} in"):
        read_rows(pack)


def test_a_damaged_manifest_is_named(tmp_path):
    (tmp_path / "manifest.csv").write_bytes(b"")
    with pytest.raises(LeukoError, match=r"manifest\.csv is damaged"):
        read_manifest(tmp_path / "manifest.csv")


def too_large() -> None:
    np.zeros(2**60, np.uint8)


def too_large_for_torch() -> None:
    raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")


def too_large_for_a_gpu() -> None:
    raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB.")


@pytest.mark.parametrize("stage", [too_large, too_large_for_torch, too_large_for_a_gpu])
def test_what_memory_cannot_hold_is_one_message(stage):
    with pytest.raises(SystemExit, match=r"There is not enough memory.*batch_size.*dvc repro"):
        run(stage)


def test_other_errors_keep_their_traceback():
    def broken() -> None:
        raise RuntimeError("a mistake of ours")

    with pytest.raises(RuntimeError):
        run(broken)
