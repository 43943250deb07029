"""The training loop, on tasks small enough to see through."""

import itertools
import math
import shutil
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from leuko.core.errors import LeukoError
from leuko.core.params.compute import Compute
from leuko.models.autoencoder import PrccAutoencoder
from leuko.models.base import conv_block, pool_to
from leuko.training import distributed
from leuko.training.inputs import Images
from leuko.training.loop import fit, validate
from leuko.training.recipe import make_optimizer, make_schedule
from leuko.training.resume import Checkpoint
from leuko.training.tasks import Classification, Part, Reconstruction
from tests.trainings import CPU, easy, flat, part_of, recipe, small_net, task_of


# `compute.compile` is off by default; who switches it on needs the compiler, which no Python package brings.
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="PyTorch's compiler needs a C++ compiler on a CPU")
def test_a_compiled_training_is_the_same_up_to_rounding():
    histories = []
    for compiled in (True, False):
        torch.manual_seed(0)
        # What the networks are made of: their own layers, and maps that are enlarged.
        net = nn.Sequential(conv_block(3, 4, pool=True), Enlarged(), nn.Flatten(), nn.Linear(4 * 8 * 8, 2))
        compute = Compute(threads="auto", processor="native", precision="float32", compile=compiled)
        task = Classification(net, part_of([0, 1] * 12), part_of([0, 1] * 5, seed=1), compute=compute)
        histories.append(fit(task, recipe(epochs=2), seed=0, title="test"))
    pd.testing.assert_frame_equal(*histories, rtol=1e-4)


class Enlarged(nn.Module):
    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return pool_to(maps, 8)


@pytest.mark.parametrize("orientations", [False, True])
def test_a_simple_rule_is_learnt(orientations):
    task = easy(orientations=orientations)
    history = fit(task, recipe(epochs=8, lr=0.02), seed=0, title="test")
    assert list(history["epoch"]) == list(range(1, 9))
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0] / 2
    assert history["val_balanced_accuracy"].max() == 1
    found = validate(task, task.val)
    assert (found["accuracy"], found["balanced_accuracy"]) == (1, 1)
    assert validate(task, task.train)["accuracy"] == 1
    assert history.notna().all(axis=None)


def test_the_history_holds_the_schedule_and_one_best_epoch():
    options = recipe(epochs=5, min_steps=40, lr=0.02)
    history = fit(easy(), options, seed=0, title="test")
    assert list(history["best"]).count(1) == 1
    assert set(history["best"]) == {0, 1}
    plain = make_schedule(options, made := make_optimizer(options, small_net()), 40)
    expected = []
    for step in range(40):
        if step % 8 == 0:
            expected.append(plain.get_last_lr()[0])
        made.step()
        plain.step()
    np.testing.assert_allclose(history["lr"], expected)


def assert_best_epoch_kept(task, history: pd.DataFrame) -> None:
    (best,) = history[history["best"] == 1].to_dict("records")
    found = {f"val_{name}": value for name, value in validate(task, task.val).items()}
    assert found == {name: best[name] for name in found}


def test_the_best_epochs_weights_are_kept_not_the_last_ones():
    # Validation is told the opposite of what is trained, so the first epoch, when least was learnt, is the best.
    labels = [0, 1] * 12
    val = part_of(labels, seed=1, told=[1 - label for label in labels])
    task = task_of(part_of(labels), val)
    options = recipe(epochs=6, lr=0.005, schedule="constant", optimizer="sgd", min_steps=0)
    history = fit(task, options, seed=0, title="test")
    assert history["val_loss"].is_monotonic_increasing
    assert list(history["best"]) == [1, 0, 0, 0, 0, 0]
    assert_best_epoch_kept(task, history)


@pytest.mark.parametrize("seed", range(4))
def test_the_best_epoch_has_the_highest_balanced_accuracy_then_the_lowest_loss(seed):
    rng = np.random.default_rng(seed)
    noisy = rng.integers(0, 2, 24).tolist()
    task = task_of(part_of([0, 1] * 12, told=noisy), part_of([0, 1] * 5 + [0] * 6, seed=1), seed=seed)
    history = fit(task, recipe(epochs=8, lr=0.1, schedule="constant"), seed=seed, title="test")
    ranked = history.sort_values(["val_balanced_accuracy", "val_loss"], ascending=[False, True])
    assert ranked["best"].iloc[0] == 1
    assert_best_epoch_kept(task, history)


@pytest.mark.slow
def test_an_autoencoder_keeps_the_epoch_of_the_lowest_loss():
    pixels = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8).repeat(2, 1).repeat(2, 2)
    part = Part(Images(pixels, np.arange(6), CPU), torch.empty(0), 6)
    torch.manual_seed(0)
    task = Reconstruction(PrccAutoencoder(), part, part)
    history = fit(task, recipe(epochs=5, min_steps=30, lr=0.03, schedule="constant"), seed=0, title="test")
    assert history["val_loss"].iloc[-1] < history["val_loss"].iloc[0]
    assert history["val_loss"][history["best"] == 1].item() == history["val_loss"].min()
    assert_best_epoch_kept(task, history)
    np.testing.assert_allclose(history["val_ssim"], 1 - history["val_loss"], atol=1e-6)


@pytest.mark.parametrize("micro_batch", [1, 3, 4])
def test_batches_in_micro_batchs_train_as_whole_ones_do(micro_batch):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 16, 3), dtype=np.uint8)
    part = Part(Images(pixels, np.arange(16), CPU), torch.empty(0), 16)
    trained = {}
    for size in (None, micro_batch):
        torch.manual_seed(0)
        task = Reconstruction(PrccAutoencoder(), part, part, orientations=True)
        task.micro_batch = size
        shares = []
        task.model.register_forward_hook(lambda net, inputs, _, shares=shares: shares.append(len(inputs[0])))
        fit(task, recipe(batch_size=8, epochs=2, optimizer="sgd"), seed=0, title="test")
        assert max(shares[:2]) == (size or 8)
        trained[size] = flat(task.model)
    torch.testing.assert_close(trained[micro_batch], trained[None], rtol=1e-3, atol=1e-6)


def test_equal_seeds_give_equal_weights_and_histories():
    runs = []
    for seed in (0, 0, 1):
        task = easy(orientations=True)
        runs.append((fit(task, recipe(epochs=3), seed=seed, title="test"), task.model.state_dict()))
    (first, weights), (same, same_weights), (other, other_weights) = runs
    pd.testing.assert_frame_equal(first, same)
    assert all(torch.equal(tensor, same_weights[name]) for name, tensor in weights.items())
    assert not first.equals(other)
    assert any(not torch.equal(tensor, other_weights[name]) for name, tensor in weights.items())


def test_training_does_not_depend_on_pytorchs_global_state():
    histories = []
    for seed in (1, 2):
        task = easy(orientations=True)
        torch.manual_seed(seed)
        histories.append(fit(task, recipe(), seed=0, title="test"))
    pd.testing.assert_frame_equal(*histories)


def test_a_loss_that_is_not_a_number_stops_the_training_and_says_where():
    task = easy()
    nn.init.constant_(task.model[-1].weight, math.nan)
    with pytest.raises(
        LeukoError, match=r"test, epoch 1: the training loss is nan at step 1, learning rate .*No epoch"
    ):
        fit(task, recipe(), seed=0, title="test")


def test_a_learning_rate_beyond_reason_stops_the_training():
    with pytest.raises(LeukoError, match=r"smaller lr, now 1e\+30"):
        fit(easy(), recipe(lr=1e30, optimizer="sgd", clip="none", schedule="constant", epochs=4), seed=0, title="test")


def spoil(task: Classification, when: Callable[[int], bool]) -> None:
    """Make the losses not a number in some calls, counted from 1."""
    losses, calls = task.losses, itertools.count(1)
    task.losses = lambda *arguments: losses(*arguments) * (math.nan if when(next(calls)) else 1)


def test_the_first_bad_step_is_named_with_its_epoch_rate_and_the_last_good_state(tmp_path):
    task = easy()
    # Three steps and one validation an epoch: the seventh call is the third step of the second epoch.
    spoil(task, lambda call: call == 7)
    options = recipe(epochs=3, min_steps=9, schedule="constant", lr=0.25)
    with pytest.raises(
        LeukoError, match=r"epoch 2: .*nan at step 3, learning rate 0\.25\. The last good .* 1, .*a\.pt"
    ):
        fit(task, options, seed=0, title="test", checkpoint=Checkpoint(tmp_path / "a.pt", "key"))
    assert len(Checkpoint(tmp_path / "a.pt", "key").load()["history"]) == 1


def test_a_validation_loss_that_is_not_a_number_stops_the_training_too():
    task = easy()
    spoil(task, lambda call: call == 4)
    with pytest.raises(LeukoError, match=r"epoch 1: the validation loss is nan"):
        fit(task, recipe(epochs=3, min_steps=9), seed=0, title="test")


def test_more_processes_than_images_in_a_batch_are_refused(monkeypatch):
    monkeypatch.setattr(distributed, "world_size", lambda: 9)
    with pytest.raises(LeukoError, match="a batch of 8 images cannot be shared by 9 processes"):
        fit(easy(), recipe(), seed=0, title="test")


def test_balanced_accuracy_averages_over_the_classes_that_occur():
    task = easy()
    scores = torch.tensor([1.0, 1, 1, 0, 0, 1])
    labels = torch.tensor([0, 0, 0, 0, 2, 2])
    assert task.summary(scores, labels)["balanced_accuracy"] == pytest.approx((3 / 4 + 1 / 2) / 2)


def test_validation_averages_over_images_however_they_fall_into_batches():
    labels = [0, 1, 1] * 15  # 45 images, more than a batch of validation
    task = task_of(part_of(labels), part_of(labels, seed=2))
    task.model.eval()
    with torch.no_grad():
        outputs = task.model(*task.val.inputs(torch.arange(45), None))
    expected = nn.functional.cross_entropy(outputs, task.val.labels)
    assert validate(task, task.val)["loss"] == pytest.approx(expected.item(), rel=1e-5)
    assert validate(task, task.val)["accuracy"] == pytest.approx((outputs.argmax(1) == task.val.labels).float().mean())


def test_reconstructions_are_judged_on_values_from_0_to_1():
    part = Part(Images(np.zeros((1, 16, 16, 3), np.uint8), np.arange(1), CPU), torch.empty(0), 1)
    task = Reconstruction(PrccAutoencoder(), part, part)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    losses = task.losses(torch.stack([images[0], torch.full_like(images[1], 0.5)]), images)
    assert losses[0].item() == pytest.approx(0, abs=1e-6)
    assert losses[1].item() > 0.5  # flat grey; with a range of 255 it would pass for nearly perfect


def test_views_are_drawn_for_training_images_only_where_wanted():
    rng = torch.Generator().manual_seed(0)
    assert easy().draw(torch.arange(5), rng).orientations is None
    orientations = easy(orientations=True).draw(torch.arange(400), rng).orientations
    assert orientations is not None
    assert set(orientations.tolist()) == set(range(8))
