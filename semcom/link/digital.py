"""Bits over a coded and modulated channel: CRC, 5G LDPC or polar, QAM, soft demapping. A frame arrives whole or has failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Literal

import lazy_loader as lazy
import numpy as np
from pydantic import Field, field_validator, model_validator

from channels import mcs as schemes
from channels import polar
from channels.base import Observation
from channels.fec import ITERATIONS, BlockCode, Interleaving, LdpcCode, PolarCode, TransportBlock, Uncoded, segment
from channels.modulation import QAM
from semcom.component import Component
from semcom.errors import Infeasible, LedgerError
from semcom.link import base
from semcom.link.adaptation import FrameSuccess, Gains, table_digest
from semcom.rng import Streams, generator
from semcom.types import Bits, Budget, Condition, Message, Received, ReceivedBits, Usage

torch = lazy.load("torch")

#: What the receiver knows of the scheme, where nothing tells it.
AVERAGE_MCS = "the MCS, which depends on the average SNR alone"
#: Uses of a frame so long that its code blocks are as large as they get: where a rate is checked beforehand.
_LONG = 2**14


class Digital(Component):
    """Sends bits with 5G LDPC (or polar, or no) coding and QAM; a frame whose CRCs do not all hold has failed.

    k channel uses and an MCS (modulation of log2 M bits, code rate R) carry floor(k log2 M R) bits less a
    CRC24 a code block. They hold, in this order: side information, a length field of ceil(log2(B + 1)) bits
    a part, where B is the payload of the frame, the parts, and zeros as padding. The budget is net of side
    information and of one length field; each further part pays its own from its bits. Coded bits are
    scrambled with a fixed sequence, as in 3GPP TS 38.211 section 6.3.1.1, so that padding has the mean
    power of the constellation. The receiver demaps softly with sigma^2 / |h|^2 and decodes by belief
    propagation.

    In the ledger each information bit costs an equal share of the k uses, rounded by largest remainders so
    that the sum is k. The radiated energy is that of the unit-energy constellation, which is not rescaled
    to the symbols that an image happens to send.

    Counts, int64 an image: raw_bit_errors of raw_bits (hard decisions on the coded bits), bit_errors of
    bits (decoded payload, headers and padding against what was sent), block_errors of blocks and
    frame_failures of frames (by CRC, as the receiver knows them), undetected (frames whose CRCs hold and
    whose bits are wrong, against the truth). All are 0 for an image that had nothing to send.

    A part of an agreed, fixed length is handed on with the LLR of each bit, whatever the CRCs say: the demapper's without
    a code, those that belief propagation ends with for LDPC, none for polar.

    References: 3GPP TS 38.211, TS 38.212 section 5 (polar: 5.3.1, 6.3.1, the uplink's).

    Example::

        link: {kind: digital, mcs: qpsk-1/2}
    """

    CARRIES: ClassVar[frozenset[str]] = frozenset({"bits"})
    kind: Literal["digital"] = "digital"
    mcs: str | None = Field(
        "qpsk-1/3", description="modulation and code rate, from qpsk-1/12 to 256qam-5/6; null beside an explicit modulation"
    )
    modulation: Literal["bpsk", "qpsk", "16qam", "64qam", "256qam", "1024qam"] | None = Field(
        None, description="modulation, in place of a named mcs"
    )
    rate: str | float | None = Field(
        None, description="code rate beside an explicit modulation, a fraction such as 3/5; null where there is no code"
    )
    code: Literal["ldpc", "polar", "uncoded"] = Field("ldpc", description="channel code of 5G; uncoded: the CRC alone")
    iterations: int = Field(ITERATIONS, ge=1, le=200, description="LDPC: iterations of belief propagation at most")
    decoder: Literal["hybrid", "scl", "sc"] = Field(
        "hybrid", description="polar: list decoding where successive cancellation fails (hybrid), always (scl), or never (sc)"
    )
    list_size: Literal[2, 4, 8, 16, 32] = Field(polar.LIST_SIZE, description="polar: paths of the list decoder")
    interleave: Interleaving = Field(
        "block",
        description="coded bits: block, within a code block as in TS 38.212; frame, all symbols in a scrambled order as well; none",
    )

    @model_validator(mode="before")
    @classmethod
    def _explicit_in_place_of_named(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("modulation") is not None and "mcs" not in data:
            return {**data, "mcs": None}
        return data

    @field_validator("mcs")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        return None if name is None else schemes.find(name).name

    @field_validator("rate")
    @classmethod
    def _fraction(cls, rate: str | float | None) -> str | None:
        return None if rate is None else str(schemes.scheme("qpsk", rate).rate)

    @model_validator(mode="after")
    def _one_scheme(self) -> Digital:
        if (self.mcs is None) == (self.modulation is None):
            given = f"mcs {self.mcs} and modulation {self.modulation}" if self.mcs else "neither mcs nor modulation"
            raise ValueError(f"{given} were given; give a named mcs, or a modulation with its rate")
        if self.code == "uncoded":
            if self.mcs is not None or self.rate is not None:
                raise ValueError(f"code uncoded has no rate, and {self.mcs or self.rate} was given; give modulation alone")
            return self
        if self.mcs is not None and self.rate is not None:
            raise ValueError(f"rate {self.rate} was given beside mcs {self.mcs}, which has one; give modulation and rate, or mcs")
        if self.modulation is not None and self.rate is None:
            raise ValueError(f"modulation {self.modulation} was given without rate; give one, such as rate: 1/2, or code: uncoded")
        plan = segment(_LONG * self.scheme.bits_per_symbol, self.scheme.rate, self.scheme.bits_per_symbol, self.block_code)
        self.block_code.check(plan.block_bits, plan.block_coded_bits)
        return self

    @property
    def scheme(self) -> schemes.Mcs:
        """Modulation and code rate, named or explicit."""
        return schemes.find(self.mcs) if self.mcs else schemes.scheme(self.modulation, Fraction(self.rate or 1))

    @property
    def block_code(self) -> BlockCode:
        """The code of a block."""
        if self.code == "polar":
            return PolarCode(self.decoder, self.list_size)
        return LdpcCode(self.iterations) if self.code == "ldpc" else Uncoded()

    @classmethod
    def choices(cls, field: str) -> tuple[Any, ...]:
        if field == "modulation":
            return tuple(schemes.MODULATIONS)
        return tuple(scheme.name for scheme in schemes.MCS) if field == "mcs" else ()

    def tuning_identity(self) -> dict[str, Any]:
        return {"block_error_rates": table_digest(self.code)}

    def build(self, channel, device) -> DigitalLink:
        return DigitalLink(self, channel, device)


class DigitalLink(base.Link):
    """The prepared link; see `Digital`."""

    def __init__(self, description: Digital, channel, device):
        super().__init__(channel, device)
        self.mcs, self.code, self.interleave = description.scheme, description.block_code, description.interleave
        self._frames: dict[int, _Frame] = {}
        #: how probably a frame arrives at an average SNR, or given what its symbols met
        self.predicted = FrameSuccess(self.mcs, Gains(channel), self.code, self.interleave)

    def _frame(self, symbols: int) -> _Frame:
        if symbols not in self._frames:
            self._frames[symbols] = _Frame(symbols, self.mcs, self.code, self.interleave, self.device)
        return self._frames[symbols]

    def room(self, symbols: int, condition: Condition, side_bits: int = 0) -> Budget:
        frame = self._frame(symbols)
        bits = frame.block.payload_bits - frame.length_bits - side_bits
        if bits < 1:
            raise Infeasible(
                f"{symbols} channel uses carry {frame.block.payload_bits} bits with {self.mcs.name}, and the length field "
                f"({frame.length_bits}) and side information ({side_bits}) leave none for the message"
            )
        return Budget(symbols, bits=bits, snr_db=condition.snr_db)

    def frame_success(self, condition: Condition, symbols: int) -> float | None:
        """Predicted probability that a frame arrives, from measured block error rates (at their iterations) or in closed form."""
        self._frame(symbols)
        return self.predicted(condition.snr_db, symbols)

    def modulate(self, message: Message, conditions: Sequence[Condition], streams: Streams, power: float = 1.0) -> base.Frame:
        base.parts_of(message, Bits, "digital")
        feasible = message.feasible.to(self.device)
        if base.is_silent(message):
            return base.silent(message, feasible, power, self.device)
        frame = self._frame(message.budget.symbols)
        rows = feasible.cpu().nonzero()[:, 0]
        some = message.select(rows.tolist())
        payload, which = frame.pack(some)
        coded = frame.encode(payload)

        x = torch.zeros((len(message), frame.uses), dtype=torch.complex64, device=self.device)
        rows, which, payload = rows.to(self.device), which.to(self.device), payload.to(self.device)
        x[rows] = frame.qam.modulate(coded)[which]
        return _DigitalFrame((base.Signal(x, power),), message, feasible, power, some, rows, payload, coded, which)

    def demodulate(self, frame: base.Frame, observations: Sequence[Observation]) -> Received:
        if not isinstance(frame, _DigitalFrame):
            return base.silence(frame)
        message, rows, coded, which = frame.message, frame.rows, frame.coded, frame.which
        seen, frames = observations[0], self._frame(message.budget.symbols)
        llrs = frames.llrs(seen.symbols[rows], seen.noise_std[rows].square())
        fixed = any(part.shape for part in message.parts.values())
        decode = frames.block.decode_soft if fixed else frames.block.decode
        decoded, block_ok, *soft = decode(frames.descramble(llrs))

        ok = block_ok.all(dim=1)
        counts = {
            "raw_bit_errors": ((llrs > 0) != coded[which]).sum(dim=1),
            "raw_bits": torch.full_like(rows, coded.shape[1]),
            "bit_errors": (wrong := (decoded != frame.payload[which]).sum(dim=1)),
            "bits": torch.full_like(rows, frame.payload.shape[1]),
            "block_errors": (~block_ok).sum(dim=1),
            "blocks": torch.full_like(rows, block_ok.shape[1]),
            "frame_failures": (~ok).to(torch.int64),
            "frames": torch.ones_like(rows),
            "undetected": (ok & (wrong > 0)).to(torch.int64),
        }
        everyone = _Scatter(rows, len(message))
        side, received = frames.unpack(decoded, ok, frame.some, soft[0] if soft else None)
        return Received(
            parts={name: everyone.received(part) for name, part in received.items()},
            usage=frames.usage(message, frame.feasible, frame.power, self.assumed),
            image_size=message.image_size,
            side=None if side is None else everyone.received(side),
            counts={name: everyone(values) for name, values in counts.items()},
        )


@dataclass(frozen=True)
class _DigitalFrame(base.Frame):
    some: Message  # the rows that have something to send
    rows: torch.Tensor  # int64, which rows these are
    payload: torch.Tensor  # uint8 [U, payload_bits], each distinct payload once
    coded: torch.Tensor  # uint8 [U, coded], scrambled
    which: torch.Tensor  # int64, which of the distinct ones each of ``rows`` sends


class _Frame:
    """What k channel uses carry with an MCS: where the bits of a message go, and the code around them."""

    def __init__(self, uses: int, mcs: schemes.Mcs, code: BlockCode, interleave: Interleaving, device: torch.device | str):
        m = mcs.bits_per_symbol
        try:
            self.block = TransportBlock(uses * m, mcs.rate, m, device=device, code=code, interleave=interleave)
        except ValueError as error:
            raise Infeasible(f"{uses} channel uses with {mcs.name}: {error}") from error
        self.uses, self.device, self.mcs, self.qam = uses, device, mcs, QAM(m, device)
        #: bits of a length field, enough for 0 to payload_bits
        self.length_bits = self.block.payload_bits.bit_length()
        flips = generator("scrambling").integers(0, 2, uses * m, dtype=np.uint8)
        self._flips = torch.from_numpy(flips).to(device)

    def pack(self, message: Message) -> tuple[torch.Tensor, torch.Tensor]:
        """Distinct payloads uint8 [U, payload_bits] on the CPU, and which of them each row sends, int64 [B]."""
        side = None if message.side is None else message.side.bits.cpu().numpy()
        parts = [(part.bits.cpu().numpy(), part.lengths.tolist()) for part in message.parts.values()]
        distinct: dict[bytes, int] = {}
        payloads, which = [], []
        for row in range(len(message)):
            pieces = [] if side is None else [side[row]]
            pieces += [self._length_field(lengths[row]) for _, lengths in parts]
            pieces += [bits[row, : lengths[row]] for bits, lengths in parts]
            payload = np.concatenate(pieces)
            if len(payload) > self.block.payload_bits:
                raise LedgerError(
                    f"image {row} has {len(payload)} bits with side information and length fields; {self.uses} channel uses with "
                    f"{self.mcs.name} carry {self.block.payload_bits}, so encode for the link's budget"
                )
            place = distinct.setdefault(payload.tobytes(), len(payloads))
            if place == len(payloads):
                payloads.append(np.pad(payload, (0, self.block.payload_bits - len(payload))))
            which.append(place)
        stacked = np.stack(payloads) if payloads else np.zeros((0, self.block.payload_bits), np.uint8)
        return torch.from_numpy(stacked), torch.tensor(which, dtype=torch.int64)

    def _length_field(self, length: int) -> np.ndarray:
        return ((length >> np.arange(self.length_bits - 1, -1, -1)) & 1).astype(np.uint8)

    def encode(self, payload: torch.Tensor) -> torch.Tensor:
        """Scrambled coded bits uint8 [U, coded]."""
        return self.block.encode(payload.to(self.device)) ^ self._flips

    def llrs(self, symbols: torch.Tensor, noise_var: torch.Tensor) -> torch.Tensor:
        return self.qam.llrs(symbols, noise_var)

    def descramble(self, llrs: torch.Tensor) -> torch.Tensor:
        return llrs * (1.0 - 2.0 * self._flips)

    def unpack(
        self, decoded: torch.Tensor, ok: torch.Tensor, sent: Message, llr: torch.Tensor | None = None
    ) -> tuple[ReceivedBits | None, dict[str, ReceivedBits]]:
        """Side information and parts as the receiver reads them; what it reads from a failed frame is not ok.

        ``llr`` float32 [R, payload_bits]: handed on with the parts whose length is agreed, and not read.
        """
        side, start = None, 0
        if sent.side is not None:
            start = sent.side.bits.shape[1]
            side = ReceivedBits(decoded[:, :start], torch.full_like(ok, start, dtype=torch.int64), ok)
        lengths = {}
        for name, part in sent.parts.items():
            field = decoded[:, start : start + self.length_bits].to(torch.int64)
            value = (field << torch.arange(self.length_bits - 1, -1, -1, device=field.device)).sum(dim=1)
            most = part.bits.shape[1]
            lengths[name] = torch.full_like(value, most) if part.shape else value.clamp(max=most)
            start += self.length_bits
        parts, first = {}, torch.full_like(ok, start, dtype=torch.int64)[:, None]
        for name, part in sent.parts.items():
            place = torch.arange(part.bits.shape[1], device=decoded.device)[None]
            at = (first + place).clamp(max=decoded.shape[1] - 1)
            bits = decoded.gather(1, at) * (place < lengths[name][:, None])
            soft = llr.gather(1, at) if part.shape and llr is not None else None
            parts[name] = ReceivedBits(bits, lengths[name], ok, llr=soft)
            first = first + lengths[name][:, None]
        return side, parts

    def usage(self, message: Message, feasible: torch.Tensor, power: float, assumed: tuple[str, ...]) -> Usage:
        block, sent = self.block, sum(part.lengths for part in message.parts.values()).to(feasible.device)
        side_bits = 0 if message.side is None else message.side.bits.shape[1]
        header = side_bits + self.length_bits * len(message.parts)
        information = {
            "payload": sent,
            "header": torch.full_like(sent, header),
            "crc": torch.full_like(sent, block.crc_bits),
            "padding": block.payload_bits - header - sent,
        }
        # in coded bits times block_bits: an information bit is block_coded_bits / block_bits of them
        weights = {purpose: bits * block.block_coded_bits for purpose, bits in information.items()}
        weights["padding"] = weights["padding"] + block.padding_bits * block.block_bits
        granted = torch.full_like(sent, self.uses)
        shares = base.share_out(granted, weights)
        uses = {purpose: torch.where(feasible, share, 0) for purpose, share in shares.items()}
        uses["unused"] = torch.where(feasible, 0, granted)
        energy = torch.where(feasible, power * self.uses, 0.0).to(torch.float64)
        free = (*message.free, *assumed, AVERAGE_MCS)
        return Usage(granted, uses, energy, free)


class _Scatter:
    """Puts what some rows have into a batch of all rows; zeros elsewhere."""

    def __init__(self, rows: torch.Tensor, count: int):
        self.rows, self.count = rows, count

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        if len(self.rows) == self.count:
            return values
        return values.new_zeros((self.count, *values.shape[1:])).index_copy(0, self.rows, values)

    def received(self, part: ReceivedBits) -> ReceivedBits:
        llr = None if part.llr is None else self(part.llr)
        return ReceivedBits(self(part.bits), self(part.lengths), self(part.ok), llr=llr)
