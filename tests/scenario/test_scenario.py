"""What a scenario means: its grid, its points, what is tuned, what is overridden, what it is the same as."""

import importlib
import json
import pickle
import re
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from semcom.errors import ScenarioError
from semcom.metrics.base import RATES
from semcom.scenario import from_mapping, json_schema, load
from semcom.scenario.axes import Grid, exact
from semcom.scenario.identity import canonical, digest
from semcom.scenario.yaml_file import read_file

SHIPPED = sorted((Path(__file__).resolve().parents[2] / "scenarios").rglob("*.yaml"))
AUTO = [("codec: webp", "codec: {best_of: [webp, avif]}"), ("mcs: qpsk-1/2", "mcs: auto")]


# numbers and grids


@pytest.mark.parametrize(
    ("written", "expected"),
    [("1/24", Fraction(1, 24)), ("0.05", Fraction(1, 20)), ("1 / 6", Fraction(1, 6)), ("1e-2", Fraction(1, 100)), ("'0.1'", Fraction(1, 10)), ("2", Fraction(2))],
)
def test_bandwidth_ratios_are_exact(scenario, written, expected):
    (point, _) = scenario(replace=[("1/24", written)]).points()
    assert point.bandwidth_ratio == expected


def test_a_grid_has_no_rounding_and_includes_stop():
    assert [float(value) for value in Grid(start=0, stop=0.5, step=0.1).values()] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert [float(value) for value in Grid(start=20, stop=-5, step=-2.5).values()] == [20 - 2.5 * n for n in range(11)]
    assert Grid(start="1/96", stop="1/24", step="1/96").values() == tuple(Fraction(n, 96) for n in range(1, 5))
    assert Grid(start=0, stop=10, step=3).values() == (0, 3, 6, 9)


@given(st.decimals(-100, 100, places=2), st.integers(0, 200), st.decimals("0.01", 5, places=2))
def test_a_grid_is_what_decimal_arithmetic_says(start, steps, step):
    grid = Grid(start=float(start), stop=float(start + steps * step), step=float(step))
    assert [float(value) for value in grid.values()] == [float(start + n * step) for n in range(steps + 1)]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_taken_as_written(number):
    assert exact(number) == Fraction(Decimal(repr(number)))


def test_values_keep_their_type(scenario):
    text = "snr_db: {start: 0, stop: 2, step: 1}\n  systems.codec.link.iterations: {start: 5, stop: 15, step: 5}"
    made = scenario(replace=[("snr_db: [0, 10]", text)])
    assert made.axes == {"systems.codec.link.iterations": (5, 10, 15), "snr_db": (0.0, 1.0, 2.0)}
    assert [type(value) for values in made.axes.values() for value in values] == [int] * 3 + [float] * 3


# points


def test_the_grid_goes_through_axes_in_order_and_snr_innermost(scenario):
    axes = "snr_db: [0, 10]\n  bandwidth_ratio: [1/24, 1/6]\n  channel: [awgn, {kind: rician, k_db: 3}]"
    made = scenario(replace=[("bandwidth_ratio: 1/24\n", ""), ("channel: awgn\n", ""), ("snr_db: [0, 10]", axes)])
    points = made.points()
    assert len(points) == len(made) == 8
    assert list(made.axes) == ["bandwidth_ratio", "channel", "snr_db"]
    assert [point.snr_db for point in points] == [0.0, 10.0] * 4
    assert [point.bandwidth_ratio for point in points] == [Fraction(1, 24)] * 4 + [Fraction(1, 6)] * 4
    assert [point.channel.kind for point in points] == ["awgn", "awgn", "rician", "rician"] * 2
    assert points[2].values == {"bandwidth_ratio": Fraction(1, 24), "channel": "rician(k_db=3)", "snr_db": 0.0}
    assert points[2].channel.k_db == 3.0


def test_a_field_of_one_system_is_swept_in_that_system_alone(scenario):
    second = "  other.name 2: {transmit: image_codec, link: {kind: digital}, receive: image_codec}\nmetrics:"
    axes = "snr_db: [5]\n  systems.other.name 2.link.iterations: [3, 9]"
    points = scenario(replace=[("metrics:", second), ("snr_db: [0, 10]", axes)]).points()
    assert [point.systems[1].resolve().link.iterations for point in points] == [3, 9]
    assert points[0].systems[0] == points[1].systems[0]


def test_a_new_kind_drops_the_fields_of_the_old_one(scenario):
    kinds = [("channel: awgn\n", "channel: {k_db: 3}\n"), ("snr_db: [0, 10]", "snr_db: [0]\n  channel.kind: [rayleigh, awgn]")]
    assert [point.channel.kind for point in scenario(replace=kinds).points()] == ["rayleigh", "awgn"]
    fading = scenario(replace=[("awgn", "{kind: rician, k_db: 3}")], overrides=["channel.kind=rayleigh"])
    assert fading.points()[0].channel.kind == "rayleigh"
    same = scenario(replace=[("awgn", "{kind: rician, k_db: 3}")], overrides=["channel.kind=rician"])
    assert same.points()[0].channel.k_db == 3.0


def test_points_are_plain_and_travel(scenario):
    made = scenario(replace=AUTO)
    assert pickle.loads(pickle.dumps(made.points())) == made.points()
    assert pickle.loads(pickle.dumps(made)) == made
    assert len({point.source for point in made.points()}) == 1


# tuning


def test_free_fields_have_candidates_and_are_resolved(scenario):
    (spec,) = scenario(replace=AUTO).points()[0].systems
    assert spec.tuned["transmit.codec"] == ("webp", "avif")
    assert len(spec.tuned["link.mcs"]) > 10 and "qpsk-1/8" in spec.tuned["link.mcs"]
    system = spec.resolve({"transmit.codec": "avif", "link.mcs": "qpsk-1/8"})
    assert (system.transmit.codec, system.link.mcs, system.receive.kind) == ("avif", "qpsk-1/8", "image_codec")
    half = spec.fix({"transmit.codec": "webp"})
    assert list(half.tuned) == ["link.mcs"]
    assert half.resolve({"link.mcs": "qpsk-1/3"}).transmit.codec == "webp"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"transmit.codec": "avif"}, "no setting for link.mcs"),
        ({"transmit.codec": "jpeg", "link.mcs": "qpsk-1/2"}, "'jpeg' was given; allowed: avif, webp"),
        ({"transmit.codek": "avif"}, "this field is not free; .*did you mean 'transmit.codec'"),
    ],
)
def test_settings_that_do_not_fit(scenario, settings, says):
    (spec,) = scenario(replace=AUTO).points()[0].systems
    with pytest.raises(ScenarioError, match=f"systems.codec.*{says}"):
        spec.resolve(settings)


def test_fields_inside_parts_are_free_as_well(scenario):
    parts = "{kind: parts, parts: {image: {link: {kind: digital, mcs: auto}, uses: 1, power: {best_of: [1, 0.5]}}}}"
    (spec,) = scenario(replace=[("{kind: digital, mcs: qpsk-1/2}", parts)]).points()[0].systems
    assert list(spec.tuned) == ["link.parts.image.link.mcs", "link.parts.image.power"]
    link = spec.resolve({"link.parts.image.link.mcs": "qpsk-1/5", "link.parts.image.power": 0.5}).link
    assert (link.parts["image"].link.mcs, link.parts["image"].power) == ("qpsk-1/5", 0.5)


def test_a_swept_field_cannot_be_tuned(scenario):
    with pytest.raises(ScenarioError, match=r"sweep.systems.codec.link.mcs: .*tuned there and cannot be swept"):
        scenario(replace=[*AUTO, ("snr_db: [0, 10]", "snr_db: [0]\n  systems.codec.link.mcs: [qpsk-1/2]")])


# overrides


@pytest.mark.parametrize(
    ("overrides", "check"),
    [
        (["channel.kind=rician", "channel.k_db=1e1"], lambda s: s.points()[0].channel.k_db == 10.0),
        (["channel.k_db=3", "channel.kind=rician"], lambda s: s.points()[0].channel.k_db == 3.0),
        (["channel={kind: rician, k_db: 3}"], lambda s: s.points()[0].channel.k_db == 3.0),
        (["sweep.snr_db=[1,2,3]"], lambda s: s.axes == {"snr_db": (1.0, 2.0, 3.0)}),
        (["sweep.snr_db={start: 0, stop: 1, step: 0.5}"], lambda s: s.axes == {"snr_db": (0.0, 0.5, 1.0)}),
        (["snr_db=3"], lambda s: not s.axes and s.points()[0].snr_db == 3.0),
        (["sweep.bandwidth_ratio=[1/24, 1/12]"], lambda s: len(s) == 4),
        (["sweep.channel=[awgn, rayleigh]"], lambda s: len(s) == 4),
        (["sweep.channel.kind=[awgn, rayleigh]"], lambda s: len(s) == 4),
        (["systems.codec.link.mcs=auto"], lambda s: "link.mcs" in s.points()[0].systems[0].tuned),
        (["systems.codec.link=ideal"], lambda s: s.points()[0].systems[0].resolve().link.kind == "ideal"),
        (["source.size=[64, 96]"], lambda s: s.points()[0].source.size == (64, 96)),
        (["metrics=[psnr, ssim]", "repeats=7", "name=other"], lambda s: (len(s.metrics), s.repeats, s.name) == (2, 7, "other")),
        (["execution.batch_size=4"], lambda s: s.execution.batch_size == 4),
        (["repeats=3", "repeats=4"], lambda s: s.repeats == 4),
    ],
)
def test_overrides(scenario, overrides, check):
    assert check(scenario(overrides=overrides))


def test_null_removes(scenario):
    second = "  second: {transmit: image_codec, link: ideal, receive: image_codec}\nmetrics:"
    made = scenario(replace=[("metrics:", second)], overrides=["systems.codec=null", "sweep.snr_db=", "snr_db=1"])
    assert [spec.name for spec in made.points()[0].systems] == ["second"]


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("channel.knd=rayleigh", "--set channel.knd=rayleigh: channel.knd: there is no 'knd' here; .*did you mean 'kind'"),
        ("channel.kind=rayligh", "--set channel.kind=rayligh: channel.kind: there is no channel 'rayligh'; .*did you mean 'rayleigh'"),
        ("systems.cdec.link=ideal", "--set systems.cdec.link=ideal: systems.cdec.link: there is no system 'cdec'; .*did you mean 'codec'"),
        ("sweep.snr_db=[1, x]", "--set sweep.snr_db=.1, x.: sweep.snr_db.1.: 'x' was given; expected a number of dB"),
        ("sweep.chanel.k_db=[1]", "--set .*there is no 'chanel.k_db' to sweep"),
        ("repeats=0", "--set repeats=0: repeats: 0 was given; expected a number of at least 1"),
        ("repeats=[", "--set repeats=.: this is not YAML"),
        ("repeats", "--set repeats: expected PATH=VALUE, such as channel.kind=rayleigh"),
        ("=3", "--set =3: expected PATH=VALUE"),
        ("metrics.first=3", "--set metrics.first=3: .*'metrics' is no mapping"),
    ],
)
def test_wrong_overrides_are_named(scenario, override, says):
    with pytest.raises(ScenarioError, match=f"^{says}"):
        scenario(overrides=[override])


# figures


def test_figures_are_filled_in(scenario):
    made = scenario(replace=[("[psnr]", "[psnr, ssim]")])
    assert (made.figures.curves.axis, made.figures.curves.metrics) == ("snr_db", ("psnr", "ssim"))
    made = scenario(replace=[("[psnr]", "[psnr, ssim]\nfigures: {curves: {metrics: [fer, ssim]}}")])
    assert made.figures.curves.metrics == ("fer", "ssim")


def test_rates_are_those_that_tables_have():
    assert set(importlib.import_module("semcom.scenario.load").RATES) == set(RATES)


def test_images_of_the_panel_are_checked_once_the_source_is_known(scenario):
    made = scenario(replace=[("[psnr]", "[psnr]\nfigures: {panel: {images: [chelsea, astronut]}}")])
    with pytest.raises(ScenarioError, match=r"my.yaml:13: figures.panel.images\[1\]: there is no image 'astronut'; .*did you mean 'astronaut'"):
        made.check_images(["astronaut", "chelsea"])
    made.check_images(["astronut", "chelsea"])


def test_figures_name_systems_by_key_and_show_their_labels(scenario):
    made = scenario(replace=[("  codec:\n", "  codec:\n    label: WebP\n"), ("[psnr]", "[psnr]\nfigures: {panel: {systems: [codec]}, classes: {systems: [codec], snr_db: [10]}, inventions: {systems: [codec], classes: [car]}}")])
    assert made.figures.panel.systems == made.figures.classes.systems == ("WebP",) and made.figures.classes.snr_db == (10,)
    assert made.figures.inventions.systems == ("WebP",) and made.figures.inventions.classes == ("car",)
    assert from_mapping(yaml.safe_load(made.dump())).figures == made.figures


# identity


@pytest.mark.parametrize(
    "replace",
    [
        [("name: good", "name: other")],
        [("  codec:\n", "  another name:\n    label: shown\n    role: reference\n")],
        [("channel: awgn", "channel: {kind: awgn}")],
        [("1/24", "2/48")],
        [("[0, 10]", "{start: 0, stop: 10, step: 10}")],
        [("kind: digital, mcs: qpsk-1/2", "mcs: qpsk-1/2, kind: digital")],
        [("name: good", "execution: {device: cpu, batch_size: 3}\nfigures: {panel: {snr_db: [10]}}")],
        [("source: photos\n", ""), ("metrics:", "source: photos\nmetrics:")],
    ],
)
def test_identity_does_not_change_with_what_changes_no_number(scenario, replace):
    assert scenario(replace=replace).digest() == scenario().digest()


@pytest.mark.parametrize(
    "replace",
    [
        [("name: good", "seed: 1")],
        [("name: good", "repeats: 2")],
        [("1/24", "1/23")],
        [("[0, 10]", "[0, 10.5]")],
        [("awgn", "rayleigh")],
        [("photos", "{kind: photos, size: [128, 256]}")],
        [("qpsk-1/2", "qpsk-1/3")],
        [("mcs: qpsk-1/2", "mcs: auto")],
        [("codec: webp", "codec: {best_of: [webp, avif]}")],
        [("[psnr]", "[psnr, ssim]")],
    ],
)
def test_identity_changes_with_what_changes_a_number(scenario, replace):
    assert scenario(replace=replace).digest() != scenario().digest()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text() | st.fractions(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(JSON)
def test_canonical_json_is_json_and_does_not_depend_on_the_order_of_keys(value):
    def reverse(v):
        if isinstance(v, dict):
            return {key: reverse(v[key]) for key in reversed(v)}
        return [reverse(item) for item in v] if isinstance(v, list) else v

    assert canonical(reverse(value)) == canonical(value)
    assert canonical(json.loads(canonical(value))) == canonical(value)
    assert len(digest(value)) == 16 and int(digest(value), 16) >= 0


def test_what_canonical_json_refuses():
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="expected a finite number"):
            canonical({"a": [value]})
    for value in (object(), {1: 2}, b"x"):
        with pytest.raises(TypeError, match="cannot be part of an identity"):
            canonical(value)
    assert canonical(-0.0) == canonical(0.0) and canonical(1.0) != canonical(1)
    assert canonical({"b": 1, "a": Fraction(1, 24)}) == '{"a":"1/24","b":1}'


# round trips and shipped files


def test_round_trip(scenario, tmp_path):
    axes = "snr_db: {start: -5, stop: 5, step: 2.5}\n  bandwidth_ratio: [1/24, 0.1]\n  channel: [awgn, {kind: rician, k_db: 1e-3}]"
    label = ("  codec:\n", "  codec:\n    label: 'yes'\n")
    made = scenario(replace=[*AUTO, label, ("bandwidth_ratio: 1/24\n", ""), ("channel: awgn\n", ""), ("snr_db: [0, 10]", axes)])
    (tmp_path / "again.yaml").write_text(made.dump())
    again = load(tmp_path / "again.yaml")
    assert again == made and again.dump() == made.dump() and again.digest() == made.digest()
    assert again.points() == made.points()


def test_a_name_left_out_is_the_files(scenario, tmp_path):
    assert scenario(replace=[("name: good\n", "")]).name == "my"
    assert from_mapping(dict(scenario().data) | {"name": None}).name == "scenario"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_scenarios_load_and_round_trip(path, tmp_path):
    made = load(path)
    assert made.name == path.stem
    assert len(made.points()) == len(made)
    (tmp_path / "again.yaml").write_text(made.dump())
    assert load(tmp_path / "again.yaml") == made


def test_validation_is_light():
    """No array library, no codec, no figure is needed to say that a scenario is right."""
    heavy = ["torch._C", "scipy", "skimage", "sionna", "lpips", "matplotlib.figure", "pandas", "pyarrow", "diffusers"]
    code = f"import sys; from semcom.scenario import load; load({str(SHIPPED[-1])!r}).points(); \
print([name for name in {heavy} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]", out


# the JSON schema


def accepts(schema, value, root):
    """Whether ``value`` is valid, for the keywords that our schema uses."""
    if "$ref" in schema and not accepts(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], value, root):
        return False
    if "anyOf" in schema and not any(accepts(one, value, root) for one in schema["anyOf"]):
        return False
    types = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float), "null": type(None)}
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(isinstance(value, types[kind]) and (kind == "boolean" or not isinstance(value, bool)) for kind in kinds):
        return False
    if "const" in schema and value != schema["const"]:
        return False
    if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, dict):
        named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        if not set(schema.get("required", ())) <= set(value):
            return False
        for key, item in value.items():
            fitting = [named[key]] if key in named else [one for pattern, one in patterns.items() if re.search(pattern, key)]
            other = schema.get("additionalProperties", True)
            if not fitting and other is False:
                return False
            fitting = fitting or ([other] if isinstance(other, dict) else [])
            if not all(accepts(one, item, root) for one in fitting):
                return False
    if isinstance(value, list) and "items" in schema:
        return all(accepts(schema["items"], item, root) for item in value)
    return True


@pytest.fixture(scope="module")
def schema():
    return json_schema()


@pytest.fixture(scope="module")
def valid(schema):
    try:
        import jsonschema
    except ImportError:
        return lambda data: accepts(schema, data, schema)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema).is_valid


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_scenarios_fit_the_schema(path, valid):
    assert valid(read_file(path).data)
    assert valid(json.loads(json.dumps(dict(load(path).data))))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("sorce",), 1),
        (("channel",), "rayligh"),
        (("channel",), {"kind": "rician", "kdb": 1}),
        (("systems", "codec", "link"), {"kind": "digital", "iterations": "auto"}),
        (("systems", "codec", "link"), {"mcs": "auto"}),
        (("systems", "codec", "transmit"), {"kind": "image_codec", "codec": {"best_of": ["wepb"]}}),
        (("metrics",), ["snr"]),
        (("sweep",), {"seed": [1]}),
        (("sweep",), {"snr_db": {"start": 0, "stop": 1}}),
    ],
)
def test_the_schema_refuses_what_is_wrong(scenario, valid, path, value):
    data = json.loads(json.dumps(dict(scenario(replace=AUTO).data)))
    assert valid(data)
    here = data
    for key in path[:-1]:
        here = here[key]
    here[path[-1]] = value
    assert not valid(data)


def test_every_reference_of_the_schema_leads_somewhere(schema):
    def references(value):
        if isinstance(value, dict):
            yield from [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            value = list(value.values())
        for item in value if isinstance(value, list) else ():
            yield from references(item)

    found = set(references(schema))
    assert len(found) > 20
    assert all(name.removeprefix("#/$defs/") in schema["$defs"] for name in found)


def test_the_schema_explains_fields(schema):
    mcs = schema["$defs"]["link.digital"]["properties"]["mcs"]
    assert mcs["description"] and {"const": "auto"}.items() <= mcs["anyOf"][1].items()
