"""Impulse responses traced by Sionna RT between two positions of a scene."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

import lazy_loader as lazy
import numpy as np
from pydantic import Field, model_validator

from channels.base import ChannelDescription, Draw
from channels.coherence import delay_conflict, pilot_conflict
from channels.impulse_response import INTERPRETER, ImpulseResponse, Request, digest, trace, tracer
from channels.jakes import jakes_correlation
from channels.multipath import Multipath, doppler_hz
from channels.propagation import MultipathChannel, OverTime

torch = lazy.load("torch")


class RayTraced(ChannelDescription):
    """Paths that Sionna RT traces between two positions of a scene, kept in a file that is enough by itself.

    H(t, f) = sum_p a_p exp(j phi_p) exp(j 2 pi nu_p t) exp(-j 2 pi f tau_p): gains, delays and directions are the
    traced ones. The receiver stands anywhere within some wavelengths of its position: phases phi_p are uniform and independent,
    a draw each; it moves horizontally in a random direction, from which each path has its Doppler shift nu_p. Gains are scaled to
    total power 1, so that SNR is the average at the receive antenna, as for every channel; delays count from the first path.
    Antennas are uniform linear arrays along y. It needs ``ofdm`` before it in the chain.

    A `file` that exists is used as it is; with `scene` it must hold that scene and those positions. Else the scene is traced, in
    a process of its own, and the file is written. That needs Sionna RT and an LLVM that Dr.Jit can use (19; 14 to 16 are not
    found or abort the process). Best is an environment for it alone, with two variables that name it::

        apt-get install libllvm19
        python -m venv rt && rt/bin/pip install "sionna-rt>=2.2"
        export SIONNA_RT_PYTHON=$PWD/rt/bin/python DRJIT_LIBLLVM_PATH=/usr/lib/x86_64-linux-gnu/libLLVM.so.19.1

    In semcom's own environment it is the extra ``ray-tracing``; plain ``sionna-rt`` beside ``sionna-no-rt`` replaces its
    ``sionna/__init__.py``, and every import of ``sionna.phy`` then starts Dr.Jit.

    Shapes: H complex64 [U, R, T, E] on the elements of an OFDM grid.
    References: Aoudia et al. 2025, Sionna RT technical report; Tse, Viswanath 2005, section 2.2.

    Example::

        channel:
          - {kind: ofdm}
          - {kind: ray_traced, file: munich.npz, scene: munich, transmitter: [8.5, 21, 27], receiver: [44, 95, 1.5]}
    """

    STAGE: ClassVar = "propagation"
    kind: Literal["ray_traced"] = "ray_traced"
    file: str = Field(description="file of the impulse response (.npz); written where it does not exist yet")
    scene: str | None = Field(
        None, description="a scene that Sionna RT ships, such as munich, or a scene file; null: what the file holds"
    )
    transmitter: tuple[float, float, float] | None = Field(None, description="position of the transmitter in the scene, m")
    receiver: tuple[float, float, float] | None = Field(None, description="position of the receiver in the scene, m")
    max_depth: int = Field(5, ge=0, le=20, description="interactions (reflections, refractions) that a path may have")
    carrier_ghz: float = Field(3.5, gt=0.0, le=100.0, description="carrier frequency, GHz")
    speed_kmh: float = Field(0.0, ge=0.0, le=1000.0, description="speed of the receiver, km/h")
    antenna_spacing: float = Field(
        0.5, gt=0.0, le=100.0, description="distance of neighbouring antennas of an array, wavelengths"
    )
    domain: Literal["frequency", "time"] = Field(
        "frequency", description="frequency: one gain an element; time: every sample, with what elements then do to each other"
    )

    @model_validator(mode="after")
    def _scene_has_positions(self) -> RayTraced:
        given = [self.scene, self.transmitter, self.receiver]
        if any(value is None for value in given) and any(value is not None for value in given):
            raise ValueError("scene, transmitter and receiver belong together; give all three, or a file alone")
        return self

    @property
    def _request(self) -> Request | None:
        if self.scene is None:
            return None
        return Request(self.scene, self.transmitter, self.receiver, self.carrier_ghz, self.max_depth)

    def identity(self) -> dict:
        """Without the file's name: a traced scene is known by its parameters, a file alone by its content."""
        identity = super().identity()
        path = Path(identity.pop("file"))
        if self.scene is None:
            identity["digest"] = digest(path) if path.is_file() else None
        return identity

    #: what makes its gains other than complex Gaussian, in words
    not_gaussian: ClassVar[str] = "few paths of fixed strength"

    def conflict(self, stages: Sequence[ChannelDescription]) -> str | None:
        """A file that is not there yet is no conflict: a scenario is read on other machines than it runs on."""
        path, longest = Path(self.file), 0.0
        if path.is_file():
            try:
                longest = float(self._checked(ImpulseResponse.read(path)).delays.max())
            except ValueError as error:
                return str(error)
        doppler = doppler_hz(self.speed_kmh, self.carrier_ghz)
        return delay_conflict(self.kind, longest, self.domain, stages) or pilot_conflict(self.kind, longest, doppler, stages)

    def assumed(self) -> tuple[str, ...]:
        return ("symbol timing and carrier synchronisation",)

    def build(self, device: str = "cpu") -> RayTracedChannel:
        """Raises: ValueError where the file neither exists nor can be traced, or holds something else."""
        path = Path(self.file)
        if not path.is_file():
            self._trace(path)
        cls = RayTracedChannel if self.domain == "frequency" else RayTracedOverTime
        return cls(self._checked(ImpulseResponse.read(path)), doppler_hz(self.speed_kmh, self.carrier_ghz), self.antenna_spacing)

    def _trace(self, path: Path) -> None:
        if self.scene is None:
            raise ValueError(
                f"there is no file '{self.file}' of impulse responses; give one, or scene, transmitter and receiver to trace it"
            )
        command = tracer()
        if command is None:
            raise ValueError(
                f"channel 'ray_traced' would trace scene '{self.scene}' into '{self.file}', which does not exist, and Sionna RT is "
                f"not installed: set {INTERPRETER} to the Python of an environment that has sionna-rt, or pip install "
                f"'semcom[ray-tracing]', or give a file that was traced elsewhere"
            )
        trace(self._request, path, command)

    def _checked(self, response: ImpulseResponse) -> ImpulseResponse:
        if self.scene is not None and response.request != self._request:
            raise ValueError(
                f"'{self.file}' holds the paths of {response.request}, and {self._request} is asked for; "
                f"name another file, or delete it"
            )
        return response


class RayTracedChannel(MultipathChannel):
    """Traced paths with random phases, each a plane wave at both arrays."""

    def __init__(self, response: ImpulseResponse, max_doppler: float, spacing: float):
        super().__init__(response.delays, np.abs(response.gains) ** 2, max_doppler)
        self._response, self._spacing = response, spacing

    def multipath(self, antennas: tuple[int, int], draws: Sequence[Draw]) -> Multipath:
        paths, (receive, transmit) = len(self.delays), antennas
        drawn = np.stack([draw.rng.random(1 + paths) for draw in draws]) if draws else np.empty((0, 1 + paths))
        heading, phase = 2.0 * math.pi * drawn[:, :1], 2.0 * math.pi * drawn[:, 1:]
        azimuth_out, azimuth_in, zenith_out, zenith_in = self._response.angles
        arrive, depart = self._array(receive, azimuth_in, zenith_in), self._array(transmit, azimuth_out, zenith_out)
        amplitude = (self._response.gains * np.exp(1j * phase))[:, None, None] * arrive[:, None] * depart
        doppler = self.doppler_hz * np.sin(zenith_in) * np.cos(azimuth_in - heading)
        return Multipath(
            torch.from_numpy(amplitude)[..., None], torch.from_numpy(doppler)[..., None], torch.from_numpy(self.delays)
        )

    def _array(self, antennas: int, azimuth: np.ndarray, zenith: np.ndarray) -> np.ndarray:
        """exp(j 2 pi r . d) of each antenna of an array along y, [antennas, P]."""
        turns = self._spacing * np.arange(antennas)[:, None] * np.sin(zenith) * np.sin(azimuth)
        return np.exp(2j * math.pi * turns)

    def time_correlation(self, lags: np.ndarray) -> np.ndarray:
        """Over directions of travel a path of zenith angle z turns as J0(2 pi f_D dt sin z)."""
        zenith = self._response.angles[3][(..., *(None,) * np.ndim(lags))]
        return jakes_correlation(self.doppler_hz * np.sin(zenith) * lags).astype(complex)


class RayTracedOverTime(OverTime, RayTracedChannel):
    """The same paths, each sample followed through time."""
