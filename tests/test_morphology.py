from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from leuko.morphology.cropping import FIELD, LEAST_NUCLEI, Located, Scale, crop, locate
from leuko.morphology.descriptors import DESCRIPTORS, DIFFERENCES, MEASURED_SIDE, TOLERANCE, TYPICAL_NUCLEUS
from leuko.morphology.measuring import measure, measure_image
from leuko.morphology.restaining import restain
from leuko.morphology.segmentation import DARK, segment
from tools.descriptors import PAGE, page

GROUND = (236, 228, 220)
RED_CELL = (205, 160, 160)
CYTOPLASM = (180, 175, 215)
NUCLEUS = (85, 40, 130)
NAMES = [descriptor.name for descriptor in DESCRIPTORS]


def ground(width=MEASURED_SIDE, height=MEASURED_SIDE) -> np.ndarray:
    return np.full((height, width, 3), GROUND, np.uint8)


def disc(image, x, y, radius, colour) -> np.ndarray:
    """Draw a disc, its edge smoothed over a pixel."""
    height, width = image.shape[:2]
    rows, columns = np.mgrid[:height, :width] + 0.5
    inside = np.clip(radius + 0.5 - np.hypot(columns - x, rows - y), 0, 1)[..., None]
    return np.rint(image * (1 - inside) + np.array(colour) * inside).astype(np.uint8)


def cell(image, x, y, radius=28.0, nucleus=15.0) -> np.ndarray:
    return disc(disc(image, x, y, radius, CYTOPLASM), x, y, nucleus, NUCLEUS)


def lobed(n_lobes, orbit=13.0, radius=6.0) -> np.ndarray:
    """A cell with so many separate lobes round its centre, which is no centre of a pixel's symmetry."""
    image = disc(ground(), 48.3, 47.6, 28, CYTOPLASM)
    for angle in np.arange(n_lobes) * 2 * np.pi / n_lobes + 0.4:
        image = disc(image, 48.3 + orbit * np.cos(angle), 47.6 + orbit * np.sin(angle), radius, NUCLEUS)
    return image


def described(image) -> dict[str, float]:
    return dict(zip(NAMES, measure(segment(image)).tolist(), strict=True))


def overlap(one, other) -> float:
    return np.count_nonzero(one & other) / np.count_nonzero(one | other)


def drawn(image, *colours) -> np.ndarray:
    return np.isin(image, np.array(colours)).all(axis=2)


def density(colour) -> np.ndarray:
    return -np.log((np.array(colour) + DARK) / (np.array(GROUND) + DARK))


def test_every_descriptor_has_its_own_name_and_a_sentence():
    assert len(set(NAMES)) == len(NAMES)
    assert all(d.meaning[0].isupper() and d.meaning.endswith(".") and d.unit and d.region for d in DESCRIPTORS)


@pytest.mark.parametrize(("radius", "nucleus"), [(20, 14), (28, 15), (36, 20)])
def test_areas_are_those_drawn(radius, nucleus):
    values = described(cell(ground(), 48, 48, radius, nucleus))
    assert values["nucleus_area"] == pytest.approx(np.pi * nucleus**2 / TYPICAL_NUCLEUS**2, rel=0.06)
    assert values["cell_area"] == pytest.approx(np.pi * radius**2 / TYPICAL_NUCLEUS**2, rel=0.06)
    assert values["nucleus_to_cell"] == pytest.approx((nucleus / radius) ** 2, rel=0.1)


def test_colours_are_those_drawn():
    values = described(cell(ground(), 48, 48))
    for number, channel in enumerate(("red", "green", "blue")):
        assert values[f"nucleus_{channel}_p50"] == pytest.approx(density(NUCLEUS)[number], abs=0.02)
        assert values[f"cytoplasm_{channel}_p50"] == pytest.approx(density(CYTOPLASM)[number], abs=0.02)
    hue = density(CYTOPLASM)[0] - density(CYTOPLASM)[2]
    assert values["cytoplasm_red_minus_blue_mean"] == pytest.approx(hue, abs=0.06)


@pytest.mark.parametrize("n_lobes", [2, 3, 4])
def test_lobes_are_counted(n_lobes):
    values = described(lobed(n_lobes))
    assert values["lobes_2"] == n_lobes
    assert values["lobes_2_area"] > values["lobes_4_area"] > 0


def test_a_round_nucleus_is_one_convex_lobe():
    values = described(cell(ground(), 48, 48))
    assert [values[f"lobes_{depth}"] for depth in (2, 4, 6)] == [1, 1, 1]
    assert values["nucleus_convexity"] > 0.95
    assert values["nucleus_roundness"] == pytest.approx(1, abs=0.02)
    assert values["nucleus_depth"] == pytest.approx(1 / np.sqrt(np.pi), abs=0.05)
    assert described(lobed(3))["nucleus_convexity"] < 0.8


def test_granules_are_told_from_vacuoles():
    rng = np.random.default_rng(0)
    places = [
        (48 + r * np.cos(a), 48 + r * np.sin(a))
        for r, a in zip(rng.uniform(19, 25, 30), rng.uniform(0, 7, 30), strict=True)
    ]
    images = {colour: cell(ground(), 48, 48) for colour in ((140, 90, 120), GROUND)}
    for colour in images:
        for x, y in places:
            images[colour] = disc(images[colour], x, y, 0.8, colour)
    dark, bright = (described(image)["cytoplasm_medium_granules"] for image in images.values())
    plain = described(cell(ground(), 48, 48))["cytoplasm_medium_granules"]
    assert bright + 0.01 < plain < dark - 0.01


def scene(seed) -> np.ndarray:
    """A cell among red ones, with noise."""
    rng = np.random.default_rng(seed)
    image = ground()
    for x, y in ((10, 12), (80, 20), (15, 80), (88, 86)):
        image = disc(image, x + rng.normal(), y + rng.normal(), 13, RED_CELL)
    image = cell(image, 48 + rng.normal(), 48 + rng.normal(), rng.uniform(24, 30), rng.uniform(10, 16))
    image = disc(image, *rng.uniform(40, 56, 2), 8, NUCLEUS)
    return np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("image", [lobed(3), lobed(4), *map(scene, range(4))], ids=range(6))
def test_rotation_and_reflection_change_nothing(image):
    expected = measure(segment(image))
    for mirrored in (image, image[:, ::-1]):
        for quarter_turns in range(4):
            turned = np.ascontiguousarray(np.rot90(mirrored, quarter_turns))
            np.testing.assert_allclose(measure(segment(turned)), expected, atol=TOLERANCE, rtol=0)


@given(arrays(np.uint8, (MEASURED_SIDE, MEASURED_SIDE, 3), elements=st.integers(0, 255), fill=st.integers(0, 255)))
def test_values_are_always_finite(image):
    assert np.isfinite(measure(segment(image))).all()


def test_values_are_finite_for_noise():
    noise = np.random.default_rng(0).integers(0, 256, (MEASURED_SIDE, MEASURED_SIDE, 3), np.uint8)
    assert np.isfinite(measure(segment(noise))).all()


def test_a_crop_of_another_size_is_refused():
    with pytest.raises(ValueError, match="96 pixels"):
        measure(segment(ground(64, 64)))


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_blank_image_has_no_cell(grey):
    blank = np.full((120, 200, 3), grey, np.uint8)
    assert locate(blank) == Located((100, 60), 0.0, found=False)
    measured = measure_image(blank, Scale((150.0,), (40.0,)), 48)
    assert measured.pixels.shape == (48, 48, 3)
    assert not measured.found
    assert not measured.descriptors.any()


def test_red_cells_and_platelets_are_no_white_cell():
    image = ground(120, 120)
    for x, y in ((60, 60), (20, 30), (100, 80)):
        image = disc(image, x, y, 17, RED_CELL)
    assert not locate(disc(image, 60, 95, 2.5, NUCLEUS)).found


@pytest.mark.parametrize(("x", "y"), [(180, 180), (250, 120), (20, 180), (345, 350)])
@pytest.mark.parametrize("shape", [(360, 363), (370, 360)])
def test_a_nucleus_is_found_wherever_it_is(shape, x, y):
    image = ground(*shape)
    for place in ((60, 60), (300, 90), (90, 300)):
        image = disc(image, *place, 45, RED_CELL)
    located = locate(cell(image, x, y, 60, 38))
    assert located.found
    # Of a nucleus at the border only a part is in the image, whose centroid lies further inside.
    assert located.centre == pytest.approx((x, y), abs=2 if 60 < x < 300 else 16)
    if 60 < x < 300:
        assert located.nucleus_area == pytest.approx(np.pi * 38**2, rel=0.1)


def test_of_two_cells_the_central_one_is_taken():
    image = cell(cell(ground(240, 240), 175, 122, 44, 30), 95, 118, 44, 26)
    assert locate(image).centre == pytest.approx((95, 118), abs=2)


@pytest.mark.parametrize("neighbour", [RED_CELL, CYTOPLASM])
def test_a_cell_ends_where_another_touches_it(neighbour):
    alone = cell(ground(), 48, 48, 24, 14)
    touching = cell(disc(ground(), 88, 48, 18, neighbour), 48, 48, 24, 14)
    assert overlap(segment(touching).cell, segment(alone).cell) > 0.93


def test_a_crop_has_the_nucleus_at_its_centre_and_one_scale():
    for size, factor in ((144, 1.0), (360, 2.5)):
        image = cell(ground(size, size), 60 * factor, 80 * factor, 30 * factor, 17 * factor)
        nucleus = np.sqrt(np.pi) * 17 * factor
        square = crop(image, locate(image).centre, nucleus, 96)
        found = segment(square)
        rows, columns = np.nonzero(found.nucleus)
        assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx((48, 48), abs=0.7)
        assert described(square)["nucleus_area"] == pytest.approx(1, abs=0.08)


def test_beyond_the_border_a_crop_is_a_mirror():
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    side = 60
    square = crop(image, (20, 20), side / FIELD, side)
    np.testing.assert_array_equal(square, np.pad(image, ((10, 10), (10, 10), (0, 0)), mode="reflect"))


def located(area) -> Located:
    return Located((0, 0), area, found=area > 0)


def test_the_scale_is_the_median_nucleus_of_each_size_of_image():
    shapes = [(360, 363)] * 20 + [(366, 369)] * 20 + [(120, 120)] * LEAST_NUCLEI + [(700, 700)] * 2
    areas = [6400.0] * 40 + [1600.0] * LEAST_NUCLEI + [1.0] * 2
    scale = Scale.of([*shapes, (360, 360)], [*map(located, areas), located(0)])
    assert scale.nuclei == pytest.approx((40, 80))
    assert scale.nucleus(120, 120) == 40
    assert scale.nucleus(363, 360) == scale.nucleus(700, 700) == 80


def test_a_few_images_are_a_set_too():
    assert Scale.of([(50, 50), (90, 90), (50, 50)], [located(area) for area in (81, 100, 121)]).nuclei == (10,)


def test_where_no_nucleus_is_found_crops_are_whole_images():
    scale = Scale.of([(70, 70)] * 2, [located(0)] * 2)
    image = np.random.default_rng(0).integers(0, 256, (70, 70, 3), np.uint8)
    np.testing.assert_array_equal(crop(image, (35, 35), 70 / FIELD, 70), image)
    assert scale.nucleus(70, 70) == pytest.approx(70 / FIELD)


def test_the_page_of_descriptors_is_of_this_code():
    assert PAGE.read_text(encoding="utf-8") == page()


def test_a_restained_cell_has_the_descriptors_that_its_density_would_give():
    found = segment(lobed(3))
    rng = np.random.default_rng(0)
    found = replace(found, density=found.density + rng.uniform(0, 0.1, found.density.shape).astype(np.float32))
    restained = restain(measure(found)[None], 0.3, np.random.default_rng(1))[0]
    factors = np.exp(0.3 * np.random.default_rng(1).normal(size=3))
    expected = measure(replace(found, density=found.density * factors[:, None, None].astype(np.float32)))
    differences = {f"{one}_minus_{other}_std" for one, other in DIFFERENCES}
    exact = [
        column
        for column, name in enumerate(NAMES)
        # What of several channels is told roughly, and what rounds densities.
        if not ("hue" in name or "pattern" in name or "threshold" in name or name.partition("_")[2] in differences)
    ]
    np.testing.assert_allclose(restained[exact], expected[exact], rtol=1e-4, atol=1e-4)
    assert not np.allclose(restained[exact], measure(found)[exact], rtol=0.1)


def test_a_cell_that_was_not_found_stays_without_descriptors():
    nothing = np.zeros((2, len(DESCRIPTORS)), np.float32)
    assert not restain(nothing, 0.3, np.random.default_rng(0)).any()
