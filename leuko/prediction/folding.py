"""Networks that only predict: batch norm is part of the convolutions, which saves reading and writing large maps."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

FOLDED = (
    (nn.Conv2d, nn.BatchNorm2d, nn.ReLU),
    (nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d),
)
"""The sequences of layers whose batch norm is folded."""


def fold_norms(model: nn.Module) -> None:
    """Fold batch norms into the convolutions before them, in sequences of layers as in `FOLDED`, wherever they are.

    With the stored statistics a batch norm is linear, so the outputs stay as they are up to rounding. ReLU follows max
    pooling then: they may change places, and a quarter of the values is left.

    Args:
        model: the network in evaluation mode, changed in place; it can no longer be trained.
    """
    for name, child in model.named_children():
        layers = list(child) if isinstance(child, nn.Sequential) else []
        if tuple(map(type, layers)) in FOLDED:
            conv, norm, relu, *pool = layers
            assert isinstance(conv, nn.Conv2d)
            assert isinstance(norm, nn.BatchNorm2d)
            setattr(model, name, nn.Sequential(fuse_conv_bn_eval(conv, norm), *pool, relu).eval())
        else:
            fold_norms(child)
