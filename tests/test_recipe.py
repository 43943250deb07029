"""What a recipe asks for: batches, steps, optimisers, schedules and clipping."""

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from leuko.training.loop import fit
from leuko.training.recipe import batches, clip_gradients, make_optimizer, make_schedule, n_steps_per_epoch
from tests.trainings import SIDE, easy, flat, recipe, small_net


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
