"""The device, the threads and the seeds of a training."""

import pytest
import torch
from torch import nn

from leuko.core.errors import LeukoError
from leuko.core.params.compute import Compute
from leuko.training.device import set_up, takes_bfloat16
from leuko.training.loop import fit
from leuko.training.tasks import Classification
from tests.conftest import TINY
from tests.trainings import CPU, part_of, recipe, small_net

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


@pytest.mark.parametrize(
    ("precision", "processor", "instructions", "expected"),
    [
        ("auto", "native", "avx512_bf16", True),
        ("auto", "native", "amx_bf16", True),
        ("auto", "native", "avx512_f", False),
        ("auto", "portable", "amx_bf16", False),
        ("float32", "native", "amx_bf16", False),
        ("bfloat16", "portable", "avx2", True),
    ],
)
def test_bfloat16_is_taken_where_the_processor_is_made_for_it(
    monkeypatch, capsys, precision, processor, instructions, expected
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {instructions: True})
    compute = Compute(threads="auto", processor=processor, precision=precision, compile=False)
    assert takes_bfloat16(CPU, compute) == expected
    assert takes_bfloat16(torch.device("cuda"), compute) == (precision != "float32")
    parts = part_of([0, 1] * 8), part_of([0, 1] * 5, seed=1)
    task = Classification(small_net(), *parts, compute=compute)
    kinds = set()
    task.model[0].register_forward_hook(lambda *call: kinds.add(call[-1].dtype))
    fit(task, recipe(epochs=1), seed=0, title="test")
    assert kinds == {torch.bfloat16 if expected else torch.float32}
    assert ("trained in bfloat16" in capsys.readouterr().out) == expected
