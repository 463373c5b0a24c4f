"""Packs: what goes in comes out; nothing that is reported or tuned on gets in."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from semcom.cli.main import app
from semcom.errors import DataError, ScenarioError
from semcom.source.camvid import NAMES
from semcom.train import pack, toy
from semcom.train.gather import gather
from semcom.train.pack import Pack

SIZE = (24, 32)


def photo(path, number, shape=(24, 32)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (*shape, 3)).astype(np.uint8)).save(path)


def label_map(path, number, classes):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(number).integers(0, classes, (24, 32)).astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """A CamVid, a LabelMeFacade and a folder of pictures, each of a few tiny images."""
    root = tmp_path_factory.mktemp("sets")
    for number, name in enumerate(
        ["train/0001TP_000010", "train/0016E5_00390", "train/0016E5_02400", "train/0016E5_02430", "val/0006R0_f00930"]
    ):
        split, frame = name.split("/")
        photo(root / "camvid" / split / f"{frame}.png", number)
        label_map(root / "camvid" / f"{split}annot" / f"{frame}.png", number, 12)
    listed = {"train": ["april21_static_outdoor_davis__1", "boston__1", "boston__2"], "val": ["paris__1"]}
    for number, name in enumerate([name for names in listed.values() for name in names], start=50):
        photo(root / "facade" / "images" / f"{name}.jpg", number)
        label_map(root / "facade" / "labels" / f"{name}.png", number, 9)
    for split, names in listed.items():
        (root / "facade" / f"{split}.txt").write_text("\n".join(names))
    for number in range(3):
        photo(root / "pictures" / f"{number}.png", 90 + number)
    return root


@pytest.mark.parametrize("codec", ["jpeg", "webp"])
def test_a_pack_gives_back_what_it_was_given(tmp_path, codec):
    items = [toy.picture(number) for number in range(3)] + [pack.Item("plain", "c", toy.picture(9).pixels[:30, :41])]
    count = pack.write(tmp_path / "a.safetensors", items, toy.CLASSES, [{"source": "toy", "images": 4, "terms": "x"}], codec, 80)
    opened = Pack.open(tmp_path / "a.safetensors")
    assert count == len(opened) == 4 and opened.names == ("toy0", "toy1", "toy2", "plain") and opened.clusters[3] == "c"
    assert opened.classes == toy.CLASSES and opened.provenance[0]["terms"] == "x"
    assert opened.digest == hashlib.sha256((tmp_path / "a.safetensors").read_bytes()).hexdigest()
    for index, item in enumerate(items):
        stream = io.BytesIO()
        Image.fromarray(item.pixels).save(stream, **pack.CODECS[codec], quality=80)
        assert np.array_equal(np.asarray(opened.picture(index)), np.asarray(Image.open(stream).convert("RGB")))
        assert opened.labels(index) is None if item.labels is None else np.array_equal(opened.labels(index), item.labels)


def test_the_same_pictures_make_the_same_file(tmp_path):
    assert toy.write(tmp_path / "a.safetensors").read_bytes() == toy.write(tmp_path / "b.safetensors").read_bytes()


def test_what_is_no_pack_is_said_in_a_sentence(tmp_path):
    with pytest.raises(DataError, match="there is no pack .* make it with: semcom pack IMAGES"):
        Pack.open(tmp_path / "none")
    (tmp_path / "text").write_text("not a pack")
    with pytest.raises(DataError, match="cannot be read as a pack"):
        Pack.open(tmp_path / "text")
    save_file({"x": np.zeros(1)}, tmp_path / "other")
    with pytest.raises(DataError, match="is no pack of this version"):
        Pack.open(tmp_path / "other")
    with pytest.raises(DataError, match="would hold no picture"):
        pack.write(tmp_path / "empty", [])


def test_only_training_images_get_in(sets):
    gathered = gather([f"camvid:{sets}/camvid", f"labelmefacade:{sets}/facade", f"{sets}/pictures"], SIZE)
    items = list(gathered.items())
    assert [item.name for item in items] == [
        "camvid/0001TP_000010", "camvid/0016E5_02430", "labelmefacade/boston__1", "labelmefacade/boston__2",
        "folder2/0.png", "folder2/1.png", "folder2/2.png",
    ]  # fmt: skip
    assert gathered.classes == NAMES and [entry["images"] for entry in gathered.provenance] == [2, 2, 3]
    assert items[0].labels.shape == SIZE and items[-1].labels is None and items[2].cluster == "labelmefacade/boston"
    with Image.open(sets / "camvid" / "train" / "0001TP_000010.png") as picture:
        assert np.array_equal(items[0].pixels, np.asarray(picture))


def test_the_roles_of_the_development_data_are_kept(shared):
    """val is drive 0006R0; 0016E5 frames 390 to 2400 and april21_static_outdoor_davis* are for tuning."""
    data = shared / "data"
    gathered = gather(
        [f"{{kind: camvid, path: {data}/camvid, every: 10}}", f"{{kind: labelmefacade, path: {data}/labelmefacade, every: 40}}"],
        SIZE,
    )
    (camvid, facade) = [[ref.id for ref in source.images()] for _, source in gathered.sources]
    assert len(camvid) == 30 and len(facade) == 21
    assert not any(name.startswith("0006R0") for name in camvid)
    assert not any(name.startswith("0016E5") and 390 <= int(name.split("_")[1]) <= 2400 for name in camvid)
    val = (data / "labelmefacade" / "val.txt").read_text().split()
    assert not any(name.startswith("april21_static_outdoor_davis") or name in val for name in facade)


@pytest.mark.parametrize("held_out", ["camvid/val/0006R0_f00930.png", "camvid/train/0016E5_00390.png"])
def test_a_copy_of_a_held_out_picture_is_found(sets, tmp_path, held_out):
    (tmp_path / "copy.png").write_bytes((sets / held_out).read_bytes())
    with pytest.raises(
        DataError, match=r"'copy.png' is the same picture as (val|tuning) image .* of camvid, which is kept out of training"
    ):
        list(gather([f"camvid:{sets}/camvid", str(tmp_path)], SIZE).items())


def test_a_labelled_set_is_not_taken_for_a_folder_of_pictures(sets):
    for folder in ("camvid", "camvid/val", "facade/images"):
        with pytest.raises(
            DataError, match=r"belongs to a (camvid|labelmefacade) set, whose val and tuning images are no training data"
        ):
            gather([f"{sets}/{folder}"], SIZE)
    with pytest.raises(ScenarioError, match="split 'val' was given; only 'train' may be trained on"):
        gather([f"{{kind: camvid, path: {sets}/camvid, split: val}}"], SIZE)
    with pytest.raises(ScenarioError, match="there is no source 'camvit'; .* did you mean 'camvid'"):
        gather([f"{{kind: camvit, path: {sets}}}"], SIZE)


def test_the_command_packs_and_says_what(sets, tmp_path):
    from typer.testing import CliRunner

    given = ["pack", f"camvid:{sets}/camvid", "-o", str(tmp_path / "p.safetensors"), "--size", "24", "32"]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 0 and "2 pictures of 24x32" in result.output and "research use" in result.output
    assert len(Pack.open(tmp_path / "p.safetensors")) == 2
