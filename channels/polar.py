"""5G polar codes: successive cancellation, and lists where it fails."""

from __future__ import annotations

import functools
import math
import warnings
from typing import Literal

import lazy_loader as lazy

from channels._sionna import device_name, sionna_phy

torch = lazy.load("torch")

#: Information bits of the uplink code with its CRC11 (3GPP TS 38.212, 6.3.1.2.1, 6.3.1.3.1), and of the rate matching.
MIN_BLOCK_BITS, MAX_BLOCK_BITS = 20, 1013
#: A mother code of 1024 bits; a longer frame is several blocks, as repetition wins no coding gain.
MAX_CODED_BITS = 1024
#: Below this rate the mother code, at least 8 (k + 11) bits long, would be repeated more than once.
MIN_RATE = 1 / 16
CRC_BITS = 11
#: What 3GPP decoded its reference curves with (Bioglio, Condo, Land 2021, section VI).
LIST_SIZE = 8

#: Codewords decoded at a time: paths times codewords of LLRs at every level of the tree.
_BATCH = {"cpu": 200, "cuda": 5000}


def check(k: int, n: int) -> None:
    """ValueError where there is no code of k information bits in n coded bits."""
    if not MIN_BLOCK_BITS <= k <= MAX_BLOCK_BITS:
        raise ValueError(f"a polar block of {k} information bits; allowed: {MIN_BLOCK_BITS} to {MAX_BLOCK_BITS}")
    if not k + CRC_BITS <= n <= MAX_CODED_BITS or k < MIN_RATE * n:
        allowed = f"{k + CRC_BITS} (with its CRC11) to {min(MAX_CODED_BITS, math.floor(k / MIN_RATE))}"
        raise ValueError(f"a polar block of {k} information bits in {n} coded bits; allowed coded bits: {allowed}")


class Polar:
    """5G polar code of k information bits in n coded bits, with the CRC11 of the uplink inside the code.

    Encoder, rate matching and decoders are Sionna's. ``scl`` is CRC-aided successive cancellation of
    ``list_size`` paths, ``sc`` successive cancellation alone, ``hybrid`` decodes by ``sc`` and gives to ``scl``
    only the blocks whose CRC11 does not hold: in one of 2048 blocks that ``sc`` gets wrong, its CRC holds by
    chance and the list is not asked.

    Shapes: bits uint8 [B, k]; coded bits uint8 [B, n]; LLRs float32 [B, n], ln p(b=1) / p(b=0).
    References: 3GPP TS 38.212 sections 5.3.1, 5.4.1, 6.3.1; Arikan 2009; Tal, Vardy 2015; Bioglio, Condo, Land 2021.
    """

    def __init__(
        self,
        k: int,
        n: int,
        device: torch.device | str = "cpu",
        decoder: Literal["hybrid", "scl", "sc"] = "hybrid",
        list_size: int = LIST_SIZE,
    ):
        check(k, n)
        if list_size < 2 or list_size & (list_size - 1):
            raise ValueError(f"a list of {list_size} paths; allowed: powers of two from 2")
        if decoder not in ("hybrid", "scl", "sc"):
            raise ValueError(f"there is no polar decoder '{decoder}'; allowed: hybrid, scl, sc")
        self.k, self.n, self.decoder, self.list_size = k, n, decoder, list_size
        self.device = torch.device(device_name(device))
        self._encoder = _encoder(k, n, str(self.device))

    def encode(self, bits: torch.Tensor) -> torch.Tensor:
        """Coded bits uint8 [B, n] of information bits uint8 [B, k]."""
        if bits.ndim != 2 or bits.shape[1] != self.k:
            raise ValueError(f"bits are {tuple(bits.shape)}; expected [B, {self.k}]")
        if not len(bits):
            return torch.zeros((0, self.n), dtype=torch.uint8, device=self.device)
        with torch.no_grad():
            return self._encoder.call(bits.to(self.device, torch.float32)).to(torch.uint8)

    def decode(self, llr: torch.Tensor) -> torch.Tensor:
        """Information bits uint8 [B, k] from LLRs float32 [B, n]."""
        if llr.ndim != 2 or llr.shape[1] != self.n:
            raise ValueError(f"LLRs are {tuple(llr.shape)}; expected [B, {self.n}]")
        llr = llr.detach().to(self.device, torch.float32)
        bits = torch.zeros((len(llr), self.k), dtype=torch.uint8, device=self.device)
        waiting = torch.arange(len(llr), device=self.device)
        if self.decoder != "scl":
            bits, holds = self._run("sc", llr)
            waiting = waiting[~holds] if self.decoder == "hybrid" else waiting[:0]
        if len(waiting):
            bits[waiting] = self._run("scl", llr[waiting])[0]
        return bits

    def _run(self, which: str, llr: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Information bits uint8 [B, k], and whether the CRC11 holds, bool [B]."""
        decoder = _decoder(self.k, self.n, str(self.device), which, self.list_size if which == "scl" else 1)
        pieces = llr.split(_BATCH.get(self.device.type, _BATCH["cpu"]))
        with torch.no_grad():
            decoded = [decoder.call(piece) for piece in pieces if len(piece)]
        if not decoded:
            return torch.zeros((0, self.k), dtype=torch.uint8, device=self.device), torch.zeros(
                0, dtype=torch.bool, device=self.device
            )
        bits, holds = (torch.cat(pieces) for pieces in zip(*decoded, strict=True))
        return bits.to(torch.uint8), holds.to(torch.bool)


@functools.lru_cache(maxsize=64)
def _encoder(k: int, n: int, device: str):
    return sionna_phy().fec.polar.Polar5GEncoder(k, n, device=device, check_input=False)


@functools.lru_cache(maxsize=64)
def _decoder(k: int, n: int, device: str, which: str, list_size: int):
    with warnings.catch_warnings():  # that plain successive cancellation makes no use of the CRC: the list does
        warnings.simplefilter("ignore", UserWarning)
        return sionna_phy().fec.polar.Polar5GDecoder(
            _encoder(k, n, device), which.upper(), list_size, return_crc_status=True, device=device
        )
