"""The delay profiles of 3GPP TR 38.901 as Sionna keeps them, and its rays of a clustered delay line."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import lazy_loader as lazy
import numpy as np

from channels._sionna import sionna_phy
from channels.base import Draw
from channels.multipath import SPEED_OF_LIGHT, Multipath

torch = lazy.load("torch")

#: Largest delay of each profile over its RMS delay spread (TR 38.901, tables 7.7.2-1 to -5 and 7.7.1-1 to -5);
#: known without loading Sionna, so that a description can be refused at once. CDL-E ends at 20.6419.
LONGEST = {"A": 9.6586, "B": 4.7834, "C": 8.6523, "D": 12.525, "E": 20.6519}
#: The line of sight of TDL-D and TDL-E has its Doppler peak at this share of the largest shift (7.7.2).
LOS_DOPPLER_SHARE = 0.7
RAYS_OF_A_CLUSTER = 20


@dataclass(frozen=True)
class Profile:
    """A power delay profile: ``delays`` [P] over the RMS delay spread, ``powers`` [P] of the scattered paths, and the
    power ``los`` of a line of sight on the first path; all powers together are 1."""

    delays: np.ndarray
    powers: np.ndarray
    los: float = 0.0

    @property
    def total(self) -> np.ndarray:
        """Power of each path, its line of sight included."""
        return self.powers + self.los * (np.arange(len(self.powers)) == 0)

    @property
    def k_factor(self) -> float:
        """Power of the line of sight over that of the scattered waves of the first path."""
        return self.los / float(self.powers[0])


@functools.cache
def tdl_profile(name: str) -> Profile:
    """TDL-``name`` of TR 38.901 V19.2, tables 7.7.2-1 to -5."""
    model = sionna_phy().channel.tr38901.TDL(name, delay_spread=1.0, carrier_frequency=1e9, precision="double", device="cpu")
    los = float(model.mean_power_los) if model.los else 0.0
    powers = model.mean_powers.cpu().numpy().astype(float)
    powers[0] -= los
    return Profile(model.delays.cpu().numpy().astype(float), powers, los)


@dataclass(frozen=True)
class Clusters:
    """A clustered delay line: powers and delays as in `Profile`, angles in radian [P, 20] of departure and arrival
    (azimuth, zenith), those of the line of sight [4], and the cross-polarisation ratio."""

    profile: Profile
    angles: np.ndarray  # [4, P, 20]: aod, aoa, zod, zoa
    los_angles: np.ndarray | None
    cross_polarisation: float


@functools.cache
def cdl_clusters(name: str) -> Clusters:
    """CDL-``name`` of TR 38.901 V19.2, tables 7.7.1-1 to -5, with the ray offsets of equation 7.7-0a, downlink."""
    tr38901 = sionna_phy().channel.tr38901
    array = _array(1, 1e9)
    model = tr38901.CDL(name, 1.0, 1e9, ut_array=array, bs_array=array, precision="double", device="cpu")
    # One ray a cluster and no time: the tables are attributes that Sionna does not publish.
    k = float(model._k_factor)
    profile = Profile(model._delays.numpy().astype(float), model._powers.numpy().astype(float) / (1.0 + k), k / (1.0 + k))
    angles = np.stack([getattr(model, f"_{a}").numpy().astype(float) for a in ("aod", "aoa", "zod", "zoa")])
    los = np.array([float(getattr(model, f"_los_{a}")) for a in ("aod", "aoa", "zod", "zoa")]) if k else None
    return Clusters(profile, angles, los, float(model._xpr))


def _array(antennas: int, carrier: float, spacing: float = 0.5):
    """A uniform linear array of vertically polarised omnidirectional antennas, ``spacing`` wavelengths apart."""
    return sionna_phy().channel.tr38901.PanelArray(
        num_rows_per_panel=1,
        num_cols_per_panel=antennas,
        polarization="single",
        polarization_type="V",
        antenna_pattern="omni",
        carrier_frequency=carrier,
        element_horizontal_spacing=spacing,
        precision="double",
        device="cpu",
    )


@dataclass(frozen=True)
class CDLDraw:
    """What is random in CDL transmissions: the ray coupling [U, 4, P, 20] (a permutation of each cluster's angles), phases
    [U, P, 20, 4] of the polarisation pairs, the line of sight's phase [U] and the direction of travel [U], radian."""

    coupling: np.ndarray
    phases: np.ndarray
    los_phase: np.ndarray
    heading: np.ndarray


def draw_cdl(draws: Sequence[Draw], paths: int) -> CDLDraw:
    """One row a transmission, each from its own stream; neither delay spread nor speed nor antennas enter."""
    shape = (len(draws), paths, RAYS_OF_A_CLUSTER)
    keys, phases, two = np.empty((len(draws), 4, *shape[1:])), np.empty((*shape, 4)), np.empty((len(draws), 2))
    for row, draw in enumerate(draws):
        two[row], keys[row], phases[row] = draw.rng.random(2), draw.rng.random(keys.shape[1:]), draw.rng.random(phases.shape[1:])
    turn = 2.0 * math.pi
    return CDLDraw(np.argsort(keys, axis=-1), turn * phases - math.pi, turn * two[:, 0], turn * two[:, 1])


def cdl_multipath(
    clusters: Clusters,
    drawn: CDLDraw,
    delay_spread: float,
    carrier: float,
    speed: float,
    antennas: tuple[int, int] = (1, 1),
    spacing: float = 0.5,
) -> Multipath:
    """Waves of CDL transmissions (TR 38.901, 7.7.1 and equations 7.5-22, 7.5-29): fields and arrays by Sionna, each ray apart.

    Sionna sums the rays of a cluster at given times. Handed each ray as a cluster of one, at time 0, it gives the ray's
    amplitude; its Doppler shift is the receiver's velocity along its direction of arrival. The line of sight is one more ray.

    Units: ``delay_spread`` s, ``carrier`` Hz, ``speed`` m/s, horizontal; ``spacing`` wavelengths.
    """
    tr38901, profile = sionna_phy().channel.tr38901, clusters.profile
    rows, paths, rays = drawn.phases.shape[:3]
    # coupled angles and power of each ray, [rows, 4, P * 20 (+ 1)]
    angles = np.take_along_axis(np.broadcast_to(clusters.angles, (rows, 4, paths, rays)), drawn.coupling, axis=-1)
    angles = angles.reshape(rows, 4, paths * rays)
    phases = drawn.phases.reshape(rows, paths * rays, 4)
    powers = np.repeat(profile.powers / rays, rays)
    ratio = np.full(paths * rays, clusters.cross_polarisation)
    if profile.los:
        angles = np.concatenate([angles, np.broadcast_to(clusters.los_angles[:, None], (rows, 4, 1))], axis=-1)
        los = drawn.los_phase[:, None, None] + np.array([0.0, 0.0, 0.0, math.pi])  # diag(1, -1), equation 7.5-29
        phases = np.concatenate([phases, los], axis=1)
        powers, ratio = np.append(powers, profile.los), np.append(ratio, np.inf)
    amplitude = _ray_amplitudes(tr38901, angles, phases, powers, ratio, carrier, antennas, spacing)
    aoa, zoa = angles[:, 1], angles[:, 3]
    doppler = speed * carrier / SPEED_OF_LIGHT * np.sin(zoa) * np.cos(aoa - drawn.heading[:, None])
    return Multipath(
        _by_path(amplitude, paths, rays),
        _by_path(torch.from_numpy(doppler), paths, rays),
        torch.from_numpy(profile.delays * delay_spread),
    )


def _by_path(values: torch.Tensor, paths: int, rays: int) -> torch.Tensor:
    """[..., P, S] from [..., P * rays (+ 1)]: the line of sight is one more wave of the first path, and 0 on the others."""
    split = values[..., : paths * rays].unflatten(-1, (paths, rays))
    if values.shape[-1] == paths * rays:
        return split
    last = torch.zeros((*split.shape[:-1], 1), dtype=values.dtype)
    last[..., 0, 0] = values[..., -1]
    return torch.cat([split, last], dim=-1)


def _ray_amplitudes(tr38901, angles, phases, powers, ratio, carrier, antennas, spacing) -> torch.Tensor:
    """Amplitude of each ray at time 0, complex128 [U, nr, nt, R], by Sionna's generator of coefficients."""
    receive, transmit = antennas
    rows, _, count = angles.shape
    generator = tr38901.ChannelCoefficientsGenerator(
        carrier,
        tx_array=_array(transmit, carrier, spacing),
        rx_array=_array(receive, carrier, spacing),
        subclustering=False,
        precision="double",
        device="cpu",
    )

    def each(values: np.ndarray) -> torch.Tensor:  # [U, tx = 1, rx = 1, clusters = R, rays = 1]
        return torch.from_numpy(np.broadcast_to(values, (rows, count)).copy()).reshape(rows, 1, 1, count, 1)

    aod, aoa, zod, zoa = (each(angles[:, i]) for i in range(4))
    rising = torch.arange(count, dtype=torch.float64).expand(rows, 1, 1, count)  # in place of delays, by which Sionna sorts
    rays = tr38901.Rays(
        delays=rising,
        powers=each(powers)[..., 0],
        aoa=aoa,
        aod=aod,
        zoa=zoa,
        zod=zod,
        xpr=each(ratio),
        phases=torch.from_numpy(phases).reshape(rows, 1, 1, count, 1, 4),
    )
    nothing = torch.zeros((rows, 1, 1), dtype=torch.float64)
    facing = torch.tensor([math.pi, 0.0, 0.0], dtype=torch.float64).expand(rows, 1, 3)  # the receiver faces the transmitter
    topology = tr38901.Topology(
        velocities=torch.zeros((rows, 1, 3), dtype=torch.float64),
        moving_end="rx",
        los_aoa=nothing,
        los_aod=nothing,
        los_zoa=nothing,
        los_zod=nothing,
        los=nothing.bool(),
        distance_3d=nothing,
        tx_orientations=torch.zeros((rows, 1, 3), dtype=torch.float64),
        rx_orientations=facing,
    )
    h, _ = generator(num_time_samples=1, sampling_frequency=1.0, k_factor=nothing, rays=rays, topology=topology)
    return h[:, 0, 0, :, :, :, 0].permute(0, 2, 3, 1).contiguous()  # [U, R, nr, nt] -> [U, nr, nt, R]
