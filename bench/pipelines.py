"""Clones of the committed project, to run and to maltreat."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from copy import copy as copy_of
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]

SMALL = (
    "demo.fraction=0.1",
    *("augment.wbc_size=32", "augment.prcc_size=64", "augment.cam16_size=32"),
    *(f"{network}.epochs=3" for network in ("prcc", "cam16", "wbc", "wbc_plus", "pretrain", "finetune")),
    *(f"{network}.min_steps=12" for network in ("prcc", "cam16", "wbc", "wbc_plus", "pretrain", "finetune")),
)
"""Settings with which the demo takes a fraction of its time; start-up is most of the rest."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for the settings of the runs."""
    parser.add_argument("--small", action="store_true", help="fewer and smaller images, three short epochs")
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")


class Pipeline:
    """A clone of the project's last commit, with a cache of its own.

    Args:
        folder: where it shall be; it must not exist.
        small: whether to take the settings of `SMALL`.
        log: the file for all that its commands say; beside the folder if not given.
    """

    def __init__(self, folder: Path, *, small: bool, log: Path | None = None) -> None:
        self.folder, self.log = folder, log or folder.with_name(f"{folder.name}.log")
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        if small:
            path = folder / "params.yaml"
            settings: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
            for change in SMALL:
                keys, value = change.split("=")
                group, name = keys.split(".")
                settings[group][name] = yaml.safe_load(value)
            path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")

    def copy(self, folder: Path) -> Pipeline:
        """Copy the clone with all that was made in it, as a pipeline of its own."""
        shutil.copytree(self.folder, folder, symlinks=True)
        copy = copy_of(self)
        copy.folder, copy.log = folder, folder.with_name(f"{folder.name}.log")
        return copy

    def start(self, *command: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a command in the clone, in a session of its own; what it says is added to `log`."""
        own = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": f"{self.folder}.site",
        }
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=self.folder,
                env=os.environ | own | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, *command: str, environment: Mapping[str, str] | None = None) -> int:
        """Run a command in the clone to its end; its exit status."""
        return self.start(*command, environment=environment).wait()

    def lock(self) -> bytes:
        """What the pipeline's stages were made from and made, as DVC has it: a hash for every file."""
        path = self.folder / "dvc.lock"
        return path.read_bytes() if path.exists() else b""

    def leftovers(self) -> list[str]:
        """Files that are neither of Git nor outputs: temporary files, kept states and the like."""
        places = [self.folder / name for name in ("data", "models", "metrics", "plots", "reports", ".resume")]
        files = [path for place in places for path in place.rglob("*") if path.is_file()]
        return [
            str(path.relative_to(self.folder)) for path in files if ".temporary" in str(path) or ".resume" in path.parts
        ]


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a command and all that it started, as a power cut would: they cannot do anything about it."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def print_table(rows: Sequence[Sequence[Any]], *heading: str) -> None:
    """Print rows under a heading, as a table in Markdown."""
    print(f"| {' | '.join(heading)} |\n|{'---|' * len(heading)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |")
