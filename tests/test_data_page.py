"""The page of a check holds what the check says, and pictures only where they may be shown."""

import argparse
import re

import numpy as np
import pytest
from PIL import Image

from leuko.commands import check
from leuko.data.survey import survey_data
from leuko.report.data_page import data_report, overlay
from leuko.report.rendering import fill
from tests import drawn_masks
from tests.conftest import tiny_settings, write_settings
from tests.course import WBC, draw_course, save

OPTIONS = tiny_settings()["ingest"] | {"classes": WBC, "synonyms": {}}
FOLDER = "WBC_100/train/data/Monocyte"


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A data root with cells that have masks, a blank frame, a leak, groups and two formats."""
    root = draw_course(tmp_path_factory.mktemp("page"), train=3, val=3, masked=0, cam16=1, subsets=())
    for number in range(0, 18, 3):  # none of which looks like another
        image, cell = drawn_masks.cell(number)
        save(image, root / FOLDER / f"95-8-10-1_{number}_1.png")
        save(
            Image.fromarray(drawn_masks.greys_of(cell)), root / f"WBC_100/train/mask/Monocyte/95-8-10-1_{number}_1.png"
        )
    save(drawn_masks.cell(0)[0], root / "WBC_100/val/data/Monocyte/95-8-10-1_9_1.png")
    save(Image.new("RGB", (40, 40), 255), root / FOLDER / "95-8-11-1_1_1.png")
    return root


def page(root, *, shown=True, **options) -> str:
    survey = survey_data(root, **OPTIONS | options)
    return fill(data_report(survey, root, WBC, pictures=shown))


def test_the_page_says_what_the_check_says(course):
    text = page(course, group="raabin")
    for words in (
        "No errors, ",
        "wbc train Monocyte",
        "PNG, RGB of uint8",
        "JPEG, RGB of uint8",
        "Masks of wbc: 6; all but black (0) is kept",
        "Images of one colour, which show nothing (1):",
        f"{FOLDER}/95-8-11-1_1_1.png",
        "Pictures in several parts 1",
        "Groups: ",
    ):
        assert words in text, words
    assert text.count("kept: ") == 6
    assert len(re.findall(r"data:image/jpeg", text)) == 12 + 2


def test_the_page_can_do_without_pictures(course):
    text = page(course, shown=False)
    assert "data:image/jpeg" not in text
    assert "95-8-10-1_9_1.png" in text


def test_problems_come_first(course, tmp_path):
    root = draw_course(tmp_path, train=1, val=2, masked=0, subsets=())
    (root / FOLDER / "broken.png").write_bytes(b"")
    text = page(root)
    assert "1 problem in" in text
    assert text.index("Images that cannot be read") < text.index("Images that can be used")


def test_an_overlay_leaves_what_is_kept_and_fades_the_rest():
    image, cell = drawn_masks.cell(0)
    shown = overlay(np.asarray(image), cell)
    assert shown.size == image.size
    assert shown.getpixel((32, 32)) == image.getpixel((32, 32))
    assert min(shown.getpixel((0, 0))) > 240


@pytest.mark.parametrize("shown", [True, False])
def test_a_check_writes_the_page_on_demand(course, tmp_path, capsys, shown):
    options = argparse.ArgumentParser()
    check.add_arguments(options)
    params = write_settings(tmp_path, report={"pictures": shown})
    out = tmp_path / "data.html"
    check.run(options.parse_args([str(course), "--page", str(out), "--params", str(params)]))
    assert f"The page: {out}" in capsys.readouterr().out
    text = out.read_text()
    assert text.startswith("<!DOCTYPE html>")
    assert ("data:image/jpeg" in text) == shown
