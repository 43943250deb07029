"""Check the whole file of settings: an edit that no stage reads, such as a misspelt key, is refused too."""

from leuko.core.errors import run
from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params


def main() -> None:
    """Read `params.yaml`; it costs nothing and writes nothing."""
    load_params(Params)


if __name__ == "__main__":
    run(main)
