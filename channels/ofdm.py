"""Orthogonal frequency division multiplexing: symbols on subcarriers, pilots among them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import lazy_loader as lazy
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from channels.base import ChannelDescription, Grid, Layout
from channels.coherence import FROM_PILOTS, stage

torch = lazy.load("torch")


class Pilots(BaseModel):
    """Where pilots lie: on every ``spacing``-th subcarrier of the symbols ``symbols`` of each slot of ``slot`` symbols."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    symbols: tuple[int, ...] = Field((2, 11), min_length=1, description="OFDM symbols of a slot that hold pilots, from 0")
    spacing: int = Field(2, ge=1, description="distance of pilots in frequency, subcarriers")
    slot: int = Field(14, ge=1, description="OFDM symbols after which the pattern repeats")

    @model_validator(mode="after")
    def _lie_in_the_slot(self) -> Pilots:
        if sorted(set(self.symbols)) != list(self.symbols) or not 0 <= self.symbols[0] <= self.symbols[-1] < self.slot:
            raise ValueError(
                f"pilot symbols {list(self.symbols)} in a slot of {self.slot}; give rising numbers from 0 to {self.slot - 1}"
            )
        return self

    @property
    def longest_gap(self) -> int:
        """The largest distance of neighbouring pilot symbols, OFDM symbols."""
        following = (*self.symbols[1:], self.symbols[0] + self.slot)
        return max(b - a for a, b in zip(self.symbols, following, strict=True))


class OFDM(ChannelDescription):
    """OFDM with a cyclic prefix: a burst is as many OFDM symbols as its channel uses hold, pilots among its elements.

    One channel use is one resource element (a subcarrier of an OFDM symbol). An OFDM symbol is charged its
    fft_size - guards subcarriers, the DC null included, and with `charge: full` its guards and its prefix too. What remains of a
    grant, less than a symbol, is padding. Pilots have the power of data. Several transmit antennas take turns on the pilots.
    A burst that is shorter than the first pilot symbol, or than one OFDM symbol, is refused.

    Subcarrier 0 is at the carrier; sent are -fft_size/2 + guards[0] to fft_size/2 - 1 - guards[1], without 0 where DC is null.
    The FFT is unitary: white noise stays white, and an OFDM symbol over a channel of one path is as many uses of a flat one.

    Units: subcarrier spacing kHz; prefix samples at fft_size times the spacing.
    References: Tse, Viswanath 2005, section 3.4.4; 3GPP TS 38.211 section 4.

    Example::

        channel: [{kind: ofdm, fft_size: 64, cyclic_prefix: 16, pilots: {symbols: [2, 11], spacing: 2}}, {kind: tdl, profile: A}]
    """

    STAGE: ClassVar = "waveform"
    kind: Literal["ofdm"] = "ofdm"
    fft_size: int = Field(64, ge=4, le=8192, description="subcarriers, guards and DC included: length of the FFT")
    subcarrier_spacing_khz: float = Field(15.0, gt=0.0, description="distance of subcarriers, kHz")
    cyclic_prefix: int = Field(16, ge=0, description="length of the cyclic prefix, samples")
    guards: tuple[int, int] = Field((4, 3), description="subcarriers left empty at the lower and the upper edge")
    dc_null: bool = Field(True, description="whether the subcarrier at the carrier frequency is left empty")
    pilots: Pilots | None = Field(
        None, description="pilots: symbols of a slot that hold them, their spacing in subcarriers, length of a slot; null: none"
    )
    charge: Literal["net", "full"] = Field(
        "net", description="whether prefix and guards are charged as channel uses (full) or listed as free (net)"
    )

    @model_validator(mode="after")
    def _has_subcarriers(self) -> OFDM:
        if min(self.guards) < 0 or not self.tones:
            raise ValueError(f"guards {list(self.guards)} of {self.fft_size} subcarriers leave none to send; lower them")
        if self.cyclic_prefix > self.fft_size:
            raise ValueError(f"cyclic_prefix {self.cyclic_prefix} is longer than the {self.fft_size} samples of an OFDM symbol")
        return self

    @property
    def tones(self) -> tuple[int, ...]:
        """Indices of the subcarriers that are sent."""
        low, high = -(self.fft_size // 2) + self.guards[0], (self.fft_size + 1) // 2 - self.guards[1]
        return tuple(k for k in range(low, high) if k or not self.dc_null)

    @property
    def interval_s(self) -> float:
        """Duration of an OFDM symbol with its prefix, s."""
        return (self.fft_size + self.cyclic_prefix) / (self.fft_size * self.subcarrier_spacing_khz * 1e3)

    def conflict(self, stages: Sequence[ChannelDescription]) -> str | None:
        csi, antennas = stage(stages, "csi"), stage(stages, "antennas")
        estimate, transmit = getattr(csi, "estimate", None), getattr(antennas, "transmit_antennas", 1)
        if self.pilots is None:
            if estimate in FROM_PILOTS:
                return f"csi '{estimate}' estimates from pilots, and ofdm has none; give pilots: {{symbols: [2, 11], spacing: 2}}"
            return None
        comb = math.ceil(len(self.tones) / self.pilots.spacing)
        if estimate in FROM_PILOTS and comb < transmit:
            return f"{comb} pilots an OFDM symbol for {transmit} transmit antennas, each of which needs one; lower pilots.spacing"
        if self.pilots.spacing == 1 and len(self.pilots.symbols) == self.pilots.slot:
            return "pilots on every subcarrier of every OFDM symbol leave no element for data; raise pilots.spacing"
        return None

    def assumed(self) -> tuple[str, ...]:
        if self.charge == "full":
            return ()
        free = [f"cyclic prefix ({self.cyclic_prefix} samples for {self.fft_size})"] if self.cyclic_prefix else []
        if sum(self.guards):
            free.append(f"guard band ({sum(self.guards)} of {self.fft_size} subcarriers)")
        return tuple(free)

    def build(self, device: str = "cpu") -> OFDMWaveform:
        return OFDMWaveform(self)


class OFDMWaveform:
    """A prepared OFDM waveform."""

    def __init__(self, description: OFDM):
        self.description, self.tones = description, np.array(description.tones)

    @property
    def _cost(self) -> int:
        """Channel uses that an OFDM symbol is charged."""
        d = self.description
        return d.fft_size + d.cyclic_prefix if d.charge == "full" else d.fft_size - sum(d.guards)

    def layout(self, uses: int) -> Layout:
        """As many OFDM symbols as ``uses`` hold. Raises: ValueError below one, and where the burst ends before a pilot."""
        d, pilots = self.description, self.description.pilots
        times, padding = divmod(uses, self._cost)
        if not times:
            raise ValueError(
                f"{uses} channel uses are less than one OFDM symbol, which takes {self._cost}; grant more, or lower fft_size"
            )
        tones = len(self.tones)
        is_pilot = np.zeros((times, tones), dtype=bool)
        if pilots is not None:
            if times <= pilots.symbols[0]:
                raise ValueError(
                    f"{uses} channel uses are {times} OFDM symbols of {self._cost}, none with pilots, which begin in symbol "
                    f"{pilots.symbols[0]} (counted from 0); grant {(pilots.symbols[0] + 1) * self._cost}, or move the pilots"
                )
            is_pilot[np.ix_(np.isin(np.arange(times) % pilots.slot, pilots.symbols), np.arange(tones) % pilots.spacing == 0)] = (
                True
            )
        data = np.flatnonzero(~is_pilot)
        if not len(data):
            raise ValueError(f"{uses} channel uses are {times} OFDM symbols with pilots on all {tones} subcarriers; grant more")
        charged = {"pilots": int(is_pilot.sum()), "dc": times * (d.fft_size - sum(d.guards) - tones), "padding": padding}
        if d.charge == "full":
            charged |= {"prefix": times * d.cyclic_prefix, "guards": times * sum(d.guards)}
        return Layout(uses, self._grid(times), data, np.flatnonzero(is_pilot), charged)

    def _grid(self, times: int) -> Grid:
        d = self.description
        return Grid(times, d.tones, d.subcarrier_spacing_khz * 1e3, d.interval_s, d.fft_size, d.cyclic_prefix)

    def samples(self, elements: torch.Tensor, grid: Grid) -> torch.Tensor:
        """[..., times * fft_size] from [..., E]: unitary inverse FFT, nothing on the other subcarriers."""
        full = torch.zeros((*elements.shape[:-1], grid.times, grid.fft_size), dtype=elements.dtype, device=elements.device)
        full[..., self._bins(grid, elements.device)] = elements.unflatten(-1, (grid.times, len(grid.tones)))
        return torch.fft.ifft(full, norm="ortho").flatten(-2)

    def elements(self, samples: torch.Tensor, grid: Grid) -> torch.Tensor:
        """[..., E] from [..., times * fft_size]: unitary FFT."""
        tones = torch.fft.fft(samples.unflatten(-1, (grid.times, grid.fft_size)), norm="ortho")
        return tones[..., self._bins(grid, samples.device)].flatten(-2)

    def _bins(self, grid: Grid, device: torch.device) -> torch.Tensor:
        return torch.tensor([tone % grid.fft_size for tone in grid.tones], device=device)
