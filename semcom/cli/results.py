"""semcom status | plot | export: what a results folder holds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from semcom.cli import options
from semcom.errors import SemcomError, allowed

FORMATS = ("csv", "json", "latex", "parquet")


def register(app: typer.Typer) -> None:
    app.command()(status)
    app.command()(plot)
    app.command()(export)


def status(results: options.Results, json: options.Json = False) -> None:
    """Say how much of a results folder is done, what failed and why.

    \b
    semcom status results/quickstart
    """
    from semcom.store.reader import open_results, read_batches, read_json

    layout = open_results(results)
    plan, stored = read_json(layout.plan), read_batches(layout)
    planned = {unit: len(plan["images"][source]) * plan["repeats"] for unit, source in plan["source_of"].items()}
    mine = stored[stored["unit"].isin(planned) & (stored["repeat"] < plan["repeats"])]
    failures = {path.stem: path.read_text(encoding="utf-8").strip().splitlines()[-1] for path in sorted(layout.failures.glob("*.txt"))}
    done, infeasible = len(mine), int((mine["status"] == "infeasible").sum()) if len(mine) else 0
    answer = {"rows": plan["rows"], "done": done, "infeasible": infeasible, "failed_batches": failures, "skipped": plan["skipped"]}
    if json:
        return options.print_json(answer)
    print(f"{results}: {done} of {plan['rows']} rows are done, {infeasible} of them infeasible")
    for batch, reason in failures.items():
        print(f"  failed: {reason} (traceback: {layout.failures / batch}.txt)")
    for images in plan["skipped"].values():
        for name, reason in images.items():
            print(f"  skipped: {name}: {reason}")
    if done < plan["rows"]:
        print(f"  to go on: semcom run {layout.scenario} --out {results}")


def plot(
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="A results folder; with --channel a scenario file.")],
    metric: Annotated[Optional[list[str]], typer.Option(help="Draw only these metrics; may be given again.")] = None,
    channel: Annotated[bool, typer.Option("--channel", help="Draw the channels that a scenario meets; nothing is run.")] = False,
    snr_db: Annotated[Optional[float], typer.Option(help="--channel: the SNR; the middle one of the sweep if not given.")] = None,
    out: Annotated[Optional[Path], typer.Option("--out", "-o", help="--channel: a folder; results/NAME/channel if not given.")] = None,
    set_: options.Set = None,
    allow_plugins: options.Plugins = False,
) -> None:
    """Draw the figures of a results folder again, without computing anything; or views of a scenario's channel.

    \b
    semcom plot results/quickstart
    semcom plot results/quickstart --metric fer
    semcom plot --channel scenarios/fading.yaml
    semcom plot --channel mine.yaml --snr-db 15 --set channel.csi.estimate=ls --out views
    """
    if channel:
        return _plot_channels(results, metric, snr_db, out, set_, allow_plugins)
    for option, given in {"--snr-db": snr_db, "--out": out, "--set": set_}.items():
        if given is not None:
            raise SemcomError(f"{option} goes with --channel, which draws the channels of a scenario; leave it out, or add --channel")
    from semcom.figures.results import draw
    from semcom.store.reader import open_results
    from semcom.sweep.collect import by_class, collect, differences, rows_of

    layout = open_results(results)
    rows = rows_of(layout)
    points = collect(layout, rows)
    known = set(points["metric"])
    for name in metric or []:
        if name not in known:
            raise SemcomError(f"{results} holds no metric '{name}'; {allowed(name, known)}")
    for path in draw(layout, points, differences(layout, rows), metric, by_class(layout, rows)):
        print(path)


def _plot_channels(
    scenario: Path, metric: Optional[list[str]], snr_db: Optional[float], out: Optional[Path], set_: Optional[list[str]], plugins: bool
) -> None:
    from semcom.cli.channel_views import draw_channels

    if metric:
        raise SemcomError("--metric is of a results folder, and --channel draws the channels of a scenario; leave one out")
    loaded = options.load(scenario, set_, plugins)
    for path in draw_channels(loaded, out or Path("results") / loaded.name / "channel", snr_db):
        print(path)


def export(
    results: options.Results,
    format: Annotated[str, typer.Option("--format", "-f", help="csv, json, latex or parquet.")] = "csv",
    rows: Annotated[bool, typer.Option("--rows", help="Every image and repeat, instead of one line a point.")] = False,
    out: Annotated[Optional[Path], typer.Option("--out", "-o", help="A file; standard output if not given.")] = None,
) -> None:
    """Write the points (or every row) of a results folder for another program.

    \b
    semcom export results/quickstart --format latex -o table.tex
    semcom export results/quickstart --rows --format parquet -o rows.parquet
    """
    from semcom.store.reader import open_results, read_json
    from semcom.store.writer import atomically, write_text
    from semcom.sweep.collect import collect, rows_of

    if format not in FORMATS:
        raise SemcomError(f"--format '{format}' was given; {allowed(format, FORMATS)}")
    if format == "latex" and rows:
        raise SemcomError("--format latex is a table of points; leave out --rows, or export the rows as csv, json or parquet")
    layout = open_results(results)
    table = rows_of(layout)
    table = table if rows else collect(layout, table)
    if format == "parquet":
        if out is None:
            raise SemcomError("Parquet is not text; name a file with --out FILE.parquet")
        return atomically(out, lambda path: table.to_parquet(path, index=False))
    text = {
        "csv": lambda: _lists_as_text(table).to_csv(index=False),
        "json": lambda: table.to_json(orient="records", indent=2, double_precision=15) + "\n",
        "latex": lambda: latex(table, read_json(layout.plan)),
    }[format]()
    if out is None:
        sys.stdout.write(text)
    else:
        write_text(out, text)


def _lists_as_text(table):
    """Columns of confusion counts as JSON lists, which a cell of a CSV file can hold."""
    is_list = lambda value: getattr(value, "ndim", 0) == 1  # noqa: E731
    held = [name for name in table if any(map(is_list, table[name].dropna().head(1)))]
    return table.assign(**{name: table[name].map(lambda value: str(value.tolist()) if is_list(value) else None) for name in held})


def latex(points, plan) -> str:
    """A booktabs tabular a metric and value of every other axis: systems by the scenario's axis, mean and, after ±, half the interval."""
    from semcom.figures.results import horizontal_axis

    axis = horizontal_axis(plan)
    others = [other for other in plan["axes"] if other != axis]
    blocks = []
    for key, group in points[points["fill"] == "grey"].groupby([*others, "metric"], sort=False):
        values = list(dict.fromkeys(group[axis]))
        titles = [value if isinstance(value, str) else f"{value:g}" for value in values]
        lines = ["% " + ", ".join(map(str, key)), rf"\begin{{tabular}}{{l{'r' * len(values)}}}", r"\toprule"]
        lines += [" & ".join(["SNR [dB]" if axis == "snr_db" else _escaped(axis), *titles]) + r" \\", r"\midrule"]
        for system, curve in group.groupby("system", sort=False):
            cells = {row[axis]: _latex_cell(row) for _, row in curve.iterrows()}
            lines.append(" & ".join([_escaped(system), *(cells.get(value, "--") for value in values)]) + r" \\")
        blocks.append("\n".join([*lines, r"\bottomrule", r"\end{tabular}"]))
    return "\n\n".join(blocks) + "\n"


def _latex_cell(row) -> str:
    if row["mean"] != row["mean"]:
        return "--"
    half = (row["high"] - row["low"]) / 2
    return f"${row['mean']:.3g}$" if half != half else rf"${row['mean']:.3g} \pm {half:.2g}$"


def _escaped(text: str) -> str:
    return "".join(f"\\{c}" if c in "_&%#$" else c for c in text)
