"""The card of what a training made: what it is, its data and their terms, how it was made, its digest."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semcom.errors import WeightsError
from semcom.models import storage
from semcom.store.provenance import commit, package_versions
from semcom.store.writer import write_text
from semcom.train.pack import Pack

if TYPE_CHECKING:
    from semcom.train.recipe import Recipe

NO_SCORES = (
    "None has been measured with these weights. `semcom weights card FOLDER --scores results/NAME/table.csv` writes them here."
)


def write_card(folder: Path, file: Path, recipe: Recipe, packs: Sequence[Pack], about: Mapping[str, Any], command: str) -> None:
    """Write semcom.json and CARD.md beside the weights."""
    versions, used = package_versions(), ("torch", "diffusers", "accelerate", "numpy", *about.get("packages", ()))
    facts = {
        "name": recipe.name,
        **about,
        "file": file.name,
        "sha256": storage.digest(file),
        "bytes": file.stat().st_size,
        "precision": recipe.keep.weights,
        "data": [dict(entry) for pack in packs for entry in pack.provenance],
        "packs": [pack.digest for pack in packs],
        "command": command,
        "commit": commit(),
        "packages": {name: versions[name] for name in used},
        "recipe": recipe.text(),
        "scores": [],
    }
    storage.write_facts(folder, facts)
    write_text(folder / storage.CARD, render(facts))


def render(facts: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    data = [f"| {entry['source']} | {entry['images']} | {entry['terms']} |" for entry in facts["data"]]
    latents = [f"- {name}: {', '.join(f'{v:.3g}' for v in values)}" for name, values in facts.get("latents", {}).items()]
    lines = [
        f"# {facts['name']}",
        "",
        f"{facts['what'][0].upper()}{facts['what'][1:]}.",
        "",
        f"`{facts['file']}`, {facts['bytes'] / 2**20:.2f} MiB, {PRECISION[facts['precision']]}.",
        "",
        f"SHA-256 `{facts['sha256']}`",
        "",
        f"Losses in training: {facts['losses']}.",
        "",
        "## Data and terms",
        "",
        "| source | images | terms |",
        "|---|---|---|",
        *data,
        "",
        "Tuning and val images took no part. The weights follow the terms of the data: for research use where these say so.",
        "",
        "## Scores",
        "",
        *(_scores(facts["scores"]) if facts["scores"] else [NO_SCORES]),
        "",
        *_perceptual(facts.get("perceptual", {})),
        *_heights(facts.get("heights", {})),
        "## How it was made",
        "",
        "```console",
        f"$ {facts['command']}",
        "```",
        "",
        f"Commit {facts['commit'] or 'unknown'}; "
        + ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
        + ".",
        "",
        "```yaml",
        facts["recipe"].strip(),
        "```",
        *(
            ["", "Statistics of the latents (mean that is subtracted, relative power a channel):", "", *latents]
            if latents
            else []
        ),
    ]
    return "\n".join(lines) + "\n"


PRECISION = {"half": "half precision", "int8": "8 bits with a scale an output channel", "int16": "whole numbers of 16 bits"}


def _scores(rows: Sequence[Mapping[str, str]]) -> list[str]:
    names = list(rows[0])
    return [
        "| " + " | ".join(names) + " |",
        "|" + "---|" * len(names),
        *("| " + " | ".join(re.sub(r"\|", "/", str(row[name])) for name in names) + " |" for row in rows),
    ]


def _perceptual(found: Mapping[str, Any]) -> list[str]:
    if "all_rows" not in found:
        return []
    text = (
        f"Rank correlation (Spearman) with LPIPS-Squeeze over the distortions of `{found['over']}`, {found['rows']} rows of "
        f"{found['images']} images: {found['all_rows']:.3f}; within images {found['within_images']:.3f}; of the means of its "
        f"{found['points']} points {found['points_of_the_sweep']:.3f}. No human judgments went into it, it is not LPIPS, and it "
        "judges this autoencoder's own systems by features of their own encoder."
    )
    return ["## lpips_semcom, the distance on this encoder's features", "", text, ""]


def _heights(found: Mapping[str, Any]) -> list[str]:
    if not found:
        return []
    where = "the training labels" if found["source"] == "all" else f"the training labels of {found['source']}"
    return [
        "## Heights",
        "",
        f"To the scores of a class {found['strength']:g} log p(class | height of the pixel) / p(class) is added, counted in {where}: "
        "pictures are taken to be framed as those are (`config.json`).",
        "",
    ]


def renew(folder: Path, changes: Mapping[str, Any]) -> None:
    """Change what the card of ``folder`` says. Raises: WeightsError."""
    facts = {**_facts(folder), **changes}
    storage.write_facts(folder, facts)
    write_text(folder / storage.CARD, render(facts))


def add_perceptual(folder: Path, found: Mapping[str, Any]) -> None:
    """Put what `benchmarks/perceptual.py` found into the card of ``folder``. Raises: WeightsError."""
    renew(folder, {"perceptual": dict(found)})


def _facts(folder: Path) -> dict[str, Any]:
    facts = storage.facts(folder)
    if not facts:
        raise WeightsError(f"'{folder}' holds no {storage.FACTS}; give a folder that `semcom train` wrote")
    return facts


#: of a results table, what a card repeats
COLUMNS = (
    "system",
    "metric",
    "snr_db",
    "bandwidth_ratio",
    "channel_uses",
    "mean",
    "low",
    "high",
    "n_images",
    "n_clusters",
    "n_repeats",
)


def _rounded(text: str) -> str:
    """Numbers to four digits, which is more than their intervals bear; anything else as it stands."""
    try:
        return text if len(text) < 6 else f"{float(text):.4g}"
    except ValueError:
        return text


def add_scores(folder: Path, table: Path) -> None:
    """Put the rows of a results folder's table.csv into the card of ``folder``. Raises: WeightsError."""
    facts = _facts(folder)
    try:
        with table.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise WeightsError(
            f"'{table}' cannot be read ({error.strerror or error}); give the table.csv of a results folder"
        ) from error
    columns = list(rows[0]) if rows else []
    axes = columns[: columns.index("metric")] if "metric" in columns else []  # what a point is of stands in front of its metric
    known = [*axes, *(name for name in COLUMNS if name in columns and name not in axes)]
    if "metric" not in known or "mean" not in known:
        raise WeightsError(
            f"'{table}' is no table of results (it has no rows with metric and mean); give the table.csv of a results folder"
        )
    said = [row for row in rows if row["metric"] != "failure_rate" and row.get("fill", "grey") == "grey"]
    facts["scores"] = [{name: _rounded(row[name]) for name in known} for row in said]
    storage.write_facts(folder, facts)
    write_text(folder / storage.CARD, render(facts))
