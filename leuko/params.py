"""The one place where settings are read: `params.yaml`, checked against a typed model.

The model has no defaults on purpose: a setting that is not in `params.yaml` does not exist, so what DVC records
is everything that shaped a run.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from leuko.errors import LeukoError

Fraction = Annotated[float, Field(gt=0, lt=1)]
PositiveInt = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Channel = Annotated[int, Field(ge=0, le=255)]


class Group(BaseModel):
    """A group of settings: frozen, and closed to keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Demo(Group):
    """The synthetic data set; `fraction` scales how many images are drawn."""

    seed: Seed
    fraction: Annotated[float, Field(gt=0, le=1)]


class Ingest(Group):
    """How the images are divided; `seed` is apart from the trainings' so that all of them share one test set.

    The WBC subsets of 1, 10 and 50 % are those of the data root's `folders`, if it has any; otherwise, or if `subsets`
    is `drawn`, they are drawn. Another `subset_seed` draws others and changes nothing else.
    """

    seed: Seed
    val_fraction: Fraction
    prcc_val_fraction: Fraction
    prcc_test_fraction: Fraction
    min_side: PositiveInt
    subsets: Literal["folders", "drawn"]
    subset_seed: Seed


class PrepareMasks(Group):
    """Masked copies: the background's RGB colour, and which CAM16 classes get them."""

    fill: tuple[Channel, Channel, Channel]
    cam16: Literal["both", "tumor", "none"]
    seed: Seed


class Augment(Group):
    """Image sides in pixels, and the copies made of the pre-training images."""

    wbc_size: Annotated[int, Field(ge=32, le=1024, multiple_of=16)]
    prcc_size: Annotated[int, Field(ge=64, le=2048, multiple_of=16)]
    cam16_size: Annotated[int, Field(ge=32, le=1024, multiple_of=8)]
    rotation: Annotated[float, Field(ge=0, le=180)]
    balance: bool
    balance_rotation: Annotated[float, Field(ge=0, le=180)]
    seed: Seed


class Recipe(Group):
    """How one network is trained."""

    epochs: PositiveInt
    min_steps: Annotated[int, Field(ge=0)]
    batch_size: PositiveInt
    optimizer: Literal["adam", "adamw", "sgd"]
    lr: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    schedule: Literal["onecycle", "cosine", "constant"]
    clip: Literal["none", "value", "norm"]
    clip_at: Annotated[float, Field(gt=0)]


class Prcc(Recipe):
    """The autoencoder."""

    seed: Seed


class Cam16(Recipe):
    """The tissue classifier; `weights` is `imagenet`, `none` or a file's path."""

    weights: Annotated[str, Field(min_length=1)]
    freeze: bool
    seed: Seed


class Wbc(Recipe):
    """The base classifier; `augment: d4` turns and mirrors its training images on the fly."""

    augment: Literal["none", "d4"]


class WbcPlus(Wbc):
    """The classifier with the frozen pre-trained networks; `bank_gb` is memory for their outputs, else in a file."""

    bank_gb: Annotated[float, Field(ge=0)]


class Evaluate(Group):
    """The comparison; `examples` is how many images each figure shows."""

    examples: PositiveInt


class Report(Group):
    """The report; without `pictures` it holds no image of data, so that it can go where the images may not."""

    pictures: bool


class Params(Group):
    """All settings, as `params.yaml` holds them."""

    data_root: Annotated[str, Field(min_length=1)]
    launcher: Annotated[str, Field(min_length=1)]
    device: Literal["auto", "cpu", "cuda", "mps"]
    split: Literal[1, 10, 50, 100]
    model: Literal["base", "control", "plus"]
    seed: Seed
    demo: Demo
    ingest: Ingest
    prepare_masks: PrepareMasks
    augment: Augment
    prcc: Prcc
    cam16: Cam16
    wbc: Wbc
    wbc_plus: WbcPlus
    evaluate: Evaluate
    report: Report


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check the settings.

    Args:
        path: a YAML file.

    Returns:
        The checked settings.

    Raises:
        LeukoError: if the file cannot be read, or with one line for every unknown, missing or bad key.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise LeukoError(f"{path} cannot be read: {error}") from error
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        lines = [_explain(problem) for problem in error.errors()]
        raise LeukoError("\n".join([f"{path} has settings that cannot be used:", *lines])) from error


def _explain(problem: Any) -> str:  # noqa: ANN401  (pydantic's ErrorDetails, whose context is untyped)
    """One line for one of pydantic's findings: the key, its value and what is allowed."""
    keys = [str(part) for part in problem["loc"]]
    name = ".".join(keys) or "the file"
    match problem["type"]:
        case "missing":
            return f"  {name}: missing; presets/ has complete files to compare with"
        case "extra_forbidden":
            known = _known_keys(keys[:-1])
            near = difflib.get_close_matches(keys[-1], known, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(known)}"
            return f"  {name}: unknown key; {hint}"
        case _:
            return f"  {name}: {problem['input']!r} is not allowed; {problem['msg'][0].lower()}{problem['msg'][1:]}"


def _known_keys(group: list[str]) -> list[str]:
    """The keys of a (possibly nested) group of `Params`."""
    model: type[BaseModel] = Params
    for key in group:
        annotation = model.model_fields[key].annotation
        assert isinstance(annotation, type)
        assert issubclass(annotation, BaseModel)
        model = annotation
    return list(model.model_fields)
