"""Score every arm on the same test images, and compare them."""

from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path
from textwrap import indent

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from tqdm import tqdm

from leuko.arms import PREDICTIONS, Arm, ablations, arms, gains, in_full
from leuko.core.errors import LeukoError, run
from leuko.core.files import atomic_folder, write_bytes, write_json, write_table
from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params
from leuko.data.groups import describe_groups, in_words, unseen
from leuko.evaluation.calibration import apply_temperature, expected_calibration_error
from leuko.evaluation.comparison import class_differences, compare, correct_together, words
from leuko.evaluation.occlusion import DESCRIPTORS, focus
from leuko.evaluation.predictions import table_of
from leuko.evaluation.scores import HEADLINE, score
from leuko.models.build import load_classifier
from leuko.models.classifier import Classifier
from leuko.models.feature_classifier import FeatureClassifier
from leuko.models.foreign import is_foreign, load_domain
from leuko.models.store import check_config, left_out
from leuko.packs.reading import read_features, read_rows, read_values
from leuko.training.device import set_up
from leuko.training.parts import inputs_of, select_rows
from leuko.training.predict import predict_features, predict_pack

PACKS = Path("data/packs")
PARTS = ("train", "val", "test")


def main() -> None:
    """Write the headline of the chosen model, the comparison of all, and every prediction."""
    params = load_params(Params)
    device = set_up(params.device, params.compute, params.seed)
    rows, table = select_rows(PACKS / "wbc/test")
    if list(read_rows(PACKS / "cells/test")["path"]) != list(table["path"]):
        raise LeukoError(f"{PACKS}/cells/test has other images than {PACKS}/wbc/test; dvc repro makes both anew")
    classes = params.classes
    labels = np.array([classes.index(label) for label in table["class"]])
    groups = list(table["group"]) if table["group"].any() else None
    cells = pd.concat([read_rows(PACKS / "wbc" / part).assign(set="wbc", part=part) for part in PARTS])
    cells = cells[cells["path"] == cells["source"]].drop_duplicates("path")  # without copies
    is_unseen = unseen(table, cells[cells["part"] == "train"]).to_numpy()
    every = arms(params.transfer)
    reasons = {arm.key: reason for arm in every if (reason := left_out(arm.model))}
    present = [arm for arm in every if arm.key not in reasons]
    # All of them are read before anything is written.
    models = {arm.key: load_classifier(arm.model) for arm in present}
    for arm in present:
        check_config(arm.model, models[arm.key][1], _taken_for(arm, params))

    probabilities, scores = {}, {}
    with atomic_folder(PREDICTIONS) as folder:
        for arm in present:
            model, config = models[arm.key]
            probabilities[arm.key] = _predict(arm, model, rows, device)
            tempered = apply_temperature(probabilities[arm.key], config["temperature"])
            scores[arm.key] = score(probabilities[arm.key], labels, classes) | {
                "temperature": config["temperature"],
                "ece_calibrated": expected_calibration_error(tempered, labels),
            }
            if is_unseen.any():
                of_unseen = score(probabilities[arm.key][is_unseen], labels[is_unseen], classes)
                scores[arm.key]["unseen"] = {name: of_unseen[name] for name in HEADLINE}
            predictions = table_of(table, probabilities[arm.key], classes)
            write_table(folder / arm.predictions.name, predictions)
            if arm.key == _reported(params, present).key:
                write_table(folder / "model.csv", predictions)

    title = {arm.key: arm.phrase for arm in present}
    compared = {
        gain.name: compare(probabilities[gain.better][None], probabilities[gain.than][None], labels, groups)
        | {"classes": class_differences(scores[gain.better], scores[gain.than])}
        for gain in (*gains(present), *ablations(present))
    }
    for family in (gains(present), ablations(present)):
        correct_together(compared[gain.name] for gain in family)
    findings = [words(compared[gain.name], title[gain.better], title[gain.than]) for gain in gains(present)]
    reported = _reported(params, present)
    write_json(Path("metrics/metrics.json"), {name: scores[reported.key][name] for name in HEADLINE})
    found = describe_groups(cells, classes)
    write_json(
        Path("metrics/comparison.json"),
        {
            "arms": scores,
            "gains": compared,
            "left_out": reasons,
            "groups": found and found | {"unseen": int(is_unseen.sum())},
            "focus": _focus({arm: models[arm.key][0] for arm in in_full(present)}, table, rows, params, device),
        },
    )

    write_json(Path("metrics/external/own.json"), {"foreign": _foreign(present)})

    shown = [*HEADLINE, "ece", "ece_calibrated", "auroc", "kappa"]
    summary = pd.DataFrame({key: {name: part[name] for name in shown} for key, part in scores.items()}).T
    heading = f"{len(labels)} test images, {params.split} % of the labels"
    if missing := sorted(set(classes) - set(table["class"])):
        heading += f"; no test images of {', '.join(missing)}"
    notes = in_words(found)
    if 0 < is_unseen.sum() < len(labels):
        on_unseen = {key: f"{part['unseen']['balanced_accuracy']:.4f}" for key, part in scores.items()}
        told = ", ".join(f"{key} {value}" for key, value in on_unseen.items())
        notes.append(f"Balanced accuracy on the {is_unseen.sum()} test images of unseen groups: {told}.")
    notes += [f"{key} is left out: {reason}." for key, reason in reasons.items()]
    if reported.key != params.model:
        notes.append(f"metrics/metrics.json is about {reported.key}, as {params.model} is left out.")
    figures = indent(summary.astype(float).round(4).to_string(na_rep=""), "    ")
    report = "\n\n".join([heading, figures, *findings, *notes]) + "\n"
    write_bytes(Path("metrics/comparison.md"), report.encode())
    print(f"\n{report}\nScores: metrics/    curves and pictures: dvc plots show")


def _predict(arm: Arm, model: Classifier, rows: NDArray[np.int64], device: torch.device) -> NDArray[np.float64]:
    """What an arm says of the test images: probabilities, shape (image, class)."""
    if isinstance(model, FeatureClassifier):  # encoding again would take most of the time
        features = read_features(PACKS, "test", encoder=arm.encoder, descriptors=arm.descriptors)
        probabilities: NDArray[np.float64] = softmax(predict_features(model, features).astype(np.float64), axis=1)
        return probabilities
    return predict_pack(model, PACKS, "test", rows, device)


def _focus(
    models: Mapping[Arm, Classifier], table: pd.DataFrame, rows: NDArray[np.int64], params: Params, device: torch.device
) -> dict[str, dict[str, dict[str, float | int]]]:
    """By arm that takes a picture and by class, how far answers rest on the cell, of some test images drawn at random.

    Returns:
        Means of `inside` and `area` as `Focus` has them, and the number of `images` that have them.
    """
    drawn = table.sample(frac=1, random_state=0).groupby("class").head(params.evaluate.occluded)
    found: dict[str, dict[str, dict[str, float | int]]] = {}
    looking = {arm: model for arm, model in models.items() if model.inputs != (DESCRIPTORS,)}
    for arm, model in tqdm(looking.items(), "occlusion", unit="arm", disable=None):
        inputs = inputs_of(PACKS, "test", model.inputs, rows, device)
        found[arm.key] = {}
        for label in params.classes:
            places = drawn.index[drawn["class"] == label].to_list()
            known = [
                one for place in places if (one := focus(model, inputs(torch.tensor([place], device=device), None)))
            ]
            if known:
                inside, area = np.mean([astuple(one) for one in known], axis=0)
                found[arm.key][label] = {"inside": float(inside), "area": float(area), "images": len(known)}
    return found


def _foreign(present: list[Arm]) -> dict[str, dict[str, float | bool]]:
    """By arm, how foreign the own test seems, which it should not."""
    descriptors = read_values(PACKS / "cells/test", "descriptors")
    domains = {arm.key: load_domain(arm.model) for arm in present}
    beyond = {key: domain.beyond(descriptors) for key, domain in domains.items() if domain}
    return {key: {"beyond": float(some.mean()), "is_foreign": is_foreign(some)} for key, some in beyond.items()}


def _reported(params: Params, present: list[Arm]) -> Arm:
    """The arm that the setting `model` names or, if it is left out, the first that is not."""
    return next((arm for arm in present if arm.key == params.model), present[0])


def _taken_for(arm: Arm, params: Params) -> dict[str, object]:
    """What an arm's model file must say, lest a file of other settings is scored."""
    size = {"size": params.augment.wbc_size} if arm.family == "published" else {}
    return {"model": arm.key, "classes": list(params.classes), "split": params.split, "seed": params.seed, **size}


if __name__ == "__main__":
    run(main)
