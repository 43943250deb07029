"""Check the data root and write the manifest."""

from pathlib import Path

from leuko.data.manifest import make_manifest
from leuko.errors import run
from leuko.files import write_table
from leuko.params import load_params

MANIFEST = Path("data/manifest.csv")


def main() -> None:
    """Read `data_root`, divide its images into parts and subsets, and write `data/manifest.csv`."""
    params = load_params()
    manifest = make_manifest(Path(params.data_root), **params.ingest.model_dump())
    write_table(MANIFEST, manifest)
    print(manifest.groupby(["set", "part"], sort=False).size().to_string(header=False))


if __name__ == "__main__":
    run(main)
