"""A joint source-channel code: what is sent, in which order, and that it starts as SoftCast over blocks."""

import math

import pytest
import torch

from semcom.errors import WeightsError
from semcom.models import storage
from semcom.models.jscc import COEFFICIENTS, FACTOR, JSCC, SPREAD, block_transform, first, reliability, spectrum_of
from semcom.models.shipped import Shipped
from semcom.softcast import dct_matrix, typical_variance

H, W = 32, 64
POSITIONS = H * W // FACTOR**2


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
    """Smooth pictures with some detail."""
    noise = torch.rand((count, 3, *size), generator=torch.Generator().manual_seed(seed))
    small = torch.nn.functional.avg_pool2d(noise, 8)
    return (0.8 * torch.nn.functional.interpolate(small, size=size, mode="bilinear") + 0.2 * noise).clamp(0, 1)


def encode(net, pixels, snr_db=10.0, count=None):
    count = net.channels * pixels.shape[2] * pixels.shape[3] // FACTOR**2 if count is None else count
    rows = len(pixels)
    return net.encode(pixels, torch.full((rows,), snr_db), torch.full((rows,), count))


def test_the_transform_is_orthonormal_and_sorted_by_variance():
    variance, basis = block_transform()
    torch.testing.assert_close(basis @ basis.T, torch.eye(COEFFICIENTS, dtype=torch.float64))
    assert bool((variance.diff() <= 0).all()) and float(variance[-1]) > 0
    # the strongest is the mean of the block, brightness
    torch.testing.assert_close(basis[0], torch.full_like(basis[0], COEFFICIENTS**-0.5))


def test_it_starts_as_a_linear_code_that_keeps_all_but_the_scale():
    """All 192 coefficients without noise give the picture back, but for a factor: the error of the scale that the pilot tells."""
    net, pixels = network(COEFFICIENTS, lively=False), pictures()
    latents = encode(net, pixels)
    back = net.decode(latents, torch.zeros_like(latents)) - 0.5
    pilot = net.decode(torch.zeros_like(latents), torch.zeros_like(latents)) - 0.5  # what is taken off, in pixels
    scale = 1.0 + ((back - pixels + 0.5) * (back - pilot)).sum((1, 2, 3)) / (back - pilot).square().sum((1, 2, 3))
    expected = (pixels - 0.5) + (scale - 1.0)[:, None, None, None] * (back - pilot)
    torch.testing.assert_close(back, expected, atol=1e-3, rtol=1e-3)
    assert bool((scale > 0.25).all()) and bool((scale < 4.0).all())


@pytest.mark.parametrize("strength", [0.7, 1.0, 1.4])
@pytest.mark.parametrize("noise_std", [0.0, 0.5])
def test_the_pilot_tells_the_scale(strength, noise_std):
    """Latents of typical spectrum at any strength: the error is that of the optimal weights, 1 / sqrt(sum a^2 / variance)."""
    channels, height, width, rows = 16, 8, 16, 64
    spectrum = spectrum_of(channels, height, width, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    drawn = strength * spectrum.power.sqrt() * torch.randn((rows, channels, height, width), generator=generator)
    raw = spectrum.rows.T @ drawn @ spectrum.columns + spectrum.pilot
    rms = raw.square().mean((1, 2, 3), keepdim=True).sqrt()
    level = raw / rms + noise_std * torch.randn(raw.shape, generator=generator)
    typical = spectrum.power.mean().sqrt().expand(rows, 1, 1, 1)
    trust = torch.full((rows, channels, 1, 1), 1.0 / (1.0 + noise_std**2))
    error = (spectrum.scale(level, trust, typical) / rms - 1.0).flatten()
    variance = strength**2 * spectrum.lowest + (noise_std * rms.mean()) ** 2
    sent = float((spectrum.pilot.square().sum((1, 2)) / variance).sum())
    # shrinking towards what is typical: the bias is at most the distance to it times 1 - certainty
    bias = abs(math.log(strength)) / (1.0 + SPREAD**2 * sent) + 0.02
    assert abs(float(error.mean())) < bias + 4 / math.sqrt(sent * rows) and float(error.std()) < 1.5 / math.sqrt(sent)


def test_blocks_hold_the_frequencies_of_the_frame():
    """Where a wave over the frame is found in the DCT of blocks' coefficients, there the spectrum has its variance."""
    height, width = 8, 4
    _, basis = block_transform()
    frame = typical_variance((FACTOR * height, FACTOR * width))
    power = spectrum_of(COEFFICIENTS, height, width, torch.device("cpu")).power
    inside, across = dct_matrix(FACTOR), dct_matrix(height)
    # where the vertical waves of a block are, in brightness and without change along a row
    waves = torch.einsum("ui,cj->uicj", inside, torch.full((3, FACTOR), 1.0, dtype=torch.float64)).permute(0, 2, 1, 3)
    by_wave = {u: int((basis @ wave.flatten()).argmax()) for u, wave in enumerate(waves)}
    assert sorted(by_wave) == list(range(FACTOR))
    found = 0
    for frequency, wave in enumerate(dct_matrix(FACTOR * height)):
        energy = (across @ wave.reshape(height, FACTOR) @ inside.T).square()  # [across blocks, inside a block]
        if float(energy.max()) < 0.5:
            continue  # near the edge of a band a wave is shared by two
        k, u = divmod(int(energy.argmax()), FACTOR)
        found += 1
        assert float(power[by_wave[u], k, 0].square()) == pytest.approx(float(frame[0, frequency, 0]), rel=1e-4)
    assert found > FACTOR * height / 4


def test_shaping_and_its_inverse_cancel():
    spectrum = spectrum_of(8, 4, 8, torch.device("cpu"))
    planes = torch.randn(2, 8, 4, 8, generator=torch.Generator().manual_seed(0))
    there = spectrum.shaped(planes, spectrum.white)
    torch.testing.assert_close(spectrum.shaped(there, spectrum.colour), planes, atol=1e-5, rtol=1e-4)


def test_leading_channels_matter_most_at_the_start():
    """The mean power of SoftCast's latents falls from channel to channel."""
    power = spectrum_of(8, H // FACTOR, W // FACTOR, torch.device("cpu")).power
    means = power.mean(dim=(1, 2))
    assert float(means[0]) > 2 * float(means[4]) > 0 and bool((power > 0).all())


@pytest.mark.parametrize("count", [POSITIONS, 3 * POSITIONS, 3 * POSITIONS + 5, 8 * POSITIONS])
def test_every_picture_has_unit_power_over_what_is_sent_whatever_its_neighbours(count):
    net, pixels = network(), pictures()
    latents = encode(net, pixels, count=count).flatten(1)
    torch.testing.assert_close(latents[:, :count].square().mean(1), torch.ones(3), atol=1e-5, rtol=0)
    assert not latents[:, count:].any()
    torch.testing.assert_close(encode(net, pixels[1:2], count=count).flatten(1), latents[1:2], atol=1e-5, rtol=1e-4)


def test_what_was_not_sent_is_the_same_as_what_was_lost():
    net, pixels = network(), pictures()
    count = 3 * POSITIONS + 5
    latents = encode(net, pixels, count=count)
    sent = first(torch.full((3,), count), tuple(latents.shape[1:])).bool()
    noise_std = torch.full_like(latents, 0.3)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    received = latents + noise_std * noise
    lost = net.decode(torch.where(sent, received, torch.nan), noise_std.masked_fill(~sent, math.inf))
    torch.testing.assert_close(net(pixels, torch.full((3,), 10.0), torch.full((3,), count), noise_std, noise), lost)
    # more that arrived changes the picture
    assert not torch.allclose(lost, net.decode(received, noise_std), atol=1e-3)


def test_the_snr_steers_both_ends_and_rows_do_not_mix():
    net, pixels = network(), pictures(1).expand(2, -1, -1, -1)
    latents = net.encode(pixels, torch.tensor([-5.0, 20.0]), torch.full((2,), 8 * POSITIONS))
    assert float((latents[0] - latents[1]).square().mean()) > 1e-4
    same = latents[:1].expand(2, -1, -1, -1)
    pixels = net.decode(same, torch.tensor([0.1, 1.0])[:, None, None, None].expand(same.shape))
    assert float((pixels[0] - pixels[1]).square().mean()) > 1e-4
    torch.testing.assert_close(net.decode(same[:1], torch.full_like(same[:1], 1.0))[0], pixels[1], atol=1e-5, rtol=1e-4)


def test_any_noise_level_gives_finite_pixels():
    net, latents = network(), encode(network(), pictures())
    for level in (0.0, 1e-6, 1e6, math.inf):
        assert bool(net.decode(latents, torch.full_like(latents, level)).isfinite().all())
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
    torch.testing.assert_close(encode(found, pixels), encode(net, pixels), atol=1e-5, rtol=1e-4)
    with pytest.raises(WeightsError, match="holds a JSCC; expected a Other"):
        Shipped(str(tmp_path), "Other").load()


def test_missing_weights_are_one_sentence():
    with pytest.raises(WeightsError, match="there are no weights 'nowhere'; allowed: a name that ships .*`semcom train` wrote"):
        Shipped("nowhere", "JSCC").load()
    assert Shipped("nowhere", "JSCC").identity() == "nowhere"
