"""Reading the settings that somebody needs, with all that is wrong with them said at once."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Collection, Hashable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from leuko.core.errors import LeukoError
from leuko.core.params.group import Group

Settings = TypeVar("Settings", bound=Group)

PARAMS = Path("params.yaml")


class _Loader(yaml.SafeLoader):
    """A YAML reader that refuses a key given twice, of which YAML would keep the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Read a mapping."""
        keys = [key.value for key, _ in node.value]
        for number, (key, _) in enumerate(node.value):
            if key.value in keys[:number]:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} is given twice", key.start_mark)
        return super().construct_mapping(node, deep)


_shown = reprlib.Repr()
"""Writes values in error messages; anchors in YAML can make them larger than any memory."""
_shown.maxlevel = 2
_shown.maxstring = _shown.maxother = 100


def load_params(model: type[Settings], path: Path = PARAMS) -> Settings:
    """Read and check settings.

    Args:
        model: the settings that are needed; other keys of the file are left alone, unless it is the model of all.
        path: a YAML file.

    Returns:
        The checked settings.

    Raises:
        LeukoError: if the file cannot be read, or with one line for every unknown, missing or bad key.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except RecursionError as error:
        raise LeukoError(f"{path} cannot be read: its brackets or lists are nested too deeply") from error
    except (OSError, ValueError, yaml.YAMLError) as error:  # dates and integers that Python cannot hold are the second
        raise LeukoError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise LeukoError(f"{path} cannot be used: the file holds no settings by name; presets/ has complete files")
    if not getattr(model, "ALL", False):
        content = {key: value for key, value in content.items() if key in model.model_fields}
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = dict.fromkeys(_explain(problem, model) for problem in error.errors())
        raise LeukoError("\n".join([f"{path} has settings that cannot be used:", *lines])) from error


def named_entry(setting: str, entries: Collection[str], arguments: Sequence[str]) -> str:
    """The entry of a setting for which a stage runs that is there once for every entry.

    Args:
        setting: such as `transfer`.
        entries: the names that it has.
        arguments: of the stage's command line, without its own name.

    Returns:
        The name.

    Raises:
        LeukoError: if there is not just one argument, or it names no entry.
    """
    has = f"{setting} has {', '.join(entries) or 'no entries'}"
    if len(arguments) != 1:
        raise LeukoError(f"name one entry of {setting} on the command line; {has}")
    (name,) = arguments
    if name not in entries:
        raise LeukoError(f"{setting} has no entry {name!r}; {has}")
    return name


def _explain(problem: ErrorDetails, model: type[BaseModel]) -> str:
    """One line for one of pydantic's findings: the key, its value and what is allowed."""
    keys = [str(part) for part in problem["loc"]]
    name = ".".join(keys) or "the file"
    match problem["type"]:
        case "missing":
            return f"  {name}: missing; presets/ has complete files to compare with"
        case "extra_forbidden":
            known = _known_keys(keys[:-1], model)
            near = difflib.get_close_matches(keys[-1], known, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(known)}"
            return f"  {name}: unknown key; {hint}"
        case "value_error" if isinstance(problem["input"], dict):
            return f"  {name}: {problem['ctx']['error']}" if keys else f"  {problem['ctx']['error']}"
        case _:
            message = problem["msg"].removeprefix("Value error, ")
            return f"  {name}: {_shown.repr(problem['input'])} is not allowed; {message[0].lower()}{message[1:]}"


def _known_keys(group: list[str], model: type[BaseModel]) -> list[str]:
    """The keys of a (possibly nested) group of settings."""
    for key in group:
        annotation = model.model_fields[key].annotation if key in model.model_fields else None
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
        else:  # an entry of a mapping, such as `transfer`
            inner = getattr(annotation, "__args__", (None,))[-1]
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                model = inner
    return list(model.model_fields)
