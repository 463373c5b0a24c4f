"""What is known of an autoencoder's latents beyond its weights: statistics, and integer tables for coding them.

The tables lie beside the weights that they were fitted to, in NAME.tables.npz (`semcom weights tables`). Every
number that decides a coded bit is an integer, so that what one machine wrote another reads.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from semcom.errors import WeightsError

SUFFIX = ".tables.npz"
FORMAT = 1

#: symbols of a frequency table: residuals -REACH to REACH, and the escape for larger ones
REACH = 31
SYMBOLS = 2 * REACH + 2
ESCAPE = SYMBOLS - 1
#: frequencies of a table sum to this; exactly representable shares of one in float32
TOTAL = 2**15

#: steps between quantised values: COARSEST 2^(-j / OCTAVE) for j = 0 to STEPS - 1, in units of a unit-RMS latent
STEP_BITS = 6
STEPS = 2**STEP_BITS
COARSEST = 8.0
OCTAVE = 8

#: a prediction from the values at the left, above, above left, above right, and from the channels before
NEIGHBOURS = ((0, -1), (-1, 0), (-1, -1), (-1, 1))
#: prediction coefficients are whole parts of one
UNIT = 64
#: what the errors of those neighbours (and of the channel before) count in the context
ACTIVITY = (2, 2, 1, 1)
ACTIVITY_BEFORE = 2
#: lower bounds of the context's classes of activity, about geometric
ACTIVE = (1, 2, 3, 5, 8, 13, 21, 34)
#: lower bounds of the classes of how far a prediction lies from a whole number, in parts of UNIT
BETWEEN = (11, 22)
CONTEXTS = (len(ACTIVE) + 1) * (len(BETWEEN) + 1)
#: a reconstruction is moved towards zero by whole parts of a step
CENTRE = 128


@dataclass(frozen=True, eq=False)
class Tables:
    """Statistics and tables of one autoencoder with C latent channels.

    ``weights``: SHA-256 of the weights. ``mean`` float32 [C], subtracted before sending where the autoencoder does
    not do it itself; ``offset`` [C], what is left of it in latents of unit RMS, which coding subtracts. ``power``
    [C], relative mean squares, and ``spread`` [C], their relative deviation from picture to picture. ``sensitivity``
    [C]: squared error of the picture a squared error of the channel, relative. ``widths`` [C]: step of a channel, relative. ``shifts`` int16 [C]: by how many
    1/OCTAVE octaves unit RMS over the first n channels makes them larger than unit RMS over all.
    ``prediction`` int16 [C, 4 + C]: coefficients in 1/UNIT. ``choice`` uint8 [STEPS, C, CONTEXTS]: the frequency
    table of a context. ``frequencies`` uint16 [L, SYMBOLS]. ``centres`` uint8 [STEPS, C, 2]: where values 1 and
    those above are reconstructed, in 1/CENTRE steps towards zero.
    """

    weights: str
    mean: np.ndarray
    offset: np.ndarray
    power: np.ndarray
    spread: np.ndarray
    sensitivity: np.ndarray
    widths: np.ndarray
    shifts: np.ndarray
    prediction: np.ndarray
    choice: np.ndarray
    frequencies: np.ndarray
    centres: np.ndarray

    @property
    def channels(self) -> int:
        return len(self.mean)

    def step(self, index: int, channels: int) -> np.ndarray:
        """Steps [channels] at an index, for latents of unit RMS over their first ``channels``."""
        return COARSEST * 2.0 ** (-index / OCTAVE) * self._larger(channels) * self.widths[:channels].astype(np.float64)

    def centre(self, channels: int) -> np.ndarray:
        """Means [channels] of latents of unit RMS over their first ``channels``."""
        return self._larger(channels) * self.offset[:channels].astype(np.float64)

    def _larger(self, channels: int) -> float:
        """How much larger latents are that have unit RMS over the first ``channels`` and not over all."""
        return 2.0 ** (int(self.shifts[channels - 1]) / OCTAVE)

    def save(self, path: Path) -> None:
        arrays = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}
        with path.open("wb") as file:  # numpy would add its own suffix to a name
            np.savez_compressed(file, format=FORMAT, **arrays)


def path_of(weights: Path) -> Path:
    """Where the tables of a file of weights lie."""
    return weights.with_name(weights.stem + SUFFIX)


def load(weights: Path, digest: str) -> Tables | None:
    """The tables beside a file of weights, None where there are none.

    Raises: WeightsError where they are damaged or were fitted to other weights.
    """
    path = path_of(weights)
    if not path.is_file():
        return None
    again = f"make them again: {command(weights)}"
    try:
        with np.load(path, allow_pickle=False) as file:
            if int(file["format"]) != FORMAT:
                raise WeightsError(f"'{path}' has format {int(file['format'])}, expected {FORMAT}; {again}")
            found = {field.name: file[field.name] for field in fields(Tables)}
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise WeightsError(f"'{path}' cannot be read as tables of latents ({error}); {again}") from error
    found["weights"] = str(found["weights"])
    if found["weights"] != digest:
        fitted = f"was fitted to weights {found['weights'][:12]}"
        raise WeightsError(f"'{path}' {fitted} and '{weights.name}' is {digest[:12]}; {again}")
    return Tables(**found)


def command(weights: Path) -> str:
    """What makes the tables of a file of weights."""
    folder = weights.parent if (weights.parent / "config.json").is_file() else weights
    return f"semcom weights tables {folder} PACK"
