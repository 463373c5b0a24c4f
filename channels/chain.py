"""Stages in a row: a burst of symbols through waveform, hardware, antennas, propagation and interference to an observation."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import lazy_loader as lazy
import numpy as np
from pydantic import Field, SerializeAsAny, model_validator

from channels.base import (
    ChannelDescription,
    Draw,
    Drawn,
    Estimate,
    Grid,
    Layout,
    Observation,
    Sender,
    Sounding,
)
from channels.bussgang import papr_db
from channels.csi import CSI

torch = lazy.load("torch")

#: How errors call the stages.
_WORDS = {
    "waveform": "a waveform",
    "hardware": "hardware",
    "antennas": "several antennas",
    "propagation": "the propagation",
    "interference": "interference",
    "csi": "what the receiver knows of the channel",
}
ORDER = "waveform, hardware of the transmitter, antennas, propagation, interference, hardware of the receiver, csi"


def normal(stages: Sequence[ChannelDescription]) -> ChannelDescription:
    """The description of a list of stages: of one, that stage itself. Raises: ValueError where they cannot be a channel."""
    stages = tuple(stages)
    return stages[0] if len(stages) == 1 and fault(stages) is None else Chain(stages=stages)


def fault(stages: Sequence[ChannelDescription]) -> tuple[int, str] | None:
    """What is wrong with a list of stages: the place of the stage, and one sentence; None where nothing is."""
    return _order_fault(stages) or next(
        ((place, reason) for place, stage in enumerate(stages) if (reason := stage.conflict(stages)) is not None), None
    )


def _order_fault(stages: Sequence[ChannelDescription]) -> tuple[int, str] | None:
    places: dict[str, list[int]] = {}
    for place, stage in enumerate(stages):
        places.setdefault(stage.STAGE, []).append(place)
    for name in ("waveform", "antennas", "propagation", "csi"):
        if len(places.get(name, [])) > 1:
            first, second = (stages[place].kind for place in places[name][:2])
            return places[name][1], f"'{second}' and '{first}' are both {_WORDS[name]}; a channel has one at most"
    if "propagation" not in places:
        given = ", ".join(stage.kind for stage in stages) or "nothing"
        return 0, f"there is no propagation ({given}); a channel has one of awgn, rayleigh, rician, tdl, cdl, ..."
    wrong = places["propagation"][0]
    for place, stage in enumerate(stages):
        early, late = stage.STAGE in ("waveform", "antennas"), stage.STAGE in ("interference", "csi")
        if (early and place > wrong) or (late and place < wrong):
            side = "behind" if early else "in front of"
            return place, f"'{stage.kind}' stands {side} '{stages[wrong].kind}'; the order of a channel is {ORDER}"
        if (stage.STAGE == "waveform" and place > 0) or (stage.STAGE == "csi" and place < len(stages) - 1):
            where = "first" if stage.STAGE == "waveform" else "last"
            return place, f"'{stage.kind}' comes {where}; the order of a channel is {ORDER}"
        if stage.STAGE == "interference" and any(other.STAGE == "hardware" for other in stages[wrong:place]):
            return place, f"'{stage.kind}' stands behind hardware of the receiver, which it passes first; the order of a channel is {ORDER}"
    return None


class Chain(ChannelDescription):
    """A list of stages, in the order in which a signal passes them."""

    kind: Literal["chain"] = "chain"
    stages: tuple[SerializeAsAny[ChannelDescription], ...] = Field(min_length=1, description="stages, each by its kind")

    @model_validator(mode="after")
    def _are_a_channel(self) -> Chain:
        if (wrong := fault(self.stages)) is not None:
            raise ValueError(wrong[1])
        return self

    def identity(self) -> dict[str, Any]:
        """The stages' own, in their order."""
        return {"chain": [stage.identity() for stage in self.stages], "version": self.VERSION}

    def layout(self, uses: int) -> Layout:
        """How ``uses`` granted hold symbols and pilots, known before anything is built. Raises: ValueError where they hold none."""
        return _layout(self.stages, uses)

    def build(self, device: str = "cpu") -> PreparedChain:
        return PreparedChain(self, device)


def _layout(stages: Sequence[ChannelDescription], uses: int) -> Layout:
    by_name = {stage.STAGE: stage for stage in stages}
    csi = by_name.get("csi", CSI()).prepare(stages)
    if "waveform" in by_name:
        layout = by_name["waveform"].build().layout(uses)
    else:
        layout = csi.preambles(uses, getattr(by_name["propagation"], "coherence", None))
    if "antennas" not in by_name:
        return layout
    antennas = by_name["antennas"].build()
    if csi.uses_pilots and len(layout.pilots) < antennas.transmit:
        raise ValueError(f"{uses} channel uses hold {len(layout.pilots)} pilots for {antennas.transmit} transmit antennas; grant more")
    over = len(layout.data) % antennas.together
    data = layout.data[: len(layout.data) - over]
    if not len(data):
        raise ValueError(f"{uses} channel uses hold fewer than the {antennas.together} symbols that are coded together; grant more")
    charged = {**layout.charged, "padding": layout.charged.get("padding", 0) + over} if over else layout.charged
    return Layout(uses, layout.grid, data, layout.pilots, charged, antennas.streams)


@dataclass(frozen=True)
class Burst:
    """What is sent, and what it meets; one row a transmission.

    ``x`` complex64 [B, m] as radiated, ``power`` float32 [m] the mean power of its symbols that both ends count on,
    ``sigma`` float32 [B, 1]; ``noise`` complex64 [B, R, E] of unit variance a real dimension, ``h`` [B, R, T, E] or
    [B, R, T, 1], and ``drawn`` what every stage drew, in the order of `PreparedChain.draw`.
    """

    layout: Layout
    x: torch.Tensor
    power: torch.Tensor
    sigma: torch.Tensor
    noise: torch.Tensor
    h: torch.Tensor
    drawn: tuple[Drawn, ...]


class PreparedChain:
    """A prepared list of stages. See `Chain`."""

    def __init__(self, description: Chain, device: str = "cpu"):
        stages = description.stages
        middle = next(place for place, stage in enumerate(stages) if stage.STAGE == "propagation")
        csi = next((stage for stage in stages if stage.STAGE == "csi"), CSI())

        def of(name: str, among: Sequence[ChannelDescription]) -> list[Any]:
            return [stage.build(device) for stage in among if stage.STAGE == name]

        self.waveform = next(iter(of("waveform", stages)), None)
        self.antennas = next(iter(of("antennas", stages)), None)
        self.propagation = stages[middle].build(device)
        if (reason := stages[middle].conflict(stages)) is not None:  # building may have made the file that it is about
            raise ValueError(reason)
        self.transmit_hardware, self.receive_hardware = of("hardware", stages[:middle]), of("hardware", stages[middle:])
        self.interference = of("interference", stages)
        self.csi = csi.prepare(stages)
        self.transmit, self.receive = (self.antennas.transmit, self.antennas.receive) if self.antennas else (1, 1)
        #: what the stages use without a charge, in words
        self.free = tuple(dict.fromkeys(item for stage in (*stages, *(() if csi in stages else (csi,))) for item in stage.assumed()))
        #: how granted uses hold symbols and pilots; ValueError with one sentence where they hold none
        self.layout = functools.lru_cache(maxsize=64)(functools.partial(_layout, stages))

    def uses_for(self, symbols: int) -> int:
        """The fewest uses that hold ``symbols`` symbols."""
        low, high = 0, 1
        while self._holds(high) < symbols:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._holds(middle) < symbols else (low, middle)
        return high

    def _holds(self, uses: int) -> int:
        try:
            return self.layout(uses).symbols
        except ValueError:
            return 0

    # --- what is random

    @property
    def is_flat(self) -> bool:
        """Whether a symbol meets one gain and noise and nothing else, and the receiver knows both."""
        return (
            self.antennas is None
            and not (self.transmit_hardware or self.receive_hardware or self.interference)
            and self.csi.kind == "perfect"
            and self.csi.believed == 1.0
            and not hasattr(self.propagation, "carry")
        )

    @property
    def is_misjudged(self) -> bool:
        """Whether the receiver may be wrong about the noise of a burst: by a mismatch, or beside interference."""
        return self.csi.believed != 1.0 or bool(self.interference)

    def gains(self, grid: Grid, draws: Sequence[Draw]) -> torch.Tensor:
        """H complex64 [U, R, T, E], or [U, R, T, 1] where it is the same for all elements; on the CPU."""
        return _gains(self.propagation, grid, self.receive, self.transmit, draws)

    def draw(self, grid: Grid, draws: Sequence[Draw]) -> tuple[Drawn, ...]:
        """What else is random in a burst: of the propagation, of every stage in order, and of the CSI; on the CPU."""
        at = grid.sample_times()
        beside = getattr(self.propagation, "draw", None) if hasattr(self.propagation, "carry") else None
        drawn = [() if beside is None else beside(grid, self.receive, self.transmit, draws)]
        drawn += [stage.draw(at, self.transmit, own) for stage, own in _each(self.transmit_hardware, draws)]
        counts = {"elements": grid.elements, "samples": len(at)}
        drawn += [stage.draw(counts[stage.domain], self.receive, own) for stage, own in _each(self.interference, draws)]
        # an oscillator of the receiver is not that of the transmitter
        behind = _renamed(draws, "receiver {}")
        drawn += [stage.draw(at, self.receive, own) for stage, own in _each(self.receive_hardware, behind)]
        drawn.append(self.csi.draw(functools.partial(self.gains, grid), draws))
        return tuple(drawn)

    # --- a burst

    def carry(self, burst: Burst, inside: dict[str, torch.Tensor] | None = None) -> Observation:
        """Symbols as the receiver has them after its equaliser, unbiased, in units of ``burst.x``. Differentiable in x.

        ``inside``, where given, is told what is otherwise out of sight: "received" [B, R, d] before the equaliser, "estimate"
        and "error_var" [B, R, T, d] of the gains, and with hardware at the transmitter its "samples" and what it "radiated".
        """
        layout, sigma = burst.layout, burst.sigma[..., None]  # [B, 1, 1]
        at = _Places(layout, burst.x.device)
        drawn = iter(burst.drawn)
        of_propagation = next(drawn)

        streams = burst.x.reshape(len(burst.x), -1, layout.streams).mT
        power = burst.power.reshape(1, -1, layout.streams).mT  # [1, S, d]
        h = burst.h.expand(-1, -1, -1, layout.grid.elements)
        sender = Sender(sigma.square(), at.data(h) if self.antennas is not None and self.antennas.csit else None)
        sent = streams if self.antennas is None else self.antennas.precode(streams, sender)
        groups = _Groups(layout, power.sum(dim=1)[0], at)

        x, reports = at.place(sent, _pilots(layout, self.transmit, burst.x)), {}
        if self.transmit_hardware:
            reports["papr_db"] = papr_db(self._samples(x.detach(), layout.grid).flatten(1))
        out, front = self._through(self.transmit_hardware, x, layout, groups, drawn, inside=inside)
        leak, leaked = 0.0, None
        if of_propagation:
            y, leak = self.propagation.carry(out, h, layout.grid, of_propagation)
            # stated for elements of unit power: an amplifier radiates less, and so do parts of low power
            radiated = out.detach().abs().square().sum(dim=1, keepdim=True).mean(dim=2, keepdim=True)
            if leak.ndim == 4:
                leaked = at.data(_root(leak) * radiated.sqrt()[:, None])
                leak = leak.diagonal(dim1=1, dim2=2).real.mT
            leak = leak * radiated
        else:
            y = (h * out[:, None]).sum(dim=2) if self.transmit > 1 else h[:, :, 0] * out
        disturbed, variance = self._disturbances(sigma, layout.grid, drawn)
        y = y + disturbed + burst.noise * (sigma / math.sqrt(2.0))
        apart = (self.csi.believed * sigma.square() + variance).expand(len(y), self.receive, -1)
        noise = apart + leak
        level = groups.level(h, noise) if self.receive_hardware else None
        y, back = self._through(self.receive_hardware, y, layout, groups, drawn, level)
        sounding = None
        if self.csi.uses_pilots:
            sounding = self._sounding(at.pilots(y), at.pilots(noise), layout, front, back)
        (other,) = next(drawn) or (None,)
        estimate = self.csi.estimate(self.propagation, at.data(h), sounding, None if other is None else at.data(other), layout)
        if inside is not None:
            inside |= {"received": at.data(y), "estimate": estimate.h, "error_var": estimate.error_var.expand(estimate.h.shape)}
        if self.csi.is_blind:
            return self._blind(at.data(y), at.data(noise), reports)
        if leaked is not None:  # it is told by its direction
            noise = apart
        symbols, variances = self._detect(at.data(y), at.data(noise), estimate, front, back, power, sender, leaked)
        return Observation(symbols.mT.flatten(1), variances.mT.flatten(1).sqrt(), reports=reports)

    def _through(
        self, hardware: Sequence[Any], x: torch.Tensor, layout: Layout, groups: _Groups, drawn, level: torch.Tensor | None = None,
        inside: dict[str, torch.Tensor] | None = None,
    ) -> tuple[torch.Tensor, _Passed | None]:  # fmt: skip
        """Elements [B, A, E] behind hardware, and the gain and distortion of its stages together; None where there is none.

        ``level`` [B, A, E] is the mean power of each element as the receiver knows it, where it may move within a burst.
        """
        passed = None
        if not hardware:
            return x, passed
        grid, times = layout.grid, layout.grid.sample_times()
        # elements of power 1 are samples of power 1 although guards and DC are empty: back-off is from the mean power
        drive = math.sqrt(grid.fft_size / len(grid.tones))
        samples = before = self._samples(x, grid) * drive
        for stage in hardware:
            samples = stage.apply(samples, times, next(drawn))
            out = (samples if self.waveform is None else self.waveform.elements(samples, grid)) / drive
            here = groups.passed(x, out, stage.tracked, level if stage.level_dependent else None)
            x, passed = out, here if passed is None else passed.then(here)
        if inside is not None:
            inside |= {"samples": before, "radiated": samples}
        return x, passed

    def _samples(self, x: torch.Tensor, grid: Grid) -> torch.Tensor:
        return x if self.waveform is None else self.waveform.samples(x, grid)

    def _disturbances(self, sigma: torch.Tensor, grid: Grid, drawn) -> tuple[torch.Tensor | float, torch.Tensor | float]:
        added, variance = 0.0, 0.0
        for stage in self.interference:
            one = stage.apply(sigma, next(drawn))
            values, level = one.added, one.variance
            if stage.domain == "samples" and self.waveform is not None:
                values = self.waveform.elements(values, grid)
                if level.shape[-1] > 1:  # an OFDM symbol spreads what hits it over its tones
                    level = level.unflatten(-1, (grid.times, -1)).mean(dim=-1).repeat_interleave(len(grid.tones), dim=-1)
            added, variance = added + values, variance + level
        return added, variance

    def _sounding(
        self, y: torch.Tensor, noise: torch.Tensor, layout: Layout, front: _Passed | None, back: _Passed | None
    ) -> Sounding:
        """Pilots as they arrived, gains of hardware removed, and what noise the receiver takes them to have."""
        antenna = np.arange(len(layout.pilots)) % self.transmit
        seen, variance = y / _pilot_symbols(len(layout.pilots)).to(y), noise
        if back is not None:
            seen, variance = seen / back.pilot_gain, variance + back.pilot_noise / back.pilot_gain.abs().square()
        if front is not None:
            row = torch.from_numpy(antenna).to(y.device)[None, None]
            gain, noise = (values.gather(1, row.expand(len(y), -1, -1)) for values in (front.pilot_gain, front.pilot_noise))
            seen, variance = seen / gain, (variance + noise) / gain.abs().square()  # E|h|^2 = 1
        return Sounding(layout, seen, antenna, variance.detach(), self.transmit)

    def _detect(
        self, y: torch.Tensor, noise: torch.Tensor, estimate: Estimate, front: _Passed | None, back: _Passed | None,
        power: torch.Tensor, sender: Sender, leaked: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
        """Streams [B, S, d] and their noise variances [B, S, d]; ``leaked`` [B, R, R, d] are sources of noise of unit variance."""
        h, error = estimate.h, estimate.error_var
        if back is not None:
            y, noise = y / back.gain, noise + back.noise / back.gain.abs().square()
        per_antenna = power.sum(dim=1, keepdim=True) / (self.transmit * power.shape[1])  # [1, 1, d]
        distorted = None
        if front is None:
            noise = noise + (error * per_antenna[:, None]).sum(dim=2) * (self.transmit if error.shape[2] == 1 else 1)
        else:
            sent = front.gain.abs().square() * per_antenna + front.noise  # [B, T, d]
            noise = noise + (error * sent[:, None]).sum(dim=2)
            distorted = h * front.noise.sqrt()[:, None]
            h = h * front.gain[:, None]
        if self.antennas is None:
            noise = noise if distorted is None else noise + distorted[:, :, 0].abs().square()
            return _equalised(y, h[:, :, 0], noise)
        sources = [one for one in (distorted, leaked) if one is not None]
        return self.antennas.detect(y, h, noise, power, sender, torch.cat(sources, dim=2) if sources else None)

    def _blind(self, y: torch.Tensor, noise: torch.Tensor, reports: dict[str, torch.Tensor]) -> Observation:
        """Symbols as they came; the level of the noise alone."""
        return Observation(y[:, 0], noise[:, 0].sqrt(), blind=True, reports=reports)


def _equalised(y: torch.Tensor, h: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """y / h and its noise variance, [B, 1, d]; 0 and inf where h is zero or nothing useful arrived."""
    square = h.real.square() + h.imag.square()
    nothing = (square == 0) | noise.isinf()
    symbols = torch.where(nothing, 0.0, y * h.conj() / square.masked_fill(square == 0, 1.0))
    return symbols, torch.where(nothing, math.inf, noise / square)


def _root(covariance: torch.Tensor) -> torch.Tensor:
    """Sources [B, R, R, E] of unit variance, the second R of them, that have this covariance [B, R, R, E]."""
    matrix = covariance.movedim(3, 1).to(torch.complex128)
    size = matrix.diagonal(dim1=-2, dim2=-1).real.mean(dim=-1)[..., None, None]
    ridge = (1e-6 * size + 1e-12) * torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)  # float32 rounding
    return torch.linalg.cholesky(matrix + ridge).movedim(1, 3).to(torch.complex64)


def _gains(channel: Any, grid: Grid, receive: int, transmit: int, draws: Sequence[Draw]) -> torch.Tensor:
    """H of any propagation: its own, or that of a flat channel on a grid and between several antennas."""
    if hasattr(channel, "elements"):
        h = channel.elements(grid, receive, transmit, draws)
    else:
        rows = []
        for r in range(receive):
            for t in range(transmit):
                pair = draws if r == t == 0 else [draw.other(f"fading {r} {t}") for draw in draws]
                gain = channel.draw(grid.elements, pair).h
                if gain.stride(1) == 0:
                    gain = gain[:, :1]
                elif len(grid.tones) > 1:  # a step has the gain of its first element
                    gain = gain[:, :: len(grid.tones)].repeat_interleave(len(grid.tones), dim=1)
                rows.append(gain)
        h = torch.stack(rows, dim=1).unflatten(1, (receive, transmit))
    return h[..., :1] if h.shape[-1] and h.stride(-1) == 0 else h


def _renamed(draws: Sequence[Draw], pattern: str) -> list[Draw]:
    """The same transmissions, whose stream of a name is the one of ``pattern`` with that name."""
    return [Draw(draw.rng, draw.stratum, lambda name, draw=draw: draw.stream(pattern.format(name))) for draw in draws]


def _each(stages: Sequence[Any], draws: Sequence[Draw]) -> Iterator[tuple[Any, Sequence[Draw]]]:
    """Each stage with its draws: a second one of its kind, such as another interferer, is independent of the first."""
    seen: Counter[type] = Counter()
    for stage in stages:
        earlier = seen[type(stage)]
        seen[type(stage)] += 1
        yield stage, _renamed(draws, f"{{}} {earlier}") if earlier else draws


# --- places, pilots and what hardware does --------------------------------------------------------------------


class _Places:
    """Picks and puts elements of a layout."""

    def __init__(self, layout: Layout, device: torch.device):
        self._layout = layout
        self._data, self._pilot = (torch.from_numpy(places).to(device) for places in (layout.data, layout.pilots))
        self._everything = len(layout.data) == layout.grid.elements

    def data(self, values: torch.Tensor) -> torch.Tensor:
        """[..., d] from [..., E]; an expanded tensor stays one."""
        return self._pick(values, self._data, self._everything)

    def pilots(self, values: torch.Tensor) -> torch.Tensor:
        """[..., p] from [..., E]."""
        return self._pick(values, self._pilot, False)

    def _pick(self, values: torch.Tensor, places: torch.Tensor, everything: bool) -> torch.Tensor:
        if everything:
            return values
        if values.shape[-1] == 1 or values.stride(-1) == 0:
            return values[..., :1].expand(*values.shape[:-1], len(places))
        return values.index_select(-1, places)

    def place(self, data: torch.Tensor, pilots: torch.Tensor) -> torch.Tensor:
        """Elements [B, A, E] from data [B, A, d] and pilots [A, p]."""
        if self._everything:
            return data
        elements = data.new_zeros((*data.shape[:2], self._layout.grid.elements)).index_copy(2, self._data, data)
        return elements.index_copy(2, self._pilot, pilots.expand(len(data), -1, -1)) if len(self._pilot) else elements


@functools.lru_cache(maxsize=32)
def _pilot_symbols(count: int) -> torch.Tensor:
    """Known QPSK symbols complex64 [count] of unit power, the same in every burst; more of them keep those before."""
    rng = np.random.Generator(np.random.Philox(key=5))
    quadrant = rng.integers(0, 4, count)
    return torch.from_numpy(np.exp(1j * math.pi * (0.5 * quadrant + 0.25)).astype(np.complex64))


def _pilots(layout: Layout, transmit: int, like: torch.Tensor) -> torch.Tensor:
    """What each antenna sends on the pilots, [T, p]: they take turns."""
    count = len(layout.pilots)
    turn = torch.arange(count, device=like.device) % transmit == torch.arange(transmit, device=like.device)[:, None]
    return turn * _pilot_symbols(count).to(like)


@dataclass(frozen=True)
class _Passed:
    """out = gain in + distortion: gains complex and variances, [B, A, d] at the data and [B, A, p] at the pilots."""

    gain: torch.Tensor
    noise: torch.Tensor
    pilot_gain: torch.Tensor
    pilot_noise: torch.Tensor

    def then(self, later: _Passed) -> _Passed:
        """This hardware and a later one, whose distortion is uncorrelated with all that comes in."""
        return _Passed(
            self.gain * later.gain,
            self.noise * later.gain.abs().square() + later.noise,
            self.pilot_gain * later.pilot_gain,
            self.pilot_noise * later.pilot_gain.abs().square() + later.pilot_noise,
        )


#: Elements of like power over which the gain of hardware that depends on it is found, at least, and groups of them, at most.
_ALIKE, _LEVELS = 64, 32
#: Powers within this ratio are one level.
_SAME = 1.01


class _Groups:
    """Elements over which hardware has one gain.

    Data of one power, and pilots, each over the steps that a receiver tracks; of hardware whose gain depends on the power
    that comes in (a converter behind moving fading), data and pilots of like power together.
    """

    def __init__(self, layout: Layout, power: torch.Tensor, at: _Places):
        self._layout, self._at, self._power = layout, at, power
        self._levels = power.unique(return_inverse=True)[1].cpu().numpy()

    def level(self, h: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Mean power [B, R, E] of what is received, as far as it is known: |h|^2 and noise, the mean over a step's tones."""
        grid = self._layout.grid
        power = self._at.place(self._power[None, None], self._power.new_ones((1, len(self._layout.pilots))))
        received = h.abs().square().mean(dim=2) * power + torch.where(noise.isinf(), 0.0, noise)
        if len(grid.tones) == 1:
            return received.detach()
        steps = received.detach().unflatten(-1, (grid.times, -1)).mean(dim=-1)
        return steps.repeat_interleave(len(grid.tones), dim=-1)

    def passed(self, before: torch.Tensor, after: torch.Tensor, tracked: int | None, level: torch.Tensor | None) -> _Passed:
        layout = self._layout
        pairs = [(pick(before), pick(after)) for pick in (self._at.data, self._at.pilots)]
        if level is not None:
            count = len(layout.data)
            known = torch.cat([self._at.data(level), self._at.pilots(level)], dim=2)
            gain, noise = _decomposed_by_level(*(torch.cat(both, dim=2) for both in zip(*pairs, strict=True)), known)
            return _Passed(gain[..., :count], noise[..., :count], gain[..., count:], noise[..., count:])

        def blocks(elements: np.ndarray) -> np.ndarray:
            return elements // len(layout.grid.tones) // (tracked or layout.grid.times)

        levels = self._levels.max(initial=0) + 1
        data, pilots = blocks(layout.data) * levels + self._levels, blocks(layout.pilots)
        groups = [torch.from_numpy(np.unique(group, return_inverse=True)[1]).to(before.device) for group in (data, pilots)]
        return _Passed(*(value for pair, group in zip(pairs, groups, strict=True) for value in _decomposed(*pair, group)))


def _decomposed(before: torch.Tensor, after: torch.Tensor, group: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Gain and distortion [B, A, n] by projection within each group of elements (Bussgang); a silent group has gain 1.

    ``group`` int64 [n] or [B, A, n] names the group of each element from 0 on.
    """
    place, groups = group.expand(before.shape), int(group.max()) + 1 if group.numel() else 1
    gain = _projection(before, after, place, groups).gather(2, place)
    return gain, _rest(before, after - gain * before, place, groups).gather(2, place)


def _decomposed_by_level(before: torch.Tensor, after: torch.Tensor, level: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Gain and distortion [B, A, n] where they depend on the power ``level`` [B, A, n], which moves within a row.

    Projection within groups of equal size by rank of the level, and straight lines between the middles of groups.
    """
    n = level.shape[2]
    groups = max(1, min(_LEVELS, n // _ALIKE))
    moves = level.amax(dim=2, keepdim=True) > _SAME * level.amin(dim=2, keepdim=True)
    rank = torch.where(moves, level.argsort(dim=2, stable=True).argsort(dim=2), 0)
    place = rank * groups // n
    middle = ((rank + 0.5) * groups / n - 0.5).clamp(0.0, groups - 1.0)
    middle = torch.where(moves, middle, 0.0)
    below = middle.floor().long()
    above, share = (below + 1).clamp(max=groups - 1), middle - below

    def between(values: torch.Tensor) -> torch.Tensor:
        return values.gather(2, below) * (1.0 - share) + values.gather(2, above) * share

    gain = between(_projection(before, after, place, groups))
    return gain, between(_rest(before, after - gain * before, place, groups))


def _total(values: torch.Tensor, place: torch.Tensor, groups: int) -> torch.Tensor:
    """Sums [B, A, groups] of values [B, A, n] over the groups that ``place`` names."""
    return values.new_zeros((*values.shape[:2], groups)).scatter_add(2, place, values)


def _projection(before: torch.Tensor, after: torch.Tensor, place: torch.Tensor, groups: int) -> torch.Tensor:
    """The gain complex [B, A, groups] that leaves least of ``after`` in each group; 1 where nothing was sent."""
    energy = _total(before.abs().square(), place, groups)
    common = _total(after * before.conj(), place, groups)
    return torch.where(energy > 0, common / energy.clamp(min=torch.finfo(energy.dtype).tiny), 1.0)


def _rest(before: torch.Tensor, left: torch.Tensor, place: torch.Tensor, groups: int) -> torch.Tensor:
    """Mean power [B, A, groups] of what the gain leaves."""
    # one degree of freedom went into the gain; pilots of other antennas are silent and take none
    free = (_total((before.abs() > 0).to(left.real.dtype), place, groups) - 1.0).clamp(min=1.0)
    return _total(left.abs().square(), place, groups) / free
