"""The study: which cells, how they run, what is kept of them, and how it goes on after whatever stopped it.

Most tests run a pipeline of drawn numbers under the real DVC, which takes seconds; the last one runs the real pipeline.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from leuko.arms import PUBLISHED, arms
from leuko.core.classes import SUBSETS
from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params
from leuko.evaluation.scores import HEADLINE
from leuko.study.cells import ORIGIN, RESULTS, Cell
from tests.conftest import REPOSITORY, TINY, write_settings
from tests.course import draw_course, make_manifest

pytestmark = pytest.mark.slow

STAND_IN = '''\
"""Draws what the stages would write. Beyond the project, SWITCHES holds files that make a cell fail or hang."""
import csv, json, os, pathlib, random, sys, time
import yaml

def write(path, text):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)

COLUMNS = "epoch,lr,train_loss,train_accuracy,val_loss,val_accuracy,val_balanced_accuracy,best"
HISTORY = COLUMNS + "\\n1,0.1,1,0.5,1,0.5,0.5,1\\n"

stage = sys.argv[1]
params = yaml.safe_load(open("params.yaml"))
with open(os.environ["SWITCHES"] + "/calls", "a") as calls:
    print(stage, params["split"], params["seed"], params["ingest"]["subset_seed"], file=calls)
if stage == "ingest":
    write("data/manifest.csv", str(params["ingest"]))
    write("data/pretraining.csv", "the same whatever the subsets are")
elif stage != "evaluate":
    name = stage.removeprefix("train_")
    write(f"plots/history/{name}.csv", HISTORY)
    write(f"metrics/{name}.json", "{}")
else:
    cell = f"split{params['split']}-seed{params['seed']}"
    while os.path.exists(os.environ["SWITCHES"] + "/hang-" + cell):
        write(os.environ["SWITCHES"] + "/hanging-" + cell, "")
        time.sleep(0.1)
    if os.path.exists(os.environ["SWITCHES"] + "/fail-" + cell):
        sys.exit("It fails as it was told to.")
    classes = ["Basophil", "Eosinophil", "Lymphocyte", "Monocyte", "Neutrophil"]
    for name in ("wbc", "control", "wbc_plus", "transfer/scratch"):
        write(f"plots/history/{name}.csv", HISTORY)
    scores = {}
    on = params["families"]
    skills = {"base": 0.3, "control": 0.3, "plus": 0.9} if on["published"] else {}
    for model, skill in (skills | ({"scratch": 0.5} if on["transfer"] else {})).items():
        chance = random.Random(f"{model} {cell}")
        rows = ["path,group,actual,predicted," + ",".join(classes)]
        for image in range(50):
            actual = classes[image % 5]
            predicted = actual if chance.random() < skill else chance.choice(classes)
            probabilities = ["0.6" if label == predicted else "0.1" for label in classes]
            rows.append(",".join([f"{image}.jpg", "", actual, predicted, *probabilities]))
        write(f"plots/predictions/{model}.csv", "\\n".join(rows) + "\\n")
        keys = ("accuracy", "balanced_accuracy", "macro_f1", "loss", "ece", "ece_calibrated", "auroc", "kappa")
        scores[model] = dict.fromkeys(keys, chance.random()) | {"temperature": 1.0}
        per_class = dict.fromkeys(("precision", "recall", "f1"), chance.random()) | {"images": 10}
        scores[model]["classes"] = dict.fromkeys(classes, per_class)
    write("metrics/comparison.json", json.dumps({"arms": scores, "gains": {}, "left_out": {}}))
    write("metrics/metrics.json", json.dumps(next(iter(scores.values()))))
'''


def _stage(name: str, *, deps: tuple[str, ...], params: list[str], outs: list[str], metrics: list[str]) -> dict:
    return {
        "cmd": f"python stages/stand_in.py {name}",
        "deps": ["stages/stand_in.py", *deps],
        "params": params,
        "outs": [{out: {"cache": False}} for out in outs],
        "metrics": [{metric: {"cache": False}} for metric in metrics],
    }


PIPELINE = {
    "stages": {
        "ingest": _stage(
            "ingest",
            deps=("${data_root}",),
            params=["ingest"],
            outs=["data/manifest.csv", "data/pretraining.csv"],
            metrics=[],
        ),
        **{
            f"train_{name}": _stage(
                f"train_{name}",
                deps=("data/pretraining.csv",),
                params=[name],
                outs=[f"plots/history/{name}.csv"],
                metrics=[f"metrics/{name}.json"],
            )
            for name in ("prcc", "cam16")
        },
        "pretrain": _stage(
            "pretrain",
            deps=("data/pretraining.csv",),
            params=["pretrain"],
            outs=["plots/history/pretrain.csv"],
            metrics=[],
        ),
        "evaluate": _stage(
            "evaluate",
            deps=("data/manifest.csv", "metrics/prcc.json", "metrics/cam16.json"),
            params=["split", "seed", "wbc", "families"],
            outs=[
                "plots/predictions",
                *(f"plots/history/{name}.csv" for name in ("wbc", "control", "wbc_plus", "transfer/scratch")),
            ],
            metrics=["metrics/metrics.json", "metrics/comparison.json"],
        ),
    }
}


ARMS = {*(arm.key for arm in PUBLISHED), "scratch"}
"""Which arms the stand-in draws."""


class Workspace:
    """A repository with a pipeline, in which studies run."""

    def __init__(self, folder: Path, switches: Path):
        self.folder = folder
        self.switches = switches
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DVC_"))},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(switches / "site cache"),
            "SWITCHES": str(switches),
            **{f"GIT_{who}_{what}": "test@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }

    def call(self, *command: str, fails: bool = False) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout

    def study(self, *options: str, fails: bool = False) -> str:
        return self.call(sys.executable, "-m", "leuko", "study", *options, fails=fails)

    def start(self, *options: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "leuko", "study", *options]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def commit(self) -> None:
        self.call("git", "add", "--all")
        self.call("git", "commit", "--quiet", "--message", "State")

    def calls(self, stage: str) -> list[str]:
        """What a stage was called with, call by call: split, seed and the seed of the subset."""
        lines = (self.switches / "calls").read_text().splitlines()
        return [line.removeprefix(f"{stage} ") for line in lines if line.startswith(f"{stage} ")]

    def cells(self) -> set[str]:
        return {path.name for path in (self.folder / "study/cells").iterdir()}

    def switch(self, name: str, on: bool) -> None:
        (self.switches / name).touch() if on else (self.switches / name).unlink()


def make_workspace(root: Path) -> Workspace:
    workspace = Workspace(root / "workspace", root / "switches")
    (root / "images").mkdir(parents=True)
    (root / "images/one.jpg").write_text("an image")
    workspace.switches.mkdir()
    (workspace.folder / "stages").mkdir(parents=True)
    (workspace.folder / "stages/stand_in.py").write_text(STAND_IN)
    (workspace.folder / "dvc.yaml").write_text(yaml.safe_dump(PIPELINE))
    (workspace.folder / "leuko").mkdir()
    (workspace.folder / "leuko/.gitkeep").touch()
    (workspace.folder / ".gitignore").write_text("/study/logs/\n")
    write_settings(workspace.folder, data_root=str(root / "images"))
    workspace.call("git", "init", "--quiet", "--initial-branch", "main")
    workspace.call(sys.executable, "-m", "dvc", "init", "--quiet")
    workspace.commit()
    return workspace


@pytest.fixture
def workspace(tmp_path):
    return make_workspace(tmp_path)


def wait_for(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


# The grid.


def test_a_cell_names_its_experiment_and_its_settings():
    assert Cell(10, 3).experiment == "study-split10-seed3"
    assert Cell(100, 3).settings == {"split": 100, "seed": 3}
    assert Cell(1, 3).settings == {"split": 1, "seed": 3, "ingest.subsets": "drawn", "ingest.subset_seed": 3}


@pytest.mark.parametrize("seed", range(3))
def test_redrawn_subsets_bring_their_masks_and_change_nothing_else(tmp_path, seed):
    root = draw_course(tmp_path, train=30, masked=10)
    folders = make_manifest(root, **TINY["ingest"])
    drawn = make_manifest(root, **TINY["ingest"] | {"subsets": "drawn", "subset_seed": seed})
    others = make_manifest(root, **TINY["ingest"] | {"subsets": "drawn", "subset_seed": seed + 1})
    of_subsets = ["subset", "mask_subset"]
    for manifest in (drawn, others):
        pd.testing.assert_frame_equal(manifest.drop(columns=of_subsets), folders.drop(columns=of_subsets))
    assert (drawn["subset"] != others["subset"]).any()
    train = (drawn["set"] == "wbc") & (drawn["part"] == "train")
    assert (drawn[~train][of_subsets] == 0).all(axis=None)
    for manifest in (drawn, folders):
        sizes = [(manifest[train]["subset"] <= subset).sum() for subset in SUBSETS]
        assert sizes == [5, 15, 75, 150]
    masked = drawn[train]["mask"] != ""
    assert (drawn[train]["mask_subset"] == drawn[train]["subset"].where(masked, 0)).all()


# Running it.


def test_a_study_runs_fails_goes_on_and_notices_what_changed(workspace):
    # An edit that is not committed is part of the study; the workspace's files stay as they are.
    settings = workspace.folder / "params.yaml"
    settings.write_text(settings.read_text() + "# edited\n")
    before = (settings.read_text(), settings.stat().st_mtime_ns, workspace.call("git", "status", "--porcelain"))
    workspace.switch("fail-split10-seed0", on=True)
    said = workspace.study("--splits", "1", "10", "--seeds", "2", fails=True)
    assert workspace.cells() == {"split1-seed0", "split1-seed1", "split10-seed1"}
    assert "split10-seed0 failed" in said
    assert "1 of 4 cells failed" in said
    assert "It fails as it was told to." in said
    status = workspace.call("git", "status", "--porcelain")
    assert (settings.read_text(), settings.stat().st_mtime_ns, re.sub(r"\?\? (study|reports)/\n", "", status)) == before
    for name in workspace.cells():
        folder = workspace.folder / "study/cells" / name
        assert {path.name for path in folder.iterdir()} == {*RESULTS.values(), ORIGIN}
        assert {path.stem for path in (folder / "predictions").iterdir()} == ARMS
    # Every seed has a subset of its own; what all share was made once.
    assert workspace.calls("evaluate") == ["1 0 0", "10 0 0", "1 1 1", "10 1 1"]
    assert len(workspace.calls("train_prcc")) == len(workspace.calls("train_cam16")) == 1

    workspace.switch("fail-split10-seed0", on=False)
    workspace.study("--splits", "1", "10", "--seeds", "2", "--tag")
    assert workspace.calls("evaluate")[4:] == ["10 0 0"]
    summary = json.loads((workspace.folder / "study/summary.json").read_text())["splits"]
    assert list(summary) == ["1", "10"]
    table = pd.read_csv(workspace.folder / "study/table.csv")
    assert list(table.columns) == ["split", "seed", "model", *HEADLINE]
    for split, part in summary.items():
        assert (part["seeds"], part["images"]) == ([0, 1], 50)
        for model in ARMS:
            scores = table[(table["split"] == int(split)) & (table["model"] == model)]["accuracy"]
            assert part["arms"][model]["mean"]["accuracy"] == pytest.approx(scores.mean(), rel=1e-5)
            assert part["arms"][model]["std"]["accuracy"] == pytest.approx(scores.std(), rel=1e-4)
        gain = part["gains"]["gain"]
        assert 0 < gain["interval"]["accuracy"]["low"] < gain["accuracy"] < gain["interval"]["accuracy"]["high"]
        assert gain["interval"]["accuracy"]["p"] <= gain["interval"]["accuracy"]["p_holm"] <= 0.05
        assert gain["words"].startswith("WBC+ is better than base")

    # Nothing is left to do, and lost files come back from the experiment.
    shutil.rmtree(workspace.folder / "study/cells/split1-seed0")
    (workspace.folder / "study/cells/split1-seed1/comparison.json").unlink()
    assert "4 of 4 cells are there" in workspace.study("--splits", "1", "10", "--seeds", "2")
    assert len(workspace.calls("evaluate")) == 5
    assert json.loads((workspace.folder / "study/summary.json").read_text())["splits"] == summary

    # Other settings: the one cell of them is made anew and is alone in the summary.
    said = workspace.study("--splits", "10", "--seed-list", "1", "--set", "wbc.epochs=3")
    assert "split10-seed1 is to be made anew: wbc.epochs is 2, not 3" in said
    assert workspace.calls("evaluate")[5:] == ["10 1 1"]
    summary = json.loads((workspace.folder / "study/summary.json").read_text())["splits"]
    assert {split: part["seeds"] for split, part in summary.items()} == {"10": [1]}

    # A fresh clone has the tagged commits and, once committed, the cells; it needs no cache.
    workspace.commit()
    clone = Workspace(workspace.folder.parent / "clone", workspace.switches)
    workspace.call("git", "clone", "--quiet", str(workspace.folder), str(clone.folder))
    assert "accuracy" in clone.call("dvc", "metrics", "diff", "study/split1-seed0", "study/split10-seed0")
    said = clone.study("--merge", fails=True)
    assert "wbc.epochs is 3, not 2" in said


def test_families_come_one_after_the_other_and_with_as_many_seeds_as_they_may_take(workspace):
    def seeds_of_arms() -> dict[str, list[int]]:
        part = json.loads((workspace.folder / "study/summary.json").read_text())["splits"]["10"]
        return {arm: found["seeds"] for arm, found in part["arms"].items()}

    grid = ("--splits", "10", "--seeds", "2")
    workspace.study(*grid, "--families", "transfer")
    assert seeds_of_arms() == {"scratch": [0, 1]}
    # The published family joins one seed; the other has what it needs.
    said = workspace.study(*grid, "--families", "published,transfer", "--published-seeds", "1")
    assert "split10-seed0 is to be made anew: no arms of the published family" in said
    assert workspace.calls("evaluate") == ["10 0 0", "10 1 1", "10 0 0"]
    assert seeds_of_arms() == {"base": [0], "control": [0], "plus": [0], "scratch": [0, 1]}
    # Nothing that is there goes: a cell gets the families that it lacks, and more than it needs do no harm.
    workspace.study("--splits", "10", "--seed-list", "1", "--families", "published")
    everywhere = {arm: [0, 1] for arm in ARMS}
    assert seeds_of_arms() == everywhere
    assert "2 of 2 cells are there" in workspace.study(*grid, "--families", "transfer")
    assert len(workspace.calls("evaluate")) == 4
    assert seeds_of_arms() == everywhere
    assert "there are published, transfer" in workspace.study("--families", "transfers", fails=True)


def test_bad_settings_are_refused_before_anything_runs(workspace):
    said = workspace.study("--seeds", "1", "--set", "wbc.lr=fast", fails=True)
    assert "wbc.lr: 'fast' is not allowed" in said
    said = workspace.study("--seeds", "1", "--set", "data_root=images", fails=True)
    assert "Does data_root want an absolute path?" in said
    assert not (workspace.folder / "study/cells").exists()


def test_a_killed_study_goes_on(workspace):
    grid = ("--splits", "10", "--seeds", "2")
    lock = workspace.folder / ".dvc/tmp/study.lock"

    def start_and_kill(cell: str) -> int:
        workspace.switch(f"hang-{cell}", on=True)
        with workspace.start(*grid) as study:
            wait_for(lambda: (workspace.switches / f"hanging-{cell}").exists())
            study.kill()
        return int(lock.read_text())

    # Its cell goes on alone; meanwhile no other study starts, and the next one takes the result over.
    process = start_and_kill("split10-seed0")
    assert "A study is running here" in workspace.study(*grid, fails=True)
    workspace.switch("hang-split10-seed0", on=False)
    wait_for(lambda: int(lock.read_text()) != process or not Path(f"/proc/{process}").exists())

    # Killed together with its cell, it has left a lock of Git.
    os.killpg(start_and_kill("split10-seed1"), signal.SIGKILL)
    assert workspace.cells() == {"split10-seed0"}
    (workspace.folder / ".dvc/tmp/study/.git/index.lock").touch()
    workspace.switch("hang-split10-seed1", on=False)
    assert "1 of 2 cells are there" in workspace.study(*grid)
    assert workspace.cells() == {"split10-seed0", "split10-seed1"}
    assert workspace.calls("evaluate") == ["10 0 0", "10 1 1", "10 1 1"]


def test_stopped_from_the_keyboard_it_says_how_to_go_on(workspace):
    workspace.switch("hang-split10-seed0", on=True)
    with workspace.start("--splits", "10", "--seeds", "1") as stopped:
        wait_for(lambda: (workspace.switches / "hanging-split10-seed0").exists())
        process = int((workspace.folder / ".dvc/tmp/study.lock").read_text())
        stopped.send_signal(signal.SIGINT)
        said, _ = stopped.communicate(timeout=60)
    assert stopped.returncode == 1
    assert "the same command goes on from there" in said
    assert "Traceback" not in said
    assert not Path(f"/proc/{process}").exists()


# Cells from elsewhere.


def test_printed_commands_make_cells_that_can_be_merged(workspace, tmp_path):
    printed = workspace.study("--splits", "1", "10", "--seeds", "1", "--set", "wbc.epochs=3", "--print-commands")
    commands = [line for line in printed.splitlines() if not line.startswith("#")]
    assert len(commands) == 2
    workspace.call("bash", "-n", "-c", printed)
    for command in commands:
        subprocess.run(["bash", "-c", command], cwd=tmp_path, env=workspace.environment, check=True)
    assert len(workspace.calls("train_prcc")) == 1
    folders = [str(tmp_path / f"study-{name}") for name in ("split1-seed0", "split10-seed0")]
    assert "2 cells were copied" in workspace.study("--merge", folders[0], f"{folders[1]}/study")
    assert workspace.cells() == {"split1-seed0", "split10-seed0"}

    cells = tmp_path / "study-split10-seed0/study/cells"
    foreign = (cells / "split10-seed0").rename(cells / "split10-seed1")
    for name, old, new in (
        ("params.yaml", "epochs: 3", "epochs: 4"),
        (ORIGIN, '"data": "', '"data": "0'),
        (ORIGIN, '"code": "', '"code": "0'),
    ):
        (foreign / name).write_text((foreign / name).read_text().replace(old, new))
    said = workspace.study("--merge", folders[1], fails=True)
    for reason in ("wbc.epochs is 4, not 3", "other images", "other code"):
        assert reason in said
    assert workspace.cells() == {"split1-seed0", "split10-seed0"}

    (workspace.folder / "params.yaml").write_text((workspace.folder / "params.yaml").read_text() + "# edited\n")
    assert "commit them first" in workspace.study("--print-commands", fails=True)


# The real pipeline.


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
