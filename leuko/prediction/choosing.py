"""Which model is meant: an arm of the comparison by its name, or a file."""

from __future__ import annotations

from pathlib import Path

from leuko.arms import arms
from leuko.core.errors import LeukoError
from leuko.core.params.group import Group, Text
from leuko.core.params.reading import load_params
from leuko.core.params.transfer import Transfer
from leuko.models.store import left_out


class Settings(Group):
    """What the file of settings says of the arms."""

    model: Text
    transfer: Transfer


def choose_model(name: str | None, settings: Path = Path("params.yaml")) -> Path:
    """Find a model file.

    Args:
        name: an arm such as `plus`, whose file lies where the pipeline puts it; the path of a model file; or none for
            the arm that `model` names in the settings or, if that was left out, the first one that was not.
        settings: the file of settings; without it only the arms of the study are known.

    Returns:
        The path of its file.

    Raises:
        LeukoError: if there is none; with those that there are.
    """
    if name and Path(name).is_file():
        return Path(name)
    known = load_params(Settings, settings) if settings.is_file() else None
    every = {arm.key: arm.model for arm in arms(known.transfer if known else {})}
    there = {key: path for key, path in every.items() if path.is_file() and not left_out(path)}
    if name is None:
        wanted = known.model if known else "plus"
        chosen = there.get(wanted, next(iter(there.values()), None))
        if chosen:
            return chosen
    elif name in there:
        return there[name]
    elif Path(name) in every.values():
        return Path(name)  # which says when it is opened that it has not been trained
    if not there:
        raise LeukoError("no model has been trained here: there are none in models/; dvc repro trains them")
    why = f": {left_out(every[str(name)])}" if name in every and every[str(name)].is_file() else ""
    raise LeukoError(f"there is no model {name}{why}. There are {', '.join(there)}, or the path of a model file")
