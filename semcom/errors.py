"""The errors a user can meet: each message says where, what was given, what is allowed, what to do."""

import difflib
from collections.abc import Iterable


class SemcomError(Exception):
    """Base of every error that is the user's to mend; the command line prints it without a traceback."""


class ScenarioError(SemcomError):
    """A scenario file, or a ``--set``, that cannot mean anything."""


class DataError(SemcomError):
    """Images or labels that are missing, damaged or do not fit each other."""


class WeightsError(SemcomError):
    """Weights that are missing or are not the ones their digest promises."""


class LedgerError(SemcomError):
    """A system that used more channel uses or power than it was granted, or did not charge what it sent."""


class StoreError(SemcomError):
    """A results folder that cannot be read, written or continued."""


class Infeasible(SemcomError):
    """A system that cannot exist at one point of the sweep; the message is the reason that tables print."""


def allowed(given: object, names: Iterable[str]) -> str:
    """The tail of an error sentence: what is allowed, and the nearest name if one is near.

    >>> allowed("rayligh", ["awgn", "rayleigh"])
    "allowed: awgn, rayleigh; did you mean 'rayleigh'?"
    """
    names = sorted(names)
    sentence = "allowed: " + (", ".join(names) if names else "nothing")
    near = difflib.get_close_matches(str(given), names, n=1, cutoff=0.6)
    return sentence + (f"; did you mean '{near[0]}'?" if near else "")
