"""Reading tables as programs and people leave them: any delimiter, byte order marks, every way of ending a line."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from leuko.core.errors import LeukoError

DELIMITERS = (",", ";", "\t", "|")

Row = dict[str, str]


def read_table(path: Path, header: Sequence[str] | None = None) -> list[Row]:
    """Read a table of text as it stands: `NA` stays `NA`, 007 stays 007; rows that are equal count once.

    Args:
        path: of the table.
        header: the names of its columns, where its first line does not say them.

    Returns:
        A dictionary per row, in the order of the table, with spaces around the values taken off.

    Raises:
        LeukoError: if it is not a table of text in UTF-8, or a row is longer or shorter than the others.
    """
    text = _decoded(path)
    first = text.split("\n", 1)[0]
    try:
        delimiter = max(DELIMITERS, key=lambda sign: len(next(csv.reader([first], delimiter=sign), [])))
        lines = [
            (reader.line_num, line)
            for reader in [csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)]
            for line in reader
            if any(map(str.strip, line))
        ]
    except csv.Error as error:
        raise LeukoError(f"{path}: not a table of text ({error})") from error
    if header is None and lines:
        header = [name.strip() for name in lines.pop(0)[1]]
    if not lines or header is None:
        raise LeukoError(f"{path}: a table without rows")
    if repeated := sorted({name for name in header if list(header).count(name) > 1}):
        raise LeukoError(f"{path}: several columns are called {', '.join(repeated)}; rename all but one")
    odd = [str(number) for number, line in lines if len(line) != len(header)]
    if odd:
        shown = ", ".join(odd[:10]) + ", ..." * (len(odd) > 10)
        raise LeukoError(f"{path}: lines that have not {len(header)} columns as the first: {shown}")
    rows = dict.fromkeys(tuple(value.strip() for value in line) for _, line in lines)
    return [dict(zip(header, row, strict=True)) for row in rows]


def _decoded(path: Path) -> str:
    """The text of a file, with plain line ends and without a byte order mark.

    Raises:
        LeukoError: if it is in no known encoding.
    """
    content = path.read_bytes()
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise LeukoError(f"{path}: not a table in UTF-8; save it as CSV in UTF-8 ({error})") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")
