"""A channel as a list of stages: how a scenario writes, sweeps, changes and draws it."""

import re
import subprocess
import sys

import pytest
import yaml

from semcom.errors import ScenarioError
from semcom.scenario import draw_channel, from_mapping, json_schema

LISTED = """channel:
  - {kind: ofdm, pilots: {symbols: [2, 11], spacing: 4}}
  - {kind: amplifier, backoff_db: 6}
  - {kind: tdl, profile: A}
  - {kind: phase_noise, tracked: 1}
  - csi
"""
STAGES = [("channel: awgn\n", LISTED)]


def kinds(point):
    return [stage.kind for stage in point.channel.stages]


def test_a_list_of_stages_is_one_channel(scenario):
    (point, _) = scenario(replace=STAGES).points()
    assert kinds(point) == ["ofdm", "amplifier", "tdl", "phase_noise", "csi"]
    assert point.channel.stages[1].backoff_db == 6.0


def test_a_list_of_one_is_the_mapping(scenario):
    plain, listed = scenario(replace=[("channel: awgn", "channel: rayleigh")]), scenario(replace=[("channel: awgn", "channel: [rayleigh]")])
    assert plain.digest() == listed.digest()


@pytest.mark.parametrize("axis", ["channel.tdl.speed_kmh", "channel.2.speed_kmh"])
def test_axes_name_a_stage_by_its_kind_or_its_place(scenario, axis):
    made = scenario(replace=[*STAGES, ("snr_db: [0, 10]", f"snr_db: [0]\n  {axis}: [3, 120]")])
    assert [point.channel.stages[2].speed_kmh for point in made.points()] == [3.0, 120.0]
    assert len({point.channel for point in made.points()}) == 2 and made.identity()["points"][0] != made.identity()["points"][1]


def test_a_bare_stage_keeps_the_place_of_those_that_are_swept(scenario):
    axis = "channel.csi: [csi, {kind: csi, estimate: lmmse}]"
    made = scenario(replace=[*STAGES, ("snr_db: [0, 10]", f"snr_db: [0]\n  {axis}")])
    assert [point.channel.stages[-1].estimate for point in made.points()] == ["perfect", "lmmse"]


def test_whole_channels_can_be_swept(scenario):
    axis = "channel: [awgn, [{kind: rayleigh}, {kind: erasure, probability: 0.2}]]"
    made = scenario(replace=[("channel: awgn\n", ""), ("snr_db: [0, 10]", f"snr_db: [0]\n  {axis}")])
    assert [point.values["channel"] for point in made.points()] == ["awgn", "rayleigh + erasure(probability=0.2)"]


@pytest.mark.parametrize(
    ("overrides", "right"),
    [
        (["channel.tdl.speed_kmh=30"], lambda stages: stages[2].speed_kmh == 30.0),
        (["channel.1.backoff_db=2"], lambda stages: stages[1].backoff_db == 2.0),
        (["channel.csi.estimate=lmmse"], lambda stages: stages[4].estimate == "lmmse"),
        (["channel.tdl.kind=cdl"], lambda stages: stages[2].kind == "cdl" and stages[2].profile == "A"),
        (["channel.amplifier={kind: amplifier, smoothness: 3}"], lambda stages: (stages[1].backoff_db, stages[1].smoothness) == (6.0, 3.0)),
        (["channel.ofdm.pilots.spacing=2"], lambda stages: stages[0].pilots.spacing == 2),
    ],
)
def test_overrides_reach_into_a_stage(scenario, overrides, right):
    assert right(scenario(replace=STAGES, overrides=overrides).points()[0].channel.stages)


def test_setting_an_axis_drops_the_fixed_value_and_the_other_way_round(scenario):
    swept = scenario(replace=STAGES, overrides=["sweep.channel.amplifier.backoff_db=[2, 9]"])
    assert [point.channel.stages[1].backoff_db for point in swept.points()] == [2.0, 2.0, 9.0, 9.0]
    axis = ("snr_db: [0, 10]", "snr_db: [0]\n  channel.tdl.speed_kmh: [3, 120]")
    fixed = scenario(replace=[*STAGES, axis], overrides=["channel.2.speed_kmh=50"])
    assert [point.channel.stages[2].speed_kmh for point in fixed.points()] == [50.0]
    plain = scenario(replace=STAGES, overrides=["channel=rayleigh"])
    assert plain.points()[0].channel.kind == "rayleigh"


@pytest.mark.parametrize(
    ("replace", "overrides", "expected"),
    [
        ([("backoff_db: 6", "backof_db: 6")], [], r"my.yaml:6: channel\[1\].backof_db: there is no 'backof_db' here; .*did you mean 'backoff_db'"),
        ([("kind: tdl", "kind: tld")], [], r"my.yaml:7: channel\[2\].kind: there is no channel 'tld'; .*did you mean 'tdl'"),
        ([("profile: A", "profile: A, delay_spread_ns: 5000")], [], r"my.yaml:7: channel\[2\]: the last path of channel 'tdl' comes after"),
        ([("  - csi\n", "  - csi\n  - rayleigh\n")], [], r"my.yaml:10: channel\[5\]: 'rayleigh' and 'tdl' are both the propagation"),
        ([("  - {kind: tdl, profile: A}\n", "")], [], r"my.yaml:5: channel\[0\]: there is no propagation"),
        ([("bandwidth_ratio: 1/24", "bandwidth_ratio: 1/30000")], [], r"my.yaml:\d+: channel: 6 channel uses are less than one OFDM symbol"),
        ([("snr_db: [0, 10]", "snr_db: [0]\n  channel.tdl.sped_kmh: [1]")], [], r"there is no 'channel.tdl.sped_kmh' to sweep; .*did you mean 'channel.tdl.speed_kmh'"),
        ([("snr_db: [0, 10]", "snr_db: [0]\n  channel.cdl.speed_kmh: [1]")], [], r"there is no 'channel.cdl.speed_kmh' to sweep"),
        ([("snr_db: [0, 10]", "snr_db: [0]\n  channel.amplifier.backoff_db: [1]")], [], r"'channel.amplifier.backoff_db' is given there \(6\) and swept here"),
        ([("snr_db: [0, 10]", "snr_db: [0]\n  channel.ofdm.cyclic_prefix: [16, 1]")], [], r"the last path of channel 'tdl' .*\(at channel.ofdm.cyclic_prefix = 1\)"),
        ([], ["channel.adc.bits=4"], r"--set channel.adc.bits=4: channel.adc.bits: there is no stage 'adc' to name here; .*allowed: amplifier, csi, ofdm"),
        ([], ["channel.9.bits=4"], r"there is no stage '9' to name here; a stage is named by its place, 0 to 4"),
        ([], ["channel.tdl.delay_spread_ns=9000"], r"--set channel.tdl.delay_spread_ns=9000: channel\[2\]: the last path|channel\[2\]: the last path"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_its_stage(scenario, replace, overrides, expected):
    with pytest.raises(ScenarioError) as caught:
        scenario(replace=[*STAGES, *replace], overrides=overrides)
    assert re.search(expected, str(caught.value)), str(caught.value)


def test_a_stage_that_stands_alone_is_refused(scenario):
    with pytest.raises(ScenarioError, match="my.yaml:4: channel: there is no propagation"):
        scenario(replace=[("channel: awgn", "channel: {kind: adc, bits: 4}")])


def test_it_dumps_and_loads_back(scenario):
    axis = ("snr_db: [0, 10]", "snr_db: [0]\n  channel.tdl.speed_kmh: [3, 120]")
    made = scenario(replace=[*STAGES, axis])
    again = from_mapping(yaml.safe_load(made.dump()))
    assert again.digest() == made.digest() and again.dump() == made.dump()
    assert yaml.safe_load(made.dump())["channel"][-1] == "csi"


def test_the_schema_knows_lists_of_stages():
    channel = json_schema()["properties"]["channel"]["anyOf"]
    assert {"$ref": "#/$defs/channel"} in channel and any(one.get("type") == "array" for one in channel)


def test_the_drawing_shows_stages_parameters_and_costs(scenario):
    lines = draw_channel(scenario(replace=STAGES).points()[0].channel, 8192)
    text = "\n".join(lines)
    order = [text.index(name) for name in ("ofdm ", "amplifier ", "tdl ", "phase_noise ", "csi ")]
    assert order == sorted(order) and "backoff_db 6.0" in text
    assert "hardware of the transmitter" in text and "hardware of the receiver" in text
    assert re.search(r"8192 channel uses: \d+ symbols, \d+ pilots, \d+ dc, \d+ padding", text) and "free: cyclic prefix" in text
    assert draw_channel(scenario().points()[0].channel, 100)[-1] == "100 channel uses: 100 symbols"


def test_checking_a_list_needs_no_array_library_but_numpy(scenario, tmp_path):
    scenario(replace=STAGES)  # writes my.yaml
    heavy = ["torch._C", "scipy", "sionna", "matplotlib.figure"]
    code = f"import sys; from semcom.scenario import load; load({str(tmp_path / 'my.yaml')!r}).points(); print([n for n in {heavy} if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
