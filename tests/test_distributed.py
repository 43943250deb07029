"""Trainings of several processes: together they do what one process does."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import nn

from leuko.training import distributed
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow


@pytest.fixture
def workspace(project, tmp_path) -> Path:
    """A project after the data stages, with batches that two processes cannot share evenly."""
    folder = tmp_path / "one"
    shutil.copytree(project, folder)
    settings = yaml.safe_load((folder / "params.yaml").read_text())
    for group in ("wbc", "wbc_plus", "prcc", "cam16"):
        settings[group] |= {"batch_size": 7, "lr": 1e-3, "optimizer": "sgd", "schedule": "constant"}
    (folder / "params.yaml").write_text(yaml.safe_dump(settings))
    shutil.copytree(folder, tmp_path / "two")
    return tmp_path


def launch(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True)


TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")


@pytest.mark.parametrize("name", ["wbc", "control"])
def test_two_processes_train_as_one_and_write_once(workspace, name):
    one = launch(workspace / "one", "-m", f"stages.train_{name}")
    two = launch(workspace / "two", *TORCHRUN, "-m", f"stages.train_{name}")
    assert (one.returncode, two.returncode) == (0, 0), two.stderr
    written = [
        {path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and ".resume" not in path.parts}
        for folder in (workspace / "one", workspace / "two")
    ]
    assert written[0] == written[1]
    assert not list((workspace / "two").glob(".resume/*"))

    histories = [pd.read_csv(workspace / folder / f"plots/history/{name}.csv") for folder in ("one", "two")]
    pd.testing.assert_frame_equal(*histories, rtol=1e-3)
    first, second = (load_file(workspace / folder / f"models/{name}.safetensors") for folder in ("one", "two"))
    assert first.keys() == second.keys()
    for key, values in first.items():
        torch.testing.assert_close(
            second[key], values, rtol=1e-3, atol=1e-4, msg=lambda text, key=key: f"{key}: {text}"
        )
    # What the comparison would say if the processes trained alone: each on its share, with other gradients.
    assert any(not torch.equal(first[key], second[key]) for key in first)


BANK = """
import sys
from pathlib import Path
import numpy as np, torch
from leuko.training import distributed
from leuko.training.inputs import FeatureCache, FrozenEncoder, Images, cached

device = distributed.join("cpu")
pixels = np.random.default_rng(0).integers(0, 256, (37, 8, 8, 3), dtype=np.uint8)
n_encoded = 0

def network(images):
    global n_encoded
    n_encoded += len(images)
    return (images * 2).half(), images.mean((1, 2, 3))[:, None]

frozen = FrozenEncoder(network, Images(pixels, np.arange(37), device))
banks = [FeatureCache(frozen, 8), FeatureCache(frozen, 1, Path())]
n_for_banks = n_encoded - 2  # one image was for the shapes, of either
# The first process has no room for it: then neither keeps anything, instead of one waiting for the other.
room = 0 if distributed.is_rank_zero() else 1
live = cached(frozen, n_orientations=1, n_uses=100, cache_gb=room, scratch=Path("missing"))
assert live is frozen
rank = int(distributed.chunk(torch.arange(distributed.world_size())))
torch.save([n_for_banks, *(part for bank in banks for part in bank.outputs)], f"{rank}.pt")
"""


def test_processes_share_the_encoding_and_all_have_the_whole(tmp_path):
    (tmp_path / "bank.py").write_text(BANK)
    (tmp_path / "one").mkdir()
    for folder, command in ((tmp_path / "one", ()), (tmp_path, TORCHRUN)):
        done = launch(folder, *command, str(tmp_path / "bank.py"))
        assert done.returncode == 0, done.stderr
    n_encoded, *expected = torch.load(tmp_path / "one/0.pt")
    assert n_encoded == 304 + 48  # 37 images in eight views and in one, both rounded up to whole chunks of 16
    for rank in range(2):
        n_shared, *kept = torch.load(tmp_path / f"{rank}.pt")
        assert n_shared == 160 + 32
        assert len(kept) == len(expected) == 4
        for part, whole in zip(kept, expected, strict=True):
            assert torch.equal(part, whole)


def test_one_process_is_left_as_it_is():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    distributed.join_batch_norms(net)
    assert type(net[1]) is nn.BatchNorm2d
    assert distributed.world_size() == 1
    assert distributed.is_rank_zero()
    values = torch.arange(5)
    assert torch.equal(distributed.shard(values), values)
    assert torch.equal(distributed.all_reduce(values.clone()), values)
    assert torch.equal(distributed.all_gather(distributed.chunk(values)), values)
    assert [distributed.all_agree(answer, torch.device("cpu")) for answer in (True, False)] == [True, False]
