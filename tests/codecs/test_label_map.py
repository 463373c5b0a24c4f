"""Label maps come back exactly, in about as many bits as the network thinks, and never hang what receives them."""

import hashlib
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from semcom.codecs import label_map
from semcom.codecs.label_map import coder, context, lossy, network
from semcom.codecs.label_map.coder import Place
from semcom.errors import DataError, Infeasible, WeightsError

ROOT = Path(__file__).resolve().parents[2]
SIZES = [*label_map.SIZES, (1, 1), (1, 40), (40, 1), (2, 3), (33, 57), (127, 61)]


def scene(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Sky over houses over a road, boxes in front, some noise: uint8 [H, W]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    labels = np.where(y < 0.1 + 0.05 * np.sin(9 * x + seed), 0, np.where(y < 0.3, 1, 3)).astype(np.uint8)
    for _ in range(6):
        top, left = rng.integers(height), rng.integers(width)
        labels[top : top + height // 5 + 1, left : left + width // 9 + 1] = rng.integers(label_map.CLASSES)
    noisy = rng.random(labels.shape) < 0.01
    labels[noisy] = rng.integers(label_map.CLASSES, size=int(noisy.sum()))
    return labels


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_a_map_comes_back_exactly(size):
    labels = scene(*size)
    decoded = label_map.decode(label_map.encode(labels), size)
    assert decoded.dtype == np.uint8 and np.array_equal(decoded, labels)


def test_any_map_comes_back_however_unlikely():
    noise = np.random.default_rng(0).integers(label_map.CLASSES, size=(24, 40))
    assert np.array_equal(label_map.decode(label_map.encode(noise), noise.shape), noise)
    for k in range(label_map.CLASSES):
        flat = np.full((9, 16), k)
        assert np.array_equal(label_map.decode(label_map.encode(flat), flat.shape), flat)


def test_a_batch_is_its_maps_and_a_size_is_a_resize_first():
    batch = np.stack([scene(32, 64, seed) for seed in range(3)]).astype(np.int64)
    data = label_map.encode(batch, (16, 32))
    assert data == [label_map.encode(label_map.resize(labels, (16, 32))) for labels in batch]
    assert np.array_equal(label_map.decode(data, (16, 32)), batch[:, 1::2, 1::2])


def test_labels_are_resized_along_the_same_path_as_those_of_data_sets():
    from semcom.source._geometry import resize_labels

    labels = scene(128, 256)
    for size in (*label_map.SIZES, (48, 96)):
        assert np.array_equal(label_map.resize(labels, size), resize_labels(labels, size))
    coarse = label_map.resize(labels, (16, 32))
    assert np.array_equal(label_map.resize(label_map.resize(coarse, (128, 256)), (16, 32)), coarse)


@pytest.mark.parametrize("size", [(128, 256), (16, 32), (1, 1)])
def test_bytes_are_within_two_of_what_the_network_thinks(size):
    """A point of an interval of width w needs at most 1 - log2 w binary digits, rounded up to bytes; constriction gives each
    class 2^-24 on top, and cuts its range at 32 bits: together less than 2^-18 bits a pixel."""
    labels = scene(*size)
    assert 8 * len(label_map.encode(labels)) <= coder.ideal_bits(labels) + 1 + 7 + labels.size * 2.0**-18


def test_trimmed_bytes_decode_like_the_words_they_were():
    """Of 60 short maps none needs what was cut off, and none could be shorter by a byte and decode the same."""
    for seed in range(60):
        labels = scene(4, 8, seed)
        data = label_map.encode(labels)
        assert np.array_equal(label_map.decode(data + bytes(seed % 9), (4, 8)), labels)
        if data:
            try:
                shorter = label_map.decode(data[:-1], (4, 8))
            except DataError:
                continue
            assert not np.array_equal(shorter, labels)


def test_frequencies_are_those_of_the_network_in_real_numbers():
    """An independent evaluation in double precision, without any rounding between layers."""
    model, labels = network.shipped(), scene(64, 128)
    wave = {place: x + context.LEAN * y for place, (y, x) in enumerate(np.ndindex(labels.shape))}
    canvas = context.padded(*labels.shape)
    context.inside(canvas)[:] = labels
    order = np.array(sorted(wave, key=lambda place: (wave[place], place)))
    y, x = np.divmod(order, labels.shape[1])
    around = np.stack([canvas[y + context.ABOVE + dy, x + context.BESIDE + dx] for dy, dx in context.PLACES], axis=1)
    first = {k: min((wave[p] for p in wave if labels.flat[p] == k), default=10**9) for k in range(label_map.CLASSES)}
    seen = np.array([[first[k] < wave[place] for k in first] for place in order])
    columns, rows, candidates = context.features(around, seen, *context.position(y, x, labels.shape))
    one, activation = float(network.WEIGHT), float(network.ACTIVATION)
    fine = one * activation
    first_layer = (columns.astype(np.float64) @ model.columns + model.table[rows].sum(1, dtype=np.float64) + model.first_bias) / one
    first_layer = np.clip(first_layer - 0.5 / activation, 0, network.CEILING / activation)
    second = np.clip((first_layer @ model.inner + model.inner_bias / activation) / one - 0.5 / activation, 0, network.CEILING / activation)
    out = np.concatenate([first_layer, second], axis=1) @ model.out / one + model.out_bias / fine
    bits = np.pad(out[:, : context.CLASSES], ((0, 0), (0, 1)))
    for place in range(3):
        bits[np.arange(len(bits)), candidates[:, place]] += out[:, context.CLASSES + place]
    bits = bits[:, :-1]
    log_chance = bits - np.log2(np.exp2(bits - bits.max(1, keepdims=True)).sum(1, keepdims=True)) - bits.max(1, keepdims=True)
    expected = -np.take_along_axis(log_chance, labels.flat[order][:, None].astype(np.int64), 1).sum()
    assert coder.ideal_bits(labels) == pytest.approx(expected, rel=0.03)  # activations are whole 32nds, rounded twice


def test_frequencies_do_not_depend_on_the_order_of_sums_or_the_precision():
    model, rng = network.shipped(), np.random.default_rng(1)
    columns = (rng.random((300, context.COLUMNS)) < 0.3).astype(np.float32)
    rows = rng.integers(context.ROWS, size=(300, len(context.TABLES)))
    candidates = np.stack([rng.permutation(context.NONE)[:3] for _ in range(300)])
    made = model.frequencies(columns, rows, candidates)
    assert (made.sum(axis=1) == network.TOTAL).all() and (made >= 1).all() and (made == np.floor(made)).all()
    mixed = rng.permutation(context.COLUMNS)
    double = {name: getattr(model, name).astype(np.float64) for name in network.Network.__annotations__}
    other = network.Network(**{**double, "columns": double["columns"][mixed]})
    assert np.array_equal(other.frequencies(columns[:, mixed].astype(np.float64), rows, candidates), made)
    one = np.concatenate([model.frequencies(columns[i : i + 1], rows[i : i + 1], candidates[i : i + 1]) for i in range(300)])
    assert np.array_equal(one, made)


def test_bytes_are_the_same_with_one_and_two_threads():
    code = """
import hashlib, numpy as np
from semcom.codecs import label_map
rng = np.random.default_rng(5)
labels = np.kron(rng.integers(12, size=(16, 32)), np.ones((4, 4), dtype=int))
data = label_map.encode(labels)
assert np.array_equal(label_map.decode(data, labels.shape), labels)
print(hashlib.sha256(data).hexdigest())
"""
    labels = np.kron(np.random.default_rng(5).integers(12, size=(16, 32)), np.ones((4, 4), dtype=int))
    found = {hashlib.sha256(label_map.encode(labels)).hexdigest()}
    for threads in "12":
        counts = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env={**os.environ, **counts})
        found.add(done.stdout.strip())
    assert len(found) == 1


def test_powers_of_two_are_exact():
    table = network.powers()
    assert table[0] == 2**24 and table[128] == 2**23 and table[-2] == 1 and table[-1] == 0
    for i in (1, 63, 200, 3071):
        assert table[i] ** 128 <= 2 ** (24 * 128 - i) < (int(table[i]) + 1) ** 128


def test_every_place_is_coded_in_an_earlier_wave():
    assert all(dx + context.LEAN * dy < 0 for dy, dx in context.PLACES)
    order, starts = context.waves(5, 7)
    assert sorted(order) == list(range(35)) and starts[0] == 0 and starts[-1] == 35


@pytest.mark.parametrize("size", [(16, 32), (3, 5)])
def test_damaged_bytes_give_a_map_or_an_error(size):
    """Random, cut, changed and lengthened bytes."""
    rng = np.random.default_rng(2)
    good = label_map.encode(scene(*size))
    tried = [rng.bytes(int(rng.integers(0, 60))) for _ in range(40)] + [good[:n] for n in range(len(good))] + [b"\xff" * 40, b""]
    for _ in range(40):
        changed = bytearray(good)
        changed[rng.integers(len(good))] ^= 1 << rng.integers(8)
        tried.append(bytes(changed) + rng.bytes(int(rng.integers(0, 9))))
    for data in tried:
        try:
            labels = label_map.decode(data, size)
        except DataError as error:
            assert "are no label map of" in str(error)
        else:
            assert labels.shape == size and labels.max() < label_map.CLASSES


def test_what_is_no_map_is_said_in_a_sentence():
    with pytest.raises(DataError, match="holds class 12; allowed: 0 to 11, of which 11 is void"):
        label_map.encode(np.full((4, 4), 12))
    with pytest.raises(DataError, match="holds class -1; allowed"):
        label_map.encode(np.full((4, 4), -1))
    with pytest.raises(DataError, match=r"shape \[4, 4\] and type float64 was given; expected whole numbers"):
        label_map.encode(np.zeros((4, 4)))
    with pytest.raises(DataError, match="0x5 was asked for; expected 1x1 to"):
        label_map.decode(b"", (0, 5))
    with pytest.raises(DataError, match="100000x100000 was asked for"):
        label_map.decode(b"", (100_000, 100_000))


def test_a_lost_tile_is_unknown_and_harms_no_other():
    labels, grid = scene(32, 64), (2, 4)
    parts = label_map.encode_tiles(labels, grid)
    assert np.array_equal(label_map.decode_tiles(parts, labels.shape, grid), labels)
    lost = [part if i != 5 else None for i, part in enumerate(parts)]
    decoded = label_map.decode_tiles(lost, labels.shape, grid)
    unknown = decoded == label_map.UNKNOWN
    assert unknown.sum() == labels.size // 8 and unknown[16:, 16:32].all()
    assert np.array_equal(decoded[~unknown], labels[~unknown])
    assert label_map.cost(labels, grid) == sum(map(len, parts)) - len(label_map.encode(labels)) > 0
    assert label_map.cost(labels, (1, 1)) == 0


def test_tiles_cover_an_odd_map_once():
    labels = scene(11, 19)
    assert np.array_equal(label_map.decode_tiles(label_map.encode_tiles(labels, (3, 5)), labels.shape, (3, 5)), labels)
    with pytest.raises(DataError, match="a grid of 12x1 tiles was given for a map of 11x19; a tile needs a pixel"):
        label_map.encode_tiles(labels, (12, 1))
    with pytest.raises(DataError, match="2 tiles were given for a grid of 3x5; expected 15, None where lost"):
        label_map.decode_tiles([None, None], labels.shape, (3, 5))


def test_a_tile_knows_its_place_in_the_map():
    road = np.full((8, 16), 3, dtype=np.uint8)
    assert coder.ideal_bits(road, Place(24, 16, (32, 64))) < coder.ideal_bits(road, Place(0, 16, (32, 64)))


def test_a_map_is_simplified_until_it_fits():
    labels = scene(64, 128)
    whole = 8 * len(label_map.encode(labels))
    last = 1.1
    for share in (1.0, 0.7, 0.4, 0.2, 0.1):
        fitted = label_map.fit(labels, int(whole * share))
        assert 8 * len(fitted.data) <= whole * share
        assert np.array_equal(label_map.decode(fitted.data, labels.shape), fitted.labels)
        assert fitted.iou == label_map.iou(fitted.labels, labels) <= last
        assert (fitted.step == 0) == np.array_equal(fitted.labels, labels) == (share == 1.0)
        last = fitted.iou
    with pytest.raises(Infeasible, match=r"the simplest map of 64x128 needs \d+ bits, 0 fit"):
        label_map.fit(labels, 0)


def test_small_regions_go_and_large_ones_stay():
    labels = np.zeros((20, 20), dtype=np.uint8)
    labels[3:5, 3:5], labels[10:15, 10:15] = 8, 9
    labels[16, 16] = 8  # touches nothing by a side
    kept = lossy.without_small(labels, 5)
    assert (kept == 8).sum() == 0 and (kept == 9).sum() == 25
    assert np.array_equal(lossy.without_small(kept, 5), kept)
    assert np.unique(lossy.without_small(labels, 10_000)).tolist() == [0]


def test_smoothing_is_the_most_frequent_class_around():
    rng = np.random.default_rng(4)
    labels = rng.integers(label_map.CLASSES, size=(9, 13)).astype(np.uint8)
    made = lossy.smoothed(labels, 2)
    for y, x in np.ndindex(labels.shape):
        counts = np.bincount(labels[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3].ravel(), minlength=label_map.CLASSES)
        best = np.flatnonzero(counts == counts.max())
        assert made[y, x] == (labels[y, x] if labels[y, x] in best else best[0])


def test_iou_leaves_void_out():
    truth = np.array([[0, 0, 1, 11]])
    assert label_map.iou(np.array([[0, 1, 1, 5]]), truth) == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert np.isnan(label_map.iou(truth, np.full((1, 4), 11)))


def test_weights_whose_sums_might_not_be_exact_are_refused(tmp_path):
    from safetensors.numpy import save_file

    from semcom.models import weights

    arrays = {name: getattr(network.shipped(), name) for name in network.Network.__annotations__}
    save_file({**arrays, "inner": arrays["inner"] * 1000}, tmp_path / "large.safetensors")
    with pytest.raises(WeightsError, match="a sum may reach .* and is exact only below 16777216"):
        network.read(tmp_path / "large.safetensors")
    save_file({**arrays, "inner": arrays["inner"][:-1].copy()}, tmp_path / "odd.safetensors")
    with pytest.raises(WeightsError, match="has shape"):
        network.read(tmp_path / "odd.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"bad")
    with pytest.raises(WeightsError, match="cannot be read as safetensors"):
        network.read(tmp_path / "bad.safetensors")
    assert weights.find(network.NAME).stat().st_size < 2**20


def test_street_scenes_take_half_of_zlib():
    from semcom.source.streets import Streets

    source = Streets(count=3).build()
    maps = source.load([image.id for image in source.images()]).labels.numpy()
    for size in label_map.SIZES[:3]:
        small = label_map.resize(maps, size).astype(np.uint8)
        ours = sum(map(len, label_map.encode(small)))
        assert ours < 0.5 * sum(len(zlib.compress(labels.tobytes(), 9)) for labels in small)


def test_true_maps_of_a_drive_never_seen_take_less_than_half_of_zlib(shared):
    """Every tenth map of CamVid val; `benchmarks/label_map.py` prints the means over all."""
    from semcom.source.camvid import CamVid

    source = CamVid(path=str(shared / "data" / "camvid"), every=10).build()
    maps = source.load([image.id for image in source.images()]).labels.numpy()
    for size in label_map.SIZES:
        small = label_map.resize(maps, size).astype(np.uint8)
        ours = sum(map(len, label_map.encode(small)))
        assert ours < 0.48 * sum(len(zlib.compress(labels.tobytes(), 9)) for labels in small)
