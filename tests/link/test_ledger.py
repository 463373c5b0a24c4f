"""Planted faults in the ledger are caught, and the sentence says which."""

import math

import pytest
import torch

from semcom.errors import LedgerError
from semcom.types import Usage


def ledger(payload=(90, 80), header=(10, 20), energy=(100.0, 100.0)) -> Usage:
    uses = {"payload": torch.tensor(payload), "header": torch.tensor(header)}
    return Usage(torch.tensor([100, 100]), uses, torch.tensor(energy, dtype=torch.float64))


def test_a_ledger_that_adds_up_passes():
    assert ledger().check() is not None


@pytest.mark.parametrize(
    "planted, sentence",
    [
        (ledger(payload=(90, 81)), "image 1 was granted 100 channel uses and accounts for 101"),
        (ledger(header=(0, 20)), "image 0 was granted 100 channel uses and accounts for 90"),
        (ledger(payload=(110, 80), header=(-10, 20)), "image 0 accounts for a negative number"),
        (ledger(energy=(100.0, 100.1)), "image 1 radiated energy 100.1 over 100 channel uses"),
        (ledger(energy=(math.nan, 100.0)), "image 0 radiated energy nan"),
    ],
    ids=["over budget", "free header", "negative", "over power", "not a number"],
)
def test_planted_faults_are_caught(planted, sentence):
    with pytest.raises(LedgerError, match=sentence):
        planted.check()
