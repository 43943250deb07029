"""The study: which cells, how they run, what is kept of them, and what is made anew.

A pipeline of drawn numbers runs under the real DVC; a cell of the real pipeline is in `test_pipeline`.
"""

import json
import shutil

import pandas as pd
import pytest
import yaml

from leuko.core.classes import SUBSETS
from leuko.evaluation.scores import HEADLINE
from leuko.study.cells import ORIGIN, RESULTS, Cell
from leuko.study.clone import forget_lost_folders
from tests.conftest import TINY
from tests.course import draw_course, make_manifest
from tests.studies import ARMS, Workspace, make_workspace

# The grid.


def test_a_cell_names_its_experiment_and_its_settings():
    assert Cell(10, 3).experiment == "study-split10-seed3"
    assert Cell(100, 3).settings == {"split": 100, "seed": 3}
    assert Cell(1, 3).settings == {"split": 1, "seed": 3, "ingest.subsets": "drawn", "ingest.subset_seed": 3}


def test_stages_whose_folders_the_cache_lost_are_forgotten_and_no_others(tmp_path):
    stages = {
        "kept": {"cmd": "a", "outs": [{"path": "a", "md5": "aa11.dir"}, {"path": "b", "md5": "bb22"}]},
        "lost": {"cmd": "b", "deps": [{"path": "a", "md5": "aa11.dir"}], "outs": [{"path": "c", "md5": "cc33.dir"}]},
        "last": {"cmd": "c", "deps": [{"path": "c", "md5": "cc33.dir"}]},
    }
    lock, cache = tmp_path / "dvc.lock", tmp_path / "cache"
    forget_lost_folders(lock, cache)
    assert not lock.exists()
    lock.write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}, sort_keys=False))
    (cache / "files/md5/aa").mkdir(parents=True)
    (cache / "files/md5/aa/11.dir").write_text("[]")
    forget_lost_folders(lock, cache)
    assert yaml.safe_load(lock.read_text()) == {
        "schema": "2.0",
        "stages": {name: stages[name] for name in ("kept", "last")},
    }


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_study_runs_fails_goes_on_and_notices_what_changed(tmp_path):
    workspace = make_workspace(tmp_path)
    # Bad settings are refused before anything runs.
    said = workspace.study("--set", "wbc.lr=fast", "ingest.subset_seed=-1", fails=True)
    assert "wbc.lr: 'fast' is not allowed" in said
    assert "ingest.subset_seed: -1 is not allowed" in said
    assert "no_such_key" in workspace.study("--set", "no_such_key=1", fails=True)
    assert "there are published, transfer" in workspace.study("--families", "transfers", fails=True)
    assert not (workspace.switches / "calls").exists()

    # An edit that is not committed is part of the study; the workspace's files stay as they are.
    settings = workspace.folder / "params.yaml"
    settings.write_text(settings.read_text() + "# edited\n")
    before = (settings.read_text(), settings.stat().st_mtime_ns, workspace.call("git", "status", "--porcelain"))
    grid = ("--splits", "1", "10", "--seeds", "2")
    workspace.switch("fail-split10-seed0", on=True)
    said = workspace.study(*grid, "--published-seeds", "1", fails=True)
    assert workspace.cells() == {"split1-seed0", "split1-seed1", "split10-seed1"}
    assert "split10-seed0 failed and is tried once more" in said
    assert "1 of 4 cells failed" in said
    assert "It fails as it was told to." in said
    status = workspace.call("git", "status", "--porcelain")
    assert (settings.read_text(), settings.stat().st_mtime_ns, status.replace("?? study/\n", "")) == before
    for name in workspace.cells():
        folder = workspace.folder / "study/cells" / name
        assert {path.name for path in folder.iterdir()} == {*RESULTS.values(), ORIGIN}
        arms = ARMS if name.endswith("seed0") else {"scratch"}
        assert {path.stem for path in (folder / "predictions").iterdir()} == arms
    # Every seed has a subset of its own; what all share was made once.
    assert workspace.calls("evaluate") == ["1 0 0", "10 0 0", "1 1 1", "10 1 1", "10 0 0"]
    assert len(workspace.calls("train_prcc")) == len(workspace.calls("train_cam16")) == 1

    # Lost files come back from the experiment. Cells get the family that they lack, and keep the one that they have.
    workspace.switch("fail-split10-seed0", on=False)
    shutil.rmtree(workspace.folder / "study/cells/split1-seed0")
    said = workspace.study(*grid, "--families", "published", "--tag")
    assert "1 of 4 cells are there" in said
    assert "split1-seed1 is to be made anew: no arms of the published family" in said
    assert workspace.calls("evaluate")[5:] == ["10 0 0", "1 1 1", "10 1 1"]
    summary = json.loads((workspace.folder / "study/summary.json").read_text())["splits"]
    assert list(summary) == ["1", "10"]
    table = pd.read_csv(workspace.folder / "study/table.csv")
    assert list(table.columns) == ["split", "seed", "model", *HEADLINE]
    for split, part in summary.items():
        assert (part["seeds"], part["images"]) == ([0, 1], 50)
        for model in ARMS:
            alone = split == "10" and model == "scratch"  # the cell that failed was asked for one family only
            scores = table[(table["split"] == int(split)) & (table["model"] == model)]["accuracy"]
            arm = part["arms"][model]
            assert arm["seeds"] == ([1] if alone else [0, 1])
            assert arm["mean"]["accuracy"] == pytest.approx(scores.mean(), rel=1e-5)
            assert arm["std"]["accuracy"] == (None if alone else pytest.approx(scores.std(), rel=1e-4))
        gain = part["gains"]["gain"]
        assert 0 < gain["interval"]["accuracy"]["low"] < gain["accuracy"] < gain["interval"]["accuracy"]["high"]
        assert gain["interval"]["accuracy"]["p"] <= gain["interval"]["accuracy"]["p_holm"] <= 0.05
        assert gain["words"].startswith("WBC+ is better than base")

    elsewhere = tmp_path / "elsewhere/study/cells/split10-seed1"
    shutil.copytree(workspace.folder / "study/cells/split10-seed1", elsewhere)

    # Other settings: the one cell of them is made anew and is alone in the summary.
    said = workspace.study("--splits", "10", "--seed-list", "1", "--set", "wbc.epochs=3")
    assert "split10-seed1 is to be made anew: wbc.epochs is 2, not 3" in said
    assert workspace.calls("evaluate")[8:] == ["10 1 1"]
    other = json.loads((workspace.folder / "study/summary.json").read_text())["splits"]
    assert {split: part["seeds"] for split, part in other.items()} == {"10": [1]}

    # A fresh clone has the tagged commits and, once committed, the cells; it needs no cache.
    workspace.commit()
    clone = Workspace(tmp_path / "clone", workspace.switches)
    workspace.call("git", "clone", "--quiet", str(workspace.folder), str(clone.folder))
    assert "accuracy" in clone.call("dvc", "metrics", "diff", "study/split1-seed0", "study/split10-seed0")
    said = clone.study("--merge", fails=True)
    assert "split10-seed1: wbc.epochs is 3, not 2" in said

    # Cells from elsewhere join those that were made alike.
    shutil.rmtree(clone.folder / "study/cells/split10-seed1")
    doctored = tmp_path / "doctored/study/cells/split10-seed1"
    shutil.copytree(elsewhere, doctored)
    for name, old, now in (
        ("params.yaml", "epochs: 2", "epochs: 4"),
        (ORIGIN, '"data": "', '"data": "0'),
        (ORIGIN, '"code": "', '"code": "0'),
    ):
        (doctored / name).write_text((doctored / name).read_text().replace(old, now))
    said = clone.study("--merge", str(tmp_path / "doctored"), fails=True)
    for reason in ("wbc.epochs is 4, not 2", "other images", "other code"):
        assert reason in said
    assert len(clone.cells()) == 3
    assert "1 cells were copied" in clone.study("--merge", str(tmp_path / "elsewhere/study"))
    assert json.loads((clone.folder / "study/summary.json").read_text())["splits"] == summary


@pytest.mark.slow
def test_other_laboratories_are_columns_and_new_images_of_theirs_make_cells_anew(tmp_path):
    workspace = make_workspace(tmp_path)
    bern = tmp_path / "bern"
    bern.mkdir()
    (bern / "one.jpg").write_text("a cell")
    grid = ("--splits", "100", "--seeds", "2")
    abroad = (*grid, "--set", f"+external.bern={bern}")
    workspace.study(*grid)
    said = workspace.study(*abroad)
    assert "split100-seed0 is to be made anew: not tried in the laboratory bern\n" in said
    assert "Balanced accuracy in the laboratory bern: base 0.500," in said
    table = pd.read_csv(workspace.folder / "study/table.csv")
    assert list(table["external.bern.accuracy"]) == [0.25] * 4 + [0.5] * 4
    (split,) = json.loads((workspace.folder / "study/summary.json").read_text())["splits"].values()
    scratch, base = (split["arms"][arm]["external"]["bern"]["mean"] for arm in ("scratch", "base"))
    assert (scratch["accuracy"], scratch["aligned_accuracy"], scratch["change"]) == (0.375, 0.375, None)
    assert (base["accuracy"], base["aligned_accuracy"]) == (0.375, None)

    # What all cells share was trained and packed once; nothing is trained anew for a laboratory.
    assert len(workspace.calls("train_prcc")) == 1
    assert len(workspace.calls("pack_external")) == 1
    assert len(workspace.calls("evaluate")) == 2
    assert "2 of 2 cells are there" in workspace.study(*abroad)
    (bern / "two.jpg").write_text("another cell")
    assert "split100-seed1 is to be made anew: other images of the laboratory bern\n" in workspace.study(*abroad)
    assert (len(workspace.calls("pack_external")), len(workspace.calls("evaluate"))) == (2, 2)
    said = workspace.study(*grid, "--set", "+external.bern=/no/such", "+external.bonn=/nor/such", fails=True)
    assert "external.bern: /no/such is no folder\nexternal.bonn: /nor/such is no folder" in said
    assert len(workspace.calls("pack_external")) == 2


@pytest.mark.slow
def test_data_that_clones_lack_are_named(tmp_path):
    workspace = make_workspace(tmp_path)
    for name in ("images", "bern"):
        (workspace.folder / name).mkdir()
    said = workspace.study("--seeds", "1", "--set", "data_root=images", "+external.bern=bern", fails=True)
    assert "It has no images; give data_root an absolute path." in said
    assert "It has no bern; give external.bern an absolute path." in said
    assert not (workspace.folder / "study/cells").exists()
