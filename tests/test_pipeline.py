"""The whole pipeline under DVC, in a repository of its own: run once, then probed and changed step by step."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from leuko.models.build import load_model
from leuko.models.store import read_tensors
from leuko.packs.reading import read_rows
from tests.conftest import REPOSITORY, TINY, tiny_settings, write_settings
from tests.test_dvc_yaml import outputs_of
from tools.import_graph import stages_of

pytestmark = pytest.mark.slow

# The tiny settings name no other laboratory.
STAGES = {name: stage for name, stage in stages_of(REPOSITORY).items() if "external" not in name}
CODE = ("leuko", "stages", "dvc.yaml", ".dvc/config", ".dvc/.gitignore", ".dvc/plots", ".dvcignore", ".gitignore")
DVC = (sys.executable, "-m", "dvc")
DVCS_OWN = ((".dvc", "cache"), (".dvc", "tmp"))
TINY_TRAINING = {
    f"{network}.{key}": value
    for network in ("prcc", "cam16", "wbc", "wbc_plus", "pretrain", "finetune")
    for key, value in (("epochs", 1), ("min_steps", 3))
}
READERS_OF_ALL = {"check_settings", "report"}  # of the file of settings as a whole
ENTRY = "blood"
ALL_IN_ONE = """
import importlib, sys
for words in map(str.split, sys.argv[1:]):
    sys.argv = words
    importlib.import_module("stages." + words[0]).main()
"""
"""Runs stages one after the other in one process, whose libraries are set up as those of a stage are."""

ONE_ENTRY = {"transfer": {ENTRY: TINY["transfer"][ENTRY]}}


@dataclass
class Repository:
    """A Git repository with the pipeline.

    Attributes:
        folder: where it is.
        given: the files before the first run.
        first_run: what the first run wrote on the terminal.
    """

    folder: Path
    given: frozenset[Path] = frozenset()
    first_run: str = ""

    def call(self, *command: str, fails: bool = False) -> str:
        """Run a command in the repository; what it wrote.

        Args:
            command: and its arguments.
            fails: whether it must fail.
        """
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DVC_"))},
            # Stages run `python`, which shall be the one that runs the tests.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            # Everything is small here too.
            "OMP_NUM_THREADS": "1",
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(self.folder.parent / "site cache"),
            **{f"GIT_{who}_{what}": "test@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }
        process = subprocess.run(
            command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert (process.returncode != 0) == fails, process.stdout
        return process.stdout

    def dvc(self, *arguments: str, fails: bool = False) -> str:
        return self.call(*DVC, *arguments, fails=fails)

    def commit(self) -> None:
        self.call("git", "add", "--all")
        self.call("git", "commit", "--quiet", "--message", "State")

    def json(self, path: str):
        return json.loads((self.folder / path).read_text())

    def lock(self) -> bytes:
        return (self.folder / "dvc.lock").read_bytes()


def stages_run(output: str) -> set[str]:
    return set(re.findall(r"Running stage '(\w+)", output))


def lay_out(folder: Path) -> Repository:
    """A repository of the pipeline with tiny settings, committed, in which nothing has run yet."""
    for path in CODE:
        source, target = REPOSITORY / path, folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "offline.html"))
        else:
            shutil.copyfile(source, target)
    write_settings(folder, **TINY_TRAINING, **ONE_ENTRY)
    repository = Repository(folder)
    repository.call("git", "init", "--quiet")
    repository.commit()
    repository.given = frozenset(map(Path, repository.call("git", "ls-files").splitlines()))
    return repository


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Repository:
    """A repository of the pipeline with tiny settings, after its first run, committed."""
    repository = lay_out(tmp_path_factory.mktemp("pipeline") / "repository")
    repository.first_run = repository.dvc("repro")
    repository.commit()
    return repository


# After the first run.


def test_one_command_runs_every_stage(repository):
    assert stages_run(repository.first_run) == STAGES.keys()


def declared_outputs() -> list[str]:
    return [path.replace("${key}", ENTRY) for stage in STAGES.values() for path in outputs_of(stage)]


def test_every_declared_output_is_there(repository):
    outputs = [repository.folder / path for path in declared_outputs()]
    assert outputs
    for path in outputs:
        assert path.exists(), path
        assert path.is_file() or any(path.iterdir()), path
        assert path.is_dir() or path.stat().st_size > 0, path


def test_stages_write_nothing_but_their_outputs(repository):
    # What DVC keeps is ignored by Git, all else was committed.
    ignored = repository.call("git", "ls-files", "--others", "--ignored", "--exclude-standard").splitlines()
    in_git = repository.call("git", "ls-files").splitlines()
    written = {Path(path) for path in (*in_git, *ignored)} - repository.given
    outputs = [Path(path) for path in declared_outputs()]
    strays = {path for path in written if not any(path.is_relative_to(out) for out in outputs)}
    strays = {path for path in strays if path.name != ".gitignore" and path.parts[:2] not in DVCS_OWN}
    strays = {path for path in strays if path.parent.name != "__pycache__"}
    assert strays == {Path("dvc.lock")}


def test_metrics_are_the_headline_of_the_chosen_model(repository):
    metrics, comparison = repository.json("metrics/metrics.json"), repository.json("metrics/comparison.json")
    assert len(metrics) >= 3
    assert metrics == {name: comparison["arms"]["plus"][name] for name in metrics}
    for name, value in metrics.items():
        gain = value - comparison["arms"]["base"][name]
        assert comparison["gains"]["gain"][name] == pytest.approx(gain, abs=1e-9)


def test_predictions_are_those_that_were_scored_on_the_same_images(repository):
    comparison = repository.json("metrics/comparison.json")["arms"]
    rows = read_rows(repository.folder / "data/packs/wbc/test")
    plots = repository.folder / "plots/predictions"
    for path in plots.glob("*.csv"):
        table = pd.read_csv(path)
        assert list(table["path"]) == list(rows["path"])
        assert list(table["actual"]) == list(rows["class"])
        name = "plus" if path.stem == "model" else path.stem
        assert (table["actual"] == table["predicted"]).mean() == pytest.approx(comparison[name]["accuracy"])
        np.testing.assert_allclose(table[list(comparison[name]["classes"])].sum(axis=1), 1, atol=1e-5)
    assert (plots / "model.csv").read_bytes() == (plots / "plus.csv").read_bytes()


def test_histories_have_a_row_for_every_epoch_and_one_best(repository):
    for path in (repository.folder / "plots/history").glob("*.csv"):
        history = pd.read_csv(path)
        assert list(history["epoch"]) == [1]
        assert list(history["best"]) == [1]


def test_the_frozen_networks_are_the_pretrained_ones_to_the_bit(repository):
    models = repository.folder / "models"
    plus, prcc, cam16 = (read_tensors(models / f"{name}.safetensors") for name in ("wbc_plus", "prcc", "cam16"))
    pretrained = {name: tensor for name, tensor in prcc.items() if name.startswith("encoder.")}
    pretrained |= {f"cam16.{name}": tensor for name, tensor in cam16.items()}
    frozen = {name: tensor for name, tensor in plus.items() if name.startswith(("encoder.", "cam16."))}
    assert frozen.keys() == pretrained.keys()
    for name, tensor in frozen.items():
        assert tensor.equal(pretrained[name]), name
    assert any(name.startswith("decoder.") for name in prcc)
    assert not any("decoder" in name for name in plus)


def test_every_model_says_how_it_was_made(repository):
    settings = yaml.safe_load((repository.folder / "params.yaml").read_text())
    for path in (repository.folder / "models").glob("*.safetensors"):
        _, config = load_model(path)
        recipes = [settings[name] for name in ("prcc", "cam16", "wbc", "wbc_plus", "pretrain", "finetune")]
        assert any(recipe.items() <= config["recipe"].items() for recipe in recipes)
        assert "split" not in config or config["split"] == settings["split"]


def test_a_second_run_has_nothing_to_do(repository):
    output = repository.dvc("repro")
    assert stages_run(output) == set()
    assert "up to date" in output
    assert repository.call("git", "status", "--porcelain") == ""


def test_plots_are_drawn_into_a_page_that_needs_no_network(repository):
    repository.dvc("plots", "show", "--out", "dvc_plots")
    page = (repository.folder / "dvc_plots/index.html").read_text()
    assert "balanced accuracy" in page
    assert not re.search(r"<script[^>]*src=.?https?://", page)
    shutil.rmtree(repository.folder / "dvc_plots")


# Changes, each from the committed state.


@pytest.fixture
def clean(repository):
    """The repository, put back to its committed state afterwards."""
    yield repository
    repository.call("git", "reset", "--quiet", "--hard")
    repository.dvc("checkout", "--quiet", "--force")


def test_another_split_trains_on_it_and_another_model_changes_the_headline_only(clean):
    comparison, before = clean.json("metrics/comparison.json"), clean.json("metrics/metrics.json")
    output = clean.dvc("exp", "run", "-S", "split=50", "evaluate")
    data = {"demo", "ingest", "prepare_masks", "augment", "measure"}
    assert stages_run(output) >= {"train_wbc", "train_wbc_plus", "finetune", "probe", "evaluate"}
    assert not stages_run(output) & {*data, "train_prcc", "train_cam16", "pretrain"}
    assert load_model(clean.folder / "models/wbc.safetensors")[1]["split"] == 50
    assert clean.json("metrics/comparison.json") != comparison
    # DVC remembers what came of the earlier settings, and no training reads which model the headline is of.
    output = clean.dvc("exp", "run", "-S", "split=100", "-S", "model=base", "evaluate")
    trainings = {name for name in STAGES if name.startswith("train_")} | {"pretrain", "finetune", "probe"}
    assert "evaluate" in stages_run(output)
    assert not stages_run(output) & {*trainings, *data}
    assert load_model(clean.folder / "models/wbc.safetensors")[1]["split"] == 100
    assert clean.json("metrics/comparison.json") == comparison
    after = clean.json("metrics/metrics.json")
    assert after == {name: comparison["arms"]["base"][name] for name in before}
    assert after != before
    plots = clean.folder / "plots/predictions"
    assert (plots / "model.csv").read_bytes() == (plots / "base.csv").read_bytes()


@pytest.mark.parametrize(
    ("path", "old", "new", "concerned"),
    [
        ("params.yaml", "  regularization:", "  # edited\n  regularization:", READERS_OF_ALL),
        ("params.yaml", "propagate_upto: 1", "propagate_upto: 10", {"probe", "audit", *READERS_OF_ALL}),
        ("leuko/training/finetune.py", '"""', '"""Edited: ', {"finetune@blood"}),
        ("leuko/training/plus.py", '"""', '"""Edited: ', {"train_wbc_plus", "train_control"}),
        ("leuko/report/page.py", '"""', '"""Edited: ', {"report"}),
        ("leuko/morphology/figure.py", '"""', '"""Edited: ', {"measure"}),
    ],
)
def test_an_edit_concerns_the_stages_that_read_what_was_edited(clean, path, old, new, concerned):
    file = clean.folder / path
    file.write_text(file.read_text().replace(old, new, 1))
    assert json.loads(clean.call(*DVC, "status", "--json")).keys() == concerned


def test_a_split_that_does_not_exist_is_refused_with_the_reason(clean):
    before = clean.lock()
    output = clean.dvc("exp", "run", "-S", "split=7", fails=True)
    assert "split: 7 is not allowed; input should be 1, 10, 50 or 100" in output
    assert "Traceback" not in output
    assert clean.lock() == before


def test_a_setting_that_no_stage_reads_is_refused_too(clean):
    settings = tiny_settings(**TINY_TRAINING, **ONE_ENTRY) | {"modle": "base"}
    (clean.folder / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    output = clean.dvc("repro", fails=True)
    assert "modle: unknown key; did you mean `model`?" in output


def test_a_clone_without_the_cache_repeats_every_output_to_the_byte(repository, tmp_path):
    clone = Repository(tmp_path / "repository")
    repository.call("git", "clone", "--quiet", str(repository.folder), str(clone.folder))
    assert not (clone.folder / "models/wbc.safetensors").exists()
    # All in one process, where one stage must not feel what another left there.
    stages = [f"{name} {ENTRY}" if "${key}" in stage["cmd"] else name for name, stage in STAGES.items()]
    clone.call(sys.executable, "-c", ALL_IN_ONE, *stages)
    clone.dvc("commit", "--force")
    assert clone.lock() == repository.lock()
    assert clone.call("git", "status", "--porcelain") == ""
