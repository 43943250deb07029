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
from tests.test_pipeline import ENTRY, ONE_ENTRY, TINY_TRAINING


@pytest.mark.slow
def test_a_cell_of_the_real_pipeline(tmp_path):
    workspace = Workspace(tmp_path / "workspace", tmp_path / "switches")
    workspace.switches.mkdir()
    for name in ("leuko", "stages", "dvc.yaml", ".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore"):
        source, target = REPOSITORY / name, workspace.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
    params = write_settings(workspace.folder, **TINY_TRAINING, **ONE_ENTRY)
    workspace.call("git", "init", "--quiet", "--initial-branch", "main")
    workspace.commit()
    workspace.study("--splits", "1", "--seed-list", "1", "--families", "transfer")
    folder = workspace.folder / "study/cells/split1-seed1"
    settings = yaml.safe_load((folder / "params.yaml").read_text())
    assert (settings["split"], settings["seed"], settings["data_root"]) == (1, 1, "data/demo")
    comparison = json.loads((folder / "comparison.json").read_text())["arms"]
    table = arms(load_params(Params, params).transfer)
    assert comparison.keys() == {arm.key for arm in table if arm.family != "published"}
    for model in comparison:
        table = pd.read_csv(folder / f"predictions/{model}.csv")
        assert comparison[model]["accuracy"] == pytest.approx(np.mean(table["actual"] == table["predicted"]))
    # What all cells share was trained before, in the preparation.
    log = (workspace.folder / "study/logs/split1-seed1.log").read_text()
    assert f"Stage 'pretrain@{ENTRY}' is cached" in log
