"""semcom list | show | schema | doctor: what there is and how to use it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from semcom.cli import options
from semcom.errors import SemcomError, allowed


def register(app: typer.Typer) -> None:
    app.command("list")(list_components)
    app.command()(show)
    app.command()(schema)
    app.command()(doctor)


def list_components(
    role: Annotated[Optional[str], typer.Argument(help="source, channel, transmit, link, receive or metric.")] = None,
    json: options.Json = False,
) -> None:
    """List the components, by role.

    \b
    semcom list
    semcom list channel
    """
    from semcom import registry
    from semcom.scenario import catalogue

    if role is not None and role not in registry.TABLE:
        raise SemcomError(f"there is no role '{role}'; {allowed(role, registry.TABLE)}")
    chosen = {name: kinds for name, kinds in catalogue().items() if role in (None, name)}
    if json:
        return options.print_json(chosen)
    for name, kinds in chosen.items():
        print(name)
        for kind, summary in kinds.items():
            print(f"  {kind:<16} {summary}")


def show(
    name: Annotated[str, typer.Argument(help="A kind, such as rayleigh, or role/kind where two roles have it; or a scenario file.")],
    set_: options.Set = None,
    allow_plugins: options.Plugins = False,
    json: options.Json = False,
) -> None:
    """Explain a component: what it does, its parameters and defaults, and its YAML. Of a scenario, draw its channel.

    \b
    semcom show rayleigh
    semcom show receive/image_codec
    semcom show scenarios/quickstart.yaml
    """
    import yaml

    from semcom import registry
    from semcom.scenario import describe, draw_channel

    if name.endswith((".yaml", ".yml")):
        return _show_channels(name, set_, allow_plugins, json)
    if set_:
        raise SemcomError(f"--set changes a scenario, and '{name}' is a component; give a scenario file")

    role, _, kind = name.rpartition("/")
    roles = [role] if role else [role for role in registry.TABLE if kind in registry.kinds(role)]
    if not roles or any(r not in registry.TABLE for r in roles):
        names = [known for r in registry.TABLE for known in registry.kinds(r)]
        raise SemcomError(f"there is no component '{name}'; {allowed(kind, names)}")
    descriptions = [describe(role, kind) for role in roles]
    if json:
        return options.print_json([vars(description) for description in descriptions])
    for place, description in enumerate(descriptions):
        print(("\n" if place else "") + f"{description.role}/{description.kind}\n")
        print(description.text.strip() + "\n")
        if description.parameters:
            print("Parameters")
            for parameter in description.parameters:
                print(f"  {parameter.name}: {parameter.type}, default {parameter.default}")
                print(f"      {parameter.text}")
            print()
        print("YAML")
        print("\n".join(f"  {line}" for line in description.snippet.strip().splitlines()))
        if description.role == "channel" and isinstance(written := yaml.safe_load(description.snippet)["channel"], list):
            print("\nDrawing")
            print("\n".join(f"  {line}" for line in draw_channel(registry.parse("channel", written, allow_plugins))))


def _show_channels(path: str, set_: Optional[list[str]], allow_plugins: bool, json: bool) -> None:
    """Draw every channel that a scenario's sweep meets, with what its channel uses hold."""
    from semcom import units
    from semcom.scenario import draw_channel

    drawings: dict[str, list[str]] = {}
    for point in options.load(Path(path), set_, allow_plugins).points():
        uses = units.channel_uses(point.bandwidth_ratio, *point.source.size)
        own = [f"{axis} = {value}" for axis, value in point.values.items() if axis.partition(".")[0] in ("channel", "bandwidth_ratio", "source")]
        drawings.setdefault(", ".join(own), draw_channel(point.channel, uses))
    if json:
        return options.print_json(drawings)
    for number, (where, lines) in enumerate(drawings.items()):
        print(("\n" if number else "") + "channel" + (f" at {where}" if where else ""))
        print("\n".join(f"  {line}" for line in lines))


def schema(out: Annotated[Optional[Path], typer.Option("--out", "-o", help="A file; standard output if not given.")] = None) -> None:
    """Export the JSON schema of scenario files, with which editors complete and check them.

    \b
    semcom schema -o scenario.schema.json
    # then, as the first line of a scenario:
    # yaml-language-server: $schema=scenario.schema.json
    """
    from semcom.scenario import json_schema
    from semcom.store.writer import write_json

    if out is None:
        options.print_json(json_schema())
    else:
        write_json(out, json_schema())


def doctor(json: options.Json = False) -> None:
    """Say which device, versions, codecs, weights and optional parts are there, and what to do about what is not.

    \b
    semcom doctor
    """
    from semcom.cli.health import examine

    findings = examine()
    if json:
        return options.print_json([vars(finding) for finding in findings])
    for finding in findings:
        print(f"[{'ok' if finding.ok else '--'}] {finding.name}: {finding.text}")
