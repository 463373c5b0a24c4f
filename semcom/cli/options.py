"""Options that several commands share."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

Scenario = Annotated[Path, typer.Argument(metavar="SCENARIO", help="A scenario file (YAML).")]
Results = Annotated[Path, typer.Argument(metavar="RESULTS", help="A results folder, such as results/quickstart.")]
Set = Annotated[
    Optional[list[str]],
    typer.Option("--set", metavar="PATH=VALUE", help="Change one field, such as channel.kind=rayleigh; may be given again."),
]
Plugins = Annotated[
    bool, typer.Option("--allow-plugins", help='Let the scenario name code outside the package: kind: "package.module:Class".')
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def load(scenario: Path, overrides: list[str] | None, allow_plugins: bool):
    """The scenario, checked; ScenarioError lists everything that is wrong with it.

    With plugins allowed, modules in the folder where the command is given can be named as well.
    """
    if allow_plugins and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    from semcom.scenario import load as load_scenario

    return load_scenario(scenario, overrides=overrides or [], allow_plugins=allow_plugins)


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))
