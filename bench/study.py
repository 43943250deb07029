"""A study of the demo one cell after the other, and two at a time: `python -m bench.study`.

Both start from what all cells share, which is made before. It takes twenty minutes on two cores, so it is no part of
`make bench`.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from bench.measure import is_quick, show
from bench.pipelines import Pipeline


def main() -> None:
    """Measure."""
    quick = is_quick(__doc__ or "")
    grid = ["--splits", "10", *([] if quick else ["100"]), "--seeds", "2"]
    seconds, summaries = [], []
    with tempfile.TemporaryDirectory() as folder:
        prepared = Pipeline(Path(folder) / "prepared", small=quick)
        prepared.run("leuko", "study", "--seeds", "0", "--no-report")  # makes what all cells share
        for workers in ("1", "2"):
            pipeline = prepared.copy(Path(folder) / f"workers-{workers}")
            start = time.perf_counter()
            if pipeline.run("leuko", "study", *grid, "--no-report", "--workers", workers):
                raise SystemExit(pipeline.log.read_text(encoding="utf-8"))
            seconds.append(time.perf_counter() - start)
            summaries.append((pipeline.folder / "study/summary.json").read_bytes())
    if summaries[0] != summaries[1]:
        raise SystemExit("the two studies have different summaries")
    show(
        [f"leuko study {' '.join(grid)}", "s"],
        [["--workers 1", seconds[0]], ["--workers 2", seconds[1]], ["speed-up", seconds[0] / seconds[1]]],
    )


if __name__ == "__main__":
    main()
