"""One scene to one picture and its label map."""

from __future__ import annotations

import numpy as np

from semcom.rng import generator
from semcom.source.street.camera import Camera
from semcom.source.street.canvas import BARKED, FACADE, LEAVES, ROOF, WALL, Canvas, Table
from semcom.source.street.classes import SKY
from semcom.source.street.facade import Faces, shade_facades
from semcom.source.street.layout import draw_scene
from semcom.source.street.light import Light
from semcom.source.street.road import shade_ground
from semcom.source.street.scene import Scene
from semcom.source.street.sensor import develop
from semcom.source.street.sky import shade_sky
from semcom.source.street.stage import Stage
from semcom.source.street.texture import hashed, look_up, noise, plane, speckle

#: samples a pixel along each axis; odd, so that one of them is the pixel's centre
OVER = 3
#: samples that are shaded together
PIECE = 32768


def render(key: tuple[object, ...], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The picture uint8 [H, W, 3] and the label map uint8 [H, W] of the scene that ``key`` names.

    A pixel's colour is the mean over its 3 x 3 samples. Its label is the class of the sample at its centre: the
    convention by which the label maps of data sets are resized. The scene does not depend on the size.
    """
    rng = generator("streets", *key, "scene")
    scene = draw_scene(rng)
    radiance, labels = trace(scene, size, rng)
    return develop(radiance, generator("streets", *key, "sensor")), labels


def trace(scene: Scene, size: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Radiance float32 [3, H, W] and labels uint8 [H, W]."""
    height, width = size[0] * OVER, size[1] * OVER
    camera, canvas, facades = scene.view.camera(height, width), Canvas(height, width), []
    stage = Stage(canvas, camera, scene.light, scene.skyline, facades, rng)
    items = scene.ordered()
    for item in items:
        if item.cast:
            item.cast(stage)
    for item in items:
        item.paint(stage)

    surfaces, table = np.asarray(canvas.image), canvas.table()
    horizon = int(np.clip(np.ceil(camera.cy - 0.5 + 0.01), 0, height))  # the first row of samples below it
    columns = np.arange(width)
    radiance = np.empty((3, height, width), np.float32)
    classes = np.empty((height, width), np.uint8)
    classes[:horizon] = SKY
    for rows in _pieces(np.arange(horizon), width):
        radiance[:, rows] = shade_sky(camera, scene.light, rows, columns)
    shadow = np.asarray(canvas.shadow)
    for rows in _pieces(np.arange(horizon, height), width):
        ground, classes[rows], z = shade_ground(camera, scene.road, scene.light, scene.skyline, rows, columns, shadow[rows])
        radiance[:, rows] = _haze(ground, z[:, None], scene.light)
    faces, seen = Faces(facades), np.flatnonzero(surfaces)
    for part in _pieces(seen, 1):
        radiance.reshape(3, -1)[:, part] = _shade(surfaces, part, table, faces, camera, scene)
    classes.reshape(-1)[seen] = table.classes[surfaces.reshape(-1)[seen]]
    if scene.light.wet > 0.05:
        _reflect(radiance, surfaces, horizon, scene.light.wet)
    centre = OVER // 2
    lines = sum(radiance[:, i::OVER] for i in range(OVER))
    picture = sum(lines[:, :, i::OVER] for i in range(OVER)) * np.float32(1 / OVER**2)
    return picture, classes[centre::OVER, centre::OVER].copy()


def _pieces(items: np.ndarray, samples: int) -> list[np.ndarray]:
    """``items`` of so many samples each, cut where their planes would outgrow a processor's cache: much faster, same result."""
    return np.array_split(items, -(-len(items) * samples // PIECE)) if len(items) else []


def _shade(
    surfaces: np.ndarray, seen: np.ndarray, table: Table, faces: Faces, camera: Camera, scene: Scene
) -> np.ndarray:
    """Radiance float32 [3, n] of the samples ``seen``, each from the plane of its surface."""
    width, light = surfaces.shape[1], scene.light
    ids = surfaces.reshape(-1)[seen].astype(np.intp)
    row, column = seen // width, seen % width
    tangent = camera.tangents(np.arange(width))[column]
    z = 1.0 / np.maximum(np.take(table.planes[:, 0], ids) * tangent + np.take(table.planes[:, 1], ids), np.float32(1e-3))
    colour, material = np.take(np.ascontiguousarray(table.colours.T), ids, axis=1), np.take(table.materials, ids)
    y = np.float32(camera.height) + ((camera.cy - np.arange(len(surfaces)) - 0.5) / camera.f).astype(np.float32)[row] * z
    x = np.float32(camera.across) + tangent * z

    i = np.flatnonzero(material == FACADE)
    if len(i):
        colour[:, i] = shade_facades(faces, table.details[ids[i]], x[i], y[i], z[i], camera.f, light, scene.skyline)
    i = np.flatnonzero(material == LEAVES)
    colour[:, i] *= 1 + 0.9 * look_up(speckle(), x[i] + ids[i] % 64, y[i], 13.0) * np.clip(camera.f * 0.02 / z[i], 0.25, 0.8)
    i = np.flatnonzero(material == BARKED)
    colour[:, i] *= 1 + 0.45 * look_up(noise(), x[i] * 6, y[i], 16.0)
    i = np.flatnonzero(material == ROOF)
    course = (y[i] / np.float32(0.22)) % 1.0
    colour[:, i] *= (
        0.9
        + np.float32(0.2) * (course > 0.3) * np.clip(camera.f * 0.06 / z[i], 0, 1)
        + 0.2 * look_up(noise(), x[i] + z[i], y[i], 12.0)
    )
    i = np.flatnonzero(material == WALL)
    colour[:, i] *= _wall(x[i] + z[i], y[i], z[i], camera.f) * _wall_light(light, scene, x[i], y[i], z[i])
    return _haze(colour, z, light)


def _wall(u, v, z, f) -> np.ndarray:
    row = np.floor(v / np.float32(0.075))
    brick = hashed(row, np.floor(u / np.float32(0.22) + 0.5 * (row % 2)))
    return 1 + 0.4 * (brick - 0.5) * np.clip(0.05 * f / z - 0.3, 0, 1) + 0.2 * look_up(noise(), u, v, 12.0)


def _wall_light(light: Light, scene: Scene, x, y, z) -> np.ndarray:
    """On garden walls, which look across the road."""
    across = x - np.float32(scene.view.bend) * z * z
    cosine = np.maximum(0.0, -np.sign(across) * np.float32(light.sun[0]))
    sun = scene.skyline.sunlit(light, across * np.float32(0.99), y, z) * cosine * plane(light.sun_colour)
    return sun + np.clip(0.5 + 0.12 * y, 0, 0.75) * plane(light.sky_colour)


def _haze(radiance: np.ndarray, z: np.ndarray, light: Light) -> np.ndarray:
    """Air light: exp(-t) of t = Z / distance, by its quotient of polynomials, which every machine computes alike."""
    t = z * np.float32(1 / light.haze)
    left = 1 / (1 + t * (1 + t * (np.float32(0.5) + t * np.float32(1 / 6))))
    air = light.horizon.astype(np.float32).reshape(3, *[1] * left.ndim) * (1 - left)
    return radiance * left + air


def _reflect(radiance: np.ndarray, surfaces: np.ndarray, horizon: int, wet: float) -> None:
    """Wet ground shows what stands above the horizon, upside down, more so at grazing angles."""
    below = radiance.shape[1] - horizon
    above = min(horizon, below)
    if above < 1:
        return
    image = radiance[:, horizon - above : horizon][:, ::-1]
    blurred = (image + np.roll(image, 2, 2) + np.roll(image, -2, 2) + np.roll(image, 3, 1)) * np.float32(0.25)
    graze = 1 / (1 + np.arange(above, dtype=np.float32) / np.float32(0.16 * radiance.shape[1]))
    bare = (surfaces[horizon : horizon + above] == 0) * (np.float32(0.45 * wet) * graze)[:, None]
    strip = radiance[:, horizon : horizon + above]
    strip += bare * (blurred - strip)
