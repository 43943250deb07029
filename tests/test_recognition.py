"""A folder in another layout is told for what it is, with the kind of import that reads it."""

import pytest

from leuko.core.classes import nearest_class
from leuko.importers.recognition import in_another_layout
from tests.course import WBC, draw_course

LAYOUTS = {
    "pcam": ["camelyonpatch_level_2_split_train_x.h5", "camelyonpatch_level_2_split_train_y.h5"],
    "medmnist": ["bloodmnist_64.npz"],
    "bccd": ["BCCD/Annotations/BloodImage_00000.xml", "BCCD/JPEGImages/BloodImage_00000.jpg"],
    "lisc": ["Main_Dataset/baso/1.bmp", "Ground_Truth/baso/1_expert.bmp"],
    "matek": [f"AML-Cytomorphology/{code}/{code}_0001.tiff" for code in ("BAS", "NGS", "MYO")],
    "mll23": [f"{name}/{name}/{number}.tif" for name in ("basophil", "smudge_cell") for number in range(2)],
    "raabin": ["Train/Basophil/95-8-10-1_527_1.jpg", "TestA/Monocyte/20190527_111443_0.jpg"],
    "pbc": ["PBC_dataset_normal_DIB/basophil/BA_100.jpg", "PBC_dataset_normal_DIB/neutrophil/SNE_2.jpg"],
    "csv": ["labels.csv", "images/1.png", "images/2.png"],
    "folders": ["train/EO/1.png", "valid/EO/2.png", "train/LY/3.png"],
    "tiles": ["1.png", "2.png", "3.tif"],
}


def draw(root, paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x")
    return root


@pytest.mark.parametrize("kind", LAYOUTS)
def test_what_a_folder_looks_like_is_said_with_what_to_type(tmp_path, kind):
    words = in_another_layout(draw(tmp_path, LAYOUTS[kind]), WBC)
    assert "is not in the course layout" in words
    assert f"leuko import {kind} " in words


def test_folders_are_counted_and_taken_for_classes(tmp_path):
    words = in_another_layout(draw(tmp_path, [*LAYOUTS["folders"], "train/BNE/4.png"]), WBC)
    assert "It holds 4 images, by folder:" in words
    assert "EO                             2  (Eosinophil?)" in words
    assert "BNE may or may not count as neutrophil" in words


def test_a_course_folder_further_down_is_pointed_at(tmp_path):
    draw_course(tmp_path / "unpacked/course", train=1, val=2, subsets=())
    for root in (tmp_path, tmp_path / "unpacked"):
        assert f"What is lies below: {tmp_path}/unpacked/course. Give that." in in_another_layout(root, WBC)


def test_the_course_layout_and_what_is_no_folder_are_not_recognised(tmp_path):
    draw_course(tmp_path, train=1, val=2, subsets=())
    assert in_another_layout(tmp_path, WBC) == ""
    assert in_another_layout(tmp_path / "missing", WBC) == ""


def test_archives_are_to_be_unpacked(tmp_path):
    assert "Train.rar): unpack them first" in in_another_layout(draw(tmp_path, ["Train.rar"]), WBC)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Eosnophil", "Eosinophil"),
        ("Bazo", "Basophil"),
        ("Lymfocyte", "Lymphocyte"),
        ("Mon", "Monocyte"),
        ("Neutrofile", "Neutrophil"),
        ("holiday", ""),
        ("x", ""),
    ],
)
def test_a_misspelt_class_is_suggested(name, label):
    assert nearest_class(name, WBC) == label
