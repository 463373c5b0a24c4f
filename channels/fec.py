"""Forward error correction: 5G LDPC at any rate, and transport blocks of CRC-protected blocks of any code."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol

import lazy_loader as lazy
import numpy as np

from channels import polar
from channels._sionna import device_name, sionna_phy

torch = lazy.load("torch")

#: Information bits a code block may have (3GPP TS 38.212, 5.2.2): base graph 1, and base graph 2.
MAX_BLOCK_BITS, MAX_BLOCK_BITS_GRAPH_2 = 8448, 3840
#: At and below this rate 5G takes base graph 2 for every size (7.2.2).
GRAPH_2_RATE = Fraction(1, 4)
#: What Sionna's encoder takes.
MIN_BLOCK_BITS, MAX_RATE = 12, 0.95
CRC_BITS = {"CRC24A": 24, "CRC24B": 24, "CRC24C": 24, "CRC16": 16, "CRC11": 11, "CRC6": 6}

ITERATIONS = 20
#: The decoder as result tables name it.
DECODER = "5G LDPC, belief propagation (boxplus-phi, flooding), Sionna"
#: Iterations between two parity checks: a check costs about a tenth of an iteration.
_PIECE = 2
#: Codeword bits decoded at a time: the messages of this many stay in a CPU's caches; a GPU wants many.
_BITS_AT_A_TIME = {"cpu": 2**16, "cuda": 2**23}


class LDPC:
    """5G LDPC code of k information bits in n coded bits, at any rate up to 0.95.

    Encoder, rate matching and belief propagation are Sionna's. Below the rate of the mother code (1/5 of
    base graph 2, 1/3 of base graph 1) the n coded bits run around the circular buffer of the first 5k (3k)
    of them once more, and their LLRs are added before decoding.

    `decode` gives what ``iterations`` iterations in one go give, sooner: it runs in pieces that resume
    exactly, and a codeword whose parity checks all hold is taken out.

    Shapes: bits uint8 [B, k]; coded bits uint8 [B, n]; LLRs float32 [B, n], ln p(b=1) / p(b=0).
    References: 3GPP TS 38.212 sections 5.2.2, 5.3.2, 5.4.2.
    """

    def __init__(self, k: int, n: int, device: torch.device | str = "cpu", iterations: int = ITERATIONS):
        LdpcCode(iterations).check(k, n)
        self.k, self.n, self.iterations = k, n, iterations
        self.device = torch.device(device_name(device))
        self._mother = min(n, (5 if _is_graph_2(k, n) else 3) * k)
        self._codec = _codec(k, self._mother, str(self.device))

    def encode(self, bits: torch.Tensor) -> torch.Tensor:
        """Coded bits uint8 [B, n] of information bits uint8 [B, k]."""
        if bits.ndim != 2 or bits.shape[1] != self.k:
            raise ValueError(f"bits are {tuple(bits.shape)}; expected [B, {self.k}]")
        if not len(bits):
            return torch.zeros((0, self.n), dtype=torch.uint8, device=self.device)
        with torch.no_grad():
            coded = self._codec.encoder.call(bits.to(self.device, torch.float32)).to(torch.uint8)
        return coded.repeat(1, math.ceil(self.n / self._mother))[:, : self.n]

    def decode(self, llr: torch.Tensor) -> torch.Tensor:
        """Information bits uint8 [B, k] from LLRs float32 [B, n]."""
        return self.decode_soft(llr)[0]

    def decode_soft(self, llr: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Information bits uint8 [B, k], and what belief propagation ended with, LLRs float32 [B, k], from LLRs float32 [B, n]."""
        if llr.ndim != 2 or llr.shape[1] != self.n:
            raise ValueError(f"LLRs are {tuple(llr.shape)}; expected [B, {self.n}]")
        llr = self._combine(llr.detach().to(self.device, torch.float32))
        batch = max(1, _BITS_AT_A_TIME.get(self.device.type, 2**16) // self._codec.codeword_bits)
        decoded = [self._decode(piece) for piece in llr.split(batch)] if len(llr) else []
        soft = torch.cat(decoded) if decoded else torch.zeros((0, self.k), device=self.device)
        return _decided(soft), soft

    def _combine(self, llr: torch.Tensor) -> torch.Tensor:
        """LLRs [B, mother] of the mother code's bits: those of repeated bits are added."""
        turns = math.ceil(self.n / self._mother)
        padded = torch.nn.functional.pad(llr, (0, turns * self._mother - self.n))
        return padded.reshape(len(llr), turns, self._mother).sum(dim=1)

    def _decode(self, llr: torch.Tensor) -> torch.Tensor:
        llr = self._codec.recover_rate(llr)
        soft = torch.empty((len(llr), self.k), device=self.device)
        waiting, state = torch.arange(len(llr), device=self.device), None
        for done in range(0, self.iterations, _PIECE):
            codeword, state = self._codec.iterate(llr, min(_PIECE, self.iterations - done), state)
            soft[waiting] = codeword[:, : self.k]
            going_on = ~self._codec.is_codeword(_decided(codeword))
            if not going_on.any():
                break
            waiting, llr, state = waiting[going_on], llr[going_on], state[going_on]
        return soft


def _is_graph_2(k: int, n: int) -> bool:
    """Which base graph 5G takes (TS 38.212, 7.2.2), for a single block and as Sionna does it."""
    return k <= 292 or (k <= 3824 and k / n <= 0.67) or (k <= MAX_BLOCK_BITS_GRAPH_2 and k / n <= GRAPH_2_RATE)


class _Codec:
    """Sionna's encoder and decoder of one (k, n), opened up so that decoding can pause and check parity."""

    def __init__(self, k: int, n: int, device: str):
        ldpc = sionna_phy().fec.ldpc
        self.encoder = ldpc.LDPC5GEncoder(k, n, device=device, check_input=False)
        self._decoder = ldpc.LDPC5GDecoder(self.encoder, hard_out=False, return_state=True, device=device)
        # The generic decoder works on whole codewords, which the 5G one cuts down to the bits that were sent.
        self._belief_propagation = functools.partial(ldpc.LDPCBPDecoder.call, self._decoder)
        self.codeword_bits = self._decoder.num_vns
        checks = self._decoder.pcm.tocsr()
        self._bit_of_edge = torch.as_tensor(checks.indices, device=device).long()
        self._first_edge = torch.as_tensor(checks.indptr, device=device).long()

    def recover_rate(self, llr: torch.Tensor) -> torch.Tensor:
        """LLRs of the whole codeword: punctured bits 0, filler bits a certain 0, what was not sent 0."""
        code, rows = self.encoder, len(llr)
        punctured = llr.new_zeros((rows, 2 * code.z))
        filler = llr.new_full((rows, code.k_filler), -self._decoder.llr_max)
        sent_first = code.k - 2 * code.z  # systematic bits; fillers follow them
        whole = torch.cat([punctured, llr[:, :sent_first], filler, llr[:, sent_first:]], dim=1)
        return torch.nn.functional.pad(whole, (0, self.codeword_bits - whole.shape[1]))

    def iterate(self, llr: torch.Tensor, iterations: int, state: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """LLRs float32 [B, codeword] after more iterations, and the messages to resume from."""
        with torch.no_grad():
            return self._belief_propagation(llr, num_iter=iterations, msg_v2c=state)

    def is_codeword(self, codeword: torch.Tensor) -> torch.Tensor:
        """bool [B]: whether all parity checks of bits [B, codeword] hold."""
        ones = codeword.to(torch.int32)[:, self._bit_of_edge].cumsum(dim=1, dtype=torch.int32)
        ones = torch.nn.functional.pad(ones, (1, 0))[:, self._first_edge]  # ones before each check's first edge
        return ((ones.diff(dim=1) & 1) == 0).all(dim=1)


def _decided(soft: torch.Tensor) -> torch.Tensor:
    """Hard decisions uint8; of an LLR of 0 a one, as Sionna has it."""
    return (soft >= 0).to(torch.uint8)


@functools.lru_cache(maxsize=128)
def _codec(k: int, n: int, device: str) -> _Codec:
    return _Codec(k, n, device)


class CRC:
    """A cyclic redundancy check of 5G over k bits (3GPP TS 38.212, 5.1). Bits are uint8 [B, k]."""

    def __init__(self, name: str, k: int, device: torch.device | str = "cpu"):
        if name not in CRC_BITS:
            raise ValueError(f"there is no CRC '{name}'; allowed: {', '.join(CRC_BITS)}")
        self.length, self._encoder = CRC_BITS[name], _crc_encoder(name, k, device_name(device))

    def append(self, bits: torch.Tensor) -> torch.Tensor:
        """bits [B, k] followed by their check bits: [B, k + length]."""
        if not len(bits):
            return bits.new_zeros((0, bits.shape[1] + self.length), dtype=torch.uint8)
        return self._encoder.call(bits.float()).to(torch.uint8)

    def holds(self, bits: torch.Tensor) -> torch.Tensor:
        """bool [B]: whether the last ``length`` of bits [B, k + length] check the others."""
        return (self.append(bits[:, : -self.length]) == bits).all(dim=1)


@functools.lru_cache(maxsize=128)
def _crc_encoder(name: str, k: int, device: str):
    return sionna_phy().fec.crc.CRCEncoder(name, k=k, device=device)


class BlockCode(Protocol):
    """What codes one block of a frame: a small description with its limits, and the prepared code."""

    name: str
    min_bits: int  # information bits of a block, CRC included
    max_coded_bits: int | None  # of a block; None for as many as its information bits need

    def max_bits(self, code_rate: Fraction) -> int: ...
    def check(self, k: int, n: int) -> None: ...  # ValueError where there is no code of k bits in n
    def build(self, k: int, n: int, device: torch.device | str): ...


@dataclass(frozen=True)
class LdpcCode:
    """5G LDPC: at most 8448 information bits a block, 3840 at rate 1/4 and below."""

    iterations: int = ITERATIONS
    name = "ldpc"
    min_bits = MIN_BLOCK_BITS
    max_coded_bits = None

    def max_bits(self, code_rate: Fraction) -> int:
        return MAX_BLOCK_BITS_GRAPH_2 if code_rate <= GRAPH_2_RATE else MAX_BLOCK_BITS

    def check(self, k: int, n: int) -> None:
        if not MIN_BLOCK_BITS <= k <= MAX_BLOCK_BITS:
            raise ValueError(f"a code block of {k} information bits; allowed: {MIN_BLOCK_BITS} to {MAX_BLOCK_BITS}")
        if k > MAX_RATE * n:
            rate = f"rate {k / n:.3f}" if n else "impossible"
            raise ValueError(f"{k} information bits in {n} coded bits is {rate}; allowed: up to rate {MAX_RATE}")

    def build(self, k: int, n: int, device: torch.device | str) -> LDPC:
        return LDPC(k, n, device, self.iterations)


@dataclass(frozen=True)
class PolarCode:
    """5G polar: at most 1024 coded bits a block, of which 11 are the CRC inside the code."""

    decoder: Literal["hybrid", "scl", "sc"] = "hybrid"
    list_size: int = polar.LIST_SIZE
    name = "polar"
    min_bits = polar.MIN_BLOCK_BITS
    max_coded_bits = polar.MAX_CODED_BITS

    def max_bits(self, code_rate: Fraction) -> int:
        return polar.MAX_BLOCK_BITS

    def check(self, k: int, n: int) -> None:
        polar.check(k, n)

    def build(self, k: int, n: int, device: torch.device | str) -> polar.Polar:
        return polar.Polar(k, n, device, self.decoder, self.list_size)


@dataclass(frozen=True)
class Uncoded:
    """No code: hard decisions, and the CRC alone to tell whether all are right. Blocks as long as LDPC's."""

    name = "uncoded"
    min_bits = 1
    max_coded_bits = None

    def max_bits(self, code_rate: Fraction) -> int:
        return MAX_BLOCK_BITS

    def check(self, k: int, n: int) -> None:
        if k != n:
            raise ValueError(f"an uncoded block of {k} information bits in {n}; its rate is 1")

    def build(self, k: int, n: int, device: torch.device | str) -> _Decisions:
        return _Decisions(torch.device(device_name(device)))


class _Decisions:
    """The prepared `Uncoded`."""

    def __init__(self, device: torch.device):
        self.device = device

    def encode(self, bits: torch.Tensor) -> torch.Tensor:
        return bits.to(self.device, torch.uint8)

    def decode(self, llr: torch.Tensor) -> torch.Tensor:
        return self.decode_soft(llr)[0]

    def decode_soft(self, llr: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        llr = llr.detach().to(self.device)
        return (llr > 0).to(torch.uint8), llr


@dataclass(frozen=True)
class Segmentation:
    """How a frame is cut into code blocks: ``blocks`` of ``block_bits`` information and ``block_coded_bits`` coded bits."""

    blocks: int
    block_bits: int
    block_coded_bits: int


def segment(capacity_bits: int, code_rate: Fraction, bits_per_symbol: int, code: BlockCode = LdpcCode()) -> Segmentation:
    """The fewest equal code blocks, each of a whole number of symbols, that fill ``capacity_bits`` coded bits."""
    code_rate = Fraction(code_rate)
    blocks = max(1, math.ceil(math.floor(capacity_bits * code_rate) / code.max_bits(code_rate)))
    if code.max_coded_bits:
        symbols_a_block = code.max_coded_bits // bits_per_symbol
        blocks = max(blocks, math.ceil(capacity_bits // bits_per_symbol / symbols_a_block))
    coded = capacity_bits // bits_per_symbol // blocks * bits_per_symbol
    return Segmentation(blocks, math.floor(coded * code_rate), coded)


def interleave(coded: torch.Tensor, bits_per_symbol: int) -> torch.Tensor:
    """The bit interleaver of TS 38.212, 5.4.2.2, on the last axis of [B, n]: row in, column out."""
    return coded.unflatten(1, (bits_per_symbol, -1)).transpose(1, 2).reshape(coded.shape)


def deinterleave(llr: torch.Tensor, bits_per_symbol: int) -> torch.Tensor:
    """The inverse of `interleave`."""
    return llr.unflatten(1, (-1, bits_per_symbol)).transpose(1, 2).reshape(llr.shape)


@functools.lru_cache(maxsize=64)
def symbol_order(count: int) -> np.ndarray:
    """A fixed scrambled order of ``count`` symbols, int64: what is sent s-th is symbol order[s].

    No structure of the channel, such as streams that take turns, then meets one of the code: of a lifted code, whose
    checks repeat, every second symbol missing can be fatal where any half of them would do.
    """
    return np.random.Generator(np.random.Philox(key=7)).permutation(count)


def scramble_symbols(frame: torch.Tensor, bits_per_symbol: int) -> torch.Tensor:
    """The symbols of a frame in a fixed scrambled order, on the last axis of [B, n]; the bits of a symbol stay together."""
    order = torch.from_numpy(symbol_order(frame.shape[1] // bits_per_symbol)).to(frame.device)
    return frame.unflatten(1, (-1, bits_per_symbol))[:, order].flatten(1)


def unscramble_symbols(frame: torch.Tensor, bits_per_symbol: int) -> torch.Tensor:
    """The inverse of `scramble_symbols`."""
    place = torch.from_numpy(np.argsort(symbol_order(frame.shape[1] // bits_per_symbol))).to(frame.device)
    return frame.unflatten(1, (-1, bits_per_symbol))[:, place].flatten(1)


Interleaving = Literal["block", "frame", "none"]


class TransportBlock:
    """A frame of ``capacity_bits`` coded bits: payload, a CRC on each code block, a code, interleaving.

    The payload is cut into equal code blocks (LDPC: at most 8448 information bits each, 3840 at rate 1/4 and
    below; polar: at most 1024 coded bits each), each with its CRC. ``interleave``: with ``block`` the coded
    bits of a block are interleaved as in TS 38.212, 5.4.2.2, so that the systematic bits take the stronger
    bits of a QAM symbol; with ``frame`` the symbols of all blocks are then sent in a fixed scrambled order, so that each
    block meets all of the frame's fading and all streams; with ``none`` coded bits leave as the encoder made them. Where the blocks do not fill
    the frame, the last ``padding_bits`` (less than one symbol a block) repeat its beginning and are not
    looked at.

    ``payload_bits`` net, ``crc_bits``, ``blocks``, ``block_bits`` and ``padding_bits`` say where the frame goes.
    A frame has failed when any of its blocks has.

    Shapes: payload uint8 [B, payload_bits]; frame uint8 [B, capacity_bits]; LLRs float32 [B, capacity_bits].
    Raises: ValueError where the frame is too small for one payload bit beside its CRC.
    """

    def __init__(
        self,
        capacity_bits: int,
        code_rate: Fraction,
        bits_per_symbol: int,
        device: torch.device | str = "cpu",
        crc: str = "CRC24B",
        code: BlockCode = LdpcCode(),
        interleave: Interleaving = "block",
    ):
        if crc not in CRC_BITS:
            raise ValueError(f"there is no CRC '{crc}'; allowed: {', '.join(CRC_BITS)}")
        if capacity_bits % bits_per_symbol:
            raise ValueError(f"a frame of {capacity_bits} coded bits is not a whole number of symbols of {bits_per_symbol} bits")
        plan = segment(capacity_bits, code_rate, bits_per_symbol, code)
        needed = max(CRC_BITS[crc] + 1, code.min_bits)
        if plan.block_bits < needed:
            raise ValueError(
                f"a frame of {capacity_bits} coded bits at rate {code_rate} carries {plan.block_bits} bits, and a code block "
                f"with {crc} needs {needed}; grant at least {math.ceil(needed / Fraction(code_rate))} coded bits"
            )
        code.check(plan.block_bits, plan.block_coded_bits)
        self.capacity_bits, self.code_rate, self.bits_per_symbol = capacity_bits, Fraction(code_rate), bits_per_symbol
        self.device, self.code, self.interleave = torch.device(device_name(device)), code, interleave
        self.blocks, self.block_bits, self.block_coded_bits = plan.blocks, plan.block_bits, plan.block_coded_bits
        self.crc_bits = self.blocks * CRC_BITS[crc]
        self.payload_bits = self.blocks * self.block_bits - self.crc_bits
        self.padding_bits = capacity_bits - self.blocks * self.block_coded_bits
        self._crc_name = crc

    @functools.cached_property
    def _crc(self) -> CRC:
        return CRC(self._crc_name, self.block_bits - CRC_BITS[self._crc_name], self.device)

    @functools.cached_property
    def _code(self) -> LDPC | polar.Polar | _Decisions:
        return self.code.build(self.block_bits, self.block_coded_bits, self.device)

    def encode(self, bits: torch.Tensor) -> torch.Tensor:
        """The frame uint8 [B, capacity_bits] of a payload uint8 [B, payload_bits]."""
        if bits.ndim != 2 or bits.shape[1] != self.payload_bits:
            raise ValueError(f"the payload is {tuple(bits.shape)}; expected [B, {self.payload_bits}]")
        payload = bits.to(self.device).reshape(len(bits) * self.blocks, self.payload_bits // self.blocks)
        coded = self._code.encode(self._crc.append(payload))
        if self.interleave != "none":
            coded = interleave(coded, self.bits_per_symbol)
        frame = coded.reshape(len(bits), self.blocks * self.block_coded_bits)
        if self.interleave == "frame":
            frame = scramble_symbols(frame, self.bits_per_symbol)
        return torch.cat([frame, frame[:, : self.padding_bits]], dim=1)

    def decode(self, llr: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Payload uint8 [B, payload_bits] and the verdict of each block's CRC, bool [B, blocks]."""
        decoded = self._code.decode(self._received(llr))
        return self._payload(decoded, len(llr)), self._verdicts(decoded, len(llr))

    def decode_soft(self, llr: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """As `decode`, and LLRs float32 [B, payload_bits] of the payload; None of a code whose decoder has none (polar)."""
        if not hasattr(self._code, "decode_soft"):
            return *self.decode(llr), None
        decoded, soft = self._code.decode_soft(self._received(llr))
        return self._payload(decoded, len(llr)), self._verdicts(decoded, len(llr)), self._payload(soft, len(llr))

    def _received(self, llr: torch.Tensor) -> torch.Tensor:
        """LLRs [B blocks, block_coded_bits] in the order of the encoder."""
        if llr.ndim != 2 or llr.shape[1] != self.capacity_bits:
            raise ValueError(f"LLRs are {tuple(llr.shape)}; expected [B, {self.capacity_bits}]")
        sent = llr[:, : self.blocks * self.block_coded_bits]
        if self.interleave == "frame":
            sent = unscramble_symbols(sent, self.bits_per_symbol)
        sent = sent.reshape(len(llr) * self.blocks, self.block_coded_bits)
        return sent if self.interleave == "none" else deinterleave(sent, self.bits_per_symbol)

    def _payload(self, decoded: torch.Tensor, rows: int) -> torch.Tensor:
        return decoded[:, : -self._crc.length].reshape(rows, self.payload_bits)

    def _verdicts(self, decoded: torch.Tensor, rows: int) -> torch.Tensor:
        return self._crc.holds(decoded).reshape(rows, self.blocks)
