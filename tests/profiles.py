"""Colour profiles (ICC) made anew, and pictures brought to them."""

import io
import itertools
import struct
from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageCms

D50 = (0.9642, 1.0, 0.8249)
"""The white point that profiles are counted from."""


def rgb_profile(primaries: tuple[tuple[float, float], ...], gamma: float) -> bytes:
    """An RGB colour profile (ICC, version 2) with a white point of D65, made anew from its chromaticities.

    Args:
        primaries: x and y of red, green and blue.
        gamma: of its curves.
    """
    to_d50 = np.array(
        [
            [1.0478112, 0.0228866, -0.0501270],
            [0.0295424, 0.9904844, -0.0170491],
            [-0.0092345, 0.0150436, 0.7521316],
        ]
    )
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    columns *= np.linalg.solve(columns, [0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])
    colours = to_d50 @ columns

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    tags = [
        *(
            (name, b"XYZ \0\0\0\0" + fixed(colours[:, number]))
            for number, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))
        ),
        *((name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")),
    ]
    return profile_of("drawn for a test", tags, b"mntr", b"RGB ", b"XYZ ")


def fixed(values: Iterable[float]) -> bytes:
    """Numbers with sixteen bits after the point."""
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def profile_of(title: str, tags: list[tuple[bytes, bytes]], device: bytes, space: bytes, connection: bytes) -> bytes:
    """A colour profile (ICC, version 2) of some tags beside those that all must have.

    Args:
        title: what it calls itself.
        tags: names and contents.
        device: its class: `mntr` for a display, `prtr` for a printer.
        space: the space of its colours.
        connection: the space that it brings them to.
    """
    name = title.encode() + b"\0"
    tags = [
        (b"desc", b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(78)),
        (b"cprt", b"text\0\0\0\0none\0"),
        (b"wtpt", b"XYZ \0\0\0\0" + fixed(D50)),
        *tags,
    ]
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for tag, data in tags:
        table += tag + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = start + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"none", 0x02400000, device, space, connection)
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += fixed(D50)
    return header + bytes(128 - len(header)) + table + body


def cmyk_profile() -> bytes:
    """A colour profile of four inks that are duller than those that converting without a profile takes for granted."""
    inks = np.array([(40, 150, 200), (200, 50, 130), (240, 220, 60), (50, 45, 45)]) / 255
    amounts = np.array(list(itertools.product((0, 1), repeat=4)))[..., None]
    colours = np.rint(255 * np.prod(1 - amounts * (1 - inks), axis=1)).astype(np.uint8)
    lab = ImageCms.profileToProfile(
        Image.fromarray(colours[None]), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    even = bytes(range(256))
    corners = (np.asarray(lab)[0] ^ np.array([0, 128, 128], np.uint8)).tobytes()  # both axes begin at -128
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + fixed(np.eye(3).ravel()) + 4 * even + corners + 3 * even
    return profile_of("inks drawn for a test", [(b"A2B0", table)], b"prtr", b"CMYK", b"Lab ")


ADOBE_RGB = rgb_profile(((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)), 563 / 256)
DISPLAY_P3 = rgb_profile(((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), 2.2)


def in_profile(image: np.ndarray, profile: bytes) -> np.ndarray:
    """What a picture's numbers are in another profile than sRGB; of colours inside both, the same colours."""
    target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    source = ImageCms.createProfile("sRGB")
    return np.asarray(ImageCms.profileToProfile(Image.fromarray(image), source, target))
