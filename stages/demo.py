"""Draw the synthetic demo data set."""

from pathlib import Path

from leuko.demo import draw_demo
from leuko.errors import run
from leuko.files import whole_folder
from leuko.params import load_params

FOLDER = Path("data/demo")


def main() -> None:
    """Draw the images into `data/demo`, in the course layout."""
    params = load_params().demo
    with whole_folder(FOLDER) as folder:
        draw_demo(folder, seed=params.seed, fraction=params.fraction)


if __name__ == "__main__":
    run(main)
