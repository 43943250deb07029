"""The peak memory of every stage on a set as large as the course's, and what it is made of.

A stage reads and writes its packs through memory maps. Pages of these that happen to be in memory count as resident,
although the system can take them back at any time; anonymous memory is what it cannot.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from bench.images import write_course
from bench.measure import is_quick, show
from bench.ours import published

ROOT = Path(__file__).parents[1]
STAGES = (
    "ingest",
    "prepare_masks",
    "augment",
    "train_prcc",
    "train_cam16",
    "train_wbc",
    "train_control",
    "train_wbc_plus",
    "evaluate",
)


def main() -> None:
    """Measure."""
    quick = is_quick(__doc__ or "")
    cells, side = (10, 64) if quick else (11_000, 256)
    with tempfile.TemporaryDirectory(dir=ROOT.parent) as folder:
        project = Path(folder)
        write_course(project / "course", side=side, cells=cells, others=1 if quick else 12)
        (project / "params.yaml").write_text(yaml.safe_dump(settings(quick) | {"data_root": "course"}))
        rows: list[list[str | float]] = [
            [stage, *_peaks([sys.executable, "-m", f"stages.{stage}"], project)] for stage in STAGES
        ]
    show([f"{cells} blood cells", "peak, GB", "of that anonymous, GB"], rows)


def settings(quick: bool) -> dict[str, Any]:
    """The published ones, with few steps and small splits: memory does not depend on how many there are."""
    content = published().model_dump(mode="json") | {"device": "cpu", "split": 1}
    for recipe in ("prcc", "cam16", "wbc", "wbc_plus"):
        content[recipe] |= {"epochs": 2}
    content["cam16"] |= {"weights": "none"}
    if quick:
        content["augment"] |= {"wbc_size": 32, "prcc_size": 64, "cam16_size": 32}
    return content


def _peaks(command: list[str], folder: Path) -> tuple[float, float]:
    """Run a command; the peaks of its resident and of its anonymous memory, in GB."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    peaks = {"VmHWM": 0.0, "RssAnon": 0.0}
    while process.poll() is None:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
        for name in peaks:
            if name in status:  # a process that has just ended has none
                peaks[name] = max(peaks[name], int(status[name].split()[0]) / 1e6)
        time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"{command[-1]} failed")
    return peaks["VmHWM"], peaks["RssAnon"]


if __name__ == "__main__":
    main()
