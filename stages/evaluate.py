"""Score base, control and WBC+ on the same test images, and compare them."""

from pathlib import Path
from textwrap import indent

import numpy as np
import pandas as pd

from leuko.core.classes import CLASSES
from leuko.core.errors import run
from leuko.core.files import write_bytes, write_json, write_table
from leuko.core.params import load_params
from leuko.evaluation.calibration import apply_temperature, expected_calibration_error
from leuko.evaluation.comparison import GAINS, NAMES, class_differences, compare, words
from leuko.evaluation.scores import HEADLINE, score
from leuko.models.build import load_model
from leuko.models.store import check_config
from leuko.training.device import set_up
from leuko.training.parts import select_rows
from leuko.training.predict import predict_pack

TEST = Path("data/packs/wbc/test")
MODELS = {
    "base": Path("models/wbc.safetensors"),
    "control": Path("models/control.safetensors"),
    "plus": Path("models/wbc_plus.safetensors"),
}


def main() -> None:
    """Write the headline of the chosen model, the comparison of all, and every prediction."""
    params = load_params()
    device = set_up(params.device, params.compute, params.seed)
    rows, table = select_rows(TEST)
    classes = CLASSES["wbc"]
    labels = np.array([classes.index(label) for label in table["class"]])
    models = {name: load_model(path) for name, path in MODELS.items()}  # all of them, before anything is written
    taken_for = {"classes": list(classes), "size": params.augment.wbc_size, "split": params.split, "seed": params.seed}
    for name, (_, config) in models.items():
        check_config(MODELS[name], config, {"model": name, **taken_for})
    probabilities, comparison = {}, {}
    for name, (model, config) in models.items():
        probabilities[name] = predict_pack(model, TEST, rows, device)
        tempered = apply_temperature(probabilities[name], config["temperature"])
        comparison[name] = score(probabilities[name], labels, classes) | {
            "temperature": config["temperature"],
            "ece_calibrated": expected_calibration_error(tempered, labels),
        }
        predictions = pd.DataFrame(
            {
                "path": table["path"],
                "actual": table["class"],
                "predicted": [classes[number] for number in probabilities[name].argmax(axis=1)],
                **{label: probabilities[name][:, number] for number, label in enumerate(classes)},
            }
        )
        write_table(Path(f"plots/predictions/{name}.csv"), predictions)
        if name == params.model:
            write_table(Path("plots/predictions/model.csv"), predictions)
    findings = []
    for name, (first, second) in GAINS.items():
        gain = compare(probabilities[first][None], probabilities[second][None], labels)
        findings.append(words(gain, NAMES[first], NAMES[second]))
        comparison[name] = gain | {"classes": class_differences(comparison[first], comparison[second])}
    write_json(Path("metrics/metrics.json"), {name: comparison[params.model][name] for name in HEADLINE})
    write_json(Path("metrics/comparison.json"), comparison)

    shown = [*HEADLINE, "ece", "ece_calibrated", "auroc", "kappa"]
    summary = pd.DataFrame({name: {key: part.get(key) for key in shown} for name, part in comparison.items()})
    heading = f"{len(labels)} test images, {params.split} % of the labels"
    if missing := sorted(set(classes) - set(table["class"])):
        heading += f"; no test images of {', '.join(missing)}"
    scores = indent(summary.astype(float).round(4).to_string(na_rep=""), "    ")
    report = "\n\n".join([heading, scores, *findings]) + "\n"
    write_bytes(Path("metrics/comparison.md"), report.encode())
    print(f"\n{report}\nScores: metrics/    curves and pictures: dvc plots show")


if __name__ == "__main__":
    run(main)
