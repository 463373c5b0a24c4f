"""Make ldpc_bler.csv: block error rates of 5G LDPC from plain Sionna, with nothing of `channels`.

python tests/reference/make_ldpc_bler.py  (about two minutes on one core)
"""

import csv
from pathlib import Path

import torch
from sionna.phy import config
from sionna.phy.fec.ldpc import LDPC5GDecoder, LDPC5GEncoder
from sionna.phy.mapping import BinarySource, Demapper, Mapper
from sionna.phy.channel import AWGN

CURVES = [  # bits per symbol, k, n, SNR (Es/N0) in dB
    (2, 256, 768, (-1.5, -0.5, 0.0)),
    (2, 256, 512, (0.5, 1.5, 2.5)),
    (2, 1024, 2048, (0.5, 1.0, 1.5)),
    (4, 320, 640, (5.5, 6.5, 7.5)),
    (6, 360, 480, (13.0, 14.0, 15.0)),
]
BLOCKS, BATCH = 1000, 100
SOURCE = "sionna-no-rt 2.2.0: LDPC5GEncoder, LDPC5GDecoder(num_iter=20), seed 1"

config.device = "cpu"
config.seed = 1
torch.set_num_threads(1)
with open(Path(__file__).with_name("ldpc_bler.csv"), "w", newline="") as file, torch.no_grad():
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("bits_per_symbol", "k", "n", "snr_db", "blocks", "block_errors", "source"))
    for m, k, n, snrs in CURVES:
        encoder = LDPC5GEncoder(k, n, num_bits_per_symbol=m)
        decoder = LDPC5GDecoder(encoder, num_iter=20)
        mapper, demapper, source, channel = Mapper("qam", m), Demapper("app", "qam", m), BinarySource(), AWGN()
        for snr_db in snrs:
            errors = 0
            for _ in range(BLOCKS // BATCH):
                bits = source([BATCH, k])
                no = torch.tensor(10.0 ** (-snr_db / 10.0))
                decoded = decoder(demapper(channel(mapper(encoder(bits)), no), no))
                errors += int((decoded != bits).any(dim=1).sum())
            writer.writerow((m, k, n, snr_db, BLOCKS, errors, SOURCE))
