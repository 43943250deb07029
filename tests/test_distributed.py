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
from tests import several_processes
from tests.conftest import REPOSITORY
from tests.trainings import CPU

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


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> dict[int, list[dict]]:
    """What each process of one, and of three, has in the end; three, as two add in the same order in any case."""
    alone, together = (tmp_path_factory.mktemp(name) for name in ("alone", "together"))
    several_processes.main(alone)
    several_processes.together(together, 3)
    return {1: [torch.load(alone / "0.pt")], 3: [torch.load(together / f"{rank}.pt") for rank in range(3)]}


@pytest.mark.parametrize("name", several_processes.tasks())
def test_three_processes_train_as_one_and_go_on_to_the_same_digits(done, name):
    (alone,), together = ([process[name] for process in done[n]] for n in (1, 3))
    expected, _ = alone["states"]
    for process in together:
        weights, of_interrupted = process["states"]
        torch.testing.assert_close(weights, expected, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(of_interrupted, weights, rtol=0, atol=0)
        torch.testing.assert_close(weights, together[0]["states"][0], rtol=0, atol=0)
        for column, values in alone["history"].items():
            assert process["history"][column] == pytest.approx(values, rel=1e-4)


def test_gradients_are_exchanged_once_a_step(done):
    n_steps = 9
    shares = [process["micro-batches"]["exchanges"] for process in done[3]]
    assert shares == [[False, True] * n_steps] * 2 + [[True] * n_steps]  # of three images, three and two
    assert done[1][0]["micro-batches"]["exchanges"] == [False] * 4 * n_steps


def test_processes_share_the_encoding_and_all_have_the_whole(done):
    alone = done[1][0]["bank"]
    assert alone["n_encoded"] == 304 + 48  # 37 images in eight views and in one, both rounded up to chunks of 16
    for process in done[3]:
        assert process["bank"]["n_encoded"] == 112 + 16
        assert len(process["bank"]["outputs"]) == 4
        for part, whole in zip(process["bank"]["outputs"], alone["outputs"], strict=True):
            assert torch.equal(part, whole)


def test_one_process_is_left_as_it_is():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    distributed.join_batch_norms(net, CPU)
    assert distributed.data_parallel(net) is net
    assert type(net[1]) is nn.BatchNorm2d
    assert distributed.world_size() == 1
    assert distributed.is_rank_zero()
    values = torch.arange(5)
    assert torch.equal(distributed.shard(values), values)
    assert torch.equal(distributed.all_reduce(values.clone()), values)
    assert torch.equal(distributed.all_gather(distributed.chunk(values)), values)
    assert [distributed.all_agree(answer, CPU) for answer in (True, False)] == [True, False]


@pytest.mark.parametrize(("device", "kind"), [("cuda", nn.SyncBatchNorm), ("cpu", nn.BatchNorm2d)])
def test_several_processes_join_their_batch_norms(monkeypatch, device, kind):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    expected = net.state_dict()
    distributed.join_batch_norms(net, torch.device(device))
    assert isinstance(net[1], kind)
    assert type(net[1]) is not nn.BatchNorm2d
    torch.testing.assert_close(net.state_dict(), expected, rtol=0, atol=0)
