from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leuko.packs.augmentation import Pose, balancing_poses, pretraining_poses
from tests.course import noise

poses = st.builds(Pose, angle=st.floats(-180, 180).map(lambda a: round(a, 1)), left_right=st.booleans())
labels = st.lists(st.sampled_from("abcd"), min_size=1, max_size=80)


@pytest.mark.parametrize(
    ("pose", "expected"),
    [
        (Pose(), lambda pixels: pixels),
        (Pose(left_right=True), lambda pixels: pixels[:, ::-1]),
        (Pose(top_bottom=True), lambda pixels: pixels[::-1]),
        (Pose(left_right=True, top_bottom=True), lambda pixels: pixels[::-1, ::-1]),
    ],
)
@pytest.mark.parametrize("side", [1, 2, 17, 32])
def test_flips_are_exact(pose, expected, side):
    image = np.asarray(noise(1, side, side))
    np.testing.assert_array_equal(pose.apply(image), expected(image))


@given(pose=poses, side=st.integers(2, 33))
def test_a_pose_keeps_the_shape(pose, side):
    posed = pose.apply(np.asarray(noise(2, side, side)))
    assert (posed.shape, posed.dtype) == ((side, side, 3), np.uint8)


@given(pose=poses, grey=st.integers(0, 255))
def test_no_corner_is_left_empty(pose, grey):
    assert (pose.apply(np.full((24, 24, 3), grey, np.uint8)) == grey).all()


def test_turning_by_a_right_angle_is_a_rotation():
    image = np.asarray(noise(3, 32, 32))
    np.testing.assert_array_equal(Pose(angle=90).apply(image), np.rot90(image))


def test_a_small_turn_moves_pixels_but_not_the_centre():
    pixels = np.zeros((65, 65, 3), np.uint8)
    pixels[28:37, 28:37] = 255
    pixels[:9, 28:37] = 255
    rotated = Pose(angle=15).apply(pixels)
    assert (rotated[32, 32] == 255).all()
    # Counter-clockwise: what was at the top moves to the left.
    assert rotated[5, 25].min() > 200
    assert rotated[3, 36].max() < 50


@given(n_images=st.integers(0, 30), rotation=st.floats(0, 180), seed=st.integers(0, 100))
def test_pretraining_images_come_in_four_poses(n_images, rotation, seed):
    planned = pretraining_poses(n_images, rotation, np.random.default_rng(seed))
    assert planned == pretraining_poses(n_images, rotation, np.random.default_rng(seed))
    assert len(planned) == n_images
    for original, flipped, rotated, both in planned:
        assert original == Pose()
        assert flipped.angle == 0
        assert flipped.left_right or flipped.top_bottom
        assert not (rotated.left_right or rotated.top_bottom)
        assert both.left_right or both.top_bottom
        assert max(abs(rotated.angle), abs(both.angle)) <= rotation + 0.05


def test_chance_differs_between_images_and_seeds():
    planned = pretraining_poses(50, 15, np.random.default_rng(0))
    assert len({versions[2].angle for versions in planned}) > 30
    assert len({(versions[1].left_right, versions[1].top_bottom) for versions in planned}) == 3
    assert planned != pretraining_poses(50, 15, np.random.default_rng(1))
    angles = [pose.angle for versions in planned for pose in versions]
    assert min(angles) < -10
    assert max(angles) > 10


@given(labels=labels, seed=st.integers(0, 100))
def test_balancing_makes_classes_nearly_equal(labels, seed):
    planned = balancing_poses(labels, 10, np.random.default_rng(seed))
    assert planned == balancing_poses(labels, 10, np.random.default_rng(seed))
    assert all(versions[0] == Pose() for versions in planned)
    assert all(pose != Pose() for versions in planned for pose in versions[1::2] if pose.angle)
    before, after = Counter(labels), Counter()
    for label, versions in zip(labels, planned, strict=True):
        after[label] += len(versions)
    most = max(before.values())
    for label, count in before.items():
        assert after[label] == count * (most // count)
        assert most / 2 < after[label] <= most


def test_balancing_with_the_published_counts():
    counts = {"Basophil": 176, "Eosinophil": 618, "Lymphocyte": 2015, "Monocyte": 466, "Neutrophil": 5172}
    labels = [label for label, count in counts.items() for _ in range(count)]
    planned = balancing_poses(labels, 10, np.random.default_rng(0))
    versions = {label: len(poses) for label, poses in zip(labels, planned, strict=True)}
    assert versions == {"Basophil": 29, "Eosinophil": 8, "Lymphocyte": 2, "Monocyte": 11, "Neutrophil": 1}
    angles = [pose.angle for poses in planned for pose in poses]
    assert max(map(abs, angles)) <= 10


def test_poses_in_words_tell_all_poses_apart():
    flags = (False, True)
    every = [
        Pose(angle, left_right, top_bottom)
        for angle in (0.0, 3.0, -7.5)
        for left_right in flags
        for top_bottom in flags
    ]
    assert str(every[0]) == "original"
    assert len({str(pose) for pose in every}) == len(every)
    assert "-7.5" in str(Pose(angle=-7.5))
