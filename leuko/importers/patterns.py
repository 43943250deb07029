"""Patterns of paths: `{part}/{class}/*` says what the folders mean, `{stem}_mask.png` what an image's mask is called.

A field stands for as few characters of one folder's or file's name as fit. `*` is any of those, `**/` any folders.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from leuko.core.errors import LeukoError

_TOKEN = re.compile(r"\{folder\}/|\{(\w*)\}|\*\*/|\.\*$|\*|[^{*.]+|.", re.DOTALL)


def compile_pattern(pattern: str, option: str, allowed: Collection[str]) -> re.Pattern[str]:
    """Turn a pattern into a regular expression for a whole path.

    Args:
        pattern: with `/` between folders; a field that comes twice must stand for the same both times.
        option: of the command line, for the message.
        allowed: the fields that it may have.

    Returns:
        A regular expression whose named parts are the fields; letters may be of any case.

    Raises:
        LeukoError: if the pattern has other fields or leaves the source.
    """
    if pattern.startswith("/") or ".." in pattern.split("/"):
        raise LeukoError(f"{option} {pattern}: a pattern stays below the source; give a folder above it as SOURCE")
    expression, seen = "", set()
    for token in _TOKEN.finditer(pattern):
        text, name = token.group(), token.group(1)
        if text == "{folder}/":
            name = "folder"
        if name is not None and name not in allowed:
            raise LeukoError(f"{option} {pattern}: {text} is no field; there are {', '.join(sorted(allowed))}")
        if name is not None and name in seen:
            expression += f"(?P={name})" + "/" * text.endswith("/")
        elif text == "{folder}/":
            expression += "(?:(?P<folder>.+)/)?"
        elif name is not None:
            expression += f"(?P<{name}>[^/]+?)"
        else:
            wild = {"**/": "(?:.+/)?", "*": "[^/]*", ".*": r"\.[^./]+"}
            expression += wild.get(text, re.escape(text))
        seen.add(name)
    return re.compile(expression, re.IGNORECASE)


def describe_path(path: Path) -> dict[str, str]:
    """The fields that any path has: `folder`, empty at the top, and `stem`."""
    return {"folder": "" if path.parent == Path() else path.parent.as_posix(), "stem": path.stem}
