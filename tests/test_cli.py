"""The command `leuko`, and the package that brings it."""

import os
import shutil
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement

from leuko.cli import COMMANDS
from tests.conftest import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


def leuko(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "leuko", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_help_lists_the_commands_without_importing_them():
    code = "import sys; from leuko.cli import main\ntry: main()\nfinally: assert 'numpy' not in sys.modules"
    command = [sys.executable, "-c", code, "--help"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(f"    {name} " in done.stdout for name in COMMANDS)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_a_help_of_its_own(name):
    done = leuko(name, "--help", cwd=REPOSITORY)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: leuko {name} ")


def test_every_module_of_commands_is_listed():
    assert {path.stem for path in (REPOSITORY / "leuko/commands").glob("[!_]*.py")} == COMMANDS.keys()


@pytest.mark.slow
def test_wrong_use_is_refused_and_an_error_is_its_message_alone(tmp_path):
    done = leuko("chek", cwd=REPOSITORY)
    assert (done.returncode, "invalid choice: 'chek'" in done.stderr) == (2, True)
    done = leuko("check", str(tmp_path), "--params", str(tmp_path / "none.yaml"), cwd=REPOSITORY)
    assert (done.returncode, "none.yaml cannot be read" in done.stderr) == (1, True)
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_what_is_installed_is_whole(tmp_path):
    source, there = tmp_path / "source", tmp_path / "there"
    shutil.copytree(REPOSITORY / "leuko", source / "leuko", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("LICENSE", "README.md", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, source)
    expected = {path.relative_to(source) for path in source.glob("leuko/**/*.*")}
    pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-compile", "--target"]
    subprocess.run([sys.executable, *pip, str(there), str(source)], check=True, capture_output=True)
    assert {path.relative_to(there) for path in there.glob("leuko/**/*.*")} == expected
    command, environment = [there / "bin/leuko", "--help"], os.environ | {"PYTHONPATH": str(there)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_ranges_hold_what_is_pinned():
    pins = {}
    for line in (REPOSITORY / "requirements.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            pin = Requirement(line)
            pins[pin.name.lower()] = str(pin.specifier).removeprefix("==")
    extras = [text for texts in PROJECT["optional-dependencies"].values() for text in texts]
    for wanted in map(Requirement, [*PROJECT["dependencies"], *extras]):
        assert wanted.specifier.contains(pins[wanted.name.lower()]), wanted
