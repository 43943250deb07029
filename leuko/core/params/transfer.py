"""The settings of the transfer family: one encoder from different starting points, fine-tuned on the labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field

from leuko.core.params.group import Group, Seed, Text
from leuko.core.params.recipe import Recipe

TAKEN = ("base", "control", "plus", "morphology", "model")
"""Names of other arms, and of the table of the chosen model's predictions."""


def _is_a_name(name: str) -> str:
    if not (name.isascii() and name.isidentifier() and name == name.lower()):
        raise ValueError("input should be of small letters, digits and underscores, as it names stages and files")
    if name in TAKEN:
        raise ValueError(f"input should be another name than {', '.join(TAKEN)}")
    return name


Name = Annotated[str, AfterValidator(_is_a_name)]


class Start(Group):
    """Where an encoder starts from, and what it learns beside the classes.

    Attributes:
        network: `pooled`, the small encoder of this project, or the name of one of torchvision's classifiers.
        weights: `none` for random ones, `imagenet` for torchvision's, or the path of a file.
        images: what it is pre-trained on, without labels: all training images of `blood` cells, nuclei of the `tissue`
            sets, or `none`.
        task: what it learns of them: to predict descriptors of nucleus and cell, to know two views of an image among
            others (contrastive), or to paint the image (reconstruction).
        multitask: weight of the loss of the descriptors, which it then predicts beside the classes in fine-tuning; 0 is
            off.
        finetune: settings of the group `finetune` that are others for this entry.
        probe: the same of the group `probe`.
        ablates: the entry that this one is but for one thing; the two are compared, and it is not drawn beside others.
    """

    network: Text
    weights: Text
    images: Literal["none", "blood", "tissue"] = "none"
    task: Literal["descriptors", "contrastive", "reconstruction"] = "descriptors"
    multitask: Annotated[float, Field(ge=0)] = 0.0
    finetune: dict[str, Any] = Field(default_factory=dict)
    probe: dict[str, Any] = Field(default_factory=dict)
    ablates: str = ""

    @property
    def learned(self) -> bool:
        """Whether the encoder knows anything before it sees a label."""
        return self.images != "none" or self.weights != "none"

    @property
    def is_fine_tuned(self) -> bool:
        """Whether it has an arm that is fine-tuned, which an ablation of the frozen encoder's classifier has not."""
        return not (self.ablates and self.probe and not self.finetune)

    @property
    def is_probed(self) -> bool:
        """Whether it may have an arm on frozen features, which an ablation of fine-tuning has not."""
        return not (self.ablates and self.finetune and not self.probe)


StainJitter = Annotated[float, Field(ge=0, le=2, exclude_if=lambda jitter: jitter == 0)]
"""How differently stained a training image is shown each time: standard deviation of the logarithm of the factor of
each channel's density. 0 is off, and model files do not speak of it then."""

Transfer = dict[Name, Start]
"""The starting points by name; each is an arm of the comparison."""


class Pretrain(Recipe):
    """How encoders are pre-trained on images without labels.

    Attributes:
        width: channels of the pooled encoder's stem.
        zoom: smallest share of an image's side that a random view shows.
        jitter: largest change of brightness and contrast in a view, as a share of themselves.
        stain_jitter: how differently stained views are.
        seed: of initial weights, order and views.
    """

    width: Annotated[int, Field(ge=4, le=256, multiple_of=4)]
    zoom: Annotated[float, Field(gt=0, le=1)]
    jitter: Annotated[float, Field(ge=0, lt=1)]
    stain_jitter: StainJitter = 0.0
    seed: Seed


class Finetune(Recipe):
    """How encoders are fine-tuned on the labels.

    Attributes:
        augment: random `views` as in pre-training, one of the eight orientations (`d4`), or `none`.
        zoom: of the views, as in pre-training.
        jitter: likewise.
        stain_jitter: likewise.
    """

    augment: Literal["views", "d4", "none"]
    zoom: Annotated[float, Field(gt=0, le=1)]
    jitter: Annotated[float, Field(ge=0, lt=1)]
    stain_jitter: StainJitter = 0.0


class Probe(Group):
    """The classifiers on frozen features and on descriptors: kernel ridge regression.

    Attributes:
        regularization: of the regression.
        gamma: of the Gaussian kernel, divided by the number of features.
        few_labels: `propagate` spreads the labels over the unlabelled training images first; `none` does not.
        propagate_upto: the largest percentage of the labels at which they are spread.
        dimensions: of the whitened features in which images are neighbours.
        neighbours: of each image.
        stain_jitter: how differently stained the second copy of every cell is from which classifiers on descriptors
            learn too: standard deviation of the logarithm of each channel's density; 0 is off.
    """

    regularization: Annotated[float, Field(gt=0)]
    gamma: Annotated[float, Field(gt=0)]
    few_labels: Literal["none", "propagate"]
    propagate_upto: Annotated[int, Field(ge=1, le=100)]
    dimensions: Annotated[int, Field(ge=1, le=1000)]
    neighbours: Annotated[int, Field(ge=1, le=1000)]
    stain_jitter: Annotated[float, Field(ge=0, le=2)] = 0.0


Changed = TypeVar("Changed", bound=Group)


def changed(group: Changed, changes: Mapping[str, Any]) -> Changed:
    """A group of settings with some of them changed.

    Raises:
        pydantic.ValidationError: if there are no such settings, or the values are not allowed.
    """
    return type(group).model_validate(group.model_dump() | dict(changes))
