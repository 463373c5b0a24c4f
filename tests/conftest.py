"""Fixtures that every test may use."""

from pathlib import Path

import pytest
from hypothesis import settings

# the same examples in every run: a fault is found while one looks for faults, not while something else is checked
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of development data and weights beside the repository; the test skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"development data is not beside the repository ({SHARED} is absent)")
    return SHARED
