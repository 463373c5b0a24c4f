"""Fixtures that every test may use."""

from pathlib import Path

import pytest
import torch
from hypothesis import settings

# the same examples in every run: a fault is found while one looks for faults, not while something else is checked
settings.register_profile("repeatable", derandomize=True, deadline=None)  # the machine may be busy
settings.load_profile("repeatable")

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of development data and weights beside the repository; the test skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"development data is not beside the repository ({SHARED} is absent)")
    return SHARED


@pytest.fixture
def one_thread():
    """What a test computes is small: one thread is as fast as several, and does not wait for the others."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
