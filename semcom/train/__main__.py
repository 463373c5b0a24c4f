"""`python -m semcom.train RECIPE`: what `semcom train` does, for machines with nothing but the training's libraries.

Several processes on one machine: ``torchrun --nproc_per_node 2 -m semcom.train recipes/autoencoder.yaml``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from semcom.cli.following import train
from semcom.errors import SemcomError


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m semcom.train", description="Train a recipe, or go on with it.")
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="change one field; may be given again")
    parser.add_argument("--out", type=Path, help="the run's folder; runs/NAME if not given")
    parser.add_argument("--device", help="auto, cpu or cuda")
    parser.add_argument("--smoke", action="store_true", help="toy size, made-up pictures, seconds")
    parser.add_argument("--allow-plugins", action="store_true", help="let the recipe name code outside the package")
    given = parser.parse_args()
    try:
        train(given.recipe, given.set, given.out, given.device, given.smoke, given.allow_plugins)
    except SemcomError as error:
        sys.exit(f"semcom: {error}")


if __name__ == "__main__":
    main()
