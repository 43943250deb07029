"""What was imported goes through the pipeline: every kind to a trained network, two of them to the report."""

import pytest
import yaml

from leuko.importers.kinds import KINDS
from leuko.models.build import load_model
from tests.conftest import run_stage, tiny_settings, write_settings
from tests.importing import FIVE, run_import
from tests.test_importers import draw
from tests.test_pipeline import TINY_TRAINING, lay_out

CELLS = [kind for kind in KINDS if KINDS[kind].of_set == "wbc"]
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", CELLS)
def test_a_network_is_trained_on_every_kind(kind, tmp_path):
    _, words = draw(kind, tmp_path / "source")
    run_import(*words, "--out", tmp_path / "data")
    write_settings(tmp_path, data_root=str(tmp_path / "data"), **TINY_TRAINING)
    for stage in ("ingest", "measure"):
        run_stage(stage, tmp_path)
    for stage in ("pretrain", "finetune"):
        run_stage(stage, tmp_path, "scratch")
    assert load_model(tmp_path / "models/transfer/scratch.safetensors")[1]["classes"] == list(FIVE)


@pytest.mark.parametrize("kinds", [("folders", "tiles", "pcam"), ("medmnist",)], ids=["with tissue", "cells alone"])
def test_one_command_runs_from_an_import_to_the_report(kinds, tmp_path):
    repository = lay_out(tmp_path / "repository")
    for number, kind in enumerate(kinds):
        _, words = draw(kind, tmp_path / kind)
        run_import(*words, "--out", repository.folder / "data/mine", *["--add"] * bool(number))
    settings = tiny_settings(**TINY_TRAINING, data_root="data/mine", model="base")
    (repository.folder / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    repository.dvc("repro")
    comparison = repository.json("metrics/comparison.json")
    assert "base" in comparison["arms"]
    assert set(comparison["left_out"]) == (set() if "pcam" in kinds else {"plus"})
