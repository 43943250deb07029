"""Networks as a CPU trains them fastest. The numbers are those of PyTorch's own layers, up to rounding."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.grad import conv2d_weight

Context = Any  # PyTorch's own types of it lack what is saved in it

SLOW_CHANNELS_LAST = torch.backends.cpu.get_cpu_capability() == "AVX2"
"""With AVX2 alone, oneDNN takes two to three times as long for the weights' gradient of large maps that are stored
channels last as for those that are not; for all else channels last is faster."""
LARGE = 64
"""From this side on, in pixels, storing the maps in another way for the gradient costs less than it saves."""


def conv3x3(images: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve, with a margin of one pixel.

    Args:
        images: shape (image, n_in, height, width).
        weight: shape (n_out, n_in, 3, 3).
        bias: shape (n_out,).

    Returns:
        Shape (image, n_out, height, width).
    """
    trained = torch.is_grad_enabled() and weight.requires_grad
    if trained and SLOW_CHANNELS_LAST and _in_full_precision(images, weight) and images.shape[-1] >= LARGE:
        result: Tensor = _LargeConvolution.apply(images, weight)
        return result if bias is None else result + bias[:, None, None]
    return F.conv2d(images, weight, bias, padding=1)


def norm_pool(maps: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    """Batch norm, then 2 x 2 max pooling.

    Batch norm keeps the order of a channel's values, or turns it round where its weight is negative. So in training
    on a CPU the maps are pooled first, which leaves a quarter to be normalised.

    Args:
        maps: shape (image, channel, height, width).
        norm: the batch norm; in training its statistics move.

    Returns:
        Shape (image, channel, height / 2, width / 2).
    """
    if type(norm) is not nn.BatchNorm2d or not norm.training or not _in_full_precision(maps, norm.weight):
        return F.max_pool2d(norm(maps), 2)
    weight: Tensor = norm.weight
    signs = torch.where(weight < 0, -1.0, 1.0).to(weight.dtype)
    if (signs < 0).any():
        maps, weight = maps * signs[:, None, None], weight * signs
    pooled, mean, var = _NormPool.apply(maps, weight, norm.bias, norm.eps)
    with torch.no_grad():
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.num_batches_tracked is not None
        assert norm.momentum is not None
        n_values = maps.numel() // maps.shape[1]
        norm.num_batches_tracked += 1
        norm.running_mean.lerp_(mean * signs, norm.momentum)
        norm.running_var.lerp_(var * (n_values / (n_values - 1)), norm.momentum)
    normalised: Tensor = pooled
    return normalised


class ConvNormReLU(nn.Sequential):
    """Convolution 3 x 3, batch norm, ReLU and, if there, 2 x 2 max pooling.

    ReLU and max pooling may change places, as neither changes the order of values: the outputs and gradients are the
    same, and ReLU after pooling has a quarter of the work. In training the convolution's bias is left out, as batch
    norm subtracts whatever it adds; it only shows in batch norm's running mean.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Images of shape (image, n_in, height, width) to n_out channels, of the same or of half the sides."""
        conv, norm, relu, *pool = self
        if not self.training:
            maps = norm(conv(images))
            result: Tensor = relu(pool[0](maps) if pool else maps)
            return result
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        assert conv.bias is not None
        assert norm.running_mean is not None
        assert norm.momentum is not None
        maps = conv3x3(images, conv.weight)
        normalised = norm_pool(maps, norm) if pool else norm(maps)
        # Not by way of autograd, for which batch norm keeps the mean, though in training its gradient needs none.
        norm.running_mean.data.add_(conv.bias.data, alpha=norm.momentum)
        return F.relu(normalised, inplace=True)


class ConvReLUPool(nn.Sequential):
    """Convolution 3 x 3, ReLU and 2 x 2 max pooling.

    The bias and ReLU follow the pooling: neither changes the order of values, and there is a quarter left of them.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Images of shape (image, n_in, height, width) to (image, n_out, height / 2, width / 2)."""
        conv, relu, pool = self
        assert isinstance(conv, nn.Conv2d)
        assert conv.bias is not None
        result: Tensor = relu(pool(conv3x3(images, conv.weight)) + conv.bias[:, None, None])
        return result


class ConvReLUNorm(nn.Sequential):
    """Convolution 3 x 3, ReLU, batch norm and, if there, 2 x 2 max pooling."""

    def forward(self, images: Tensor) -> Tensor:
        """Images of shape (image, n_in, height, width) to n_out channels, of the same or of half the sides."""
        conv, relu, norm, *pool = self
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        maps = relu(conv3x3(images, conv.weight, conv.bias))
        result: Tensor = norm_pool(maps, norm) if pool else norm(maps)
        return result


FASTER: dict[tuple[type[nn.Module], ...], type[nn.Sequential]] = {
    (nn.Conv2d, nn.BatchNorm2d, nn.ReLU): ConvNormReLU,
    (nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d): ConvNormReLU,
    (nn.Conv2d, nn.ReLU, nn.MaxPool2d): ConvReLUPool,
    (nn.Conv2d, nn.ReLU, nn.BatchNorm2d): ConvReLUNorm,
    (nn.Conv2d, nn.ReLU, nn.BatchNorm2d, nn.MaxPool2d): ConvReLUNorm,
}
"""What computes a sequence of layers faster."""


def speed_up(model: nn.Module) -> None:
    """Replace what a CPU computes slowly in a network: sequences of layers in `FASTER`, wherever they are in it.

    Outputs, gradients and statistics stay as they are up to rounding, and so do the names of the parameters. The bias
    of a convolution before a batch norm, which has no effect, is no longer trained.

    Args:
        model: the network, changed in place.
    """
    for name, child in model.named_children():
        layers = list(child) if type(child) is nn.Sequential else []
        faster = FASTER.get(tuple(map(type, layers)))
        if faster and all(map(_is_usual, layers)):
            setattr(model, name, faster(*layers).train(child.training))
            if faster is ConvNormReLU:
                layers[0].bias.requires_grad_(False)
        else:
            speed_up(child)


def _is_usual(layer: nn.Module) -> bool:
    """Whether a layer is as the faster ones take it to be."""
    match layer:
        case nn.Conv2d():
            shape = (layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.groups, layer.padding_mode)
            return shape == ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros") and layer.bias is not None
        case nn.BatchNorm2d():
            return layer.affine and layer.track_running_stats and layer.momentum is not None
        case nn.MaxPool2d():
            return (layer.kernel_size, layer.stride, layer.padding, layer.dilation) == (2, 2, 0, 1)
        case _:
            return True


def _in_full_precision(maps: Tensor, weight: Tensor) -> bool:
    """Whether this is a CPU that computes as the weights are, not in half precision."""
    return maps.device.type == "cpu" and maps.dtype == weight.dtype and not torch.is_autocast_enabled("cpu")


class _LargeConvolution(torch.autograd.Function):
    """A convolution 3 x 3 whose weights' gradient is not computed channels last."""

    @staticmethod
    def forward(ctx: Context, images: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(images, weight)
        return F.conv2d(images, weight, padding=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, grad: Tensor) -> tuple[Tensor | None, Tensor]:
        images, weight = ctx.saved_tensors
        of_images = F.conv_transpose2d(grad, weight, padding=1) if ctx.needs_input_grad[0] else None
        if images.shape[1] <= 3:  # a product of matrices, as what oneDNN has for so few channels takes twice the time
            patches = F.unfold(images, 3, padding=1)
            products = patches @ grad.permute(0, 2, 3, 1).flatten(1, 2)
            return of_images, products.sum(0).T.reshape(weight.shape)
        return of_images, conv2d_weight(images.contiguous(), weight.shape, grad.contiguous(), padding=1)


class _NormPool(torch.autograd.Function):
    """Max pooling and batch norm whose weights are not negative; also gives the maps' means and variances.

    With x the maps, N the values of a channel, m and s their mean and standard deviation, w the weight, g the gradient
    of the outputs and p the pooled maps, the gradient of x is -w / (s N) (sum g + (x - m) / s sum (g (p - m) / s)),
    plus w / s g where x was the largest of its four.
    """

    @staticmethod
    def forward(ctx: Context, maps: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        maps = maps.contiguous(memory_format=torch.channels_last)
        mean, var = torch.batch_norm_update_stats(maps, None, None, 0.0)
        scale = torch.rsqrt(var + eps)
        pooled, places = F.max_pool2d(maps, 2, return_indices=True)
        ctx.save_for_backward(maps, pooled, places, weight, mean, scale)
        ctx.mark_non_differentiable(mean, var)
        slope = weight * scale
        return torch.addcmul((bias - mean * slope)[:, None, None], pooled, slope[:, None, None]), mean, var

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, grad: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        maps, pooled, places, weight, mean, scale = ctx.saved_tensors
        of_bias = grad.sum((0, 2, 3))
        of_weight = ((grad * pooled).sum((0, 2, 3)) - mean * of_bias) * scale
        slope, n_values = weight * scale, maps.numel() // maps.shape[1]
        factor = -slope * scale * of_weight / n_values
        offset = -slope * of_bias / n_values - factor * mean
        of_maps = torch.empty_like(maps)
        torch.addcmul(offset[:, None, None], maps, factor[:, None, None], out=of_maps)
        chosen, at = (part.permute(0, 2, 3, 1).flatten(1, 2) for part in (grad * slope[:, None, None], places))
        of_maps.permute(0, 2, 3, 1).flatten(1, 2).scatter_add_(1, at, chosen)
        return of_maps, of_weight, of_bias, None
