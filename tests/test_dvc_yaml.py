"""dvc.yaml against the code: DVC does not follow imports, and does not know which settings a stage reads."""

import itertools
import re
from pathlib import Path

import pytest
import yaml

from leuko.core.params.everything import Params
from tests.conftest import REPOSITORY
from tools.import_graph import check, file_of, follow, module_of, settings_read, stages_of

STAGES = stages_of(REPOSITORY)
TEXT = (REPOSITORY / "dvc.yaml").read_text()


@pytest.mark.parametrize("name", STAGES)
def test_dependencies_are_the_imports(name):
    assert check(REPOSITORY, name) == []


def test_every_stage_of_the_pipeline_runs_a_module_and_every_module_is_a_stage():
    assert STAGES.keys() == yaml.safe_load(TEXT)["stages"].keys()
    assert {module_of(stage) for stage in STAGES.values()} == {
        f"stages.{path.stem}" for path in (REPOSITORY / "stages").glob("[!_]*.py")
    }


def test_every_dependency_is_a_file_or_an_output():
    outputs = [Path(out) for stage in STAGES.values() for out in outputs_of(stage)]
    for stage in STAGES.values():
        for dep in stage["deps"]:
            assert (
                dep in ("${data_root}", "${item}")  # the images
                or any(Path(out).is_relative_to(dep) for out in outputs)
                or any(Path(dep).is_relative_to(out) for out in outputs)
                or (REPOSITORY / dep).exists()
            ), dep


def outputs_of(stage) -> list[str]:
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, ())]
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def test_what_make_runs_at_once_waits_for_nothing_of_the_other():
    makefile = (REPOSITORY / "Makefile").read_text()
    runs = dict(re.findall(r"^(\w+):.*\n\t\$\(STAGES\) (.+)$", makefile, re.MULTILINE))
    before = {target: set(re.search(rf"^{target}: (.+)$", makefile, re.MULTILINE)[1].split()) for target in runs}
    assert before["published"] == {"measured", "tissue"}
    written = {
        target: [Path(out) for name in names.split() for out in outputs_of(STAGES[name])]
        for target, names in runs.items()
    }
    read = {
        target: [Path(dep) for name in names.split() for dep in STAGES[name]["deps"]] for target, names in runs.items()
    }
    for one, other in itertools.permutations(runs, 2):
        if one not in before[other] and other not in before[one]:
            for path, out in itertools.product(read[one] + written[one], written[other]):
                assert not path.is_relative_to(out) and not out.is_relative_to(path), (one, other, path)


# Settings.


def keys_of(stage) -> list[str]:
    assert all(isinstance(key, str) for key in stage.get("params", ()))
    return stage.get("params", [])


@pytest.mark.parametrize("name", STAGES)
def test_every_setting_of_a_stage_exists(name):
    for key in keys_of(STAGES[name]):
        content = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
        for part in key.split("."):
            if part == "${key}" and not content:  # of `foreach` over nothing
                break
            if part == "${key}":  # each of the mapping's entries
                part = next(iter(content))
            assert part in content, key
            content = content[part]


def test_every_group_of_settings_is_used_by_some_stage():
    used = {key.split(".")[0] for stage in STAGES.values() for key in keys_of(stage)}
    used |= set(re.findall(r"\$\{(\w+)\}", TEXT)) - {"key", "item"}
    assert used == set(Params.model_fields)


def covers(key: str, other: str) -> bool:
    return f"{other}.".startswith(f"{key}.")


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_names_the_settings_that_it_reads(name):
    stage = STAGES[name]
    read = settings_read(REPOSITORY / f"stages/{name}.py")
    assert read or name == "check_settings"
    if "params.yaml" not in stage["deps"]:
        unnamed = {key for key in read if not any(covers(named, key) or covers(key, named) for named in keys_of(stage))}
        assert not unnamed


# The checker itself, on a small project.

PROJECT = {
    "dvc.yaml": """\
stages:
  cook:
    cmd: ${launcher} -m stages.cook
    deps: [data/raw, stages/cook.py, leuko/kitchen, leuko/salt.py]
""",
    "stages/__init__.py": '"""Stages."""\n',
    "stages/cook.py": "import os\nfrom leuko.kitchen import stove\nfrom leuko.salt import pinch\n",
    "leuko/__init__.py": '"""Library."""\n\nfrom __future__ import annotations\n',
    "leuko/salt.py": "def pinch():\n    return 1\n",
    "leuko/pepper.py": "def grind():\n    return 2\n",
    "leuko/kitchen/__init__.py": "",
    "leuko/kitchen/stove.py": "HOT = True\n",
    "leuko/kitchen/sink.py": "WET = True\n",
    "data/raw": "",
}


def problems(tmp_path: Path, changes: dict[str, str] | None = None) -> list[str]:
    for path, content in (PROJECT | (changes or {})).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    return check(tmp_path, "cook")


def with_deps(tmp_path: Path, deps: str) -> list[str]:
    problems(tmp_path)
    (tmp_path / "dvc.yaml").write_text(f"stages:\n  cook:\n    cmd: python -m stages.cook\n    deps: [{deps}]\n")
    return check(tmp_path, "cook")


COOK = PROJECT["stages/cook.py"]
MISSING = "cook: leuko/pepper.py is used but no dependency"


def test_the_checker_finds_nothing_where_all_is_right(tmp_path):
    assert problems(tmp_path) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"stages/cook.py": COOK + "from leuko.pepper import grind\n"},
        {"stages/cook.py": COOK + "from leuko import pepper\n"},
        {"stages/cook.py": COOK + "import leuko.pepper as p\n"},
        {"stages/cook.py": COOK + "def later():\n    import leuko.pepper\n"},
        {"leuko/salt.py": "from leuko.pepper import grind\n"},
        {"leuko/salt.py": "from .pepper import grind\n"},
        {"leuko/kitchen/stove.py": "from .. import pepper\n"},
        {"leuko/kitchen/stove.py": "from ..pepper import grind\n"},
        {"leuko/kitchen/__init__.py": "from leuko.pepper import grind\n"},
    ],
    ids=lambda changes: next(iter(changes.values())).splitlines()[-1].strip(),
)
def test_the_checker_finds_a_missing_dependency(tmp_path, changes):
    assert problems(tmp_path, changes) == [MISSING]


def test_the_checker_follows_imports_of_imports_round_in_circles(tmp_path):
    changes = {
        "leuko/salt.py": "import leuko.kitchen.sink\n",
        "leuko/kitchen/sink.py": "import leuko.pepper, leuko.salt\n",
    }
    assert problems(tmp_path, changes) == [MISSING]


def test_the_checker_wants_packages_that_hold_code(tmp_path):
    assert problems(tmp_path, {"leuko/__init__.py": "VERSION = 1\n"}) == [
        "cook: leuko/__init__.py is used but no dependency"
    ]


def test_the_checker_wants_the_templates_that_a_module_names(tmp_path):
    page = tmp_path / "leuko/page.html"
    page.parent.mkdir(parents=True)
    page.write_text("<p>")
    assert problems(tmp_path, {"leuko/salt.py": 'PAGE = "page.html"\n'}) == [
        "cook: leuko/page.html is used but no dependency"
    ]


@pytest.mark.parametrize("dep", ["leuko/pepper.py", "leuko/herbs"])
def test_the_checker_finds_a_superfluous_dependency(tmp_path, dep):
    herbs = tmp_path / "leuko/herbs/dill.py"
    herbs.parent.mkdir(parents=True)
    herbs.write_text("GREEN = True\n")
    found = with_deps(tmp_path, f"data/raw, stages/cook.py, leuko/kitchen, leuko/salt.py, {dep}")
    assert found == [f"cook: {dep} is a dependency but not imported"]


def test_the_checker_takes_a_file_for_a_missing_one_of_a_like_name(tmp_path):
    assert with_deps(tmp_path, "stages/cook.py, leuko/kitchen/stov, leuko/kitchen/sink.py, leuko/salt.py") == [
        "cook: leuko/kitchen/stove.py is used but no dependency",
        "cook: leuko/kitchen/sink.py is a dependency but not imported",
    ]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("params = load_params()\nprint(params.seed, other.x)", {"seed"}),
        ("params = load_params()\nprint(params.augment.wbc_size)", {"augment.wbc_size"}),
        ("params = load_params().demo\nprint(params.seed)", {"demo.seed"}),
        ("options = load_params().demo\nprint(options.seed)", {"demo"}),
        ("params = load_params()\nprint(params.wbc.model_dump())", {"wbc"}),
    ],
)
def test_the_checker_reads_which_settings_a_stage_reads(tmp_path, code, expected):
    (tmp_path / "stage.py").write_text(code)
    assert settings_read(tmp_path / "stage.py") == expected


def test_the_real_imports_are_followed_all_the_way():
    followed = {path.relative_to(REPOSITORY).as_posix() for path in follow(REPOSITORY, "stages.train_wbc_plus")}
    assert {
        "leuko/models/base.py",
        "leuko/training/tasks.py",
        "leuko/training/device.py",
        "leuko/__init__.py",
    } <= followed
    assert "leuko/data/layout.py" not in followed
    assert file_of(REPOSITORY, "leuko.nowhere") is None
