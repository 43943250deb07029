"""Inputs of the networks: pixels of a pack in eight views, and what frozen networks make of them."""

import errno
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from leuko.models.autoencoder import PrccAutoencoder
from leuko.models.plus import WbcPlusNet
from leuko.models.tissue import Cam16Net
from leuko.packs.reading import read_images
from leuko.training.inputs import (
    N_ORIENTATIONS,
    Concat,
    FeatureCache,
    FrozenEncoder,
    Images,
    cached,
    orientation_indices,
)
from leuko.training.parts import images_of, labels_of, select_rows

CPU = torch.device("cpu")
EVERY_VIEW = torch.arange(N_ORIENTATIONS)


def pixels(n_images: int, side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n_images, side, side, 3), dtype=np.uint8)


def source(n_images: int, side: int, seed: int = 0) -> Images:
    return Images(pixels(n_images, side, seed), np.arange(n_images), CPU)


def lay(picture: torch.Tensor, view: int) -> torch.Tensor:
    """A picture of shape (3, side, side), rotated by quarters and, for the later four views, flipped."""
    rotated = torch.rot90(picture, view % 4, (1, 2))
    return rotated.flip(2) if view >= 4 else rotated


@given(side=st.integers(1, 12), view=st.integers(0, N_ORIENTATIONS - 1))
def test_views_are_turned_and_mirrored_pictures(side, view):
    picture = torch.arange(3 * side * side).view(3, side, side)
    laid = picture.flatten(1)[:, orientation_indices(side)[view]].view(3, side, side)
    assert torch.equal(laid, lay(picture, view))


def test_the_eight_views_differ_and_the_first_is_the_picture_itself():
    indices = orientation_indices(5)
    assert len({tuple(view.tolist()) for view in indices}) == N_ORIENTATIONS
    assert indices[0].tolist() == list(range(25))


def test_images_are_the_packs_pixels_from_0_to_1(project):
    pack = project / "data/packs/wbc/train"
    rows = np.array([7, 2, 2, 5])
    given_rows = torch.tensor([3, 0, 1, 0])
    (images,) = images_of(pack, "wbc", rows, CPU)(given_rows, None)
    expected = read_images(pack, "wbc")[rows[given_rows]].transpose(0, 3, 1, 2).astype(np.float32) / 255
    assert images.dtype == torch.float32
    np.testing.assert_array_equal(images.numpy(), expected)
    assert images.max() > 0.5


def test_images_come_in_the_view_asked_for(project):
    images = images_of(project / "data/packs/wbc/test", "wbc", np.arange(3), CPU)
    rows = torch.tensor([2, 0, 1, 1, 2, 2, 0, 1])
    (plain,), (laid,) = images(rows, None), images(rows, EVERY_VIEW)
    for view in range(N_ORIENTATIONS):
        assert torch.equal(laid[view], lay(plain[view], view))


def test_all_sources_show_the_same_view():
    small, large = source(4, 6), source(4, 10, seed=1)
    rows = torch.tensor([3, 1])
    views = torch.tensor([6, 3])
    inputs = Concat(small, large)(rows, views)
    assert len(inputs) == 2
    for part, one in zip(inputs, (small, large), strict=True):
        (plain,) = one(rows, None)
        assert torch.equal(part, torch.stack([lay(plain[0], 6), lay(plain[1], 3)]))


def encoder() -> WbcPlusNet:
    torch.manual_seed(0)
    return WbcPlusNet(PrccAutoencoder().encoder, Cam16Net(freeze=True), 5).eval()


@pytest.fixture(scope="module")
def frozen() -> FrozenEncoder:
    # More images than the bank encodes at a time, and a number that leaves a rest.
    return FrozenEncoder(encoder().encode, source(19, 64), source(19, 32, seed=1))


@given(
    rows=st.lists(st.integers(0, 4), min_size=1, max_size=9),
    views=st.lists(st.integers(0, N_ORIENTATIONS - 1), min_size=9, max_size=9),
)
@pytest.mark.parametrize("in_file", [False, True])
def test_a_bank_gives_exactly_what_was_computed(tmp_path_factory, in_file, rows, views):
    # A network that treats each image by itself: so nothing but the bookkeeping could make a difference.
    images = source(5, 4)
    direct = FrozenEncoder(lambda part: (part * 2, part.flatten(1).half(), part.sum((1, 2, 3))[:, None]), images)
    rows, views = torch.tensor(rows), torch.tensor(views[: len(rows)])
    scratch = tmp_path_factory.getbasetemp() if in_file else None
    every, plain = FeatureCache(direct, N_ORIENTATIONS, scratch), FeatureCache(direct, 1, scratch)
    for kept, given_orientations in ((every, views), (every, None), (plain, None)):
        for part, expected in zip(kept(rows, given_orientations), direct(rows, given_orientations), strict=True):
            assert torch.equal(part, expected)


@pytest.mark.parametrize("n_orientations", [1, N_ORIENTATIONS])
@pytest.mark.parametrize("in_file", [False, True])
def test_a_bank_of_the_real_networks_agrees_but_for_half_precision(frozen, tmp_path, n_orientations, in_file):
    # Convolutions of 16 images add in another order than those of a few, so a rounding to half precision may differ
    # in the last of its 11 bits.
    bank = FeatureCache(frozen, n_orientations, tmp_path if in_file else None)
    rows = torch.tensor([18, 0, 7, 7, 16])
    views = torch.tensor([5, 0, 3, 7, 1]) if n_orientations > 1 else None
    for part, expected in zip(bank(rows, views), frozen(rows, views), strict=True):
        assert part.dtype == torch.float16
        assert part.shape == expected.shape
        torch.testing.assert_close(part.float(), expected.float(), rtol=2**-10, atol=2**-14)
        assert part.float().std() > 0


def test_a_bank_does_not_depend_on_how_it_is_asked(frozen):
    bank = FeatureCache(frozen, 1)
    together = bank(torch.arange(19), None)
    for row in (0, 15, 16, 18):
        for part, whole in zip(bank(torch.tensor([row]), None), together, strict=True):
            assert torch.equal(part[0], whole[row])


def test_nothing_frozen_asks_for_gradients(frozen):
    assert not any(part.requires_grad for part in frozen(torch.tensor([0]), None))
    assert not any(part.requires_grad for part in FeatureCache(frozen, 1)(torch.tensor([0]), None))


N_BYTES = 2 * (128 * 8 * 8 + 5)  # of the two outputs for one image, in half precision


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_orientations", "n_uses", "cache_gb", "kind"),
    [
        (1, 19, 1.0, "memory"),
        (1, 18, 1.0, "live"),  # computing each image once is more than is asked for
        (N_ORIENTATIONS, 19 * 8, 1.0, "memory"),
        (N_ORIENTATIONS, 19 * 8 - 1, 1.0, "live"),
        (1, 1000, 19 * N_BYTES / 1e9, "memory"),
        (1, 1000, (19 * N_BYTES - 1) / 1e9, "file"),
        (N_ORIENTATIONS, 1000, 8 * 19 * N_BYTES / 1e9, "memory"),
        (N_ORIENTATIONS, 1000, (8 * 19 * N_BYTES - 1) / 1e9, "file"),
        (1, 1000, 0.0, "file"),
        (1, 18, 0.0, "live"),
    ],
)
def test_outputs_are_kept_where_they_fit_and_it_saves_work(frozen, tmp_path, n_orientations, n_uses, cache_gb, kind):
    chosen = cached(frozen, n_orientations=n_orientations, n_uses=n_uses, cache_gb=cache_gb, scratch=tmp_path)
    assert kind_of(chosen) == kind
    assert kind != "live" or chosen is frozen


def kind_of(chosen: FrozenEncoder | FeatureCache) -> str:
    return "live" if isinstance(chosen, FrozenEncoder) else "file" if chosen.arrays else "memory"


def test_a_scratch_file_has_no_name_that_could_be_left_behind(frozen, tmp_path):
    bank = FeatureCache(frozen, 1, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert bank.arrays[0].nbytes + bank.arrays[1].nbytes == 19 * N_BYTES


def test_without_room_on_the_disk_outputs_are_computed_anew(frozen, tmp_path, monkeypatch):
    def chosen(scratch) -> FrozenEncoder | FeatureCache:
        return cached(frozen, n_orientations=1, n_uses=1000, cache_gb=0, scratch=scratch)

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    assert chosen(tmp_path / "missing") is frozen
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2 * 19 * N_BYTES - 1))
        assert chosen(tmp_path) is frozen
    with monkeypatch.context() as patch:
        patch.setattr("os.posix_fallocate", full)
        assert chosen(tmp_path) is frozen
    assert kind_of(chosen(tmp_path)) == "file"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("split", [1, 10, 50, 100, None])
def test_a_split_chooses_the_rows_of_the_subsets_up_to_it(project, split):
    pack = project / "data/packs/wbc/train"
    rows, table = select_rows(pack, split)
    _, everything = select_rows(pack)
    assert list(table["path"]) == [everything["path"][row] for row in rows]
    assert set(rows) == {row for row, subset in enumerate(everything["subset"]) if split is None or subset <= split}
    assert len(rows) > 0


def test_smaller_splits_are_within_larger_ones(project):
    pack = project / "data/packs/wbc/train"
    chosen = [set(select_rows(pack, split)[0]) for split in (1, 10, 50, 100)]
    assert chosen[0] <= chosen[1] <= chosen[2] <= chosen[3]
    assert len(chosen[0]) < len(chosen[3])


def test_labels_are_the_classes_numbers_in_their_fixed_order(project):
    _, table = select_rows(project / "data/packs/wbc/test")
    names = ["Basophil", "Eosinophil", "Lymphocyte", "Monocyte", "Neutrophil"]
    assert [names[number] for number in labels_of(table, names, CPU)] == list(table["class"])
    shuffled = table[table["class"] != "Basophil"].sample(frac=1, random_state=0)
    assert [names[number] for number in labels_of(shuffled, names, CPU)] == list(shuffled["class"])
