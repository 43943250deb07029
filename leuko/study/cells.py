"""A cell of the study: one split with one seed, kept as a folder of small text files.

The files can be committed, or copied from another machine: they need neither DVC's cache nor its experiments. A cell is
current if it was made with the same settings, images and code as a run started now would be; `Origin` tells.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from leuko.core.errors import LeukoError
from leuko.core.files import atomic_folder, write_json
from leuko.core.params.families import Families

CELLS = Path("study/cells")

RESULTS = {
    "params.yaml": "params.yaml",
    "metrics/comparison.json": "comparison.json",
    "metrics/external": "external",
    "plots/predictions": "predictions",
    "plots/history": "history",
}
"""What is kept of a run: the file or folder in the project, and in the cell's folder."""

ORIGIN = "made_with.json"
SOURCES = ("dvc.yaml", "dvc.lock", "leuko", "stages")
"""What tells a run's origin, beside its settings."""

NO_MATTER = ("data_root", "demo", "device", "external", "families", "launcher", "model")
"""Settings that may differ: where a cell ran, what is reported, what the hashes of the images tell better, and which
families of arms are there, of which more than are needed do no harm."""


@dataclass(frozen=True)
class Cell:
    """One split with one seed.

    Attributes:
        split: percentage of the labels.
        seed: of the trainings.
        families: of arms that it must have.
    """

    split: int
    seed: int
    families: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"split{self.split}-seed{self.seed}"

    @property
    def experiment(self) -> str:
        """The name of its DVC experiment."""
        return f"study-{self.name}"

    @property
    def folder(self) -> Path:
        """Where its results are kept."""
        return CELLS / self.name

    @property
    def settings(self) -> dict[str, int | str]:
        """What sets it apart from the other cells.

        Which images have labels matters more than any seed of a training, at 1 % above all, where a class may have a
        single one. So the subset is drawn anew for every seed.
        """
        redrawn: dict[str, int | str] = {"ingest.subsets": "drawn", "ingest.subset_seed": self.seed}
        return {"split": self.split, "seed": self.seed} | (redrawn if self.split < 100 else {})

    @property
    def changes(self) -> list[str]:
        """All settings of its run that are its own, as `key=value`."""
        families = {f"families.{name}": str(name in self.families).lower() for name in Families.model_fields}
        return [f"{key}={value}" for key, value in (self.settings | families).items()]


def cells_in(folder: Path) -> list[Cell]:
    """The complete cells of a folder, by split and seed."""
    names = [re.fullmatch(r"split(\d+)-seed(\d+)", path.name) for path in folder.glob("split*")]
    cells = [Cell(int(name[1]), int(name[2])) for name in names if name]
    complete = [cell for cell in cells if is_complete(folder / cell.name)]
    return sorted(complete, key=lambda cell: (cell.split, cell.seed))


def is_complete(folder: Path) -> bool:
    """Whether a cell's folder has all that is kept of a run."""
    return all((folder / name).exists() for name in (*RESULTS.values(), ORIGIN))


@dataclass(frozen=True)
class Origin:
    """What a run was made with.

    Attributes:
        settings: by dotted keys, without those that do not matter.
        data: hash of the data root, as DVC has it.
        code: hash of the code that the stages of a cell depend on.
        families: of arms that were trained.
        laboratories: hashes of the images of each entry of `external`, as DVC has them.
    """

    settings: dict[str, Any]
    data: str
    code: str
    families: frozenset[str]
    laboratories: dict[str, str]

    def of(self, cell: Cell) -> Origin:
        """The same with the settings and families of a cell."""
        return replace(self, settings=self.settings | cell.settings, families=cell.families)

    def differences(self, other: Origin) -> list[str]:
        """Say in words what keeps this origin from serving as another one; further families do not."""
        keys = sorted(self.settings.keys() | other.settings.keys())
        pairs = [(key, self.settings.get(key), other.settings.get(key)) for key in keys]
        found = [f"{key} is {mine}, not {theirs}" for key, mine, theirs in pairs if mine != theirs]
        found += ["other images"] if self.data != other.data else []
        mine, theirs = self.laboratories, other.laboratories
        found += [f"not tried in the laboratory {name}" for name in sorted(theirs.keys() - mine.keys())]
        found += [f"tried in the laboratory {name} too" for name in sorted(mine.keys() - theirs.keys())]
        both = sorted(mine.keys() & theirs.keys())
        found += [f"other images of the laboratory {name}" for name in both if mine[name] != theirs[name]]
        found += ["other code"] if self.code != other.code else []
        found += [f"no arms of the {name} family" for name in sorted(other.families - self.families)]
        return found


def origin_of_run(root: Path) -> Origin:
    """What a run was made with, from the files of its project.

    Args:
        root: the project after `ingest` and `pack_external`: in a clone, or as taken out of an experiment's commit.
    """
    settings = _read_yaml(root / "params.yaml")
    stages = _read_yaml(root / "dvc.lock")["stages"]

    def hash_of(path: str, stage: str) -> str:
        deps = stages[stage]["deps"] if stage in stages else []  # an older pipeline may lack it
        return next((str(dep["md5"]) for dep in deps if dep["path"] == path), "")

    laboratories = {name: hash_of(path, f"pack_external@{name}") for name, path in settings["external"].items()}
    data = hash_of(settings["data_root"], "ingest")
    return Origin(_flat(settings), data, _hash_code(root), _families_in(settings), laboratories)


def origin_of_cell(folder: Path) -> Origin:
    """What a cell was made with, from its folder."""
    record = _read_yaml(folder / ORIGIN)
    settings = _read_yaml(folder / "params.yaml")
    return Origin(_flat(settings), record["data"], record["code"], _families_in(settings), record["laboratories"])


def keep(root: Path, cell: Cell, commit: str) -> None:
    """Keep the results of a run, whole or not at all.

    Args:
        root: the project after the run.
        cell: which cell it is.
        commit: of the run's experiment.
    """
    origin = origin_of_run(root)
    with atomic_folder(cell.folder) as temporary:
        for source, name in RESULTS.items():
            copy = shutil.copytree if (root / source).is_dir() else shutil.copyfile
            copy(root / source, temporary / name)
        record = {"commit": commit, "data": origin.data, "code": origin.code, "laboratories": origin.laboratories}
        write_json(temporary / ORIGIN, record)


def commit_of(cell: Cell) -> str:
    """The commit of a cell's experiment, which only the repository that it ran in is sure to have."""
    return str(_read_yaml(cell.folder / ORIGIN)["commit"])


def merge(folders: Sequence[Path]) -> list[Cell]:
    """Copy the cells that other clones made; a cell that is here already stays as it is.

    Args:
        folders: clones, or their `study` folders.

    Returns:
        The cells that were copied.

    Raises:
        LeukoError: if cells, here or there, were made with other settings, images or code; then nothing is copied.
    """
    places = [CELLS, *map(_cells_of, folders)]
    found = {place / cell.name: cell for place in places for cell in cells_in(place)}
    if not found:
        raise LeukoError("no cells of a study, neither here nor there")
    # Not one of 1 %, if there are others: only these tell where all but those of 1 % have their subsets from.
    model = max(found, key=lambda path: found[path].split)
    origin = origin_of_cell(model)
    refused = [
        f"  {path}: {difference}"
        for path, cell in found.items()
        for difference in origin_of_cell(path).differences(origin.of(cell))
    ]
    if refused:
        lines = [f"cells were not made alike; remove some. Nothing was copied. Compared with {model}:", *refused]
        raise LeukoError("\n".join(lines))
    copied = []
    for path, cell in found.items():
        if not is_complete(cell.folder):
            with atomic_folder(cell.folder) as temporary:
                shutil.copytree(path, temporary, dirs_exist_ok=True)
            copied.append(cell)
    return copied


def _cells_of(folder: Path) -> Path:
    """The folder of the cells in a clone or in its `study` folder."""
    places = [place for place in (folder / CELLS, folder / CELLS.name) if place.is_dir()]
    if not places:
        raise LeukoError(f"{folder} is neither a clone with a study nor its study folder")
    return places[0]


def _read_yaml(path: Path) -> dict[str, Any]:
    """Read a mapping in YAML, or in JSON, which is YAML."""
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def _families_in(settings: dict[str, Any]) -> frozenset[str]:
    """The families of arms that are switched on."""
    return frozenset(name for name, wanted in settings["families"].items() if wanted)


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings by dotted keys, without those that do not matter."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if name not in NO_MATTER:
            flat |= {f"{name}.{key}": part for key, part in value.items()} if isinstance(value, dict) else {name: value}
    return flat


def _hash_code(root: Path) -> str:
    """Hash the code that a cell depends on, as `dvc.yaml` has it: stages from `ingest` to `evaluate`, and `external`.

    What `demo` depends on shows in the images, and what else follows `evaluate` does not shape a cell.
    """
    stages = [(name, stage.get("do", stage)) for name, stage in _read_yaml(root / "dvc.yaml")["stages"].items()]
    names = [name for name, _ in stages]
    of_cell = {*names[: names.index("evaluate") + 1], "pack_external", "external"} - {"demo"}
    used = [stage for name, stage in stages if name in of_cell]
    deps = {root / dep for stage in used for dep in stage["deps"] if dep.startswith(("leuko/", "stages/"))}
    files = {file for dep in deps for file in (dep.rglob("*.py") if dep.is_dir() else [dep])}
    digest = hashlib.sha256()
    for file in sorted(files):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()
