"""Scenario files: read strictly, checked entirely, resolved point by point."""

from semcom.scenario.drawing import draw_channel, shares
from semcom.scenario.json_schema import json_schema
from semcom.scenario.load import from_mapping, load
from semcom.scenario.pages import Page, Parameter, catalogue, describe
from semcom.scenario.scenario import Point, Scenario
from semcom.scenario.systems import ConcreteSystem, SystemSpec

__all__ = [
    "ConcreteSystem",
    "Page",
    "Parameter",
    "Point",
    "Scenario",
    "SystemSpec",
    "catalogue",
    "describe",
    "draw_channel",
    "from_mapping",
    "json_schema",
    "load",
    "shares",
]
