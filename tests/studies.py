"""A workspace for studies whose pipeline draws numbers, under the real DVC, and what tests want to know of it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import yaml

from leuko.arms import PUBLISHED
from tests.conftest import REPOSITORY, write_settings

# The report takes longer than all else; tests of the report draw it.
STUDY = (sys.executable, "-m", "leuko", "study", "--no-report")

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
elif stage == "pack_external":
    write("data/packs/external/" + sys.argv[2], os.listdir(params["external"][sys.argv[2]])[0])
elif stage == "external":
    arms = json.load(open("metrics/comparison.json"))["arms"]
    scores = {"free": {"accuracy": 0.25 + params["seed"] / 4, "balanced_accuracy": 0.5}, "fall": None}
    aligned = {"scratch": scores} if "scratch" in arms else {}
    found = {"arms": dict.fromkeys(arms, scores), "aligned": aligned}
    write(f"metrics/external/{sys.argv[2]}.json", json.dumps(found))
elif stage != "evaluate":
    name = stage.removeprefix("train_")
    write(f"plots/history/{name}.csv", HISTORY)
    write(f"metrics/{name}.json", "{}")
else:
    cell = f"split{params['split']}-seed{params['seed']}"
    if os.path.exists(".resume/epoch"):
        write(os.environ["SWITCHES"] + "/resumed-" + cell, "")
    while os.path.exists(os.environ["SWITCHES"] + "/hang-" + cell):
        write(".resume/epoch", "the last one")
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
    write("metrics/external/own.json", "{}")
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
            metrics=["metrics/metrics.json", "metrics/comparison.json", "metrics/external/own.json"],
        ),
        "pack_external": {
            "foreach": "${external}",
            "do": _stage(
                "pack_external ${key}",
                deps=("${item}",),
                params=["external.${key}"],
                outs=["data/packs/external/${key}"],
                metrics=[],
            ),
        },
        "external": {
            "foreach": "${external}",
            "do": _stage(
                "external ${key}",
                deps=("data/packs/external/${key}", "metrics/comparison.json"),
                params=["split", "seed"],
                outs=[],
                metrics=["metrics/external/${key}.json"],
            ),
        },
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
        return self.call(*STUDY, *options, fails=fails)

    def start(self, *options: str) -> subprocess.Popen:
        return subprocess.Popen(
            [*STUDY, *options],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
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

    def run_of(self, cell: str) -> int:
        """The process in whose hands a cell is."""
        return int((self.folder / f".dvc/tmp/study/study-{cell}.lock").read_text())

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


def wait_for(condition, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def alive(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
