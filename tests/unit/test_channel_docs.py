"""docs/channels.md names every channel stage, every parameter, and files that are there."""

import re
from pathlib import Path

import pytest

from semcom import registry

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "channels.md"
TEXT = PAGE.read_text(encoding="utf-8")
SECTIONS = {heading: body for heading, body in re.findall(r"^### `(\w+)`.*?$\n(.*?)(?=^##)", TEXT + "\n## end", re.MULTILINE | re.DOTALL)}


@pytest.mark.parametrize("kind", registry.TABLE["channel"])
def test_every_channel_has_a_section_with_all_its_parameters(kind):
    fields = set(registry.find("channel", kind).model_fields) - {"kind"}
    missing = {field for field in fields if f"`{field}`" not in SECTIONS[kind] and f"`{field}:" not in SECTIONS[kind]}
    assert not missing


def test_no_section_is_of_a_channel_that_is_not_there():
    assert set(SECTIONS) <= set(registry.TABLE["channel"])


@pytest.mark.parametrize("kind", ["digital", "packet", "adaptive"])
def test_links_are_there_with_what_they_do_to_the_physical_layer(kind):
    assert f"`{kind}`" in TEXT


def test_what_it_points_at_is_there():
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (PAGE.parent / target).exists(), target
    for test in set(re.findall(r"`(tests/[\w/]+\.(?:py|csv))`", TEXT)):
        assert (ROOT / test).is_file(), test


def test_figures_are_small():
    assert sum(path.stat().st_size for path in (ROOT / "docs" / "channels").glob("*.png")) < 1_500_000
