"""The measurements: that they compare fairly, and that the shorter ones run."""

import subprocess
import sys
import time

import pytest

from bench.measure import Contender, median_ratio, race, show
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow


def sleeper(seconds: float):
    return lambda: time.sleep(seconds)


def test_contenders_take_turns_in_processes_of_their_own():
    seconds = race({"slow": Contender(sleeper, (0.2,)), "fast": Contender(sleeper, (0.02,))}, rounds=3)
    assert [len(times) for times in seconds.values()] == [3, 3]
    assert all(took >= 0.2 for took in seconds["slow"])
    assert all(took >= 0.02 for took in seconds["fast"])


def test_a_ratio_is_taken_round_by_round():
    assert median_ratio([2, 30, 8], [1, 10, 2]) == 3


def test_a_contender_that_fails_ends_the_race():
    with pytest.raises(EOFError):
        race({"none": Contender(sleeper, ("not a number",))}, rounds=1)


def test_tables_are_markdown(capsys):
    show(["what", "s"], [["a step", 0.012345], ["none", ""]])
    assert capsys.readouterr().out == (
        "| what   | s      |\n| ------ | ------ |\n| a step | 0.0123 |\n| none   |        |\n\n"
    )


@pytest.mark.parametrize("program", ["peak", "gpu", "train_step"])
def test_a_program_runs(program):
    command = [sys.executable, "-m", f"bench.{program}", "--quick"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("|") or "No GPU" in done.stdout
