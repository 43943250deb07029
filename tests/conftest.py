"""What the tests share: the repository, tiny settings, a small demo data set and what the data stages make of it."""

import contextlib
import copy
import importlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import HealthCheck, settings

from leuko.demo import draw_demo

REPOSITORY = Path(__file__).resolve().parents[1]

# The same examples in every run, however slow the machine.
settings.register_profile(
    "steady", derandomize=True, deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")

# Everything here is small: more threads would wait for each other.
torch.set_num_threads(1)

TINY_RECIPE = {
    "epochs": 2,
    "min_steps": 4,
    "batch_size": 8,
    "optimizer": "adamw",
    "lr": 0.003,
    "weight_decay": 0.01,
    "schedule": "onecycle",
    "clip": "norm",
    "clip_at": 1.0,
}
STARTS = {"scratch": "none", "blood": "blood"}
TINY = {
    "data_root": "data/demo",
    "launcher": "python",
    "device": "cpu",
    "split": 100,
    "model": "plus",
    "seed": 0,
    "families": {"published": True, "transfer": True},
    "compute": {"threads": 1, "processor": "portable", "precision": "auto", "compile": False},
    "demo": {"seed": 0, "fraction": 0.03},
    "ingest": {
        "seed": 0,
        "val_fraction": 0.3,
        "prcc_val_fraction": 0.1,
        "prcc_test_fraction": 0.1,
        "min_side": 16,
        "blank": "warn",
        "max_value": "auto",
        "mask": "auto",
        "mask_name": "{stem}",
        "subsets": "folders",
        "subset_seed": 0,
        "duplicates": "warn",
        "group": "none",
        "relabel": "none",
    },
    "prepare_masks": {"fill": [0, 0, 0], "cam16": "both", "seed": 0},
    "augment": {
        "wbc_size": 32,
        "prcc_size": 64,
        "cam16_size": 32,
        "rotation": 15,
        "balance": False,
        "balance_rotation": 10,
        "seed": 0,
    },
    "prcc": {**TINY_RECIPE, "seed": 0},
    "cam16": {**TINY_RECIPE, "seed": 0, "weights": "none", "freeze": False},
    "wbc": {**TINY_RECIPE, "augment": "d4"},
    "wbc_plus": {**TINY_RECIPE, "augment": "d4", "cache_gb": 0.5},
    "measure": {"side": 32, "nuclei_per_prcc_tile": 2, "nuclei_per_cam16_image": 2, "seed": 0},
    "pretrain": {**TINY_RECIPE, "width": 4, "zoom": 0.85, "jitter": 0.1, "seed": 0},
    "transfer": {name: {"network": "pooled", "weights": "none", "images": images} for name, images in STARTS.items()},
    "finetune": {**TINY_RECIPE},
    "evaluate": {"examples": 2, "occluded": 1},
    "report": {"pictures": True},
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with slow tests first, so that processes that share the files end at about the same time."""
    n_slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -n_slow[item.path])


def tiny_settings(**changes: Any) -> dict[str, Any]:
    """The repository's settings with values for runs of seconds.

    Args:
        changes: other values, by dotted keys.
    """
    content = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    for name, value in copy.deepcopy(TINY).items():
        content[name] = content[name] | value if isinstance(value, dict) and name != "transfer" else value
    for key, value in changes.items():
        *groups, name = key.split(".")
        group = content
        for part in groups:
            group = group[part]
        group[name] = value
    return content


def write_settings(folder: Path, **changes: Any) -> Path:
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(tiny_settings(**changes), sort_keys=False))
    return path


def run_stage(name: str, folder: Path, *arguments: str) -> None:
    """Run a stage's code here, in a folder that is its project's root."""
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", [name, *arguments])
        importlib.import_module(f"stages.{name}").main()


@contextlib.contextmanager
def left_alone(folder: Path) -> Iterator[Path]:
    """Lend a folder to all tests, and fail in the end if one of them has changed it for the others."""

    def written() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}

    before = written()
    yield folder
    changed = {path for path, _ in before.items() ^ written().items()}
    assert not changed, f"A test has changed what others read too: {', '.join(map(str, sorted(changed)))}"


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> Iterator[Path]:
    """A small demo data set; tests leave it as it is."""
    root = tmp_path_factory.mktemp("demo") / "demo"
    draw_demo(root, seed=1, fraction=0.03)
    with left_alone(root) as lent:
        yield lent


@pytest.fixture(scope="session")
def project(demo, tmp_path_factory) -> Iterator[Path]:
    """A project folder after the data stages, on the small demo data set; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("project")
    write_settings(folder, data_root=str(demo))
    for stage in ("ingest", "prepare_masks", "augment", "measure"):
        run_stage(stage, folder)
    with left_alone(folder) as lent:
        yield lent
