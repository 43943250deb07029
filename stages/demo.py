"""Draw the synthetic demo data set."""

import shutil
from pathlib import Path

from leuko.demo import draw_demo
from leuko.errors import run
from leuko.params import load_params

FOLDER = Path("data/demo")


def main() -> None:
    """Draw the images into `data/demo`, in the course layout."""
    params = load_params().demo
    shutil.rmtree(FOLDER, ignore_errors=True)
    draw_demo(FOLDER, seed=params.seed, fraction=params.fraction)


if __name__ == "__main__":
    run(main)
