"""Seconds and entries that a rate table costs a picture: `python benchmarks/image_codec.py` prints a table.

Pictures: the photographs inside scikit-image's package. Budget: 0.83 bits per pixel, 256-QAM at rate 5/6 over 1/24 channel
uses a source dimension, the most that a codec is asked for at that bandwidth ratio.
"""

from __future__ import annotations

import time

from PIL import Image
from skimage import data

from semcom import codecs
from semcom.codecs.rate_table import RateTable
from semcom.codecs.resample import SCALES

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
BITS_PER_PIXEL = 0.83


def table_cost(codec: codecs.Codec, width: int, height: int) -> tuple[float, float, int]:
    """Wall and processor seconds of one thread, and entries, for the whole rate table of a picture: means over photographs."""
    wall, processor, entries = 0.0, 0.0, 0
    for name in PHOTOGRAPHS:
        picture = Image.fromarray(getattr(data, name)()).resize((width, height), Image.Resampling.LANCZOS)
        table, start, start_processor = RateTable(codec), time.perf_counter(), time.process_time()
        for resolution in range(len(SCALES)):
            table.climb(picture, resolution, int(BITS_PER_PIXEL * width * height / 8), "stripped")
        wall, processor = wall + time.perf_counter() - start, processor + time.process_time() - start_processor
        entries += len(table.rungs())
    return wall / len(PHOTOGRAPHS), processor / len(PHOTOGRAPHS), entries // len(PHOTOGRAPHS)


if __name__ == "__main__":
    print(f"{'codec':10s}{'size':>10s}{'wall s':>9s}{'cpu s':>8s}{'entries':>9s}   a picture, {codecs.versions()}")
    for name in codecs.NAMES:
        for width, height in ((256, 256), (256, 128)):
            wall, processor, entries = table_cost(codecs.codec(name), width, height)
            print(f"{name:10s}{f'{width}x{height}':>10s}{wall:9.2f}{processor:8.2f}{entries:9d}")
