"""Layers that are computed in another way than PyTorch's: the same numbers, gradients and statistics."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from leuko.models import fast
from leuko.models.autoencoder import PrccAutoencoder
from leuko.models.base import WbcNet, conv_block
from leuko.models.fast import FASTER, conv3x3, norm_pool, speed_up
from leuko.models.plus import PrccHead


@pytest.fixture(params=[True, False], ids=["avx2", "others"])
def any_processor(request, monkeypatch):
    """Compute as a processor does that is slow at gradients channels last, at any size, and as others do."""
    monkeypatch.setattr(fast, "SLOW_CHANNELS_LAST", request.param)
    monkeypatch.setattr(fast, "LARGE", 1)


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator, dtype=torch.float64)
    return values.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else values


def stirred(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model in double precision, with some of batch norm's weights below zero."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.double().parameters():
        nn.init.normal_(parameter, generator=generator)
    return model.to(memory_format=torch.channels_last)


def sped_up(model: nn.Module) -> nn.Module:
    model = copy.deepcopy(model)
    speed_up(model)
    return model


def assert_alike(ours: nn.Module, theirs: nn.Module, images: torch.Tensor) -> None:
    """Same outputs, same gradients of the images and of the parameters that are trained, same statistics.

    In training, batch norm takes away what the bias of a convolution before it adds: it has no gradient but rounding.
    """
    results = []
    for model in (ours, theirs):
        at = images.clone().requires_grad_()
        outputs = model(at)
        (outputs * numbers(*outputs.shape, seed=1)).sum().backward()
        results.append((outputs, at.grad))
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        if mine.requires_grad:
            torch.testing.assert_close(mine.grad, other.grad, msg=lambda message, name=name: f"{name}: {message}")
        elif theirs.training:
            assert other.grad.abs().max() < 1e-9
    for mine, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(mine, other)


# Of two images of 3 channels, or of 128 for the head.
NETWORKS = {
    "base": (lambda: WbcNet(5), (3, 32, 32), 8),
    "a block with odd sides": (lambda: nn.Sequential(conv_block(3, 6, pool=True)), (3, 9, 7), 1),
    "a block without pooling": (lambda: nn.Sequential(conv_block(5, 6, pool=False)), (5, 5, 7), 1),
    "autoencoder": (PrccAutoencoder, (3, 16, 16), 3),
    "head": (lambda: PrccHead(5), (128, 32, 32), 4),
}


@pytest.mark.slow
@pytest.mark.usefixtures("any_processor")
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_that_was_sped_up_is_the_same_network(network, training):
    make, shape, n_replaced = NETWORKS[network]
    plain = stirred(make()).train(training)
    fast = sped_up(plain)
    assert sum(type(module) in FASTER.values() for module in fast.modules()) == n_replaced
    assert_alike(fast, plain, numbers(3, *shape))
    assert_alike(fast.eval(), plain.eval(), numbers(3, *shape, seed=2))


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Conv2d(3, 4, 5, padding=1), nn.BatchNorm2d(4), nn.ReLU()),
        (nn.Conv2d(3, 4, 3, padding=1, stride=2), nn.BatchNorm2d(4), nn.ReLU()),
        (nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU()),
        (nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4, momentum=None), nn.ReLU()),
        (nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3)),
        (nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.GELU()),
    ],
)
def test_other_layers_are_left_as_they_are(layers):
    model = nn.Sequential(nn.Sequential(*layers))
    speed_up(model)
    assert type(model[0]) is nn.Sequential


@given(
    n_images=st.integers(1, 4),
    channels=st.integers(1, 5),
    height=st.integers(2, 9),
    width=st.integers(2, 9),
    levels=st.sampled_from([1, 2, 100]),
    last=st.booleans(),
    seed=st.integers(0, 99),
)
def test_pooling_before_the_norm_is_pooling_after_it(n_images, channels, height, width, levels, last, seed):
    norm = stirred(nn.BatchNorm2d(channels), seed)
    # Few levels make many equal values, of which pooling takes one.
    maps = (numbers(n_images, channels, height, width, seed=seed) * levels).round() / levels
    maps = maps.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
    results = []
    for way in (norm_pool, lambda maps, norm: F.max_pool2d(norm(maps), 2)):
        at, own = maps.clone().requires_grad_(), copy.deepcopy(norm)
        outputs = way(at, own)
        (outputs * numbers(*outputs.shape, seed=1)).sum().backward()
        results.append([outputs, at.grad, own.weight.grad, own.bias.grad, own.running_mean, own.running_var])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_the_gradients_are_those_of_differences():
    norm = stirred(nn.BatchNorm2d(3))

    def function(maps: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        own = copy.deepcopy(norm)
        own.weight, own.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())
        return fast._NormPool.apply(maps, weight, bias, own.eps)[0]

    inputs = (numbers(2, 3, 4, 4), numbers(3).abs(), numbers(3, seed=1))
    assert torch.autograd.gradcheck(function, [part.requires_grad_() for part in inputs])


@pytest.mark.usefixtures("any_processor")
@pytest.mark.parametrize("n_in", [1, 3, 4])
@pytest.mark.parametrize("biased", [True, False])
def test_the_convolution_is_pytorchs(n_in, biased):
    images, weight = numbers(2, n_in, 6, 5), numbers(7, n_in, 3, 3, seed=1)
    bias = numbers(7, seed=2) if biased else None
    results = []
    for function in (conv3x3, lambda *given: F.conv2d(*given, padding=1)):
        given_parts = [part.clone().requires_grad_() for part in (images, weight, bias) if part is not None]
        outputs = function(*given_parts)
        outputs.square().sum().backward()
        results.append([outputs, *(part.grad for part in given_parts)])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_half_precision_takes_pytorchs_own_way():
    block = sped_up(nn.Sequential(conv_block(3, 4, pool=True)))[0].train()
    images = torch.rand(2, 3, 8, 8)
    plain, pool = copy.deepcopy(block), nn.MaxPool2d(2)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = block(images)
        expected = F.relu(pool(plain[1](F.conv2d(images, plain[0].weight, padding=1))))
    assert outputs.dtype == torch.bfloat16
    assert torch.equal(outputs, expected)
