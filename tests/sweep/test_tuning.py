"""Tuning: the best expected picture, per metric, on images that are never reported; a reference that bounds."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from semcom.errors import ScenarioError
from semcom.scenario import load
from semcom.sweep.prepare import prepare
from semcom.sweep.tune import Tuner, tuning_images
from semcom.types import Condition

SCENARIOS = Path(__file__).resolve().parents[2] / "scenarios"
SMALL = ["source.size=[64,64]", "channel.kind=rayleigh", "sweep.snr_db=[0,10,20]", "metrics=[psnr]", "bandwidth_ratio=1/6"]


@pytest.fixture(scope="module")
def tuned():
    """A small sweep of the quickstart's systems over Rayleigh fading, and its tuner."""
    scenario = load(SCENARIOS / "quickstart.yaml", overrides=SMALL)
    prepared = prepare(scenario, "cpu")
    return scenario.points(), Tuner(prepared.workshop, prepared.measure, scenario.seed)


def expected_psnr(tuner, spec, point, settings):
    """E over the channel of the mean PSNR on tuning images, from first principles."""
    system = tuner.workshop.system(spec.resolve(settings), point.channel, point.source)
    images = tuning_images(tuner.workshop, point.source)
    uses, condition = 64 * 64 * 3 // 6, Condition(point.snr_db)
    arrived = tuner._arrived(system, images, system.budget(uses, condition))["psnr"]
    mse = (images.pixels - 128 / 255).square().mean(dim=(1, 2, 3))
    success = system.link.success(condition, uses)
    return success * arrived + (1 - success) * float((-10 * mse.log10()).mean())


def system(point, name):
    return next(spec for spec in point.systems if spec.name == name)


def test_the_choice_is_the_best_of_all_candidates(tuned):
    points, tuner = tuned
    for point in points[:2]:
        spec = system(point, "bit recovery").fix({"transmit.codec": "webp"})
        all_values = {mcs: expected_psnr(tuner, spec, point, {"link.mcs": mcs}) for mcs in spec.tuned["link.mcs"][::3]}
        chosen = tuner.choose(spec, point)["psnr"]
        assert expected_psnr(tuner, spec, point, chosen) >= max(all_values.values()) - 1e-6


def test_the_reference_of_a_codec_is_above_what_that_codec_reaches(tuned):
    """Whatever outage the digital link runs at, the best code with the best outage is not worse."""
    points, tuner = tuned
    for point in points:
        real, reference = system(point, "bit recovery").fix({"transmit.codec": "avif"}), system(point, "capacity")
        values = [expected_psnr(tuner, spec, point, tuner.choose(spec, point)["psnr"]) for spec in (real, reference)]
        assert values[0] < values[1]


def test_tuning_images_are_not_reported(tuned):
    points, tuner = tuned
    source = tuner.workshop.source(points[0].source)
    reported = {ref.digest for ref in source.images()}
    assert reported.isdisjoint(ref.digest for ref in source.tuning()) and source.tuning()
    assert not torch.equal(source.prior(), source.load([ref.id for ref in source.images()]).pixels.mean(dim=0))


def test_metrics_that_share_their_settings_have_those_of_the_best_product(tuned):
    points, alone = tuned
    point, spec = points[0], system(points[0], "bit recovery").fix({"transmit.codec": "webp"})
    spec = replace(spec, tuned={"link.mcs": spec.tuned["link.mcs"][::4]})
    scenario = load(SCENARIOS / "quickstart.yaml", overrides=[*SMALL, "metrics=[psnr,ssim]", "tuning.together=[psnr,ssim]", "tuning.images=1"])
    prepared = prepare(scenario, "cpu")
    tuner = Tuner(prepared.workshop, prepared.measure, scenario.seed, scenario.tuning)
    chosen = tuner.choose(spec, point)
    assert chosen["psnr"] == chosen["ssim"]
    images = tuning_images(tuner.workshop, point.source, 1)
    assert len(images) == 1 and set(images.ids) < set(tuning_images(tuner.workshop, point.source).ids)
    grey = tuner._mean(images, torch.full_like(images.pixels, 0.5), None)

    def product(settings):
        made = tuner.workshop.system(spec.resolve(settings), point.channel, point.source)
        uses, condition = 64 * 64 * 3 // 6, Condition(point.snr_db)
        arrived, success = tuner._arrived(made, images, made.budget(uses, condition)), made.link.success(condition, uses)
        return math.prod(success * arrived[name] + (1 - success) * grey[name] for name in ("psnr", "ssim"))

    assert product(chosen["psnr"]) == pytest.approx(max(product({"link.mcs": mcs}) for mcs in spec.tuned["link.mcs"]))
    with pytest.raises(ScenarioError, match="tuning.together.*'lpips_alex' is not measured"):
        load(SCENARIOS / "quickstart.yaml", overrides=[*SMALL, "tuning.together=[lpips_alex]"])
