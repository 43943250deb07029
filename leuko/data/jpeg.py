"""Damage that a JPEG decoder passes over: zeros where data should be, which decode to something."""

from __future__ import annotations

from collections.abc import Iterator

ZEROS = bytes(64)
"""More zeros than the data of any picture have one after the other, unless its tables make zeros of flat blocks."""
START_OF_SCAN, TABLES, END = 0xDA, 0xC4, b"\xff\xd9"


def has_hole(content: bytes) -> bool:
    """Whether zeros lie in the part of a JPEG file that holds the pixels, as an interrupted copy leaves them.

    A code of zeros that is not the end of a block would stand for a block full of equal coefficients, which no picture
    has; where it is the end, a flat picture may have long runs of it.

    Args:
        content: of the file.
    """
    flat = True
    for marker, start, end in _segments(content):
        if marker == TABLES:
            flat &= _zeros_end_blocks(content[start:end])
        elif marker == START_OF_SCAN:
            stop = content.find(END, end)
            return not flat and ZEROS in content[end : stop if stop >= 0 else len(content)]
    return False


def _segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """The marked segments up to the first scan: marker, and where the content begins and ends."""
    place = 2
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker, length = content[place + 1], int.from_bytes(content[place + 2 : place + 4])
        if marker == 0xFF:  # padding
            place += 1
            continue
        yield marker, place + 4, place + 2 + length
        place += 2 + length


def _zeros_end_blocks(tables: bytes) -> bool:
    """Whether, in all Huffman tables of a segment that are for coefficients, the code of zeros ends a block."""
    place = 0
    while place + 17 <= len(tables):
        number = sum(tables[place + 1 : place + 17])
        symbols = tables[place + 17 : place + 17 + number]
        if tables[place] >> 4 and symbols and symbols[0] & 15:
            return False
        place += 17 + number
    return True
