"""The settings of the transfer family: one encoder from different starting points, fine-tuned and frozen."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from leuko.core.params.group import Group, PositiveInt, Seed
from leuko.core.params.recipe import Recipe

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


class Start(Group):
    """Where an encoder starts from.

    Attributes:
        images: what it is pre-trained on: nothing, the nuclei of the tissue sets, or the blood cells for training,
            without their labels.
        task: what it is taught there.
        network: `pooled`, the small encoder of this project, or the name of one of torchvision's networks.
        weights: what it starts from before that: `none`, `imagenet` for torchvision's, or the path of a file.
        descriptors: weight of the descriptors' loss beside the classes' while it is fine-tuned; 0 for classes alone.
    """

    images: Literal["none", "tissue", "blood"]
    task: Literal["none", "descriptors", "contrastive", "reconstruction"]
    network: str = "pooled"
    weights: str = "none"
    descriptors: Annotated[float, Field(ge=0)] = 0.0


Transfer = dict[Name, Start]


class Pretrain(Recipe):
    """How encoders are pre-trained; `width` is the number of channels of the pooled encoder's stem."""

    width: Annotated[int, Field(ge=4, le=256, multiple_of=4)]
    side: Annotated[int, Field(ge=32, le=512, multiple_of=16)]
    seed: Seed


class Finetune(Recipe):
    """How encoders are fine-tuned on the labels, at which side of the crops in pixels."""

    side: Annotated[int, Field(ge=32, le=512, multiple_of=16)]


class Probe(Group):
    """The classifiers on frozen features.

    Attributes:
        few_labels: `propagate` spreads the labels over the unlabelled training images first, up to `propagate_upto`
            percent of the labels; `none` does not.
        propagate_upto: see there.
        dimensions: of the whitened space in which labels are propagated.
        neighbours: of an image in it.
        seed: of what is drawn.
    """

    few_labels: Literal["none", "propagate"]
    propagate_upto: Annotated[int, Field(ge=0, le=100)]
    dimensions: PositiveInt
    neighbours: PositiveInt
    seed: Seed
