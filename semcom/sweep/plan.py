"""From a scenario to units: what is identified, stored and resumed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from semcom import units
from semcom.protocols import ImageRef
from semcom.scenario.identity import digest

#: images that are encoded together; a constant, so that batches are the same for every execution setting but their length
CHUNK = 8


@dataclass(frozen=True)
class Unit:
    """One system with all its settings at one condition. Its id hashes what changes the numbers, nothing else."""

    system: Any  # descriptions transmit, link, receive
    source: Any
    channel: Any
    bandwidth_ratio: Any
    snr_db: float
    seed: int
    metrics: str  # digest of the metrics and their weights
    prior: str  # digest of the picture that the prior system shows, and that lost pictures are measured as
    id: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", digest(self.identity()))

    @property
    def channel_uses(self) -> int:
        return units.channel_uses(self.bandwidth_ratio, *self.source.size)

    def identity(self) -> dict[str, Any]:
        return {**self.without_snr(), "snr_db": float(self.snr_db)}

    def without_snr(self) -> dict[str, Any]:
        """The identity of the units that share encodings and batches with this one."""
        return {
            "transmit": self.system.transmit.identity(),
            "link": self.system.link.identity(),
            "receive": self.system.receive.identity(),
            "channel": self.channel.identity(),
            "source": self.source.identity(),
            "channel_uses": self.channel_uses,
            "seed": self.seed,
            "metrics": self.metrics,
            "prior": self.prior,
        }


@dataclass(frozen=True)
class Entry:
    """One point of one curve: a system's name at one point of the sweep, and the unit that a metric reads there."""

    system: str
    role: str  # system | reference | member
    snr_db: float
    values: Mapping[str, Any]
    unit: Mapping[str, str]  # metric -> unit id
    settings: Mapping[str, Mapping[str, Any]]  # metric -> what was tuned


@dataclass(frozen=True)
class Row:
    """One image, once, through one unit."""

    unit: Unit
    image: ImageRef
    repeat: int

    @property
    def key(self) -> tuple[str, str, str, int]:
        return self.unit.id, self.image.id, self.image.digest, self.repeat


@dataclass(frozen=True)
class Batch:
    """Rows that are computed and stored together: one system without its SNR, one chunk of images."""

    rows: tuple[Row, ...]
    chunk: tuple[str, ...]  # the images that are encoded together

    @property
    def id(self) -> str:
        return digest([list(row.key) for row in self.rows])


@dataclass(frozen=True)
class Plan:
    """Everything that a run will compute and where each curve finds its points."""

    units: Mapping[str, Unit]
    entries: Sequence[Entry]
    images: Mapping[str, Sequence[ImageRef]]  # digest of a source's fields -> its images
    repeats: int

    def rows(self) -> int:
        return sum(len(self.images[source_key(unit.source)]) for unit in self.units.values()) * self.repeats

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """Batches, cut from the whole plan (never from what is pending)."""
        alike = lambda unit: digest(unit.without_snr())  # noqa: E731
        order = {key: place for place, key in reversed(list(enumerate(map(alike, self.units.values()))))}
        for _, group in groupby(sorted(self.units.values(), key=lambda unit: order[alike(unit)]), key=alike):
            members = sorted(group, key=lambda unit: unit.snr_db)
            images = self.images[source_key(members[0].source)]
            for start in range(0, len(images), CHUNK):
                chunk = images[start : start + CHUNK]
                rows = [Row(unit, image, repeat) for image in chunk for repeat in range(self.repeats) for unit in members]
                for first in range(0, len(rows), batch_size):
                    yield Batch(tuple(rows[first : first + batch_size]), tuple(image.id for image in chunk))


def source_key(source) -> str:
    """Tells sources of one plan apart."""
    return digest(source.model_dump(mode="json"))
