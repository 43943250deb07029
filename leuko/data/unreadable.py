"""Files that cannot be used as images, and what they seem to be instead."""

from __future__ import annotations

import re

CONTENTS: tuple[tuple[bytes, str], ...] = (
    (rb"version https://git-lfs", "a pointer of Git LFS, not the image; type git lfs pull"),
    (rb"(/annex/objects/|\.git/annex)", "a pointer of git-annex, not the image; type git annex get"),
    (rb"\s*(<!doctype html|<html)", "a web page, as a failed download leaves it; download it again"),
    (rb"....ftyp(hei|hev|mif|msf)", "a HEIC image; convert it to PNG"),
    (rb"....ftypavi", "an AVIF image; convert it to PNG"),
    (rb"....jP  |\xff\x4f\xff\x51", "a JPEG 2000 image; convert it to PNG"),
    (rb"\xff\x0a|....JXL ", "a JPEG XL image; convert it to PNG"),
    (rb".{128}DICM", "a DICOM file; export it as PNG"),
    (rb"8BPS", "a Photoshop file; export it as PNG"),
    (rb"\s*(<\?xml[^>]*>\s*)?<svg", "a drawing (SVG); export it as PNG"),
    (rb"%PDF", "a PDF file; export its image as PNG"),
    (rb"PK\x03\x04|Rar!|7z\xbc\xaf|\x1f\x8b", "an archive; unpack it"),
    (
        rb"bplist00|<\?xml[^>]*>\s*<!DOCTYPE plist",
        "what iCloud leaves in place of a file that is not downloaded",
    ),
    (rb"\x89HDF", "an HDF5 file; export its images as PNG"),
)
"""How other files begin that end up among images."""


MAX_PIXELS = 50_000_000
"""Larger images are refused: whole slides and decompression bombs need cutting into regions first."""


INSTALL = "pip install imagecodecs"
"""What lets the rarer compressions and depths be read."""


class UnreadableImageError(Exception):
    """An image file that cannot be used; the message says why, in a few words."""


def check_size(width: int, height: int) -> None:
    """Refuse what is too large to be decoded.

    Raises:
        UnreadableImageError: if it is.
    """
    if width * height > MAX_PIXELS:
        raise UnreadableImageError(f"{width} x {height} pixels are too many; the limit is {MAX_PIXELS:,}")


def foreign(content: bytes) -> str:
    """What a file is that is no image of a known format, if it begins like one of the usual ones; else empty.

    Args:
        content: of the file.
    """
    if not any(content[:4096]):
        return "nothing but zeros, as an interrupted copy leaves it; copy it again"
    return next((words for start, words in CONTENTS if re.match(start, content[:256], re.IGNORECASE | re.DOTALL)), "")
