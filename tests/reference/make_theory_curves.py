"""Make theory_curves.csv: error rates and capacities by direct integration, with nothing of `channels`.

python tests/reference/make_theory_curves.py  (under a minute on one core)

Bit error rates come from decision regions: every level of Gray-labelled PAM, sent, falls into every region
with the probability that the normal distribution gives it, and the differing bits are counted. Fading
averages them over the density of the SNR, by quadrature. The closed forms that the column `source` names
are in channels/theory.py and are compared with these values.
"""

import csv
import math
from pathlib import Path

import numpy as np
from scipy.integrate import quad
from scipy.special import erfc, gammaln, i0e
from scipy.stats import expon, ncx2

MODULATIONS = {"bpsk": 1, "qpsk": 2, "16qam": 4, "64qam": 6}
SNRS_DB = tuple(range(0, 31, 2))
RICIAN_K = (0, 3, 10)  # power ratios, not dB
BRANCHES = (2, 4)


def upper(x):
    return 0.5 * erfc(x / math.sqrt(2.0))


def pam_bit_error_rate(bits, snr_a_dimension):
    """Of Gray PAM of unit energy in noise of variance 1 / snr_a_dimension."""
    index = np.arange(2**bits)
    levels = 2.0 * index - (2**bits - 1)
    levels /= math.sqrt(np.mean(levels**2))
    edges = np.concatenate([[-np.inf], (levels[1:] + levels[:-1]) / 2.0, [np.inf]])
    gray = index ^ (index >> 1)
    differing = np.array([[bin(a ^ b).count("1") for b in gray] for a in gray])
    cut = (edges[None, :] - levels[:, None]) * math.sqrt(snr_a_dimension)
    below, above = upper(-cut), upper(cut)
    # the smaller of two tails keeps its digits in the difference
    region = np.where(cut[:, :-1] >= 0, above[:, :-1] - above[:, 1:], below[:, 1:] - below[:, :-1])
    return float((region * differing).sum()) / (bits * 2**bits)


def bit_error_rate(bits_per_symbol, snr):
    if bits_per_symbol == 1:  # all the energy and half the noise in one dimension
        return pam_bit_error_rate(1, 2.0 * snr)
    return pam_bit_error_rate(bits_per_symbol // 2, snr)  # half the energy, half the noise


def averaged(value, density, reach):
    """The mean of value(g) over a density of the power gain g; in sqrt(g), where both are smooth."""
    integrand = lambda r: value(r * r) * density(r * r) * 2.0 * r  # noqa: E731
    edges = np.linspace(0.0, math.sqrt(reach), 25)
    return sum(quad(integrand, a, b, epsabs=0.0, epsrel=1e-11)[0] for a, b in zip(edges, edges[1:]))


def rician_density(k):
    def density(g):
        x = 2.0 * math.sqrt(k * (k + 1.0) * g)
        return (k + 1.0) * math.exp(-k - (k + 1.0) * g + x) * i0e(x)

    return density


def gamma_density(shape):
    """Of the sum of ``shape`` exponential variables of mean 1."""
    return lambda g: math.exp((shape - 1) * math.log(g) - g - gammaln(shape)) if g > 0 else float(shape == 1)


def rows():
    for name, bits in MODULATIONS.items():
        for snr_db in SNRS_DB:
            snr = 10.0 ** (snr_db / 10.0)
            error = lambda g: bit_error_rate(bits, snr * g)  # noqa: B023, E731
            yield "ber", "awgn", name, "", snr_db, error(1.0), "Cho, Yoon 2002, eqs. 14 to 16"
            rayleigh = averaged(error, gamma_density(1), 60.0)
            yield "ber", "rayleigh", name, "", snr_db, rayleigh, "Proakis, Salehi 2008, eq. 13.3-7; Cho, Yoon 2002"
            for k in RICIAN_K:
                value = averaged(error, rician_density(k), 60.0)
                yield "ber", "rician", name, f"K={k}", snr_db, value, "Simon, Alouini 2005, eqs. 2.17 and 4.2; K is a ratio"
            for count in BRANCHES:
                value = averaged(error, gamma_density(count), 80.0)
                yield "ber", "mrc", name, f"L={count}", snr_db, value, "Proakis, Salehi 2008, eq. 13.4-15; SNR per branch"
            half = averaged(lambda g: error(g / 2.0), gamma_density(2), 80.0)  # noqa: B023
            yield "ber", "alamouti", name, "N=1", snr_db, half, "Alamouti 1998, section III; SNR at the receive antenna"
    for snr_db in SNRS_DB:
        snr = 10.0 ** (snr_db / 10.0)
        rate = lambda g: math.log2(1.0 + g * snr)  # noqa: B023, E731
        yield (
            "ergodic_capacity",
            "rayleigh",
            "",
            "",
            snr_db,
            averaged(rate, gamma_density(1), 60.0),
            "Tse, Viswanath 2005, eq. 5.89",
        )
        for k in RICIAN_K:
            yield (
                "ergodic_capacity",
                "rician",
                "",
                f"K={k}",
                snr_db,
                averaged(rate, rician_density(k), 60.0),
                "Tse, Viswanath 2005, eq. 5.89",
            )
        for outage in (0.01, 0.1):
            yield (
                "outage_capacity",
                "rayleigh",
                "",
                f"eps={outage}",
                snr_db,
                rate(expon.ppf(outage)),
                "Tse, Viswanath 2005, eq. 5.57",
            )
            for k in (3, 10):
                gain = ncx2.ppf(outage, 2, 2.0 * k) / (2.0 * (1.0 + k))
                yield (
                    "outage_capacity",
                    "rician",
                    "",
                    f"K={k} eps={outage}",
                    snr_db,
                    rate(gain),
                    "Ozarow, Shamai, Wyner 1994; ncx2",
                )


with open(Path(__file__).with_name("theory_curves.csv"), "w", newline="") as file:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("quantity", "channel", "modulation", "parameter", "snr_db", "value", "source"))
    for *key, value, source in rows():
        if value > 1e-12:  # below, quadrature has no digits left
            writer.writerow((*key, f"{value:.10g}", source))
