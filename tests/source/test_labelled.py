"""Data sets with label maps, on small folders in their layouts and, where present, on the real ones."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from semcom.errors import DataError
from semcom.source import camvid
from semcom.source.camvid import CamVid, segments
from semcom.source.cityscapes import TRAIN_IDS, Cityscapes
from semcom.source.labelmefacade import LabelMeFacade

SIZE = (16, 32)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **({"quality": 95} if path.suffix == ".jpg" else {}))


def pair(picture: Path, labels: Path, value: int, size: tuple[int, int] = SIZE) -> None:
    """A picture of one grey and its label map of one value: grey = 5 times the value."""
    save(picture, np.full((*size, 3), 5 * value, np.uint8))
    save(labels, np.full(size, value, np.uint8))


@pytest.fixture
def camvid_folder(tmp_path):
    def put(split: str, name: str, value: int) -> None:
        pair(tmp_path / split / f"{name}.png", tmp_path / f"{split}annot" / f"{name}.png", value)

    for i in range(40):
        put("val", f"0006R0_f{900 + 30 * i:05d}", i % 12)
    for frame, value in [(390, 9), (2400, 9), (2401, 1), (4000, 1), (5000, 3)]:
        put("train", f"0016E5_{frame:05d}", value)
    put("train", "0001TP_000400", 11)
    return tmp_path


@pytest.fixture
def labelme_folder(tmp_path):
    names = {
        "train": ["april21_static_outdoor_davis__a", "boston__a", "boston__b"],
        "val": ["paris__a", "paris__b", "rome__a"],
    }
    for split, members in names.items():
        (tmp_path / f"{split}.txt").write_text("\n".join(members) + "\n")
        for i, name in enumerate(members):
            pair(tmp_path / "images" / f"{name}.jpg", tmp_path / "labels" / f"{name}.png", i)
    return tmp_path


@pytest.fixture
def cityscapes_folder(tmp_path):
    def put(split: str, city: str, name: str, value: int) -> None:
        left = tmp_path / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png"
        fine = tmp_path / "gtFine" / split / city / f"{name}_gtFine_labelIds.png"
        pair(left, fine, value)

    for i in range(30):
        put("train", "aachen", f"aachen_{i:06d}_000019", 7)
    for sequence, frame, value in [(0, 294, 7), (0, 576, 26), (1, 538, 6)]:
        put("val", "frankfurt", f"frankfurt_{sequence:06d}_{frame:06d}", value)
    put("val", "munster", "munster_000000_000019", 23)
    return tmp_path


def labels_of(source, name: str) -> list[int]:
    return source.load([name]).labels.unique().tolist()


def test_camvid_tuning_frames_are_kept_out_of_training_and_reports(camvid_folder):
    source = CamVid(path=str(camvid_folder), size=SIZE).build()
    assert [ref.id for ref in source.tuning()] == ["0016E5_00390", "0016E5_02400"]
    rest = ["0001TP_000400", "0016E5_02401", "0016E5_04000", "0016E5_05000"]
    train = CamVid(path=str(camvid_folder), size=SIZE, split="train").build()
    assert [ref.id for ref in train.images()] == rest
    grey = (55 + 5 + 5 + 15) / 4 / 255
    assert torch.allclose(source.prior(), torch.full((3, *SIZE), grey), atol=1e-6)
    assert (source.prior_labels() == 1).all()


def test_training_images_are_loaded_by_name_and_give_the_classes_their_colours(camvid_folder):
    source = CamVid(path=str(camvid_folder), size=SIZE).build()
    names = source.training()
    assert names == tuple(f"training/{name}" for name in ("0001TP_000400", "0016E5_02401", "0016E5_04000", "0016E5_05000"))
    batch = source.load(names)
    assert [labels.unique().tolist() for labels in batch.labels] == [[11], [1], [1], [3]]
    colours = source.class_colours()
    assert torch.allclose(colours[[1, 3, 11]], torch.tensor([5, 15, 55]).expand(3, 3).T / 255, atol=1e-6)
    assert colours[[0, 2, 4]].isnan().all()
    # train itself is reported: what systems may know is then what settings are tuned on
    assert CamVid(path=str(camvid_folder), size=SIZE, split="train").build().training() == ("training/0016E5_00390", "training/0016E5_02400")


def test_camvid_labels_are_its_classes(camvid_folder):
    source = CamVid(path=str(camvid_folder), size=SIZE).build()
    assert source.classes == camvid.NAMES and source.classes[11] == "void" and len(source.classes) == 12
    for i, ref in enumerate(source.images()[:12]):
        assert labels_of(source, ref.id) == [i]


def test_camvid_clusters_are_consecutive_segments_of_about_ten_seconds(camvid_folder):
    source = CamVid(path=str(camvid_folder), size=SIZE).build()
    clusters = [ref.cluster for ref in source.images()]
    assert len(clusters) == 40 and len(set(clusters)) == 4
    assert clusters == sorted(clusters) and all(9 <= clusters.count(c) <= 11 for c in set(clusters))
    limited = CamVid(path=str(camvid_folder), size=SIZE, limit=12).build()
    assert [ref.cluster for ref in limited.images()] == clusters[:12]


def test_camvid_segments_end_at_drives_and_gaps():
    paths = [Path(f"A_{f:05d}.png") for f in (0, 30, 60, 900, 930)] + [Path("B_00060.png")]
    assert list(segments(paths).values()) == ["A_00000"] * 3 + ["A_00900"] * 2 + ["B_00060"]


def test_camvid_faults_are_named(camvid_folder):
    def message(**fields) -> str:
        with pytest.raises(DataError) as error:
            CamVid(**{"path": str(camvid_folder), "size": SIZE, **fields}).build().images()
        return str(error.value)

    assert "did you mean 'val'" in message(split="vall")
    assert "nowhere" in message(path=str(camvid_folder / "nowhere"))
    labels = camvid_folder / "valannot" / "0006R0_f00960.png"
    save(labels, np.array([[0, 12], [13, 11]], np.uint8))
    assert f"'{labels}' holds the values 12, 13; allowed: 0-11" in message()
    save(labels, np.zeros((8, 32), np.uint8))
    assert "8x32" in message() and "16x32" in message()
    save(labels, np.zeros((*SIZE, 3), np.uint8))
    assert "colour picture" in message()
    labels.unlink()
    assert f"'{labels}' is missing" in message()
    save(camvid_folder / "val" / "holiday.png", np.zeros((*SIZE, 3), np.uint8))
    assert "DRIVE_FRAME" in message()


def test_the_digest_covers_the_labels(camvid_folder):
    before = CamVid(path=str(camvid_folder), size=SIZE).build().images()[0].digest
    save(camvid_folder / "valannot" / "0006R0_f00900.png", np.full(SIZE, 5, np.uint8))
    assert CamVid(path=str(camvid_folder), size=SIZE).build().images()[0].digest != before


def test_labelmefacade_maps_to_camvid_and_clusters_by_place(labelme_folder):
    source = LabelMeFacade(path=str(labelme_folder), size=SIZE).build()
    assert [ref.id for ref in source.images()] == ["paris__a", "paris__b", "rome__a"]
    assert [ref.cluster for ref in source.images()] == ["paris", "paris", "rome"]
    assert [ref.id for ref in source.tuning()] == ["april21_static_outdoor_davis__a"]
    assert source.classes == camvid.NAMES
    car, building, void = (camvid.NAMES.index(name) for name in ("car", "building", "void"))
    assert [labels_of(source, name) for name in ("paris__a", "paris__b", "rome__a")] == [[void], [building], [car]]


def test_labelmefacade_faults_are_named(labelme_folder):
    with pytest.raises(DataError, match="there is no list .*vla.*did you mean 'val'"):
        LabelMeFacade(path=str(labelme_folder), split="vla").build()
    (labelme_folder / "images" / "rome__a.jpg").unlink()
    with pytest.raises(DataError, match="names 'rome__a'"):
        LabelMeFacade(path=str(labelme_folder)).build()


def test_cityscapes_maps_label_ids_to_the_nineteen_classes(cityscapes_folder):
    source = Cityscapes(path=str(cityscapes_folder), size=SIZE).build()
    assert len(TRAIN_IDS) == 19 and source.classes[19] == "void" and len(source.classes) == 20
    found = {ref.id: source.classes[labels_of(source, ref.id)[0]] for ref in source.images()}
    assert list(found.values()) == ["road", "car", "void", "sky"]
    assert [ref.cluster for ref in source.images()] == ["frankfurt_000000"] * 2 + ["frankfurt_000001", "munster_000000"]
    assert len(source.tuning()) == 2 and torch.allclose(source.prior(), torch.full((3, *SIZE), 35 / 255), atol=1e-6)


def test_cityscapes_ignores_licence_plates_and_refuses_other_values(cityscapes_folder):
    path = cityscapes_folder / "gtFine" / "val" / "munster" / "munster_000000_000019_gtFine_labelIds.png"
    save(path, np.full(SIZE, 255, np.uint8))
    source = Cityscapes(path=str(cityscapes_folder), size=SIZE).build()
    assert labels_of(source, "munster_000000_000019") == [19]
    save(path, np.full(SIZE, 34, np.uint8))
    with pytest.raises(DataError, match="holds the value 34; allowed: 0-33, 255"):
        Cityscapes(path=str(cityscapes_folder), size=SIZE).build().images()


def test_cityscapes_train_leaves_tuning_out(cityscapes_folder):
    source = Cityscapes(path=str(cityscapes_folder), size=SIZE, split="train").build()
    assert len(source.images()) == 28
    assert not {ref.id for ref in source.images()} & {ref.id for ref in source.tuning()}


def test_real_camvid_has_ten_segments_and_68_tuning_frames(shared):
    source = CamVid(path=str(shared / "data" / "camvid")).build()
    images = source.images()
    assert len(images) == 101 and len({ref.cluster for ref in images}) == 10
    assert len(source.tuning()) == 68
    batch = source.load([images[0].id, images[-1].id])
    assert batch.size == (128, 256) and int(batch.labels.max()) <= 11


def test_real_labelmefacade_has_five_places(shared):
    source = LabelMeFacade(path=str(shared / "data" / "labelmefacade")).build()
    images = source.images()
    assert len(images) == 106 and len({ref.cluster for ref in images}) == 5
    assert len(source.tuning()) == 32
    assert source.load([images[0].id]).labels.unique().numel() > 1


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_prior_has_not_seen_what_is_reported(camvid_folder, labelme_folder, split):
    """Both data sets lie in one folder here; `train` is the split that the prior is usually made of."""
    for kind in (CamVid, LabelMeFacade):
        source = kind(path=str(camvid_folder), size=SIZE, split=split).build()
        reported, training = {ref.id for ref in source.images()}, {entry.id for entry in source._training}
        assert training and not reported & training
