"""A file, its elementary stream and the way back are exact for every codec."""

import io

import numpy as np
import pytest
from codec_pictures import noise, photograph
from PIL import Image

from semcom import codecs
from semcom.codecs.payload import CONTAINERS, HEADER_BYTES, Payload
from semcom.codecs.resample import SCALES, coded_size, resample
from semcom.errors import ScenarioError

RED = Image.new("RGB", (5, 3), (255, 0, 0))
PICTURES = [photograph("astronaut", 256, 128), photograph("chelsea", 37, 53), noise(64, 64), RED]
CODECS = pytest.mark.parametrize("codec", [codecs.codec(name) for name in codecs.NAMES], ids=codecs.NAMES)


@CODECS
@pytest.mark.parametrize("picture", PICTURES, ids=lambda p: f"{p.width}x{p.height}")
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9])
def test_the_rebuilt_file_is_the_file(codec, picture, share):
    quality = codec.qualities[int(share * len(codec.qualities))]
    file = codec.encode(picture, quality)
    stream = codec.strip(file)
    assert codec.rebuild(stream, picture.size, quality) == file
    assert codec.unwrap(file, picture.size, quality) == stream
    whole = Image.open(io.BytesIO(file)).convert("RGB")
    assert np.array_equal(np.asarray(codec.decode(stream, picture.size, quality)), np.asarray(whole))


@CODECS
def test_what_is_stripped_is_constant(codec):
    """The constant bytes carry nothing: their number is the same for any picture of a size (WebP pads to even lengths)."""
    pictures = [photograph("astronaut", 64, 48), photograph("coffee", 64, 48), noise(64, 48)]
    files = [codec.encode(p, codec.qualities[len(codec.qualities) // 2]) for p in pictures]
    spared = {len(f) - len(codec.strip(f)) - (len(codec.strip(f)) % 2 if codec.name == "webp" else 0) for f in files}
    assert len(spared) == 1 and spared.pop() >= 20


@CODECS
def test_the_same_picture_gives_the_same_bytes(codec):
    picture = photograph("astronaut", 64, 64)
    assert codec.encode(picture, 40) == codec.encode(picture.copy(), 40)


@CODECS
def test_qualities_buy_fidelity_with_bytes(codec):
    picture = photograph("coffee", 96, 96)
    low, high = (codec.qualities[int(share * (len(codec.qualities) - 1))] for share in (0.25, 0.85))
    files = {q: codec.encode(picture, q) for q in (low, high)}
    decoded = {q: np.asarray(codec.decode(codec.strip(file), picture.size, q), float) for q, file in files.items()}
    assert np.square(decoded[high] - picture).mean() < np.square(decoded[low] - picture).mean()
    assert len(files[high]) > len(files[low])


def test_jpeg_takes_the_standard_huffman_tables():
    """Their lengths by code length are those of ITU-T T.81, annex K.3.1, table K.3."""
    file = codecs.codec("jpeg").encode(photograph("astronaut", 64, 64), 30)
    start = file.index(b"\xff\xc4")
    assert tuple(file[start + 5 : start + 21]) == (0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0)


def test_a_codestream_carries_no_comment():
    stream = codecs.codec("jpeg2000").strip(codecs.codec("jpeg2000").encode(photograph("astronaut", 64, 64), 30))
    assert b"OpenJPEG" not in stream and b"\xff\x64" not in stream[: stream.index(b"\xff\x90")]


def test_payload_header_round_trip():
    for codec in range(8):
        for container in CONTAINERS:
            for resolution, quality in ((0, 0), (6, 255), (15, 77)):
                payload = Payload(codec, container, resolution, quality, b"stream")
                assert len(payload.pack()) == HEADER_BYTES + len(b"stream") and HEADER_BYTES == 2
                assert Payload.unpack(payload.pack()) == payload


def test_every_quality_scale_and_codec_fits_the_header():
    assert len(SCALES) <= 16
    assert len({codecs.codec(n).number for n in codecs.NAMES}) == len(codecs.NAMES)
    for name in codecs.NAMES:
        qualities = codecs.codec(name).qualities
        assert sorted(set(qualities)) == list(qualities) and 0 <= qualities[0] and qualities[-1] <= 255
        assert codecs.codec(name).number < 8 and codecs.numbered(codecs.codec(name).number) is codecs.codec(name)


def test_coded_sizes_round_and_never_vanish():
    assert [coded_size((256, 128), i) for i in range(len(SCALES))] == [
        (256, 128), (192, 96), (128, 64), (96, 48), (64, 32), (48, 24), (32, 16)
    ]  # fmt: skip
    assert coded_size((37, 53), 1) == (28, 40) and coded_size((3, 1), 6) == (1, 1)


def test_a_flat_picture_survives_both_resamplings():
    flat = Image.new("RGB", (37, 53), (10, 200, 90))
    assert resample(resample(flat, (5, 7)), flat.size).getcolors() == [(37 * 53, (10, 200, 90))]


def test_versions_name_pillow_and_the_library_behind_a_codec():
    assert set(codecs.versions("avif")) == {"pillow", "avif"}
    assert set(codecs.versions()) == {"pillow", "jpg", "libjpeg_turbo", "jpg_2000", "webp", "avif"}
    assert all(codecs.versions().values())


def test_an_absent_codec_is_one_sentence(monkeypatch):
    from semcom.codecs import registry

    monkeypatch.setattr(registry.features, "check", lambda feature: feature != "avif")
    registry._missing.cache_clear()
    try:
        with pytest.raises(ScenarioError, match="codec 'avif' does not work with the installed Pillow .* install"):
            codecs.codec("avif")
        assert codecs.codec("jpeg").name == "jpeg"
    finally:
        registry._missing.cache_clear()


def test_an_unknown_codec_names_the_nearest():
    with pytest.raises(ScenarioError, match="did you mean 'jpeg2000'"):
        codecs.codec("jpeg200")
