"""All measurements, one after the other."""

from __future__ import annotations

import subprocess
import sys

from bench.measure import is_quick

PROGRAMS = (
    "peak", "train_step", "bfloat16", "wbc_plus_epoch", "cam16_frozen", "data_path", "scaling", "duplicates", "shared",
    "startup", "memory", "predict", "gpu",
)  # fmt: skip

quick = ["--quick"] if is_quick(__doc__ or "") else []
for program in PROGRAMS:
    print(f"## {program}\n", flush=True)
    subprocess.run([sys.executable, "-m", f"bench.{program}", *quick], check=True)
