"""The notebook runs from beginning to end, and what its text says of the results is so."""

import os
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")


@pytest.mark.slow
def test_the_tour_runs_as_written(tmp_path, monkeypatch):
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(REPOSITORY / "notebooks/tour.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # they would be out of date one day
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    told = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    texts = [output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in told]
    assert any("the classifier on descriptors" in text and "points" in text for text in texts)
    assert texts[-1].splitlines()[-1].split()[-1] == "True"  # the tissue is unlike the cells
    assert "False" in texts[-1]
    if folder := os.environ.get("NOTEBOOKS"):  # to be looked at
        nbformat.write(notebook, Path(folder) / "tour.ipynb")
