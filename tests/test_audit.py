"""What would make scores worth little is found and told, and nothing is told where there is nothing."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from leuko.arms import MORPHOLOGY, arms
from leuko.core.errors import LeukoError
from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params
from leuko.core.params.transfer import Probe
from leuko.data.tables import REMOVE
from leuko.demo import draw_demo
from leuko.evaluation.shortcuts import AROUND, file_facts, find_shortcut, surroundings
from leuko.evaluation.suspects import find_suspects, out_of_fold
from leuko.models.store import save_left_out
from leuko.report.audit import audit_blocks, focus_blocks, label_warning, shortcut_warning
from leuko.report.laboratories import laboratories_blocks
from leuko.report.trust import groups_blocks
from tests.conftest import REPOSITORY, STARTS, TINY, run_stage, write_settings
from tests.course import draw_course, make_manifest

OPTIONS = TINY["ingest"]
FRACTION = 0.2

SETTINGS = Probe(regularization=0.01, gamma=0.1, few_labels="none", propagate_upto=1, dimensions=4, neighbours=4)
NAMES = np.array(["a", "b", "c"])


def draw_images(n, rng):
    """Noise on backgrounds of any brightness."""
    return (rng.integers(150, 220, (n, 1, 1, 3)) + rng.integers(0, 30, (n, 32, 32, 3))).astype(np.uint8)


def rows_of(labels, groups=None):
    paths = [f"{place}.png" for place in range(len(labels))]
    return pd.DataFrame({"path": paths, "class": NAMES[labels], "group": groups or ""})


def test_of_an_image_only_what_is_outside_the_disc_counts():
    rng = np.random.default_rng(0)
    images = draw_images(4, rng)
    with_cell = images.copy()
    with_cell[:, 8:24, 8:24] = 0
    np.testing.assert_array_equal(surroundings(images), surroundings(with_cell))
    with_cell[:, 0, :3] = 0
    assert (surroundings(images) != surroundings(with_cell)).any()
    assert surroundings(images).shape == (4, len(AROUND))


@pytest.mark.parametrize("shortcut", [True, False])
def test_a_colour_of_the_border_is_a_shortcut(shortcut):
    rng = np.random.default_rng(1)
    labels = np.arange(360) % 3
    images = draw_images(360, rng)
    if shortcut:
        images[labels == 1, 0] = (255, 120, 255)
    around, rows = surroundings(images), rows_of(labels)
    found = find_shortcut(around[:240], rows["class"][:240], around[240:], rows[240:], AROUND)
    assert found["above_chance"] == shortcut
    assert found["low"] <= found["balanced_accuracy"] <= found["high"]
    told = shortcut_warning("surroundings", found)
    assert bool(told) == shortcut
    if shortcut:
        assert found["recalls"]["b"] == 1
        assert "the border" in found["tells"]["b"]
        assert found["examples"][0]["class"] == "b"
        assert "b (100 %" in told


@pytest.mark.slow
def test_no_test_of_few_groups_is_surer_than_its_groups():
    """Every group has a background of its own, and classes of its own by chance."""
    rng = np.random.default_rng(2)
    n_above = 0
    for _ in range(20):
        groups = np.repeat(np.arange(18), 20)
        labels = rng.integers(0, 3, 18)[groups]
        values = rng.normal(size=(18, 5))[groups] + 0.1 * rng.normal(size=(360, 5))
        rows = rows_of(labels, [f"g{group}" for group in groups])
        found = find_shortcut(values[:180], rows["class"][:180], values[180:], rows[180:], list("vwxyz"))
        n_above += found["above_chance"]
    assert n_above <= 3


def test_the_form_of_files_is_a_shortcut_but_not_their_letters():
    def facts(names, widths):
        return file_facts(pd.DataFrame({"path": names, "width": widths, "height": 100, "scale": "JPEG"}))

    plain = facts(["x/BA_12.jpg", "x/EO_7.jpg"], [100, 100])
    assert plain.iloc[0].equals(plain.iloc[1])
    for other in (facts(["BA_12.jpg", "EO-7.jpg"], [100, 100]), facts(["a.jpg", "a.png"], [100, 100]),
                  facts(["a.jpg", "a.jpg"], [100, 101])):  # fmt: skip
        assert not other.iloc[0].equals(other.iloc[1])


@pytest.mark.parametrize("share", [0.03, 0.0])
def test_wrong_labels_are_suspect(share):
    rng = np.random.default_rng(3)
    middles = 2 * rng.normal(size=(3, 12))
    truth = np.arange(600) % 3
    cells = (middles[truth] + rng.normal(size=(600, 12))).astype(np.float32)
    wrong = rng.choice(600, int(600 * share), replace=False)
    labels = truth.copy()
    labels[wrong] = (labels[wrong] + 1) % 3
    found = find_suspects(out_of_fold(cells, labels, [""] * 600, 3, SETTINGS), labels)
    told = label_warning({"asked": 600, "suspect": len(found)})
    assert bool(told) == (share > 0)
    if share:
        assert np.isin(wrong, found["image"]).mean() > 0.8
        assert np.isin(found["image"][: len(wrong)], wrong).mean() > 0.8
        assert (found["suggested"] == truth[found["image"]])[: len(wrong)].mean() > 0.8


def test_suspects_are_asked_about_by_models_that_know_none_of_their_group():
    """Labels follow groups here, and cells are noise that groups share: within groups they could be learned."""
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(30), 10)
    labels = (np.arange(30) % 3)[groups]
    cells = (rng.normal(size=(30, 8))[groups] + 0.01 * rng.normal(size=(300, 8))).astype(np.float32)
    by_group = out_of_fold(cells, labels, [f"g{group}" for group in groups], 3, SETTINGS)
    by_image = out_of_fold(cells, labels, [""] * 300, 3, SETTINGS)
    assert (by_image.argmax(1) == labels).mean() > 0.95
    assert (by_group.argmax(1) == labels).mean() < 0.6


# What a person decided


def test_labels_that_a_person_decided_are_taken_up_and_parts_stay_as_they_are(tmp_path):
    root = draw_course(tmp_path, subsets=())
    settings = OPTIONS | {"subsets": "drawn"}
    before = make_manifest(root, **settings)
    cells = before[before["set"] == "wbc"]
    test, train = (cells[cells["part"] == part]["path"].iloc[0] for part in ("test", "train"))
    removed, left = cells[(cells["part"] == "train") & (cells["subset"] == 100)]["path"].iloc[[1, 2]]
    decided = {test: "monocyte", train: "Neutrophil", removed: REMOVE, left: ""}
    table = pd.DataFrame({"path": decided.keys(), "label": decided.values(), "given": "?"})
    table.to_csv(root / "decided.csv", index=False)
    after = make_manifest(root, **settings | {"relabel": "decided.csv"})
    expected = before[before["path"] != removed].reset_index(drop=True)
    after, expected = (some.drop(columns=["subset", "mask_subset"]) for some in (after, expected))
    expected.loc[expected["path"] == test, "class"] = "Monocyte"
    expected.loc[expected["path"] == train, "class"] = "Neutrophil"
    pd.testing.assert_frame_equal(after, expected)


def test_what_is_wrong_with_decided_labels_is_told_at_once(tmp_path):
    root = draw_course(tmp_path)
    paths = ["WBC_100/train/data/Basophil/basophil_0001.jpg", "pRCC/_0001.jpg"]
    pd.DataFrame({"path": paths, "label": ["Blast", "Basophil"]}).to_csv(root / "decided.csv", index=False)
    with pytest.raises(LeukoError, match=r"(?s)Blast.*pRCC/_0001.jpg|pRCC/_0001.jpg.*Blast"):
        make_manifest(root, **OPTIONS | {"relabel": "decided.csv"})


# A drawn set in which all of it is wrong, and one in which nothing is.


def lay_traps(root, abroad):
    """Spoil a demo set, in which slides are groups: a leak, a shortcut, wrong labels; and another laboratory."""
    train, held_out = (sorted((root / f"WBC_100/{part}/data").rglob("*.jpg")) for part in ("train", "val"))
    for path in train + held_out:
        if path.parent.name == "Monocyte":
            pixels = np.array(Image.open(path))
            pixels[[0, 1, -1, -2]] = pixels[:, [0, 1, -1, -2]] = (40, 120, 90)
            Image.fromarray(pixels).save(path, quality=95)
    for number, path in enumerate(held_out[::3]):  # slides of training get cells of the test
        slide = f"slide{1 + number % 12:02}"
        path.rename(path.with_name(f"{slide}_leaked_{path.name.split('_')[-1]}"))
    wrong = [path for path in train if path.parent.name in ("Lymphocyte", "Neutrophil")]
    for path in wrong[:: len(wrong) * 100 // (len(train) * 4)]:
        other = "Neutrophil" if path.parent.name == "Lymphocyte" else "Lymphocyte"
        path.rename(path.parent.with_name(other) / f"{path.stem}_wrong.jpg")
    for path in sorted(abroad.rglob("*.jpg")):
        Image.fromarray(np.asarray(Image.open(path))[:, :, ::-1]).save(path, quality=95)


@pytest.mark.slow
def test_the_report_finds_all_that_is_wrong_and_is_silent_where_nothing_is(tmp_path):
    root, abroad = tmp_path / "demo", tmp_path / "abroad"
    draw_demo(root, seed=2, fraction=FRACTION)
    for name in ("WBC_1", "WBC_10", "WBC_50", "pRCC", "CAM16_100cls_10mask", "WBC_100/train/mask"):
        shutil.rmtree(root / name)
    (root / "groups.csv").unlink()  # the names tell them too, and may change
    draw_demo(tmp_path / "other", seed=3, fraction=FRACTION)
    shutil.copytree(tmp_path / "other/WBC_100/val/data", abroad)
    told = what_is_told(tmp_path, root, abroad)
    lay_traps(root, abroad)
    told_of_traps = what_is_told(tmp_path, root, abroad)
    for sentence in (
        "are of groups (patients, smears or days) that are also in training",
        "Warning, a shortcut: what surrounds the cell alone tells",
        "Monocyte (100 %",
        "Warning, suspect labels",
        "a foreign set",
    ):
        assert sentence in told_of_traps
        assert sentence not in told
    suspects = pd.read_csv(tmp_path / "data/suspects.csv")["path"]
    wrong = {path.relative_to(root).as_posix() for path in root.rglob("*_wrong.jpg")}
    assert len(wrong & set(suspects)) > 0.7 * len(wrong)


def test_an_arm_whose_answers_do_not_rest_on_the_cell_is_warned_of():
    transfer = load_params(Params, REPOSITORY / "params.yaml").transfer
    scratch, tissue = (arm for arm in arms(transfer) if arm.key in ("scratch", "tissue"))
    found = {
        "scratch": {"a": {"inside": 0.8, "area": 0.3, "images": 2}, "b": {"inside": 0.6, "area": 0.3, "images": 1}},
        "tissue": {"b": {"inside": 0.2, "area": 0.3, "images": 2}},
    }
    said, warned, row = focus_blocks(found, [scratch, tissue, MORPHOLOGY])
    assert "rest on" in said
    assert "answers of tissue rest on the cell no more" in warned
    (table,) = row.tables
    assert [[cell.text for cell in cells] for cells in table.rows.values()] == [
        ["80.0", "60.0", "70.0", "30.0"],
        ["–", "20.0", "20.0", "30.0"],
    ]
    assert len(focus_blocks({"scratch": found["scratch"]}, [scratch, tissue])) == 2
    assert focus_blocks({}, [scratch]) == []


def what_is_told(folder, root, abroad):
    """What the report says of a set and of another laboratory, with the one arm that is trained in no time."""
    settings = write_settings(
        folder, data_root=str(root), external={"bern": str(abroad)}, **{"ingest.group": "(?P<group>slide[0-9]+)_"}
    )
    every = arms(load_params(Params, settings).transfer)
    for encoder in STARTS:
        save_left_out(folder / f"models/encoders/{encoder}.safetensors", "this test has none")
    for arm in every:
        save_left_out(folder / arm.model, "this test has none")
    for stage in ("ingest", "prepare_masks", "augment", "measure", "probe", "evaluate", "audit"):
        run_stage(stage, folder)
    run_stage("pack_external", folder, "bern")
    run_stage("external", folder, "bern")
    comparison = json.loads((folder / "metrics/comparison.json").read_text())
    return " ".join(
        block
        for block in (
            *groups_blocks(comparison["groups"], {MORPHOLOGY: comparison["arms"]["morphology"]}),
            *audit_blocks(folder, pictures=True),
            *laboratories_blocks(folder, ["bern"], [MORPHOLOGY]),
        )
        if isinstance(block, str)
    )
