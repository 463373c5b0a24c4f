"""Frames of a test are small."""

import pytest


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    pass
