"""Where a model looks: the heat maps and the disagreements of the report."""

import numpy as np
import pytest
import torch
from torch import nn

from leuko.evaluation.occlusion import N_CELLS, focus, heat_map
from leuko.models.autoencoder import PrccAutoencoder
from leuko.models.base import WbcNet
from leuko.models.classifier import Classifier
from leuko.models.plus import WbcPlusNet
from leuko.models.tissue import Cam16Net
from leuko.report.pictures import TILE, disagreements, spotlight


class CornerNet(nn.Module):
    """Sees the upper left quarter only: the redder, the more it is of the first class."""

    def forward(self, images):
        side = images.shape[-1] // 4
        red = images[:, 0, :side, :side].mean((1, 2))
        return torch.stack([10 * red, torch.zeros_like(red)], dim=1)


@pytest.mark.parametrize("turns", range(4))
def test_heat_is_where_the_network_looks(turns):
    view = torch.zeros(3, 32, 32)
    view[0, :8, :8] = 1
    network = CornerNet()
    heat = heat_map(lambda images: network(torch.rot90(images, -turns, (2, 3))), [torch.rot90(view, turns, (1, 2))])
    upright = np.rot90(heat, -turns)
    assert upright.shape == (N_CELLS, N_CELLS)
    assert upright[:2, :2].min() > 0
    assert upright[0, 0] == upright.max()
    # A square of 2 x 2 cells reaches one cell beyond the quarter.
    assert np.all(upright[3:] == 0)
    assert np.all(upright[:, 3:] == 0)


def test_views_are_covered_at_the_same_place():
    seen = []

    def classify(small, large):
        seen.append((small, large))
        return torch.zeros(len(small), 2)

    heat_map(classify, [torch.rand(3, 16, 16), torch.rand(3, 64, 64)])
    assert sum(len(small) for small, _ in seen) == 1 + (N_CELLS + 1) ** 2
    for small, large in seen[1:]:
        hidden = [(images == images.mode(3)[0].mode(2)[0][..., None, None]).all(1) for images in (small, large)]
        assert torch.equal(hidden[0].repeat_interleave(4, 1).repeat_interleave(4, 2), hidden[1])


@pytest.mark.slow
def test_both_networks_can_be_asked():
    torch.manual_seed(0)
    views = [torch.rand(3, side, side) for side in (32, 64, 32)]
    for network in (WbcNet(5), WbcPlusNet(PrccAutoencoder().encoder, Cam16Net(freeze=True), 5)):
        heat = heat_map(network.eval().classify, views[: len(network.inputs)])
        assert heat.shape == (N_CELLS, N_CELLS)
        assert np.isfinite(heat).all()
        assert np.ptp(heat) > 0


@pytest.mark.slow
def test_a_map_of_a_picture_in_which_nothing_matters_is_blank():
    torch.manual_seed(0)
    sides = (32, 64, 32)
    for network in (WbcNet(5), WbcPlusNet(PrccAutoencoder().encoder, Cam16Net(freeze=True), 5)):
        views = [torch.full((3, side, side), 0.3) for side in sides]
        assert not heat_map(network.eval().classify, views[: len(network.inputs)]).any()


def test_spotlight_fades_what_does_not_count():
    heat = np.zeros((N_CELLS, N_CELLS))
    heat[:2, :2] = 1
    lit = np.asarray(spotlight(np.zeros((32, 32, 3), np.uint8), heat))
    assert lit.shape == (TILE, TILE, 3)
    assert lit[5, 5].max() < 40
    assert lit[-5, -5].min() > 180
    assert np.asarray(spotlight(np.zeros((32, 32, 3), np.uint8), np.zeros((8, 8)))).min() > 180  # nothing counts


def test_disagreements_begin_with_the_clearest():
    def answer(actual, predicted, probability):
        return {"actual": actual, "predicted": predicted, "a": probability, "b": 1 - probability}

    right = [answer("a", "a", 0.6), answer("a", "a", 0.9), answer("b", "a", 0.8), answer("b", "b", 0.1)]
    wrong = [answer("a", "b", 0.4), answer("a", "b", 0.2), answer("b", "b", 0.3), answer("b", "b", 0.1)]
    assert disagreements(right, wrong) == [1, 0]
    assert disagreements(wrong, right) == [2]


class PlaceNet(Classifier):
    """Sees a place of the whole picture: the darker, the more it is of the first class."""

    inputs = ("wbc", "descriptors")

    def __init__(self, rows: slice, columns: slice):
        super().__init__()
        self.place = rows, columns

    def forward(self, images, descriptors):
        dark = 1 - images[:, :, *self.place].mean((1, 2, 3))
        return torch.stack([10 * dark + descriptors[:, 0], torch.zeros_like(dark)], dim=1)


def drawn_cell() -> torch.Tensor:
    """A nucleus in the middle of a bright picture, and a dark bar at its upper edge."""
    away = torch.hypot(*(torch.stack(torch.meshgrid([torch.arange(64) - 31.5] * 2, indexing="ij"))))
    picture = torch.full((3, 64, 64), 0.9)
    picture[:, away < 14] = torch.tensor([0.35, 0.2, 0.5])[:, None]
    picture[:, :4] = 0.6
    return picture


@pytest.mark.parametrize(
    ("place", "rests_on_the_cell"), [((slice(20, 44), slice(20, 44)), True), ((slice(0, 4), slice(0, 64)), False)]
)
def test_it_is_told_whether_an_answer_rests_on_the_cell(place, rests_on_the_cell):
    found = focus(PlaceNet(*place), [drawn_cell()[None], torch.ones(1, 1)])
    assert found.area == pytest.approx(np.pi * 14**2 / 64**2, rel=0.25)
    assert (found.inside > 2 * found.area) == rests_on_the_cell
    if not rests_on_the_cell:
        assert found.inside < found.area / 2


def test_where_no_cell_is_found_or_nothing_matters_nothing_is_said():
    nothing = torch.full((1, 3, 64, 64), 0.9)
    assert focus(PlaceNet(slice(20, 44), slice(20, 44)), [nothing, torch.ones(1, 1)]) is None
    assert focus(PlaceNet(slice(0, 1), slice(60, 64)), [drawn_cell()[None] * 0 + 0.5, torch.ones(1, 1)]) is None
