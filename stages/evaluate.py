"""Score base, control and WBC+ on the same test images, and compare them."""

from pathlib import Path

import numpy as np
import pandas as pd

from leuko.data.classes import CLASSES
from leuko.errors import run
from leuko.evaluation.scores import HEADLINE, gain, score
from leuko.files import write_json, write_table
from leuko.inference import predict_pack
from leuko.models.build import load_model
from leuko.params import load_params
from leuko.runtime import set_up
from leuko.training.parts import select_rows

TEST = Path("data/packs/wbc/test")
MODELS = {
    "base": Path("models/wbc.safetensors"),
    "control": Path("models/control.safetensors"),
    "plus": Path("models/wbc_plus.safetensors"),
}
GAINS = {"gain": ("plus", "base"), "gain_pretraining": ("plus", "control"), "gain_size": ("control", "base")}
"""What is compared with what: the first is the study's question, the others say where the gain comes from."""


def main() -> None:
    """Write the headline of the chosen model, the comparison of all, and every prediction."""
    params = load_params()
    device = set_up(params.device, params.seed)
    rows, table = select_rows(TEST)
    classes = CLASSES["wbc"]
    labels = np.array([classes.index(label) for label in table["class"]])
    scores = {}
    for name, path in MODELS.items():
        model, _ = load_model(path)
        probabilities = predict_pack(model, TEST, rows, device)
        scores[name] = score(probabilities, labels, classes)
        predictions = pd.DataFrame(
            {
                "path": table["path"],
                "actual": table["class"],
                "predicted": [classes[number] for number in probabilities.argmax(axis=1)],
                **{label: probabilities[:, number] for number, label in enumerate(classes)},
            }
        )
        write_table(Path(f"plots/predictions/{name}.csv"), predictions)
        if name == params.model:
            write_table(Path("plots/predictions/model.csv"), predictions)
    comparison = scores | {name: gain(scores[first], scores[second]) for name, (first, second) in GAINS.items()}
    write_json(Path("metrics/metrics.json"), {name: scores[params.model][name] for name in HEADLINE})
    write_json(Path("metrics/comparison.json"), comparison)

    summary = pd.DataFrame({name: {key: part[key] for key in HEADLINE} for name, part in comparison.items()})
    print(f"\n{len(labels)} test images, {params.split} % of the labels\n\n{summary.round(4).to_string()}\n")
    print("Scores: metrics/    pictures: plots/    all of it as a page: dvc plots show")


if __name__ == "__main__":
    run(main)
