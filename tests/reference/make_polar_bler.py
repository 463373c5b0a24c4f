"""Make polar_bler.csv: block error rates of 5G polar codes from plain Sionna, with nothing of `channels`.

python tests/reference/make_polar_bler.py  (about a minute on one core)
"""

import csv
from pathlib import Path

import torch
from sionna.phy import config
from sionna.phy.channel import AWGN
from sionna.phy.fec.polar import Polar5GDecoder, Polar5GEncoder
from sionna.phy.mapping import BinarySource, Demapper, Mapper

CURVES = [  # k, n, SNR (Es/N0 of QPSK) in dB
    (64, 128, (0.0, 1.0, 2.0)),
    (128, 256, (0.0, 1.0, 2.0)),
    (85, 256, (-2.0, -1.0)),
    (512, 1024, (0.5, 1.0, 1.5)),
    (341, 1024, (-2.0, -1.5)),
    (768, 1024, (3.5, 4.0)),
]
BLOCKS, BATCH, LIST = 400, 100, 8
SOURCE = f"sionna-no-rt 2.2.0: Polar5GEncoder (uplink), Polar5GDecoder('SCL', list_size={LIST}), seed 1"

config.device = "cpu"
config.seed = 1
torch.set_num_threads(1)
with open(Path(__file__).with_name("polar_bler.csv"), "w", newline="") as file, torch.no_grad():
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("bits_per_symbol", "k", "n", "snr_db", "blocks", "block_errors", "source"))
    mapper, demapper, source, channel = Mapper("qam", 2), Demapper("app", "qam", 2), BinarySource(), AWGN()
    for k, n, snrs in CURVES:
        encoder = Polar5GEncoder(k, n)
        decoder = Polar5GDecoder(encoder, "SCL", list_size=LIST)
        for snr_db in snrs:
            errors = 0
            for _ in range(BLOCKS // BATCH):
                bits = source([BATCH, k])
                no = torch.tensor(10.0 ** (-snr_db / 10.0))
                decoded = decoder(demapper(channel(mapper(encoder(bits)), no), no))
                errors += int((decoded != bits).any(dim=1).sum())
            writer.writerow((2, k, n, snr_db, BLOCKS, errors, SOURCE))
