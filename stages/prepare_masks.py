"""Make masked copies of the training images that have a mask."""

from pathlib import Path

from leuko.core.errors import run
from leuko.core.files import atomic_folder, write_table
from leuko.core.params.group import Group, Text
from leuko.core.params.prepare_masks import PrepareMasks
from leuko.core.params.reading import load_params
from leuko.data.manifest import read_manifest
from leuko.data.masks import masked_examples, plan_masks, write_masked

FOLDER = Path("data/masked")


class Settings(Group):
    """The settings that this stage reads."""

    data_root: Text
    prepare_masks: PrepareMasks


def main() -> None:
    """Write `data/masked` with its own manifest, and a picture of a few copies."""
    params = load_params(Settings)
    root, options = Path(params.data_root), params.prepare_masks
    plan = plan_masks(read_manifest(Path("data/manifest.csv")), root, options.cam16, options.seed)
    with atomic_folder(FOLDER) as folder:
        copies = write_masked(plan, root, folder, options.fill)
        write_table(folder / "manifest.csv", copies)
    masked_examples(Path("plots/masked.png"), plan, copies, root, FOLDER)


if __name__ == "__main__":
    run(main)
