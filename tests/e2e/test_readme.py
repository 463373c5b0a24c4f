"""The README's commands and snippets are run as they stand, on smaller pictures and fewer points."""

import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semcom.cli import main as cli
from semcom.scenario import load

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def blocks(language):
    return [text for found, text in BLOCKS if found == language]


def commands():
    lines = [line for text in blocks("console") for line in text.splitlines() if line.startswith("$ semcom ")]
    return [shlex.split(line, comments=True)[2:] for line in lines]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder as the README's reader has it: the repository's files, pictures of one's own, and mine.yaml."""
    for name in ("scenarios", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "pictures").mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (2, 8, 16, 3), dtype=np.uint8)
    for number, pixels in enumerate(noise):
        Image.fromarray(pixels).resize((256, 128), Image.Resampling.BICUBIC).save(tmp_path / "pictures" / f"{number}.png")
    (tmp_path / "mine.yaml").write_text(blocks("yaml")[0])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def small(words):
    """The same command on less: its own options come first, so that ours win where they meet."""
    if words[0] != "run":
        return words
    size = [] if words[1] == "mine.yaml" else ["--set", "source.count=1", "--set", "tuning.images=1"]
    return [*words, *size, "--set", "sweep.snr_db=[10]", "--set", "repeats=1"]


def test_the_scenario_in_the_readme_is_valid(workplace):
    assert load(workplace / "mine.yaml").name == "mine"


def test_the_plugin_in_the_readme_is_the_example_and_short():
    text = blocks("python")[0]
    assert text == (ROOT / "examples" / "nakagami.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 30


@pytest.mark.slow
def test_every_command_in_the_readme_runs(workplace, monkeypatch, capsys):
    found = commands()
    assert len(found) >= 9
    for words in found:
        monkeypatch.setattr(sys, "argv", ["semcom", *small(words)])
        try:
            cli.main()
        except SystemExit as stop:
            assert not stop.code, f"semcom {' '.join(words)}: {capsys.readouterr().err}"
        capsys.readouterr()
    assert (workplace / "results" / "nakagami" / "table.csv").is_file()
    assert (workplace / "results" / "mine" / "figures" / "psnr.pdf").is_file()


@pytest.mark.slow
def test_the_notebook_lines_in_the_readme_run(workplace):
    names = {}
    exec(blocks("python")[1], names)  # noqa: S102
    assert names["result"].pixels.shape == (3, 3, 256, 256) and len(names["points"]) > 0


def test_every_file_that_the_readme_links_to_is_there():
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text(encoding="utf-8")):
        assert (ROOT / target).is_file(), target
