"""The JSON schema of scenario files, with which editors complete and check them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from semcom import registry
from semcom.component import Component
from semcom.errors import ScenarioError
from semcom.scenario.axes import Grid
from semcom.scenario.schema import ScenarioFile
from semcom.scenario.systems import ROLES

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_OUTSIDE = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"
_NAMED = {
    "type": "object",
    "description": "components, or lists of stages, under the names that figures and tables give them",
    "propertyNames": {"not": {"enum": list(Grid.model_fields)}},
    "additionalProperties": {"type": ["string", "object", "array"]},
    "minProperties": 1,
}
_RATIO = {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": r"^\s*[0-9]+\s*/\s*[0-9]+\s*$"}]}


def json_schema() -> dict[str, Any]:
    """Every key of a scenario, every component with its parameters; fields of systems admit auto and best_of.

    A file begins with ``# yaml-language-server: $schema=scenario.schema.json`` to be completed by it.
    """
    schema = ScenarioFile.model_json_schema(ref_template="#/$defs/{model}")
    definitions = schema["$defs"]
    for role in registry.TABLE:
        definitions[role] = _role(role, definitions)
    top = schema["properties"]
    top["bandwidth_ratio"] |= _RATIO
    top["snr_db"] |= {"type": "number"}
    top["source"] |= {"$ref": "#/$defs/source"}
    stages = {"type": "array", "items": {"$ref": "#/$defs/channel"}, "minItems": 1, "description": "stages, in the order of a signal"}
    top["channel"] |= {"anyOf": [{"$ref": "#/$defs/channel"}, stages]}
    top["metrics"] |= {"items": {"$ref": "#/$defs/metric"}, "minItems": 1}
    top["systems"] |= {"minProperties": 1}
    values = top["sweep"].pop("additionalProperties")
    values["anyOf"].append(_NAMED)
    top["sweep"] |= {
        "patternProperties": {r"^(snr_db|bandwidth_ratio|source|channel|systems)($|\.)": values},
        "additionalProperties": False,
    }
    top["sweep"]["properties"] = {axis: values for axis in ("snr_db", "bandwidth_ratio", "channel", "source")}
    for role in ROLES:
        definitions["SystemEntry"]["properties"][role] |= {"$ref": f"#/$defs/{role}"}
    for section in (schema, *definitions.values()):
        for field in section.get("properties", {}).values():
            if isinstance(field, dict) and field.get("default", 0) is None:
                del field["default"]
    schema |= {"$schema": DIALECT, "title": "semcom scenario", "required": ["systems", "metrics"]}
    return schema


def _role(role: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """What may stand where a component of ``role`` is expected: a name, or a mapping with its kind."""
    bare, mappings = [], []
    for kind in registry.kinds(role):
        try:
            description = registry.find(role, kind)
        except ScenarioError:
            continue
        name = f"{role}.{kind}"
        definitions[name] = _component(role, kind, description, definitions)
        mappings.append({"$ref": f"#/$defs/{name}"})
        if not any(info.is_required() for info in description.model_fields.values()):
            bare.append({"const": kind, "description": _summary(description)})
    outside = {"type": "string", "pattern": _OUTSIDE, "description": "a component outside the package: package.module:Class"}
    mappings.append({"type": "object", "properties": {"kind": outside}, "required": ["kind"]})
    return {"anyOf": [*bare, outside, *mappings], "description": f"{role}: a name, or a mapping with its kind"}


def _component(role: str, kind: str, description: type[BaseModel], definitions: dict[str, Any]) -> dict[str, Any]:
    schema = description.model_json_schema(ref_template=f"#/$defs/{role}.{kind}.{{model}}")
    for name, definition in schema.pop("$defs", {}).items():
        nested = name == Component.__name__  # a field that holds a component says no more than that; it is of the same role
        if role in ROLES and "properties" in definition:
            definition = {**definition, "properties": {key: _tunable(field, False) for key, field in definition["properties"].items()}}
        definitions[f"{role}.{kind}.{name}"] = {"$ref": f"#/$defs/{role}"} if nested else definition
    properties = {"kind": {"const": kind}}
    for name, field in schema.get("properties", {}).items():
        if name != "kind":
            properties[name] = _tunable(field, bool(description.choices(name))) if role in ROLES else field
    required = ["kind", *(name for name in schema.get("required", ()) if name != "kind")]
    return {
        "type": "object",
        "description": _summary(description),
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _tunable(field: dict[str, Any], auto: bool) -> dict[str, Any]:
    """A field's schema that admits candidates in its place."""
    outer = {key: field[key] for key in ("description", "default", "title") if key in field}
    value = {key: item for key, item in field.items() if key not in outer}
    best_of = {
        "type": "object",
        "properties": {
            "best_of": {
                "type": "array",
                "items": value,
                "minItems": 1,
                "description": "the best of these, chosen on tuning images",
            }
        },
        "required": ["best_of"],
        "additionalProperties": False,
    }
    chosen = [{"const": "auto", "description": "the best of all that this field offers, chosen on tuning images"}] if auto else []
    return outer | {"anyOf": [value, *chosen, best_of]}


def _summary(description: type[BaseModel]) -> str:
    return (description.__doc__ or "").strip().partition("\n")[0]
