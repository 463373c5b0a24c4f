"""A training, as its user sees it: one line on stderr that moves, then what it left."""

from __future__ import annotations

import shlex
import sys
import tempfile
import time
from pathlib import Path

from semcom.cli.progress import QUIET_INTERVAL, clock


def train(
    recipe_file: Path, overrides: list[str], out: Path | None, device: str | None, smoke: bool, allow_plugins: bool
) -> None:
    """Train a recipe, or go on with it, and print where its weights are."""
    from semcom.train import toy
    from semcom.train.loop import Training
    from semcom.train.recipe import load

    given = [*overrides, *([f"execution.device={device}"] if device else [])]
    recipe = load(recipe_file, given, allow_plugins)
    if smoke:
        folder = out or Path(tempfile.mkdtemp(prefix="semcom-smoke-"))
        recipe = recipe.smoke([str(toy.write(folder / "toy.safetensors"))])
    else:
        folder = out or Path("runs") / recipe.name
    words = [
        "semcom",
        "train",
        str(recipe_file),
        *(word for text in overrides for word in ("--set", text)),
        *(["--smoke"] if smoke else []),
    ]
    follow(Training(recipe, folder, shlex.join(words)))


def follow(training) -> None:
    terminal, last, first = sys.stderr.isatty(), 0.0, True
    for progress in training:
        now = time.monotonic()
        if first and training.resumed_from and training.is_main:
            print(f"going on after step {training.resumed_from} of {progress.steps}", file=sys.stderr)
        if training.is_main and (terminal or first or progress.step == progress.steps or now - last >= QUIET_INTERVAL):
            sys.stderr.write(f"\r{sentence(progress)}\x1b[K" if terminal else f"{sentence(progress)}\n")
            sys.stderr.flush()
            last = now
        first = False
    if terminal:
        sys.stderr.write("\n")
    if training.is_main:
        report(training.weights)


def sentence(progress) -> str:
    """Such as: step 120 of 480, loss 0.213 (l1 0.113, pyramid 0.1), 31.2 images/s, 0:31 so far, about 1:33 to go."""
    terms = ", ".join(f"{name} {value:.3g}" for name, value in progress.losses.items())
    return (
        f"step {progress.step} of {progress.steps}, loss {sum(progress.losses.values()):.4g} ({terms}), "
        f"{progress.images_per_s:.3g} images/s, {clock(progress.elapsed_s)} so far, about {clock(progress.left_s)} to go"
    )


def report(weights: Path) -> None:
    """Where a training left its weights, and how they are shipped."""
    from semcom.models.storage import facts

    made = facts(weights)
    print(f"{weights}: {made['file']} ({made['bytes'] / 2**20:.2f} MiB), CARD.md")
    print("to ship it: put the folder into semcom/weights/ and this line into semcom/models/weights.py")
    terms = "; ".join(dict.fromkeys(entry["terms"] for entry in made["data"]))
    print(f"    {made['name']!r}: Pinned({made['file']!r}, {made['sha256']!r}, {terms!r}),")
