"""Pictures written as files: by Pillow and tifffile, or byte by byte where neither writes what others do."""

import io
import struct
import zlib

import numpy as np
import tifffile
from PIL import Image


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    """A file that Pillow writes."""
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def tiff(values: np.ndarray, **options) -> bytes:
    """A file that tifffile writes."""
    content = io.BytesIO()
    tifffile.imwrite(content, values, **options)
    return content.getvalue()


def pages(*parts: tuple[np.ndarray, dict]) -> bytes:
    """A TIFF of several pages."""
    content = io.BytesIO()
    with tifffile.TiffWriter(content) as file:
        for values, options in parts:
            file.write(values, **options)
    return content.getvalue()


def packed_tiff(values: np.ndarray, bits: int) -> bytes:
    """A TIFF whose samples lie bit by bit one after the other, each row beginning with a byte of its own.

    Args:
        values: shape (height, width) or (height, width, 3).
        bits: of a sample.
    """
    height, width, *samples = values.shape
    n_samples = samples[0] if samples else 1
    rows = (values.reshape(height, -1, 1) >> np.arange(bits - 1, -1, -1)) & 1
    data = np.packbits(rows.reshape(height, -1).astype(np.uint8), axis=1).tobytes()
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 2 if n_samples == 3 else 1, 277: n_samples, 278: height}
    tags |= {273: 0, 279: len(data)}
    entries = sorted(tags.items())
    start = 8 + 2 + 12 * len(entries) + 4
    shared = struct.pack("<3H", *[bits] * 3) if n_samples == 3 else b""
    directory = struct.pack("<H", len(entries))
    for tag, value in entries:
        if tag == 258 and shared:
            directory += struct.pack("<HHII", tag, 3, 3, start)
        else:
            directory += struct.pack("<HHII", tag, 4, 1, start + len(shared) if tag == 273 else value)
    return b"II*\0" + struct.pack("<I", 8) + directory + bytes(4) + shared + data


def with_chunk(png: bytes, name: bytes, data: bytes) -> bytes:
    """A PNG file with one more chunk after its header."""
    chunk = struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return png[:33] + chunk + png[33:]


def in_passes(image: np.ndarray) -> bytes:
    """A PNG of colours whose rows are interlaced (Adam7)."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = [row for y, x, dy, dx in passes for row in image[y::dy, x::dx].astype(image.dtype.newbyteorder(">"))]
    height, width, _ = image.shape
    header = struct.pack(">IIBBBBB", width, height, 8 * image.dtype.itemsize, 2, 0, 0, 1)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    png = b"\x89PNG\r\n\x1a\n" + bytes(25)
    for name, body in ((b"IEND", b""), (b"IDAT", data), (b"IHDR", header)):
        png = with_chunk(png, name, body)
    return png[:8] + png[33:]


def bitmap(rows: np.ndarray, bits: int, masks: tuple[int, ...] = ()) -> bytes:
    """A Windows bitmap.

    Args:
        rows: from the lowest one on, each a multiple of four bytes, shape (height, width) or (height, width, byte).
        bits: of a pixel.
        masks: which of them are red, green and blue, where the file says it.
    """
    height, width = rows.shape[:2]
    start, data = 54 + 4 * len(masks), rows.tobytes()
    header = b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start)
    header += struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 3 if masks else 0, len(data), 0, 0, 0, 0)
    return header + struct.pack(f"<{len(masks)}I", *masks) + data
