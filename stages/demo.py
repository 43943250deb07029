"""Draw the synthetic demo data set."""

from pathlib import Path

from leuko.core.errors import run
from leuko.core.files import atomic_folder
from leuko.core.params.demo import Demo
from leuko.core.params.group import Group
from leuko.core.params.reading import load_params
from leuko.demo import draw_demo

FOLDER = Path("data/demo")


class Settings(Group):
    """The settings that this stage reads."""

    demo: Demo


def main() -> None:
    """Draw the images into `data/demo`, in the course layout."""
    params = load_params(Settings)
    with atomic_folder(FOLDER) as folder:
        draw_demo(folder, seed=params.demo.seed, fraction=params.demo.fraction)


if __name__ == "__main__":
    run(main)
