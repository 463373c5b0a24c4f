"""What every registered component promises; a new one inherits these tests by standing in the registry."""

import json
import pickle
import re

import pytest
import yaml

from pydantic import BaseModel

from semcom import registry
from semcom.scenario import describe
from semcom.scenario.components import parse, unfold
from semcom.scenario.identity import canonical

COMPONENTS = [(role, kind) for role in registry.TABLE for kind in registry.TABLE[role]]


@pytest.fixture(params=COMPONENTS, ids="/".join)
def component(request):
    role, kind = request.param
    return role, kind, registry.find(role, kind)


def snippet(role, kind):
    """The component's YAML snippet as data: {role: fields}."""
    return yaml.safe_load(describe(role, kind).snippet)


def example(role, kind):
    """The description that a component's own snippet describes."""
    fields = snippet(role, kind)[role]
    stages = fields if isinstance(fields, list) else [fields]  # a channel's stages may be listed
    unfolded = [{"kind": stage} if isinstance(stage, str) else stage for stage in stages]
    fields = next(stage for stage in unfolded if stage["kind"] == kind)
    return registry.find(role, kind).model_validate_json(json.dumps(fields))


def test_its_kind_is_its_name_in_the_registry(component):
    role, kind, description = component
    assert description.model_fields["kind"].default == kind


def test_its_docstring_explains_it(component):
    _, _, description = component
    summary = description.__doc__.strip().splitlines()[0]
    assert len(summary) > 15 and summary.endswith(".")


def test_every_parameter_is_described(component):
    _, _, description = component
    for name, field in description.model_fields.items():
        assert name == "kind" or field.description, f"{name} has no description"


def test_its_yaml_snippet_loads(component):
    role, kind, description = component
    assert list(snippet(role, kind)) == [role]
    assert isinstance(example(role, kind), description)


def test_its_yaml_snippet_is_a_channel(component):
    role, kind, _ = component
    if role == "channel":
        assert isinstance(parse(role, unfold(snippet(role, kind)[role]), (role,)), BaseModel)


def test_round_trip_through_json_and_pickle(component):
    role, kind, description = component
    first = example(role, kind)
    assert description.model_validate_json(first.model_dump_json()) == first
    assert pickle.loads(pickle.dumps(first)) == first


def test_unknown_fields_are_refused_and_descriptions_are_frozen(component):
    role, kind, description = component
    fields = json.loads(example(role, kind).model_dump_json())
    with pytest.raises(ValueError, match="no_such_field"):
        description.model_validate({**fields, "no_such_field": 1})
    with pytest.raises(ValueError, match="frozen"):
        example(role, kind).kind = "other"


def test_identity_is_canonical_and_holds_the_version(component):
    role, kind, description = component
    identity = example(role, kind).identity()
    assert identity["version"] == description.VERSION
    assert re.fullmatch(r"\{.*\}", canonical(identity))
