"""A cell of the real pipeline."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from leuko.arms import arms
from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params
from tests.conftest import REPOSITORY, write_settings
from tests.studies import Workspace


@pytest.mark.slow
def test_a_cell_of_the_real_pipeline(tmp_path):
    workspace = Workspace(tmp_path / "workspace", tmp_path / "switches")
    workspace.switches.mkdir()
    for name in ("leuko", "stages", "dvc.yaml", ".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore"):
        source, target = REPOSITORY / name, workspace.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
    recipes = {f"{network}.epochs": 1 for network in ("prcc", "cam16", "wbc", "wbc_plus", "pretrain", "finetune")}
    params = write_settings(workspace.folder, **recipes)
    workspace.call("git", "init", "--quiet", "--initial-branch", "main")
    workspace.commit()
    workspace.study("--splits", "1", "--seed-list", "1")
    folder = workspace.folder / "study/cells/split1-seed1"
    settings = yaml.safe_load((folder / "params.yaml").read_text())
    assert (settings["split"], settings["seed"], settings["data_root"]) == (1, 1, "data/demo")
    comparison = json.loads((folder / "comparison.json").read_text())["arms"]
    assert {arm.key for arm in arms(load_params(Params, params).transfer)} == comparison.keys()
    for model in comparison:
        table = pd.read_csv(folder / f"predictions/{model}.csv")
        assert comparison[model]["accuracy"] == pytest.approx(np.mean(table["actual"] == table["predicted"]))
    # What all cells share was trained before, in the preparation.
    log = (workspace.folder / "study/logs/split1-seed1.log").read_text()
    for stage in ("train_prcc", "train_cam16"):
        assert f"Stage '{stage}' is cached" in log
