"""Pre-training tasks on drawn cells, and the random views that they show."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from leuko.core.params.families import SWITCHED_OFF
from leuko.core.params.recipe import Recipe
from leuko.models.encoders import MultiTaskNet, TransferNet, build_encoder
from leuko.models.store import left_out
from leuko.pretraining.augmentation import RandomViews
from leuko.pretraining.tasks import TwoViews, pretraining_task, standardize
from leuko.training.inputs import Images
from leuko.training.loop import fit, predict
from leuko.training.multitask import MultiTask
from leuko.training.tasks import Part
from tests.conftest import run_stage, write_settings

SIDE = 32
CPU = torch.device("cpu")


def recipe(**changes):
    settings = {
        "epochs": 6,
        "min_steps": 0,
        "batch_size": 16,
        "optimizer": "adamw",
        "lr": 0.01,
        "weight_decay": 0.01,
        "schedule": "onecycle",
        "clip": "norm",
        "clip_at": 1.0,
        "select": "last",
    }
    return Recipe(**settings | changes)


def cells(n, seed=0):
    """Discs of random size and colour, and what they are: radius, red and green."""
    rng = np.random.default_rng(seed)
    radius, red, green = rng.uniform(4, 13, n), rng.uniform(50, 200, n), rng.uniform(50, 200, n)
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    disc = (np.hypot(x, y) < radius[:, None, None])[..., None]
    color = np.stack([red, green, np.full(n, 150)], axis=1)[:, None, None]
    images = np.where(disc, color, 230).astype(np.uint8)
    return images, torch.tensor(np.stack([radius, red, green], axis=1), dtype=torch.float32)


def part(n, labels, seed=0):
    return Part(Images(cells(n, seed)[0], np.arange(n), CPU), labels, n)


def encoder(seed=0):
    torch.manual_seed(seed)
    return build_encoder("pooled", width=4, side=SIDE)


def task(name, seed=0):
    train, val = standardize(cells(96)[1], cells(24, seed=1)[1])
    return pretraining_task(name, encoder(seed), part(96, train), part(24, val, seed=1), side=SIDE, views=RandomViews())


@pytest.mark.slow
def test_an_encoder_learns_to_predict_descriptors_of_images_it_has_not_seen():
    descriptors = task("descriptors")
    history = fit(descriptors, recipe(epochs=12, ema=0.9), seed=0, title="descriptors")
    assert history["val_r2"].iloc[-1] > 0.7
    outputs, targets = predict(descriptors, descriptors.val)
    explained = 1 - ((outputs - targets) ** 2).mean(0) / descriptors.train.labels.var(0, correction=0).numpy()
    assert history["val_r2"].iloc[-1] == pytest.approx(explained.mean(), abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["contrastive", "reconstruction"])
def test_other_tasks_get_better_at_what_they_are_scored_by(name):
    other = task(name)
    history = fit(other, recipe(epochs=10), seed=0, title=name)
    score = history[f"val_{other.score_name}"]
    assert score.iloc[-1] > score.iloc[0] + 0.1


@pytest.mark.parametrize("name", ["descriptors", "contrastive", "reconstruction"])
def test_pre_training_changes_the_encoder_in_place_and_is_the_same_every_time(name):
    weights = []
    for _ in range(2):
        again = task(name)
        before = encoder().state_dict()["stem.0.weight"]
        fit(again, recipe(epochs=1), seed=3, title=name)
        weights.append(again.model.encoder.state_dict()["stem.0.weight"].clone())
    assert torch.equal(*weights)
    assert not torch.equal(before, weights[0])


def test_descriptors_are_standardised_by_the_training_images_and_cut_off():
    train = torch.tensor([[0.0, 5.0], [2.0, 5.0], [4.0, 5.0]])
    own, other = standardize(train, torch.tensor([[100.0, 9.0]]))
    torch.testing.assert_close(own[:, 0], torch.tensor([-1.0, 0.0, 1.0]) * math.sqrt(1.5))
    assert own[:, 1].tolist() == [0, 0, 0]
    assert other.tolist() == [[4, 0]]


def still():
    """Chance in the middle of everything: no rotation, reflection, zoom, shift or change of light, but resampled."""
    return torch.tensor([[0.0, 0.9, 1.0, 0.5, 0.5, 0.9, 0.5, 0.5]])


def test_a_view_with_nothing_drawn_is_the_image():
    image = torch.rand(1, 3, SIDE, SIDE)
    (view,) = RandomViews()((image,), still())
    torch.testing.assert_close(view, image, atol=1e-5, rtol=0)


def test_a_quarter_turn_and_a_reflection_are_exact():
    image = torch.rand(1, 3, SIDE, SIDE)
    quarter, reflected = still(), still()
    quarter[0, 0], reflected[0, 1] = 0.25, 0.1
    (turned,) = RandomViews()((image,), quarter)
    torch.testing.assert_close(turned, torch.rot90(image, 1, (2, 3)), atol=1e-4, rtol=0)
    (mirrored,) = RandomViews()((image,), reflected)
    torch.testing.assert_close(mirrored, image.flip(3), atol=1e-5, rtol=0)


def test_half_of_the_views_show_the_image_pixel_by_pixel():
    # Resampled views are smoother than the images that are classified later.
    image = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    views = RandomViews(jitter=0)
    drawn = views.draw(200, torch.Generator().manual_seed(1))
    (seen,) = views((image.expand(200, -1, -1, -1),), drawn)
    ways = torch.stack([torch.rot90(way, turns, (2, 3)) for way in (image, image.flip(3)) for turns in range(4)])
    errors = (seen[None] - ways).abs().amax((2, 3, 4)).amin(0)
    assert 80 <= (errors < 1e-4).sum() <= 120
    assert torch.equal(errors < 1e-4, drawn[:, 5] < 0.5)


def test_light_changes_brightness_and_contrast_as_far_as_jitter_says():
    image = torch.full((1, 3, SIDE, SIDE), 0.5)
    brighter = still()
    brighter[0, 6] = 1.0
    (view,) = RandomViews(jitter=0.1)((image,), brighter)
    torch.testing.assert_close(view, torch.full_like(image, 0.55))
    image[:, :, : SIDE // 2] = 0.3
    harder = still()
    harder[0, 7] = 1.0
    (view,) = RandomViews(jitter=0.1)((image,), harder)
    assert view.unique().tolist() == pytest.approx([0.4 - 0.11, 0.4 + 0.11])


@given(seed=st.integers(0, 1000), n=st.integers(2, 6))
def test_views_stay_in_range_and_do_not_depend_on_the_division_of_a_batch(seed, n):
    views = RandomViews(zoom=0.5, jitter=0.5)
    rng = torch.Generator().manual_seed(seed)
    images, drawn = torch.rand(n, 3, 16, 16, generator=rng), views.draw(n, rng)
    (whole,) = views((images,), drawn)
    assert whole.shape == images.shape
    assert 0 <= whole.min() <= whole.max() <= 1
    parts = [views((images[i : i + 1],), drawn[i : i + 1])[0] for i in range(n)]
    torch.testing.assert_close(torch.cat(parts), whole, atol=1e-6, rtol=0)


def test_further_inputs_stay_as_they_are():
    further = torch.rand(2, 5)
    views = RandomViews()
    _, same = views((torch.rand(2, 3, 16, 16), further), views.draw(2, torch.Generator()))
    assert same is further


def test_two_views_of_an_image_differ():
    views = TwoViews(RandomViews())
    images = torch.rand(3, 3, SIDE, SIDE)
    first, second = views((images,), views.draw(3, torch.Generator().manual_seed(0)))
    assert first.shape == second.shape == images.shape
    assert not torch.allclose(first, second, atol=0.05)


@pytest.mark.slow
def test_classes_and_descriptors_are_learnt_together():
    train_values, val_values = standardize(cells(96)[1], cells(24, seed=1)[1])
    train, val = part(96, (train_values[:, 0] > 0).long()), part(24, (val_values[:, 0] > 0).long(), seed=1)
    classifier = TransferNet(encoder(), n_classes=2)
    network = MultiTaskNet(classifier, n_descriptors=3)
    both = MultiTask(
        network,
        train,
        val,
        descriptors=(train_values, val_values),
        weight=1.0,
        recipe=recipe(),
        augmentation=RandomViews(),
    )
    history = fit(both, recipe(epochs=10, ema=0.9), seed=0, title="both")
    assert history["val_balanced_accuracy"].iloc[-1] > 0.85
    outputs, _ = predict(both, val)
    assert np.corrcoef(outputs[:, 3], val_values[:, 1])[0, 1] > 0.7
    with torch.no_grad():
        logits = classifier.eval()(*val.inputs(torch.arange(24), None))
    torch.testing.assert_close(logits, torch.from_numpy(outputs[:, :2]), atol=1e-5, rtol=1e-4)


def test_nothing_is_pre_trained_of_a_family_that_is_off(tmp_path):
    write_settings(tmp_path, **{"families.transfer": False})
    run_stage("pretrain", tmp_path, "blood")
    assert left_out(tmp_path / "models/encoders/blood.safetensors") == SWITCHED_OFF
    assert (tmp_path / "data/packs/features/blood/left_out.txt").read_text() == SWITCHED_OFF
