"""How the ranks of lpips_semcom correlate with those of lpips_squeeze over the distortions of a sweep.

    python benchmarks/perceptual.py RESULTS [--card FOLDER]

RESULTS is a results folder whose rows hold both columns. Prints Spearman's correlation over all rows, within images (the
mean over images of the correlation over that image's distortions), and of the means of the points of the sweep. With
--card it goes into the card of the weights in FOLDER.
"""

from __future__ import annotations

import argparse
from pathlib import Path

OURS, THEIRS = "lpips_semcom", "lpips_squeeze"


def correlations(rows) -> dict[str, float | int]:
    """Spearman's correlations of the two columns of a table of rows (unit, image, ...), lost pictures left out."""
    rows = rows[rows["ok"].astype(bool)].dropna(subset=[OURS, THEIRS])
    spearman = lambda table: float(table[OURS].rank().corr(table[THEIRS].rank()))  # noqa: E731
    within = [spearman(one) for _, one in rows.groupby("image") if len(one) > 2]
    points = rows.groupby("unit")[[OURS, THEIRS]].mean()
    return {
        "rows": len(rows),
        "images": rows["image"].nunique(),
        "points": len(points),
        "all_rows": spearman(rows),
        "within_images": float(sum(within) / len(within)) if within else float("nan"),
        "points_of_the_sweep": spearman(points),
    }


def main() -> None:
    from semcom.models import storage
    from semcom.store.reader import open_results, read_batches
    from semcom.train.card import add_perceptual

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--card", type=Path, help="folder of weights whose card tells the correlations")
    given = parser.parse_args()
    rows = read_batches(open_results(given.results))
    if missing := [column for column in (OURS, THEIRS) if column not in rows]:
        raise SystemExit(f"{given.results} has no column {' and '.join(missing)}; list both under metrics and run again")
    found = correlations(rows)
    for name, value in found.items():
        print(f"{name:<20} {value if isinstance(value, int) else format(value, '.3f')}")
    if given.card:
        add_perceptual(given.card, {**storage.facts(given.card).get("perceptual", {}), **found, "over": given.results.name})


if __name__ == "__main__":
    main()
