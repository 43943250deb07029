"""The report: one file that needs nothing else, the same bytes every time, and honest words."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from leuko.core.classes import CLASSES
from leuko.core.errors import LeukoError
from leuko.core.params import load_params
from leuko.evaluation.comparison import compare
from leuko.evaluation.scores import HEADLINE, score
from leuko.models.autoencoder import PrccAutoencoder
from leuko.models.base import WbcNet
from leuko.models.plus import WbcPlusNet
from leuko.models.tissue import Cam16Net
from leuko.report.attention import N_CELLS, classifier_of, heat_map
from leuko.report.blocks import Cell
from leuko.report.page import render, tidy, write_report
from leuko.report.pictures import TILE, disagreements, spotlight
from leuko.report.sections import GAINS, warning
from leuko.report.single import single_report
from leuko.report.study import build_report, study_report
from tests.conftest import run_stage, write_settings

CPU = torch.device("cpu")
CLASS_NAMES = list(CLASSES["wbc"])
TRAININGS = ("train_prcc", "train_cam16", "train_wbc", "train_control", "train_wbc_plus")


@pytest.fixture(scope="module")
def finished(project, tmp_path_factory) -> Path:
    """A project after all stages but the report."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copytree(project, folder, dirs_exist_ok=True)
    for stage in (*TRAININGS, "evaluate"):
        run_stage(stage, folder)
    return folder


@pytest.fixture(scope="module")
def written(finished) -> Path:
    """The folder of the report that the stage writes."""
    run_stage("report", finished)
    return finished / "reports"


class Page(HTMLParser):
    """What a page has: tags, what they point at, and ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.sources, self.links, self.ids, self.handlers = set(), [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "data", "poster", "action", "xlink:href"):
                self.sources.append(value)
            if name == "href":
                self.links.append(value)
            if name == "id":
                self.ids.append(value)
            if name.startswith("on"):
                self.handlers.append(name)


def report_on(folder, **changes):
    """The report with other settings; the folder keeps its own."""
    kept = (folder / "params.yaml").read_text()
    try:
        return single_report(folder, load_params(write_settings(folder, **changes)), CPU)
    finally:
        (folder / "params.yaml").write_text(kept)


def assert_self_contained(text):
    page = Page(text)
    assert not page.tags & {"script", "link", "iframe", "object", "embed", "base", "form"}
    assert not page.handlers
    assert page.sources
    assert all(source.startswith("data:image/") for source in page.sources)
    assert all(link[0] == "#" and link[1:] in page.ids for link in page.links)
    assert len(page.ids) == len(set(page.ids))
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    # Drawings may name the language that they are written in, and fetch nothing.
    drawings = "".join(source for source in page.sources if source.startswith("data:image/svg"))
    assert not re.search(r"%3C(script|image|foreignObject)|url%28(?!%23)", drawings)


# The single run


def test_the_page_needs_nothing_else(written):
    assert_self_contained((written / "report.html").read_text())


def test_equal_runs_give_equal_bytes(finished, written, tmp_path):
    write_report(single_report(finished, load_params(finished / "params.yaml"), CPU), tmp_path)
    files = sorted(path.relative_to(written) for path in written.rglob("*") if path.is_file())
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
    ends = comparison["gain"]["interval"]["balanced_accuracy"]
    comparison["gain"]["balanced_accuracy"] = 0.03
    for low, significant in ((-0.01, False), (0.01, True)):
        ends |= {"low": low, "high": 0.07}
        path.write_text(json.dumps(comparison))
        answer = report_on(tmp_path, **{"report.pictures": False}).answer
        assert ("No significant difference in balanced accuracy between WBC+ and base" in answer) != significant
        assert ("WBC+ is better than base by 3.0 points" in answer) == significant
        assert f"{100 * low:.1f} to 7.0" in answer


def test_tables_are_complete(finished, written):
    table = pd.read_csv(written / "tables.csv")
    comparison = json.loads((finished / "metrics/comparison.json").read_text())

    def value(name, row, column):
        (found,) = table.query("table == @name and row == @row and column == @column").to_dict("records")
        return found

    for model, title in (("base", "base"), ("control", "control"), ("plus", "WBC+")):
        scores = comparison[model]
        assert float(value("scores", "Accuracy, %", title)["value"]) == pytest.approx(scores["accuracy"], abs=1e-5)
        assert float(value("scores", "Temperature", title)["value"]) == pytest.approx(scores["temperature"], rel=1e-5)
        for label in CLASS_NAMES:
            f1 = float(value("classes", label, f"F1 {title}")["value"])
            assert f1 == pytest.approx(scores["classes"][label]["f1"], abs=1e-5)
    gain = value("gains", "Balanced accuracy, points", "WBC+ − base")
    interval = comparison["gain"]["interval"]["balanced_accuracy"]
    assert (gain["low"], gain["high"]) == pytest.approx((interval["low"], interval["high"]), abs=1e-5)
    assert float(value("published", "1 % of labels", "accuracy, % WBC+")["value"]) == 0.7802
    manifest = pd.read_csv(finished / "data/manifest.csv")
    n_test = ((manifest["set"] == "wbc") & (manifest["part"] == "test")).sum()
    assert int(value("data", "WBC", "held out test")["value"]) == n_test
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


# Where a model looks


class CornerNet(nn.Module):
    """Sees the upper left quarter only: the redder, the more it is of the first class."""

    def forward(self, images):
        side = images.shape[-1] // 4
        red = images[:, 0, :side, :side].mean((1, 2))
        return torch.stack([10 * red, torch.zeros_like(red)], dim=1)


@pytest.mark.parametrize("turns", range(4))
def test_heat_is_where_the_network_looks(turns):
    view = torch.zeros(3, 32, 32)
    view[0, :8, :8] = 1
    network = CornerNet()
    heat = heat_map(lambda images: network(torch.rot90(images, -turns, (2, 3))), [torch.rot90(view, turns, (1, 2))])
    upright = np.rot90(heat, -turns)
    assert upright.shape == (N_CELLS, N_CELLS)
    assert upright[:2, :2].min() > 0
    assert upright[0, 0] == upright.max()
    # A square of 2 x 2 cells reaches one cell beyond the quarter.
    assert np.all(upright[3:] == 0)
    assert np.all(upright[:, 3:] == 0)


def test_views_are_covered_at_the_same_place():
    seen = []

    def classify(small, large):
        seen.append((small, large))
        return torch.zeros(len(small), 2)

    heat_map(classify, [torch.rand(3, 16, 16), torch.rand(3, 64, 64)])
    assert sum(len(small) for small, _ in seen) == 1 + (N_CELLS + 1) ** 2
    for small, large in seen[1:]:
        hidden = [(images == images.mode(3)[0].mode(2)[0][..., None, None]).all(1) for images in (small, large)]
        assert torch.equal(hidden[0].repeat_interleave(4, 1).repeat_interleave(4, 2), hidden[1])


def test_both_networks_can_be_asked():
    torch.manual_seed(0)
    views = [torch.rand(3, side, side) for side in (32, 64, 32)]
    networks = (WbcNet(5), WbcPlusNet(PrccAutoencoder().encoder, Cam16Net(freeze=True)))
    for network in networks:
        heat = heat_map(classifier_of(network.eval()), views)
        assert heat.shape == (N_CELLS, N_CELLS)
        assert np.isfinite(heat).all()
        assert np.ptp(heat) > 0


def test_spotlight_fades_what_does_not_count():
    heat = np.zeros((N_CELLS, N_CELLS))
    heat[:2, :2] = 1
    lit = np.asarray(spotlight(np.zeros((32, 32, 3), np.uint8), heat))
    assert lit.shape == (TILE, TILE, 3)
    assert lit[5, 5].max() < 40
    assert lit[-5, -5].min() > 180
    assert np.asarray(spotlight(np.zeros((32, 32, 3), np.uint8), np.zeros((8, 8)))).min() > 180  # nothing counts


def test_disagreements_begin_with_the_clearest():
    def answer(actual, predicted, probability):
        return {"actual": actual, "predicted": predicted, "a": probability, "b": 1 - probability}

    right = [answer("a", "a", 0.6), answer("a", "a", 0.9), answer("b", "a", 0.8), answer("b", "b", 0.1)]
    wrong = [answer("a", "b", 0.4), answer("a", "b", 0.2), answer("b", "b", 0.3), answer("b", "b", 0.1)]
    assert disagreements(right, wrong) == [1, 0]
    assert disagreements(wrong, right) == [2]


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
                table = pd.DataFrame(parts, columns=CLASS_NAMES)
                table.insert(0, "predicted", [CLASS_NAMES[number] for number in parts.argmax(axis=1)])
                table.insert(0, "actual", [CLASS_NAMES[number] for number in labels])
                table.to_csv(cell / f"{model}.csv", index=False)
                probabilities[model].append(parts)
                scores[model] = score(parts, labels, CLASS_NAMES) | {"temperature": 1.5, "ece_calibrated": 0.1}
                rows.append({"split": split, "seed": seed, "model": model} | {k: scores[model][k] for k in HEADLINE})
            (cell / "comparison.json").write_text(json.dumps(scores))
        gains = {}
        for name, (first, second) in GAINS.items():
            gains[name] = compare(np.stack(probabilities[first]), np.stack(probabilities[second]), labels)
            for interval in gains[name]["interval"].values():
                interval["p_holm"] = interval["p"]
        means = {model: {kind: dict.fromkeys(HEADLINE, 0.5) for kind in ("mean", "std")} for model in skill}
        splits[str(split)] = {"seeds": [0, 1], "images": n_images, "models": means, "gains": gains}
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
        for model in split["models"].values():
            model["std"] = dict.fromkeys(HEADLINE)
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    table = pd.read_csv(tmp_path / "table.csv")
    table[table["seed"] == 0].to_csv(tmp_path / "table.csv", index=False)
    assert_self_contained(render(study_report(tmp_path)))


def test_a_study_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(LeukoError, match="make study"):
        study_report(tmp_path)
