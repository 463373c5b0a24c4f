"""Several antennas: more streams, or the same symbol over more paths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import lazy_loader as lazy
from pydantic import Field

from channels import alamouti
from channels.base import ChannelDescription, Sender, Stage
from channels.detection import LinearDetector, linear_detector
from channels.precoding import eigenmode_precoder, water_filling

torch = lazy.load("torch")

Scheme = Literal["multiplexing", "mrc", "alamouti", "svd"]


class MIMO(ChannelDescription):
    """Several antennas at both ends, y = H x + n: spatial multiplexing, maximum ratio combining, Alamouti's code, or SVD.

    Total transmit power is 1 whatever the number of antennas; a channel use is one resource element whatever they carry
    in it. SNR is per receive antenna, E|H_rt|^2 = 1.

    ``multiplexing``: each of S = transmit_antennas sends a stream of its own at power 1/S: S symbols a use. Detected by zero
    forcing, or by LMMSE with its shrinkage divided out, whose SINR is never below zero forcing's; the noise level of each
    stream is that after detection, 1 / SINR. ``mrc``: one antenna sends, receive_antennas combine: SNR sum of |h_r|^2.
    ``alamouti``: two antennas send pairs of symbols over two consecutive data elements (in time, or neighbouring subcarriers)
    at half the power each: SNR / 2 times the sum of |h_rt|^2, 1 symbol a use; where h moves within a pair, LMMSE separates
    what mixes. ``svd``: the transmitter knows H (csit: perfect) and sends ``streams`` along the strongest eigenmodes, at equal
    power or by ``water_filling`` over 1 / SNR; a mode that gets no power has noise level inf.

    Charges: pilots for every transmit antenna where h is estimated; the knowledge of H at the transmitter is listed as free.
    Estimation error: its variance times the transmitted power is part of the noise at every receive antenna.
    Shapes: H complex64 [B, R, T, d]. References: Telatar 1999; Tse, Viswanath 2005, sections 7.1, 8.3 and 9.1; Alamouti
    1998; Brennan 1959; Winters, Salz, Gitlin 1994.

    Example::

        channel: [{kind: mimo, transmit_antennas: 2, receive_antennas: 2, scheme: multiplexing, detector: lmmse}, {kind: rayleigh}]
    """

    STAGE: ClassVar[Stage] = "antennas"
    kind: Literal["mimo"] = "mimo"
    transmit_antennas: int = Field(2, ge=1, le=16, description="antennas of the transmitter")
    receive_antennas: int = Field(2, ge=1, le=16, description="antennas of the receiver")
    scheme: Scheme = Field("multiplexing", description="what the antennas are used for")
    detector: Literal["zf", "lmmse"] = Field("lmmse", description="how multiplexed streams are separated: zero forcing or LMMSE")
    streams: int | None = Field(
        None, ge=1, description="streams of scheme svd; null: as many as the channel has eigenmodes. Other schemes fix theirs"
    )
    water_filling: bool = Field(False, description="scheme svd: power over eigenmodes by water-filling, and not equal")

    @property
    def carried(self) -> int:
        """Symbols a resource element carries."""
        if self.scheme == "multiplexing":
            return self.transmit_antennas
        if self.scheme == "svd":
            return self.streams or min(self.transmit_antennas, self.receive_antennas)
        return 1

    @property
    def _separates(self) -> str:
        return f"separate {self.carried} streams" if self.carried > 1 else "combine what its antennas and uses hear"

    def conflict(self, stages: Sequence[ChannelDescription]) -> str | None:
        return self._antennas_conflict() or self._options_conflict() or self._csi_conflict(stages)

    def _antennas_conflict(self) -> str | None:
        transmit, receive = self.transmit_antennas, self.receive_antennas
        most = min(transmit, receive)
        if self.carried > most:
            return (
                f"{self.carried} streams over {transmit} transmit and {receive} receive antennas, which can separate {most}; "
                f"use at most {most} streams, or more antennas"
            )
        if self.scheme == "mrc" and transmit != 1:
            return f"scheme mrc has one transmit antenna, not {transmit}; set transmit_antennas to 1, or use alamouti or multiplexing"
        if self.scheme == "alamouti" and transmit != 2:
            return f"scheme alamouti has two transmit antennas, not {transmit}; set transmit_antennas to 2"
        return None

    def _options_conflict(self) -> str | None:
        if self.scheme != "svd" and self.streams is not None:
            return f"streams: {self.streams} beside scheme {self.scheme}, which carries {self.carried}; remove it, or use scheme svd"
        if self.scheme != "svd" and self.water_filling:
            return f"water_filling beside scheme {self.scheme}, whose transmitter does not know the channel; use scheme svd"
        return None

    def _csi_conflict(self, stages: Sequence[ChannelDescription]) -> str | None:
        estimates = [getattr(stage, "estimate", None) for stage in stages if stage.STAGE == "csi"]
        if "none" in estimates:
            return f"csi 'none' tells the receiver nothing of H, by which it would {self._separates}; use another csi, or no mimo"
        if self.scheme == "svd" and any(estimate != "perfect" for estimate in estimates):
            return f"scheme svd precodes with perfect knowledge of H at both ends, but csi is '{estimates[0]}'; set it to perfect"
        return None

    def assumed(self) -> tuple[str, ...]:
        return ("the channel H at the transmitter, without error or delay (csit: perfect)",) if self.scheme == "svd" else ()

    def build(self, device: str = "cpu") -> Multiplexing | Alamouti | Eigenmodes:
        if reason := self._antennas_conflict() or self._options_conflict():
            raise ValueError(reason)
        if self.scheme == "alamouti":
            return Alamouti(self.receive_antennas)
        if self.scheme == "svd":
            return Eigenmodes(self.transmit_antennas, self.receive_antennas, self.carried, self.water_filling)
        return Multiplexing(self.transmit_antennas, self.receive_antennas, self.detector)


class Multiplexing:
    """Each transmit antenna sends its own stream at an equal share of the power; of one, maximum ratio combining."""

    together, csit = 1, False

    def __init__(self, transmit: int, receive: int, detector: str):
        self.transmit = self.streams = transmit
        self.receive, self._detector = receive, detector

    def precode(self, x: torch.Tensor, sender: Sender) -> torch.Tensor:
        return x / math.sqrt(self.streams)

    def detect(
        self, y: torch.Tensor, h: torch.Tensor, noise_var: torch.Tensor, power: torch.Tensor, sender: Sender,
        distorted: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
        return _detect(y, last_to_front(h) / math.sqrt(self.streams), noise_var, power, self._detector, _sources(distorted))


class Alamouti:
    """Two antennas, pairs of symbols over pairs of data elements."""

    transmit, streams, together, csit = 2, 1, 2, False

    def __init__(self, receive: int):
        self.receive = receive

    def precode(self, x: torch.Tensor, sender: Sender) -> torch.Tensor:
        return alamouti.encode(x[:, 0]).mT

    def detect(
        self, y: torch.Tensor, h: torch.Tensor, noise_var: torch.Tensor, power: torch.Tensor, sender: Sender,
        distorted: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
        h, coloured = last_to_front(h), _sources(distorted)
        if h.shape[1] == 1:
            h = h.expand(-1, 2, -1, -1)  # one pair stands for all
        noise = noise_var.expand(noise_var.shape[0], y.shape[1], -1)
        if noise.shape[2] == 1:
            noise = noise.expand(-1, -1, 2)
        pairs = torch.cat([noise[..., 0::2], noise[..., 1::2]], dim=1)
        if coloured is not None:  # each of the two uses brings distortion of its own
            coloured = coloured.expand(-1, y.shape[2], -1, -1)
            now, later = coloured[:, 0::2], coloured[:, 1::2].conj()
            nothing = torch.zeros_like(now)
            coloured = torch.cat([torch.cat([now, nothing], dim=-1), torch.cat([nothing, later], dim=-1)], dim=-2)
        symbols, variance = _detect(
            alamouti.pair_up(y.mT).mT, alamouti.effective_channel(h), pairs, power[:, 0].reshape(1, -1, 2).mT, "lmmse", coloured
        )
        return symbols.mT.reshape(len(y), 1, -1), variance.mT.reshape(len(y), 1, -1)


class Eigenmodes:
    """Streams along the channel's eigenmodes, which do not mix."""

    together, csit = 1, True

    def __init__(self, transmit: int, receive: int, streams: int, water_filling: bool):
        self.transmit, self.receive, self.streams, self._fills = transmit, receive, streams, water_filling

    def precode(self, x: torch.Tensor, sender: Sender) -> torch.Tensor:
        return (self._precoder(sender) @ x.mT[..., None])[..., 0].mT

    def detect(
        self, y: torch.Tensor, h: torch.Tensor, noise_var: torch.Tensor, power: torch.Tensor, sender: Sender,
        distorted: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
        return _detect(y, last_to_front(h) @ self._precoder(sender), noise_var, power, "lmmse", _sources(distorted))

    def _precoder(self, sender: Sender) -> torch.Tensor:
        """Eigenmodes times the amplitudes of their powers, complex64 [B, d or 1, T, S]."""
        if sender.h is None:
            raise ValueError("eigenmodes are sent along H; the sender must know it, h [B, R, T, d]")
        h = last_to_front(sender.h)
        modes = eigenmode_precoder(h, self.streams)
        if not self._fills:
            return modes / math.sqrt(self.streams)
        gains = (h @ modes).abs().square().sum(dim=-2)
        return modes * water_filling(gains, sender.snr_inverse).sqrt().to(modes.real.dtype)[..., None, :]


def last_to_front(h: torch.Tensor) -> torch.Tensor:
    """[B, d, R, T] from [B, R, T, d]; d becomes 1 where h is stored once for all (an expanded tensor)."""
    return (h[..., :1] if h.stride(3) == 0 else h).movedim(3, 1)


def _sources(distorted: torch.Tensor | None) -> torch.Tensor | None:
    """Sources of noise as the detector takes them, [B, d or 1, R, K]."""
    return None if distorted is None else last_to_front(distorted)


def _detect(
    y: torch.Tensor, g: torch.Tensor, noise_var: torch.Tensor, power: torch.Tensor, method: str, coloured: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Streams and noise variances [B, S, d] of y [B, R, d] = g x + n, g [B, d or 1, R, S], x of mean ``power`` [1, S, d].

    Detectors are made once where everything holds, and once a stretch of equal powers: a burst has few.
    """
    symbols, variances = [], []
    for start, stop in _stretches(power):
        amplitude = power[:, :, start].sqrt()[:, None]  # [1, 1, S]
        part = slice(start, stop)
        gain = (g if g.shape[1] == 1 else g[:, part]) * amplitude[..., None, :]
        noise = (noise_var if noise_var.shape[2] == 1 else noise_var[..., part]).mT  # [B, d or 1, R or 1]
        sources = coloured if coloured is None or coloured.shape[1] == 1 else coloured[:, part]
        found = linear_detector(gain, noise, method, sources)
        symbols.append((_apply(found, y[..., part])) * amplitude.mT)
        variance = torch.where(amplitude > 0, found.noise_var * amplitude.square(), torch.inf).mT
        variances.append(variance.expand(-1, -1, stop - start))
    return torch.cat(symbols, dim=2), torch.cat(variances, dim=2)


def _apply(detector: LinearDetector, y: torch.Tensor) -> torch.Tensor:
    """Streams [B, S, d] from antennas [B, R, d]: one product of matrices where one detector serves all d."""
    if detector.weights.shape[1] == 1:
        return detector.weights[:, 0] @ y
    return detector(y.mT).mT


def _stretches(power: torch.Tensor) -> list[tuple[int, int]]:
    """[start, stop) of the stretches of d over which ``power`` [1, S, d] does not change."""
    edges = (power[..., 1:] != power[..., :-1]).any(dim=1)[0].nonzero()[:, 0].tolist() if power.shape[2] > 1 else []
    starts = [0, *(edge + 1 for edge in edges)]
    return list(zip(starts, [*starts[1:], power.shape[2]], strict=True))
