"""The training of the study's networks."""

import copy
import itertools
import re

import numpy as np
import pandas as pd
import pytest
import torch

from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params
from leuko.models.autoencoder import PrccAutoencoder
from leuko.models.build import load_model
from leuko.models.plus import WbcPlusNet
from leuko.models.tissue import Cam16Net
from leuko.training.blood import blood_parts
from leuko.training.inputs import FeatureCache, FrozenEncoder
from leuko.training.loop import fit
from leuko.training.parts import matched, select_validation
from leuko.training.plus import train_plus
from leuko.training.tasks import Classification
from tests.conftest import run_stage, write_settings
from tests.course import WBC
from tests.trainings import CPU, recipe


def plus_task(project, **options) -> Classification:
    torch.manual_seed(0)
    model = WbcPlusNet(PrccAutoencoder().encoder, Cam16Net(freeze=False), 5).eval()
    settings = load_params(Params, project / "params.yaml").wbc_plus.model_copy(update=options)
    train, val = blood_parts(project / "data/packs/wbc", 100, "all", WBC, CPU, settings, model.encode)
    return Classification(model, train, val, orientations=settings.augment == "d4")


@pytest.mark.slow
def test_training_wbc_plus_leaves_the_frozen_networks_as_they_are_to_the_bit(project):
    task = plus_task(project)
    assert isinstance(task.model, WbcPlusNet)
    before = copy.deepcopy(task.model.state_dict())
    fit(task, recipe(epochs=2, min_steps=6, lr=0.01), seed=0, title="test")
    after = task.model.state_dict()
    frozen = {name for name in before if name.startswith(("encoder.", "cam16."))}
    assert len(frozen) > 130
    for name in frozen:
        assert torch.equal(before[name], after[name]), name
    trained = {name for name, parameter in task.model.named_parameters() if parameter.requires_grad}
    assert {name.split(".")[0] for name in trained} == {"base", "prcc_head", "combine"}
    for name in trained:
        # Batch norm takes away what the bias before it adds, so there is nothing to learn for it.
        idle = re.fullmatch(r"base\.(conv|res)\d\.0\.bias", name) is not None
        assert torch.equal(before[name], after[name]) == idle, name
    statistics = [name for name in before if "running" in name and name not in frozen]
    assert all(not torch.equal(before[name], after[name]) for name in statistics)


@pytest.mark.slow
def test_a_bank_and_computing_anew_train_alike(project):
    histories = []
    # Steps enough that a bank pays off, in memory and in a file; and one too few.
    for cache_gb, min_steps, kind in (
        (0.5, 60, FeatureCache),
        (0.0, 60, FeatureCache),
        (0.5, 4, FrozenEncoder),
    ):
        task = plus_task(project, cache_gb=cache_gb, min_steps=min_steps)
        assert isinstance(task.train.inputs.sources[1], kind)
        histories.append(fit(task, recipe(epochs=1, min_steps=3), seed=0, title="test"))
    in_memory, in_file, anew = (history[["train_loss", "val_loss"]].to_numpy() for history in histories)
    np.testing.assert_array_equal(in_memory, in_file)
    np.testing.assert_allclose(in_memory, anew, rtol=0.01)


def test_the_training_parts_of_a_split(project):
    settings = load_params(Params, project / "params.yaml").wbc
    packs = project / "data/packs/wbc"
    sizes = {split: blood_parts(packs, split, "all", WBC, CPU, settings) for split in (1, 10, 50, 100)}
    n_train = [train.n_images for train, _ in sizes.values()]
    assert n_train == sorted(n_train)
    assert n_train[0] < n_train[-1]
    assert len({val.n_images for _, val in sizes.values()}) == 1
    for train, val in sizes.values():
        assert set(train.labels.tolist()) == set(val.labels.tolist()) == set(range(len(WBC)))
        assert len(train.labels) == train.n_images


def test_matched_validation_labels_are_a_share_of_every_class_and_nested():
    table = pd.DataFrame({"class": ["A"] * 50 + ["B"] * 30 + ["C"], "path": [f"{number}.png" for number in range(81)]})
    chosen = {split: matched(table, split) for split in (1, 10, 50, 100)}
    assert chosen[100].all()
    assert table[chosen[10]]["class"].value_counts().to_dict() == {"A": 5, "B": 3, "C": 1}
    for smaller, larger in itertools.pairwise(chosen.values()):
        assert (larger | ~smaller).all()
    shuffled = table.sample(frac=1, random_state=0)
    assert set(shuffled[matched(shuffled, 10)]["path"]) == set(table[chosen[10]]["path"])


def test_arms_of_both_families_use_the_same_validation_labels(project):
    kinds = [
        set(select_validation(project / "data/packs" / kind / "val", 50, "matched")[1]["path"])
        for kind in ("wbc", "cells")
    ]
    assert kinds[0] == kinds[1]


@pytest.mark.slow
def test_the_tissue_classifier_can_be_trained_on_a_frozen_backbone(project, tmp_path):
    (tmp_path / "data").symlink_to(project / "data")
    torch.manual_seed(3)
    torch.save(Cam16Net(freeze=True).backbone.state_dict(), tmp_path / "resnet.pth")
    write_settings(tmp_path, **{"cam16.freeze": True, "cam16.weights": "resnet.pth"})
    run_stage("train_cam16", tmp_path)
    model, config = load_model(tmp_path / "models/cam16.safetensors")
    assert config["freeze"] is True
    given_weights = torch.load(tmp_path / "resnet.pth", weights_only=True)
    for name, tensor in model.backbone.state_dict().items():
        assert torch.equal(tensor, given_weights[name]), name
    torch.manual_seed(0)
    assert not torch.equal(model.head.weight, Cam16Net(freeze=True).head.weight)


@pytest.mark.slow
def test_with_one_seed_the_trained_part_starts_alike_around_any_frozen_networks(project, tmp_path):
    # Only then can what WBC+ gains over the control be owed to the frozen networks.
    params = load_params(Params, write_settings(tmp_path, **{"wbc_plus.lr": 1e-30, "wbc_plus.epochs": 1}))
    models = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        networks = PrccAutoencoder(), Cam16Net(freeze=True)
        model, config, history = train_plus(params, *networks, project / "data/packs/wbc", CPU, "test")
        assert (config["network"], config["seed"], len(history)) == ("wbc_plus", 0, 1)
        models.append(model)
    for (name, parameter), other in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        if name.startswith("encoder."):
            assert not torch.equal(parameter, other), name
        elif parameter.requires_grad:
            torch.testing.assert_close(parameter, other, rtol=0, atol=1e-12)
