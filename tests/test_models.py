"""The networks: sizes, shapes, what is frozen, and how they are kept in files."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from leuko.models.autoencoder import LATENT_CHANNELS, REDUCTION, PrccAutoencoder
from leuko.models.base import WbcNet, pool_to
from leuko.models.plus import PrccHead, WbcPlusNet
from leuko.models.tissue import Cam16Net
from tests.models import assert_same, state, stirred


def n_trainable(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


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
