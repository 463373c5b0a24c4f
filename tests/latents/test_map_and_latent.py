"""A label map as bits beside latents as reals: one budget, one ledger, and either part without the other."""

import math
from dataclasses import replace

import pytest
import torch

from semcom import registry
from semcom.classes import UNKNOWN
from semcom.errors import Infeasible, ScenarioError
from semcom.models import segmenter
from semcom.protocols import Context
from semcom.rng import Streams
from semcom.scenario import from_mapping
from semcom.system import System
from semcom.types import Condition, ImageBatch

#: 64x96 pictures at this ratio have 1536 channel uses; a latent channel is 96 reals
RATIO, USES = "1/12", 1536
MAP_LINK = {"kind": "adaptive", "told": False, "target": 0.01}


@pytest.fixture(scope="session")
def scenes(pixels):
    """Pictures whose labels are how red they are."""
    return ImageBatch(pixels, tuple("abcd"), (pixels[:, 0] * 11).floor().clamp(max=10).to(torch.int64))


def link(uses="1/4", boost_db=0.0, of_map=MAP_LINK, of_latent="analog"):
    return {"kind": "parts", "parts": {"map": {"link": of_map, "uses": uses, "boost_db": boost_db}, "latent": {"link": of_latent, "uses": "rest"}}}


def made(folders, receive="vae", carrier=None, channel="awgn", **fields):
    own = {"autoencoder": folders["own"]}
    receiver = {"kind": receive} if isinstance(receive, str) else receive
    if receiver["kind"] != "map_as_is":
        receiver = {**own, **receiver}
    return System.of({"kind": "oracle_map_and_latent", **own, **fields}, carrier or link(), receiver, channel)


def diffusion(weights, **fields):
    return {"kind": "latent_diffusion", "weights": weights, "steps": 2, **fields}


@pytest.mark.parametrize(
    "uses, boost_db, channels, power, snr_db, grant",
    [
        ("1/16", 0.0, 8, "flat", 4.0, 1536),
        (0.1, -3.0, 8, "waterfill", 18.0, 1501),
        ("1/3", 2.5, 3, "waterfill", -3.0, 1537),
        ("2/3", 0.0, 1, "flat", -3.0, 1600),
        ("2/3", -3.0, 8, "flat", 18.0, 1533),
    ],
)
def test_the_ledger_adds_up_and_the_power_holds_over_the_message(folders, scenes, uses, boost_db, channels, power, snr_db, grant):
    system = made(folders, carrier=link(uses, boost_db), channels=channels, power=power)
    budget = system.budget(grant, Condition(snr_db))
    streams = Streams.of(scenes.ids)
    message = system.transmit.encode(scenes, budget, streams)
    lengths, latent = message.parts["map"].lengths, message.parts["latent"]
    assert int(lengths.max()) <= budget.part("map").bits and not any(message.infeasible)
    assert budget.part("map").symbols + budget.part("latent").symbols in (grant, grant - 1)  # two shares are rounded down
    got = system.link.send(message, [Condition(snr_db)] * len(scenes), streams)
    assert got.usage.granted.tolist() == [grant] * 4 and torch.equal(sum(got.usage.uses.values()), got.usage.granted)
    assert float(got.usage.energy.max()) <= grant * (1 + 1e-4)  # mean power 1 over all uses, per image
    assert any("split of channel uses and of power" in item for item in got.usage.free)
    # both parts meet the noise of their power: the digital level over the analog one is the boost
    granted = system.link.budget(grant, Condition(snr_db))
    assert granted.part("map").snr_db - granted.part("latent").snr_db == pytest.approx(boost_db)
    assert latent.values.shape[1] == latent.shape[0] * 96 <= channels * 96


def test_shares_and_boosts_are_what_they_say():
    parts = registry.parse("link", link("1/4", 3.0))
    assert parts.uses() == {"map": 0.25, "latent": 0.75}
    levels = parts.levels()
    assert 0.25 * levels["map"] + 0.75 * levels["latent"] == pytest.approx(1.0)
    assert 10 * math.log10(levels["map"] / levels["latent"]) == pytest.approx(3.0)
    by_share = registry.parse("link", {"kind": "parts", "parts": {
        "map": {"link": MAP_LINK, "uses": "1/4", "power": 0.25 * levels["map"]},
        "latent": {"link": "analog", "uses": "3/4", "power": round(0.75 * levels["latent"], 6)},
    }})  # fmt: skip
    assert by_share.levels() == pytest.approx(levels, rel=1e-5)
    half = registry.parse("link", {"kind": "parts", "parts": {"a": {"link": "analog", "uses": 0.25}, "b": {"link": "analog", "uses": 0.25}}})
    assert half.levels() == {"a": 1.0, "b": 1.0}  # what is left unused boosts nothing


@pytest.mark.parametrize(
    "parts, sentence",
    [
        ({"a": {"uses": "rest"}, "b": {"uses": "rest"}}, "several parts have the rest"),
        ({"a": {"uses": 1}, "b": {"uses": "rest"}}, "sum to 1 .* leave a rest"),
        ({"a": {"uses": 0.5, "power": 0.5}, "b": {"uses": "rest"}}, "part 'b' says no share of power"),
        ({"a": {"uses": 0.5, "power": 0.5, "boost_db": 1.0}, "b": {"uses": 0.5, "power": 0.5}}, "power and boost_db"),
    ],
)
def test_shares_that_cannot_be_are_one_sentence(parts, sentence):
    with pytest.raises(ValueError, match=sentence):
        registry.parse("link", {"kind": "parts", "parts": {name: {"link": "analog", **share} for name, share in parts.items()}})


def test_a_scheme_that_both_ends_know_costs_no_header(folders, scenes):
    system = made(folders, "map_as_is", link(of_map=MAP_LINK))
    told = made(folders, "map_as_is", link(of_map={**MAP_LINK, "told": True}))
    silent, said = (one.send(scenes, 6.0, RATIO) for one in (system, told))
    assert int((said.usage.uses["header"] - silent.usage.uses["header"]).min()) > 90 and "header_failures" not in silent.counts
    assert any("MCS" in item for item in silent.usage.free) and bool(silent.ok.all())
    with pytest.raises(ValueError, match="told: false stands beside csit: perfect"):
        registry.parse("link", {"kind": "adaptive", "told": False, "csit": "perfect"})


def test_each_receiver_takes_its_part(folders, scenes, denoiser_weights):
    """The latent alone is that of `vae_latent` over the same uses; the map is the map; a generative receiver shows both."""
    system = made(folders, "vae", channels=8)
    budget, streams = system.budget(USES, Condition(8.0)), Streams.of(scenes.ids)
    message = system.transmit.encode(scenes, budget, streams)
    alone = registry.parse("transmit", {"kind": "vae_latent", "autoencoder": folders["own"], "channels": 8}).build(Context())
    assert torch.equal(alone.encode(scenes, budget, streams).parts["latent"].values, message.parts["latent"].values)
    assert bool(system.send(scenes, 8.0, RATIO).ok.all())
    shown = made(folders, "map_as_is").send(scenes, 8.0, RATIO)
    both = made(folders, diffusion(denoiser_weights)).send(scenes, 8.0, RATIO)
    assert torch.equal(both.labels, shown.labels) and bool((shown.labels != UNKNOWN).all())
    blind = made(folders, diffusion(denoiser_weights, map="ignore")).send(scenes, 8.0, RATIO)
    assert blind.labels is None and float((blind.pixels - both.pixels).abs().max()) > 1e-4


def test_without_its_map_a_picture_is_that_of_the_latent_and_without_its_latent_that_of_the_map(folders, scenes, denoiser_weights):
    hopeless = {"kind": "digital", "mcs": "256qam-5/6"}
    seeing, blind = (made(folders, diffusion(denoiser_weights, **fields), link(of_map=hopeless)) for fields in ({}, {"map": "ignore"}))
    lost = seeing.send(scenes, 0.0, RATIO)
    assert lost.counts["frame_failures"].tolist() == [1] * 4 and bool(lost.ok.all()) and bool((lost.labels == UNKNOWN).all())
    torch.testing.assert_close(lost.pixels, blind.send(scenes, 0.0, RATIO).pixels, rtol=0, atol=1e-5)

    system, streams = made(folders, diffusion(denoiser_weights)), Streams.of(scenes.ids)
    message = system.transmit.encode(scenes, system.budget(USES, Condition(8.0)), streams)
    got = system.link.send(message, [Condition(8.0)] * 4, streams)
    latent = got.parts["latent"]
    nothing = replace(latent, values=latent.values * 0, noise_std=torch.full_like(latent.noise_std, math.inf), ok=torch.zeros(4, dtype=torch.bool))
    of_map = system.receive.decode(replace(got, parts={**got.parts, "latent": nothing}), streams)
    only = system.receive.decode(replace(got, parts={"map": got.parts["map"]}), streams)
    assert bool(of_map.ok.all()) and torch.equal(of_map.pixels, only.pixels)
    assert not made(folders, "vae").receive.decode(replace(got, parts={**got.parts, "latent": nothing}), streams).ok.any()


def test_pictures_do_not_depend_on_what_is_sent_with_them(folders, scenes, denoiser_weights):
    system = made(folders, diffusion(denoiser_weights, guidance=2.0), channels=3)
    together = system.send(scenes, 2.0, RATIO)
    for row in range(4):
        alone = system.send(scenes.select([row]), 2.0, RATIO)
        torch.testing.assert_close(alone.pixels, together.pixels[row : row + 1], rtol=0, atol=1e-4)
        assert torch.equal(alone.labels, together.labels[row : row + 1]) and float(alone.usage.energy) == pytest.approx(float(together.usage.energy[row]), rel=1e-6)


def test_a_map_that_does_not_fit_is_not_sent_and_the_latent_arrives(folders, scenes):
    tight = {"kind": "digital", "mcs": "qpsk-1/12"}
    system = made(folders, "vae", link(uses=0.12, of_map=tight))
    budget = system.budget(USES, Condition(8.0))
    message = system.transmit.encode(scenes, budget, Streams.of(scenes.ids))
    assert budget.part("map").bits < 8 and message.parts["map"].lengths.tolist() == [0] * 4
    result = system.send(scenes, 8.0, RATIO)
    assert bool(result.ok.all()) and result.usage.uses["payload"].tolist() == [math.floor(0.88 * USES)] * 4
    assert not made(folders, "map_as_is", link(uses=0.12, of_map=tight)).send(scenes, 8.0, RATIO).ok.any()


def test_a_budget_that_holds_not_both_says_so_in_a_sentence(folders, scenes):
    with pytest.raises(Infeasible, match="part 'map': .* channel uses"):
        made(folders, carrier=link(uses=0.002)).budget(USES, Condition(8.0))
    system = made(folders, carrier=link(uses=0.99))
    message = system.transmit.encode(scenes, system.budget(USES, Condition(8.0)), Streams.of(scenes.ids))
    assert message.infeasible[0] == "a latent channel is 96 reals, and 30 fit 1536 channel uses"
    result = system.send(scenes, 8.0, RATIO)
    assert not result.ok.any() and result.usage.uses["unused"].tolist() == [USES] * 4
    digital = made(folders, carrier={"kind": "digital", "mcs": "qpsk-1/3"})
    with pytest.raises(ScenarioError, match="give each its own with `link: {kind: parts"):
        digital.transmit.encode(scenes, digital.budget(USES, Condition(8.0)), Streams.of(scenes.ids))


def test_a_scenario_says_what_does_not_fit_before_it_runs():
    def load(of_map, receive="latent_diffusion", transmit="map_and_latent"):
        system = {"transmit": transmit, "link": of_map, "receive": receive}
        from_mapping({"source": "streets", "bandwidth_ratio": "1/24", "channel": "awgn", "snr_db": 5, "metrics": ["psnr"], "systems": {"a": system}})

    load(link())
    load(link(), "vae")
    load(link(), "map_as_is")
    load({"kind": "digital", "mcs": "qpsk-1/3"}, transmit="segmentation_map")
    load("analog", transmit="physical_map")
    with pytest.raises(ScenarioError, match="link 'digital' carries bits and transmit 'map_and_latent' makes real numbers as well; .*parts"):
        load({"kind": "digital", "mcs": "qpsk-1/3"})
    with pytest.raises(ScenarioError, match="the link of part 'map' carries real numbers and transmit 'map_and_latent' makes bits"):
        load(link(of_map="analog"))
    with pytest.raises(ScenarioError, match="ignores the map, and nothing else is sent"):
        load({"kind": "digital", "mcs": "qpsk-1/3"}, {"kind": "latent_diffusion", "map": "ignore"}, "segmentation_map")
    with pytest.raises(ScenarioError, match="does not understand transmit 'retrieval'"):
        load({"kind": "digital", "mcs": "qpsk-1/3"}, transmit="retrieval")


def test_a_picture_is_segmented_once_for_all_budgets(folders, scenes, monkeypatch):
    seen = []

    class Shades:
        def labels(self, pixels):
            seen.append(len(pixels))
            return (pixels[:, 0] * 11).floor().clamp(max=10).to(torch.int64)

    monkeypatch.setattr(segmenter, "named", lambda name, device="cpu": Shades())
    monkeypatch.setattr(segmenter, "missing", lambda name: None)
    monkeypatch.setattr(segmenter, "identity", lambda name: "digest of counted shades")
    transmit = registry.parse("transmit", {"kind": "map_and_latent", "segmenter": "counted", "autoencoder": folders["own"]})
    assert transmit.available() is None and {"segmenter", "autoencoder", "channels"} <= transmit.identity().keys()
    for uses in ("1/8", "1/4", "1/2"):
        system = System.of(transmit, link(uses), {"kind": "vae", "autoencoder": folders["own"]})
        assert bool(system.send(scenes, 5.0, RATIO).ok.all())
    assert len(seen) == len(scenes)
