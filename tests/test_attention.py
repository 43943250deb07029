"""Where a model looks: the heat maps and the disagreements of the report."""

import numpy as np
import pytest
import torch
from torch import nn

from leuko.models.autoencoder import PrccAutoencoder
from leuko.models.base import WbcNet
from leuko.models.plus import WbcPlusNet
from leuko.models.tissue import Cam16Net
from leuko.report.attention import N_CELLS, heat_map
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


def test_both_networks_can_be_asked():
    torch.manual_seed(0)
    views = [torch.rand(3, side, side) for side in (32, 64, 32)]
    for network in (WbcNet(5), WbcPlusNet(PrccAutoencoder().encoder, Cam16Net(freeze=True), 5)):
        heat = heat_map(network.eval().classify, views[: len(network.inputs)])
        assert heat.shape == (N_CELLS, N_CELLS)
        assert np.isfinite(heat).all()
        assert np.ptp(heat) > 0


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
