"""Check the whole file of settings: an edit that no stage reads, such as a misspelt key, is refused too."""

from pathlib import Path

from leuko.core.errors import LeukoError, run
from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params

DEMO = Path("data/demo")
"""What the stage `demo` draws, and need not be there yet."""
TEMPORARY = Path(".dvc/tmp")


def main() -> None:
    """Read `params.yaml`; it costs nothing and writes nothing."""
    check_data_root(load_params(Params).data_root)


def check_data_root(name: str) -> None:
    """Say what is wrong with the folder of images before DVC does, in other words.

    Raises:
        LeukoError: if it is not there.
    """
    root, here = Path(name), Path.cwd()
    if root == DEMO or root.is_dir():
        return
    if name.startswith("~"):
        raise LeukoError(f"data_root: {name}: only a shell knows what ~ is; write {root.expanduser()}")
    if root.exists():
        raise LeukoError(f"data_root: {name} is a file; it should be the folder of the images")
    if not root.is_absolute() and TEMPORARY.as_posix() in here.as_posix():
        project = Path(here.as_posix().split(f"/{TEMPORARY.as_posix()}")[0])
        raise LeukoError(
            f"data_root: {name}: what --temp and --queue run is in another folder, {here}, from where this one is not "
            f"found; write {(project / root).resolve()}"
        )
    raise LeukoError(f"data_root: {name} is not there; write the path of a folder in the course layout")


if __name__ == "__main__":
    run(main)
