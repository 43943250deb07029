"""Which local modules a pipeline stage imports, and whether its dependencies in dvc.yaml say so."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

PACKAGES = ("leuko", "stages")


def stages_of(root: Path) -> dict[str, dict[str, Any]]:
    """The stages that run a module, by name, as dvc.yaml holds them."""
    content = yaml.safe_load((root / "dvc.yaml").read_text())
    stages = {name: stage.get("do", stage) for name, stage in content["stages"].items()}
    return {name: stage for name, stage in stages.items() if module_of(stage)}


def module_of(stage: dict[str, Any]) -> str | None:
    """The module that a stage's command runs."""
    found = re.search(r"-m (\S+)", stage["cmd"])
    return found[1] if found else None


def check(root: Path, name: str) -> list[str]:
    """Compare a stage's dependencies with its imports.

    A folder among the dependencies covers what is below it. Modules without code, such as a package's `__init__.py`
    that holds only a docstring, need not be named.

    Args:
        root: the folder of dvc.yaml.
        name: the stage.

    Returns:
        What is missing and what is superfluous, a line each.
    """
    stage = stages_of(root)[name]
    imported = {path.relative_to(root) for path in follow(root, str(module_of(stage)))}
    code = [Path(path) for path in stage.get("deps", ()) if is_code(root, path)]
    needed = {path for path in imported if has_code(root / path)}
    needed |= {template.relative_to(root) for path in imported for template in templates_of(root / path)}
    listed = [Path(path) for path in stage.get("deps", ())]
    missing = {path for path in needed if not any(path.is_relative_to(dep) for dep in listed)}
    superfluous = {dep for dep in code if not any(path.is_relative_to(dep) for path in imported)}
    return [
        *(f"{name}: {path.as_posix()} is used but no dependency" for path in sorted(missing)),
        *(f"{name}: {path.as_posix()} is a dependency but not imported" for path in sorted(superfluous)),
    ]


def code_dependencies(root: Path, name: str) -> list[str]:
    """What a stage depends on of the code: folders of which all is imported, and single files of the others.

    Args:
        root: the folder of dvc.yaml.
        name: the stage.

    Returns:
        Paths relative to the root, sorted.
    """
    module = str(module_of(stages_of(root)[name]))
    needed = {path for path in follow(root, module) if has_code(path)}
    whole: set[Path] = set()
    for folder in sorted({parent for path in needed for parent in path.parents if parent.is_relative_to(root)}):
        inside = {path for path in folder.rglob("*.py") if has_code(path)}
        if folder.parent != root and folder != root and inside <= needed and len(inside) > 1:
            whole.add(folder)
    needed |= {template for path in needed for template in templates_of(path)}
    kept = {path for path in needed | whole if not any(folder in path.parents for folder in whole)}
    return sorted(path.relative_to(root).as_posix() for path in kept)


def templates_of(path: Path) -> set[Path]:
    """The files of HTML and CSS beside a module that it names."""
    text = path.read_text(encoding="utf-8")
    return {file for kind in ("*.html", "*.css") for file in path.parent.glob(kind) if f'"{file.name}"' in text}


def is_code(root: Path, dep: str) -> bool:
    """Whether a dependency is code: a module or a folder of modules."""
    return Path(dep).suffix == ".py" or any((root / dep).rglob("*.py"))


def has_code(path: Path) -> bool:
    """Whether a module holds more than a docstring and imports from `__future__`."""

    def counts(node: ast.stmt) -> bool:
        if isinstance(node, ast.Expr):
            return not isinstance(node.value, ast.Constant)
        return not (isinstance(node, ast.ImportFrom) and node.module == "__future__")

    return any(counts(node) for node in ast.parse(path.read_text()).body)


def follow(root: Path, module: str) -> set[Path]:
    """The files of a module, its packages and all local modules that these import, wherever in their code."""
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        parts = name.split(".")
        if parts[0] not in PACKAGES:
            continue
        # Importing a module runs the packages around it first.
        for length in range(1, len(parts) + 1):
            path = file_of(root, ".".join(parts[:length]))
            if path and path not in found:
                found.add(path)
                waiting += imports_in(path, ".".join(parts[:length]))
    return found


def file_of(root: Path, module: str) -> Path | None:
    """The file of a module, if it is a local one."""
    base = root.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def imports_in(path: Path, module: str) -> Iterator[str]:
    """All names that a module imports, as if each were a module; but those that only type checkers see."""
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    tree = ast.parse(path.read_text())
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    unseen = {id(node) for block in blocks for statement in block.body for node in ast.walk(statement)}
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            around = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*around, *([node.module] if node.module else [])])
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)


def settings_read(path: Path) -> set[str]:
    """The dotted keys of the settings that a stage's module reads, of `params` or straight of `load_params()`."""
    tree = ast.parse(path.read_text())
    prefix: list[str] = []  # of what `params` is
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "params":
            _, prefix = chain_of(node.value)
    keys = set()
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in inner:
            source, names = chain_of(node)
            names = [name for name in names if name != "model_dump"]
            if source == "params":
                keys.add(".".join([*prefix, *names]))
            elif source == "load_params()" and names != prefix:
                keys.add(".".join(names))
    return keys - {""}


def chain_of(node: ast.expr) -> tuple[str, list[str]]:
    """What attributes are read of: its code, and their names."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    return ast.unparse(node), names
