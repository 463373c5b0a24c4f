"""Strict YAML: what is a number, what is text, what is refused, and the line that says so."""

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from semcom.errors import ScenarioError
from semcom.scenario.yaml_file import Dumper, read_file, read_text


def value(text):
    return read_text(f"a: {text}\n", "x.yaml").data["a"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-3", 1e-3), ("1E5", 1e5), ("-.5e+2", -50.0), ("+3", 3), ("5.", 5.0), ("010", 10), ("0x1F", 31), ("0o17", 15),
        ("yes", "yes"), ("No", "No"), ("on", "on"), ("off", "off"), ("y", "y"), ("true", True), ("FALSE", False),
        ("null", None), ("~", None), ("", None), ("1:30", "1:30"), ("1_000", "1_000"), ("2026-01-01", "2026-01-01"),
        ("1/24", "1/24"), ('"1e-3"', "1e-3"), ("'5'", "5"), ("-.inf", -math.inf), ("<<", "<<"), ("=", "="),
    ],
)  # fmt: skip
def test_scalars_are_read_as_yaml_1_2_does(text, expected):
    assert value(text) == expected
    assert type(value(text)) is type(expected)


def test_keys_are_text_as_written():
    assert list(read_text("1e3: 0\nyes: 0\n010: 0\n", "x").data) == ["1e3", "yes", "010"]


def test_every_value_knows_its_line():
    document = read_text("a: 1\nb:\n  - x\n  - c: 2\n    d: {e: 3}\n", "x.yaml")
    lines = {("a",): 1, ("b",): 2, ("b", 0): 3, ("b", 1, "c"): 4, ("b", 1, "d", "e"): 5}
    assert {keys: document.lines[keys] for keys in lines} == lines
    assert document.where(("b", 1, "nowhere", "at", "all")) == "x.yaml:4"


def test_anchors_and_merges():
    data = read_text("base: &base {kind: webp, q: 1}\none: {<<: *base, q: 2}\ntwo: *base\n", "x").data
    assert data == {"base": {"kind": "webp", "q": 1}, "one": {"kind": "webp", "q": 2}, "two": {"kind": "webp", "q": 1}}


@pytest.mark.parametrize(
    ("text", "line", "fragment"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "a: this key appears twice; the first one is in line 1"),
        ("a:\n  b: 1\n  b: 2\n", 3, "a.b: this key appears twice; the first one is in line 2"),
        ("a: {b: 1, c: 2, b: 3}\n", 1, "a.b: this key appears twice"),
        ("a: 1\n\tb: 2\n", 2, "a tab stands where YAML allows only spaces"),
        ("a: 1\n  b: 2\n", 2, "a ':' stands where no key can be"),
        ("a: [1, 2\n", 2, "this is not YAML"),
        ("a: *nothing\n", 1, "undefined alias"),
        ("a: &a [*a]\n", 1, "an alias stands inside the value that it repeats"),
        ("a: !!python/object:os.system x\n", 1, "the tag !!python/object:os.system does not belong here"),
        ("a: !secret x\n", 1, "the tag !secret does not belong here"),
        ("a: 1\n---\nb: 2\n", 2, "a second document begins"),
        ("a: .nan\n", 1, "is not a number"),
        ("a: 1e999\n", 1, "1e999 was given, which is too large"),
        ("a: " + "9" * 5000, 1, "a number of 5000 characters"),
        ("? [a]\n: 1\n", 1, "keys are text"),
        ("a: 1\n\"\": 2\n", 1, "line 2 has an empty key"),
        ("a: 1\nb: \x07\n", 2, "is not allowed in YAML"),
        ("a: {<<: 3}\n", 1, "'<<' takes an alias of a mapping"),
    ],
)
def test_what_is_refused_names_its_line(text, line, fragment):
    with pytest.raises(ScenarioError) as caught:
        read_text(text, "x.yaml")
    assert str(caught.value).startswith(f"x.yaml:{line}: ")
    assert fragment in str(caught.value)


def test_deep_nesting_and_exploding_aliases_are_refused():
    with pytest.raises(ScenarioError, match="nested too deeply"):
        read_text("[" * 5_000, "x")
    with pytest.raises(ScenarioError, match="more than 50 levels deep"):
        read_text("a: " + "[" * 100 + "]" * 100, "x")
    layers = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    layers += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
    with pytest.raises(ScenarioError, match="check its aliases"):
        read_text(layers, "x")


def test_missing_unreadable_and_wrongly_encoded_files(tmp_path):
    (tmp_path / "quick.yaml").write_text("a: 1")
    with pytest.raises(ScenarioError, match=r"quik\.yaml: there is no such file; .* holds quick\.yaml"):
        read_file(tmp_path / "quik.yaml")
    with pytest.raises(ScenarioError, match="nor a folder"):
        read_file(tmp_path / "none" / "quik.yaml")
    with pytest.raises(ScenarioError, match="cannot be read"):
        read_file(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("a: 1\nb: é\n".encode("latin-1"))
    with pytest.raises(ScenarioError, match=r"latin\.yaml:2: byte 0xe9 is not UTF-8"):
        read_file(tmp_path / "latin.yaml")
    (tmp_path / "bom.yaml").write_bytes("a: é\n".encode("utf-8-sig"))
    assert read_file(tmp_path / "bom.yaml").data == {"a": "é"}


SCALARS = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12) | st.sampled_from(["1e-3", "yes", "010", "~", ".5", "<<", "1/24"])
TREES = st.recursive(SCALARS | TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS.filter(bool), inner, max_size=3), max_leaves=8)


@given(TREES)
def test_what_is_written_is_read_back(tree):
    text = yaml.dump({"a": tree}, Dumper=Dumper, allow_unicode=True, default_flow_style=None)
    assert read_text(text, "x").data == {"a": tree}


@given(st.text(max_size=40) | st.binary(max_size=40).map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_data_or_a_scenario_error(text):
    try:
        read_text(text, "x")
    except ScenarioError:
        pass
