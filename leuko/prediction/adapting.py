"""A model for another laboratory, from one of the own laboratory and a few labelled cells of the other, or none."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from leuko.core.classes import match_class
from leuko.core.errors import LeukoError
from leuko.core.files import check_file_place
from leuko.core.params.transfer import Probe
from leuko.data.laboratory import survey_few_labels
from leuko.data.scale import Scales, from_column, to_json
from leuko.evaluation.adaptation import LEAST_UNLABELLED, Adapted, adapt, align
from leuko.models.build import load_classifier
from leuko.models.feature_classifier import FeatureClassifier
from leuko.models.foreign import PICTURES, fit_domain
from leuko.models.store import left_out, save_model
from leuko.morphology.cropping import Scale
from leuko.morphology.packing import describe_pictures, find_scale, pack_cells
from leuko.morphology.staining import Staining
from leuko.packs.reading import read_images, read_values
from leuko.prediction.preparing import Preparation
from leuko.training.predict import BATCH

MIN_SIDE = 16
LEAST_OF_ITS_OWN = 20
"""Fewer cells do not tell which others are unlike them."""


def adapt_model(
    model: Path, folder: Path | None, out: Path, *, synonyms: Mapping[str, str], unlabelled: Path | None = None
) -> tuple[Adapted, list[str]]:
    """Write a model for another laboratory.

    Args:
        model: a classifier on features, such as `models/probes/morphology.safetensors`.
        folder: a few labelled cells of the other laboratory, in a folder for every class; without it, descriptors are
            aligned by the unlabelled ones, and the temperature stays that of the own laboratory.
        out: where to write the new model.
        synonyms: further names of class folders.
        unlabelled: a folder of further images of that laboratory; the more there are, the better is known how its
            images differ.

    Returns:
        The classifier, how it was found, and the classes of which there is no labelled cell.

    Raises:
        LeukoError: if the model is of another kind, with all that is wrong with the images, if they are too few, or
            if nothing can be written there.
    """
    check_file_place(out, "--out")
    if out.resolve() == model.resolve():
        raise LeukoError(f"--out {out}: that is the model itself; name another file")
    if reason := left_out(model):
        raise LeukoError(f"{model} holds no model: {reason}")
    classifier, config = load_classifier(model)
    if not isinstance(classifier, FeatureClassifier):
        raise LeukoError(
            f"{model} is a network that would have to be trained anew; take a classifier on features, such as "
            "models/probes/morphology.safetensors"
        )
    if unknown := sorted(set(synonyms.values()) - set(config["classes"])):
        classes = ", ".join(config["classes"])
        raise LeukoError(f"--class: {', '.join(unknown)} is no class of {model}; its classes are {classes}")
    for name, label in synonyms.items():
        if not any(place.is_dir() and name for place in ((folder / name, folder / "data" / name) if folder else ())):
            raise LeukoError(f"--class {name}={label}: there is no folder {name!r} among those of labelled cells")
        if (called := match_class(name, config["classes"], synonyms).label) != label:
            raise LeukoError(f"--class {name}={label}: the name {name} says {called}; rename the folder")
    settings = _settings(model, config)
    folders = [place for place in (folder, unlabelled) if place]
    found = survey_few_labels(folder, unlabelled, classes=config["classes"], synonyms=synonyms, min_side=MIN_SIDE)
    n_labelled = len(found[0]) if folder else 0
    if folder and found[0]["class"].nunique() < 2:
        raise LeukoError(f"{folder} has cells of one class only; label some of every class that is to be told")
    found = [table.assign(root=str(place)) for place, table in zip(folders, found, strict=True)]
    rows = pd.concat(found, ignore_index=True) if found else pd.DataFrame()
    if not n_labelled and len(rows) < LEAST_UNLABELLED:
        raise LeukoError(
            f"{len(rows)} cells without labels do not tell how a laboratory's cells differ: give at least "
            f"{LEAST_UNLABELLED} of all classes, or a folder of labelled ones"
        )
    files = [Path(root) / path for root, path in zip(rows["root"], rows["path"], strict=True)]
    depths = from_column(rows["scale"])
    staining = Preparation.of(classifier.inputs, config).staining.settled(files, depths)
    features, descriptors, scale = _measure(classifier, config["side"], rows, files, depths, staining)
    n_found = int(descriptors.any(axis=1).sum())
    if not n_labelled and n_found < LEAST_UNLABELLED:
        raise LeukoError(f"a cell was found in {n_found} of {len(rows)} images only; give images of one cell each")
    labels = np.array([config["classes"].index(label) for label in rows["class"][:n_labelled]])
    if n_labelled:
        adapted = adapt(classifier, features[:n_labelled], labels, features[n_labelled:], settings)
    else:
        adapted = Adapted(align(classifier, features, settings), config["temperature"], aligned=True, accuracy={})
    known = {
        "model": f"{config['model']}-adapted",
        "temperature": adapted.temperature,
        "centres": len(adapted.classifier.centres),
        "nuclei": scale.to_json(),
        "scales": to_json(depths),
        # An adapted model has no copies in other stains.
        "settings": config["settings"] | {"stain_jitter": 0.0},
        "adapted": {"labelled": n_labelled, "cells": len(rows), "aligned": adapted.aligned},
    }
    domains = {}
    if n_found >= LEAST_OF_ITS_OWN:
        pictures = describe_pictures(files, depths, "looking at images", staining)
        domains = fit_domain(descriptors, descriptors[:0]).tensors()
        domains |= fit_domain(pictures, pictures[:0]).tensors(PICTURES)
    save_model(out, adapted.classifier, config | known, domains)
    return adapted, [label for number, label in enumerate(config["classes"]) if number not in labels]


def _settings(model: Path, config: Mapping[str, Any]) -> Probe:
    """The settings by which a classifier on features was fitted.

    Raises:
        LeukoError: if its file does not say, or says no such settings.
    """
    try:
        return Probe.model_validate(config["settings"])
    except (KeyError, ValidationError) as error:
        raise LeukoError(f"{model} does not say how it was fitted ({type(error).__name__}: {error})") from error


@torch.no_grad()
def _measure(
    classifier: FeatureClassifier,
    side: int,
    rows: pd.DataFrame,
    files: Sequence[Path],
    depths: Scales,
    staining: Staining,
) -> tuple[NDArray[np.float32], NDArray[np.float32], Scale]:
    """Measure cells at the scale of their own laboratory.

    Returns:
        The features that the classifier takes, and descriptors, each of shape (cell, value); and the scale.
    """
    scale = find_scale(rows, files, depths, staining)
    with tempfile.TemporaryDirectory() as folder:
        pack = Path(folder) / "cells"
        pack_cells(pack, rows, files, depths, scale, side or 1, "measuring cells", staining)
        descriptors = np.array(read_values(pack, "descriptors"))
        inputs = {"descriptors": torch.from_numpy(descriptors)}
        if classifier.encoder:
            cells = torch.from_numpy(np.array(read_images(pack, "cell")))
            inputs["cell"] = cells.permute(0, 3, 1, 2).float() / 255
    chunks = [inputs[name].split(BATCH) for name in classifier.inputs]
    features = torch.cat([classifier.features(*chunk) for chunk in zip(*chunks, strict=True)]).numpy()
    return features, descriptors, scale
