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
from leuko.models.fast import ConvBlock, conv3x3, norm_pool
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


def published(block: ConvBlock) -> nn.Sequential:
    """The same layers, one after the other, in the published order."""
    conv, norm, *_ = copy.deepcopy(block)
    return nn.Sequential(conv, norm, nn.ReLU(), *([nn.MaxPool2d(2)] if block.pool else []))


def assert_alike(ours: nn.Module, theirs: nn.Module, images: torch.Tensor, without: str = "") -> None:
    """Same outputs, same gradients of the images and of the parameters but the one named, same statistics."""
    results = []
    for model in (ours, theirs):
        at = images.clone().requires_grad_()
        outputs = model(at)
        (outputs * numbers(*outputs.shape, seed=1)).sum().backward()
        results.append((outputs, at.grad))
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other)
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        if name != without:
            torch.testing.assert_close(mine.grad, other.grad, msg=lambda message, name=name: f"{name}: {message}")
    for mine, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.usefixtures("any_processor")
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("pool", [True, False])
@pytest.mark.parametrize(("n_in", "side"), [(3, 8), (3, 9), (5, 8), (5, 7)])
def test_a_block_is_convolution_norm_relu_and_pooling(n_in, side, pool, training):
    block = stirred(ConvBlock(n_in, 6, pool=pool)).train(training)
    theirs = published(block)
    # In training, batch norm takes away what the convolution's bias adds: it has no gradient but rounding.
    assert_alike(block, theirs, numbers(4, n_in, side, side), without="0.bias" if training else "")
    if training:
        assert block[0].bias.grad is None
        assert theirs[0].bias.grad.abs().max() < 1e-9
    assert_alike(block.eval(), theirs.eval(), numbers(4, n_in, side, side, seed=2), without="0.bias")


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


@pytest.mark.usefixtures("any_processor")
@pytest.mark.parametrize("training", [True, False])
def test_the_encoder_is_convolution_relu_and_pooling(training):
    encoder = stirred(PrccAutoencoder().encoder).train(training)
    theirs = nn.Sequential(*(nn.Sequential(copy.deepcopy(down[0]), nn.ReLU(), nn.MaxPool2d(2)) for down in encoder))
    assert_alike(encoder, theirs, numbers(2, 3, 16, 16))


@pytest.mark.usefixtures("any_processor")
@pytest.mark.parametrize("training", [True, False])
def test_the_head_is_convolution_relu_norm_and_pooling(training):
    head = stirred(PrccHead(5)).train(training)
    blocks = [nn.Sequential(*copy.deepcopy(block), nn.MaxPool2d(2)) for block in head.blocks]
    theirs = nn.Sequential(*blocks, nn.Flatten(), copy.deepcopy(head.linear))
    assert_alike(head, theirs, numbers(2, 128, 64, 64))


def test_half_precision_takes_pytorchs_own_way():
    block = ConvBlock(3, 4, pool=True).train()
    images = torch.rand(2, 3, 8, 8)
    plain, pool = copy.deepcopy(block), nn.MaxPool2d(2)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = block(images)
        expected = F.relu(pool(plain[1](F.conv2d(images, plain[0].weight, padding=1))))
    assert outputs.dtype == torch.bfloat16
    assert torch.equal(outputs, expected)
