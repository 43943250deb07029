"""What was imported goes through the pipeline: every kind to a trained network, two of them to the report."""

import json

import pytest
import yaml

from leuko.importers.kinds import KINDS
from leuko.models.build import load_model
from tests.conftest import run_stage, tiny_settings, write_settings
from tests.importing import FIVE, run_import
from tests.test_importers import draw
from tests.test_pipeline import ENTRY, ONE_ENTRY, STAGES, TINY_TRAINING, lay_out

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


def test_one_command_runs_from_an_import_to_the_report(tmp_path):
    repository = lay_out(tmp_path / "repository")
    for number, kind in enumerate(("folders", "tiles", "pcam")):
        _, words = draw(kind, tmp_path / kind)
        run_import(*words, "--out", repository.folder / "data/mine", *["--add"] * bool(number))
    settings = tiny_settings(**TINY_TRAINING, **ONE_ENTRY, data_root="data/mine")
    (repository.folder / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    repository.dvc("repro")
    comparison = repository.json("metrics/comparison.json")
    assert {"base", "plus", "blood"} <= comparison["arms"].keys()
    assert comparison["left_out"] == {}


def test_cells_alone_come_to_a_report(tmp_path):
    _, words = draw("medmnist", tmp_path / "source")
    run_import(*words, "--out", tmp_path / "data")
    write_settings(tmp_path, **TINY_TRAINING, **ONE_ENTRY, data_root=str(tmp_path / "data"), model="base")
    for name, stage in STAGES.items():
        if name == "demo":
            continue
        for entry in [ENTRY] if "${key}" in stage["cmd"] else [None]:
            run_stage(name, tmp_path, *filter(None, [entry]))
    comparison = json.loads((tmp_path / "metrics/comparison.json").read_text())
    assert {"base", "blood"} <= comparison["arms"].keys()
    assert comparison["left_out"].keys() == {"plus"}
    assert comparison["left_out"]["plus"] in (tmp_path / "reports/report.html").read_text()
