"""The base classifier of white blood cells: a small residual network, 175,533 parameters for five classes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leuko.models.classifier import Classifier


def pool_to(features: Tensor, side: int) -> Tensor:
    """Bring square feature maps to a given side, so that the layers behind fit images of any size.

    At the published input sizes this is the published 2 x 2 max pooling. Smaller maps are enlarged by repetition.

    Args:
        features: shape (image, channel, height, width).
        side: the wanted height and width.

    Returns:
        Shape (image, channel, side, side).
    """
    present = features.shape[-1]
    if present % side == 0:
        return F.max_pool2d(features, present // side) if present > side else features
    if present < side:
        # Repetition as a product with zeros and ones, since PyTorch's compiler fails on the gradient of its own.
        repeats = (torch.arange(side)[:, None] * present // side == torch.arange(present)).to(features)
        return repeats @ features @ repeats.T
    return F.adaptive_max_pool2d(features, side)


def conv_block(n_in: int, n_out: int, *, pool: bool) -> nn.Sequential:
    """Convolution 3 x 3, batch norm, ReLU and, if wanted, 2 x 2 max pooling.

    Args:
        n_in: channels of the images.
        n_out: channels of the result.
        pool: whether the sides are halved.
    """
    layers = [nn.Conv2d(n_in, n_out, 3, padding=1), nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, *([nn.MaxPool2d(2)] if pool else []))


class WbcNet(Classifier):
    """The base network. Four pooling blocks with two residual pairs, then 512 features to the classes' logits.

    Args:
        n_classes: the number of logits.
    """

    inputs = ("wbc",)

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.conv1 = conv_block(3, 64, pool=True)
        self.conv2 = conv_block(64, 64, pool=True)
        self.res1 = conv_block(64, 64, pool=False)
        self.res2 = conv_block(64, 64, pool=False)
        self.conv3 = conv_block(64, 32, pool=True)
        self.conv4 = conv_block(32, 16, pool=True)
        self.res3 = conv_block(16, 16, pool=False)
        self.res4 = conv_block(16, 16, pool=False)
        self.reduce = nn.Conv2d(16, 8, 3, padding=1)
        self.head = nn.Sequential(nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, n_classes))

    def forward(self, images: Tensor) -> Tensor:
        """Classify.

        Args:
            images: shape (image, 3, side, side), values 0 to 1; the side a multiple of 16.

        Returns:
            Logits, shape (image, class).
        """
        a = self.conv2(self.conv1(images))
        b = self.res1(a) + a
        c = a + self.res2(b) + b
        d = self.conv4(self.conv3(c))
        e = self.res3(d) + d
        f = d + self.res4(e) + e
        pooled = pool_to(F.relu(self.reduce(f)), 8)
        logits: Tensor = self.head(torch.flatten(pooled, 1))
        return logits
