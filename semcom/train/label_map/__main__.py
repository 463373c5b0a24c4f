"""`python -m semcom.train.label_map recipes/coders/label_map.yaml`: train the label-map coder, or go on with it."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from semcom.errors import SemcomError


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m semcom.train.label_map", description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="change one field; may be given again")
    parser.add_argument("--out", type=Path, help="the run's folder; runs/NAME if not given")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch; changes no number beyond rounding")
    given = parser.parse_args()
    try:
        train(given.recipe, given.set, given.out, given.threads)
    except SemcomError as error:
        sys.exit(f"semcom: {error}")


def train(path: Path, overrides: list[str], out: Path | None, threads: int) -> None:
    import torch

    from semcom.cli.following import report
    from semcom.train.label_map import recipe as recipes
    from semcom.train.label_map.fit import Fit
    from semcom.train.label_map.ship import ship

    torch.set_num_threads(threads)
    recipe = recipes.load(path, overrides)
    fit = Fit(recipe, out or Path("runs") / recipe.name)
    print(f"{fit.maps.counts}, from step {fit.step}", file=sys.stderr)
    for progress in fit:
        print(f"step {progress.step} of {progress.steps}, loss {progress.loss:.4f}, {progress.elapsed_s:.0f} s", file=sys.stderr)
    words = ["python", "-m", "semcom.train.label_map", str(path), *(word for text in overrides for word in ("--set", text))]
    report(ship(fit, shlex.join(words)))


if __name__ == "__main__":
    main()
