"""Traced impulse responses: their file, and the process that makes one."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np

#: Environment variable: the interpreter of an environment that has Sionna RT, where this one has not.
INTERPRETER = "SIONNA_RT_PYTHON"
#: What is to be said where Dr.Jit aborts its process or finds no compiler.
_LLVM = "Dr.Jit needs an LLVM that suits it (19 does, 14 to 16 do not): set DRJIT_LIBLLVM_PATH to its libLLVM.so"
#: Runs a script by its path without putting the script's folder, whose names are not Sionna's, on sys.path.
_BY_PATH = "import runpy, sys; runpy.run_path(sys.argv.pop(1), run_name='__main__')"


@dataclass(frozen=True)
class Request:
    """What is traced: scene, the two positions in metres, the carrier, and how many interactions a path may have."""

    scene: str
    transmitter: tuple[float, float, float]
    receiver: tuple[float, float, float]
    carrier_ghz: float
    max_depth: int

    @staticmethod
    def from_json(fields: dict) -> Request:
        positions = {name: tuple(float(x) for x in fields[name]) for name in ("transmitter", "receiver")}
        return Request(fields["scene"], **positions, carrier_ghz=float(fields["carrier_ghz"]), max_depth=int(fields["max_depth"]))

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True)
class ImpulseResponse:
    """Paths of one link: ``gains`` complex [P], of total power 1; ``delays`` [P] s, the first 0; ``angles`` [4, P] radian:
    azimuth of departure and arrival, zenith of departure and arrival."""

    gains: np.ndarray
    delays: np.ndarray
    angles: np.ndarray
    request: Request | None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises: ValueError where the file is not one of ours."""
        try:
            with np.load(path, allow_pickle=False) as file:
                gains, delays, angles = (file[name] for name in ("gains", "delays", "angles"))
                asked = str(file["request"])
            request = Request.from_json(json.loads(asked)) if asked else None
        except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"'{path}' is no file of impulse responses (npz with gains, delays, angles, request): {error}"
            ) from error
        if gains.ndim != 1 or delays.shape != gains.shape or angles.shape != (4, len(gains)) or not np.abs(gains).any():
            raise ValueError(
                f"'{path}' holds gains {gains.shape}, delays {delays.shape}, angles {angles.shape}; expected [P], [P], [4, P] "
                f"and a gain that is not 0"
            )
        gains = gains.astype(complex)  # Sionna RT's are of single precision, and so would their total power be
        delays = delays.astype(float) - delays.min()
        return cls(gains / np.sqrt(np.sum(np.abs(gains) ** 2)), delays, angles.astype(float), request)


def write(path: Path, request: Request | None, gains: np.ndarray, delays: np.ndarray, angles: np.ndarray) -> None:
    """Write an impulse response to ``path``, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part.npz")
    np.savez(part, gains=gains, delays=delays, angles=angles, request="" if request is None else request.to_json())
    part.replace(path)


def digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tracer() -> tuple[str, ...] | None:
    """The command that traces (it is given the request as JSON and the file to write); None where there is no Sionna RT.

    Raises: ValueError where the environment variable `INTERPRETER` names no program.
    """
    python = os.environ.get(INTERPRETER)
    if python and shutil.which(python) is None:
        raise ValueError(
            f"{INTERPRETER} is '{python}', which is no program; set it to the interpreter of an environment that has sionna-rt, "
            f"such as /path/to/env/bin/python, or unset it"
        )
    if not python and not _is_installed():
        return None
    return (python or sys.executable, "-c", _BY_PATH, str(Path(__file__).with_name("trace_paths.py")))


def _is_installed() -> bool:
    """Whether this environment has Sionna RT; found without importing it."""
    sionna = importlib.util.find_spec("sionna")
    places = sionna.submodule_search_locations if sionna else None
    return any((Path(place) / "rt").is_dir() for place in places or ())


def trace(request: Request, path: Path, command: tuple[str, ...]) -> None:
    """Run ``command``, see `tracer`, in a process of its own and write what it found to ``path``.

    Raises: ValueError with what went wrong, in one sentence.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    traced = path.with_name(f"{path.name}.{os.getpid()}.traced.npz")
    try:
        _run((*command, request.to_json(), str(traced)), request.scene)
        if not traced.is_file():
            raise ValueError(f"the process that traces scene '{request.scene}' ended well and wrote no '{traced}'")
        with np.load(traced, allow_pickle=False) as file:
            write(path, request, file["gains"], file["delays"], file["angles"])
    finally:
        traced.unlink(missing_ok=True)


def _run(command: tuple[str, ...], scene: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise ValueError(f"the process of Sionna RT that traces scene '{scene}' was ended by {name}: {_LLVM}")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1].rstrip(".")
        hint = f"; {_LLVM}" if "llvm" in done.stderr.lower() else ""
        hint = f"; it ran in '{command[0]}', install sionna-rt there" if "ModuleNotFoundError" in last else hint
        raise ValueError(f"Sionna RT could not trace scene '{scene}': {last}{hint}")
