"""The style: what survives grey printing and colour blindness, what a file holds, that equal data give equal bytes."""

import itertools
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semcom.figures import style

# Machado, Oliveira, Fernandes 2009, severity 1.0, on linear RGB
VISION = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(colours, vision):
    from skimage.color import rgb2lab

    rgb = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(vision).T, 0, 1)
    return rgb2lab(np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)[None])[0]


def test_colours_differ_in_grey():
    lightness = np.sort(lab(style.PALETTE, VISION["normal"])[:, 0])
    assert np.diff(lightness).min() > 6.5  # L*; a just noticeable difference is about 2
    assert lightness.max() < 80  # against white paper


@pytest.mark.parametrize("vision", VISION)
def test_colours_differ_for_every_vision(vision):
    seen = lab(style.PALETTE, VISION[vision])
    nearest = min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))
    assert nearest > 20  # CIE76


def test_looks_of_systems_are_distinct_and_stable():
    order = [f"s{i}" for i in range(32)]
    looks = style.looks(order, {})
    assert len({(one.marker, one.stroke, one.color) for one in looks.values()}) == 32
    roles = {"a: x": "member", "capacity": "reference"}
    with_members = style.looks(["s0", "a: x", "capacity", "s1", "s2"], roles)
    assert [with_members[s] for s in ("s0", "s1", "s2")] == [looks[s] for s in ("s0", "s1", "s2")]


def test_a_member_takes_the_colour_of_its_envelope():
    looks = style.looks(["a", "b", "b: x"], {"b: x": "member"}, {"b: x": "b"})
    assert looks["b: x"].color == looks["b"].color
    assert looks["b: x"].width < looks["b"].width and not looks["b: x"].marker


def test_wrapped_text_fits_and_keeps_its_words():
    text = "AVIF with adaptive resolution and LDPC (envelope of twelve)"
    lines = style.wrap(text, 1.0).split("\n")
    assert " ".join(lines) == text and len(lines) > 1
    assert all(style.text_width(line) <= 1.0 for line in lines)


def test_the_context_leaves_global_settings_alone():
    from matplotlib import rcParams

    before = dict(rcParams)
    with style.context():
        assert rcParams["pdf.fonttype"] == 42
    assert dict(rcParams) == before


def saved(folder: Path) -> tuple[Path, Path]:
    from synthetic import ORDER, table

    from semcom.figures.curves import curves, save

    return save(curves(table(), "psnr", systems=ORDER).figure, folder / "deep" / "psnr.0")


def test_files_hold_embedded_truetype_and_the_width_of_a_column(tmp_path):
    png, pdf = saved(tmp_path)
    assert (png.name, pdf.name) == ("psnr.0.png", "psnr.0.pdf")
    content = pdf.read_bytes()
    assert b"/FontFile2" in content and b"/Type3" not in content
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", content)
    assert float(box[1]) == pytest.approx(72 * style.COLUMN)
    with Image.open(png) as image:
        assert image.width == round(style.COLUMN * style.DPI)
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    assert not list(tmp_path.rglob(".*"))  # nothing unfinished is left


def test_equal_data_give_equal_bytes_in_any_process(tmp_path):
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parents[1])])
    there = [tmp_path / "there" / "deep" / f"psnr.0.{kind}" for kind in ("png", "pdf")]
    code = f"from pathlib import Path; from test_style import saved; saved(Path({str(tmp_path / 'there')!r}))"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "7"})
    for kind in zip(saved(tmp_path / "here"), saved(tmp_path / "again"), there, strict=True):
        assert len({file.read_bytes() for file in kind}) == 1


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    png, pdf = saved(tmp_path)
    old = png.read_bytes()
    fig = style.figure()
    monkeypatch.setattr(fig, "savefig", lambda target, **_: (Path(target).write_bytes(b"half"), 1 / 0))
    with pytest.raises(ZeroDivisionError):
        style.save(fig, tmp_path / "deep" / "psnr.0")
    assert png.read_bytes() == old
    assert sorted(p.name for p in png.parent.iterdir()) == sorted([png.name, pdf.name])


def test_no_pyplot_figure_is_left_open_and_nothing_warns(tmp_path):
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        saved(tmp_path)
    assert plt.get_fignums() == before
