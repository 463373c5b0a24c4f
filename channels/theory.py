"""Closed forms of the physical layer: error rates, capacities, finite blocklength, mutual information.

SNR is Es/N0 per complex symbol, as a power ratio unless a name says dB.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import ArrayLike

# --- error rates of uncoded, Gray-labelled modulation, coherent detection -------------------------------


def q_function(x: ArrayLike) -> np.ndarray:
    """Q(x), the probability that a standard normal variable exceeds x."""
    from scipy.special import erfc

    return 0.5 * erfc(np.asarray(x, dtype=float) / math.sqrt(2.0))


def _q_terms(bits_per_symbol: int) -> tuple[tuple[float, float], ...]:
    """(weight w, argument a) with BER = sum of w Q(sqrt(2 a SNR)); Cho, Yoon 2002, equations 14 to 16."""
    if bits_per_symbol == 1:
        return ((1.0, 1.0),)
    if bits_per_symbol % 2:
        raise ValueError(f"{bits_per_symbol} bits a symbol; the closed form is of BPSK and of square QAM")
    side = 2 ** (bits_per_symbol // 2)
    step = 3.0 / (2.0 * (side**2 - 1))
    weights: dict[int, float] = {}
    for bit in range(1, bits_per_symbol // 2 + 1):
        for i in range(int((1 - 2.0**-bit) * side)):
            sign = (-1) ** (i * 2 ** (bit - 1) // side)
            weight = 2 ** (bit - 1) - math.floor(i * 2 ** (bit - 1) / side + 0.5)
            weights[i] = weights.get(i, 0.0) + 2.0 / side * sign * weight / (bits_per_symbol // 2)
    return tuple((w, (2 * i + 1) ** 2 * step) for i, w in weights.items() if w)


def ber_awgn(bits_per_symbol: int, snr: ArrayLike) -> np.ndarray:
    """Bit error rate of BPSK (1) and square Gray QAM (2, 4, ...) over AWGN, exact (Cho, Yoon 2002)."""
    snr = np.asarray(snr, dtype=float)
    return sum(w * q_function(np.sqrt(2.0 * a * snr)) for w, a in _q_terms(bits_per_symbol))


def ber_rayleigh(bits_per_symbol: int, snr: ArrayLike) -> np.ndarray:
    """Bit error rate over flat Rayleigh fading, perfect CSI: E[Q(sqrt(2 a g))] = (1 - sqrt(a S / (1 + a S))) / 2.

    Fast and block fading have the same mean. References: Proakis 2008, equation 13.3-7.
    """
    snr = np.asarray(snr, dtype=float)
    return sum(w * 0.5 * (1.0 - np.sqrt(a * snr / (1.0 + a * snr))) for w, a in _q_terms(bits_per_symbol))


def ber_mrc(bits_per_symbol: int, snr: ArrayLike, branches: int) -> np.ndarray:
    """Bit error rate of maximum-ratio combining of independent Rayleigh branches, ``snr`` the mean SNR of each.

    E[Q(sqrt(2 a g))] = ((1-u)/2)^L sum over l < L of C(L-1+l, l) ((1+u)/2)^l with u = sqrt(a S / (1 + a S)).
    References: Proakis, Salehi 2008, equation 13.4-15.
    """
    snr = np.asarray(snr, dtype=float)

    def mean_q(a: float) -> np.ndarray:
        u = np.sqrt(a * snr / (1.0 + a * snr))
        # 1 - u without cancellation, as it is 1 / (2 a S) at high SNR
        miss, hit = 0.5 / ((1.0 + a * snr) * (1.0 + u)), 0.5 * (1.0 + u)
        return miss**branches * sum(math.comb(branches - 1 + i, i) * hit**i for i in range(branches))

    return sum(w * mean_q(a) for w, a in _q_terms(bits_per_symbol))


def ber_alamouti(bits_per_symbol: int, snr: ArrayLike, receive_antennas: int = 1) -> np.ndarray:
    """Bit error rate of Alamouti's code over Rayleigh fading: MRC of 2 N branches, each with half the SNR.

    ``snr`` is the mean SNR at one receive antenna for unit total transmit power (Alamouti 1998, section III).
    """
    return ber_mrc(bits_per_symbol, np.asarray(snr, dtype=float) / 2.0, 2 * receive_antennas)


def symbol_error_awgn(bits_per_symbol: int, snr: ArrayLike) -> np.ndarray:
    """Symbol error rate of BPSK (1) and square QAM over AWGN: 1 - (1 - 2 (1 - 1/L) Q(sqrt(3 SNR / (L^2 - 1))))^2, L^2 = M.

    References: Proakis, Salehi 2008, equations 4.3-13 and 4.3-30.
    """
    snr = np.asarray(snr, dtype=float)
    if bits_per_symbol == 1:
        return q_function(np.sqrt(2.0 * snr))
    if bits_per_symbol % 2:
        raise ValueError(f"{bits_per_symbol} bits a symbol; the closed form is of BPSK and of square QAM")
    side = 2 ** (bits_per_symbol // 2)
    one = 2.0 * (1.0 - 1.0 / side) * q_function(np.sqrt(3.0 * snr / (side**2 - 1)))
    return one * (2.0 - one)


def ber_rician(bits_per_symbol: int, snr: float, k_db: float) -> float:
    """Bit error rate over flat Rician fading of factor K, perfect CSI.

    Craig's form of Q under the moment generating function of |h|^2, integrated numerically
    (Simon, Alouini 2005, equations 4.2 and 2.17).
    """
    from scipy.integrate import quad

    k = 10.0 ** (k_db / 10.0)

    def mgf(s: float) -> float:  # E exp(-s SNR |h|^2)
        scale = 1.0 + k + s * snr
        return (1.0 + k) / scale * math.exp(-k * s * snr / scale)

    def mean_q(a: float) -> float:
        return quad(lambda t: mgf(a / math.sin(t) ** 2), 0.0, math.pi / 2, epsabs=1e-13)[0] / math.pi

    return sum(w * mean_q(a) for w, a in _q_terms(bits_per_symbol))


def ber_zero_forcing(bits_per_symbol: int, snr: ArrayLike, transmit_antennas: int, receive_antennas: int) -> np.ndarray:
    """Bit error rate of each stream of spatial multiplexing with zero forcing over independent Rayleigh gains.

    The SNR after detection is SNR / Nt times a gamma variable of shape Nr - Nt + 1 (Winters, Salz, Gitlin 1994;
    Gore, Heath, Paulraj 2002): diversity Nr - Nt + 1.
    """
    return ber_mrc(bits_per_symbol, np.asarray(snr, dtype=float) / transmit_antennas, receive_antennas - transmit_antennas + 1)


def ber_bernoulli_gaussian(bits_per_symbol: int, snr: ArrayLike, probability: float, impulse_ratio: float) -> np.ndarray:
    """Bit error rate over AWGN with impulses: each use has ``1 + impulse_ratio`` times the noise with ``probability``.

    A mixture of two Gaussians (Ghosh 1996). Decisions do not depend on the noise level: it holds
    whether the receiver knows where the impulses are or not.
    """
    snr = np.asarray(snr, dtype=float)
    hit = ber_awgn(bits_per_symbol, snr / (1.0 + impulse_ratio))
    return (1.0 - probability) * ber_awgn(bits_per_symbol, snr) + probability * hit


def ber_qpsk_cochannel(snr: float, sir: float, interferer_bits: int, phases: int = 256) -> float:
    """Bit error rate of QPSK over AWGN beside one M-QAM interferer of constant power, synchronous, of uniform phase.

    The mean over its points q and phases of Q(sqrt(SNR) (1 + sqrt(2 / SIR) Re(q e^(j phase)))): decisions on the
    sign of I, so the noise level does not matter. The mean over ``phases`` equidistant phases of a periodic analytic
    function converges exponentially. References: Prabhu 1969, for the conditional probability.
    """
    sides = 1 if interferer_bits == 1 else 2
    levels, _ = _gray_pam(interferer_bits // sides)
    points = levels.astype(complex) if sides == 1 else (levels[:, None] + 1j * levels).ravel() / math.sqrt(2.0)
    turned = points[:, None] * np.exp(2j * math.pi * np.arange(phases) / phases)
    return float(q_function(math.sqrt(snr) * (1.0 + math.sqrt(2.0 / sir) * turned.real)).mean())


# --- capacity and finite blocklength --------------------------------------------------------------------


def capacity_awgn(snr: ArrayLike) -> np.ndarray:
    """log2(1 + SNR), bits a complex channel use (Shannon 1948)."""
    return np.log2(1.0 + np.asarray(snr, dtype=float))


def ergodic_capacity_rayleigh(snr: float) -> float:
    """E log2(1 + |h|^2 SNR) = exp(1/SNR) E1(1/SNR) / ln 2, bits a use, h known to the receiver alone."""
    from scipy.special import hyperu

    return float(hyperu(1.0, 1.0, 1.0 / snr)) / math.log(2.0)  # U(1, 1, x) is exp(x) E1(x) without overflow


def ergodic_capacity_rician(snr: float, k_db: float) -> float:
    """E log2(1 + |h|^2 SNR) over Rician fading, bits a use, by quadrature over the density of |h|."""
    from scipy.integrate import quad
    from scipy.special import i0e

    k = 10.0 ** (k_db / 10.0)
    line, reach = math.sqrt(k / (k + 1.0)), 8.0 / math.sqrt(k + 1.0)

    def integrand(r: float) -> float:
        density = 2.0 * (k + 1.0) * r * math.exp(-(k + 1.0) * (r - line) ** 2) * i0e(2.0 * (k + 1.0) * line * r)
        return density * math.log2(1.0 + r * r * snr)

    return quad(integrand, max(0.0, line - reach), line + reach, epsabs=1e-12, limit=200)[0]


def rician_power_quantile(u: ArrayLike, k_db: float) -> np.ndarray:
    """The quantile function of |h|^2 for Rician fading of unit mean power.

    2 (1 + K) |h|^2 is noncentral chi-square with two degrees of freedom and noncentrality 2 K.
    """
    from scipy.stats import ncx2

    k = 10.0 ** (k_db / 10.0)
    return ncx2.ppf(u, 2, 2.0 * k) / (2.0 * (1.0 + k))


def outage_probability(rate: float, snr: float, k_db: float = -math.inf) -> float:
    """P(log2(1 + |h|^2 SNR) < rate) under Rician block fading; Rayleigh at K = 0 (the default)."""
    from scipy.stats import ncx2

    power = (2.0**rate - 1.0) / snr
    if k_db == -math.inf:
        return -math.expm1(-power)
    k = 10.0 ** (k_db / 10.0)
    return float(ncx2.cdf(2.0 * (1.0 + k) * power, 2, 2.0 * k))


def outage_capacity(outage: float, snr: float, k_db: float = -math.inf) -> float:
    """The largest rate, bits a use, whose outage probability is at most ``outage``."""
    power = -math.log1p(-outage) if k_db == -math.inf else float(rician_power_quantile(outage, k_db))
    return math.log2(1.0 + power * snr)


def ergodic_capacity_mimo(snr: float, transmit_antennas: int, receive_antennas: int) -> float:
    """E log2 det(I + SNR/Nt H H^H), bits a use, H of independent CN(0, 1) gains that the receiver alone knows.

    The integral of log2(1 + SNR x / Nt) over the density of an unordered eigenvalue of a Wishart matrix, by generalised
    Laguerre polynomials (Telatar 1999, theorem 2). Total transmit power 1; one row is `ergodic_capacity_rayleigh`.
    """
    from scipy.integrate import quad
    from scipy.special import eval_genlaguerre, gammaln

    small, large = sorted((transmit_antennas, receive_antennas))
    excess = large - small

    def density(x: float) -> float:
        weight = excess * math.log(x) - x
        scales = (math.exp(gammaln(k + 1) - gammaln(k + excess + 1) + weight) for k in range(small))
        return sum(c * eval_genlaguerre(k, excess, x) ** 2 for k, c in enumerate(scales))

    def integrand(x: float) -> float:
        return math.log2(1.0 + snr * x / transmit_antennas) * density(x)

    edge = 4.0 * large  # the largest eigenvalue concentrates below (sqrt(m) + sqrt(n))^2 <= 4 n
    return quad(integrand, 0.0, 2.0 * edge + 60.0, points=(large, edge), epsabs=1e-11, limit=400)[0]


def outage_probability_diversity(rate: float, snr: float, order: int) -> float:
    """P(log2(1 + g SNR) < rate) for g a sum of ``order`` independent unit-mean Rayleigh powers: gamma of that shape.

    Maximum ratio combining has the order and the SNR of its branches; Alamouti's code 2 N and half the SNR
    (Tse, Viswanath 2005, section 5.4).
    """
    from scipy.stats import gamma

    return float(gamma.cdf((2.0**rate - 1.0) / snr, order))


def normal_approximation(n: int, snr: float, error: float) -> float:
    """Bits in n complex uses of AWGN at block error probability ``error``: n C - sqrt(n V) Qinv(error) + log2(2n)/2.

    With C = log2(1 + SNR) and the dispersion V = SNR (SNR + 2) / (1 + SNR)^2 log2(e)^2, per complex use:
    twice those of a real one, at the same SNR, over 2n real uses; kept between 0 and n C, which the last term would leave at very low SNR.
    References: Polyanskiy, Poor, Verdu 2010, theorem 54.
    """
    from scipy.special import ndtri

    if n <= 0 or snr <= 0.0:
        return 0.0
    dispersion = snr * (snr + 2.0) / (1.0 + snr) ** 2 * math.log2(math.e) ** 2
    bits = n * math.log2(1.0 + snr) + math.sqrt(n * dispersion) * float(ndtri(error)) + 0.5 * math.log2(2 * n)
    return min(max(0.0, bits), n * math.log2(1.0 + snr))


# --- mutual information of bit-interleaved coded modulation ---------------------------------------------

_GRID_DB = np.arange(-30.0, 50.01, 0.25)


def mutual_information(bits_per_symbol: int, snr_db: ArrayLike) -> np.ndarray:
    """BICM mutual information of Gray-labelled M-QAM over AWGN, bits a symbol (Caire, Taricco, Biglieri 1998, eq. 13).

    Read from a table in steps of 0.25 dB (Gauss-Hermite quadrature, computed once); below it, linear in the
    SNR ratio as the true function becomes; above it log2 M.
    """
    snr_db = np.asarray(snr_db, dtype=float)
    table = _information_table(bits_per_symbol)
    inside = np.interp(snr_db, _GRID_DB, table)
    return np.where(snr_db < _GRID_DB[0], table[0] * 10.0 ** ((np.minimum(snr_db, 0.0) - _GRID_DB[0]) / 10.0), inside)


def snr_for_mutual_information(bits_per_symbol: int, information: ArrayLike) -> np.ndarray:
    """The SNR [dB] at which `mutual_information` is ``information``, clamped to the ends of its table, -30 and 50 dB."""
    table = _information_table(bits_per_symbol)
    rising = np.concatenate([[True], np.diff(table) > 1e-12])  # saturation leaves equal values
    return np.interp(information, table[rising], _GRID_DB[rising])


def effective_snr_db(bits_per_symbol: int, snr_db: ArrayLike) -> np.ndarray:
    """The AWGN SNR [dB] that carries as much as symbols at ``snr_db`` [..., n] do together (MIESM), shape [...].

    It turns a block error table over AWGN into one over any fading that the receiver knows.
    References: Brueninghaus et al. 2005, equation 6.
    """
    return snr_for_mutual_information(bits_per_symbol, mutual_information(bits_per_symbol, snr_db).mean(axis=-1))


@functools.cache
def _information_table(bits_per_symbol: int) -> np.ndarray:
    """Mutual information at _GRID_DB. Square QAM is two independent PAM dimensions of half its bits."""
    if bits_per_symbol != 1 and (bits_per_symbol % 2 or not 2 <= bits_per_symbol <= 10):
        raise ValueError(f"{bits_per_symbol} bits a symbol; allowed: 1, 2, 4, 6, 8, 10")
    dimensions = 1 if bits_per_symbol == 1 else 2
    levels, labels = _gray_pam(bits_per_symbol // dimensions)
    snr = 10.0 ** (_GRID_DB / 10.0) * (2.0 / dimensions)  # per real dimension: its signal over sigma^2 / 2
    table = np.array([dimensions * _pam_information(levels, labels, math.sqrt(1.0 / s)) for s in snr])
    return np.clip(np.maximum.accumulate(table), 0.0, bits_per_symbol)


def _gray_pam(bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Levels of unit energy in rising order and their Gray labels, bool [levels, bits]."""
    index = np.arange(2**bits)
    levels = 2.0 * index - (2**bits - 1)
    gray = index ^ (index >> 1)
    labels = (gray[:, None] >> np.arange(bits - 1, -1, -1)) & 1
    return levels / math.sqrt(np.mean(levels**2)), labels.astype(bool)


def _pam_information(levels: np.ndarray, labels: np.ndarray, sigma: float) -> float:
    """sum over bits of I(b; y), y = level + sigma n, n standard normal: bits - E log2(sum p(y|x) / sum p(y|x: b))."""
    nodes, weights = _gauss_hermite()
    y = levels[:, None] + sigma * nodes  # [sent, node]
    log_p = -((y[..., None] - levels) ** 2) / (2.0 * sigma**2)  # [sent, node, candidate]
    p = np.exp(log_p - log_p.max(axis=-1, keepdims=True))
    ones, zeros = p @ labels.astype(float), p @ (~labels).astype(float)  # [sent, node, bit]
    same = np.where(labels[:, None, :], ones, zeros)  # candidates that share the sent bit
    loss = np.log2((ones + zeros) / np.maximum(same, np.finfo(float).tiny)).sum(axis=-1)
    return labels.shape[1] - float((loss @ weights).mean())


@functools.cache
def _gauss_hermite() -> tuple[np.ndarray, np.ndarray]:
    """64 nodes and weights of the mean over a standard normal variable."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(64)
    return nodes, weights / weights.sum()
