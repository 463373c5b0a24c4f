"""What flows between the parts of a system: images, messages, what was received, the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import lazy_loader as lazy

from semcom.errors import DataError, LedgerError

torch = lazy.load("torch")

#: the level of a picture that was lost
GREY = 0.5


@dataclass(frozen=True)
class ImageBatch:
    """Images with stable names.

    Shapes: ``pixels`` float32 [B, 3, H, W] in [0, 1]; ``ids`` B names; ``labels`` int64 [B, H, W] or None.
    Raises: DataError for another shape, dtype or range.
    """

    pixels: torch.Tensor
    ids: tuple[str, ...]
    labels: torch.Tensor | None = None

    def __post_init__(self) -> None:
        p = self.pixels
        if p.ndim != 4 or p.shape[1] != 3 or p.dtype != torch.float32:
            raise DataError(f"pixels are {p.dtype} {tuple(p.shape)}; expected float32 [B, 3, H, W]")
        if p.numel() and not (0.0 <= float(p.min()) and float(p.max()) <= 1.0):
            raise DataError(f"pixels lie in [{float(p.min()):.3g}, {float(p.max()):.3g}]; expected [0, 1]")
        if len(self.ids) != len(p):
            raise DataError(f"{len(p)} images but {len(self.ids)} ids; expected one id an image")
        if self.labels is not None and (self.labels.shape != (len(p), *p.shape[2:]) or self.labels.dtype != torch.int64):
            raise DataError(f"labels are {self.labels.dtype} {tuple(self.labels.shape)}; expected int64 {(len(p), *p.shape[2:])}")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)"""
        return tuple(self.pixels.shape[2:])

    def select(self, rows: Sequence[int]) -> ImageBatch:
        index = torch.as_tensor(list(rows), dtype=torch.int64)
        labels = None if self.labels is None else self.labels[index]
        return ImageBatch(self.pixels[index], tuple(self.ids[r] for r in rows), labels)


@dataclass(frozen=True)
class Condition:
    """One row's point of the sweep, as the link meets it. ``snr_db`` is the average Es/N0 [dB]."""

    snr_db: float


@dataclass(frozen=True)
class Budget:
    """What an image may spend, net of pilots, headers, CRC and side information.

    ``channel_uses`` is the gross grant k. ``symbols`` is how many symbols of the message it holds, net of
    pilots and the like and with several streams more than uses; one a use if not given. ``bits`` a digital link can carry, None where it is not one.
    ``reals`` an analog link can carry, None where it is not one. ``snr_db`` is what the transmitter knows
    of the channel. ``parts`` holds the budgets of the named parts, where each has a link of its own.
    ``slice_bits``: bits i slice_bits to (i + 1) slice_bits of the digital part arrive or are lost together,
    each slice by itself; None where the part arrives whole or not at all. ``scheme`` is what an adaptive
    link chose for the transmission that this is the budget of.
    """

    channel_uses: int
    bits: int | None = None
    reals: int | None = None
    snr_db: float | None = None
    parts: tuple[tuple[str, Budget], ...] = ()
    symbols: int | None = None
    slice_bits: int | None = None
    scheme: str | None = None

    def __post_init__(self) -> None:
        if self.symbols is None:
            object.__setattr__(self, "symbols", self.channel_uses)

    def part(self, name: str) -> Budget:
        """The budget of a named part; this budget itself where one link carries everything."""
        return dict(self.parts)[name] if self.parts else self


@dataclass(frozen=True)
class Bits:
    """A digital part: ``bits`` uint8 [B, K] of 0 and 1, of which the first ``lengths`` int64 [B] count.

    ``shape``: what K unfolds to at the receiver, where that is agreed beforehand and every row has all K bits: such bits
    mean something one by one, so a link that has LLRs hands them on. ``form`` names the agreed format, where several
    serve one receiver.
    """

    bits: torch.Tensor
    lengths: torch.Tensor
    shape: tuple[int, ...] = ()
    form: str = ""

    def __len__(self) -> int:
        return len(self.bits)

    def select(self, rows: torch.Tensor) -> Bits:
        return replace(self, bits=self.bits[rows], lengths=self.lengths[rows])


@dataclass(frozen=True)
class Reals:
    """An analog part with mean power at most 1 a real element, per image.

    ``values`` float32 [B, D] in order of importance: a link that cannot carry all D drops from the end.
    ``shape`` is what D unfolds to at the receiver, which also knows how to undo the order. ``powers``: what both ends
    expect of the mean square along the first dimension of ``shape``, where that is an agreement for an average SNR;
    the message then lists it as free. ``form`` names the agreed format, where several serve one receiver.
    """

    values: torch.Tensor
    shape: tuple[int, ...]
    powers: tuple[float, ...] = ()
    form: str = ""

    def __len__(self) -> int:
        return len(self.values)

    def select(self, rows: torch.Tensor) -> Reals:
        return replace(self, values=self.values[rows])


@dataclass(frozen=True)
class Message:
    """What a transmitter hands to a link: named parts, made for one budget.

    ``side`` is side information that must be charged: in front of a digital part, or as a header block
    where there is none. ``infeasible`` holds one reason (or None) a row: an image that nothing of this
    system fits; its parts are ignored and it counts as a failure. ``free`` lists in words what the
    receiver is assumed to know.
    """

    parts: Mapping[str, Bits | Reals]
    budget: Budget
    image_size: tuple[int, int]
    side: Bits | None = None
    infeasible: tuple[str | None, ...] = ()
    free: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.parts.values())))

    @property
    def feasible(self) -> torch.Tensor:
        """bool [B]: the rows that have something to send."""
        return torch.tensor([reason is None for reason in self.infeasible or (None,) * len(self)], dtype=torch.bool)

    def select(self, rows: Sequence[int]) -> Message:
        """The rows, in any order and number: how one encoding meets many SNRs and repeats."""
        index = torch.as_tensor(list(rows), dtype=torch.int64)
        return replace(
            self,
            parts={name: part.select(index) for name, part in self.parts.items()},
            side=None if self.side is None else self.side.select(index),
            infeasible=tuple(self.infeasible[r] for r in rows) if self.infeasible else (),
        )


@dataclass(frozen=True)
class ReceivedBits:
    """A digital part as it arrived: ``bits`` uint8 [B, K], ``lengths`` int64 [B], ``ok`` bool [B] (CRC of all).

    ``arrived`` bool [B, K] says which bits are known, where a link carries a part in slices that are lost one
    by one (`Budget.slice_bits`); the others are 0, and a length whose last slice is lost is an upper bound.
    None: all of them where ``ok``, none elsewhere. ``llr`` float32 [B, K], ln p(1) / p(0), where the part has an agreed
    ``shape`` and the link knows them: for every row, ``ok`` or not; 0 where nothing arrived. ``slice_bits`` as in
    `Budget`, ``shape`` and ``form`` as in `Bits`.
    """

    bits: torch.Tensor
    lengths: torch.Tensor
    ok: torch.Tensor
    arrived: torch.Tensor | None = None
    llr: torch.Tensor | None = None
    slice_bits: int | None = None
    shape: tuple[int, ...] = ()
    form: str = ""


@dataclass(frozen=True)
class ReceivedReals:
    """An analog part as it arrived, unbiased.

    ``values`` float32 [B, D] in message units; ``noise_std`` float32 [B, D] in message units, inf where
    nothing arrived; ``ok`` bool [B], False where nothing at all did; ``powers`` and ``form`` as in `Reals`.
    """

    values: torch.Tensor
    noise_std: torch.Tensor
    shape: tuple[int, ...]
    ok: torch.Tensor
    powers: tuple[float, ...] = ()
    form: str = ""


@dataclass(frozen=True)
class Usage:
    """The ledger: where the granted channel uses of each image went, and what was assumed for free.

    ``uses`` maps a purpose (payload, header, crc, pilots, padding, unused) to int64 [B]; together they
    are exactly ``granted`` int64 [B]. ``energy`` float64 [B] is what was radiated, at most ``granted``
    (mean power 1 over the granted uses).
    """

    granted: torch.Tensor
    uses: Mapping[str, torch.Tensor]
    energy: torch.Tensor
    free: tuple[str, ...] = ()

    def check(self, tolerance: float = 1e-4) -> Usage:
        """This ledger, or LedgerError with the first row that does not add up."""
        total = sum(self.uses.values())
        negative = torch.stack(list(self.uses.values())).lt(0).any(dim=0)
        wrong = (total != self.granted) | negative | ~(self.energy <= self.granted * (1.0 + tolerance))
        for row in wrong.nonzero()[:1, 0].tolist():
            k, spent, joules = int(self.granted[row]), int(total[row]), float(self.energy[row])
            if spent != k:
                parts = ", ".join(f"{name} {int(v[row])}" for name, v in self.uses.items())
                raise LedgerError(f"image {row} was granted {k} channel uses and accounts for {spent} ({parts})")
            if min(int(v[row]) for v in self.uses.values()) < 0:
                raise LedgerError(f"image {row} accounts for a negative number of channel uses")
            raise LedgerError(f"image {row} radiated energy {joules:.6g} over {k} channel uses; mean power at most 1 is allowed")
        return self


@dataclass(frozen=True)
class Received:
    """What a link hands to a receiver. ``counts`` are per-image int64 [B] (bit errors, bits, blocks, ...);
    ``reports`` are what the channel says of the burst, float [B] (papr_db, ...)."""

    parts: Mapping[str, ReceivedBits | ReceivedReals]
    usage: Usage
    image_size: tuple[int, int]
    side: ReceivedBits | None = None
    counts: Mapping[str, torch.Tensor] = field(default_factory=dict)
    reports: Mapping[str, torch.Tensor] = field(default_factory=dict)

    def agreed(self, message: Message) -> Received:
        """With what both ends agreed on of each part beforehand: its form and, of bits, its shape."""
        parts = {name: _agreed(part, message.parts[name]) for name, part in self.parts.items()}
        return replace(self, parts=parts)


def _agreed(part: ReceivedBits | ReceivedReals, sent: Bits | Reals) -> ReceivedBits | ReceivedReals:
    return replace(part, form=sent.form, shape=sent.shape)


@dataclass(frozen=True)
class Reconstruction:
    """``pixels`` float32 [B, 3, H, W] in [0, 1]; ``ok`` bool [B], False where there is no picture.

    A row that is not ok is grey here; the evaluator shows it as grey and, in a second row, as the prior.
    ``labels`` int64 [B, H, W]: the label map as it was received, 255 where it is not known; ``label_probabilities``
    float32 [B, 12, h, w]: what is known of each class, where that is more. ``samples`` float32 [B, S, 3, H, W] are what else
    the picture may have been, and ``uncertainty`` float32 [B, H, W] how far these differ (deviation, mean over colours), where
    a receiver was asked for samples. ``usage``, ``counts`` and ``reports`` are the link's, where a whole system made this.
    """

    pixels: torch.Tensor
    ok: torch.Tensor
    labels: torch.Tensor | None = None
    usage: Usage | None = None
    counts: Mapping[str, torch.Tensor] = field(default_factory=dict)
    reports: Mapping[str, torch.Tensor] = field(default_factory=dict)
    label_probabilities: torch.Tensor | None = None
    samples: torch.Tensor | None = None
    uncertainty: torch.Tensor | None = None
