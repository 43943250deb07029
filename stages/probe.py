"""Fit the classifiers on frozen features and descriptors to the chosen share of the labels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from leuko.arms import arms
from leuko.core.errors import run
from leuko.core.params.families import SWITCHED_OFF, Families
from leuko.core.params.group import Group, Seed
from leuko.core.params.labels import Classes, Split, ValidationLabels
from leuko.core.params.reading import load_params
from leuko.core.params.transfer import Probe, Transfer, changed
from leuko.data.manifest import read_manifest
from leuko.evaluation.calibration import fit_temperature
from leuko.evaluation.probe import background_colors, fit_probe
from leuko.models.build import load_encoder
from leuko.models.store import left_out, read_tensors, save_left_out, save_model
from leuko.morphology.reference import Reference
from leuko.packs.reading import read_features, read_images, read_preparation
from leuko.training.parts import select_cells, select_validation
from leuko.training.predict import predict_features

PACKS = Path("data/packs")
DOMAIN = Path("data/packs/cells/domain.safetensors")


class Settings(Group):
    """The settings that this stage reads."""

    classes: Classes
    split: Split
    validation_labels: ValidationLabels
    seed: Seed
    families: Families
    transfer: Transfer
    probe: Probe


def main() -> None:
    """Write a classifier for every arm of this family."""
    params = load_params(Settings)
    manifest = read_manifest(Path("data/manifest.csv"))
    labelled, table = select_cells(PACKS / "cells/train", manifest, params.split)
    of_val, val_table = select_validation(PACKS / "cells/val", params.split, params.validation_labels)
    labels, val_labels = (_numbers(some["class"], params.classes) for some in (table, val_table))
    classifiers = {
        arm: changed(params.probe, params.transfer[arm.encoder].probe if arm.encoder else {})
        for arm in arms(params.transfer)
        if arm.family == "features"
    }
    spread = {
        arm: settings.few_labels == "propagate" and params.split <= settings.propagate_upto
        for arm, settings in classifiers.items()
    }
    nuisance = background_colors(read_images(PACKS / "cells/train", "cell")) if any(spread.values()) else None
    for arm, settings in classifiers.items():
        path = Path(f"models/encoders/{arm.encoder}.safetensors")
        lacking = left_out(path) if arm.encoder else ""
        if reason := lacking if params.families.transfer else SWITCHED_OFF:
            save_left_out(arm.model, reason)
            continue
        encoder, known = load_encoder(path) if arm.encoder else (None, {"encoder": "", "width": 0, "side": 0})
        blocks = read_features(PACKS, "train", encoder=arm.encoder, descriptors=arm.descriptors)
        model = fit_probe(
            blocks,
            labelled,
            labels,
            len(params.classes),
            settings,
            encoder=encoder,
            nuisance=nuisance if spread[arm] else None,
        )
        val_blocks = read_features(PACKS, "val", encoder=arm.encoder, descriptors=arm.descriptors)
        logits = predict_features(model, [block[of_val] for block in val_blocks])
        config = {
            "network": "features",
            **{key: known[key] for key in ("encoder", "width", "side")},
            "descriptors": blocks[-1].shape[1] if arm.descriptors else 0,
            "centres": len(model.centres),
            "model": arm.key,
            "classes": params.classes,
            **read_preparation(PACKS / "cells/train"),
            "nuclei": Reference.read(PACKS / "cells/scale.json").scale.to_json(),
            "split": params.split,
            "seed": params.seed,
            "temperature": fit_temperature(logits, val_labels),
            "settings": settings.model_dump(),
        }
        save_model(arm.model, model, config, read_tensors(DOMAIN))


def _numbers(labels: pd.Series, classes: Sequence[str]) -> NDArray[np.int64]:
    """The numbers of classes."""
    return np.array([classes.index(label) for label in labels])


if __name__ == "__main__":
    run(main)
