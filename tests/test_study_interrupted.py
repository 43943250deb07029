"""A study that is interrupted goes on where it was: killed, stopped from the keyboard."""

import signal

import pytest

from tests.studies import alive, make_workspace, wait_for


@pytest.mark.slow
def test_an_interrupted_study_goes_on(tmp_path):
    workspace = make_workspace(tmp_path)
    grid = ("--splits", "10", "--seeds", "1")
    hanging = workspace.switches / "hanging-split10-seed0"
    workspace.switch("hang-split10-seed0", on=True)

    # Killed. Its cell ends with it, and leaves a lock of Git.
    with workspace.start(*grid) as study:
        wait_for(hanging.exists)
        assert "A study is running here" in workspace.study(*grid, fails=True)
        run = workspace.run_of("split10-seed0")
        study.kill()
    wait_for(lambda: not alive(run))
    (clone,) = workspace.folder.glob(".dvc/tmp/study/*-0/")
    (clone / ".git/index.lock").touch()

    # Stopped from the keyboard, it says how to go on.
    hanging.unlink()
    with workspace.start(*grid) as study:
        wait_for(hanging.exists)
        run = workspace.run_of("split10-seed0")
        study.send_signal(signal.SIGINT)
        said, _ = study.communicate(timeout=300)
    assert study.returncode == 1
    assert "the same command goes on from there" in said
    assert "Traceback" not in said
    assert not alive(run)

    workspace.switch("hang-split10-seed0", on=False)
    assert "0 of 1 cells are there" in workspace.study(*grid)
    assert workspace.cells() == {"split10-seed0"}
    assert workspace.calls("evaluate") == ["10 0 0"] * 3
    assert (workspace.switches / "resumed-split10-seed0").exists()
