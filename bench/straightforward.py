"""The same networks as most would write them, and as the published study trained them, to measure against.

PyTorch's defaults throughout; images are opened with Pillow in every epoch; frozen networks run live, in train mode,
and the unused decoder with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision.models import resnet18


class Photographs(Dataset[tuple[list[Tensor], int]]):
    """Image files at one or several sizes, decoded and resized whenever asked for.

    Args:
        files: the images.
        sizes: sides in pixels.
        n_classes: labels are drawn in turn from so many.
    """

    def __init__(self, files: Sequence[Path], sizes: Sequence[int], n_classes: int) -> None:
        self.files, self.sizes, self.n_classes = files, sizes, n_classes

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[list[Tensor], int]:
        image = Image.open(self.files[index]).convert("RGB")
        return [_to_tensor(image.resize((side, side))) for side in self.sizes], index % self.n_classes


def _to_tensor(image: Image.Image) -> Tensor:
    """As torchvision's ToTensor does it."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)


def _block(n_in: int, n_out: int, *, pool: bool) -> nn.Sequential:
    layers = [nn.Conv2d(n_in, n_out, 3, padding=1), nn.BatchNorm2d(n_out), nn.ReLU()]
    return nn.Sequential(*layers, *([nn.MaxPool2d(2)] if pool else []))


class Base(nn.Module):
    """The base network at 256 x 256."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = _block(3, 64, pool=True), _block(64, 64, pool=True)
        self.res1, self.res2 = _block(64, 64, pool=False), _block(64, 64, pool=False)
        self.conv3, self.conv4 = _block(64, 32, pool=True), _block(32, 16, pool=True)
        self.res3, self.res4 = _block(16, 16, pool=False), _block(16, 16, pool=False)
        self.classify = nn.Sequential(
            nn.Conv2d(16, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveMaxPool2d(8), nn.Flatten(),
            nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 5),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """Images to logits."""
        a = self.conv2(self.conv1(images))
        b = self.res1(a) + a
        c = a + self.res2(b) + b
        d = self.conv4(self.conv3(c))
        e = self.res3(d) + d
        logits: Tensor = self.classify(d + self.res4(e) + e)
        return logits


def _resnet18() -> nn.Module:
    """Torchvision's ResNet-18 up to its features."""
    network: nn.Module = resnet18()
    network.fc = nn.Identity()
    return network


def _funnel() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(512, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(),
        nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 5), nn.Sigmoid(),
    )  # fmt: skip


class Tissue(nn.Module):
    """The tissue classifier on a frozen ResNet-18."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = _resnet18().requires_grad_(False)
        self.bottleneck = _funnel()
        self.classify = nn.Linear(5, 2)

    def forward(self, images: Tensor) -> Tensor:
        """Images to logits."""
        logits: Tensor = self.classify(self.bottleneck(self.backbone(images)))
        return logits


class Plus(nn.Module):
    """WBC+ with its frozen networks, the autoencoder whole."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(128, 64, 2, 2), nn.ReLU(), nn.ConvTranspose2d(64, 32, 2, 2), nn.ReLU(),
            nn.ConvTranspose2d(32, 3, 2, 2), nn.Sigmoid(),
        )  # fmt: skip
        self.tissue = nn.Sequential(_resnet18(), _funnel())
        for frozen in (self.encoder, self.decoder, self.tissue):
            frozen.requires_grad_(False)
        layers: list[nn.Module] = []
        for n_in, n_out in ((128, 256), (256, 128), (128, 64), (64, 32)):
            layers += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(n_out), nn.MaxPool2d(2)]
        self.head = nn.Sequential(*layers, nn.AdaptiveMaxPool2d(4), nn.Flatten(), nn.Linear(512, 5))
        self.base = Base()
        self.combine = nn.Linear(5, 5)

    def forward(self, images: Tensor, for_encoder: Tensor, for_tissue: Tensor) -> Tensor:
        """Images at three sizes to logits."""
        latents = self.encoder(for_encoder)
        self.decoder(latents)
        logits: Tensor = self.combine(self.head(latents) + self.tissue(for_tissue) + self.base(images))
        return logits


class Trainer:
    """The published recipe: Adam, one cycle, gradients clipped by value.

    Args:
        model: the network.
        n_steps: of the schedule.
    """

    def __init__(self, model: nn.Module, n_steps: int) -> None:
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.model = model.train()
        self.optimizer = torch.optim.Adam(trained, lr=0.01, weight_decay=1e-4)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, 0.01, total_steps=n_steps)

    def step(self, inputs: Sequence[Tensor], labels: Tensor) -> None:
        """Train on one batch, and read its loss as a progress bar would."""
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(*inputs), labels)
        loss.backward()
        nn.utils.clip_grad_value_(self.model.parameters(), 0.1)
        self.optimizer.step()
        self.schedule.step()
        loss.item()
