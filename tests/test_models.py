"""The networks: sizes, shapes, what is frozen, and how they are kept in files."""

import copy
import json
import struct

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from leuko.core.errors import LeukoError
from leuko.models.autoencoder import LATENT_CHANNELS, REDUCTION, PrccAutoencoder
from leuko.models.base import WbcNet, pool_to
from leuko.models.build import build, load_model
from leuko.models.plus import PrccHead, WbcPlusNet
from leuko.models.store import check_config, load_config, load_weights, read_tensors, save_model
from leuko.models.tissue import Cam16Net


def n_trainable(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def stirred(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model with all parameters and buffers changed, batch norm's statistics too, as training would."""
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
            module.num_batches_tracked += 7
    return model


def wbc_plus(seed: int = 0) -> WbcPlusNet:
    torch.manual_seed(seed)
    return WbcPlusNet(PrccAutoencoder().encoder, Cam16Net(freeze=False), 5)


def images(n_images: int, side: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n_images, 3, side, side, generator=torch.Generator().manual_seed(seed))


# Sizes and shapes.


def test_the_published_numbers_of_parameters():
    assert n_trainable(WbcNet(5)) == 175_533
    assert n_trainable(PrccAutoencoder()) == 134_691
    assert n_trainable(wbc_plus()) == 861_552


def test_wbc_at_the_published_size_is_the_published_network():
    net = stirred(WbcNet(5)).eval()
    x = images(2, 256)

    def block(name: str, x: torch.Tensor, *, pool: bool = False) -> torch.Tensor:
        conv, norm = getattr(net, name)[0], getattr(net, name)[1]
        x = F.conv2d(x, conv.weight, conv.bias, padding=1)
        x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)
        x = x.clamp(min=0)
        return F.max_pool2d(x, 2) if pool else x

    with torch.no_grad():
        a = block("conv2", block("conv1", x, pool=True), pool=True)
        assert a.shape[1:] == (64, 64, 64)
        b = block("res1", a) + a
        c = a + block("res2", b) + b
        d = block("conv4", block("conv3", c, pool=True), pool=True)
        e = block("res3", d) + d
        f = d + block("res4", e) + e
        assert f.shape[1:] == (16, 16, 16)
        y = F.max_pool2d(F.conv2d(f, net.reduce.weight, net.reduce.bias, padding=1).clamp(min=0), 2).flatten(1)
        assert y.shape[1:] == (512,)
        linears = [layer for layer in net.head if isinstance(layer, nn.Linear)]
        assert [layer.out_features for layer in linears] == [64, 8, 5]
        y = F.linear(y, linears[0].weight, linears[0].bias).clamp(min=0)
        y = F.linear(y, linears[1].weight, linears[1].bias).clamp(min=0)
        expected = F.linear(y, linears[2].weight, linears[2].bias)
        torch.testing.assert_close(net(x), expected)
        assert (net(x)[0] - net(x)[1]).abs().max() > 1e-6


def test_the_prcc_head_at_the_published_size_is_the_published_one():
    head = stirred(PrccHead(5)).eval()
    latents = torch.rand(1, LATENT_CHANNELS, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        x = latents
        for conv, _, norm, *_ in head.blocks:
            x = F.conv2d(x, conv.weight, conv.bias, padding=1).clamp(min=0)
            x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)
            x = F.max_pool2d(x, 2)
        assert x.shape == (1, 32, 4, 4)
        torch.testing.assert_close(head(latents), F.linear(x.flatten(1), head.linear.weight, head.linear.bias))


@pytest.mark.parametrize("side", [32, 48, 64, 96, 128, 256])
def test_wbc_takes_images_of_many_sides(side):
    assert WbcNet(5).eval()(images(2, side)).shape == (2, 5)


@pytest.mark.parametrize("side", [64, 80, 96, 128, 256, 512])
def test_the_prcc_head_takes_latents_of_many_sides(side):
    latents = torch.rand(2, LATENT_CHANNELS, side // REDUCTION, side // REDUCTION)
    assert PrccHead(5).eval()(latents).shape == (2, 5)


@pytest.mark.parametrize(("wbc", "prcc", "cam16"), [(32, 64, 32), (96, 128, 64), (128, 96, 40)])
def test_wbc_plus_takes_images_of_many_sides(wbc, prcc, cam16):
    net = wbc_plus().eval()
    latents, features = net.encode(images(2, prcc), images(2, cam16))
    assert (latents.shape, features.shape) == ((2, 128, prcc // 8, prcc // 8), (2, 5))
    assert latents.dtype == features.dtype == torch.float16
    assert net(images(2, wbc), latents, features).shape == (2, 5)


@pytest.mark.parametrize("side", [64, 128])
def test_the_autoencoder_gives_images_back(side):
    given = images(2, side)
    net = PrccAutoencoder()
    assert net.encoder(given).shape == (2, LATENT_CHANNELS, side // REDUCTION, side // REDUCTION)
    reconstructions = net(given)
    assert reconstructions.shape == given.shape
    assert reconstructions.min() >= 0
    assert reconstructions.max() <= 1


@pytest.mark.parametrize("present", [1, 2, 3, 4, 6, 8, 11, 16, 24])
def test_pooling_to_a_side(present):
    features = torch.rand(2, 3, present, present)
    pooled = pool_to(features, 8)
    assert pooled.shape == (2, 3, 8, 8)
    if present in (8, 16, 24):
        torch.testing.assert_close(pooled, F.max_pool2d(features, present // 8))
    if present < 8:
        assert torch.equal(pooled, F.interpolate(features, size=(8, 8), mode="nearest"))
    torch.testing.assert_close(pooled.amax((2, 3)), features.amax((2, 3)))


def test_cam16_normalises_as_imagenet_weights_require():
    net = Cam16Net(freeze=True).eval()
    seen = []
    net.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    given = images(1, 32)
    features = net.features(given)
    for channel in range(3):
        normal = (given[:, channel] - (0.485, 0.456, 0.406)[channel]) / (0.229, 0.224, 0.225)[channel]
        torch.testing.assert_close(seen[0][:, channel], normal)
    assert features.shape == (1, 5)
    assert ((features > 0) & (features < 1)).all()
    torch.testing.assert_close(net(given), net.head(features))


def test_wbc_plus_adds_three_times_five_values():
    net = stirred(wbc_plus()).eval()
    given, latents, features = images(2, 64), torch.rand(2, 128, 8, 8).half(), torch.rand(2, 5).half()
    with torch.no_grad():
        expected = net.combine(net.prcc_head(latents.float()) + features.float() + net.base(given))
        torch.testing.assert_close(net(given, latents, features), expected)


@pytest.mark.parametrize("n_classes", [2, 3, 8])
def test_wbc_plus_takes_any_number_of_classes(n_classes):
    torch.manual_seed(0)
    net = WbcPlusNet(PrccAutoencoder().encoder, Cam16Net(freeze=True), n_classes).eval()
    logits = net.classify(images(2, 32), images(2, 64), images(2, 32))
    assert logits.shape == (2, n_classes)
    features = net.encode(images(2, 64), images(2, 32))[1].float()
    assert net.cam16_head(features).shape == (2, n_classes)


# What is frozen.


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return copy.deepcopy(module.state_dict())


def assert_same(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> None:
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name]), name


def test_a_frozen_backbone_stays_in_evaluation():
    net = Cam16Net(freeze=True).train()
    norms = [module for module in net.backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training for norm in norms)
    assert net.bottleneck.training
    before = state(net.backbone)
    net(images(4, 32)).sum().backward()
    assert_same(before, net.backbone.state_dict())
    assert all(parameter.grad is None for parameter in net.backbone.parameters())
    assert all(parameter.grad is not None for parameter in net.bottleneck.parameters())


def test_a_backbone_that_is_not_frozen_is_trained():
    net = Cam16Net(freeze=False).train()
    before = state(net.backbone)
    net(images(4, 32)).sum().backward()
    assert all(parameter.grad is not None for parameter in net.backbone.parameters())
    assert not torch.equal(before["bn1.running_mean"], net.backbone.state_dict()["bn1.running_mean"])


def test_wbc_plus_keeps_its_frozen_networks_in_evaluation():
    net = wbc_plus().train()
    assert net.base.training
    assert net.prcc_head.training
    assert not any(module.training for part in (net.encoder, net.cam16) for module in part.modules())
    assert not any(p.requires_grad for part in (net.encoder, net.cam16) for p in part.parameters())
    before = state(net.encoder) | {f"cam16.{name}": tensor for name, tensor in state(net.cam16).items()}
    net.encode(images(4, 64), images(4, 32))
    after = state(net.encoder) | {f"cam16.{name}": tensor for name, tensor in state(net.cam16).items()}
    assert_same(before, after)


def test_wbc_plus_has_no_decoder():
    net = wbc_plus()
    assert not any(isinstance(module, nn.ConvTranspose2d) for module in net.modules())
    assert not any("decoder" in name for name in net.state_dict())
    assert {name.split(".")[0] for name in net.state_dict()} == {"encoder", "cam16", "base", "prcc_head", "combine"}


# Files.

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
