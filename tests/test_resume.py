"""Trainings that are interrupted."""

import pandas as pd
import pytest
import torch

from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params
from leuko.models.autoencoder import PrccAutoencoder
from leuko.models.plus import WbcPlusNet
from leuko.models.tissue import Cam16Net
from leuko.training.loop import fit
from leuko.training.resume import Checkpoint, resumable, trainable_state_dict
from tests.conftest import write_settings
from tests.trainings import CPU, easy, interrupt, recipe


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["onecycle", "cosine", "constant"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_an_interrupted_training_ends_as_if_nothing_had_happened(tmp_path, optimizer, schedule):
    options = recipe(epochs=4, min_steps=12, optimizer=optimizer, schedule=schedule, lr=0.02)
    whole = easy(orientations=True)
    expected = fit(whole, options, seed=3, title="test")
    for step in range(1, 13):  # the call of the losses at which it is interrupted
        checkpoint = Checkpoint(tmp_path / f"{step}.pt", "key")
        task = easy(orientations=True)
        interrupt(task, step)
        with pytest.raises(KeyboardInterrupt):
            fit(task, options, seed=3, title="test", checkpoint=checkpoint)
        again = easy(orientations=True, seed=99)  # other weights, which must not matter once an epoch is kept
        if not checkpoint.path.exists():
            continue
        pd.testing.assert_frame_equal(fit(again, options, seed=3, title="test", checkpoint=checkpoint), expected)
        for ours, theirs in zip(again.model.state_dict().values(), whole.model.state_dict().values(), strict=True):
            assert torch.equal(ours, theirs)


def test_a_state_of_another_key_and_a_damaged_one_are_not_taken_up(tmp_path):
    checkpoint = Checkpoint(tmp_path / "a.pt", "key")
    assert checkpoint.load() is None
    expected = fit(easy(), recipe(), seed=0, title="test", checkpoint=checkpoint)
    assert len(checkpoint.load()["history"]) == 2
    assert Checkpoint(checkpoint.path, "other").load() is None
    content = checkpoint.path.read_bytes()
    for damaged in (b"", content[:-100], bytes(len(content)), b"gARjcG9zaXgKc3lzdGVtCg=="):
        checkpoint.path.write_bytes(damaged)
        assert checkpoint.load() is None
        pd.testing.assert_frame_equal(fit(easy(), recipe(), seed=0, title="test", checkpoint=checkpoint), expected)


def test_a_checkpoint_leaves_frozen_networks_out():
    model = WbcPlusNet(PrccAutoencoder().encoder, Cam16Net(freeze=True), 5)
    kept = trainable_state_dict(model)
    names = {name for name, _ in model.named_parameters() if _.requires_grad}
    assert names <= kept.keys()
    assert not {name for name in kept if name.startswith(("encoder.", "cam16."))}
    assert "base.conv1.1.running_mean" in kept


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: write_settings(folder, seed=1),
        lambda folder: write_settings(folder, **{"wbc.lr": 0.5}),
        lambda folder: (folder / "input/rows.csv").write_text("other"),
        lambda folder: (folder / "input/rows.csv").rename(folder / "input/table.csv"),
        lambda folder: torch.set_num_threads(2),
    ],
)
def test_a_changed_setting_or_input_never_goes_on_from_what_was_before(tmp_path, monkeypatch, change):
    monkeypatch.chdir(tmp_path)
    write_settings(tmp_path)
    (tmp_path / "input").mkdir()
    (tmp_path / "input/rows.csv").write_text("rows")

    def key() -> str:
        with resumable("a", load_params(Params), CPU, [tmp_path / "input"]) as checkpoint:
            return checkpoint.key

    first = key()
    assert key() == first
    try:
        change(tmp_path)
        assert key() != first
    finally:
        torch.set_num_threads(1)


def test_a_checkpoint_stays_after_an_error_and_goes_after_success(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_settings(tmp_path)
    with pytest.raises(OSError, match="full"), resumable("a", load_params(Params), CPU, []) as checkpoint:
        checkpoint.save({"history": []})
        raise OSError("disk full")
    assert checkpoint.path.exists()
    with resumable("a", load_params(Params), CPU, []) as checkpoint:
        assert checkpoint.load()["history"] == []
    assert not checkpoint.path.exists()
