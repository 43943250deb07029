"""Colour profiles: what a stain looks like depends on them, so all images are brought to sRGB."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

UNUSABLE = "unusable"
"""The name of a profile that is damaged, or of other colours than its image."""
SRGB = ImageCms.createProfile("sRGB")
SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
"""The colour space of a profile that fits an image of each mode."""


@dataclass(frozen=True)
class Profile:
    """What a colour profile means for an image.

    Attributes:
        name: as it calls itself; `unusable` if it cannot be followed.
        transform: from the image's mode to RGB; none where that would change nothing or cannot be done.
    """

    name: str
    transform: ImageCms.ImageCmsTransform | None


@lru_cache(maxsize=256)
def understand(content: bytes, mode: str) -> Profile:
    """Find out what a profile does with an image.

    Args:
        content: of the profile (ICC).
        mode: of the image: L, RGB or CMYK.
    """
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(content))
        if profile.profile.xcolor_space.strip() != SPACES[mode]:
            return Profile(UNUSABLE, None)
        transform = ImageCms.buildTransform(profile, SRGB, mode, "RGB")
        name = " ".join(ImageCms.getProfileDescription(profile).split())[:60] or "without a name"
    except Exception:  # damaged profiles raise many kinds
        return Profile(UNUSABLE, None)
    changes = mode == "CMYK" or _changes(transform, mode)
    return Profile(name, transform if changes else None)


def to_srgb(image: Image.Image, profile: Profile) -> Image.Image:
    """Bring an image to sRGB.

    Args:
        image: of mode L, RGB or CMYK.
        profile: what `understand` made of its profile.

    Returns:
        The same image where the profile changes nothing; else a new one of mode RGB.
    """
    if not profile.transform:
        return image
    changed = ImageCms.applyTransform(image, profile.transform)
    assert changed is not None  # as it would be if the image itself were changed
    return changed


def _changes(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a transform changes colours by more than rounding does."""
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(*[steps] * len(mode)), axis=-1).reshape(1, -1, len(mode))
    image = Image.fromarray(colours[..., 0] if mode == "L" else colours)
    changed = np.asarray(ImageCms.applyTransform(image, transform)).astype(int)
    return bool(np.abs(changed - colours).max() > 1)
