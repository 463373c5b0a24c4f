"""The procedural streets: determinism, exact labels, depth order, class frequencies."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from semcom.errors import DataError
from semcom.rng import generator
from semcom.source import camvid, streets
from semcom.source.street import classes as c
from semcom.source.street import things, vehicles
from semcom.source.street.layout import draw_scene
from semcom.source.street.order import far_to_near
from semcom.source.street.render import OVER, trace
from semcom.source.street.road import KERB
from semcom.source.street.scene import Item
from semcom.source.streets import Streets

SMALL = (64, 128)
SCENES = 100


@pytest.fixture(scope="module")
def many():
    """Label maps of training scenes."""
    source = Streets(size=SMALL, split="train", count=SCENES).build()
    return source.load([ref.id for ref in source.images()]).labels.numpy()


def empty_scene(index: int = 0, **changes):
    """The road, light and camera of a scene, with nothing standing in it."""
    scene = draw_scene(generator("test", index))
    scene.items.clear()
    scene.skyline.heights[:] = 0
    return dataclasses.replace(scene, **changes)


def traced(scene, size=(96, 192)):
    return trace(scene, size, generator("test", "paint"))


def car(scene, z: float, paint, across: float | None = None) -> Item:
    across = scene.view.across if across is None else across
    vehicle = vehicles.Vehicle("estate", across, z, (0.0, 1.0), np.array(paint), False)
    shape = vehicles.SHAPES["estate"]
    box = (across - shape.width / 2, across + shape.width / 2, z, z + shape.length)
    return Item(box, lambda s: vehicles.paint_vehicle(s, vehicle, 1.0))


def grown(mask: np.ndarray) -> np.ndarray:
    """The mask and its eight neighbours."""
    padded = np.pad(mask, 1)
    h, w = mask.shape
    return np.logical_or.reduce([padded[i : i + h, j : j + w] for i in range(3) for j in range(3)])


def test_an_image_depends_on_its_seed_split_and_index_alone():
    source = Streets(size=SMALL, count=3).build()
    ids = [ref.id for ref in source.images()]
    together = source.load(ids)
    other = Streets(size=SMALL, count=50, split="train").build()
    np.random.seed(1)
    torch.manual_seed(1)
    alone = [other.load([name]) for name in reversed(ids)][::-1]
    for i, one in enumerate(alone):
        assert torch.equal(one.pixels[0], together.pixels[i]) and torch.equal(one.labels[0], together.labels[i])
    assert not torch.equal(together.pixels[0], together.pixels[1])
    town = Streets(size=SMALL, seed=1).build()
    assert not torch.equal(town.load([town.images()[0].id]).pixels[0], together.pixels[0])


def test_no_global_generator_is_touched():
    state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()
    source = Streets(size=SMALL, count=1).build()
    source.load([source.images()[0].id])
    assert (np.random.get_state()[1] == state).all() and torch.equal(torch.get_rng_state(), torch_state)


def test_splits_never_share_a_scene():
    first = {}
    for split in ("report", "tuning", "train"):
        source = Streets(size=SMALL, split=split, count=20).build()
        reported, tuning = {ref.id for ref in source.images()}, {ref.id for ref in source.tuning()}
        assert len(reported) == 20 and len(tuning) == streets.TUNING_SCENES and not reported & tuning
        assert len({ref.cluster for ref in source.images()}) == 20
        first[split] = source.load([source.images()[0].id])
    assert len({batch.ids for batch in first.values()}) == 3
    assert not torch.equal(first["report"].labels, first["train"].labels)
    assert not torch.equal(first["report"].labels, first["tuning"].labels)


def test_how_many_are_taken_is_not_identity_but_what_they_are_is():
    assert Streets(count=3).identity() == Streets().identity()
    assert len({str(s.identity()) for s in (Streets(), Streets(seed=1), Streets(split="train"), Streets(size=SMALL))}) == 4
    refs = Streets(count=3).build().images()
    assert refs == Streets(count=9).build().images()[:3] and len({ref.digest for ref in refs}) == 3
    assert refs[0].digest != Streets(seed=1).build().images()[0].digest


@pytest.mark.parametrize("size", [(64, 128), (97, 131), (128, 256), (256, 512), (48, 20), (16, 256)])
def test_any_size(size):
    source = Streets(size=size, count=1).build()
    batch = source.load([source.images()[0].id])
    assert batch.size == size == source.size and batch.labels.shape == (1, *size)
    assert source.classes == camvid.NAMES and 0 <= int(batch.labels.min()) and int(batch.labels.max()) <= 11
    levels = batch.pixels * 255
    assert torch.allclose(levels, levels.round(), atol=1e-4)


def test_a_scene_is_the_same_at_every_size():
    name = Streets().build().images()[2].id
    small, large = (Streets(size=size).build().load([name]).labels[0] for size in ((64, 128), (192, 384)))
    # the centre of a small pixel is the centre of the middle one of 3 x 3 large ones; edges round to other samples
    assert (large[1::3, 1::3] == small).float().mean() > 0.93


def test_every_class_occurs(many):
    assert set(np.unique(many)) == set(range(len(camvid.NAMES)))
    present = np.stack([(many == i).any(axis=(1, 2)) for i in range(11)]).mean(axis=1)
    assert present.min() > 0.5


def test_class_frequencies_are_camvids_within_a_factor_of_two(many):
    with (Path(__file__).parent / "camvid_frequencies.csv").open(encoding="utf-8") as file:
        table = {row["class"]: float(row["share"]) for row in csv.DictReader(line for line in file if line[0] != "#")}
    assert tuple(table) == camvid.NAMES
    for i, (name, share) in enumerate(table.items()):
        ours = (many == i).mean()
        assert share < 0.01 or 0.5 < ours / share < 2.0, f"{name}: {ours:.4f} here, {share:.4f} in CamVid"


def test_the_horizon_parts_sky_from_ground():
    for index in range(6):
        scene = draw_scene(generator("test", "horizon", index))
        _, labels = traced(scene)
        horizon = scene.view.camera(96 * OVER, 192 * OVER).cy / OVER
        below = np.arange(96) + 0.5 > horizon
        assert not (labels[below] == c.SKY).any()
        assert not np.isin(labels[~below], [c.ROAD, c.PAVEMENT]).any()


def test_road_and_pavement_lie_where_the_plan_has_them():
    scene = empty_scene(3)
    size = (192, 384)
    _, labels = traced(scene, size)
    camera = scene.view.camera(size[0] * OVER, size[1] * OVER)
    half = scene.road.half_width
    tried = set()
    for z in np.linspace(6, 40, 30):
        if scene.road.in_junction(z, 4.0) or scene.road.grass:
            continue
        for across, height, expected in (
            (0, 0, c.ROAD),
            (0.9, 0, c.ROAD),
            (1.1, KERB, c.PAVEMENT),
            (-0.9, 0, c.ROAD),
            (-1.1, KERB, c.PAVEMENT),
        ):
            x, y = camera.project(camera.x(across * half, z), height, z) / OVER
            if 0 <= x < size[1] and 0 <= y < size[0]:
                assert labels[int(y), int(x)] == expected, (z, across)
                tried.add(expected)
    assert tried == {c.ROAD, c.PAVEMENT}


def test_labels_and_picture_are_one_geometry():
    scene = empty_scene(1)
    bare, before = traced(scene)
    scene.items.append(car(scene, 9.0, (3.0, 0.02, 0.02)))
    picture, labels = traced(scene)
    is_car = labels == c.CAR
    changed = (picture != bare).any(axis=0)
    assert is_car.sum() > 200 and (labels == before)[~is_car].all()
    assert changed[is_car].all() and not (changed & ~grown(is_car)).any()


def test_the_nearer_car_covers_the_farther_one():
    scene = empty_scene(2)
    near, far = car(scene, 8.0, (0.5, 0.0, 0.0)), car(scene, 18.0, (0.0, 0.0, 0.5), scene.view.across + 0.9)
    scene.items = [near]
    alone, labels = traced(scene)
    inside = ~grown(labels != c.CAR)
    for items in ([near, far], [far, near]):
        scene.items = items
        both, labels_both = traced(scene)
        assert np.array_equal(both[:, inside], alone[:, inside])
        assert (labels_both == c.CAR).sum() > (labels == c.CAR).sum()


def test_order_goes_by_planes_between_boxes():
    ahead, behind = (-1, 1, 5, 8), (-1, 1, 9, 12)
    assert far_to_near(np.array([ahead, behind]), 0.0) == [1, 0]
    # side by side: the long box reaches nearer and farther, but the camera sees the other one in front of it
    wall, lamp = (5, 6, 2, 40), (4, 4.2, 20, 20.3)
    assert far_to_near(np.array([lamp, wall]), 0.0) == [1, 0]
    assert far_to_near(np.array([lamp, wall]), 9.0) == [0, 1]


def test_thin_things_are_as_thin_as_perspective_makes_them():
    scene = empty_scene(4)
    for z in (8.0, 16.0, 32.0):
        scene.items = [Item((1.9, 2.1, z, z), lambda s, z=z: things.paint_bollard(s.painter(2.0, z)))]
        size = (256, 512)
        picture, labels = traced(scene, size)
        camera = scene.view.camera(*(n * OVER for n in size))
        width = 0.15 * camera.f / z / OVER
        rows = (labels == c.POLE).sum(axis=1)
        assert abs(np.median(rows[rows > 0]) - width) <= 1.0


def test_poles_are_a_few_pixels_wide(many):
    poles = (many == c.POLE).astype(np.int8)
    edges = np.diff(np.pad(poles, ((0, 0), (0, 0), (1, 1))), axis=2)
    widths = np.argwhere(edges == -1)[:, 2] - np.argwhere(edges == 1)[:, 2]
    assert np.median(widths) == 1 and np.mean(widths <= 3) > 0.9


def test_the_prior_is_the_average_of_training_scenes(monkeypatch):
    monkeypatch.setattr(streets, "PRIOR_SCENES", 4)
    source = Streets(size=(32, 64)).build()
    train = Streets(size=(32, 64), split="train", count=4).build()
    batch = train.load([ref.id for ref in train.images()])
    assert torch.allclose(source.prior(), batch.pixels.mean(0), atol=1e-6)
    most = source.prior_labels()
    assert most.shape == (32, 64) and not (most == c.VOID).any()
    agreed = (batch.labels == batch.labels[0]).all(0) & (batch.labels[0] != c.VOID)
    assert agreed.any() and torch.equal(most[agreed], batch.labels[0][agreed])


def test_a_scene_that_does_not_exist_is_named():
    source = Streets(size=SMALL, seed=2).build()
    for name in ("report_0_00001", "val_2_00001", "report_2_1", "report_2_000001", "report_2_x", ""):
        with pytest.raises(DataError, match="allowed: SPLIT_2_INDEX"):
            source.load([name])
