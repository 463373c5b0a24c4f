"""How the power of a transmission is shared out among latent channels that are sent without a code."""

from __future__ import annotations

import numpy as np


def waterfill(variance: np.ndarray, noise: float, weight: np.ndarray | float = 1.0) -> np.ndarray:
    """Powers float64 [n], of mean 1, that leave the smallest weighted error of n linear, uncoded channels.

    A channel of variance q that is sent with power p over noise of variance s^2 and estimated linearly has the
    error w q s^2 / (p + s^2). Its sum is smallest at p = (m sqrt(w q) - s^2)+ with m such that the powers sum
    to n; without noise p goes with sqrt(w q). What reverse water-filling is for coded bits, this is for uncoded
    numbers: both leave out a channel whose variance is below a level that falls with the SNR.

    References: Lee and Petersen 1976, "Optimal linear coding for vector channels"; Cover and Thomas, 10.3.3, for
    reverse water-filling.
    """
    root = np.sqrt(np.asarray(variance, dtype=np.float64) * weight)
    count, order = len(root), np.argsort(-root, kind="stable")
    for active in range(count, 0, -1):
        kept = order[:active]
        level = (count + active * noise) / root[kept].sum()
        if active == 1 or level * root[kept[-1]] > noise:
            break
    powers = np.zeros(count)
    powers[kept] = level * root[kept] - noise
    return powers


def linear_error(variance: np.ndarray, powers: np.ndarray, noise: float) -> np.ndarray:
    """Mean square error float64 [n] of channels that were sent with ``powers`` and estimated linearly."""
    return np.asarray(variance) * noise / (np.asarray(powers) + noise)


def gains(powers: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Amplitudes that turn channels of ``variance`` into channels of ``powers``."""
    return np.sqrt(np.asarray(powers, dtype=np.float64) / np.asarray(variance, dtype=np.float64))


def relative(power: np.ndarray) -> np.ndarray:
    """Powers of mean 1."""
    power = np.asarray(power, dtype=np.float64)
    return power / power.mean()
