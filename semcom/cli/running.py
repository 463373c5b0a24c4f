"""semcom run | validate | plan: from a scenario file to results."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from semcom.cli import options


def register(app: typer.Typer) -> None:
    app.command()(run)
    app.command()(validate)
    app.command()(plan)


def run(
    scenario: options.Scenario,
    set_: options.Set = None,
    out: Annotated[Optional[Path], typer.Option(help="The results folder; results/NAME if not given.")] = None,
    device: Annotated[Optional[str], typer.Option(help="auto, cpu or cuda; the scenario's execution.device if not given.")] = None,
    batch_size: Annotated[Optional[int], typer.Option(min=1, help="Rows computed together; never changes the numbers.")] = None,
    allow_plugins: options.Plugins = False,
    json: options.Json = False,
) -> None:
    """Run a scenario, or go on with it where it was stopped.

    \b
    semcom run scenarios/quickstart.yaml
    semcom run my.yaml --set channel.kind=rayleigh --set repeats=20 --out results/my-rayleigh
    """
    from semcom.cli.progress import ProgressLine

    overrides = list(set_ or [])
    overrides += [f"execution.device={device}"] if device else []
    overrides += [f"execution.batch_size={batch_size}"] if batch_size else []
    loaded = options.load(scenario, overrides, allow_plugins)
    from semcom.sweep.run import Run

    job = Run(loaded, out or Path("results") / loaded.name)
    line = ProgressLine()
    try:
        for progress in job:
            line.show(progress)
    finally:
        line.close()
    _report(job, json)
    if job.failures:
        sys.exit(1)


def _report(job, as_json: bool) -> None:
    """Tables and paths on stdout; what is missing or failed on stderr."""
    from semcom.cli import tables
    from semcom.cli.outputs import write_outputs
    from semcom.store.reader import read_json

    for batch, reason in job.failures.items():
        print(f"failed: {reason} (traceback: {job.layout.failures / batch}.txt)", file=sys.stderr)
    if job.finished == 0:
        return
    points, paths = write_outputs(job.layout)
    if as_json:
        options.print_json({"results": str(job.layout.root), "seconds": job.seconds, "failures": job.failures,
                            "absent": job.absent, "files": [str(path) for path in paths]})  # fmt: skip
        return
    tables.print_points(points, read_json(job.layout.plan))
    print(f"\n{job.layout.root}: " + ", ".join(str(path.relative_to(job.layout.root)) for path in paths))


def validate(
    scenario: options.Scenario, set_: options.Set = None, allow_plugins: options.Plugins = False, json: options.Json = False
) -> None:
    """Check a scenario file without running it.

    \b
    semcom validate my.yaml
    semcom validate my.yaml --set snr_db=3
    """
    loaded = options.load(scenario, set_, allow_plugins)
    points = len(list(loaded.points()))
    if json:
        options.print_json({"valid": True, "name": loaded.name, "points": points, "axes": list(loaded.axes)})
    else:
        print(f"{scenario} is valid: {points} points over {', '.join(loaded.axes) or 'no axis'}")


def plan(
    scenario: options.Scenario, set_: options.Set = None, allow_plugins: options.Plugins = False, json: options.Json = False
) -> None:
    """Say what a run would compute: systems, points, images, channel uses. Nothing is tuned or sent.

    \b
    semcom plan scenarios/quickstart.yaml
    """
    from semcom import units
    from semcom.metrics.base import quantities
    from semcom.scenario import shares
    from semcom.sweep.members import curves_of

    loaded = options.load(scenario, set_, allow_plugins)
    points = list(loaded.points())
    sources = {point.source: point.source.build() for point in points}
    images = {source: len(built.images()) for source, built in sources.items()}
    uses = sorted({units.channel_uses(point.bandwidth_ratio, *point.source.size) for point in points})
    held = {
        f"{count}: {shares(point.channel, count)}": None
        for point in points
        if hasattr(point.channel, "stages") and (count := units.channel_uses(point.bandwidth_ratio, *point.source.size))
    }
    curves = list(curves_of(points[0].systems))
    summary = {
        "name": loaded.name,
        "axes": {axis: list(dict.fromkeys(str(point.values[axis]) for point in points)) for axis in loaded.axes},
        "points": len(points),
        "systems": [{"name": c.name, "role": c.role, "tuned": {k: len(v) for k, v in c.spec.tuned.items()}} for c in curves],
        "images": sum(images.values()),
        "repeats": loaded.repeats,
        "channel_uses": uses,
        "held": list(held),
        "rows": sum(images[point.source] for point in points) * len(curves) * loaded.repeats,
        "absent": {c: reason for m in loaded.metrics if (reason := m.available()) for c in quantities(m)},
        "skipped": {name: reason for built in sources.values() for name, reason in built.skipped().items()},
    }
    if json:
        return options.print_json(summary)
    print(f"{summary['name']}: {summary['points']} points, {summary['images']} images, {loaded.repeats} repeats")
    for axis, values in summary["axes"].items():
        print(f"  {axis}: {', '.join(values)}")
    print(f"  channel uses an image: {'; '.join(held) or ', '.join(map(str, uses))}")
    for curve in summary["systems"]:
        tuned = ", ".join(f"{path} (of {count})" for path, count in curve["tuned"].items())
        print(f"  {'  ' if curve['role'] == 'member' else ''}{curve['name']}" + (f", tuned: {tuned}" if tuned else ""))
    print(f"  at most {summary['rows']} rows (an image, once, through one system at one point)")
    for name, reason in {**summary["absent"], **summary["skipped"]}.items():
        print(f"  {name}: {reason}")
