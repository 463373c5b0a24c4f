"""GESCO's circulating path: its noise is what its table says, its filter is a 3x3 mean and maximum, its cost is charged."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from analog_scenes import SIZE, images

import semcom
from semcom.errors import ScenarioError
from semcom.link import header
from semcom.maps import gesco, soft_map
from semcom.maps.analog import filtered
from semcom.protocols import Context
from semcom.rng import Streams
from semcom.scenario import load
from semcom.system import System
from semcom.types import Condition

pytestmark = pytest.mark.usefixtures("one_thread")
USES = 3 * SIZE[0] * SIZE[1] * 11 // 5
CONDITION = Condition(0.0)


def parts(label, denoise="mean"):
    return System.of("oracle_legacy_map", {"kind": "gesco", "gesco_label": label}, {"kind": "map_as_is", "denoise": denoise})


def sent(label, batch, repeat=0, uses=USES):
    """(message, what arrived)"""
    system = parts(label)
    message = system.transmit.encode(batch, system.budget(uses, CONDITION), Streams.of(batch.ids))
    return message, system.link.send(message, [CONDITION] * len(batch), Streams.of(batch.ids, repeat=repeat))


def truth_of(message):
    """bool [B, D]: the reals that are sent."""
    pixels = SIZE[0] * SIZE[1]
    count = gesco.planes_sent(message.side.bits) * pixels
    return torch.arange(gesco.MOST_PLANES * pixels) < count[:, None]


def test_labels_are_the_psnr_that_the_protocol_prints():
    printed = {100: math.inf, 30: 26.0, 25: 21.9, 20: 17.7, 15: 13.2, 10: 8.9, 5: 4.4, 1: 0.9}
    assert set(printed) == set(gesco.NOISE_STD)
    for label, value in printed.items():
        assert gesco.psnr_db(label) == pytest.approx(value, abs=0.05)


@pytest.mark.parametrize("label", sorted(gesco.NOISE_STD))
def test_noise_has_the_deviation_of_its_label_and_no_mean(label):
    message, received = sent(label, images(4))
    where = truth_of(message)
    error = (received.parts["map"].values - message.parts["map"].values)[where].double()
    std, count = gesco.NOISE_STD[label], int(where.sum())
    assert abs(float(error.mean())) <= 4.5 * std / math.sqrt(count)
    # the deviation of n normal draws is known to std / sqrt(2 n)
    assert abs(float(error.std()) - std) <= 4.5 * std / math.sqrt(2 * count)
    if std:
        measured = -10.0 * math.log10(float(error.square().mean()))
        assert measured == pytest.approx(gesco.psnr_db(label), abs=4.5 * 20 / math.log(10) / math.sqrt(2 * count))
    assert (received.parts["map"].noise_std[where] == np.float32(std)).all()
    assert received.parts["map"].noise_std[~where].isinf().all()


def test_every_label_and_receiver_meets_the_same_noise():
    batch = images(2)
    (message, weak), (_, strong) = sent(10, batch), sent(1, batch)
    where, planes = truth_of(message), message.parts["map"].values
    scaled = [(seen.parts["map"].values - planes)[where] / gesco.NOISE_STD[label] for seen, label in ((weak, 10), (strong, 1))]
    torch.testing.assert_close(*scaled, rtol=0, atol=1e-5)
    assert not torch.equal(sent(10, batch, repeat=1)[1].parts["map"].values, weak.parts["map"].values)


def test_reported_snr_is_the_psnr_less_the_number_of_planes():
    """One-hot planes have the mean power 1/K together with the edges' (1 + e)/(K + 1), e the share of pixels that are edges."""
    batch = images(5)
    message, received = sent(15, batch)
    planes = gesco.planes_sent(message.side.bits).double()
    edges = gesco.class_edges(batch.labels).double().mean((1, 2))
    expected = gesco.psnr_db(15) + 10.0 * ((1.0 + edges) / planes).log10()
    torch.testing.assert_close(received.reports["gesco_snr_db"], expected, rtol=0, atol=1e-6)
    assert (received.reports["gesco_psnr_db"] == gesco.psnr_db(15)).all() and (received.reports["gesco_label"] == 15).all()
    assert sent(100, batch)[1].reports["gesco_snr_db"].isinf().all()


def test_fast_denoising_is_a_mean_and_a_maximum():
    from scipy import ndimage

    planes = torch.from_numpy(np.random.default_rng(3).standard_normal((2, 3, 17, 23)).astype(np.float32))
    mean, fds = (filtered(planes, name).numpy() for name in ("mean", "fds"))
    for row, seen in enumerate(planes.numpy()):
        for plane, values in enumerate(seen):
            smooth = ndimage.uniform_filter(values.astype(np.float64), 3, mode="constant", cval=0.0)
            np.testing.assert_allclose(mean[row, plane], smooth, atol=1e-5)
            largest = ndimage.maximum_filter(smooth, 3, mode="constant", cval=-np.inf)
            np.testing.assert_allclose(fds[row, plane], largest, atol=1e-5)
    assert filtered(planes, "none") is planes


def test_edges_are_where_a_neighbour_differs():
    labels = images(3).labels
    padded = np.pad(labels.numpy(), ((0, 0), (1, 1), (1, 1)), mode="edge")
    height, width = SIZE
    shifts = ((0, 1), (2, 1), (1, 0), (1, 2))
    expected = np.any([padded[:, y : y + height, x : x + width] != labels.numpy() for y, x in shifts], axis=0)
    assert torch.equal(gesco.class_edges(labels), torch.from_numpy(expected))


@pytest.mark.parametrize("denoise", ["none", "mean", "fds"])
def test_a_noiseless_map_is_right_but_for_what_the_filter_does(denoise):
    batch = images(4)
    result = parts(100, denoise).send(batch, 0.0, "11/5")
    right = result.labels == batch.labels
    inside = ~torch.nn.functional.max_pool2d(gesco.class_edges(batch.labels)[:, None].float(), 3, 1, 1)[:, 0].bool()
    assert right.all() if denoise == "none" else right[inside].all()
    assert bool(result.ok.all())


def test_planes_and_edges_arrive_where_the_class_list_says():
    batch = images(3)
    message, received = sent(100, batch)
    planes, classes, noise = gesco.received_planes(received.parts["map"], received)
    assert torch.equal(planes, torch.nn.functional.one_hot(batch.labels, 12).movedim(-1, 1).float())
    assert torch.equal(classes, gesco.present(batch.labels)) and (noise == 0).all()
    assert torch.equal(gesco.edges_received(received.parts["map"], received)[:, 0], gesco.class_edges(batch.labels).float())


def test_the_soft_map_is_the_posterior_of_gaussian_noise():
    batch = images(2)
    message, received = sent(1, batch)
    soft = soft_map(received)
    planes, classes, _ = gesco.received_planes(received.parts["map"], received)
    std = gesco.NOISE_STD[1]
    for row in range(2):
        listed = classes[row].nonzero()[:, 0]
        y = planes[row, listed, 5, 9].double()
        distance = (y[None] - torch.eye(len(listed)).double()).square().sum(1)
        expected = torch.softmax(-distance / (2 * std**2), 0)
        torch.testing.assert_close(soft.probabilities[row, listed, 5, 9].double(), expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(soft.probabilities.sum(1), torch.ones(2, *SIZE))
    assert bool(soft.known.all())


def test_everything_is_charged_and_no_power_is_normalised():
    batch = images(6)
    message, received = sent(10, batch)
    usage, pixels = received.usage.check(), SIZE[0] * SIZE[1]
    planes = gesco.planes_sent(message.side.bits)
    assert torch.equal(usage.uses["payload"], planes * pixels // 2)
    assert (usage.uses["header"] == header.uses(12)).all() and (usage.granted == USES).all()
    assert torch.equal(received.counts["channel_uses_spent"], planes * pixels // 2 + header.uses(12))
    edges = gesco.class_edges(batch.labels).sum((1, 2))
    torch.testing.assert_close(usage.energy, ((pixels + edges) / 2 + header.uses(12)).double())
    assert any("not comparable" in sentence for sentence in usage.free)
    many = planes > 6
    assert many.any() and (received.counts["channel_uses_spent"][many] > 3 * pixels).all()  # more than the picture has numbers


def test_a_grant_of_any_other_system_is_infeasible():
    batch = images(3)
    message, received = sent(10, batch, uses=USES // 50)
    assert not message.feasible.any() and not received.parts["map"].ok.any()
    assert "channel uses" in message.infeasible[0] and "11/5" in message.infeasible[0]
    assert (received.usage.uses["unused"] == USES // 50).all() and (received.usage.energy == 0).all()
    assert received.parts["map"].noise_std.isinf().all()


def test_images_do_not_depend_on_their_neighbours():
    batch = images(5)
    together = parts(5).send(batch, 0.0, "11/5")
    for row in range(len(batch)):
        alone = parts(5).send(batch.select([row]), 0.0, "11/5")
        assert torch.equal(alone.labels[0], together.labels[row])
        assert torch.equal(alone.label_probabilities[0], together.label_probabilities[row])


def test_true_labels_are_needed_and_must_be_of_these_classes():
    batch = images(1)
    unlabelled = semcom.ImageBatch(batch.pixels, batch.ids)
    with pytest.raises(ScenarioError, match="oracle_legacy_map sends true label maps"):
        parts(10).send(unlabelled, 0.0, "11/5")

    class Other:
        classes = ("cat", "dog")

    with pytest.raises(ScenarioError, match="its source labels cat, dog"):
        System.of("oracle_legacy_map", {"kind": "gesco", "gesco_label": 10}, "map_as_is", context=Context(source=Other()))


@pytest.fixture
def scenario(tmp_path):
    """Writes a scenario of the printed labels; keywords replace top-level keys."""

    def write(**changes):
        system = {"transmit": "oracle_legacy_map", "link": "gesco", "receive": {"kind": "map_as_is", "denoise": "mean"}}
        data = {
            "name": "labels",
            "source": {"kind": "streets", "size": [32, 64], "count": 2},
            "bandwidth_ratio": "11/5",
            "channel": "awgn",
            "snr_db": 0,
            "sweep": {"systems.*.link.gesco_label": [1, 30, 100]},
            "systems": {"mean": system},
            "metrics": ["psnr"],
            "execution": {"device": "cpu"},
        } | changes
        path = tmp_path / "labels.yaml"
        path.write_text(yaml.safe_dump({key: value for key, value in data.items() if value is not None}, sort_keys=False))
        return path

    return write


def test_results_hold_the_label_and_what_it_is(scenario, tmp_path, monkeypatch):
    from semcom.source import streets

    monkeypatch.setattr(streets, "PRIOR_SCENES", 2)
    job = semcom.run(scenario(), out=tmp_path / "out")
    points = job.table()
    assert not job.failures
    at = points[points["metric"] == "psnr"].set_index("systems.*.link.gesco_label")
    assert at.loc[30, "gesco_psnr_db_mean"] == pytest.approx(26.02, abs=0.01)
    assert (at.loc[[1, 30], "gesco_snr_db_mean"] < at.loc[[1, 30], "gesco_psnr_db_mean"] - 3.0).all()
    assert np.isinf(at.loc[100, "gesco_psnr_db_mean"])
    assert (at["channel_uses_spent_mean"] > USES / 2).all() and (at["channel_uses"] == USES).all()
    assert points["note"].str.contains("snr_db is not met").all()
    rows = pd.read_parquet(next((tmp_path / "out").rglob("*.parquet")))
    assert {"gesco_label", "gesco_psnr_db", "gesco_snr_db", "channel_uses_spent"} <= set(rows)
    assert rows["free"].str.contains("no power normalisation").all()


def test_the_scenario_that_ships_asks_for_what_its_maps_cost():
    from pathlib import Path

    scenario = load(Path(__file__).resolve().parents[2] / "scenarios/gesco_legacy.yaml")
    assert sorted(scenario.axes["systems.*.link.gesco_label"]) == sorted(gesco.NOISE_STD)
    point = scenario.points()[0]
    uses = 3 * 128 * 256 * point.bandwidth_ratio
    assert gesco.channel_uses(gesco.MOST_PLANES * 128 * 256) + header.uses(12) <= uses


def test_printed_labels_stand_at_equal_distances():
    from semcom.figures.axis import Scale
    from semcom.figures.labels import axis_label

    axis = "systems.*.link.gesco_label"
    scale = Scale.of(pd.DataFrame({axis: [100, 1, 10, 5]}), axis)
    assert scale.values == (1, 5, 10, 100) and scale.positions == (0.0, 1.0, 2.0, 3.0) and scale.steps
    assert "no SNR" in axis_label(axis)


def test_nothing_is_drawn_against_an_snr_that_it_does_not_meet(scenario):
    system = {"transmit": "oracle_legacy_map", "link": {"kind": "gesco", "gesco_label": 10}, "receive": "map_as_is"}
    with pytest.raises(ScenarioError, match="the noise of system 'mean' is that of its gesco_label, whatever the SNR"):
        load(scenario(snr_db=None, sweep={"snr_db": [0, 10]}, systems={"mean": system}))
    with pytest.raises(ScenarioError, match="where nothing is swept snr_db is the axis"):
        load(scenario(sweep=None, systems={"mean": system}))


def test_nothing_that_meets_an_snr_stands_beside_it_but_what_sends_nothing(scenario):
    system = {"transmit": "oracle_legacy_map", "link": "gesco", "receive": "map_as_is"}
    softcast = {"transmit": "softcast", "link": "analog", "receive": "softcast"}
    with pytest.raises(ScenarioError, match="'softcast' meets the scenario's SNR and 'mean' does not"):
        load(scenario(systems={"mean": system, "softcast": softcast}))
    prior = {"transmit": "prior", "link": "ideal", "receive": "prior"}
    assert len(load(scenario(systems={"mean": system, "prior": prior}))) == 3


@pytest.mark.parametrize("link", ["analog", {"kind": "packet", "link": "analog"}])
def test_its_planes_go_over_no_other_link(scenario, link):
    with pytest.raises(ScenarioError, match="makes planes without power normalisation"):
        load(scenario(systems={"mean": {"transmit": "oracle_legacy_map", "link": link, "receive": "map_as_is"}}, sweep=None))
    with pytest.raises(ScenarioError, match="link 'gesco' carries planes without power normalisation"):
        load(scenario(systems={"mean": {"transmit": "oracle_physical_map", "link": "gesco", "receive": "map_as_is"}}))
