"""The device, the threads and the seeds of a training."""

import pytest
import torch
from torch import nn

from leuko.core.errors import LeukoError
from leuko.core.params.compute import Compute
from leuko.training.device import set_up
from tests.conftest import TINY
from tests.trainings import CPU

COMPUTE = Compute(**TINY["compute"])


def test_a_device_that_is_not_there_is_refused():
    missing = "cuda" if not torch.cuda.is_available() else "mps"
    with pytest.raises(LeukoError, match=f"device: {missing} is not available.*cpu"):
        set_up(missing, COMPUTE, 0)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_are_as_many_as_the_settings_say_whatever_the_environment_says(threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    try:
        set_up("cpu", COMPUTE.model_copy(update={"threads": threads}), 0)
        assert torch.get_num_threads() == threads
        set_up("cpu", COMPUTE.model_copy(update={"threads": "auto"}), 0)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(1)


def test_set_up_seeds_initial_weights():
    nets = []
    for seed in (4, 4, 5):
        assert set_up("cpu", COMPUTE, seed) == CPU
        nets.append(nn.Linear(3, 3).weight)
    assert torch.equal(nets[0], nets[1])
    assert not torch.equal(nets[0], nets[2])
