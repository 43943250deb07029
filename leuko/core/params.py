"""The one place where settings are read: `params.yaml`, checked against a typed model.

The model has no defaults on purpose: a setting that is not in `params.yaml` does not exist, so what DVC records
is everything that shaped a run.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from leuko.core.errors import LeukoError

Fraction = Annotated[float, Field(gt=0, lt=1)]
PositiveInt = Annotated[int, Field(ge=1, le=1_000_000)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Channel = Annotated[int, Field(ge=0, le=255, strict=True)]


class Group(BaseModel):
    """A group of settings: frozen, and closed to keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        """Refuse what Python would take for 0 or 1."""
        assert info.field_name
        if isinstance(value, bool) and cls.model_fields[info.field_name].annotation is not bool:
            raise ValueError("input should be something else than true or false")
        return value


class Compute(Group):
    """How to compute, which shows in the last digits of all results.

    A long sum is divided among the `threads`, so their number decides its last digit; so do the instructions of the
    `processor`. `portable` keeps to AVX2, which x86-64 processors of all makes have; `native` takes the best there are.
    `auto` leaves the threads to PyTorch (one per core, or `OMP_NUM_THREADS`), and takes bfloat16 on a GPU. `compile`
    lets PyTorch fuse a network's layers, which takes about a minute first.
    """

    threads: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"]
    processor: Literal["portable", "native"]
    precision: Literal["auto", "float32", "bfloat16"]
    compile: bool


class Demo(Group):
    """The synthetic data set; `fraction` scales how many images are drawn."""

    seed: Seed
    fraction: Annotated[float, Field(gt=0, le=1)]


class Ingest(Group):
    """How the images are divided; `seed` is apart from the trainings' so that all of them share one test set.

    The WBC subsets of 1, 10 and 50 % are those of the data root's `folders`, if it has any; otherwise, or if `subsets`
    is `drawn`, they are drawn. Another `subset_seed` draws others and changes nothing else. `duplicates` decides about
    pictures in several parts or under several classes.
    """

    seed: Seed
    val_fraction: Fraction
    prcc_val_fraction: Fraction
    prcc_test_fraction: Fraction
    min_side: PositiveInt
    subsets: Literal["folders", "drawn"]
    subset_seed: Seed
    duplicates: Literal["warn", "drop", "fail"]

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> Ingest:
        """Refuse shares that add up to everything."""
        if self.prcc_val_fraction + self.prcc_test_fraction >= 1:
            raise ValueError(
                f"prcc_val_fraction {self.prcc_val_fraction} and prcc_test_fraction {self.prcc_test_fraction} leave "
                "nothing to train on; together they should be less than 1"
            )
        return self


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
    min_steps: Annotated[int, Field(ge=0, le=1_000_000)]
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

    weights: str
    freeze: bool
    seed: Seed

    @field_validator("weights")
    @classmethod
    def _keyword_or_file(cls, weights: str) -> str:
        """Refuse at once what would only be missed when the training starts."""
        if weights in ("imagenet", "none") or weights.endswith((".pth", ".pt", ".safetensors")):
            return weights
        near = difflib.get_close_matches(weights, ("imagenet", "none"), n=1)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        raise ValueError(f"input should be imagenet, none or the path of a .pth, .pt or .safetensors file{hint}")


class Wbc(Recipe):
    """The base classifier; `augment: d4` turns and mirrors its training images on the fly."""

    augment: Literal["none", "d4"]


class WbcPlus(Wbc):
    """The classifier with the frozen pre-trained networks; `cache_gb` is memory for their outputs, else in a file."""

    cache_gb: Annotated[float, Field(ge=0)]


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
    compute: Compute
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
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except RecursionError as error:
        raise LeukoError(f"{path} cannot be read: its brackets or lists are nested too deeply") from error
    except (OSError, ValueError, yaml.YAMLError) as error:  # dates and integers that Python cannot hold are the second
        raise LeukoError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise LeukoError(f"{path} cannot be used: the file holds no settings by name; presets/ has complete files")
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
        case "value_error" if isinstance(problem["input"], dict):
            return f"  {name}: {problem['ctx']['error']}"
        case _:
            message = problem["msg"].removeprefix("Value error, ")
            return f"  {name}: {_shown.repr(problem['input'])} is not allowed; {message[0].lower()}{message[1:]}"


def _known_keys(group: list[str]) -> list[str]:
    """The keys of a (possibly nested) group of `Params`."""
    model: type[BaseModel] = Params
    for key in group:
        annotation = model.model_fields[key].annotation
        assert isinstance(annotation, type)
        assert issubclass(annotation, BaseModel)
        model = annotation
    return list(model.model_fields)
