"""ResNet-18 (He et al. 2016) up to its 512 features, with the names of tensors that files of its weights have.

Written out here since importing torchvision for it takes two seconds, in each of five stages.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

N_RESNET_FEATURES = 512
IMAGENET_WEIGHTS = "https://download.pytorch.org/models/resnet18-f37072fd.pth"


class _Block(nn.Module):
    """Two convolutions 3 x 3 beside a shortcut, which is a convolution 1 x 1 where the shape changes."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.downsample: nn.Module = nn.Identity()
        if n_in != n_out:
            self.downsample = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, features: Tensor) -> Tensor:
        """Features of shape (image, n_in, height, width) to (image, n_out, height / stride, width / stride)."""
        inner = F.relu(self.bn1(self.conv1(features)), inplace=True)
        return F.relu(self.bn2(self.conv2(inner)) + self.downsample(features), inplace=True)


class ResNet18(nn.Module):
    """A ResNet-18 without its last layer, initialised as He et al. 2015 do: from images to 512 features."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(_Block(64, 64, 1), _Block(64, 64, 1))
        self.layer2 = nn.Sequential(_Block(64, 128, 2), _Block(128, 128, 1))
        self.layer3 = nn.Sequential(_Block(128, 256, 2), _Block(256, 256, 1))
        self.layer4 = nn.Sequential(_Block(256, 512, 2), _Block(512, N_RESNET_FEATURES, 1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images of shape (image, 3, side, side) to (image, 512)."""
        stem = F.max_pool2d(F.relu(self.bn1(self.conv1(images)), inplace=True), 3, stride=2, padding=1)
        features: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(stem))))
        return features.mean((2, 3))
