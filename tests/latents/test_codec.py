"""Latents as bits: what goes in comes out, at nearly the ideal length, the same on every machine."""

import hashlib

import numpy as np
import pytest

from semcom.errors import WeightsError
from semcom.latents import tables
from semcom.latents.codec import Corrupt, LatentCodec, Quantised
from semcom.latents.context import Known, classify, waves
from semcom.latents.fitting import fit_latents, whole
from semcom.latents.tables import STEPS, SYMBOLS, TOTAL

TRAINED = 30


@pytest.fixture(scope="module")
def codec(field):
    return LatentCodec(fit_latents(field[:TRAINED], np.zeros(4), np.array([1.0, 1.0, 2.0, 0.5]), "a" * 64))


def order_zero(values):
    """Bits of an ideal code that knows this picture's own histogram of each channel, and nothing of its surroundings."""
    shares = [np.unique(channel, return_counts=True)[1] / channel.size for channel in values]
    return sum(-(share * np.log2(share)).sum() * values[0].size for share in shares)


@pytest.mark.parametrize("index", [0, 12, 24, 40, STEPS - 1])
def test_what_is_encoded_is_decoded(codec, field, index):
    for latents in field[TRAINED:]:
        sent = codec.quantise(latents, index)
        back = codec.decode(codec.encode(sent), 12, 16)
        assert back.index == index and np.array_equal(back.values, sent.values)


@pytest.mark.parametrize("shape", [(1, 1, 1), (4, 1, 9), (2, 9, 1), (3, 5, 7)])
def test_any_shape_and_any_values(codec, shape):
    """Values that no training picture had, escapes among them, at any place."""
    rng = np.random.default_rng(3)
    for scale in (0, 1, 40, 5000):
        sent = Quantised(rng.integers(-scale, scale + 1, shape), 30)
        back = codec.decode(codec.encode(sent), *shape[1:])
        assert np.array_equal(back.values, sent.values)


def test_a_decoder_sees_what_the_encoder_saw(codec, field):
    values = codec.quantise(field[35], 24).values
    rounded, sign, context = classify(values, codec.tables.prediction)
    known, seen = Known(*values.shape, codec.tables.prediction), 0
    for wave in waves(*values.shape):
        at = wave.c, wave.y, wave.x
        for mine, theirs in zip(known.look(wave), (rounded, sign, context), strict=True):
            assert np.array_equal(mine, theirs[at])
        known.learn(wave, values[at], rounded[at])
        seen += len(wave.c)
    assert seen == values.size and np.array_equal(known.values, values)


def test_the_length_is_the_ideal_one_to_within_a_word_and_a_half(codec, field):
    for index in (8, 24, 40):
        for latents in field[TRAINED:]:
            sent = codec.quantise(latents, index)
            assert abs(len(codec.encode(sent)) - codec.estimate(sent)) <= 32 + 16


def test_context_pays(codec, field):
    """On pictures that took no part in the fit: fewer bits than an ideal code without context that knows each picture."""
    for index in (16, 24, 32):
        sent = [codec.quantise(latents, index) for latents in field[TRAINED:]]
        real, ideal = sum(len(codec.encode(one)) for one in sent), sum(order_zero(one.values) for one in sent)
        assert real < ideal


def test_the_rate_of_white_noise_is_its_entropy():
    """Nothing can be predicted: the code of Laplacian noise is as long as its entropy, within two per cent."""
    rng = np.random.default_rng(5)
    noise = rng.laplace(size=(60, 1, 16, 16)).astype(np.float32) / np.float32(np.sqrt(2))
    made = LatentCodec(fit_latents(noise[:50], np.zeros(1), np.ones(1), "b" * 64))
    index = 28
    step = float(made.tables.step(index, 1)[0])
    edges = (np.arange(-60, 61) - 0.5) * step
    cdf = np.where(edges < 0, 0.5 * np.exp(np.sqrt(2) * edges), 1 - 0.5 * np.exp(-np.sqrt(2) * edges))
    share = np.diff(cdf)
    entropy = -(share[share > 0] * np.log2(share[share > 0])).sum()
    bits = np.mean([len(made.encode(made.quantise(latents, index))) - made.header_bits for latents in noise[50:]]) / 256
    # the mean of 2560 code lengths whose deviation is below two bits is off by less than 0.12, three of its deviations
    assert bits == pytest.approx(entropy, abs=0.12 + 32 / 256)


def test_finer_steps_cost_more_and_lose_less(codec, field):
    lengths, errors = [], []
    for index in range(0, STEPS, 8):
        sent = [codec.quantise(latents, index) for latents in field[TRAINED:]]
        lengths.append(sum(len(codec.encode(one)) for one in sent))
        restored = np.stack([codec.restore(one) for one in sent])
        errors.append(np.square(restored - field[TRAINED:]).mean())
    assert lengths == sorted(lengths) and errors == sorted(errors, reverse=True)
    step = codec.tables.step(STEPS - 8, 4).astype(float)
    assert errors[-1] == pytest.approx((step**2).mean() / 12, rel=0.1)  # uniform within a fine step


def test_values_are_restored_where_they_lay(codec, field):
    """The learned centres lose less than the middles of the intervals."""
    index, plain, learned = 16, 0.0, 0.0
    for latents in field[TRAINED:]:
        sent = codec.quantise(latents, index)
        learned += np.square(codec.restore(sent) - latents).mean()
        plain += np.square(sent.values * codec.tables.step(index, 4)[:, None, None] - latents).mean()
    assert learned < plain


@pytest.mark.parametrize("limit", [200, 700, 1500, 4000])
def test_the_budget_is_kept_and_used(codec, field, limit):
    for latents in field[TRAINED:]:
        payload = codec.finest(latents, limit)
        assert len(payload) <= limit
        finer = codec.decode(payload, 12, 16).index + 2
        if finer < STEPS:
            assert len(codec.encode(codec.quantise(latents, finer))) > limit - 32


def test_what_cannot_fit_says_how_long_it_is(codec, field):
    needed = codec.finest(field[0], 8)
    assert isinstance(needed, int) and len(codec.finest(field[0], needed)) == needed


def test_fewer_channels_at_their_own_scale(codec, field):
    """The first channels alone have unit RMS over themselves; the step follows, so that the tables still fit."""
    part = field[TRAINED, :2] / np.sqrt(np.square(field[TRAINED, :2]).mean())
    sent = codec.quantise(part, 24)
    back = codec.decode(codec.encode(sent), 12, 16)
    assert back.values.shape == (2, 12, 16) and np.array_equal(back.values, sent.values)
    whole_step, part_step = codec.tables.step(24, 4)[:2], codec.tables.step(24, 2)
    power = np.square(field[:TRAINED]).mean(axis=(0, 2, 3))
    assert part_step / whole_step == pytest.approx(np.full(2, power[:2].mean() ** -0.5), rel=2 ** (0.5 / 8) - 1 + 1e-6)


def test_damaged_bits_never_do_worse_than_corrupt(codec, field):
    rng = np.random.default_rng(7)
    payload = codec.encode(codec.quantise(field[3], 30))
    for _ in range(60):
        wrong = payload.copy()
        wrong[rng.integers(len(wrong), size=rng.integers(1, 40))] ^= 1
        try:
            assert codec.decode(wrong[: rng.integers(len(wrong))], 12, 16).values.shape[1:] == (12, 16)
        except Corrupt:
            pass
    for bits in (np.zeros(0, np.uint8), np.ones(5, np.uint8)):
        with pytest.raises(Corrupt, match="shorter than the header"):
            codec.decode(bits, 12, 16)


def test_the_code_is_the_same_bits_everywhere():
    """Integer tables, known values, a known code: what this machine writes another reads."""
    rng = np.random.default_rng(11)
    counts = rng.integers(1, 1000, (3, SYMBOLS))
    made = tables.Tables(
        "c" * 64, np.zeros(2), np.zeros(2), np.ones(2), np.ones(2), np.ones(2), np.ones(2, np.float32), np.zeros(2, np.int16),
        np.array([[20, 20, -8, 4, 0, 0], [12, 12, 0, 0, 16, 0]], np.int16),
        rng.integers(0, 3, (STEPS, 2, tables.CONTEXTS)).astype(np.uint8),
        np.stack([whole(row) for row in counts]).astype(np.uint16), np.zeros((STEPS, 2, 2), np.uint8),
    )  # fmt: skip
    sent = Quantised(rng.integers(-40, 41, (2, 5, 6)), 9)
    bits = LatentCodec(made).encode(sent)
    assert hashlib.sha256(bits.tobytes()).hexdigest() == GOLDEN
    assert np.array_equal(LatentCodec(made).decode(bits, 5, 6).values, sent.values)


GOLDEN = "be90b0fa56455d06f02cea2c4dd3169b6bdda2122cd850e9dcf2406c95f610da"


def test_frequencies_are_whole_and_sum_to_a_power_of_two(codec):
    frequencies = codec.tables.frequencies.astype(int)
    assert (frequencies.sum(axis=1) == TOTAL).all() and frequencies.min() >= 1
    assert np.array_equal(codec._shares.astype(np.float64) * TOTAL, frequencies)  # exactly representable


def test_tables_go_through_a_file_and_know_their_weights(codec, tmp_path):
    weights = tmp_path / "net.safetensors"
    codec.tables.save(tables.path_of(weights))
    assert tables.path_of(weights).stat().st_size < 100_000
    again = tables.load(weights, "a" * 64)
    assert all(np.array_equal(getattr(again, name), getattr(codec.tables, name)) for name in vars(again))
    assert tables.load(tmp_path / "other.safetensors", "a" * 64) is None
    other = "fitted to weights aaaaaaaaaaaa and 'net.safetensors' is bbbbbbbbbbbb; .*semcom weights tables"
    with pytest.raises(WeightsError, match=other):
        tables.load(weights, "b" * 64)
    tables.path_of(weights).write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="cannot be read as tables of latents"):
        tables.load(weights, "a" * 64)
