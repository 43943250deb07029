"""Where the ResNet-18 of the tissue classifier gets its weights: files, torchvision's cache, or an honest refusal."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import ResNet18_Weights, resnet18, resnet34

from leuko.core.errors import LeukoError
from leuko.models.store import save_model
from leuko.models.tissue import Cam16Net, load_backbone
from tests.models import assert_same, state, stirred
from tests.test_model_files import Trap


@pytest.fixture(scope="module")
def whole() -> dict[str, torch.Tensor]:
    """The tensors of a ResNet-18 with its last layer; tests leave them as they are."""
    return stirred(resnet18(), seed=5).state_dict()


def backbone() -> nn.Module:
    torch.manual_seed(6)
    return Cam16Net(freeze=True).backbone


def without(tensors: dict[str, torch.Tensor], part: str) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in tensors.items() if part not in name}


@pytest.mark.parametrize("kind", ["pth", "pth, legacy", "safetensors"])
@pytest.mark.parametrize("leave_out", ["fc.", "nothing"])
def test_a_file_of_a_resnet18_is_loaded_with_or_without_its_last_layer(tmp_path, whole, kind, leave_out):
    tensors = without(whole, leave_out)
    assert len(tensors) == 122 - 2 * (leave_out == "fc.")
    path = tmp_path / f"resnet.{kind.split(',')[0]}"
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization="legacy" not in kind)
    net = backbone()
    load_backbone(net, str(path))
    assert_same(without(whole, "fc."), net.state_dict())


def test_files_that_do_not_count_batches_are_loaded_as_torchvisions_own(tmp_path, whole):
    # torchvision's file is of this kind: parameters, not plain tensors, and no batch norm counts its batches.
    tensors = without(whole, "num_batches_tracked")
    assert len(tensors) == 102
    torch.save(
        {name: nn.Parameter(t) if "running" not in name else t for name, t in tensors.items()}, tmp_path / "r.pth"
    )
    net = backbone()
    load_backbone(net, str(tmp_path / "r.pth"))
    assert_same(without(tensors, "fc."), without(net.state_dict(), "num_batches_tracked"))


def test_none_leaves_the_weights_as_they_were():
    net = backbone()
    before = state(net)
    load_backbone(net, "none")
    assert_same(before, net.state_dict())


@pytest.mark.parametrize(
    ("spoil", "n_wrong", "name"),
    [
        (lambda tensors: without(tensors, "layer4.1.conv2"), 1, "layer4.1.conv2.weight"),
        (lambda tensors: without(tensors, "running_mean"), 20, "bn1.running_mean"),
        (lambda tensors: tensors | {"conv1.weight": torch.zeros(64, 1, 7, 7)}, 1, "conv1.weight"),
        (lambda tensors: tensors | {"attention": torch.zeros(2)}, 1, "attention"),
        (lambda tensors: {}, 100, "bn1.bias"),
    ],
)
def test_tensors_of_another_network_are_refused(tmp_path, whole, spoil, n_wrong, name):
    torch.save(spoil(dict(whole)), tmp_path / "resnet.pth")
    net = backbone()
    before = state(net)
    with pytest.raises(LeukoError, match=rf"resnet\.pth does not hold a ResNet-18: {n_wrong} tensor.*{name}"):
        load_backbone(net, str(tmp_path / "resnet.pth"))
    assert_same(before, net.state_dict())


def prefixed(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    ("wrap", "place"),
    [
        (lambda tensors: {"state_dict": tensors, "epoch": 3}, "state_dict"),
        (lambda tensors: {"model": tensors, "optimizer": {"state": {}, "lr": 0.1}}, "model"),
        (lambda tensors: prefixed(tensors, "module."), "module"),
        (lambda tensors: prefixed(tensors, "_orig_mod."), "_orig_mod"),
        (lambda tensors: {"state_dict": prefixed(tensors, "module.backbone.")}, "state_dict.module.backbone"),
        (
            lambda tensors: {
                "student": prefixed({name: tensor + 1 for name, tensor in tensors.items()}, "module.backbone."),
                "teacher": prefixed(tensors, "backbone."),
            },
            "teacher.backbone",
        ),
    ],
)
def test_weights_are_taken_out_of_what_trainings_wrap_them_in(tmp_path, whole, capsys, wrap, place):
    torch.save(wrap(dict(whole)), tmp_path / "resnet.pth")
    net = backbone()
    load_backbone(net, str(tmp_path / "resnet.pth"))
    assert_same(without(whole, "fc."), net.state_dict())
    assert f"the tensors under {place} are used" in capsys.readouterr().out


def test_the_projects_own_tissue_classifier_is_such_a_file(tmp_path, capsys):
    trained = stirred(Cam16Net(freeze=False), seed=7)
    save_model(tmp_path / "cam16.safetensors", trained, {"network": "cam16"})
    net = backbone()
    load_backbone(net, str(tmp_path / "cam16.safetensors"))
    assert_same(trained.backbone.state_dict(), net.state_dict())
    assert "others are left out" in capsys.readouterr().out


def test_a_larger_network_of_the_same_names_is_refused_wrapped_too(tmp_path):
    torch.save({"state_dict": resnet34().state_dict()}, tmp_path / "resnet.pth")
    with pytest.raises(LeukoError, match="does not hold a ResNet-18"):
        load_backbone(backbone(), str(tmp_path / "resnet.pth"))


def test_two_networks_in_one_file_are_refused(tmp_path, whole):
    torch.save({"a": dict(whole), "b": dict(whole)}, tmp_path / "resnet.pth")
    with pytest.raises(LeukoError, match=r"several times, under a, b; keep one"):
        load_backbone(backbone(), str(tmp_path / "resnet.pth"))


@pytest.mark.parametrize("name", ["missing.pth", "missing.safetensors", "imagnet"])
def test_a_file_that_is_not_there_is_refused_by_its_name(tmp_path, name):
    with pytest.raises(LeukoError, match=name):
        load_backbone(backbone(), str(tmp_path / name))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty folder for torchvision's downloads, and no way to the network."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        for spelt in (name, name.upper()):
            monkeypatch.setenv(spelt, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY", "TORCH_MODEL_ZOO"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub/checkpoints"
    folder.mkdir(parents=True)
    return folder


IMAGENET_FILE = ResNet18_Weights.DEFAULT.url.split("/")[-1]


def assert_names_three_ways_out(error: LeukoError, cache) -> None:
    message = str(error)
    assert message.startswith("cam16.weights: imagenet")
    assert ResNet18_Weights.DEFAULT.url in message
    assert str(cache / IMAGENET_FILE) in message
    assert "set cam16.weights to the path" in message
    assert "cam16.weights to none" in message
    assert [line.strip()[:2] for line in message.splitlines()[-3:]] == ["1.", "2.", "3."]


def test_imagenet_without_network_and_cache_names_three_ways_out(cache):
    net = backbone()
    before = state(net)
    with pytest.raises(LeukoError) as caught:
        load_backbone(net, "imagenet")
    assert_names_three_ways_out(caught.value, cache)
    assert_same(before, net.state_dict())
    assert list(cache.iterdir()) == []


def test_imagenet_is_loaded_from_the_cache_without_network(cache, whole):
    tensors = without(whole, "num_batches_tracked")
    torch.save(tensors, cache / IMAGENET_FILE)
    net = backbone()
    load_backbone(net, "imagenet")
    assert_same(without(tensors, "fc."), without(net.state_dict(), "num_batches_tracked"))


def test_a_damaged_file_in_the_cache_is_refused_with_the_same_advice(cache, whole):
    torch.save(whole, cache / IMAGENET_FILE)
    content = (cache / IMAGENET_FILE).read_bytes()
    for damaged in (b"", b"<html>not found</html>", content[: len(content) // 2]):
        (cache / IMAGENET_FILE).write_bytes(damaged)
        with pytest.raises(LeukoError) as caught:
            load_backbone(backbone(), "imagenet")
        assert_names_three_ways_out(caught.value, cache)


def test_nothing_in_the_cache_is_executed(cache, tmp_path):
    torch.save({"conv1.weight": Trap(tmp_path / "sprung")}, cache / IMAGENET_FILE)
    with pytest.raises(LeukoError) as caught:
        load_backbone(backbone(), "imagenet")
    assert "weights_only" not in str(caught.value)
    assert not (tmp_path / "sprung").exists()
