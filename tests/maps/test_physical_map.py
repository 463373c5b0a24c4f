"""Analog label maps: power, round trips, posteriors against brute force, and what is lost."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from analog_scenes import SIZE, images
from hypothesis import given
from hypothesis import strategies as st

from semcom.errors import DataError
from semcom.maps import planes, received_map, soft_map, spectrum, transform
from semcom.maps.received import UNKNOWN
from semcom.protocols import Context
from semcom.rng import Streams
from semcom.system import System
from semcom.transmit.physical_map import AnalogMapTransmitter, PhysicalMap
from semcom.types import Budget, Condition, ImageBatch, Received, ReceivedReals, Usage

pytestmark = pytest.mark.usefixtures("one_thread")
CODES = ("dct", "planes")
PIXELS = SIZE[0] * SIZE[1]


def system(code="dct", **fields):
    return System.of({"kind": "oracle_physical_map", "code": code, **fields}, "analog", "map_as_is")


def encoded(batch, reals, code="dct", **fields):
    budget = Budget(math.ceil(reals / 2), reals=reals)
    return system(code, **fields).transmit.encode(batch, budget, Streams.of(batch.ids))


def arrived(message, noise_std=0.0, seed=0, lost=None):
    """What a channel would hand on; ``lost`` bool [D]: elements of which nothing arrives."""
    part = message.parts["map"]
    rng = torch.Generator().manual_seed(seed)
    values = part.values + noise_std * torch.randn(part.values.shape, generator=rng)
    std = torch.full_like(values, noise_std)
    if lost is not None:
        values, std = torch.where(lost, 0.0, values), torch.where(lost, math.inf, std)
    ok = std.isfinite().any(1)
    none = torch.zeros(len(values), dtype=torch.int64)
    received = ReceivedReals(values, std, part.shape, ok, form=part.form)
    return Received({"map": received}, Usage(none, {"payload": none}, none.double()), message.image_size)


# --- statistics ------------------------------------------------------------------------------------------------


def test_components_are_uncorrelated_and_hold_all_the_variance():
    known = spectrum.statistics()
    assert known.mean.sum() == pytest.approx(1.0, abs=1e-5) and (known.mean > 0).all()
    variance, vectors = known.components()
    scale = torch.diag(known.weights)
    covariance = scale @ (torch.diag(known.mean) - torch.outer(known.mean, known.mean)) @ scale
    torch.testing.assert_close(vectors @ covariance @ vectors.T, torch.diag(variance), rtol=0, atol=1e-12)
    torch.testing.assert_close(vectors @ vectors.T, torch.eye(10, dtype=torch.float64), rtol=0, atol=1e-12)
    # eleven planes that add to one have ten degrees of freedom; the shares are rounded, so that they do to 1e-6
    assert variance.sum() == pytest.approx(float(covariance.trace()), abs=1e-5)


@pytest.mark.parametrize("size", [(16, 32), (128, 256), (96, 96), (200, 300)])
def test_variances_of_coefficients_add_up_to_those_of_pixels(size):
    """Parseval."""
    known = spectrum.statistics()
    total = known.variances(size).sum((1, 2)) / math.prod(size)
    torch.testing.assert_close(total, known.components()[0])


def test_fit_finds_the_statistics_of_maps():
    """Of maps whose pixels are independent all frequencies have the variance of a pixel, and classes their shares."""
    rng = np.random.default_rng(0)
    shares = np.array([0.3, 0.25, 0.02, 0.2, 0.05, 0.06, 0.02, 0.03, 0.04, 0.02, 0.01])
    count = 24
    maps = torch.from_numpy(rng.choice(11, size=(count, 128, 256), p=shares))
    found = spectrum.fit({"noise": maps})
    pixels = maps.numel()
    np.testing.assert_allclose(found["mean"], shares, atol=5 * 0.5 / math.sqrt(pixels))
    # a node averages many coefficients, but those at low frequencies only count * 1: chi-square with count degrees of freedom
    deviation = np.array(found["log2"]) - np.array(found["log2"]).mean(axis=(1, 2), keepdims=True)
    assert np.abs(deviation).max() < 5 * math.sqrt(2 / count) / math.log(2)
    with pytest.raises(DataError, match="32x64; at least 128x256"):
        spectrum.fit({"noise": maps[:, :32, :64]})


# --- round trips -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", CODES)
def test_all_of_a_map_without_noise_is_that_map(code):
    batch = images(6)
    received = arrived(encoded(batch, 11 * PIXELS, code))
    labels = soft_map(received).labels()
    counted = batch.labels < 11  # of void nothing is sent
    assert torch.equal(labels[counted], batch.labels[counted])


def test_dct_coefficients_come_back():
    batch = images(2)
    form = transform.format_of(SIZE, "cpu")
    count = len(form.order)
    components = form.synthesise(form.analyse(batch.labels, count))
    direct = torch.einsum("ck,bkhw->bchw", form.mixed, spectrum.class_planes(batch.labels, form.mean))
    torch.testing.assert_close(components, direct, rtol=0, atol=1e-4)
    assert (form.variance[1:] <= form.variance[:-1] * (1 + 1e-5)).all()


@pytest.mark.parametrize("reals", [11 * 8 * 16, 1100])
def test_planes_without_noise_are_the_argmax_of_the_area_averaged_map(reals):
    """But where two classes are as close as what the receiver supposes about scale, mixing and frequency of classes decides."""
    batch = images(8)
    message = encoded(batch, reals, "planes")
    grid = message.parts["map"].shape[1:]
    mean = spectrum.statistics().mean.float()
    onehot = spectrum.class_planes(batch.labels, mean)
    rows, columns = (planes.averages(n, side).double() for n, side in zip(grid, SIZE, strict=True))
    area = rows @ onehot.double() @ columns.T
    scale = math.sqrt(spectrum.kept_power(SIZE, grid) / 11) / area.square().mean((1, 2, 3)).sqrt()
    best = (area + mean[:, None, None]).topk(2, dim=1)
    spread = max((1 - float(mean.square().sum()) - spectrum.kept_power(SIZE, grid)) / 11, planes.LEAST_SPREAD)
    doubt = spread * float(mean.max().log() - mean.min().log()) / scale + (1 - 1 / scale).abs() * float(mean.max() - mean.min())
    clear = best.values[:, 0] - best.values[:, 1] > doubt[:, None, None] + 1e-6
    assert clear.double().mean() > 0.5
    labels = soft_map(arrived(message)).labels()
    assert torch.equal(labels[clear], best.indices[:, 0][clear])


def test_cell_averages_are_those_of_areas():
    maps = torch.rand(3, 32, 64)
    rows, columns = planes.averages(8, 32), planes.averages(16, 64)
    torch.testing.assert_close(rows @ maps @ columns.T, torch.nn.functional.avg_pool2d(maps[:, None], 4)[:, 0])
    uneven = planes.averages(7, 32)
    torch.testing.assert_close(uneven.sum(1), torch.ones(7))
    torch.testing.assert_close(uneven.sum(0), torch.full((32,), 7 / 32))  # every pixel counts the same


@given(reals=st.integers(1, 400_000), height=st.integers(8, 300), width=st.integers(8, 300))
def test_a_grid_fits_the_reals_and_has_the_shape_of_the_picture(reals, height, width):
    grid = planes.grid_of(reals, (height, width))
    if reals < 11:
        assert grid is None
        return
    h, w = grid
    assert 1 <= h <= height and 1 <= w <= width and 11 * h * w <= reals
    if 1 < h < height and 1 < w < width:
        assert 11 * (h + 1) * (w + 1) > reals  # no finer grid fits
        assert (h - 1) * width / height <= w + 1 and w <= (h + 1) ** 2 / h * width / height  # to a row and a column


# --- power and noise -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("uses", [40, 256, 1001, 30_000])
def test_mean_power_is_one_an_image_over_the_granted_uses(code, uses):
    batch = images(5)
    made = system(code)
    result = made.send(batch, 3.0, f"{uses}/{3 * PIXELS}")
    usage = result.usage.check()
    assert (usage.granted == uses).all() and (usage.energy <= uses * (1 + 1e-4)).all()
    if code == "dct" and uses <= 5 * PIXELS:  # every use is filled
        torch.testing.assert_close(usage.energy, torch.full((5,), float(uses)).double(), rtol=1e-4, atol=0)
    assert set(usage.uses) == {"payload", "header", "unused"} and (usage.uses["header"] == 0).all()


def test_a_map_of_void_alone_sends_nothing_and_is_sent():
    batch = dataclasses.replace(images(2), labels=torch.full((2, *SIZE), 11))
    for code in CODES:
        message = encoded(batch, 500, code)
        assert (message.parts["map"].values == 0).all()
        assert soft_map(arrived(message, 1.0)).probabilities.isfinite().all()


def test_fewer_reals_are_repeated_and_arrive_with_less_noise():
    batch = images(2)
    made = system(reals=200)
    condition, streams = Condition(0.0), Streams.of(batch.ids)
    message = made.transmit.encode(batch, made.budget(400, condition), streams)
    received = made.link.send(message, [condition] * 2, streams).parts["map"]
    assert message.parts["map"].shape == (200,)
    torch.testing.assert_close(received.noise_std, torch.full((2, 200), 0.5))  # four times, at 0 dB


@pytest.mark.parametrize("code", CODES)
def test_what_arrives_is_unbiased_with_the_noise_that_is_said(code):
    batch = images(3)
    made = system(code)
    uses, condition = 400, Condition(2.0)
    message = made.transmit.encode(batch, made.budget(uses, condition), Streams.of(batch.ids))
    errors = []
    for repeat in range(8):
        received = made.link.send(message, [condition] * 3, Streams.of(batch.ids, repeat=repeat)).parts["map"]
        errors.append(((received.values - message.parts["map"].values) / received.noise_std).double())
    errors = torch.stack(errors).flatten()
    assert abs(float(errors.mean())) < 4.5 / math.sqrt(len(errors))
    assert abs(float(errors.square().mean()) - 1.0) < 4.5 * math.sqrt(2 / len(errors))


# --- posteriors ------------------------------------------------------------------------------------------------


def test_the_posterior_of_planes_is_that_of_gaussian_noise():
    batch = images(2)
    message = encoded(batch, 11 * 8 * 16, "planes")
    lost = torch.rand(2, 11 * 8 * 16, generator=torch.Generator().manual_seed(1)) < 0.3
    received = arrived(message, 0.7, lost=lost)
    part, grid = received.parts["map"], (8, 16)
    mean = spectrum.statistics().mean
    kept = spectrum.kept_power(SIZE, grid)
    scale = math.sqrt(kept / 11)
    spread = max((1 - float(mean.square().sum()) - kept) / 11, planes.LEAST_SPREAD)
    soft = soft_map(received)
    for row, y, x in ((0, 2, 3), (1, 7, 15), (1, 0, 0)):
        values = part.values.reshape(2, 11, *grid)[row, :, y, x].double() * scale + mean
        variance = (part.noise_std.reshape(2, 11, *grid)[row, :, y, x].double() * scale) ** 2 + spread
        there = variance.isfinite()
        distance = ((values - torch.eye(11).double()) ** 2 / variance)[:, there].sum(1)
        expected = torch.softmax(mean.log() - distance / 2, 0)
        torch.testing.assert_close(soft.probabilities[row, :11, y, x].double(), expected, rtol=1e-3, atol=1e-6)
    assert (soft.probabilities[:, 11] == 0).all()


def test_the_posterior_of_components_is_bayes_rule():
    """z given class c: Gaussian, mean (k / l) b_c, variance k (1 - k / l) a component."""
    form = transform.format_of(SIZE, "cpu")
    rng = torch.Generator().manual_seed(4)
    kept = form.pixel * (0.1 + 0.8 * torch.rand(1, 10, generator=rng))
    z = torch.randn(1, 10, 2, 3, generator=rng) * 0.3
    seen = form.log_probabilities(z, kept).softmax(1)[0, :, 1, 2].double()
    classes = (form.mixed - (form.mixed @ form.mean)[:, None]).double()
    share, k = (kept[0] / form.pixel).double(), kept[0].double()
    distance = (z[0, :, 1, 2].double()[:, None] - share[:, None] * classes).square() / (k * (1 - share))[:, None]
    expected = torch.softmax(form.mean.double().log() - distance.sum(0) / 2, 0)
    torch.testing.assert_close(seen, expected, rtol=1e-4, atol=1e-7)


# --- losses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", CODES)
def test_nothing_of_an_image_is_unknown_and_a_failure(code):
    batch = images(2)
    message = encoded(batch, 1100, code)
    lost = torch.tensor([[True], [False]]).expand(2, message.parts["map"].values.shape[1])
    received = arrived(message, 0.5, lost=lost)
    soft, shown = soft_map(received), received_map(received)
    assert not soft.known[0].any() and soft.known[1].all() and (soft.probabilities[0] == 1 / 12).all()
    assert (shown.labels[0] == UNKNOWN).all() and shown.ok.tolist() == [False, True]
    torch.testing.assert_close(soft.probabilities.sum(1), torch.ones(soft.probabilities.shape[0], *soft.probabilities.shape[2:]))


def test_a_cell_is_unknown_where_no_plane_of_it_arrived():
    batch = images(1)
    message = encoded(batch, 11 * 8 * 16, "planes")
    lost = torch.zeros(11, 8, 16, dtype=torch.bool)
    lost[:, 3, 4] = True
    lost[:10, 5, 6] = True
    received = arrived(message, 0.1, lost=lost.reshape(1, -1))
    known = soft_map(received).known[0]
    assert not known[3, 4] and known.sum() == 8 * 16 - 1
    labels = received_map(received).labels[0]
    assert (labels == UNKNOWN).sum() == 16  # 4x4 pixels a cell


def test_a_message_that_lost_its_end_is_that_of_a_shorter_one_but_for_its_scale():
    batch = images(3)
    message = encoded(batch, 800)
    lost = (torch.arange(800) >= 400).expand(3, 800)
    half = soft_map(arrived(message, 0.2, lost=lost))
    assert half.probabilities.isfinite().all() and half.known.all()
    whole = soft_map(arrived(message, 0.2))
    right = [float((found.labels() == batch.labels)[batch.labels < 11].double().mean()) for found in (whole, half)]
    assert right[1] > 0.5


# --- batches, segmenters, limits -------------------------------------------------------------------------------


@pytest.mark.parametrize("code", CODES)
def test_images_do_not_depend_on_their_neighbours(code):
    batch = images(5)
    together = system(code).send(batch, 4.0, "1/6")
    for row in (0, 3):
        alone = system(code).send(batch.select([row]), 4.0, "1/6")
        torch.testing.assert_close(alone.label_probabilities[0], together.label_probabilities[row], rtol=0, atol=1e-4)
        assert (alone.labels[0] != together.labels[row]).double().mean() < 0.002  # ties


def test_a_segmenters_map_is_sent_as_a_true_one_is():
    batch = images(2)
    description = PhysicalMap(code="dct")
    made = AnalogMapTransmitter(description, lambda pictures: batch.labels, "cpu")
    budget = Budget(300, reals=600)
    message = made.encode(ImageBatch(batch.pixels, batch.ids), budget, Streams.of(batch.ids))
    assert torch.equal(message.parts["map"].values, encoded(batch, 600).parts["map"].values)
    assert message.free and made.side_bits == 0 and not made.adapts_to_snr


def test_less_than_a_cell_is_infeasible():
    message = encoded(images(2), 10, "planes")
    assert not message.feasible.any() and "one cell" in message.infeasible[0]
    assert encoded(images(2), 10, "dct").feasible.all()


def test_components_carry_more_of_a_map_than_planes_do():
    """Paired over scenes: the mean difference is many standard errors above 0."""
    batch = images(24, (64, 128))
    right = {}
    for code in CODES:
        labels = system(code).send(batch, 5.0, "1/24").labels
        counted = batch.labels < 11
        right[code] = ((labels == batch.labels) & counted).flatten(1).sum(1) / counted.flatten(1).sum(1)
    gain = (right["dct"] - right["planes"]).double()
    assert float(gain.mean()) > 3 * float(gain.std()) / math.sqrt(len(gain))


@pytest.mark.parametrize("code", CODES)
def test_it_runs_over_fading_with_levels_that_differ(code):
    batch = images(3)
    made = System.of({"kind": "oracle_physical_map", "code": code}, "analog", "map_as_is", channel="rayleigh", context=Context())
    result = made.send(batch, 15.0, "1/6")
    assert bool(result.ok.all()) and result.label_probabilities.isfinite().all()
    assert float((result.labels == batch.labels)[batch.labels < 11].double().mean()) > 0.5


@pytest.mark.parametrize(("kind", "link"), [("physical_map", "analog"), ("legacy_map", {"kind": "gesco", "gesco_label": 15})])
def test_a_named_segmenter_makes_the_map(shades, kind, link):
    pixels = torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(8))
    batch = ImageBatch(pixels, ("a", "b"))
    seen = System.of({"kind": kind, "segmenter": "shades"}, link, "map_as_is").send(batch, 10.0, "11/5")
    true = dataclasses.replace(batch, labels=shades.labels(pixels))
    oracle = System.of(f"oracle_{kind}", link, "map_as_is").send(true, 10.0, "11/5")
    assert torch.equal(seen.labels, oracle.labels) and torch.equal(seen.usage.energy, oracle.usage.energy)
    assert PhysicalMap(segmenter="shades").identity()["segmenter"] == "digest of shades"
