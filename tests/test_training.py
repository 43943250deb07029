"""The training loop, on tasks small enough to see through."""

import copy
import itertools
import math
import re
import shutil
from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from leuko.core.errors import LeukoError
from leuko.core.params.compute import Compute
from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params
from leuko.core.params.recipe import Recipe
from leuko.models.autoencoder import PrccAutoencoder
from leuko.models.base import conv_block, pool_to
from leuko.models.build import load_model
from leuko.models.plus import WbcPlusNet
from leuko.models.tissue import Cam16Net
from leuko.training import distributed
from leuko.training.blood import blood_parts
from leuko.training.device import set_up
from leuko.training.inputs import FeatureCache, FrozenEncoder, Images
from leuko.training.loop import fit, validate
from leuko.training.plus import train_plus
from leuko.training.recipe import batches, clip_gradients, make_optimizer, make_schedule, n_steps_per_epoch
from leuko.training.resume import Checkpoint, resumable, trainable_state_dict
from leuko.training.tasks import Classification, Part, Reconstruction
from tests.conftest import TINY, TINY_RECIPE, run_stage, write_settings
from tests.course import WBC

CPU = torch.device("cpu")
SIDE = 6


def recipe(**changes) -> Recipe:
    return Recipe(**TINY_RECIPE | changes)


def part_of(labels: list[int], *, seed: int = 0, told: list[int] | None = None) -> Part:
    """Noise whose brightness tells the class.

    Args:
        labels: the class of every image.
        seed: of the noise.
        told: what the training is told instead.
    """
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 60, (len(labels), SIDE, SIDE, 3))
    pixels += 90 * np.array(labels)[:, None, None, None]
    images = Images(pixels.astype(np.uint8), np.arange(len(labels)), CPU)
    return Part(images, torch.tensor(labels if told is None else told), len(labels))


def small_net(n_classes: int = 2, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * (SIDE - 2) ** 2, n_classes)]
    return nn.Sequential(*layers)


def task_of(train: Part, val: Part, *, seed: int = 0, orientations: bool = False) -> Classification:
    return Classification(small_net(seed=seed), train, val, orientations=orientations)


def easy(**options) -> Classification:
    return task_of(part_of([0, 1] * 12), part_of([0, 1] * 5, seed=1), **options)


# Batches, steps, optimisers, schedules.


@given(n_images=st.integers(1, 40), batch_size=st.integers(1, 20), n_steps=st.integers(1, 12), seed=st.integers(0, 9))
def test_batches_are_full_and_no_image_comes_twice_before_all_came_once(n_images, batch_size, n_steps, seed):
    drawn = list(batches(n_images, batch_size, n_steps, torch.Generator().manual_seed(seed)))
    assert [len(rows) for rows in drawn] == [batch_size] * n_steps
    order = torch.cat(drawn).tolist()
    for start in range(0, len(order), n_images):
        of_pass = order[start : start + n_images]
        assert len(set(of_pass)) == len(of_pass)
        assert set(of_pass) <= set(range(n_images))
    counts = Counter(order)
    assert max(counts.values()) - min(counts[image] for image in range(n_images)) <= 1


def test_batches_are_shuffled_by_the_seed():
    first, same, other = (
        torch.cat(list(batches(50, 10, 10, torch.Generator().manual_seed(seed)))).tolist() for seed in (0, 0, 1)
    )
    assert first == same != other
    assert first[:50] != sorted(first[:50])
    assert first[:50] != first[50:]


@pytest.mark.parametrize(
    ("n_images", "options", "expected"),
    [
        (100, {"batch_size": 10, "epochs": 3, "min_steps": 0}, 10),
        (101, {"batch_size": 10, "epochs": 3, "min_steps": 0}, 11),
        (3, {"batch_size": 10, "epochs": 3, "min_steps": 0}, 1),
        (100, {"batch_size": 10, "epochs": 3, "min_steps": 30}, 10),
        (100, {"batch_size": 10, "epochs": 3, "min_steps": 31}, 11),
        (3, {"batch_size": 16, "epochs": 10, "min_steps": 300}, 30),
    ],
)
def test_steps_per_epoch(n_images, options, expected):
    assert n_steps_per_epoch(recipe(**options), n_images) == expected


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("schedule", ["onecycle", "cosine", "constant"])
@pytest.mark.parametrize("n_steps", [1, 2, 3, 7, 50])
def test_every_optimiser_goes_with_every_schedule(optimizer, schedule, n_steps):
    options = recipe(optimizer=optimizer, schedule=schedule, lr=0.01)
    made = make_optimizer(options, small_net())
    planned = make_schedule(options, made, n_steps)
    rates = []
    for _ in range(n_steps):
        rates.append(planned.get_last_lr()[0])
        made.step()
        planned.step()
    assert all(0 < rate <= 0.01 * (1 + 1e-9) for rate in rates)
    if n_steps == 50:
        assert max(rates) == pytest.approx(0.01)
        if schedule == "constant":
            assert min(rates) == pytest.approx(0.01)
        else:
            assert rates[-1] < 0.001
            assert schedule == "cosine" or rates[0] < 0.001


def test_frozen_parameters_are_not_given_to_the_optimiser():
    net = small_net()
    net[0].requires_grad_(False)
    made = make_optimizer(recipe(), net)
    given_to = {id(parameter) for group in made.param_groups for parameter in group["params"]}
    assert given_to == {id(parameter) for parameter in net.parameters() if parameter.requires_grad}
    assert made.defaults["weight_decay"] == recipe().weight_decay


# Clipping.


def gradients(net: nn.Module) -> torch.Tensor:
    images, labels = torch.rand(8, 3, SIDE, SIDE) * 50, torch.randint(0, 2, (8,))
    net.zero_grad()
    nn.functional.cross_entropy(net(images), labels).backward()
    return flat(net)


def flat(net: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in net.parameters()])


def weights_of(net: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten().clone() for parameter in net.parameters()])


def test_clipping_by_value_bounds_every_gradient():
    net = small_net().eval()
    before = gradients(net).clone()
    clip_gradients(recipe(clip="value", clip_at=0.1), net)
    assert before.abs().max() > 0.1
    torch.testing.assert_close(flat(net), before.clamp(-0.1, 0.1))


def test_clipping_by_norm_bounds_the_norm_and_keeps_the_direction():
    net = small_net().eval()
    before = gradients(net).clone()
    assert before.norm() > 1
    clip_gradients(recipe(clip="norm", clip_at=0.5), net)
    torch.testing.assert_close(flat(net), 0.5 * before / before.norm(), rtol=1e-4, atol=1e-7)
    clip_gradients(recipe(clip="norm", clip_at=100), net)
    assert flat(net).norm() <= 0.5 * (1 + 1e-4)


def test_without_clipping_gradients_stay():
    net = small_net().eval()
    before = gradients(net).clone()
    clip_gradients(recipe(clip="none", clip_at=1e-6), net)
    assert torch.equal(flat(net), before)


@pytest.mark.parametrize(("clip", "measure"), [("value", lambda step: step.abs().max()), ("norm", torch.norm)])
def test_the_loop_clips_every_step(clip, measure):
    # The first step of momentum after Nesterov is 1.9 times the gradient, clipped; no weights decay here.
    task = easy()
    before = weights_of(task.model)
    options = {"optimizer": "sgd", "schedule": "constant", "lr": 1.0, "weight_decay": 0, "epochs": 1, "min_steps": 0}
    fit(task, recipe(**options, batch_size=24, clip=clip, clip_at=0.001), seed=0, title="test")
    step = weights_of(task.model) - before
    assert measure(step) == pytest.approx(0.0019, rel=0.01)


# Learning.


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


# Interruptions.


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


def interrupt(task: Classification, step: int) -> None:
    """Stop the training at a call of its losses, counted from 1."""
    losses, calls = task.losses, itertools.count(1)

    def stop(*arguments):
        if next(calls) == step:
            raise KeyboardInterrupt
        return losses(*arguments)

    task.losses = stop


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


# The networks of the study.


def plus_task(project, **options) -> Classification:
    torch.manual_seed(0)
    model = WbcPlusNet(PrccAutoencoder().encoder, Cam16Net(freeze=False), 5).eval()
    settings = load_params(Params, project / "params.yaml").wbc_plus.model_copy(update=options)
    train, val = blood_parts(project / "data/packs/wbc", 100, WBC, CPU, settings, model.encode)
    return Classification(model, train, val, orientations=settings.augment == "d4")


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
    sizes = {split: blood_parts(project / "data/packs/wbc", split, WBC, CPU, settings) for split in (1, 10, 50, 100)}
    n_train = [train.n_images for train, _ in sizes.values()]
    assert n_train == sorted(n_train)
    assert n_train[0] < n_train[-1]
    assert len({val.n_images for _, val in sizes.values()}) == 1
    for train, val in sizes.values():
        assert set(train.labels.tolist()) == set(val.labels.tolist()) == set(range(len(WBC)))
        assert len(train.labels) == train.n_images


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


# The machine.


COMPUTE = Compute(**TINY["compute"])


def test_a_device_that_is_not_there_is_refused():
    missing = "cuda" if not torch.cuda.is_available() else "mps"
    with pytest.raises(LeukoError, match=f"device: {missing} is not available.*cpu"):
        set_up(missing, COMPUTE, 0)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_are_as_many_as_the_settings_say_whatever_the_environment_says(threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    try:
        set_up("cpu", COMPUTE.model_copy(update={"threads": threads}), 0)
        assert torch.get_num_threads() == threads
        set_up("cpu", COMPUTE.model_copy(update={"threads": "auto"}), 0)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(1)


def test_set_up_seeds_initial_weights():
    nets = []
    for seed in (4, 4, 5):
        assert set_up("cpu", COMPUTE, seed) == CPU
        nets.append(nn.Linear(3, 3).weight)
    assert torch.equal(nets[0], nets[1])
    assert not torch.equal(nets[0], nets[2])
