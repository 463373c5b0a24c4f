"""What `semcom show` and `semcom list` have to say."""

import pytest
import yaml

from semcom import registry
from semcom.errors import ScenarioError
from semcom.scenario import catalogue, describe


def test_a_page_has_text_parameters_and_a_snippet():
    page = describe("channel", "rician")
    assert page.summary == page.text.splitlines()[0] and "Example" not in page.text
    assert yaml.safe_load(page.snippet)["channel"]["kind"] == "rician"
    parameter = {p.name: p for p in page.parameters}["k_db"]
    assert parameter.type.startswith("number") and "dB" in parameter.text and float(parameter.default) > 0


def test_types_and_defaults_are_in_plain_words(outside):
    page = describe("transmit", "outside:Waves", allow_plugins=True)
    assert {p.name: (p.type, p.default, p.auto) for p in page.parameters} == {
        "levels": ("whole number, at least 1", "2", (1, 2, 4)),
        "share": ("fraction", "1/2", ()),
        "weights": ("list of number", "[1.0]", ()),
        "shape": ("one of sine, square", "sine", ()),
        "limit": ("number or one of none", "none", ()),
    }
    assert page.snippet == "transmit: {kind: waves, levels: 3}"
    assert describe("receive", "outside:Ears", allow_plugins=True).snippet == "receive: outside:Ears"


def test_an_unknown_component_is_an_error_with_the_nearest_name():
    with pytest.raises(ScenarioError, match="there is no channel 'rician2'; .*did you mean 'rician'"):
        describe("channel", "rician2")


def test_the_catalogue_holds_everything_with_a_line_each(monkeypatch):
    monkeypatch.setitem(registry.TABLE["link"], "broken", "semcom.link.no_such:Thing")
    listed = catalogue()
    assert {role: set(kinds) for role, kinds in listed.items()} == {role: set(registry.kinds(role)) for role in registry.TABLE}
    assert all(line.strip() for kinds in listed.values() for line in kinds.values())
    assert "cannot be imported" in listed["link"]["broken"]
