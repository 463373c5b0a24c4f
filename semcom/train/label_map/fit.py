"""The network of the label-map coder in training: the same function in floating point, and the loop that fits it."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from semcom.codecs.label_map import context
from semcom.train import checkpoint
from semcom.train.label_map.maps import Maps, Pixels
from semcom.train.label_map.recipe import Recipe
from semcom.train.optimise import averaging, seeded
from semcom.train.pack import Pack

#: activations lie in 0..8: as integers, 0..255
LARGEST = 8.0
REPORT_EVERY = 50


class Network(nn.Module):
    """Features of a pixel -> logits of its class.

    Three of the outputs speak for the candidates, whatever class they are: geometry is learned once for all classes.
    """

    def __init__(self, hidden: tuple[int, int], dropout: float = 0.0):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.table = nn.Embedding(context.ROWS, hidden[0])
        self.columns = nn.Linear(context.COLUMNS, hidden[0])
        self.inner = nn.Linear(hidden[0], hidden[1])
        self.out = nn.Linear(sum(hidden), context.CLASSES + 3)
        nn.init.normal_(self.table.weight, std=0.1)
        with torch.no_grad():
            self.out.weight.mul_(0.3)
            self.out.bias[context.CLASSES :] = torch.tensor([3.0, 2.0, 1.0])

    def forward(self, columns: Tensor, rows: Tensor, candidates: Tensor) -> Tensor:
        first = nn.functional.embedding_bag(rows, self.table.weight, mode="sum") + self.columns(columns)
        first = self.dropout(first.clamp(0.0, LARGEST))
        second = self.dropout(self.inner(first).clamp(0.0, LARGEST))
        made = self.out(torch.cat([first, second], dim=1))
        # the column beyond the classes takes what candidates say that are not there
        logits = nn.functional.pad(made[:, : context.CLASSES], (0, 1))
        return logits.scatter_add(1, candidates, made[:, context.CLASSES :])[:, : context.CLASSES]


@dataclass(frozen=True)
class Progress:
    """How far a training is. ``loss``: bytes a map over what a good coder needs, mean over sizes, since the last report."""

    step: int
    steps: int
    loss: float
    elapsed_s: float


class Fit:
    """A training that can be iterated and killed: it goes on from its newest checkpoint. Afterwards `average` is what ships."""

    def __init__(self, recipe: Recipe, folder: Path):
        self.recipe, self.folder = recipe, Path(folder)
        self.packs = [Pack.open(path) for path in recipe.packs]
        self.maps = Maps(self.packs, recipe.sources, recipe.seed)
        with seeded(recipe.seed, "label_map", "network"):
            self.network = Network(recipe.hidden, recipe.dropout)
        self.average = copy.deepcopy(self.network).requires_grad_(False).eval()
        self._optimiser = torch.optim.AdamW(self.network.parameters(), betas=(0.9, 0.99), weight_decay=1e-4)
        self._identity = {**recipe.identity(), "packs": [pack.digest for pack in self.packs]}
        self.step = 0
        if state := checkpoint.newest(self.folder / "checkpoints", self._identity):
            self.step = state["step"]
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self._optimiser.load_state_dict(state["optimiser"])

    def __iter__(self) -> Iterator[Progress]:
        recipe, started, losses = self.recipe, time.monotonic(), []
        update = averaging(recipe.ema)
        for step in range(self.step, recipe.steps):
            losses.append(self._update(self.maps.batch(recipe.seed, step, recipe.batch_size), recipe.rate(step)))
            update(list(self.average.parameters()), list(self.network.parameters()), torch.tensor(step))
            self.step = step + 1
            if self.step % REPORT_EVERY == 0 or self.step == recipe.steps:
                yield Progress(self.step, recipe.steps, sum(losses) / len(losses), time.monotonic() - started)
                losses = []
            if self.step % recipe.checkpoint_every == 0 or self.step == recipe.steps:
                checkpoint.write(self.folder / "checkpoints", self.step, self._state(), keep=2)

    def _update(self, batch: list[Pixels], rate: float) -> float:
        joined = [torch.cat([torch.from_numpy(getattr(part, name)) for part in batch]) for name in Pixels.__annotations__]
        columns, rows, candidates, classes, weights = joined
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        with seeded(self.recipe.seed, "label_map", "dropout", self.step):
            logits = self.network(columns, rows, candidates)
        nats = nn.functional.cross_entropy(logits, classes, reduction="none")
        loss = (nats * weights).sum()
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self._optimiser.step()
        return loss.item()

    def _state(self) -> dict:
        return {
            "step": self.step,
            "identity": self._identity,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }
