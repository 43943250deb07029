"""Make a copy of the project ready for DVC, with or without Git, and for the images of its user: part of `make repro`.

python -m tools.workspace                  # DVC does without Git where there is none
python -m tools.workspace "/my images"     # the same, and data_root becomes that folder, whatever its name
"""

from __future__ import annotations

import fcntl
import json
import re
import subprocess
import sys
from pathlib import Path

import yaml

from leuko.core.errors import LeukoError, run
from leuko.core.files import write_bytes

PARAMS = Path("params.yaml")
RWLOCK = Path(".dvc/tmp/rwlock")
"""Where DVC keeps who reads and writes what."""


def follow_git() -> str:
    """Let DVC do without Git where there is no repository, and with it where there is one.

    Returns:
        What experiments and studies still lack; empty if nothing.
    """
    has_git = Path(".git").exists()
    options = ["--unset", "core.no_scm"] if has_git else ["core.no_scm", "true"]
    subprocess.run(["dvc", "config", "--local", *options], capture_output=True, check=False)  # unset: or it was not set
    if not has_git:
        start = "git init && git add . && git commit -m start"
        return f"There is no Git repository here. Experiments (dvc exp run) and studies need one: {start}"
    is_empty = subprocess.run(["git", "rev-parse", "--verify", "--quiet", "HEAD"], capture_output=True).returncode
    if is_empty:
        return "Nothing is committed yet. Experiments and studies need that: git add . && git commit -m start"
    return ""


def set_data_root(folder: Path) -> None:
    """Write another data root into the settings, whose comments stay.

    Args:
        folder: of the images; it may have any name.

    Raises:
        LeukoError: if it is none, or the settings have no data root.
    """
    root = folder.expanduser().resolve()
    if not root.is_dir():
        raise LeukoError(f"{folder} is not a folder")
    text = PARAMS.read_text(encoding="utf-8")
    value = yaml.safe_dump(str(root), allow_unicode=True, width=10_000, default_style='"').strip()
    changed, number = re.subn(
        r"^data_root:[^\n#]*(?=#|$)", lambda _: f"data_root: {value} ", text, count=1, flags=re.MULTILINE
    )
    if not number:
        raise LeukoError(f"{PARAMS} has no data_root")
    if yaml.safe_load(changed) != yaml.safe_load(text):
        write_bytes(PARAMS, re.sub(r" +$", "", changed, flags=re.MULTILINE).encode())


def mend_rwlock() -> None:
    """Remove DVC's list of readers and writers if a kill struck while it was written: DVC would refuse to start.

    While a DVC process is at it, it stays.
    """
    if not RWLOCK.exists():
        return
    with RWLOCK.with_name("rwlock.lock").open("a") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
            json.loads(RWLOCK.read_text(encoding="utf-8"))
        except BlockingIOError:
            return
        except ValueError:
            RWLOCK.unlink()


def main() -> None:
    """Do all of it, and say what is lacking."""
    mend_rwlock()
    if len(sys.argv) > 1:
        set_data_root(Path(sys.argv[1]))
    if lacking := follow_git():
        print(lacking)


if __name__ == "__main__":
    run(main)
