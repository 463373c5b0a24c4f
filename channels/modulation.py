"""Quadrature amplitude modulation: bits to symbols, and equalised symbols to log-likelihood ratios."""

from __future__ import annotations

import functools
import math

import lazy_loader as lazy

from channels._sionna import device_name, sionna_phy

torch = lazy.load("torch")

BITS_PER_SYMBOL = (1, 2, 4, 6, 8, 10)

#: Distances kept at a time while demapping; bounds memory to about 100 MB.
_DISTANCES = 2**21


class QAM:
    """BPSK (1 bit a symbol) or square, Gray-labelled M-QAM of unit average energy (2, 4, 6, 8, 10 bits).

    Labels are those of 3GPP TS 38.211 section 5.1, as Sionna has them: even bits choose I, odd bits Q, so
    the two dimensions are demapped apart, each with the exact (``app``) rule and not its max-log shortcut.
    Log-likelihood ratios are ln p(b=1|y) / p(b=0|y): positive means 1, as Sionna's decoders expect.

    Shapes: bits uint8 [B, n m]; symbols complex64 [B, n]; LLRs float32 [B, n m].
    """

    def __init__(self, bits_per_symbol: int, device: torch.device | str = "cpu"):
        if bits_per_symbol not in BITS_PER_SYMBOL:
            raise ValueError(f"{bits_per_symbol} bits a symbol; allowed: {', '.join(map(str, BITS_PER_SYMBOL))}")
        self.bits_per_symbol, self.device = bits_per_symbol, torch.device(device_name(device))
        self._mapper = _mapper(bits_per_symbol, str(self.device))
        self._pam_demapper = _pam_demapper(max(1, bits_per_symbol // 2), str(self.device))

    def modulate(self, bits: torch.Tensor) -> torch.Tensor:
        """Symbols complex64 [B, n] from bits uint8 [B, n m]."""
        if bits.ndim != 2 or bits.shape[1] % self.bits_per_symbol:
            raise ValueError(f"bits are {tuple(bits.shape)}; expected [B, n * {self.bits_per_symbol}]")
        return self._mapper.call(bits.to(self.device))

    def llrs(self, y: torch.Tensor, noise_var: torch.Tensor) -> torch.Tensor:
        """LLRs float32 [B, n m] of equalised symbols y complex64 [B, n].

        ``noise_var`` float32, [B, n] or broadcastable to it, is the variance of the complex noise after
        equalisation, sigma^2 / |h|^2; where it is inf, the LLRs are 0.
        """
        if y.ndim != 2 or not y.is_complex():
            raise ValueError(f"y is {y.dtype} {tuple(y.shape)}; expected complex64 [B, n]")
        y = y.detach().to(self.device)
        noise_var = torch.as_tensor(noise_var, dtype=torch.float32, device=self.device).expand(y.shape)
        rows = max(1, _DISTANCES // (y.shape[1] * 2 ** (self.bits_per_symbol // 2 + 1)))
        pieces = [self._demap(a, v) for a, v in zip(y.split(rows), noise_var.split(rows), strict=True)]
        return torch.cat(pieces) if pieces else y.new_zeros((0, y.shape[1] * self.bits_per_symbol), dtype=torch.float32)

    def _demap(self, y: torch.Tensor, noise_var: torch.Tensor) -> torch.Tensor:
        if self.bits_per_symbol == 1:
            return self._pam_demapper.call(torch.complex(y.real, torch.zeros_like(y.real)), noise_var)
        # A dimension of unit-energy QAM is PAM of energy 1/2; Sionna's PAM has energy 1: scale by sqrt(2).
        real = torch.view_as_real(y).mul(math.sqrt(2.0)).flatten(1)  # I0 Q0 I1 Q1 ...
        pam = self._pam_demapper.call(torch.complex(real, torch.zeros_like(real)), 2.0 * noise_var.repeat_interleave(2, dim=1))
        by_dimension = pam.reshape(len(y), y.shape[1], 2, self.bits_per_symbol // 2)
        return by_dimension.transpose(2, 3).flatten(1)  # I and Q bits alternate


@functools.cache
def _mapper(bits_per_symbol: int, device: str):
    kind = "pam" if bits_per_symbol == 1 else "qam"
    return sionna_phy().mapping.Mapper(kind, bits_per_symbol, device=device)


@functools.cache
def _pam_demapper(bits: int, device: str):
    return sionna_phy().mapping.Demapper("app", "pam", bits, device=device)
