"""The settings of the transfer family: one encoder from different starting points, fine-tuned on the labels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from leuko.core.params.group import Group, Seed, Text
from leuko.core.params.recipe import Recipe

TAKEN = ("base", "control", "plus", "model")
"""Names of other arms, and of the table of the chosen model's predictions."""


def _is_a_name(name: str) -> str:
    if not (name.isascii() and name.isidentifier() and name == name.lower()):
        raise ValueError("input should be of small letters, digits and underscores, as it names stages and files")
    if name in TAKEN:
        raise ValueError(f"input should be another name than {', '.join(TAKEN)}")
    return name


Name = Annotated[str, AfterValidator(_is_a_name)]


class Start(Group):
    """Where an encoder starts from.

    Attributes:
        network: `pooled`, the small encoder of this project, or the name of one of torchvision's classifiers.
        weights: `none` for random ones, `imagenet` for torchvision's, or the path of a file.
    """

    network: Text
    weights: Text


Transfer = dict[Name, Start]
"""The starting points by name; each is an arm of the comparison."""


class Pretrain(Recipe):
    """How encoders are pre-trained on images without labels.

    Attributes:
        zoom: smallest share of an image's side that a random view shows.
        jitter: largest change of brightness and contrast in a view, as a share of themselves.
        seed: of initial weights, order and views.
    """

    zoom: Annotated[float, Field(gt=0, le=1)]
    jitter: Annotated[float, Field(ge=0, lt=1)]
    seed: Seed


class Finetune(Recipe):
    """How encoders are fine-tuned on the labels; `width` is the number of channels of the pooled encoder's stem."""

    width: Annotated[int, Field(ge=4, le=256, multiple_of=4)]


class Probe(Group):
    """The classifiers on frozen features and on descriptors: kernel ridge regression.

    Attributes:
        regularization: of the regression.
        gamma: of the Gaussian kernel, divided by the number of features.
        average: whether an encoder's features are averaged over the eight rotations and reflections of a cell.
        few_labels: `propagate` spreads the labels over the unlabelled training images first; `none` does not.
        propagate_upto: the largest percentage of the labels at which they are spread.
        dimensions: of the whitened features in which images are neighbours.
        neighbours: of each image.
    """

    regularization: Annotated[float, Field(gt=0)]
    gamma: Annotated[float, Field(gt=0)]
    average: bool
    few_labels: Literal["none", "propagate"]
    propagate_upto: Annotated[int, Field(ge=1, le=100)]
    dimensions: Annotated[int, Field(ge=1, le=1000)]
    neighbours: Annotated[int, Field(ge=1, le=1000)]
