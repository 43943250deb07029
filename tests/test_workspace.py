"""A copy of the project is ready for DVC with and without Git, and the settings' folder of images is checked first."""

import contextlib
import fcntl
import subprocess
from pathlib import Path

import pytest
import yaml

from leuko.core.errors import LeukoError
from leuko.core.params.everything import Params
from leuko.study.experiments import check_git
from stages.check_settings import absent_paths, check_data_root
from tests.conftest import REPOSITORY, tiny_settings
from tools.workspace import follow_git, mend_rwlock, set_data_root


@pytest.fixture
def copy(tmp_path):
    """The settings and DVC's folder, as an archive of the project holds them."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_bytes((REPOSITORY / ".dvc/config").read_bytes())
    (tmp_path / "params.yaml").write_bytes((REPOSITORY / "params.yaml").read_bytes())
    with contextlib.chdir(tmp_path):
        yield tmp_path


def no_scm() -> bool:
    local = subprocess.run(["dvc", "config", "--local", "core.no_scm"], capture_output=True, text=True)
    return local.stdout.strip() == "true"


@pytest.mark.slow
def test_dvc_does_without_git_where_there_is_none_and_with_it_where_there_is(copy):
    assert "git init" in follow_git()
    assert no_scm()
    assert subprocess.run(["dvc", "status"], capture_output=True).returncode == 0
    subprocess.run(["git", "init", "--quiet"], check=True)
    assert "Nothing is committed" in follow_git()
    assert not no_scm()
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *identity, "commit", "--quiet", "--allow-empty", "-m", "start"], check=True)
    assert follow_git() == ""


@pytest.mark.parametrize(
    ("content", "stays"), [("", False), ('{"read": {', False), ('{"read": {}, "write": {}}', True)]
)
def test_what_a_kill_left_of_the_list_of_readers_and_writers_goes(copy, content, stays):
    mend_rwlock()
    path = copy / ".dvc/tmp/rwlock"
    path.parent.mkdir()
    path.write_text(content)
    with path.with_name("rwlock.lock").open("a") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        mend_rwlock()
        assert path.exists()
    mend_rwlock()
    assert path.exists() == stays


def test_a_study_without_repository_or_commit_says_what_to_type(copy):
    with pytest.raises(LeukoError, match="git init"):
        check_git()
    subprocess.run(["git", "init", "--quiet"], check=True)
    with pytest.raises(LeukoError, match="Type git add"):
        check_git()


@pytest.mark.parametrize("name", ["plain", "Bilder ü [1]", "it's, a {set}: #3", 'with "quotes"', "back\\slash", "-x"])
def test_any_folder_can_be_the_data_root(copy, name):
    (copy / name).mkdir()
    before = yaml.safe_load((copy / "params.yaml").read_text())
    n_comments = (copy / "params.yaml").read_text().count("#")
    set_data_root(copy / name)
    set_data_root(copy / name)
    after = yaml.safe_load((copy / "params.yaml").read_text())
    assert after == before | {"data_root": str((copy / name).resolve())}
    assert (copy / "params.yaml").read_text().count("#") == n_comments + name.count("#")


def test_a_relative_folder_and_one_of_ones_home_become_whole_paths(copy, monkeypatch):
    (copy / "images").mkdir()
    monkeypatch.setenv("HOME", str(copy))
    for name in ("images", "~/images"):
        set_data_root(type(copy)(name))
        assert yaml.safe_load((copy / "params.yaml").read_text())["data_root"] == str(copy / "images")
    with pytest.raises(LeukoError, match="is not a folder"):
        set_data_root(copy / "missing")


def test_the_folder_of_images_is_checked_before_dvc_misses_it(copy):
    (copy / "images").mkdir()
    (copy / "file").touch()
    for name in ("data/demo", "data/demo/", "images", str(copy / "images")):
        check_data_root(name)
    for name, words in {
        "~/images": f"write {Path.home()}/images",
        "file": "is a file",
        "missing": "is not there",
    }.items():
        with pytest.raises(LeukoError, match=words):
            check_data_root(name)
    temporary = copy / ".dvc/tmp/exps/tmpx"
    temporary.mkdir(parents=True)
    with contextlib.chdir(temporary), pytest.raises(LeukoError, match=f"write {copy}/images"):
        check_data_root("images")


def test_weights_and_laboratories_that_are_not_there_are_told_before_anything_runs(tmp_path):
    entries = {name: {"network": "pooled", "weights": f"{tmp_path}/{name}.pth"} for name in ("here", "gone")}
    (tmp_path / "here.pth").touch()
    changes = {"cam16.weights": "/no/such.pth", "external": {"bern": str(tmp_path), "basel": "/no/folder"}}
    params = Params.model_validate(tiny_settings(transfer=entries, **changes))
    expected = ["cam16.weights", "transfer.gone.weights", "external.basel"]
    assert [line.split(":")[0] for line in absent_paths(params)] == expected
    without = params.model_copy(update={"families": params.families.model_copy(update={"published": False})})
    assert [line.split(":")[0] for line in absent_paths(without)] == expected[1:]
