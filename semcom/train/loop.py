"""The loop: every model of the project is trained by this, on one CPU, one GPU or several processes.

What a step computes is a function of the recipe, the packs and the step alone: batches and noise are keyed by
(seed, step, row). So a training that was killed goes on from its newest checkpoint to the same weights.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from semcom.errors import DataError, SemcomError
from semcom.models import storage
from semcom.store.writer import write_picture, write_text
from semcom.train import checkpoint
from semcom.train.card import write_card
from semcom.train.data import Augmentation, Batch, Draws, Steps, loader
from semcom.train.optimise import averaging, rate, seeded
from semcom.train.pack import Pack
from semcom.train.recipe import Recipe
from semcom.train.task import Task, Turn

#: steps between two reports: reading a loss waits for the device
REPORT_EVERY = 10
#: pictures in a sample
SAMPLES = 4
PRECISION = {"float32": "no", "bf16": "bf16"}


@dataclass(frozen=True)
class Progress:
    """How far a training is. ``losses`` are means over the steps since the last report."""

    step: int
    steps: int
    losses: Mapping[str, float]
    images_per_s: float
    elapsed_s: float
    left_s: float


class Training:
    """A training that can be iterated: it yields `Progress`, and at its end has written what ships.

    The folder holds recipe.yaml, losses.csv, samples/, checkpoints/ and, when it is done, weights/.

    Example::

        training = Training(recipe.load("recipes/autoencoder.yaml"), Path("runs/autoencoder"))
        for progress in training:
            print(progress.step, progress.losses)
    """

    def __init__(self, recipe: Recipe, folder: Path, command: str = "semcom train"):
        self.recipe, self.folder, self.command = recipe, Path(folder), command
        self.weights = self.folder / "weights"
        self.resumed_from = 0

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes and reports; known once the iteration has begun."""
        return self._accelerator.is_main_process

    def __iter__(self) -> Iterator[Progress]:
        self._prepare()
        steps, how = self.recipe.optimise.steps, self.recipe.optimise
        started, reported, sums = time.monotonic(), time.monotonic(), {}
        last = first = self._step
        batches = loader(self._data, first, steps, self.recipe.execution.workers)
        for step, batch in zip(range(first, steps), batches, strict=True):
            for name, loss in self._update(step, batch.to(self._device)).items():
                sums.setdefault(name, []).append(loss)
            self._step = done = step + 1
            if done % REPORT_EVERY == 0 or done == steps:
                losses = {name: self._mean(values) for name, values in sums.items()}
                self._diverged(losses, done)
                now = time.monotonic()
                speed = (done - last) * how.batch_size / (now - reported)
                elapsed = now - started
                progress = Progress(done, steps, losses, speed, elapsed, elapsed / (done - first) * (steps - done))
                self._record(progress)
                last, reported, sums = done, now, {}
                yield progress
            self._write(done)
        if self._accelerator.is_main_process and (first < steps or not storage.facts(self.weights)):
            self._ship()
        self._accelerator.wait_for_everyone()
        self._accelerator.end_training()

    # before the first step

    def _prepare(self) -> None:
        from accelerate import Accelerator

        recipe = self.recipe
        if recipe.execution.threads:
            torch.set_num_threads(recipe.execution.threads)
        self._accelerator = Accelerator(
            mixed_precision=PRECISION[recipe.optimise.precision], cpu=_on_cpu(recipe.execution.device)
        )
        self._device = self._accelerator.device
        packs = [Pack.open(path) for path in recipe.data.packs]
        self._packs = packs
        self._identity = {**recipe.identity(), "packs": [pack.digest for pack in packs]}
        self._data = recipe.task.data(self._steps(packs), self.folder)
        self._still = self._data.plain(SAMPLES)
        self._networks(recipe.task.prepared(self._data))
        self._resume()
        if self._accelerator.is_main_process:
            write_text(self.folder / "recipe.yaml", recipe.text())

    def _steps(self, packs: list[Pack]) -> Steps:
        """This process's rows of every batch."""
        recipe, processes = self.recipe, self._accelerator.num_processes
        size = recipe.optimise.batch_size
        if size % processes:
            raise DataError(
                f"a batch of {size} cannot be shared equally by {processes} processes; set optimise.batch_size to a multiple"
            )
        rows = range(self._accelerator.process_index, size, processes)
        data = recipe.data
        augmentation = Augmentation(data.size, data.scale, data.flip, data.colour, data.blur, data.noise)
        return Steps(packs, augmentation, size, recipe.seed, rows, data.times)

    def _networks(self, task: Task) -> None:
        how = self.recipe.optimise
        with seeded(self.recipe.seed, "train", "networks"):
            drawn = task.networks()
        # convolutions are faster in this order of the axes, on CPUs as on GPUs
        plain = {name: network.to(self._device, memory_format=torch.channels_last) for name, network in drawn.items()}
        self._task, self._plain = task, plain
        # running statistics are averaged as the weights are: those of the latest weights would not fit the average
        self._average = AveragedModel(next(iter(plain.values())), multi_avg_fn=averaging(how.ema), use_buffers=True)
        optimisers = {
            name: torch.optim.AdamW(network.parameters(), lr=how.learning_rate, betas=how.betas, weight_decay=how.weight_decay)
            for name, network in plain.items()
        }
        self._wrapped = {name: self._accelerator.prepare(network) for name, network in plain.items()}
        self._optimisers = {name: self._accelerator.prepare(optimiser) for name, optimiser in optimisers.items()}

    def _resume(self) -> None:
        state = checkpoint.newest(self.folder / "checkpoints", self._identity)
        self._step = self.resumed_from = state["step"] if state else 0
        if state:
            for name, network in self._plain.items():
                network.load_state_dict(state["networks"][name])
                self._optimisers[name].load_state_dict(state["optimisers"][name])
            self._average.load_state_dict(state["average"])
        if self._accelerator.is_main_process:
            self._keep_losses_until(self._step)

    # a step

    def _update(self, step: int, batch: Batch) -> dict[str, torch.Tensor]:
        """One turn of each network; returns their losses, not yet read from the device."""
        how = self.recipe.optimise
        turn, found = Turn(step, how.steps), {}
        draws = Draws(self.recipe.seed, step, self._data.rows, self._device)
        for name in self._plain:
            if not self._task.active(name, step, how.steps):
                continue
            self._alone(name)
            optimiser = self._optimisers[name]
            for group in optimiser.param_groups:
                group["lr"] = rate(step, how.steps, how.warmup, how.learning_rate)
            with self._accelerator.autocast():
                terms = self._task.losses(name, {**self._plain, name: self._wrapped[name]}, batch, draws, turn)
            self._accelerator.backward(sum(terms.values()))
            self._accelerator.clip_grad_norm_(self._plain[name].parameters(), how.clip)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            found |= {key: term.detach() for key, term in terms.items()}
        self._average.update_parameters(next(iter(self._plain.values())))
        return found

    def _alone(self, name: str) -> None:
        """Only the network whose turn it is gathers gradients."""
        for other, network in self._plain.items():
            network.train(other == name).requires_grad_(other == name)

    def _mean(self, values: list[torch.Tensor]) -> float:
        """Over steps and processes, which share every batch equally."""
        return float(self._accelerator.reduce(torch.stack(values).mean(), "mean"))

    # what is written

    def _write(self, done: int) -> None:
        keep, end = self.recipe.keep, done == self.recipe.optimise.steps
        if not self._accelerator.is_main_process:
            return
        if done % keep.samples_every == 0 or end:
            write_picture(self.folder / "samples" / f"step-{done:08d}.png", self._sample())
        if done % keep.checkpoint_every == 0 or end:
            checkpoint.write(self.folder / "checkpoints", done, self._state(), keep.checkpoints)

    def _state(self) -> dict[str, Any]:
        return {
            "step": self._step,
            "identity": self._identity,
            "networks": {name: network.state_dict() for name, network in self._plain.items()},
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self._optimisers.items()},
            "average": self._average.state_dict(),
        }

    @torch.no_grad()
    def _sample(self):
        return self._task.samples(self.average(), self._still.to(self._device))

    def average(self) -> nn.Module:
        """The average of the weights so far, which is what ships."""
        return self._average.module.eval()

    def _ship(self) -> None:
        network = self.average()
        file = self._task.save(network, self.weights, self.recipe.keep.weights)
        write_card(self.weights, file, self.recipe, self._packs, self._task.about(network), self.command)

    def _record(self, progress: Progress) -> None:
        """A line in losses.csv, one a term."""
        if not self._accelerator.is_main_process:
            return
        path = self.folder / "losses.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.is_file()
        with path.open("a", newline="", encoding="utf-8") as file:
            lines = csv.writer(file, lineterminator="\n")
            lines.writerows([("step", "term", "value")] if new else [])
            lines.writerows((progress.step, name, f"{value:.6g}") for name, value in progress.losses.items())

    def _keep_losses_until(self, step: int) -> None:
        """A resumed training writes what came after its checkpoint again."""
        path = self.folder / "losses.csv"
        if path.is_file():
            head, *lines = path.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if int(line.split(",")[0]) <= step]
            write_text(path, "\n".join([head, *kept]) + "\n")

    def _diverged(self, losses: Mapping[str, float], step: int) -> None:
        for name, value in losses.items():
            if not abs(value) < float("inf"):
                raise SemcomError(
                    f"the loss '{name}' is {value} at step {step}; lower optimise.learning_rate, raise optimise.warmup, or set "
                    "optimise.precision to float32, with another --out"
                )


def _on_cpu(device: str) -> bool:
    """Whether the CPU is asked for, or is all there is. Raises: DataError for a GPU that is not there."""
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise DataError(f"execution.device is {device}, and torch sees no GPU; set it to auto or cpu")
    return device == "cpu" or not torch.cuda.is_available()
