"""The report: one file that needs nothing else, the same bytes every time, and honest words."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from leuko.arms import arms, gains
from leuko.core.errors import LeukoError
from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params
from leuko.evaluation.comparison import compare, correct_together
from leuko.evaluation.scores import HEADLINE, score
from leuko.models.store import save_left_out
from leuko.report.blocks import Cell
from leuko.report.card import model_card
from leuko.report.class_panels import abbreviations
from leuko.report.page import render, tidy, write_report
from leuko.report.sections import class_table, warning
from leuko.report.single import single_report
from leuko.report.study import build_report, study_report
from leuko.study.summary import ABROAD
from tests.conftest import run_stage, write_settings
from tests.reports import Page, assert_self_contained, predictions_of, write

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
CLASS_NAMES = ["Basophil", "Eosinophil", "Lymphocyte", "Monocyte", "Neutrophil"]
TRAININGS = ("train_prcc", "train_cam16", "train_wbc", "train_control", "train_wbc_plus")


@pytest.fixture(scope="module")
def finished(project, tmp_path_factory) -> Path:
    """A project after all stages but the report."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copytree(project, folder, dirs_exist_ok=True)
    for stage in TRAININGS:
        run_stage(stage, folder)
    for arm in arms(load_params(Params, folder / "params.yaml").transfer):
        if arm.family != "published":
            save_left_out(folder / arm.model, "this test trains none")
    run_stage("evaluate", folder)
    run_stage("audit", folder)
    return folder


@pytest.fixture(scope="module")
def written(finished) -> Path:
    """The folder of the report that the stage writes."""
    run_stage("report", finished)
    return finished / "reports"


def report_on(folder, **changes):
    """The report with other settings; the folder keeps its own."""
    kept = (folder / "params.yaml").read_text()
    try:
        return single_report(folder, load_params(Params, write_settings(folder, **changes)), CPU)
    finally:
        (folder / "params.yaml").write_text(kept)


# The single run


def test_the_page_needs_nothing_else(written):
    assert_self_contained((written / "report.html").read_text())


def test_equal_runs_give_equal_bytes(finished, written, tmp_path):
    params = load_params(Params, finished / "params.yaml")
    write_report(single_report(finished, params, CPU), tmp_path)
    write(tmp_path / "MODEL_CARD.md", model_card(finished, params))
    files = sorted(path.relative_to(written) for path in written.rglob("*") if path.is_file())
    files.remove(Path("data.html"))  # of ingest
    assert files == sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert len(files) > 10
    for file in files:
        assert (tmp_path / file).read_bytes() == (written / file).read_bytes(), file


def test_figures_are_for_print(written):
    assert {path.suffix for path in (written / "figures").iterdir()} == {".svg", ".png"}
    for path in (written / "figures").glob("*.png"):
        assert b"pHYs" in path.read_bytes()[:200]
        assert b"Software" not in path.read_bytes()[:400]
    assert all("<dc:date>" not in path.read_text() for path in (written / "figures").glob("*.svg"))


def test_without_pictures_no_image_of_data_is_left(finished):
    with_pictures, without = (render(report_on(finished, **{"report.pictures": on})) for on in (True, False))
    assert "data:image/jpeg" in with_pictures
    assert "Not about real cells" in without
    assert {source.partition(",")[0] for source in Page(without).sources} == {"data:image/svg+xml"}
    assert not re.search(r"%3Cimage|data:image/(png|jpeg)|base64", without)
    # Names of files may tell of patients.
    paths = pd.read_csv(finished / "plots/predictions/base.csv")["path"]
    assert not any(Path(path).name in without for path in paths)


@pytest.mark.parametrize(
    ("root", "warned"), [("data/demo", True), ("/elsewhere/data/demo", True), ("data/real", False)]
)
def test_synthetic_data_is_called_so(root, warned):
    assert ("synthetic" in warning(root)) == warned


def test_the_answer_is_honest(finished, tmp_path):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "metrics/comparison.json"
    comparison = json.loads(path.read_text())
    gain = comparison["gains"]["gain"]
    ends = gain["interval"]["balanced_accuracy"]
    gain["balanced_accuracy"] = 0.03
    for low, p, beyond_zero, significant in (
        (-0.01, 0.2, False, False),
        (0.01, 0.2, True, False),
        (0.01, 0.01, True, True),
    ):
        ends |= {"low": low, "high": 0.07, "p_holm": p}
        path.write_text(json.dumps(comparison))
        answer = report_on(tmp_path, **{"report.pictures": False}).answer
        assert ("No significant difference in balanced accuracy between WBC+ and base" in answer) != beyond_zero
        assert ("WBC+ is better than base by 3.0 points" in answer) == beyond_zero
        assert ("Corrected for all comparisons, that is not significant." in answer) == (beyond_zero != significant)
        assert f"{100 * low:.1f} to 7.0" in answer


def test_arms_that_are_left_out_have_their_reason(finished):
    report = report_on(finished, **{"report.pictures": False})
    assert "scratch (this test trains none)" in render(report)
    (scores,) = [table for table in report.tables if table.name == "scores"]
    assert list(scores.rows) == ["base", "control", "WBC+"]


def test_tables_are_complete(finished, written):
    table = pd.read_csv(written / "tables.csv")
    comparison = json.loads((finished / "metrics/comparison.json").read_text())

    def value(name, row, column):
        (found,) = table.query("table == @name and row == @row and column == @column").to_dict("records")
        return found

    for model, title in (("base", "base"), ("control", "control"), ("plus", "WBC+")):
        scores = comparison["arms"][model]
        assert float(value("scores", title, "Accuracy, %")["value"]) == pytest.approx(scores["accuracy"], abs=1e-5)
        assert float(value("scores", title, "Temperature")["value"]) == pytest.approx(scores["temperature"], rel=1e-5)
        for label in CLASS_NAMES:
            f1 = float(value("f1", title, label)["value"])
            assert f1 == pytest.approx(scores["classes"][label]["f1"], abs=1e-5)
    gain = value("gains", "WBC+ − base", "Balanced accuracy, points")
    interval = comparison["gains"]["gain"]["interval"]["balanced_accuracy"]
    assert (gain["low"], gain["high"]) == pytest.approx((interval["low"], interval["high"]), abs=1e-5)
    assert float(value("published", "1 % of labels", "accuracy, % WBC+")["value"]) == 0.7802
    manifest = pd.read_csv(finished / "data/manifest.csv")
    n_test = ((manifest["set"] == "wbc") & (manifest["part"] == "test")).sum()
    assert int(value("data", "WBC", "held out test")["value"]) == n_test
    n_labels = ((manifest["set"] == "wbc") & manifest["part"].isin(["train", "val"])).sum()
    assert int(value("budget", "base", "in all")["value"]) == n_labels
    assert value("budget", "base", "which chose")["value"] == "epoch and temperature"
    assert not table.duplicated(["table", "row", "column"]).any()


def test_page_shows_what_the_tables_hold(finished):
    report = report_on(finished, **{"report.pictures": False})
    text = render(report)
    for table in report.tables:
        assert f'id="table-{table.name}"' in text
        assert all(len(cells) == len(table.columns) for cells in table.rows.values())
        assert sum(width for _, width in table.groups) in (0, len(table.columns))
    assert len(tidy(report.tables)) == sum(
        cell.value is not None for table in report.tables for cells in table.rows.values() for cell in cells
    )


def test_numbers_are_set_with_a_true_minus():
    assert Cell(-0.0123, "points", -0.2, 0.1).text == "−1.2"
    assert Cell(-0.0123, "points", -0.2, 0.1).interval == "−20.0 to +10.0"
    assert Cell(-0.00001, "points").text == "+0.0"
    assert Cell(None).text == "–"


def test_short_names_tell_classes_apart():
    assert abbreviations(["Basophil", "Eosinophil"]) == ["Bas.", "Eos."]
    assert abbreviations(["Monoblast", "Monocyte", "NK"]) == ["Monob.", "Monoc.", "NK"]


def test_a_class_without_test_images_has_no_score():
    table = class_table("f1", "F1.", {"base": {"Band": None, "Blast": 0.0}})
    assert [cell.text for cell in table.rows["base"]] == ["–", "0.000"]


# The study


def make_study(folder, finished, n_images=40):
    """A study of two shares and two seeds: WBC+ is far better at 1 %, and nothing differs at 100 %."""
    rng = np.random.default_rng(0)
    labels = np.arange(n_images) % 5
    rows, splits = [], {}
    for split, skill in ((1, {"base": 0, "control": 0, "plus": 6}), (100, {"base": 2, "control": 2, "plus": 2})):
        probabilities = {model: [] for model in skill}
        noise = rng.normal(size=(n_images, 5))
        for seed in range(2):
            cell = folder / f"cells/split{split}-seed{seed}"
            shutil.copytree(finished / "plots/history", cell / "history")
            shutil.copy(finished / "params.yaml", cell)
            scores = {}
            for model, margin in skill.items():
                logits = margin * np.eye(5)[labels] + noise
                parts = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
                write(cell / f"predictions/{model}.csv", predictions_of(parts, labels, CLASS_NAMES))
                probabilities[model].append(parts)
                scores[model] = score(parts, labels, CLASS_NAMES) | {"temperature": 1.5, "ece_calibrated": 0.1}
                rows.append({"split": split, "seed": seed, "model": model} | {k: scores[model][k] for k in HEADLINE})
            write(cell / "comparison.json", {"arms": scores, "gains": {}, "left_out": {"scratch": "no cells"}})
        compared = {
            gain.name: compare(np.stack(probabilities[gain.better]), np.stack(probabilities[gain.than]), labels)
            for gain in gains([arm for arm in arms({}) if arm.key in skill])
        }
        correct_together(compared.values())
        means = {model: {kind: dict.fromkeys(HEADLINE, 0.5) for kind in ("mean", "std")} for model in skill}
        splits[str(split)] = {"seeds": [0, 1], "images": n_images, "arms": means, "gains": compared}
    pd.DataFrame(rows).to_csv(folder / "table.csv", index=False)
    (folder / "summary.json").write_text(json.dumps({"splits": splits}))


@pytest.fixture(scope="module")
def study(finished, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    make_study(folder, finished)
    return folder


def test_the_study_has_a_report(study, tmp_path):
    build_report(study, tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert_self_contained(text)
    assert "data:image/jpeg" not in text
    figures = {path.name for path in (tmp_path / "figures").iterdir()}
    assert "scratch (no cells)" in text
    assert {"efficiency.svg", "gains.png", "confusion-1.svg"} <= figures
    assert {"gains balanced_accuracy", "scores loss", "published"} <= set(pd.read_csv(tmp_path / "tables.csv")["table"])


def test_the_study_answers_share_by_share(study):
    report = study_report(study)
    assert re.match(r"WBC\+ is better than base with 1 % \(\+\d", report.answer)
    assert "not significantly different from base with 100 % (+0.0" in report.answer


def test_one_seed_has_no_spread(study, tmp_path):
    shutil.copytree(study, tmp_path, dirs_exist_ok=True)
    summary = json.loads((tmp_path / "summary.json").read_text())
    for split in summary["splits"].values():
        split["seeds"] = [0]
        for model in split["arms"].values():
            model["std"] = dict.fromkeys(HEADLINE)
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    table = pd.read_csv(tmp_path / "table.csv")
    table[table["seed"] == 0].to_csv(tmp_path / "table.csv", index=False)
    assert_self_contained(render(study_report(tmp_path)))


def test_the_study_tells_of_other_laboratories(study, tmp_path):
    assert not [section for section in study_report(study).sections if section.name == "laboratories"]
    shutil.copytree(study, tmp_path, dirs_exist_ok=True)
    for settings in tmp_path.glob("cells/*/params.yaml"):
        settings.write_text(settings.read_text().replace("external: {}", "external: {bern: /bern}"))
    summary = json.loads((tmp_path / "summary.json").read_text())
    mean = {"accuracy": 0.25, "balanced_accuracy": 0.5, "change": -0.125}
    std = dict.fromkeys(ABROAD, 0.0625)
    for split in summary["splits"].values():
        for model, arm in split["arms"].items():
            aligned = {"aligned_accuracy": 0.75 if model == "plus" else None, "aligned_balanced_accuracy": None}
            arm["external"] = {"bern": {"mean": mean | aligned, "std": std}}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    found = {"images": {"Basophil": 0, "Monocyte": 7}, "arms": {"base": {"foreign": {"beyond": 0.75}}}}
    for cell in tmp_path.glob("cells/*"):
        write(cell / "external/bern.json", found)
    (section,) = [section for section in study_report(tmp_path).sections if section.name == "laboratories"]
    said, bern, *rows = section.blocks
    assert "standard deviation" in said
    assert bern == "bern: 7 cells (7 Monocyte). 75 % of them lie beyond what the models know."
    accuracy, balanced, change = (
        {name: [cell.text for cell in cells] for name, cells in row.tables[0].rows.items()} for row in rows
    )
    assert accuracy == dict.fromkeys(("base", "control", "WBC+"), ["25.0", "6.2"] * 2) | {
        "WBC+, aligned": ["75.0", "6.2"] * 2
    }
    assert balanced.keys() == change.keys() == {"base", "control", "WBC+"}
    assert change["base"] == ["−12.5", "6.2"] * 2


def test_a_study_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(LeukoError, match="make study"):
        study_report(tmp_path)
