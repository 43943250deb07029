"""Write what every stage imports into `dvc.yaml`: `make deps`.

DVC does not follow imports, so each local module that a stage imports, however far away, has to stand among its
dependencies: else an edit would go unnoticed. A folder stands there where all of it is imported.
"""

from __future__ import annotations

from pathlib import Path

from tools.import_graph import code_dependencies, stages_of

ROOT = Path(__file__).parent.parent
CODE = ("leuko/", "stages/")


def rewrite(root: Path) -> str:
    """The text of `dvc.yaml` with the code dependencies of every stage as the imports have them.

    Args:
        root: the folder of dvc.yaml.

    Returns:
        The text; all that is no code dependency stays as it is, comments too.
    """
    lines: list[str] = []
    wanted = stages_of(root)
    stage, indent = "", 0
    for line in (root / "dvc.yaml").read_text(encoding="utf-8").splitlines():
        depth = len(line) - len(line.lstrip())
        if indent and line.strip() and depth <= indent:
            n_blank = next(n for n, above in enumerate(reversed(lines)) if above.strip())
            at = len(lines) - n_blank
            lines[at:at] = [f"{' ' * (indent + 2)}- {dep}" for dep in code_dependencies(root, stage)]
            indent = 0
        if depth == 2 and line.strip().removesuffix(":") in wanted:
            stage = line.strip().removesuffix(":")
        if stage and line.strip() == "deps:":
            indent = depth
        if not (indent and line.strip().removeprefix("- ").startswith(CODE)):
            lines.append(line)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (ROOT / "dvc.yaml").write_text(rewrite(ROOT), encoding="utf-8")
