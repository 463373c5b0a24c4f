"""What a task is: the networks that take turns in a step, their losses, and what ships."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from semcom.component import Component
from semcom.train.data import Batch, Draws, Steps


class Data(Protocol):
    """Batch number ``step`` of a training, this process's ``rows`` of it, with ``to(device)``; and a few to look at."""

    rows: tuple[int, ...]

    def __getitem__(self, step: int) -> Any: ...
    def plain(self, count: int) -> Any: ...


class Task(Protocol):
    """A prepared task. Its first network is the one whose average is sampled and shipped."""

    def networks(self) -> Mapping[str, nn.Module]:
        """The networks by name, in the order of their turns; drawn from torch's global generator, which is seeded."""

    def active(self, name: str, step: int, steps: int) -> bool:
        """Whether a network has a turn in this step."""

    def losses(
        self, name: str, networks: Mapping[str, nn.Module], batch: Batch, draws: Draws, turn: Turn
    ) -> Mapping[str, Tensor]:
        """The terms whose sum the network ``name`` descends; the other networks are frozen meanwhile."""

    def samples(self, network: nn.Module, batch: Batch) -> np.ndarray:
        """A picture uint8 [H, W, 3] that shows how far the training has come."""

    def save(self, network: nn.Module, folder: Path, precision: str) -> Path:
        """Write what ships into ``folder``, and return the file of the weights."""

    def about(self, network: nn.Module) -> Mapping[str, Any]:
        """What the card says of the network: "what" it is, the "losses" that took part, what its loader must know, and which
        "packages" made it beside the usual ones."""


class Turn:
    """A step as its networks see it: how far the training is, and what one leaves for the next."""

    def __init__(self, step: int, steps: int):
        self.step, self.steps = step, steps
        self.left: dict[str, Tensor] = {}


class TaskDescription(Component):
    """Base of the descriptions of tasks: ``kind``, parameters, ``build() -> Task``, or ``prepared``."""

    def prepared(self, data: Steps) -> Task:
        """The prepared task, for a training on ``data``; most tasks need to know nothing of it."""
        return self.build()

    def data(self, pictures: Steps, folder: Path) -> Data:
        """What a training in ``folder`` reads: the batches of ``pictures``, or what is made of them before the first step."""
        return pictures

    def smoke(self) -> TaskDescription:
        """The same task with networks small enough for a test."""
        raise NotImplementedError
