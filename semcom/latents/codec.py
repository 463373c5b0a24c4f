"""Latents as bits: quantised with a step a channel, coded by range coding with learned integer frequencies.

A payload is the index of the step (6 bits), how many channels follow, and the range coder's bits without the zeros
at their end. Its length is not in it: a link knows how many bits it was given.
"""

from __future__ import annotations

from dataclasses import dataclass

import lazy_loader as lazy
import numpy as np

from semcom.latents.context import Known, Wave, classify, waves
from semcom.latents.tables import CENTRE, ESCAPE, REACH, STEP_BITS, STEPS, TOTAL, Tables

constriction = lazy.load("constriction")

WORD_BITS = 32
#: more leading zeros than any residual has: the code is damaged
LONGEST = 24
#: larger values are not quantised further apart: 16 bits hold them
LARGEST = 2**15 - 1


class Corrupt(Exception):
    """Bits that are no code."""


@dataclass(frozen=True)
class Quantised:
    """Values int64 [n, h, w] and the index of the step that they count."""

    values: np.ndarray
    index: int


class LatentCodec:
    """Codes latents of shape [n, h, w], unit RMS over their n channels, with the tables of their autoencoder."""

    def __init__(self, tables: Tables):
        self.tables = tables
        self.channel_bits = (tables.channels - 1).bit_length()
        #: bits before the range coder's
        self.header_bits = STEP_BITS + self.channel_bits
        self._shares = (tables.frequencies.astype(np.int64) / TOTAL).astype(np.float32)  # exact: TOTAL is a power of two
        self._cost = -np.log2(self._shares)

    def quantise(self, latents: np.ndarray, index: int) -> Quantised:
        centred = latents - self.tables.centre(len(latents))[:, None, None]
        scaled = centred / self.tables.step(index, len(latents))[:, None, None]
        return Quantised(np.rint(scaled).clip(-LARGEST, LARGEST).astype(np.int64), index)

    def restore(self, quantised: Quantised) -> np.ndarray:
        """float32 [n, h, w]: each value at the centre of what it stood for in training."""
        values, index = quantised.values, quantised.index
        size = np.abs(values)
        centres = self.tables.centres[index, : len(values)].astype(np.float64) / CENTRE
        towards = np.where(size == 1, centres[:, :1, None], centres[:, 1:, None])
        restored = np.sign(values) * np.where(size > 0, size - towards, 0.0)
        step, centre = self.tables.step(index, len(values)), self.tables.centre(len(values))
        return (restored * step[:, None, None] + centre[:, None, None]).astype(np.float32)

    def encode(self, quantised: Quantised) -> np.ndarray:
        """The payload, uint8 [K] of 0 and 1."""
        values = quantised.values
        rounded, sign, context = classify(values, self.tables.prediction)
        residual = sign * (values - rounded)
        symbols = _symbols(residual)
        rows = self._rows(quantised.index, context)
        encoder = constriction.stream.queue.RangeEncoder()
        for wave in waves(*values.shape):
            at = wave.c, wave.y, wave.x
            encoder.encode(symbols[at].astype(np.int32), _family(), self._shares[rows[at]])
            for value in residual[at][symbols[at] == ESCAPE]:
                _write_escaped(encoder, int(value))
        return np.concatenate([self._header(quantised), _bits(encoder.get_compressed())])

    def decode(self, bits: np.ndarray, height: int, width: int) -> Quantised:
        """Raises: Corrupt. On every machine the values that were encoded."""
        if len(bits) < self.header_bits:
            raise Corrupt(f"{len(bits)} bits are shorter than the header")
        index = _number(bits[:STEP_BITS])
        channels = 1 + _number(bits[STEP_BITS : self.header_bits])
        if channels > self.tables.channels:
            raise Corrupt(f"{channels} channels of {self.tables.channels}")
        decoder = constriction.stream.queue.RangeDecoder(_words(bits[self.header_bits :]))
        known = Known(channels, height, width, self.tables.prediction)
        try:
            for wave in waves(channels, height, width):
                rounded, sign, context = known.look(wave)
                values = self._read(decoder, wave, self.tables.choice[index, wave.c, context])
                known.learn(wave, rounded + sign * values, rounded)
        except AssertionError as error:  # how the range decoder says that its data cannot have been encoded
            raise Corrupt(str(error)) from error
        return Quantised(known.values, index)

    def finest(self, latents: np.ndarray, limit: int) -> np.ndarray | int:
        """The payload with the smallest step within ``limit`` bits; the bits of the shortest where none fits."""
        low, high = -1, STEPS - 1  # a code gets longer with its index, but for rounding
        while low < high:
            middle = (low + high + 1) // 2
            if self.estimate(self.quantise(latents, middle)) <= limit:
                low = middle
            else:
                high = middle - 1
        for index in range(min(low + 1, STEPS - 1), -1, -1):  # the estimate may be off by one step
            payload = self.encode(self.quantise(latents, index))
            if len(payload) <= limit:
                return payload
        return len(payload)

    def estimate(self, quantised: Quantised) -> float:
        """Bits of the payload, without running the coder: the ideal length, to within a word."""
        rounded, sign, context = classify(quantised.values, self.tables.prediction)
        residual = sign * (quantised.values - rounded)
        ideal = self._cost[self._rows(quantised.index, context), _symbols(residual)].sum(dtype=np.float64)
        beyond = np.abs(residual[np.abs(residual) > REACH]) - REACH
        return self.header_bits + float(ideal) + float((2 + 2 * np.floor(np.log2(beyond))).sum())

    def _rows(self, index: int, context: np.ndarray) -> np.ndarray:
        channels = np.arange(len(context))[:, None, None]
        return self.tables.choice[index, channels, context]

    def _header(self, quantised: Quantised) -> np.ndarray:
        number = quantised.index << self.channel_bits | len(quantised.values) - 1
        return (number >> np.arange(self.header_bits - 1, -1, -1) & 1).astype(np.uint8)

    def _read(self, decoder, wave: Wave, rows: np.ndarray) -> np.ndarray:
        symbols = decoder.decode(_family(), self._shares[rows])
        values = symbols.astype(np.int64) - REACH
        for place in np.flatnonzero(symbols == ESCAPE):
            values[place] = _read_escaped(decoder)
        return values


def _family():
    return constriction.stream.model.Categorical(perfect=False)


def _symbols(residual: np.ndarray) -> np.ndarray:
    return np.where(np.abs(residual) > REACH, ESCAPE, residual + REACH)


def _write_escaped(encoder, value: int) -> None:
    """Sign, then how far beyond REACH: an Elias gamma code in fair bits."""
    coin, beyond = constriction.stream.model.Uniform(2), abs(value) - REACH
    zeros = beyond.bit_length() - 1
    bits = [value < 0, *[0] * zeros, *(beyond >> place & 1 for place in range(zeros, -1, -1))]
    encoder.encode(np.array(bits, dtype=np.int32), coin)


def _read_escaped(decoder) -> int:
    coin, beyond = constriction.stream.model.Uniform(2), 1
    sign = -1 if decoder.decode(coin) else 1
    zeros = 0
    while not decoder.decode(coin):
        zeros += 1
        if zeros > LONGEST:
            raise Corrupt("an escaped value is longer than any")
    for _ in range(zeros):
        beyond = beyond << 1 | int(decoder.decode(coin))
    return sign * (REACH + beyond)


def _bits(words: np.ndarray) -> np.ndarray:
    """uint8 [K] of words, most significant bit first; zeros at the end are what a decoder assumes anyway."""
    bits = np.unpackbits(words.astype(">u4").view(np.uint8))
    return bits[: np.flatnonzero(bits)[-1] + 1] if bits.any() else bits[:0]


def _words(bits: np.ndarray) -> np.ndarray:
    padded = np.pad(bits.astype(np.uint8), (0, -len(bits) % WORD_BITS))
    return np.packbits(padded).view(">u4").astype(np.uint32)


def _number(bits: np.ndarray) -> int:
    return int("".join(map(str, bits.tolist())) or "0", 2)
