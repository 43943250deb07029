"""The page of `dvc plots`, which is drawn without a network once offline.py has run."""

import re
import shutil
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

DVC_YAML = """\
plots:
  - loss:
      x: epoch
      y:
        history.csv: loss
"""


@pytest.mark.slow
def test_the_page_needs_nothing_from_elsewhere_and_says_so_where_vega_is_missing(tmp_path):
    shutil.copytree(REPOSITORY / ".dvc/plots", tmp_path / ".dvc/plots", ignore=shutil.ignore_patterns("offline.html"))
    shutil.copy(REPOSITORY / ".dvc/config", tmp_path / ".dvc")
    (tmp_path / "dvc.yaml").write_text(DVC_YAML)
    (tmp_path / "history.csv").write_text("epoch,loss\n1,0.5\n2,0.25\n")

    def call(*command: str) -> str:
        subprocess.run([sys.executable, *command], cwd=tmp_path, check=True, capture_output=True)
        page = tmp_path / "dvc_plots/index.html"
        return page.read_text() if page.exists() else ""

    # DVC without Git.
    call("-m", "dvc", "config", "--local", "core.no_scm", "true")
    without = call("-m", "dvc", "plots", "show")
    call(".dvc/plots/offline.py")
    whole = call("-m", "dvc", "plots", "show")
    for page in (without, whole):
        assert "python .dvc/plots/offline.py" in page
        assert '"loss": "0.25"' in page
        assert not re.search(r"""<(script|link)[^>]* (src|href)\s*=""", page)
        assert not re.search(r"\{(plot_divs|scripts|refresh_tag)\}", page)
    assert "window.vegaEmbed=" not in without
    assert "window.vegaEmbed=" in whole
