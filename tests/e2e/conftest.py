"""A small sweep that takes a second or two: two systems, two SNRs, tiny pictures made here."""

import numpy as np
import pytest
import yaml
from PIL import Image


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """A folder of three smooth colour pictures, 64x64."""
    folder = tmp_path_factory.mktemp("pictures")
    y, x = np.mgrid[0:64, 0:64] / 64.0
    for number in range(3):
        waves = [np.sin((3 + number) * x + c) * np.cos((2 + c) * y - number) for c in range(3)]
        pixels = (127.5 + 90.0 * np.stack(waves, axis=2)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"picture{number}.png")
    return folder


@pytest.fixture
def scenario(tmp_path, pictures):
    """Writes a scenario file; keywords replace top-level keys."""

    def write(**changes):
        data = {
            "name": "small",
            "seed": 5,
            "source": {"kind": "folder", "path": str(pictures), "size": [64, 64]},
            "bandwidth_ratio": "1/12",
            "channel": "awgn",
            "sweep": {"snr_db": [0, 8]},
            "systems": {
                "jpeg": {
                    "transmit": {"kind": "image_codec", "codec": "jpeg"},
                    "link": {"kind": "digital", "mcs": "qpsk-1/2"},
                    "receive": "image_codec",
                },
                "softcast": {"transmit": "softcast", "link": "analog", "receive": "softcast"},
            },
            "metrics": ["psnr", "ssim"],
            "repeats": 2,
            "execution": {"device": "cpu", "batch_size": 5},
        } | changes
        path = tmp_path / "small.yaml"
        path.write_text(yaml.safe_dump(data, sort_keys=False))
        return path

    return write
