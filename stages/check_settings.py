"""Check the whole file of settings: an edit that no stage reads, such as a misspelt key, is refused too."""

from pathlib import Path

from leuko.core.errors import LeukoError, run
from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params

DEMO = Path("data/demo")
"""What the stage `demo` draws, and need not be there yet."""
TEMPORARY = Path(".dvc/tmp")


def main() -> None:
    """Read `params.yaml`, and look for what it names; it costs nothing and writes nothing."""
    params = load_params(Params)
    check_data_root(params.data_root)
    if absent := absent_paths(params):
        raise LeukoError("\n".join(["params.yaml names what is not there:", *(f"  {line}" for line in absent)]))


def absent_paths(params: Params) -> list[str]:
    """The files and folders that settings name and a later stage would miss, a line for each."""
    weights = {"cam16.weights": params.cam16.weights} if params.families.published else {}
    if params.families.transfer:
        weights |= {f"transfer.{name}.weights": start.weights for name, start in params.transfer.items()}
    files = {key: name for key, name in weights.items() if name not in ("none", "imagenet")}
    lines = [
        f"{key}: {name} is no file; none and imagenet need none"
        for key, name in files.items()
        if not Path(name).is_file()
    ]
    folders = {f"external.{name}": folder for name, folder in params.external.items()}
    return lines + [f"{key}: {name} is no folder" for key, name in folders.items() if not Path(name).is_dir()]


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
