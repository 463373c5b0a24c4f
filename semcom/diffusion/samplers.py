"""From what arrived to a picture's latents."""

from __future__ import annotations

import torch


def sample(denoise, arrived, sigma, evaluations, noise, sigma_max=40.0, sigma_min=0.03):
    if evaluations == 1:
        return denoise(arrived, sigma)
    start = min(float(torch.where(sigma.isfinite(), sigma, sigma_max).max()), sigma_max)
    rho = 7.0
    times = [*((start ** (1 / rho) + k / (evaluations - 1) * (sigma_min ** (1 / rho) - start ** (1 / rho))) ** rho for k in range(evaluations)), 0.0]
    x = torch.where(sigma < start, arrived, start * noise)
    for now, then in zip(times, times[1:]):
        s, s2 = sigma.clamp(max=now), sigma.clamp(max=then)
        x = x + (s2 - s) / s.clamp(min=1e-9) * (x - denoise(x, s))
    return x
