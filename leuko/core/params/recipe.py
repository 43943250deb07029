"""How one network is trained; options of a recipe have their one place here, and in `leuko.training.recipe`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from leuko.core.params.group import Group, PositiveInt, Share


class Recipe(Group):
    """How one network is trained. What has a default is off unless it is asked for.

    Attributes:
        epochs: passes over the training images.
        min_steps: least number of steps in all; epochs are made longer for it.
        batch_size: images in a step.
        optimizer: Adam, AdamW, or SGD with Nesterov momentum.
        lr: the peak learning rate.
        weight_decay: of the optimiser.
        schedule: of the learning rate.
        clip: gradients by value, by norm, or not.
        clip_at: the bound.
        warmup: share of the steps in which the learning rate rises; one-cycle rises for 0.3 of them in any case, unless
            this says otherwise.
        label_smoothing: of the training loss (Szegedy et al. 2016, section 7).
        class_weights: the training loss weighs a class by its number of images to the power of minus this; 0 is off,
            1 gives every class the same weight in all.
        balanced_sampling: the same for how often images are drawn, in place of passes over all of them.
        ema: decay of an exponential moving average of the weights, validated and kept in their place; 0 is off.
        encoder_lr: factor for the learning rate of a pre-trained encoder.
        decay: which parameters the weight decay is for: `all`, or `weights`, which spares biases and normalisation.
        select: the epoch whose weights are kept: the `best` on validation, or the `last`.
    """

    epochs: PositiveInt
    min_steps: Annotated[int, Field(ge=0, le=1_000_000)]
    batch_size: PositiveInt
    optimizer: Literal["adam", "adamw", "sgd"]
    lr: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    schedule: Literal["onecycle", "cosine", "constant"]
    clip: Literal["none", "value", "norm"]
    clip_at: Annotated[float, Field(gt=0)]
    warmup: Share = 0.0
    label_smoothing: Share = 0.0
    class_weights: Annotated[float, Field(ge=0, le=1)] = 0.0
    balanced_sampling: Annotated[float, Field(ge=0, le=1)] = 0.0
    ema: Share = 0.0
    encoder_lr: Annotated[float, Field(ge=0, le=1)] = 1.0
    decay: Literal["all", "weights"] = "all"
    select: Literal["best", "last"] = "best"
