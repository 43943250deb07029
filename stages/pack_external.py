"""Check another laboratory's images, and pack them as those of a test: `python -m stages.pack_external NAME`."""

import sys
from pathlib import Path

from leuko.core.errors import LeukoError, run
from leuko.core.files import atomic_folder
from leuko.core.params.augment import Augment
from leuko.core.params.external import External
from leuko.core.params.group import Group, Text
from leuko.core.params.ingest import Ingest
from leuko.core.params.labels import Classes
from leuko.core.params.measure import Measure
from leuko.core.params.reading import load_params, named_entry
from leuko.core.params.stain import Stain
from leuko.data.laboratory import already_learned, survey_laboratory
from leuko.data.manifest import read_manifest
from leuko.morphology.laboratory import pack_laboratory


class Settings(Group):
    """The settings that this stage reads."""

    data_root: Text
    classes: Classes
    synonyms: dict[Text, Text]
    external: External
    stain: Stain
    ingest: Ingest
    augment: Augment
    measure: Measure


def main() -> None:
    """Write `data/packs/external/NAME`."""
    params = load_params(Settings)
    name = named_entry("external", params.external, sys.argv[1:])
    root = Path(params.external[name])
    try:
        rows = survey_laboratory(
            root,
            classes=params.classes,
            synonyms=params.synonyms,
            min_side=params.ingest.min_side,
            max_value=params.ingest.max_value,
        )
    except LeukoError as error:
        raise LeukoError(f"external.{name}: {error}") from error
    own = read_manifest(Path("data/images.csv"))
    learned = own[(own["set"] == "wbc") & (own["part"] != "test")]
    if shared := already_learned(root, rows, Path(params.data_root), learned):
        kind = f"external.{name}: {len(shared)} images are training or validation images too; remove them from {root}:"
        raise LeukoError("\n".join([kind, *(f"  {path}" for path in shared)]))
    sizes = {key: getattr(params.augment, f"{key}_size") for key in ("wbc", "prcc", "cam16")}
    with atomic_folder(Path("data/packs/external") / name) as packs:
        pack_laboratory(packs, rows, root, sizes, params.measure.side, params.stain)


if __name__ == "__main__":
    run(main)
