"""What a transmitter that knows the channel does with it: eigenmodes, and how much power each is worth."""

from __future__ import annotations

import lazy_loader as lazy

torch = lazy.load("torch")


def eigenmode_precoder(h: torch.Tensor, streams: int) -> torch.Tensor:
    """The ``streams`` strongest right singular vectors of h complex [..., Nr, Nt], complex [..., Nt, S], orthonormal.

    Sent along them, streams meet the gains s_1 >= s_2 >= ... and do not mix. A singular vector has a phase of its own
    choice; here its first element is real and not negative, so that machines agree.
    References: Telatar 1999, section 3.1; Tse, Viswanath 2005, section 7.1.1.
    """
    _, _, adjoint = torch.linalg.svd(h, full_matrices=False)
    v = adjoint.mH[..., :streams]
    first = v[..., :1, :]
    size = first.abs()
    return v * torch.where(size > 0, first.conj() / size, 1.0)


def water_filling(gains: torch.Tensor, noise_var: torch.Tensor) -> torch.Tensor:
    """Powers of sum 1, [..., S], that maximise the sum of log2(1 + p_i g_i / noise_var) for power gains g [..., S].

    p_i = max(0, level - noise_var / g_i). With gains in falling order the level over the m best modes is
    (1 + sum of their noise_var / g) / m; the largest m that leaves all of them power is used.
    Shapes: gains in any order, not negative; noise_var positive, broadcastable to [..., 1].
    References: Telatar 1999, section 3.1; Tse, Viswanath 2005, sections 5.3.3 and 7.1.1.
    """
    floor = (noise_var / gains.to(torch.float64)).clamp(max=1e300)  # a dead mode: a floor that no water reaches
    ordered, order = floor.sort(dim=-1)
    count = torch.arange(1, gains.shape[-1] + 1, device=gains.device)
    level = (1.0 + ordered.cumsum(dim=-1)) / count
    used = (level > ordered) & (ordered < 1e300)
    m = used.sum(dim=-1, keepdim=True).clamp(min=1)
    powers = torch.where(count <= m, (level.gather(-1, m - 1) - ordered).clamp(min=0.0), 0.0)
    powers = powers / powers.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
    return torch.zeros_like(powers).scatter(-1, order, powers)
