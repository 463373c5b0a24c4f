"""A joint source-channel code: what is sent, in which order, and that it starts as SoftCast."""

import math

import pytest
import torch

from semcom.errors import WeightsError
from semcom.models import storage
from semcom.models.jscc import (
    COEFFICIENTS,
    FACTOR,
    JSCC,
    SPREAD,
    block_transform,
    frame_of,
    reliability,
)
from semcom.models.shipped import Shipped
from semcom.softcast import format_of

H, W = 32, 64
POSITIONS = H * W // FACTOR**2
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    pass


def network(channels=8, lively=True, seed=0):
    """A small network; ``lively``: as if it had been trained, no layer adds nothing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = JSCC(channels, width=16, fine_width=8, encoder_blocks=1, decoder_blocks=1)
        if lively:
            for value in net.parameters():
                value.data += 0.05 * torch.randn(value.shape)
    return net.eval().requires_grad_(False)


def pictures(count=3, size=(H, W), seed=1):
    """Pictures of typical spectrum, around mid-grey."""
    frame = frame_of(COEFFICIENTS, *size, CPU)
    drawn = torch.randn((count, len(frame.index)), generator=torch.Generator().manual_seed(seed))
    return (0.5 + 0.5 * frame.synthesise(frame.root * drawn)).clamp(0, 1)


def encode(net, pixels, snr_db=10.0, count=None):
    rows, count = len(pixels), net.latents(pixels.shape[2:]) if count is None else count
    return net.encode(pixels, torch.full((rows,), snr_db), torch.full((rows,), count))


def decode(net, received, noise_std, count=None, size=(H, W)):
    count = received.shape[1] if count is None else count
    return net.decode(received, torch.as_tensor(noise_std).expand(received.shape), size, torch.full((len(received),), count))


def test_the_block_transform_is_orthonormal_and_sorted_by_variance():
    variance, basis = block_transform()
    torch.testing.assert_close(basis @ basis.T, torch.eye(COEFFICIENTS, dtype=torch.float64))
    assert bool((variance.diff() <= 0).all()) and float(variance[-1]) > 0
    # the strongest is the mean of the block, brightness
    torch.testing.assert_close(basis[0], torch.full_like(basis[0], COEFFICIENTS**-0.5))
    net, pixels = network(), pictures() - 0.5
    torch.testing.assert_close(net._pixels(net._blocks(pixels)), pixels, atol=1e-5, rtol=1e-4)


def test_latents_are_softcasts_coefficients_in_its_order():
    frame, softcast = frame_of(COEFFICIENTS, H, W, CPU), format_of((H, W), "frame", "cpu")
    pixels = pictures()
    torch.testing.assert_close(frame.root, softcast.root)
    torch.testing.assert_close(frame.analyse(pixels - 0.5), softcast.analyse(pixels)[:, :, 0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(frame.synthesise(frame.analyse(pixels - 0.5)), pixels - 0.5, atol=1e-5, rtol=1e-4)
    few = frame_of(2, H, W, CPU)
    assert torch.equal(few.index, frame.index[: 2 * POSITIONS]) and bool((few.root.diff() <= 0).all())


def test_it_starts_as_softcast():
    """Before training, what is sent is SoftCast's, but for the pilot and the common factor."""
    net, pixels, count = network(lively=False), pictures(), 4 * POSITIONS
    softcast, frame = format_of((H, W), "frame", "cpu"), frame_of(8, H, W, CPU)
    ours = encode(net, pixels, count=count)
    data = ~frame.pilot(torch.full((3,), count))[0]
    theirs = softcast.analyse(pixels)[:, : 8 * POSITIONS, 0] * softcast.gains(torch.ones(3), 8 * POSITIONS)
    data[:, count:] = False
    ratio = (ours * theirs * data).sum(1) / (theirs.square() * data).sum(1)
    torch.testing.assert_close(ours * data, ratio[:, None] * theirs * data, atol=1e-4, rtol=1e-3)


def test_nothing_but_the_pilots_places_is_lost_without_noise_before_training():
    net, pixels = network(COEFFICIENTS, lively=False), pictures()
    latents = encode(net, pixels)
    frame, places = frame_of(COEFFICIENTS, H, W, CPU), COEFFICIENTS * POSITIONS // 128
    kept = frame.analyse(pixels - 0.5)
    kept[:, -places:] = 0.0
    torch.testing.assert_close(decode(net, latents, 0.0), frame.synthesise(kept) + 0.5, atol=2e-3, rtol=0)


@pytest.mark.parametrize("strength", [0.7, 1.0, 1.4])
@pytest.mark.parametrize("noise_std", [0.0, 0.5])
def test_the_pilot_tells_the_scale(strength, noise_std):
    """Its error is that of the optimal weights, 1 / sqrt(sum a^2 / variance), shrunk towards what is typical."""
    frame, rows, count = frame_of(16, 64, 128, CPU), 64, 2048
    counts, generator = torch.full((rows,), count), torch.Generator().manual_seed(0)
    is_pilot, amplitude = frame.pilot(counts)
    drawn = strength * frame.root.sqrt() * torch.randn((rows, len(frame.index)), generator=generator)
    raw = torch.where(is_pilot, amplitude, drawn) * frame.first(counts)
    rms = (raw.square().sum(1, keepdim=True) / count).sqrt()
    received = raw / rms + noise_std * torch.randn(raw.shape, generator=generator)
    weight = torch.full(raw.shape, 1.0 / max(noise_std, 1e-3) ** 2)
    scale, typical = frame.scale(received, weight, counts)
    error = (scale / rms).log().flatten()
    sure = float((weight * is_pilot).sum(1)[0] * (amplitude[0] / typical[0]).square())
    certainty = SPREAD**2 * sure / (SPREAD**2 * sure + 1.0)
    bias = (1.0 - certainty) * abs(float((typical / rms).log().mean()))
    noise = noise_std * float(rms.mean() / typical[0]) / max(noise_std, 1e-3) / math.sqrt(sure)
    assert abs(float(error.mean())) < bias + 4 * noise / math.sqrt(rows) + noise**2 + 1e-3
    assert float(error.std()) < noise * (1 + 4 / math.sqrt(2 * rows)) + (1.0 - certainty) * 0.1 + 1e-3


@pytest.mark.parametrize("count", [POSITIONS, 3 * POSITIONS, 3 * POSITIONS + 5, 8 * POSITIONS])
def test_every_picture_has_unit_power_over_what_is_sent_whatever_its_neighbours(count):
    net, pixels = network(), pictures()
    latents = encode(net, pixels, count=count)
    torch.testing.assert_close(latents[:, :count].square().mean(1), torch.ones(3), atol=1e-5, rtol=0)
    assert not latents[:, count:].any()
    torch.testing.assert_close(encode(net, pixels[1:2], count=count), latents[1:2], atol=1e-4, rtol=1e-3)


def test_what_was_not_sent_changes_nothing_and_what_was_lost_is_as_if_it_had_no_value():
    net, pixels, count = network(), pictures(), 3 * POSITIONS + 5
    latents = encode(net, pixels, count=count)
    noise_std = torch.full_like(latents, 0.3)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    received = latents + noise_std * noise
    made = net(pixels, torch.full((3,), 10.0), torch.full((3,), count), noise_std, noise)
    behind = torch.arange(latents.shape[1]) >= count
    nothing = decode(net, torch.where(behind, torch.nan, received), noise_std.masked_fill(behind, math.inf), count)
    torch.testing.assert_close(made, nothing)
    lost = torch.arange(latents.shape[1]) % 3 == 0
    levels = noise_std.masked_fill(lost, math.inf)
    one, other = (decode(net, torch.where(lost, value, received), levels, count) for value in (math.nan, 7.0))
    torch.testing.assert_close(one, other)
    assert not torch.allclose(one, made, atol=1e-3)


def test_leading_latents_matter_most():
    """Nested: the loss of the last quarter costs less than that of any other, the loss of the first most."""
    net, pixels = network(lively=False), pictures(8)
    latents, quarter = encode(net, pixels), 2 * POSITIONS
    noise_std = torch.full_like(latents, 0.1)

    def error(start):
        lost = (torch.arange(latents.shape[1]) >= start) & (torch.arange(latents.shape[1]) < start + quarter)
        return float((decode(net, latents, noise_std.masked_fill(lost, math.inf)) - pixels).square().mean())

    errors = [error(start) for start in range(0, 3 * quarter, quarter)]  # the last holds the pilot
    assert errors == sorted(errors, reverse=True)


def test_the_snr_steers_both_ends_and_rows_do_not_mix():
    net, pixels = network(), pictures(1).expand(2, -1, -1, -1)
    latents = net.encode(pixels, torch.tensor([-5.0, 20.0]), torch.full((2,), 8 * POSITIONS))
    assert float((latents[0] - latents[1]).square().mean()) > 1e-4
    same = latents[:1].expand(2, -1)
    pixels = decode(net, same, torch.tensor([[0.1], [1.0]]))
    assert float((pixels[0] - pixels[1]).square().mean()) > 1e-4
    torch.testing.assert_close(decode(net, same[:1], 1.0)[0], pixels[1], atol=1e-4, rtol=1e-3)


def test_any_noise_level_gives_finite_pixels():
    net, latents = network(), encode(network(), pictures())
    for level in (0.0, 1e-6, 1e6, math.inf):
        assert bool(decode(net, latents, level).isfinite().all())
    assert float(reliability(torch.tensor(100.0))) == pytest.approx(1.0) and float(reliability(torch.tensor(math.inf))) == 1.5


def test_a_picture_of_nothing_is_finite():
    grey = torch.full((1, 3, H, W), 0.5)
    assert bool(encode(network(), grey).isfinite().all())


def test_weights_come_back_from_a_folder(tmp_path):
    net, pixels = network().half().float(), pictures()
    for name in ("white", "colour"):  # these are computed, not stored
        getattr(net, name).copy_(getattr(network(), name))
    storage.save_network(net, tmp_path)
    found = Shipped(str(tmp_path), "JSCC").load()
    torch.testing.assert_close(encode(found, pixels), encode(net, pixels), atol=1e-4, rtol=1e-3)
    with pytest.raises(WeightsError, match="holds a JSCC; expected a Other"):
        Shipped(str(tmp_path), "Other").load()


def test_missing_weights_are_one_sentence():
    with pytest.raises(WeightsError, match="there are no weights 'nowhere'; allowed: a name that ships .*`semcom train` wrote"):
        Shipped("nowhere", "JSCC").load()
    assert Shipped("nowhere", "JSCC").identity() == "nowhere"
