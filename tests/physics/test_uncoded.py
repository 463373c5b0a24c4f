"""Uncoded error rates over AWGN, Rayleigh and Rician fading against closed forms, through the whole waveform path."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import dblquad

from channels import theory
from channels.awgn import AWGN
from channels.base import Draw
from channels.modulation import QAM
from channels.rayleigh import Rayleigh
from channels.rician import Rician
from semcom.rng import stratum

USES = 40_000
SIGMAS = 4.5  # a two-sided chance of 7e-6 a comparison


def bit_errors(channel, bits_per_symbol: int, snr_db: float, rows: int, uses: int, seed: int) -> np.ndarray:
    """Bit error rate of each row."""
    rng = np.random.default_rng(seed)
    qam = QAM(bits_per_symbol)
    bits = torch.from_numpy(rng.integers(0, 2, (rows, uses * bits_per_symbol), dtype=np.uint8))
    draws = [Draw(np.random.default_rng([seed, row]), stratum(row, seed)) for row in range(rows)]
    fading = channel.draw(uses, draws)
    variance = 10.0 ** (-snr_db / 10.0)
    noise = torch.view_as_complex(torch.from_numpy(rng.standard_normal((rows, uses, 2), dtype=np.float32)))
    y = channel.apply(qam.modulate(bits), fading, noise * math.sqrt(variance / 2.0))
    llr = qam.llrs(y / fading.h, variance / fading.h.abs() ** 2)
    return ((llr > 0) != bits.bool()).float().mean(dim=1).numpy()


REFERENCE = Path(__file__).parents[1] / "reference" / "theory_curves.csv"
MODULATIONS = {"bpsk": 1, "qpsk": 2, "16qam": 4, "64qam": 6}
#: K of the reference is a power ratio; the model's k_db ends at -60 dB, where K = 1e-6 moves no error rate by 1e-5 of itself.
CHANNELS = {
    ("awgn", ""): AWGN(),
    ("rayleigh", ""): Rayleigh(fading="fast"),
    ("rician", "K=0"): Rician(k_db=-60, fading="fast"),
    ("rician", "K=3"): Rician(k_db=10 * math.log10(3), fading="fast"),
    ("rician", "K=10"): Rician(k_db=10, fading="fast"),
}


def reference(quantity: str) -> list[dict]:
    with open(REFERENCE, newline="") as file:
        return [row for row in csv.DictReader(file) if row["quantity"] == quantity]


def test_closed_forms_are_the_reference_curves():
    """Sums over Q against integrals over decision regions and densities, at every point."""
    for row in reference("ber"):
        bits, snr, fixed = MODULATIONS[row["modulation"]], 10.0 ** (float(row["snr_db"]) / 10.0), row["parameter"].split("=")[-1]
        form = {
            "awgn": lambda: theory.ber_awgn(bits, snr),
            "rayleigh": lambda: theory.ber_rayleigh(bits, snr),
            "rician": lambda: theory.ber_rician(bits, snr, 10 * math.log10(float(fixed)) if float(fixed) else -math.inf),
            "mrc": lambda: theory.ber_mrc(bits, snr, int(fixed)),
            "alamouti": lambda: theory.ber_alamouti(bits, snr, int(fixed)),
        }[row["channel"]]
        # absolute: the inner integral of the Rician form stops at 1e-13; relative: ten digits stand in the file
        assert float(form()) == pytest.approx(float(row["value"]), rel=1e-6, abs=1e-12), row


@pytest.mark.parametrize("modulation", MODULATIONS)
@pytest.mark.parametrize("channel, parameter", CHANNELS, ids=["".join(key) for key in CHANNELS])
def test_bit_error_rate_is_the_reference_curve(channel, parameter, modulation):
    """The package's own modulation, fading and demapping, at a point in each third of the curve."""
    curve = [
        (float(row["snr_db"]), float(row["value"]))
        for row in reference("ber")
        if (row["channel"], row["parameter"], row["modulation"]) == (channel, parameter, modulation)
    ]
    measurable = [point for point in curve if point[1] * USES > 20]  # fewer errors are not normally distributed
    for snr_db, expected in (measurable[0], measurable[len(measurable) // 2], measurable[-1]):
        rate = bit_errors(CHANNELS[channel, parameter].build(), MODULATIONS[modulation], snr_db, 1, USES, seed=3).mean()
        # The bits of one symbol share its noise: count symbols, not bits, which cannot flatter the tolerance.
        error = math.sqrt(expected * (1 - expected) / USES)
        assert abs(rate - expected) < SIGMAS * error, (snr_db, rate, expected)


@pytest.mark.parametrize("bits_per_symbol", [8, 10])
def test_the_largest_constellations_follow_their_closed_form_too(bits_per_symbol):
    snr_db = {8: 24.0, 10: 30.0}[bits_per_symbol]
    expected = float(theory.ber_awgn(bits_per_symbol, 10.0 ** (snr_db / 10.0)))
    rate = bit_errors(AWGN().build(), bits_per_symbol, snr_db, 1, USES, seed=4).mean()
    assert abs(rate - expected) < SIGMAS * math.sqrt(expected / USES)


def test_symbol_error_rate_is_counted():
    rng = np.random.default_rng(8)
    for bits, snr_db in ((1, 4.0), (2, 7.0), (4, 14.0), (6, 20.0), (10, 30.0)):
        qam, variance = QAM(bits), 10.0 ** (-snr_db / 10.0)
        sent = torch.from_numpy(rng.integers(0, 2, (1, USES * bits), dtype=np.uint8))
        noise = torch.view_as_complex(torch.from_numpy(rng.standard_normal((1, USES, 2), dtype=np.float32)))
        llr = qam.llrs(qam.modulate(sent) + noise * math.sqrt(variance / 2.0), variance)
        wrong = ((llr > 0) != sent.bool()).reshape(USES, bits).any(dim=1).double().mean()
        expected = float(theory.symbol_error_awgn(bits, 1.0 / variance))
        assert abs(float(wrong) - expected) < SIGMAS * math.sqrt(expected * (1 - expected) / USES)


def test_combining_and_alamouti_have_their_diversity():
    """At high SNR the error rate falls by 10 L dB a decade: C(2L-1, L) (1 / (4 S))^L for BPSK; Alamouti is MRC 3 dB later."""
    snr = 1e4
    for branches in (1, 2, 4):
        asymptote = math.comb(2 * branches - 1, branches) * (4.0 * snr) ** -branches
        assert float(theory.ber_mrc(1, snr, branches)) == pytest.approx(asymptote, rel=1e-3)
    assert float(theory.ber_mrc(4, 20.0, 1)) == pytest.approx(float(theory.ber_rayleigh(4, 20.0)), rel=1e-12)
    assert float(theory.ber_alamouti(2, 2 * snr, 2)) == pytest.approx(float(theory.ber_mrc(2, snr, 4)), rel=1e-12)


def test_capacities_are_the_reference_curves():
    for row in reference("ergodic_capacity") + reference("outage_capacity"):
        snr, value = 10.0 ** (float(row["snr_db"]) / 10.0), float(row["value"])
        fixed = dict(item.split("=") for item in row["parameter"].split())
        k = float(fixed.get("K", 0))
        k_db = 10 * math.log10(k) if k else -math.inf
        if row["quantity"] == "outage_capacity":
            assert theory.outage_capacity(float(fixed["eps"]), snr, k_db) == pytest.approx(value, rel=1e-8), row
        elif row["channel"] == "rayleigh":
            assert theory.ergodic_capacity_rayleigh(snr) == pytest.approx(value, rel=1e-8), row
        else:
            assert theory.ergodic_capacity_rician(snr, k_db) == pytest.approx(value, rel=1e-8), row


@pytest.mark.parametrize(
    "channel, expected", [(Rayleigh(), float(theory.ber_rayleigh(2, 10**0.8))), (Rician(k_db=3), theory.ber_rician(2, 10**0.8, 3.0))]
)
def test_block_fading_has_the_same_mean_and_strata_find_it_sooner(channel, expected):
    rows, uses = 256, 400
    rates = bit_errors(channel.build(), 2, 8.0, rows, uses, seed=5)
    spread = rates.std(ddof=1) / math.sqrt(rows)  # of unstratified repeats
    assert abs(rates.mean() - expected) < spread  # stratified ones stay well within one standard error of those


def test_square_qam_forms_agree_with_a_direct_integral():
    """16-QAM over AWGN from decision regions: (3 Q(a) + 2 Q(3 a) - Q(5 a)) / 4, a = sqrt(SNR / 5)."""
    snr = np.array([0.5, 3.0, 20.0])
    a = np.sqrt(snr / 5.0)
    q = theory.q_function
    np.testing.assert_allclose(theory.ber_awgn(4, snr), (3 * q(a) + 2 * q(3 * a) - q(5 * a)) / 4, rtol=1e-12)
    np.testing.assert_allclose(theory.ber_awgn(2, 2 * snr), theory.ber_awgn(1, snr), rtol=1e-12)


def test_rician_form_is_the_mean_over_the_fading():
    for k_db in (0.0, 10.0):
        k, snr = 10 ** (k_db / 10), 4.0
        line = math.sqrt(k / (k + 1))

        def density(y: float, x: float) -> float:
            return (k + 1) / math.pi * math.exp(-(k + 1) * ((x - line) ** 2 + y**2))

        mean = dblquad(lambda y, x: density(y, x) * float(theory.ber_awgn(4, snr * (x * x + y * y))), -5, 6, -5, 5)[0]
        assert theory.ber_rician(4, snr, k_db) == pytest.approx(mean, rel=1e-5)


def test_rician_without_line_of_sight_is_rayleigh():
    assert theory.ber_rician(2, 10.0, -80.0) == pytest.approx(float(theory.ber_rayleigh(2, 10.0)), rel=1e-6)
