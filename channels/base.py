"""The contract of channel models: a burst's layout, the stages that it passes, and what a link sees of it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

import lazy_loader as lazy
import numpy as np
from pydantic import BaseModel, ConfigDict

torch = lazy.load("torch")

#: What a stage is, in the order of a chain; hardware stands before the propagation (transmitter) or behind it (receiver).
STAGES = ("waveform", "hardware", "antennas", "propagation", "interference", "csi")
Stage = Literal["waveform", "hardware", "antennas", "propagation", "interference", "csi"]


class ChannelDescription(BaseModel):
    """What a scenario file says of one stage of a channel. Subclasses declare ``kind``, parameters and ``build(device)``."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
    VERSION: ClassVar[int] = 1
    #: which stage of a chain it is, and so which of the protocols below ``build`` makes
    STAGE: ClassVar[Stage] = "propagation"

    def identity(self) -> dict:
        """What of this channel changes the numbers: its parameters, its version, and whose code it is."""
        return {**self.model_dump(mode="json"), "version": self.VERSION, "class": f"{type(self).__module__}:{type(self).__qualname__}"}

    def conflict(self, stages: Sequence[ChannelDescription]) -> str | None:
        """None, or one sentence with the numbers: why this stage cannot stand in the chain ``stages`` (itself among them).

        Asked before anything runs; must not import torch.
        """
        return None

    def assumed(self) -> tuple[str, ...]:
        """What this stage lets the receiver or transmitter know, or use, without a charge, in words."""
        return ()


# --- randomness ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Draw:
    """The randomness of one transmission (an image, once).

    ``rng`` is at the start of its fading stream. ``stratum`` in (0, 1) is the quantile of |h|^2 that the
    first coherence block takes, so that repeats cover the fading distribution evenly.
    """

    rng: np.random.Generator
    stratum: float
    named: Callable[[str], np.random.Generator] | None = None

    def stream(self, name: str) -> np.random.Generator:
        """Another stream of this transmission at its start, such as "interference", "phase noise", "csi error"."""
        if self.named is None:
            raise ValueError(f"this draw has no stream '{name}'; it holds the fading stream alone")
        return self.named(name)

    def other(self, name: str) -> Draw:
        """An independent transmission's randomness: ``name`` in place of the fading stream, an unstratified quantile."""
        rng = self.stream(name)
        return Draw(rng, float(rng.random()), lambda inner: self.stream(f"{name} {inner}"))


#: What a stage drew: tensors on the CPU whose rows are transmissions, [U, ...]
Drawn = tuple["torch.Tensor", ...]


# --- where symbols lie --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Grid:
    """The resource elements of a burst, in channel-use order: ``times`` steps of ``len(tones)`` elements each.

    A step is an OFDM symbol; of a single carrier it is one channel use, with the one tone 0. Element e is
    at step e // F and tone e % F. ``interval_s`` lies between steps (prefix included); None where a single
    carrier has no bandwidth in hertz. ``fft_size`` samples a step (1 for a single carrier) are followed by
    ``prefix`` more that carry nothing new. ``start`` steps of the same transmission came before this burst.
    """

    times: int
    tones: tuple[int, ...] = (0,)  # indices of subcarriers that are sent, ascending; 0 is at the carrier frequency
    spacing_hz: float | None = None
    interval_s: float | None = None
    fft_size: int = 1
    prefix: int = 0
    start: int = 0

    @property
    def elements(self) -> int:
        return self.times * len(self.tones)

    def sample_times(self) -> np.ndarray:
        """int64 [times * fft_size]: when each sample is taken, in samples since the first, the prefixes counted."""
        step = np.arange(self.times)[:, None] * (self.fft_size + self.prefix)
        return (step + np.arange(self.fft_size)).ravel()


@dataclass(frozen=True)
class Layout:
    """What ``uses`` granted channel uses carry: message symbols on ``data``, pilots, and what is charged for neither.

    ``data`` and ``pilots`` are elements of ``grid`` (int64, ascending). Each data element carries ``streams``
    symbols: symbol i is stream i % streams of data element i // streams. ``charged`` names the uses that
    carry no message (pilots, dc, padding, prefix, guards); with the data elements they are exactly ``uses``.
    """

    uses: int
    grid: Grid
    data: np.ndarray
    pilots: np.ndarray
    charged: Mapping[str, int] = field(default_factory=dict)
    streams: int = 1

    @property
    def symbols(self) -> int:
        """Message symbols that fit."""
        return len(self.data) * self.streams

    @staticmethod
    @functools.lru_cache(maxsize=8)
    def plain(uses: int) -> Layout:
        """Every use carries one symbol."""
        return Layout(uses, Grid(uses), np.arange(uses), np.arange(0))


# --- what a link sees ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Observation:
    """Symbols after equalisation, unbiased: ``symbols`` complex64 [B, m] are what was sent plus noise of
    standard deviation ``noise_std`` float32 per complex symbol, inf where nothing arrived; [B, m], or
    [B, 1] where it is the same for all.

    ``blind`` says that the receiver knows nothing of h: symbols and levels are as if h = 1, and no estimate.
    ``reports`` are numbers about the burst, float [B], such as "papr_db".
    """

    symbols: torch.Tensor
    noise_std: torch.Tensor
    blind: bool = False
    reports: Mapping[str, torch.Tensor] = field(default_factory=dict)

    def snr(self) -> torch.Tensor:
        """Signal to noise ratio of symbols of unit power, float64, shaped as ``noise_std``; 0 where nothing arrived."""
        return self.noise_std.to(torch.float64).square().reciprocal()


# --- the plain channel, and propagation ---------------------------------------------------------------------


@dataclass(frozen=True)
class Fading:
    """What was drawn: the complex gain ``h`` complex64 [B, n], one a channel use, E|h|^2 = 1."""

    h: torch.Tensor

    def slice(self, start: int, stop: int) -> Fading:
        """The channel uses start..stop of every row."""
        return Fading(self.h[:, start:stop])


class Channel(Protocol):
    """A prepared flat channel: a propagation stage that can stand alone. ``draw`` works on the CPU."""

    def draw(self, n: int, draws: Sequence[Draw]) -> Fading:
        """The fading over ``n`` channel uses of len(draws) transmissions; a longer n keeps the prefix."""
        ...

    def apply(self, x: torch.Tensor, fading: Fading, noise: torch.Tensor) -> torch.Tensor:
        """y [B, n] from symbols x complex64 [B, n] and noise complex64 [B, n] of its final variance."""
        ...


class Propagation(Protocol):
    """A prepared propagation stage that knows grids and antennas.

    One that has only `Channel.draw` serves as well: its gains hold for all tones of a step, and each pair
    of antennas draws for itself.
    """

    def elements(self, grid: Grid, receive: int, transmit: int, draws: Sequence[Draw]) -> torch.Tensor:
        """H complex64 [U, R, T, E] on the CPU, E|H|^2 = 1 each; expanded (stride 0) where it is the same for all E.

        More steps keep those before. What is drawn does not depend on speed, delay spread or K: they shape it.
        """
        ...

    def mean(self, grid: Grid) -> complex:
        """E[h] of an element of each antenna pair: the line of sight that the receiver may count on, 0 without."""
        ...

    def covariance(self, grid: Grid, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """E[(h_a - mean) conj(h_b - mean)] complex [len(a), len(b)] between elements a and b of one antenna pair."""
        ...

    def carry(self, x: torch.Tensor, h: torch.Tensor, grid: Grid, drawn: Drawn) -> tuple[torch.Tensor, torch.Tensor]:
        """Only where elements disturb each other (time domain): (y [B, R, E] without noise, and the variance of what
        reaches an element from others at unit power of each, broadcastable to y; of several receive antennas its covariance
        [B, R, R, E]); ``h`` is what ``elements`` gave, and ``drawn`` what an optional ``draw(grid, receive, transmit, draws)``
        gave beside it."""
        ...


# --- the other stages ---------------------------------------------------------------------------------------


class Waveform(Protocol):
    """How message symbols become resource elements: without one, a single carrier with one element a use."""

    def layout(self, uses: int) -> Layout:
        """Of ``uses`` granted, for one stream. Raises: ValueError with one sentence where they hold no data element."""
        ...

    def samples(self, elements: torch.Tensor, grid: Grid) -> torch.Tensor:
        """[..., times * fft_size] from [..., E], unitary: nothing on the other tones; no prefix."""
        ...

    def elements(self, samples: torch.Tensor, grid: Grid) -> torch.Tensor:
        """Its inverse: [..., E] from [..., times * fft_size]."""
        ...


class Hardware(Protocol):
    """A map of samples to samples: amplifier, converter, oscillator. Mean power of what comes in is 1 at most.

    The chain itself finds the gain g and the distortion of out = g in + d: g by projection over all data
    elements of ``tracked`` steps (None: of the burst) and of one power, d as what remains. The receiver is
    taken to know g and the variance of d, so that no stage has to state them.
    """

    tracked: int | None  # steps over which the receiver follows the stage's gain (a rotating phase); None: one a burst
    level_dependent: bool  # whether its gain depends on the power that comes in (a converter): found for each level of it

    def draw(self, at: np.ndarray, antennas: int, draws: Sequence[Draw]) -> Drawn:
        """What is random, [U, A, len(at)] or so; () where nothing is. ``at``: Grid.sample_times()."""
        ...

    def apply(self, samples: torch.Tensor, at: np.ndarray, drawn: Drawn) -> torch.Tensor:
        """[B, A, len(at)] from [B, A, len(at)]; ``drawn`` has rows B and is on the samples' device. Differentiable."""
        ...


@dataclass(frozen=True)
class Disturbance:
    """What is added at the receive antennas: ``added`` complex64 [B, R, N] and, as far as the receiver knows it,
    its ``variance`` float32, broadcastable to ``added``; inf where it knows that nothing useful arrives."""

    added: torch.Tensor
    variance: torch.Tensor


class Interference(Protocol):
    """What others send, or what is lost."""

    domain: Literal["elements", "samples"]  # what N counts: resource elements, or samples in time (impulses)

    def draw(self, count: int, receive: int, draws: Sequence[Draw]) -> Drawn:
        """What is random over ``count`` elements or samples; a longer count keeps the prefix."""
        ...

    def apply(self, sigma: torch.Tensor, drawn: Drawn) -> Disturbance:
        """``sigma`` float32 [B, 1, 1]: the noise's standard deviation; the signal's power is 1."""
        ...


@dataclass(frozen=True)
class Sender:
    """What the transmitter knows of the channel, and the receiver of that: ``snr_inverse`` float [B, 1, 1], 1 / SNR on
    average; ``h`` complex64 [B, R, T, d], or [B, R, T, 1] where it holds for all d, with CSIT, else None."""

    snr_inverse: torch.Tensor
    h: torch.Tensor | None = None


class Antennas(Protocol):
    """Several antennas: how streams become antenna signals, and what is made of what arrives. Total power is that of x."""

    transmit: int
    receive: int
    streams: int  # message symbols a data element
    together: int  # data elements that are coded together (Alamouti: 2); their number becomes a multiple of it
    csit: bool  # whether the sender knows h

    def precode(self, x: torch.Tensor, sender: Sender) -> torch.Tensor:
        """Antenna signals [B, T, d] from streams x [B, S, d] on the d data elements."""
        ...

    def detect(
        self,
        y: torch.Tensor,
        h: torch.Tensor,
        noise_var: torch.Tensor,
        power: torch.Tensor,
        sender: Sender,
        distorted: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Unbiased streams [B, S, d] and their noise variances [B, S, d].

        ``y`` [B, R, d]; ``h`` [B, R, T, d], or [B, R, T, 1] where it holds for all d, as the receiver knows it, gains of
        hardware included; its error is already in ``noise_var`` (broadcastable to y); ``power`` float32 [1, S, d], the
        mean power of x, known to both; ``sender`` what precode was given. A row of h that is zero gives 0 and inf.
        ``distorted`` [B, R, K, d]: K sources of noise of unit variance beside ``noise_var`` that all receive antennas hear in
        step, such as what the hardware of each transmit antenna adds: it arrives over the same h.
        """
        ...


@dataclass(frozen=True)
class Sounding:
    """What a receiver has to estimate h from: the pilots of a burst as they arrived.

    ``seen`` [B, R, p]: y / pilot symbol at ``layout.pilots``, h + noise of variance ``noise_var`` (broadcastable,
    as the receiver believes it); pilot i was sent by transmit antenna ``antenna[i]`` alone.
    """

    layout: Layout
    seen: torch.Tensor
    antenna: np.ndarray
    noise_var: torch.Tensor
    transmit: int


@dataclass(frozen=True)
class Estimate:
    """E[h | what was observed] [B, R, T, d] at the data elements and its error variance, float32, broadcastable to it."""

    h: torch.Tensor
    error_var: torch.Tensor
