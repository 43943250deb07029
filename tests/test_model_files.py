"""Files of models: exact, and refused by name where they are damaged, foreign or hostile."""

import json
import resource
import struct

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from leuko.core.errors import LeukoError
from leuko.models.autoencoder import PrccAutoencoder
from leuko.models.base import WbcNet
from leuko.models.build import build, load_model
from leuko.models.store import check_config, load_config, load_weights, read_tensors, save_model
from tests.models import assert_same, state, stirred

CONFIGS = [
    {"network": "prcc", "size": 64},
    {"network": "cam16", "classes": ["normal", "tumor"], "freeze": False},
    {"network": "cam16", "classes": ["normal", "tumor"], "freeze": True},
    {"network": "wbc", "classes": ["a", "b", "c", "d", "e"], "recipe": {"lr": 0.003}},
    {"network": "wbc_plus", "classes": ["a", "b", "c", "d", "e"]},
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config['network']}-{config.get('freeze', '')}")
def test_saving_and_loading_is_exact(tmp_path, config):
    torch.manual_seed(1)
    model = stirred(build(config)).to(memory_format=torch.channels_last)
    path = tmp_path / "models/model.safetensors"
    save_model(path, model, config)
    loaded, read = load_model(path)
    assert read == config
    assert type(loaded) is type(model)
    assert not loaded.training
    assert_same(model.state_dict(), loaded.state_dict())
    save_model(tmp_path / "again.safetensors", loaded, dict(reversed(config.items())))
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_the_configuration_is_in_the_files_metadata(tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, WbcNet(2), {"network": "wbc", "classes": ("a", "b"), "seed": 3})
    with safe_open(path, framework="pt") as file:
        (content,) = file.metadata().values()
    assert json.loads(content) == {"network": "wbc", "classes": ["a", "b"], "seed": 3}
    assert load_config(path)["seed"] == 3


def test_a_truncated_model_file_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, WbcNet(5), CONFIGS[3])
    whole = path.read_bytes()
    for length in (0, 5, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        for read in (load_model, load_config, read_tensors, lambda path: load_weights(path, WbcNet(5))):
            with pytest.raises(LeukoError, match=r"model\.safetensors"):
                read(path)


def test_a_missing_or_foreign_model_file_is_refused(tmp_path):
    with pytest.raises(LeukoError, match="missing"):
        load_model(tmp_path / "missing.safetensors")
    foreign = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(2)}, foreign)
    with pytest.raises(LeukoError, match="not a model of this project"):
        load_model(foreign)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"network": "vit"},
        {"network": ["wbc"]},
        {"network": "wbc"},
        {"network": "cam16", "classes": 3, "freeze": True},
        {"network": "wbc", "classes": "abcde"},
        {"network": "wbc", "classes": [1, 2]},
        {"network": "wbc", "classes": ["a", "a"]},
        {"network": "wbc", "classes": []},
        {"network": "wbc", "classes": [str(number) for number in range(10**6)]},
        ["wbc"],
    ],
    ids=lambda config: str(config)[:60],
)
def test_a_configuration_that_describes_no_network_is_refused(config):
    with pytest.raises(LeukoError):
        build(config)


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, PrccAutoencoder(), CONFIGS[3])
    with pytest.raises(LeukoError, match="does not fit"):
        load_model(path)


def hostile(header: object, body: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file by its header, and the length that it claims for it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


OURS = {"__metadata__": {"leuko": json.dumps(CONFIGS[3])}}


@pytest.mark.parametrize(
    "content",
    [
        hostile(OURS, length=2**63),
        hostile(OURS, length=90_000_000),
        hostile(b"[" * 100_000),
        hostile(b"\xff\xfe"),
        hostile({"__metadata__": {"leuko": "[" * 100_000}}),
        hostile({"__metadata__": {"leuko": "[1]"}}),
        hostile({"__metadata__": {"leuko": json.dumps({"network": "wbc", "classes": "abcde"})}}),
        hostile({"__metadata__": {"leuko": 3}}),
        hostile({**OURS, "a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}, bytes(4)),
        hostile({**OURS, "a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}}, bytes(4)),
        hostile({**OURS, "a": {"dtype": "F32", "shape": [2**62, 0], "data_offsets": [0, 0]}}),
        hostile(
            {
                **OURS,
                "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                "b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]},
            },
            bytes(12),
        ),
    ],
    ids=lambda content: content[8:70].decode(errors="replace"),
)
def test_a_hostile_model_file_is_refused_by_its_name(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(LeukoError, match=r"model\.safetensors"):
        load_model(path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda tensor: tensor.long(), "another shape or type"),
        (lambda tensor: tensor.to(torch.complex64), "another shape or type"),
        (lambda tensor: tensor[:1], "another shape or type"),
        (lambda tensor: torch.full_like(tensor, float("nan")), "not finite"),
        (lambda tensor: torch.full_like(tensor, float("inf")), "not finite"),
    ],
)
def test_weights_of_another_kind_or_without_end_are_refused(tmp_path, change, reason):
    net = WbcNet(5)
    tensors = state(net) | {"head.0.bias": change(net.head[0].bias.detach())}
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(LeukoError, match=rf"model\.safetensors.*{reason}, the first of them head\.0\.bias"):
        load_weights(tmp_path / "model.safetensors", WbcNet(5))


RIGHT = {"network": "wbc", "classes": ["a"], "split": 10, "seed": 0, "temperature": 1.5}


def test_a_model_that_is_what_it_is_taken_for_passes(tmp_path):
    check_config(tmp_path / "model.safetensors", RIGHT, {"network": "wbc", "split": 10})


@pytest.mark.parametrize("temperature", [None, "1", True, 0.0, -1.0, float("nan"), float("inf"), [1.0]])
def test_a_model_that_is_something_else_is_refused_with_all_that_differs(tmp_path, temperature):
    config = RIGHT | {"split": 50, "temperature": temperature}
    del config["seed"]
    with pytest.raises(LeukoError) as caught:
        check_config(tmp_path / "model.safetensors", config, {"network": "wbc", "split": 10, "seed": 0})
    assert str(tmp_path / "model.safetensors") in str(caught.value)
    assert "split is 50, not 10" in str(caught.value)
    assert "seed is None, not 0" in str(caught.value)
    assert f"temperature is {temperature!r}" in str(caught.value)


class Trap:
    """Unpickling this writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return exec, (f"open({str(self.path)!r}, 'w').close()",)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("wrap", [lambda trap: trap, lambda trap: {"weight": torch.zeros(2), "bias": trap}])
def test_a_file_that_would_execute_code_is_refused_and_not_executed(tmp_path, wrap, legacy):
    path, sprung = tmp_path / "trap.pth", tmp_path / "sprung"
    torch.save(wrap(Trap(sprung)), path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(LeukoError, match=r"trap\.pth cannot be read") as caught:
        read_tensors(path)
    assert "weights_only" not in str(caught.value)
    assert "safe_globals" not in str(caught.value)
    assert not sprung.exists()
    torch.load(path, weights_only=False)
    assert sprung.exists()


@pytest.mark.filterwarnings("ignore")
def test_a_script_is_refused_without_advice_on_executing_it(tmp_path):
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), tmp_path / "script.pth")
    with pytest.raises(LeukoError, match=r"script\.pth cannot be read") as caught:
        read_tensors(tmp_path / "script.pth")
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        [torch.zeros(2)],
        {"weight": 3},
        torch.zeros(2),
        {"state_dict": {}},
        {1: torch.zeros(2)},
        {"weight": torch.zeros(2, device="meta")},
        {"weight": torch.zeros(2).to_sparse()},
    ],
    ids=str,
)
def test_anything_but_tensors_by_name_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(LeukoError, match="something else than tensors"):
        read_tensors(tmp_path / "other.pth")


def test_a_model_that_there_is_no_room_for_is_an_error_of_the_system(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            save_model(tmp_path / "model.safetensors", nn.Linear(100, 100), {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []
