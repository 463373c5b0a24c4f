"""A channel of one's own: Nakagami-m block fading."""

from typing import Literal

import numpy as np
import torch
from pydantic import Field
from scipy import stats

from channels.base import ChannelDescription, Fading


class Nakagami(ChannelDescription):
    """One gain an image: |h|^2 is Gamma distributed with shape m and mean 1, the phase is uniform (Nakagami, 1960)."""

    kind: Literal["nakagami"] = "nakagami"
    m: float = Field(1.0, ge=0.5, description="shape; 1 is Rayleigh fading, larger is milder")

    def build(self, device):
        return self

    def draw(self, n, draws):
        gain = np.sqrt(stats.gamma.ppf([draw.stratum for draw in draws], self.m, scale=1 / self.m))
        phase = np.array([draw.rng.uniform(0.0, 2.0 * np.pi) for draw in draws])
        return Fading(torch.from_numpy((gain * np.exp(1j * phase)).astype(np.complex64))[:, None].expand(-1, n))

    def apply(self, x, fading, noise):
        return fading.h * x + noise
