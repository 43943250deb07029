"""The transfer and features families: real stages from measured cells to scores."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from leuko.arms import arms, gains
from leuko.core.errors import LeukoError
from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params
from leuko.data.manifest import read_manifest
from leuko.models.build import load_classifier, load_encoder
from leuko.models.store import left_out, load_config, read_tensors
from leuko.packs.reading import read_features, read_rows
from leuko.report.study import build_report
from leuko.study.cells import RESULTS, Cell
from leuko.study.summary import summarise
from leuko.training.parts import matched, select_rows
from leuko.training.predict import predict_features, predict_pack
from tests.conftest import run_stage, write_settings

pytestmark = pytest.mark.slow

STARTS = {
    "scratch": {},
    "tissue": {"images": "tissue"},
    "blood": {"images": "blood"},
    "contrastive": {"images": "blood", "task": "contrastive"},
    "painting": {"images": "blood", "task": "reconstruction"},
    "multitask": {"multitask": 0.5},
    "blood_unturned": {"images": "blood", "finetune": {"augment": "none"}, "ablates": "blood"},
    "blood_unspread": {"images": "blood", "probe": {"gamma": 1.0}, "ablates": "blood"},
}
TRANSFER = {name: {"network": "pooled", "weights": "none", **start} for name, start in STARTS.items()}


MODELS = ("transfer/scratch", "probes/scratch-probe")


def train(folder: Path) -> None:
    """Run the stages of both families."""
    for stage in ("pretrain", "finetune"):
        for name in STARTS:
            run_stage(stage, folder, name)
    run_stage("probe", folder)


@pytest.fixture(scope="module")
def trained(project, tmp_path_factory) -> Path:
    """A project after the stages of the transfer and features families."""
    folder = tmp_path_factory.mktemp("transfer")
    shutil.copytree(project, folder, dirs_exist_ok=True)
    root = load_params(Params, project / "params.yaml").data_root
    write_settings(folder, data_root=root, transfer=TRANSFER)
    train(folder)
    return folder


def test_pretraining_changes_the_encoder_and_nothing_else_does(trained):
    encoders = {name: read_tensors(trained / f"models/encoders/{name}.safetensors") for name in STARTS}
    weights = {name: tensors["stem.0.weight"] for name, tensors in encoders.items()}
    for name, weight in weights.items():
        assert weight.equal(weights["scratch"]) == (STARTS[name].get("images") is None), name
        history = pd.read_csv(trained / f"plots/history/pretrain/{name}.csv")
        assert len(history) == (2 if STARTS[name].get("images") else 0)


def test_an_encoder_that_learned_nothing_starts_anew_with_every_seed(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "again")
    root = load_params(Params, trained / "params.yaml").data_root
    recipe = {"finetune.epochs": 1, "finetune.min_steps": 0, "finetune.lr": 1e-12, "finetune.weight_decay": 0.0}
    write_settings(tmp_path / "again", data_root=root, transfer=TRANSFER, seed=1, **recipe)
    for name in ("scratch", "blood"):
        run_stage("finetune", tmp_path / "again", name)
        own = read_tensors(tmp_path / f"again/models/transfer/{name}.safetensors")["encoder.stem.0.weight"]
        known = read_tensors(trained / f"models/encoders/{name}.safetensors")["stem.0.weight"]
        assert torch.allclose(own, known, atol=1e-5) == (name == "blood")


def test_stages_give_equal_bytes(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "again")
    for name in ("models", "plots/history", "data/packs/features"):
        shutil.rmtree(tmp_path / "again" / name)
    train(tmp_path / "again")
    files = [path.relative_to(trained) for path in (trained / "models").rglob("*") if path.is_file()]
    assert len(files) >= 3 * len(STARTS)
    for path in files:
        assert (tmp_path / "again" / path).read_bytes() == (trained / path).read_bytes(), path


def test_classifiers_on_features_answer_alike_by_features_and_by_images(trained):
    packs = trained / "data/packs"
    rows, _ = select_rows(packs / "cells/test")
    for arm in arms(load_params(Params, trained / "params.yaml").transfer):
        if arm.family == "features":
            model, config = load_classifier(trained / arm.model)
            assert config["model"] == arm.key
            known = read_features(packs, "test", encoder=arm.encoder, descriptors=arm.descriptors)
            by_features = torch.from_numpy(predict_features(model, known)).softmax(1)
            by_images = predict_pack(model, packs, "test", rows, torch.device("cpu"))
            np.testing.assert_allclose(by_features, by_images, atol=2e-3)


@pytest.mark.parametrize("labels", ["all", "matched"])
def test_matched_validation_labels_leave_the_other_validation_images_alone(trained, tmp_path, labels):
    root = load_params(Params, trained / "params.yaml").data_root
    models = []
    for name in ("whole", "blanked"):
        shutil.copytree(trained, tmp_path / name)
        write_settings(tmp_path / name, data_root=root, transfer=TRANSFER, split=50, validation_labels=labels)
        packs = tmp_path / name / "data/packs"
        rows = read_rows(packs / "cells/val")
        rows = pd.concat([rows, rows.assign(path="again/" + rows["path"])])  # two of every class
        rows.to_csv(packs / "cells/val/rows.csv", index=False)
        used = matched(rows, 50)
        assert used.sum() == len(used) / 2
        for array in (*(packs / "cells/val").glob("*.npy"), *(packs / "features").glob("*/val.npy")):
            values = np.concatenate([np.load(array)] * 2)
            if name == "blanked" and array.stem in ("cell", "val"):
                values[~used] = 0
            np.save(array, values)
        run_stage("finetune", tmp_path / name, "scratch")
        run_stage("probe", tmp_path / name)
        models.append([(tmp_path / name / f"models/{file}.safetensors").read_bytes() for file in MODELS])
    assert [whole == blanked for whole, blanked in zip(*models, strict=True)] == [labels == "matched"] * len(MODELS)


def test_every_arm_is_scored_and_every_gain_taken(trained, tmp_path, project):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    for stage in ("train_prcc", "train_cam16", "train_wbc", "train_control", "train_wbc_plus", "evaluate", "audit"):
        run_stage(stage, tmp_path)
    every = arms(load_params(Params, tmp_path / "params.yaml").transfer)
    comparison = json.loads((tmp_path / "metrics/comparison.json").read_text())
    assert list(comparison["arms"]) == [arm.key for arm in every]
    ablated = ["ablation_blood_unturned", "ablation_blood_unspread-probe"]
    assert list(comparison["gains"]) == [*(gain.name for gain in gains(every)), *ablated]
    assert len(comparison["gains"]) == 13 + 2
    assert comparison["left_out"] == {}
    run_stage("report", tmp_path)
    page = (tmp_path / "reports/report.html").read_text()
    assert all(arm.title in page for arm in every)
    assert "the descriptors that decide most" in page
    tables = pd.read_csv(tmp_path / "reports/tables.csv")
    assert set(tables["row"][tables["table"] == "ablations"]) == {
        "blood_unturned − blood",
        "blood_unspread, frozen − blood, frozen",
    }


def test_an_ablation_is_its_arm_but_for_one_thing(trained):
    encoders = [read_tensors(trained / f"models/encoders/blood{end}.safetensors") for end in ("", "_unturned")]
    assert all(encoders[0][name].equal(weights) for name, weights in encoders[1].items())
    recipes = [load_config(trained / f"models/transfer/blood{end}.safetensors")["recipe"] for end in ("", "_unturned")]
    assert recipes[1] == recipes[0] | {"augment": "none"} != recipes[0]
    probes = [load_config(trained / f"models/probes/blood{end}-probe.safetensors") for end in ("", "_unspread")]
    assert probes[1]["settings"] == probes[0]["settings"] | {"gamma": 1.0} != probes[0]["settings"]
    assert "an ablation" in left_out(trained / "models/transfer/blood_unspread.safetensors")
    assert not (trained / "models/probes/blood_unturned-probe.safetensors").exists()


def test_a_study_tables_ablations_apart(trained, tmp_path, monkeypatch):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    root = load_params(Params, trained / "params.yaml").data_root
    write_settings(tmp_path, data_root=root, transfer=TRANSFER, **{"families.published": False})
    for stage in ("train_prcc", "train_cam16", "train_wbc", "train_control", "train_wbc_plus", "evaluate"):
        run_stage(stage, tmp_path)
    monkeypatch.chdir(tmp_path)
    cells = [Cell(100, seed) for seed in (0, 1)]
    for cell in cells:
        for source, name in RESULTS.items():
            copy = shutil.copytree if Path(source).is_dir() else shutil.copyfile
            cell.folder.mkdir(parents=True, exist_ok=True)
            copy(source, cell.folder / name)
    summarise(cells)
    build_report(Path("study"), Path("out"))
    tables = pd.read_csv("out/tables.csv")
    ablated = {"blood_unturned − blood", "blood_unspread, frozen − blood, frozen"}
    assert set(tables["row"][tables["table"] == "ablations gains balanced_accuracy"]) == ablated
    assert not ablated & set(tables["row"][tables["table"] == "gains balanced_accuracy"])
    assert "blood_unturned" not in Path("out/figures/efficiency.svg").read_text()
    found = json.loads(Path("study/summary.json").read_text())["splits"]["100"]["gains"]
    of_ablations = [found[name]["words"] for name in found if name.startswith("ablation_")]
    assert all("corrected for 2 comparisons" in words for words in of_ablations)


def test_without_tissue_its_arms_are_left_out(trained, tmp_path):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    nuclei = tmp_path / "data/packs/nuclei/train"
    rows = read_rows(nuclei).iloc[:0]
    rows.to_csv(nuclei / "rows.csv", index=False)
    for name in ("cell", "descriptors"):
        np.save(nuclei / f"{name}.npy", np.load(nuclei / f"{name}.npy")[:0])
    for stage in ("pretrain", "finetune"):
        run_stage(stage, tmp_path, "tissue")
    run_stage("probe", tmp_path)
    for path in ("transfer/tissue", "probes/tissue-probe"):
        assert "tissue" in left_out(tmp_path / f"models/{path}.safetensors")
    assert not left_out(tmp_path / "models/probes/blood-probe.safetensors")


def test_labels_are_spread_only_where_they_are_few(trained, tmp_path):
    n_train = len(read_rows(trained / "data/packs/cells/train"))
    path = Path("models/probes/morphology.safetensors")
    n_labelled = load_config(trained / path)["centres"]
    assert n_labelled == 2 * n_train  # all have labels; a copy of each is in another stain
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    manifest = read_manifest(tmp_path / "data/manifest.csv")
    train = (manifest["set"] == "wbc") & (manifest["part"] == "train")
    manifest.loc[train, "subset"] = np.where(manifest[train].groupby("class").cumcount() == 0, 1, 100)
    manifest.to_csv(tmp_path / "data/manifest.csv", index=False)
    root = load_params(Params, trained / "params.yaml").data_root
    for few_labels, n_centres in (("propagate", 2 * n_train), ("none", 2 * 5)):
        settings = {"probe.few_labels": few_labels, "split": 1}
        write_settings(tmp_path, data_root=root, transfer=TRANSFER, **settings)
        run_stage("probe", tmp_path)
        assert load_config(tmp_path / path)["centres"] == n_centres


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_an_unknown_entry_is_refused(trained, stage):
    with pytest.raises(LeukoError, match="blod"):
        run_stage(stage, trained, "blod")


def test_an_encoder_is_read_back(trained):
    encoder, config = load_encoder(trained / "models/encoders/blood.safetensors")
    assert encoder.n_features == 8 * config["width"]
    with pytest.raises(LeukoError, match="is no encoder"):
        load_encoder(trained / "models/transfer/blood.safetensors")


def test_cells_are_packed_in_the_order_of_the_manifest(project):
    manifest = read_manifest(project / "data/manifest.csv")
    for part in ("train", "val", "test"):
        rows = read_rows(project / "data/packs/cells" / part)
        blood = manifest[(manifest["set"] == "wbc") & (manifest["part"] == part)]
        assert list(rows["path"]) == list(blood["path"])
        assert np.load(project / f"data/packs/cells/{part}/cell.npy").shape == (len(rows), 32, 32, 3)
        assert (rows["found"] == 1).all()
    nuclei = read_rows(project / "data/packs/nuclei/train")
    assert set(nuclei["class"]) <= {"", "normal", "tumor"}
    assert len(nuclei) > 0
