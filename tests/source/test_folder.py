"""A folder of any pictures, on folders that the tests make."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from semcom.errors import DataError
from semcom.source.folder import Folder


def picture(seed: int = 0, h: int = 40, w: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (h, w, 3), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def source(path: Path, **fields):
    return Folder(path=str(path), **{"size": (40, 60), **fields}).build()


def only(path: Path, **fields) -> torch.Tensor:
    """The one picture of a folder as uint8 [H, W, 3]."""
    s = source(path, **fields)
    (ref,) = s.images()
    return (s.load([ref.id]).pixels[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()


def test_pixels_arrive_as_they_are(tmp_path):
    save(tmp_path / "a.png", picture())
    assert np.array_equal(only(tmp_path), picture())


def test_names_are_paths_in_order_and_load_follows_the_order_asked_for(tmp_path):
    for seed, name in enumerate(["b.png", "a.bmp", "sub/c.png"]):
        save(tmp_path / name, picture(seed))
    flat, deep = source(tmp_path), source(tmp_path, recursive=True)
    assert [ref.id for ref in flat.images()] == ["a.bmp", "b.png"]
    assert [ref.id for ref in deep.images()] == ["a.bmp", "b.png", "sub/c.png"]
    batch = deep.load(["sub/c.png", "a.bmp"])
    assert batch.ids == ("sub/c.png", "a.bmp")
    expected = torch.from_numpy(np.stack([picture(2), picture(1)])).permute(0, 3, 1, 2) / 255
    assert torch.allclose(batch.pixels, expected)


@pytest.mark.parametrize(("fields", "count"), [({"limit": 2}, 2), ({"every": 2}, 3), ({"every": 2, "limit": 2}, 2)])
def test_limit_and_every(tmp_path, fields, count):
    for i in range(5):
        save(tmp_path / f"{i}.png", picture(i))
    refs = source(tmp_path, **fields).images()
    assert len(refs) == count and refs[0].id == "0.png"


def test_every_mode_becomes_rgb(tmp_path):
    grey = picture()[..., 0]
    three = np.repeat(grey[..., None], 3, axis=2)
    for name, pixels in {"grey8": grey, "grey16": grey.astype(np.uint16) * 257}.items():
        save(tmp_path / name / "a.png", pixels)
        assert np.array_equal(only(tmp_path / name), three), name
    save(tmp_path / "tiff16" / "a.tif", grey.astype(np.uint16) * 257)
    assert np.array_equal(only(tmp_path / "tiff16"), three)
    Image.fromarray(grey).convert("P").save((tmp_path / "grey8" / "a.png"))
    assert np.array_equal(only(tmp_path / "grey8"), three)


def test_transparency_lies_over_white(tmp_path):
    pixels = np.zeros((40, 60, 4), np.uint8)
    pixels[:20, :, 3] = 255
    save(tmp_path / "a.png", pixels)
    shown = only(tmp_path)
    assert (shown[:20] == 0).all() and (shown[20:] == 255).all()


def test_exif_orientation_turns_the_picture_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to show
    save(tmp_path / "a.png", picture(), exif=exif)
    assert np.array_equal(only(tmp_path, size=(60, 40)), np.rot90(picture(), k=-1))


def test_floats_have_no_agreed_range(tmp_path):
    save(tmp_path / "a.tif", np.zeros((40, 60), np.float32))
    with pytest.raises(DataError, match="32-bit floats"):
        source(tmp_path).images()


@pytest.mark.parametrize("extension", ["jpg", "png", "webp"])
def test_a_truncated_file_is_found_before_it_is_needed(tmp_path, extension):
    save(tmp_path / "good.png", picture())
    whole = save(tmp_path / f"cut.{extension}", picture(1)).read_bytes()
    (tmp_path / f"cut.{extension}").write_bytes(whole[: len(whole) * 2 // 3])
    s = source(tmp_path)
    assert [ref.id for ref in s.images()] == ["good.png"]
    assert list(s.skipped()) == [f"cut.{extension}"]
    assert "damaged" in s.skipped()[f"cut.{extension}"] or "not a picture" in s.skipped()[f"cut.{extension}"]
    with pytest.raises(DataError, match=f"cut.{extension}"):
        source(tmp_path, on_damaged="stop").images()
    with pytest.raises(DataError, match=f"cut.{extension}"):
        s.load([f"cut.{extension}"])


def test_limit_counts_usable_pictures(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    for name in "bcd":
        save(tmp_path / f"{name}.png", picture())
    s = source(tmp_path, limit=2)
    assert [ref.id for ref in s.images()] == ["b.png", "c.png"]
    assert s.skipped()["a.png"].endswith("is empty (0 bytes)")


def test_files_that_are_no_pictures_are_named(tmp_path):
    save(tmp_path / "a.png", picture())
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / ".hidden").write_text("hello")
    (tmp_path / "text.png").write_text("hello")
    s = source(tmp_path)
    assert len(s.images()) == 1
    assert set(s.skipped()) == {"notes.txt", "text.png"}
    assert ".txt" in s.skipped()["notes.txt"] and "not a picture" in s.skipped()["text.png"]


def test_folders_without_pictures_say_so(tmp_path):
    with pytest.raises(DataError, match="there is no folder .*nowhere"):
        source(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no picture in .*recursive: true"):
        source(tmp_path)
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(DataError, match="none of the 1 images can be used: .*a.png"):
        source(tmp_path).images()
    with pytest.raises(DataError, match="tuning"):
        source(tmp_path, tuning=str(tmp_path / "nowhere"))


def test_an_unknown_name_gets_the_nearest(tmp_path):
    save(tmp_path / "castle.png", picture())
    with pytest.raises(DataError, match="did you mean 'castle.png'"):
        source(tmp_path).load(["castel.png"])


@pytest.mark.parametrize(
    ("cluster", "expected"),
    [
        ("image", ["x/clip_001.png", "x/clip_002.png", "y/clip_001.png"]),
        ("folder", ["x", "x", "y"]),
        ("prefix", ["x/clip", "x/clip", "y/clip"]),
    ],
)
def test_clusters(tmp_path, cluster, expected):
    for seed, name in enumerate(["x/clip_001.png", "x/clip_002.png", "y/clip_001.png"]):
        save(tmp_path / name, picture(seed))
    assert [ref.cluster for ref in source(tmp_path, recursive=True, cluster=cluster).images()] == expected


def test_tuning_pictures_make_the_prior_and_are_never_reported(tmp_path):
    save(tmp_path / "test" / "a.png", picture(0))
    for seed in (1, 2):
        save(tmp_path / "tune" / f"{seed}.png", picture(seed))
    s = source(tmp_path / "test", tuning=str(tmp_path / "tune"))
    assert [ref.id for ref in s.tuning()] == ["tuning/1.png", "tuning/2.png"]
    assert torch.allclose(s.prior(), s.load(["tuning/1.png", "tuning/2.png"]).pixels.mean(0), atol=1e-6)
    save(tmp_path / "tune" / "same.png", picture(0))
    with pytest.raises(DataError, match="keep the two apart"):
        source(tmp_path / "test", tuning=str(tmp_path / "tune")).tuning()


def test_without_tuning_pictures_the_prior_comes_from_the_photographs(tmp_path):
    save(tmp_path / "a.png", picture())
    s = source(tmp_path, size=(32, 48))
    assert s.tuning() == () and s.prior().shape == (3, 32, 48)
    assert 0.1 < float(s.prior().mean()) < 0.9


def test_identity_follows_the_bytes_not_the_place(tmp_path):
    save(tmp_path / "x" / "a.png", picture(0))
    save(tmp_path / "y" / "a.png", picture(0))
    save(tmp_path / "z" / "a.png", picture(1))
    x, y, z = (source(tmp_path / name).images()[0].digest for name in "xyz")
    assert x == y != z
    assert Folder(path="x").identity() == Folder(path="y", limit=3).identity() != Folder(path="x", size=(8, 8)).identity()


def test_a_small_cache_gives_the_same_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr("semcom.source._files.CACHE_BYTES", 2 * 40 * 60 * 3)
    for i in range(5):
        save(tmp_path / f"{i}.png", picture(i))
    s = source(tmp_path)
    ids = [ref.id for ref in s.images()]
    assert torch.equal(s.load(ids).pixels, s.load(ids[::-1]).pixels.flip(0)) and len(s._cache) == 2
