"""Let the page of `dvc plots` be drawn without a network: put Vega into page.html, and have DVC use what comes out.

Run as `python .dvc/plots/offline.py`, once; the page, offline.html, and the setting, in config.local, stay out of Git.
"""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import vl_convert

FOLDER = Path(__file__).resolve().parent
VEGA_LITE = "5.21"  # the newest of the major version that DVC's plots are written for

libraries = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE)
origin = f"Vega, Vega-Lite and Vega-Embed, BSD 3-clause, from vl-convert-python {version('vl-convert-python')}"
# Inside a function, lest its many short names stand in the way of the page's own.
script = f"<!-- {origin} -->\n<script>(() => {{{libraries}}})();</script>"
page = (FOLDER / "page.html").read_text(encoding="utf-8")
(FOLDER / "offline.html").write_text(page.replace("<!-- Vega -->", script), encoding="utf-8")
setting = ["config", "--quiet", "--local", "plots.html_template", "plots/offline.html"]
subprocess.run([sys.executable, "-m", "dvc", *setting], cwd=FOLDER, check=True)
