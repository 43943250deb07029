"""Draw the synthetic demo data set."""

from pathlib import Path

from leuko.core.errors import run
from leuko.core.files import atomic_folder
from leuko.core.params import load_params
from leuko.demo import draw_demo

FOLDER = Path("data/demo")


def main() -> None:
    """Draw the images into `data/demo`, in the course layout."""
    params = load_params().demo
    with atomic_folder(FOLDER) as folder:
        draw_demo(folder, seed=params.seed, fraction=params.fraction)


if __name__ == "__main__":
    run(main)
