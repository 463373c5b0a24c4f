"""Channel estimates from pilots, least squares or LMMSE: E[h | what they use] and its error variance."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Literal, Self
from weakref import WeakKeyDictionary

import lazy_loader as lazy
import numpy as np

from channels.base import Estimate, Layout, Propagation, Sounding

torch = lazy.load("torch")

Interpolation = Literal["nearest", "linear"]
#: Elements whose covariance with all pilots is held at once.
_AT_A_TIME = 1024
#: Plans kept for a channel: one for each layout and antenna of a sweep.
_KEPT = 32


def lmmse(sounding: Sounding, channel: Propagation) -> Estimate:
    """E[h | all pilots], from the channel's mean and covariance: for complex Gaussian h the mean of its posterior.

    h = m + C_ep (C_pp + s I)^-1 (z - m) with error variance C_ee - C_ep (C_pp + s I)^-1 C_pe, where z are the pilots as they
    arrived and s their noise variance. A line of sight of unknown phase (``channel.specular``) is estimated with it: given z its
    phase is von Mises, and the mean over it is a ratio of Bessel functions. Each antenna pair is estimated by itself.

    The noise of a row's pilots counts as their mean; pilots of infinite noise are left out.

    Shapes: h complex64 and error_var float32 [B, R, T, d] at the data elements.
    References: Kay 1993, theorem 11.1; Hoeher, Kaiser, Robertson 1997, the two-dimensional Wiener filter.
    """
    return _estimate(sounding, channel, "lmmse", lambda layout, pilots: _lmmse_plan(layout, pilots, channel))


def ls(sounding: Sounding, channel: Propagation, interpolation: Interpolation = "linear") -> Estimate:
    """E[h | h_LS], h_LS least squares at the pilots (y / x) and interpolated: in frequency at pilot symbols, then in time.

    Interpolation is linear or takes the nearest pilot; beyond the outermost pilot its value is held. h_LS = sum_i w_i z_i is
    not what a receiver may divide by: its error depends on it. Handed on is its scalar projection c / v h_LS,
    c = E[h conj(h_LS)], v = E|h_LS|^2, with the error variance C_ee - |c|^2 / v; a line of sight as in `lmmse`.

    Shapes: h complex64 and error_var float32 [B, R, T, d] at the data elements.
    References: Coleri, Ergen, Puri, Bahai 2002; Kay 1993, section 12.3.
    """
    return _estimate(
        sounding, channel, f"ls {interpolation}", lambda layout, pilots: _ls_plan(layout, pilots, channel, interpolation)
    )


def _estimate(sounding: Sounding, channel: Propagation, name: str, make: Callable[[Layout, np.ndarray], _Plan]) -> Estimate:
    layout, seen = sounding.layout, sounding.seen
    rows, receive, _ = seen.shape
    mean = channel.mean(layout.grid)
    shape = (rows * receive, sounding.transmit, len(layout.data))
    h = torch.empty(shape, dtype=torch.complex64, device=seen.device)
    error = torch.empty(shape, dtype=torch.float32, device=seen.device)
    noise_var = sounding.noise_var.expand(seen.shape)
    for antenna in range(sounding.transmit):
        mine = np.flatnonzero(sounding.antenna == antenna)
        if not len(mine):
            raise ValueError(f"transmit antenna {antenna} of {sounding.transmit} sent no pilot; give more pilots than antennas")
        index = torch.from_numpy(mine).to(seen.device)
        z, noise = (a[..., index].flatten(0, 1) for a in (seen - mean, noise_var))  # [B R, p]
        pilots = layout.pilots[mine]
        whole = noise.isfinite().all(dim=1)
        if bool(whole.all()):
            plan = _kept(channel, (name, *_key(channel, layout, pilots), seen.device), lambda p=pilots: make(layout, p).to(seen.device))
            h[:, antenna], error[:, antenna] = plan.solve(z, noise.double().mean(dim=1))
            continue
        for pattern in torch.unique(noise.isfinite(), dim=0):  # rows that lost the same pilots
            at = (noise.isfinite() == pattern).all(dim=1)
            if bool(pattern.any()):
                plan = make(layout, pilots[pattern.cpu().numpy()]).to(seen.device)
                h[at, antenna], error[at, antenna] = plan.solve(z[at][:, pattern], noise[at][:, pattern].double().mean(dim=1))
            else:  # nothing was observed
                prior = _prior(channel, layout, layout.data) + np.abs(_specular(channel, layout)[layout.data]) ** 2
                h[at, antenna], error[at, antenna] = 0.0, torch.from_numpy(prior).to(error)
    shape = (rows, receive, *shape[1:])
    return Estimate((h + mean).reshape(shape), error.clamp_(min=0.0).reshape(shape))


# --- the posterior of a Gaussian h beside a line of sight of unknown phase ------------------------------------


@dataclass(frozen=True)
class _Plan:
    """What of an estimator depends on neither observation nor noise; ``solve`` takes z [N, p] and noise variances [N].

    Subclasses give the linear estimator in coordinates in which the covariance of what is observed is diagonal.
    """

    specular: torch.Tensor | None  # [E], None without

    def to(self, device: torch.device) -> Self:
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: value.to(device) for name, value in moved.items() if value is not None})

    def solve(self, z: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(E[h | z] complex64, error variance float32), [N, E]."""
        level, which = torch.unique(noise, return_inverse=True)
        error = self.error(level)[which]  # [N, E]
        if self.specular is None:
            return self.linear(z, noise), error.float()
        turn, sharp = self.phase(z, noise)  # [N, E] or [N, 1]: unit numbers, and |E[e^{j phase} | z]|
        mean = sharp * turn
        h, of_line = self.linear(z, noise), self.line(noise)  # the estimate that a line of sight of phase 0 would give
        left = self.specular.to(of_line) - of_line
        return (h + mean * left).to(torch.complex64), (error + left.abs().square() * (1.0 - sharp.square())).float()

    def linear(self, z: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """C_eo (C_oo + noise)^-1 z, complex64 [N, E]."""
        raise NotImplementedError

    def line(self, noise: torch.Tensor) -> torch.Tensor:
        """`linear` of the line of sight itself."""
        raise NotImplementedError

    def error(self, noise: torch.Tensor) -> torch.Tensor:
        """Error variance of `linear`, float64 [N, E], at noise variances [N]."""
        raise NotImplementedError

    def phase(self, z: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Posterior of the line of sight's phase: its direction, and its mean resultant length."""
        raise NotImplementedError


def _von_mises(s: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """p(phase) ~ exp(2 Re(s e^{-j phase})): mean direction s / |s| and resultant length I1(2|s|) / I0(2|s|)."""
    size = s.abs()
    turn = torch.where(size > 0, s / size.clamp(min=torch.finfo(size.dtype).tiny), 1.0)
    return turn, torch.special.i1e(2.0 * size) / torch.special.i0e(2.0 * size)


# --- LMMSE ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Dense(_Plan):
    """Eigenvectors of the pilots' covariance: C_pp = U diag(values) U^H, spread = C_ep U."""

    values: torch.Tensor  # float64 [p]
    basis: torch.Tensor  # U, complex64 [p, p]
    spread: torch.Tensor  # complex64 [E, p]
    prior: torch.Tensor  # float64 [E]
    line_seen: torch.Tensor  # U^H m at the pilots, complex128 [p]

    def _shrink(self, noise: torch.Tensor) -> torch.Tensor:
        return 1.0 / (self.values + noise[:, None])

    def linear(self, z: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return (self._shrink(noise) * (z @ self.basis.conj())).to(torch.complex64) @ self.spread.T

    def line(self, noise: torch.Tensor) -> torch.Tensor:
        return (self._shrink(noise) * self.line_seen).to(torch.complex64) @ self.spread.T

    def error(self, noise: torch.Tensor) -> torch.Tensor:
        return self.prior - self._shrink(noise) @ self.spread.abs().double().square().T

    def phase(self, z: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        projected = (z @ self.basis.conj()).to(torch.complex128)
        return _von_mises((self._shrink(noise) * self.line_seen.conj() * projected).sum(dim=1, keepdim=True))


@dataclass(frozen=True)
class _Separable(_Plan):
    """The same where the covariance is a Kronecker product over time and frequency, and pilots are a product of both too."""

    times: _Dense
    tones: _Dense
    data: torch.Tensor  # elements asked for, of all times x tones
    line_seen: torch.Tensor  # U^H m, [p_t, p_f]

    def _shrink(self, noise: torch.Tensor) -> torch.Tensor:  # [N, p_t, p_f]
        return 1.0 / (self.times.values[:, None] * self.tones.values + noise[:, None, None])

    def _projected(self, z: torch.Tensor) -> torch.Tensor:
        grid = z.unflatten(1, (len(self.times.values), len(self.tones.values)))
        return self.times.basis.mH @ grid @ self.tones.basis.conj()

    def _spread(self, values: torch.Tensor) -> torch.Tensor:
        grid = self.times.spread @ values.to(torch.complex64) @ self.tones.spread.T
        return grid.flatten(1)[:, self.data]

    def linear(self, z: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return self._spread(self._shrink(noise) * self._projected(z))

    def line(self, noise: torch.Tensor) -> torch.Tensor:
        return self._spread(self._shrink(noise) * self.line_seen)

    def error(self, noise: torch.Tensor) -> torch.Tensor:
        times, tones = (plan.spread.abs().double().square() for plan in (self.times, self.tones))
        gained = (times @ self._shrink(noise) @ tones.T).flatten(1)
        return ((self.times.prior[:, None] * self.tones.prior).flatten() - gained)[:, self.data]

    def phase(self, z: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        s = self._shrink(noise) * self.line_seen.conj() * self._projected(z).to(torch.complex128)
        return _von_mises(s.sum(dim=(1, 2))[:, None])


def _lmmse_plan(layout: Layout, pilots: np.ndarray, channel: Propagation) -> _Plan:
    line, specular = _specular(channel, layout), None
    if line.any():
        specular = torch.from_numpy(line[layout.data])
    product = _product(pilots, len(layout.grid.tones))
    if product is None or not hasattr(channel, "scattered"):
        covariance = _scattered(channel, layout, line)
        chunks = np.split(layout.data, range(_AT_A_TIME, len(layout.data), _AT_A_TIME))
        return _decomposed(
            covariance(pilots, pilots),
            lambda basis: np.concatenate([covariance(chunk, pilots) @ basis for chunk in chunks]),
            _prior(channel, layout, layout.data),
            line[pilots],
            specular,
        )
    parts = []
    sizes = layout.grid.times, len(layout.grid.tones)
    for factor, at, size in zip(channel.scattered(layout.grid), product, sizes, strict=True):
        every, variance = np.arange(size), factor(at[:1], at[:1])[0, 0].real
        part = _decomposed(
            factor(at, at),
            lambda basis, f=factor, e=every, a=at: f(e, a) @ basis,
            np.full(size, variance),
            np.zeros(len(at)),
            None,
        )
        parts.append(part)
    times, tones = parts
    seen = torch.from_numpy(line[pilots].reshape(len(product[0]), -1))
    seen = times.basis.to(seen).mH @ seen @ tones.basis.to(seen).conj()
    return _Separable(specular, times, tones, torch.from_numpy(layout.data), seen)


def _decomposed(
    covariance: np.ndarray,
    spread: Callable[[np.ndarray], np.ndarray],
    prior: np.ndarray,
    line: np.ndarray,
    specular: torch.Tensor | None,
) -> _Dense:
    values, basis = np.linalg.eigh(covariance)
    return _Dense(
        specular,
        torch.from_numpy(np.maximum(values, 0.0)),
        torch.from_numpy(basis).to(torch.complex64),
        torch.from_numpy(spread(basis)).to(torch.complex64),
        torch.from_numpy(np.ascontiguousarray(prior)),
        torch.from_numpy(basis.conj().T @ line.astype(complex)),
    )


# --- least squares --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Interpolated(_Plan):
    """h_LS = sum_k weight[e, k] z[pilot[e, k]], and its moments with h and itself."""

    pilot: torch.Tensor  # int64 [E, 4]
    weight: torch.Tensor  # float32 [E, 4]
    cross: torch.Tensor  # E[h conj(h_LS)], complex128 [E]
    power: torch.Tensor  # E|h_LS|^2 without noise, float64 [E]
    prior: torch.Tensor  # float64 [E]
    line_seen: torch.Tensor  # of h_LS, complex128 [E]

    def _variance(self, noise: torch.Tensor) -> torch.Tensor:
        return self.power + noise[:, None] * self.weight.double().square().sum(dim=1)

    def _least_squares(self, z: torch.Tensor) -> torch.Tensor:
        return sum(z[:, self.pilot[:, k]] * self.weight[:, k] for k in range(self.pilot.shape[1]))

    def linear(self, z: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return (self.cross / self._variance(noise)).to(torch.complex64) * self._least_squares(z)

    def line(self, noise: torch.Tensor) -> torch.Tensor:
        return (self.cross / self._variance(noise) * self.line_seen).to(torch.complex64)

    def error(self, noise: torch.Tensor) -> torch.Tensor:
        return self.prior - self.cross.abs().square() / self._variance(noise)

    def phase(self, z: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return _von_mises(self.line_seen.conj() * self._least_squares(z) / self._variance(noise))


def _ls_plan(layout: Layout, pilots: np.ndarray, channel: Propagation, interpolation: Interpolation) -> _Interpolated:
    line = _specular(channel, layout)
    covariance = _scattered(channel, layout, line)
    pilot, weight = _weights(layout, pilots, interpolation)
    among = covariance(pilots, pilots)
    power = np.einsum("ek,el,ekl->e", weight, weight, among[pilot[:, :, None], pilot[:, None, :]]).real
    cross = np.empty(len(layout.data), dtype=complex)
    for start in range(0, len(layout.data), _AT_A_TIME):
        at = slice(start, start + _AT_A_TIME)
        with_pilots = covariance(layout.data[at], pilots)
        cross[at] = (np.take_along_axis(with_pilots, pilot[at], axis=1) * weight[at]).sum(axis=1)
    return _Interpolated(
        torch.from_numpy(line[layout.data]) if line.any() else None,
        torch.from_numpy(pilot),
        torch.from_numpy(weight).float(),
        torch.from_numpy(cross),
        torch.from_numpy(power),
        torch.from_numpy(_prior(channel, layout, layout.data)),
        torch.from_numpy((line[pilots][pilot] * weight).sum(axis=1)),
    )


def _weights(layout: Layout, pilots: np.ndarray, interpolation: Interpolation) -> tuple[np.ndarray, np.ndarray]:
    """Places in ``pilots`` [E, 4] and weights [E, 4] of each data element: two pilot symbols, two pilots in each."""
    tones = np.asarray(layout.grid.tones)
    time, tone = np.divmod(layout.data, len(tones))
    pilot_time, pilot_tone = np.divmod(pilots, len(tones))
    steps = np.unique(pilot_time)
    places, weights = np.empty((len(time), 4), dtype=np.int64), np.empty((len(time), 4))
    for side, (step, share) in enumerate(_between(time, steps, interpolation)):
        for at, step_time in enumerate(steps):
            here, mine = np.flatnonzero(step == at), np.flatnonzero(pilot_time == step_time)
            for other, (near, part) in enumerate(_between(tones[tone[here]], tones[pilot_tone[mine]], interpolation)):
                places[here, 2 * side + other] = mine[near]
                weights[here, 2 * side + other] = share[here] * part
    return places, weights


def _between(x: np.ndarray, points: np.ndarray, interpolation: Interpolation) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """The two of the rising ``points`` around each x, as (index, weight); beyond the ends the outermost counts alone."""
    after = np.clip(np.searchsorted(points, x), 1, max(1, len(points) - 1))
    after, before = np.minimum(after, len(points) - 1), after - 1
    gap = np.maximum(points[after] - points[before], 1)
    share = np.clip((x - points[before]) / gap, 0.0, 1.0)
    if interpolation == "nearest":
        share = (share > 0.5).astype(float)
    return (before, 1.0 - share), (after, share)


# --- what a channel says of itself ----------------------------------------------------------------------------


def _specular(channel: Propagation, layout: Layout) -> np.ndarray:
    """The line of sight of unknown phase at each element, complex [E]; zeros without."""
    line = channel.specular(layout.grid) if hasattr(channel, "specular") else None
    return np.zeros(layout.grid.elements, dtype=complex) if line is None else line


def _scattered(channel: Propagation, layout: Layout, line: np.ndarray) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The covariance of elements a and b without the line of sight of unknown phase, which `covariance` holds."""
    return lambda a, b: channel.covariance(layout.grid, a, b) - np.outer(line[a], line[b].conj())


def _prior(channel: Propagation, layout: Layout, elements: np.ndarray) -> np.ndarray:
    """Variance of each element beside mean and line of sight, float64: a stationary channel has one for all."""
    first = np.zeros(1, dtype=np.int64)
    variance = channel.covariance(layout.grid, first, first)[0, 0].real
    return np.full(len(elements), variance) - np.abs(_specular(channel, layout)[elements]) ** 2


def _product(pilots: np.ndarray, tones: int) -> tuple[np.ndarray, np.ndarray] | None:
    """(times, tones) whose product the pilots are; None where they are no such grid."""
    time, tone = np.divmod(pilots, tones)
    steps, comb = np.unique(time), np.unique(tone)
    if len(steps) * len(comb) != len(pilots):
        return None
    return (steps, comb) if np.array_equal(np.add.outer(steps * tones, comb).ravel(), pilots) else None


# --- plans are made once ----------------------------------------------------------------------------------------

_plans: WeakKeyDictionary[object, OrderedDict] = WeakKeyDictionary()
_lock = threading.Lock()


def _key(channel: Propagation, layout: Layout, pilots: np.ndarray) -> tuple[object, ...]:
    """When a burst begins matters to coherence blocks alone; all else is stationary."""
    block = getattr(channel, "coherence", None)
    start = layout.grid.start * len(layout.grid.tones) % block if block else 0
    return start, replace(layout.grid, start=0), pilots.tobytes(), layout.data.tobytes()


def _kept(channel: Propagation, key: tuple[object, ...], make: Callable[[], _Plan]) -> _Plan:
    with _lock:
        plans = _plans.setdefault(channel, OrderedDict())
        if key in plans:
            plans.move_to_end(key)
            return plans[key]
    plan = make()
    with _lock:
        plans[key] = plan
        while len(plans) > _KEPT:
            plans.popitem(last=False)
    return plan
