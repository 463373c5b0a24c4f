"""Wrong scenarios, and the one sentence that each of them gets: line, path, what was given, what is allowed, the nearest name."""

import re
from copy import deepcopy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semcom.errors import ScenarioError
from semcom.scenario import from_mapping

DIGITAL = "{kind: digital, mcs: qpsk-1/2}"
SNR = "snr_db: [0, 10]"


def sentence(scenario, replace, **options):
    with pytest.raises(ScenarioError) as caught:
        scenario(replace=replace, **options)
    return re.sub(r"^\S*my\.yaml:", "my.yaml:", str(caught.value), flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        # names
        ("source:", "sorce:", "my.yaml:2: sorce: there is no 'sorce' here; allowed: bandwidth_ratio, .*did you mean 'source'"),
        ("link: ", "lnk: ", "my.yaml:10: systems.codec.lnk: there is no 'lnk' here; .*did you mean 'link'"),
        ("channel: awgn", "channel: rayligh", "my.yaml:4: channel.kind: there is no channel 'rayligh'; allowed: adc, amplifier, awgn, .*; did you mean 'rayleigh'"),
        ("channel: awgn", "channel: {kind: rician, kdb: 3}", "my.yaml:4: channel.kdb: there is no 'kdb' here; .*did you mean 'k_db'"),
        ("kind: digital", "knd: digital", "my.yaml:10: systems.codec.link: 'kind' is missing .is 'knd' meant to be 'kind'.*allowed: adaptive, analog, digital"),
        ("kind: digital", "kind:digital", "my.yaml:10: systems.codec.link: 'kind' is missing .*followed by a space"),
        ("qpsk-1/2", "qpsk-1/7", "my.yaml:10: systems.codec.link.mcs: .*'qpsk-1/7'.* allowed: .*did you mean 'qpsk-1/8'"),
        ("codec: webp", "codec: wepb", "my.yaml:9: systems.codec.transmit.codec: 'wepb' was given; allowed: avif, jpeg, jpeg2000, webp; did you mean 'webp'"),
        ("[psnr]", "[psnr, sim]", "my.yaml:12: metrics.1..kind: there is no metric 'sim'; .*did you mean 'ssim'"),
        # types
        ("channel: awgn", "channel: 5", "my.yaml:4: channel: 5 was given; expected a name or a mapping with a 'kind', or a list of stages; allowed: adc"),
        ("channel: awgn", "channel: {kind: 5}", "my.yaml:4: channel.kind: 5 was given; expected a name"),
        ("channel: awgn", "channel: {kind: rician, k_db: yes}", "my.yaml:4: channel.k_db: 'yes' was given; expected a number"),
        ("channel: awgn", "channel: {kind: rician, k_db: true}", "my.yaml:4: channel.k_db: true was given; expected a number"),
        ("mcs: qpsk-1/2", "iterations: 2.5", "my.yaml:10: systems.codec.link.iterations: 2.5 was given; expected a whole number"),
        ("mcs: qpsk-1/2", "iterations: 0", "my.yaml:10: systems.codec.link.iterations: 0 was given; expected a number of at least 1"),
        ("[psnr]", "psnr", "my.yaml:12: metrics: 'psnr' was given; expected a list"),
        ("[psnr]", "[]", "there is no metric; list at least one; allowed: .*psnr"),
        ("name: good", "name: ../up", "my.yaml:1: name: '../up' was given; expected a name for a folder"),
        ("name: good", "seed: -1", "my.yaml:1: seed: -1 was given; expected a number of at least 0"),
        ("name: good", "repeats: 0", "my.yaml:1: repeats: 0 was given; expected a number of at least 1"),
        ("name: good", "repeats: many", "my.yaml:1: repeats: 'many' was given; expected a whole number"),
        ("name: good", "execution: {device: gpu}", "my.yaml:1: execution.device: 'gpu' was given; allowed: auto, cpu, cuda"),
        ("name: good", "execution: fast", "my.yaml:1: execution: 'fast' was given; expected a mapping"),
        ("photos", "{kind: folder}", "my.yaml:2: source: 'path' is missing: folder of the data set"),
        # ratios and SNRs
        ("1/24", "0", "my.yaml:3: bandwidth_ratio: 0 was given; expected a fraction above 0 such as 1/24"),
        ("1/24", "-1/24", "my.yaml:3: bandwidth_ratio: '-1/24' was given; expected a fraction above 0"),
        ("1/24", "1/0", "my.yaml:3: bandwidth_ratio: '1/0' was given; expected a number or a fraction such as 1/24"),
        ("1/24", "a lot", "my.yaml:3: bandwidth_ratio: 'a lot' was given; expected a number or a fraction"),
        ("bandwidth_ratio: 1/24", "", "my.yaml:1: 'bandwidth_ratio' is missing: complex channel uses"),
        (SNR, "bandwidth_ratio: [1/24]", "'snr_db' is missing: average Es/N0"),
        (SNR, "snr_db: [0, ten]", "my.yaml:6: sweep.snr_db.1.: 'ten' was given; expected a number of dB"),
        (SNR, "snr_db: [0, .inf]", "my.yaml:6: sweep.snr_db.1.: inf was given; expected a number of dB"),
        ("sweep:\n  snr_db: [0, 10]", "snr_db: loud", "my.yaml:5: snr_db: 'loud' was given; expected a number of dB"),
        # sweeps
        (SNR, "snr_db: {start: 0, stop: 9, step: 0}", "my.yaml:6: sweep.snr_db: step 0 never arrives"),
        (SNR, "snr_db: {start: 0, stop: 9, step: -1}", "my.yaml:6: sweep.snr_db: step -1 leads away from stop 9"),
        (SNR, "snr_db: {start: 0, stop: 9, stp: 1}", "my.yaml:6: sweep.snr_db.stp: there is no 'stp' here; allowed: start, step, stop"),
        (SNR, "snr_db: {start: 0, stop: 9}", "my.yaml:6: sweep.snr_db: 'step' is missing"),
        (SNR, "snr_db: {start: 0, stop: x, step: 1}", "my.yaml:6: sweep.snr_db.stop: 'x' was given; expected a number"),
        (SNR, "snr_db: {start: 0, stop: 1, step: 1e-9}", "my.yaml:6: sweep.snr_db: 1000000001 values were asked for; allowed: at most 100000"),
        (SNR, "snr_db: []", "my.yaml:6: sweep.snr_db: the list is empty"),
        (SNR, "snr_db: [1, 2, 1.0]", "my.yaml:6: sweep.snr_db: 1.0 is listed twice"),
        (SNR, "snr_db: 5", "my.yaml:6: sweep.snr_db: 5 was given; expected a list"),
        (SNR, "snr: [1]", "my.yaml:6: sweep.snr: there is no 'snr' to sweep; allowed: snr_db, .*did you mean 'snr_db'"),
        (SNR, f"{SNR}\n  seed: [1, 2]", "my.yaml:7: sweep.seed: there is no 'seed' to sweep"),
        (SNR, f"{SNR}\n  mcs: [qpsk-1/3]", "my.yaml:7: sweep.mcs: there is no 'mcs' to sweep; .*did you mean 'systems.codec.link.mcs'"),
        (SNR, f"{SNR}\n  systems.codc.link.iterations: [5]", "my.yaml:7: .*did you mean 'systems.codec.link.iterations'"),
        (SNR, f"{SNR}\n  systems.codec.link.iteration: [5]", "my.yaml:7: .*allowed: .*systems.codec.link.iterations, .*did you mean"),
        (SNR, f"{SNR}\n  systems.codec.link.iterations: [5, 0]", "my.yaml:7: sweep.systems.codec.link.iterations.1.: 0 was given; expected a number of at least 1"),
        (SNR, f"{SNR}\n  systems.codec.link.mcs: [qpsk-1/3]", "my.yaml:7: sweep.*is given there .'qpsk-1/2'. and swept here; keep one"),
        (SNR, f"{SNR}\n  systems.codec.link.iterations: [{{best_of: [5]}}]", "a value of a sweep cannot be tuned"),
        (SNR, f"{SNR}\nsnr_db: 5", "my.yaml:6: sweep.snr_db: 'snr_db' is given there .5. and swept here; keep one of the two"),
        (SNR, "snr_db: {start: 1, stop: 400, step: 1}\n  systems.codec.link.iterations: {start: 1, stop: 400, step: 1}",
         "my.yaml:5: sweep: the grid has 400 x 400 = 160000 points; allowed: at most 100000"),
        # tuning
        ("qpsk-1/2", "{best_of: []}", "my.yaml:10: systems.codec.link.mcs.best_of: .* was given; expected a list of at least one candidate"),
        ("qpsk-1/2", "{best_of: qpsk-1/2}", "my.yaml:10: systems.codec.link.mcs.best_of: 'qpsk-1/2' was given; expected a list"),
        ("qpsk-1/2", "{best_of: [qpsk-1/2, qpsk-1/7]}", "my.yaml:10: systems.codec.link.mcs.best_of.1.: .*did you mean 'qpsk-1/8'"),
        ("qpsk-1/2", "{best_of: [qpsk-1/2, qpsk-1/2]}", "my.yaml:10: .*'qpsk-1/2' is listed twice"),
        ("qpsk-1/2", "{best_of: [qpsk-1/2], of: 1}", "my.yaml:10: .*'of' stands beside best_of"),
        ("qpsk-1/2", "{bestof: [qpsk-1/2]}", "my.yaml:10: .*is 'bestof' meant to be 'best_of'"),
        ("mcs: qpsk-1/2", "iterations: auto", "my.yaml:10: systems.codec.link.iterations: 'auto' was given; expected a whole number"),
        ("metrics:", "  second: {transmit: image_codec, link: ideal, recieve: image_codec}\nmetrics:", "systems.second.recieve: there is no 'recieve'"),
        ("metrics:", "  s: {label: codec, transmit: softcast, link: analog, receive: softcast}\nmetrics:",
         "my.yaml:12: systems.s.label: 'codec' is what system 'codec' is called as well"),
        # what does not fit together
        (DIGITAL, "analog", "my.yaml:10: systems.codec.link: link 'analog' carries real numbers and transmit 'image_codec' makes bits; allowed: adaptive, digital, ideal, packet, parts"),
        (DIGITAL, "{kind: parts, parts: {map: {link: ideal, uses: 1, power: 1}}}",
         "my.yaml:10: systems.codec.link: link 'parts' lists map and transmit 'image_codec' makes image; list the same"),
        (DIGITAL, "{kind: parts, parts: {image: {link: analog, uses: 1, power: 1}}}",
         "my.yaml:10: systems.codec.link: the link of part 'image' carries real numbers and transmit 'image_codec' makes bits"),
        (DIGITAL, "{kind: parts, parts: {image: {link: {kind: digital, mc: auto}, uses: 1, power: 1}}}",
         "my.yaml:10: systems.codec.link.parts.image.link.mc: there is no 'mc' here; .*did you mean 'mcs'"),
        (DIGITAL, "{kind: parts, parts: {image: {link: ideal, uses: 2, power: 1}}}",
         "my.yaml:10: systems.codec.link.parts.image.uses: 2 was given; expected a number of at most 1"),
        ("transmit: {kind: image_codec, codec: webp}", "transmit: softcast", "my.yaml:10: .*link 'digital' carries bits and transmit 'softcast' makes real numbers; allowed: analog, packet, parts"),
        ("metrics:", "  s: {transmit: softcast, link: analog, receive: {kind: softcast, block: 8}}\nmetrics:",
         "my.yaml:12: systems.s.receive: receive 'softcast' has block 8 and its transmitter frame; give both the same"),
        ("metrics:", "  s: {transmit: softcast, link: analog, receive: image_codec}\nmetrics:",
         "my.yaml:12: systems.s.receive: receive 'image_codec' does not understand transmit 'softcast'; allowed: .*did you mean 'softcast'"),
        ("    receive: image_codec\n", "", "my.yaml:8: systems.codec: 'receive' is missing; a system has transmit, link and receive"),
        ("[psnr]", "[psnr, ssim, psnr]", "my.yaml:12: metrics.2.: 'psnr' is listed twice"),
        ("photos", "{kind: photos, size: [64, 64]}\nfigures: {}\nrepeats: 1", None),
        ("[psnr]", "[psnr]\nfigures: {curves: {metrics: [snr]}}", "my.yaml:13: figures.curves.metrics.0.: 'snr' is not measured; .*did you mean 'psnr'"),
        ("[psnr]", "[psnr]\nfigures: {curves: {axis: k_db}}", "my.yaml:13: figures.curves.axis: 'k_db' is not swept; allowed: snr_db"),
        ("[psnr]", "[psnr]\nfigures: {panel: {snr_db: [0, 7]}}", "my.yaml:13: figures.panel.snr_db.1.: 7 was given; expected one of the swept values: .0.0, 10.0."),
        ("[psnr]", "[psnr]\nfigures: {classes: {snr_db: [7]}}", "my.yaml:13: figures.classes.snr_db.0.: 7 was given; expected one of the swept values"),
        ("[psnr]", "[psnr]\nfigures: {panel: {systems: [codec, codek]}}", "my.yaml:13: figures.panel.systems.1.: there is no system 'codek'; .*did you mean 'codec'"),
        ("[psnr]", "[psnr]\nfigures: {classes: {bars: 3}}", "my.yaml:13: figures.classes.bars: there is no 'bars'"),
        ("channel: awgn", "channel: 'no.such:Thing'", "my.yaml:4: channel.kind: .*allow it with --allow-plugins"),
        ("systems:", "systems: {}\nmetrics_of:", "there is no system; name at least one"),
    ],
)  # fmt: skip
def test_a_wrong_file_gets_one_sentence(scenario, old, new, expected):
    if expected is None:
        scenario(replace=[(old, new)])
        return
    found = sentence(scenario, [(old, new)])
    assert any(re.search(expected, line) for line in found.splitlines()), found


def test_images_too_small_for_a_metric(scenario):
    found = sentence(scenario, [("photos", "{kind: photos, size: [64, 64]}"), ("[psnr]", "[psnr, ms_ssim]")])
    assert found.startswith("my.yaml:12: metrics[1]: ") and "160" in found and "64x64" in found


def test_all_problems_are_said_at_once_in_the_order_of_the_file(scenario):
    found = sentence(scenario, [("photos", "fotos"), ("awgn", "awg"), ("qpsk-1/2", "qpsk"), ("name: good", "nam: good")])
    assert [line.split(": ")[0] for line in found.splitlines()] == ["my.yaml:1", "my.yaml:2", "my.yaml:4", "my.yaml:10"]


def test_a_problem_of_one_combination_says_where(scenario):
    axes = "snr_db: [0]\n  channel: [rician, rayleigh]\n  channel.k_db: [1, 2]"
    found = sentence(scenario, [("channel: awgn\n", ""), ("snr_db: [0, 10]", axes)])
    assert "sweep.channel.k_db[0]: there is no 'k_db' here" in found and "(at channel = rayleigh)" in found


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n", "just text\n"])
def test_a_file_that_is_no_mapping(scenario, text):
    with pytest.raises(ScenarioError, match=r"my\.yaml:\d: .*expected a mapping with name, seed, source"):
        scenario(text)


def test_components_from_outside(scenario, outside):
    system = ("systems:\n", "systems:\n  waves: {transmit: 'outside:Waves', link: LINK, receive: 'outside:Ears'}\n")
    with pytest.raises(ScenarioError, match="allow it with --allow-plugins"):
        scenario(replace=[system, ("LINK", "analog")])
    allowed = {"allow_plugins": True}
    assert scenario(replace=[system, ("LINK", "analog")], **allowed).points()[0].systems[0].resolve().transmit.levels == 2
    found = sentence(scenario, [system, ("LINK", "digital")], **allowed)
    assert "my.yaml:8: systems.waves.link: link 'digital' carries bits and transmit 'waves' makes real numbers; allowed: analog" in found
    found = sentence(scenario, [system, ("LINK", "analog"), ("'outside:Ears'", "image_codec")], **allowed)
    assert "systems.waves.receive: receive 'image_codec' does not understand transmit 'waves'; allowed: " in found
    found = sentence(scenario, [system, ("LINK", "analog"), ("'outside:Waves'", "image_codec")], **allowed)
    assert "receive 'ears' does not understand transmit 'image_codec'; allowed: codec_diffusion, diffusers_pipeline, image_codec, prior" in found
    # what understands a transmitter understands one derived from it
    scenario(replace=[system, ("LINK", "analog"), ("outside:Waves", "outside:Louder")], **allowed)
    for wrong, says in [("outside:NotOne", "is no description"), ("outside:Nobody", "cannot be imported"), ("outside:", "expected a name or")]:
        assert says in sentence(scenario, [system, ("LINK", "analog"), ("outside:Waves", wrong)], **allowed)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ("levels: 0", "systems.waves.transmit.levels: 0 was given; expected a number of at least 1"),
        ("weights: [1, heavy]", "systems.waves.transmit.weights[1]: 'heavy' was given; expected a number"),
        ("weights: 1", "systems.waves.transmit.weights: 1 was given; expected a list"),
        ("share: half", "systems.waves.transmit.share: 'half' was given; expected "),
        ("shape: sin", "systems.waves.transmit.shape: 'sin' was given; allowed: sine, square; did you mean 'sine'?"),
        ("limit: non", "systems.waves.transmit.limit: 'non' was given; expected a number, or one of none"),
        ("shape: square, levels: 3", "systems.waves.transmit: a square wave has at most 2 levels, 3 were given"),
        ("shape: {best_of: [sine, square]}, levels: auto", "systems.waves.transmit: a square wave has at most 2 levels, 4 were given"),
    ],
)
def test_faults_of_all_types_are_said_in_plain_words(scenario, outside, fields, says):
    system = f"systems:\n  waves: {{transmit: {{kind: 'outside:Waves', {fields}}}, link: analog, receive: 'outside:Ears'}}\n"
    assert f"my.yaml:8: {says}" in sentence(scenario, [("systems:\n", system)], allow_plugins=True)


# whatever is done to a scenario, what comes is a scenario or a ScenarioError

VALUES = st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=5) | st.sampled_from(
    ["auto", "awgn", "snr_db", ":", "a:b", "channel.k_db", "1/24", [], {}, [None], {"kind": "rician"}, {"best_of": [1]}, {"kind": None}, [[1]],
     {"start": 0, "stop": 1, "step": 1}, {"start": None, "stop": [], "step": {}}]
)  # fmt: skip
KEYS = st.text(max_size=5) | st.sampled_from(["kind", "best_of", "channel", "channel.k_db", "systems", "systems.codec", "snr_db", "source.size", ".", "a.b"])


def base():
    return {
        "name": "x", "source": {"kind": "photos"}, "bandwidth_ratio": "1/24", "channel": {"kind": "rician", "k_db": 3},
        "sweep": {"snr_db": [0, 5], "systems.codec.link.iterations": [5, 10]},
        "systems": {"codec": {"transmit": {"kind": "image_codec", "codec": {"best_of": ["webp", "avif"]}},
                              "link": {"kind": "digital", "mcs": "qpsk-1/2"}, "receive": "image_codec"}},
        "metrics": ["psnr", {"kind": "ssim"}], "figures": {"curves": {"metrics": ["psnr"]}, "panel": {"snr_db": [5]}},
        "execution": {"device": "cpu"},
    }  # fmt: skip


def places(data, keys=()):
    yield keys
    for key, item in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield from places(item, (*keys, key))


PLACES = [keys for keys in places(base()) if keys]


def test_a_mapping_that_holds_itself_is_refused():
    data = base()
    data["figures"]["panel"] = data
    with pytest.raises(ScenarioError, match="cannot be written as YAML"):
        from_mapping(data)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(["value", "key", "add", "drop"]), KEYS, VALUES), min_size=1, max_size=3))
def test_mutated_scenarios_never_raise_anything_else(changes):
    data = base()
    for keys, what, key, value in deepcopy(changes):  # the values are shared by all examples
        parent = data
        try:
            for part in keys[:-1]:
                parent = parent[part]
            if what == "value":
                parent[keys[-1]] = value
            elif what == "drop":
                del parent[keys[-1]]
            elif what == "key":
                parent[key] = parent.pop(keys[-1])
            else:
                parent[keys[-1]][key] = value
        except (KeyError, IndexError, TypeError, AttributeError):
            continue
    try:
        scenario = from_mapping(data, allow_plugins=True)
        scenario.points()
        scenario.dump()
    except ScenarioError as error:
        assert str(error)
        assert "\n\n" not in str(error)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.text(max_size=12), st.builds("{}={}".format, KEYS, st.text(max_size=6)), st.builds("{}.{}=[{}]".format, KEYS, KEYS, KEYS)), max_size=3))
def test_any_override_never_raises_anything_else(overrides):
    try:
        from_mapping(base(), overrides=overrides)
    except ScenarioError as error:
        assert str(error)
