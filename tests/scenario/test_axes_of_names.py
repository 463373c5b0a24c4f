"""Axes whose values have names, axes of all systems, and figures whose lines are an axis."""

import pytest
import yaml

from semcom.errors import ScenarioError
from semcom.scenario import load

NAMED = """\
  channel:
    calm: awgn
    in motion:
      - {kind: ofdm, fft_size: 64, cyclic_prefix: 16}
      - {kind: tdl, profile: A, speed_kmh: 120}
  snr_db: [0, 10]"""
CHANNEL = (("channel: awgn\n", ""), ("  snr_db: [0, 10]", NAMED))
SECOND = """\
  soft:
    transmit: softcast
    link: analog
    receive: softcast
  sent:
    transmit: softcast
    link: {kind: packet, link: analog, symbols: 512}
    receive: softcast
metrics:"""
LOSS = (("  snr_db: [0, 10]", "  systems.*.link.loss: [0, 0.5]\nsnr_db: 10"), ("metrics:", SECOND))


def test_named_values_are_shown_by_their_names_and_change_no_number(scenario, tmp_path):
    named = scenario(replace=CHANNEL)
    assert [point.values["channel"] for point in named.points()] == ["calm", "calm", "in motion", "in motion"]
    unnamed = NAMED.replace("calm: awgn", "- awgn").replace("in motion:\n      -", "- -").replace("      -", "      -")
    plain = yaml.safe_load(f"sweep:\n{unnamed}")["sweep"]["channel"]
    listed = scenario(replace=CHANNEL, overrides=[f"sweep.channel={plain}"])
    assert listed.points()[2].values["channel"].startswith("ofdm(")
    assert named.identity() == listed.identity()
    path = tmp_path / "again.yaml"
    path.write_text(named.dump())
    assert load(path) == named and list(named.data["sweep"]["channel"]) == ["calm", "in motion"]


def test_what_is_wrong_with_a_named_value_is_said_at_its_name(scenario):
    with pytest.raises(ScenarioError, match=r"my.yaml:\d+: sweep\.channel\.in motion.*speed_kmh"):
        scenario(replace=(*CHANNEL, ("speed_kmh: 120", "speed_kmh: -1")))


def test_numbers_have_no_names(scenario):
    with pytest.raises(ScenarioError, match=r"sweep\.snr_db.*there is no 'begin' here"):
        scenario(replace=[("[0, 10]", "{begin: 0, stop: 10, step: 5}")])


def test_an_axis_of_all_systems_writes_into_those_that_have_the_field(scenario):
    points = scenario(replace=(*LOSS, ("link: {kind: digital, mcs: qpsk-1/2}", "link: {kind: packet, link: {kind: digital, mcs: qpsk-1/2}}"))).points()
    links = [[getattr(system.resolve({}).link, "loss", None) for system in point.systems] for point in points]
    assert links == [[0.0, None, 0.0], [0.5, None, 0.5]]
    assert [point.values["systems.*.link.loss"] for point in points] == [0, 0.5]


@pytest.mark.parametrize(
    "change, sentence",
    [
        (("systems.*.link.loss", "systems.*.link.los"), r"there is no 'systems.\*.link.los' to sweep"),
        (("symbols: 512}", "symbols: 512, loss: 0.1}"), r"'systems.\*.link.loss' is given there \(0.1\) and swept here"),
        (("[0, 0.5]", "[0, 1.5]"), r"sweep.systems.\*.link.loss\[1\]: 1.5 was given; expected a number below 1"),
    ],
)
def test_errors_of_an_axis_of_all_systems(scenario, change, sentence):
    with pytest.raises(ScenarioError, match=sentence):
        scenario(replace=(*LOSS, change))


def test_lines_are_systems_or_an_axis(scenario):
    lines = ("metrics: [psnr]\n", "metrics: [psnr]\nfigures:\n  curves: {lines: channel}\n")
    assert scenario(replace=CHANNEL).figures.curves.lines == "systems"
    turned = scenario(replace=(*CHANNEL, lines)).figures.curves
    assert (turned.axis, turned.lines) == ("snr_db", "channel")
    with pytest.raises(ScenarioError, match="'chanel' cannot be the lines.*did you mean 'channel'"):
        scenario(replace=(*CHANNEL, (lines[0], lines[1].replace("channel", "chanel"))))
