"""What Rayleigh and Rician fading share: how their gain changes from one channel use to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from channels.base import ChannelDescription
from channels.coherence import FROM_PILOTS, pilot_conflict, stage
from channels.flat import FadingChannel
from channels.jakes import JakesChannel
from channels.multipath import doppler_hz

_MOTION = ("doppler", "speed_kmh", "carrier_ghz", "symbol_rate_khz")


class FlatFading(ChannelDescription):
    """The fields of a flat fading channel beside its kind and its line of sight."""

    fading: Literal["block", "fast", "jakes"] = Field(
        "block",
        description="block: one gain a coherence block; fast: an independent one a channel use; jakes: as the receiver moves",
    )
    coherence: int | None = Field(
        None, ge=1, description="block: length of a coherence block, channel uses; null: one gain for the whole transmission"
    )
    doppler: float | None = Field(
        None,
        ge=0.0,
        le=0.5,
        description="jakes: largest Doppler shift times the duration of a channel use (of OFDM: of a sample)",
    )
    speed_kmh: float | None = Field(
        None, ge=0.0, le=1000.0, description="jakes: speed of the receiver, km/h, in place of doppler"
    )
    carrier_ghz: float | None = Field(None, gt=0.0, le=100.0, description="jakes: carrier frequency, GHz, beside speed_kmh")
    symbol_rate_khz: float | None = Field(
        None, gt=0.0, description="jakes: channel uses a second, kHz, beside speed_kmh; OFDM has its own"
    )

    @model_validator(mode="after")
    def _fields_are_of_the_kind_of_fading(self) -> FlatFading:
        allowed = {"block": ("coherence",), "fast": (), "jakes": _MOTION}[self.fading]
        for name in ("coherence", *_MOTION):
            if name not in allowed and getattr(self, name) is not None:
                raise ValueError(
                    f"{name} {getattr(self, name)} beside fading: {self.fading}, which has no use for it; remove one"
                )
        if self.fading == "jakes":
            if (self.doppler is None) == (self.speed_kmh is None):
                raise ValueError("fading: jakes needs a Doppler shift: either doppler, or speed_kmh with carrier_ghz")
            if (self.speed_kmh is None) != (self.carrier_ghz is None):
                raise ValueError("speed_kmh and carrier_ghz make a Doppler shift together; give both, or doppler")
            if self.doppler is not None and self.symbol_rate_khz is not None:
                raise ValueError("symbol_rate_khz beside doppler, which is already relative to a channel use; remove one")
        return self

    def identity(self) -> dict[str, Any]:
        """Without the fields of motion where there is none: they change no number then."""
        still = {name for name in _MOTION if getattr(self, name) is None}
        return {name: value for name, value in super().identity().items() if name not in still}

    def conflict(self, stages: Sequence[ChannelDescription]) -> str | None:
        if self.fading != "jakes":
            return self._block_conflict(stages)
        ofdm = stage(stages, "waveform")
        if ofdm is None:
            if self.speed_kmh is not None and self.symbol_rate_khz is None:
                return f"channel '{self.kind}' at {self.speed_kmh:g} km/h needs the time of a channel use; give symbol_rate_khz"
            return None
        if self.symbol_rate_khz is not None:
            return f"symbol_rate_khz {self.symbol_rate_khz:g} beside ofdm, whose subcarrier spacing sets the time of a use; remove it"
        shift = self._doppler_hz
        if shift is None:
            shift = self.doppler * ofdm.fft_size * ofdm.subcarrier_spacing_khz * 1e3
        return pilot_conflict(self.kind, 0.0, shift, stages)

    def _block_conflict(self, stages: Sequence[ChannelDescription]) -> str | None:
        """Over OFDM every coherence block needs a pilot symbol; an OFDM symbol has the gain of its first element."""
        ofdm, csi = stage(stages, "waveform"), stage(stages, "csi")
        if ofdm is None or ofdm.pilots is None or getattr(csi, "estimate", None) not in FROM_PILOTS:
            return None
        if self.fading == "block" and self.coherence is None:
            return None
        gap, tones = ofdm.pilots.longest_gap, len(ofdm.tones)
        if self.fading == "block" and self.coherence // tones >= gap:
            return None
        held = "fading: fast, whose gain is new" if self.fading == "fast" else f"coherence {self.coherence}, which is new"
        return (
            f"pilots up to {gap} OFDM symbols of {tones} elements apart miss gains of channel '{self.kind}' with {held} within "
            f"that; use block fading with a coherence of {gap * tones} or more, or add pilot symbols"
        )

    @property
    def _doppler_hz(self) -> float | None:
        return None if self.speed_kmh is None else doppler_hz(self.speed_kmh, self.carrier_ghz)

    def _prepared(self, k: float) -> FadingChannel | JakesChannel:
        """The channel of Rician factor ``k``, a power ratio."""
        if self.fading != "jakes":
            return FadingChannel(k, self.fading, self.coherence)
        rate = None if self.symbol_rate_khz is None else 1e3 * self.symbol_rate_khz
        return JakesChannel(k, self.doppler, self._doppler_hz, rate)
