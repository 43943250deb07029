"""How long a stage takes until it can begin, and what `dvc repro` costs where nothing has changed."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.measure import is_quick, show

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Measure."""
    quick = is_quick(__doc__ or "")
    rounds = 1 if quick else 3
    stages = sorted(path.stem for path in (ROOT / "stages").glob("[a-z]*.py"))
    rows: list[list[str | float]] = []
    for stage in stages[:1] if quick else stages:
        # The first optimiser makes PyTorch import its compiler.
        optimiser = "; import torch; torch.optim.SGD([torch.zeros(1, requires_grad=True)])"
        code = f"import stages.{stage}" + optimiser * stage.startswith("train")
        rows.append([f"stage {stage}, until it can begin", _seconds([sys.executable, "-c", code], ROOT, rounds)])
    dvc = [sys.executable, "-m", "dvc"]
    rows.append(["dvc --version", _seconds([*dvc, "--version"], ROOT, rounds)])
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder)
        shutil.copytree(ROOT / ".dvc", empty / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp"))
        for command in (["git", "init", "--quiet"], [*dvc, "stage", "add", "--quiet", "--name", "one", "true"]):
            subprocess.run(command, cwd=empty, check=True)
        subprocess.run([*dvc, "repro", "--quiet"], cwd=empty, check=True)
        rows.append(["dvc repro of one stage that does nothing, again", _seconds([*dvc, "repro"], empty, rounds)])
    if subprocess.run([*dvc, "status", "--quiet"], cwd=ROOT, check=False).returncode == 0:
        rows.append(["dvc repro where nothing has changed", _seconds([*dvc, "repro"], ROOT, rounds)])
    else:
        print("The pipeline is not up to date, so a second dvc repro is not measured; run make repro before.\n")
    show(["", "s"], rows)


def _seconds(command: list[str], folder: Path, rounds: int) -> float:
    """The median time of a command, after one run that is not counted."""
    seconds = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


if __name__ == "__main__":
    main()
