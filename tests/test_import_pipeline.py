"""What was imported goes through the pipeline: every kind to a trained network, two of them to the report."""

import json

import pandas as pd
import pytest

from leuko.importers.kinds import KINDS
from leuko.models.build import load_model
from leuko.prediction.table import predict_to_table
from tests.conftest import run_stage, write_settings
from tests.importing import FIVE, run_import
from tests.test_importers import draw
from tests.test_pipeline import ENTRY, ONE_ENTRY, STAGES, TINY_TRAINING

CELLS = [kind for kind in KINDS if KINDS[kind].of_set == "wbc"]
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", CELLS)
def test_a_network_is_trained_on_every_kind_and_predicts(kind, tmp_path):
    _, words = draw(kind, tmp_path / "source")
    run_import(*words, "--out", tmp_path / "data")
    write_settings(tmp_path, data_root=str(tmp_path / "data"), **TINY_TRAINING)
    for stage in ("ingest", "measure"):
        run_stage(stage, tmp_path)
    for stage in ("pretrain", "finetune"):
        run_stage(stage, tmp_path, "scratch")
    model, table = tmp_path / "models/transfer/scratch.safetensors", tmp_path / "predictions.csv"
    assert load_model(model)[1]["classes"] == list(FIVE)
    images = tmp_path / "data/WBC_test/data"
    assert predict_to_table([str(images)], model=str(model), out=str(table), device="cpu") == 0
    predictions = pd.read_csv(table, keep_default_na=False)
    assert len(predictions) == sum(path.is_file() for path in images.rglob("*"))
    assert set(predictions["predicted"]) <= set(FIVE)


@pytest.mark.parametrize("kinds", [("folders", "tiles", "pcam"), ("medmnist",)], ids=["with tissue", "cells alone"])
def test_the_stages_run_from_an_import_to_the_report(kinds, tmp_path):
    for number, kind in enumerate(kinds):
        _, words = draw(kind, tmp_path / kind)
        run_import(*words, "--out", tmp_path / "data", *["--add"] * bool(number))
    write_settings(tmp_path, **TINY_TRAINING, **ONE_ENTRY, data_root=str(tmp_path / "data"), model="base")
    for name, stage in STAGES.items():
        if name == "demo":
            continue
        for entry in [ENTRY] if "${key}" in stage["cmd"] else [None]:
            run_stage(name, tmp_path, *filter(None, [entry]))
    comparison = json.loads((tmp_path / "metrics/comparison.json").read_text())
    assert {"base", "blood"} <= comparison["arms"].keys()
    assert comparison["left_out"].keys() == (set() if "pcam" in kinds else {"plus"})
    page = (tmp_path / "reports/report.html").read_text()
    assert all(reason in page for reason in comparison["left_out"].values())
