"""Who may import whom, and that importing is cheap and harmless."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: package -> the packages of ours that it may import; a module may always import its own package
FOUNDATION = {"semcom.classes", "semcom.errors", "semcom.units", "semcom.rng", "semcom.types", "semcom.component", "semcom.protocols", "semcom.registry"}
SHARED_FORMATS = {"semcom.codecs", "semcom.softcast", "semcom.models", "semcom.latents", "semcom.diffusion", "semcom.maps"}
PART = FOUNDATION | SHARED_FORMATS
ALLOWED = {
    "channels": set(),
    "semcom.classes": set(),
    "semcom.errors": set(),
    "semcom.units": set(),
    "semcom.rng": set(),
    "semcom.types": {"semcom.errors"},
    "semcom.component": set(),
    "semcom.protocols": {"semcom.types", "semcom.rng"},
    "semcom.registry": {"semcom.errors"},
    "semcom.codecs": FOUNDATION | {"semcom.models"},
    "semcom.softcast": FOUNDATION,
    "semcom.models": FOUNDATION | {"semcom.softcast"},
    "semcom.latents": FOUNDATION | {"semcom.models"},
    "semcom.maps": FOUNDATION | {"semcom.codecs", "semcom.models", "semcom.softcast"},
    "semcom.diffusion": FOUNDATION,
    "semcom.stats": FOUNDATION,
    "semcom.source": PART,
    "semcom.transmit": PART,
    "semcom.receive": PART,
    "semcom.metrics": PART,
    "semcom.link": PART | {"channels"},
    "semcom.system": PART,
    "semcom.scenario": FOUNDATION,
    "semcom.store": FOUNDATION,
    "semcom.sweep": PART | {"semcom.system", "semcom.scenario", "semcom.store", "semcom.stats", "semcom.metrics", "semcom.source"},
    "semcom.figures": FOUNDATION | {"semcom.store", "semcom.metrics"},
    "semcom.train": FOUNDATION | {"semcom.models", "semcom.diffusion", "semcom.latents", "semcom.codecs", "semcom.maps", "semcom.scenario", "semcom.store"},
    "semcom.api": FOUNDATION | {"semcom.scenario", "semcom.sweep"},
    "semcom": {"semcom.api", "semcom.system", "semcom.types"},
}
ABOVE_ALL = {"semcom.cli", "semcom.__main__"}
#: the command line of machines that only train
ENTRY_POINTS = {"semcom.train.__main__", "semcom.train.label_map.__main__"}


def modules():
    for package in ("semcom", "channels"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def part_of(module: str) -> str:
    return "channels" if module.split(".")[0] == "channels" else ".".join(module.split(".")[:2])


def imported(path: Path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize(("module", "path"), list(modules()), ids=lambda value: value if isinstance(value, str) else "")
def test_only_what_the_design_allows_is_imported(module, path):
    part = part_of(module)
    if part in ABOVE_ALL or module in ENTRY_POINTS:
        return
    for name in imported(path):
        if name.split(".")[0] in ("semcom", "channels"):
            other = part_of(name)
            assert other == part or other in ALLOWED[part], f"{module} imports {name}"


def test_only_the_command_line_imports_the_training():
    for module, path in modules():
        if part_of(module) not in ABOVE_ALL | {"semcom.train"}:
            assert not any(name.startswith("semcom.train") for name in imported(path)), f"{module} imports semcom.train"


def test_library_code_neither_prints_nor_exits_nor_seeds():
    for module, path in modules():
        if part_of(module) in ABOVE_ALL or module in ENTRY_POINTS or module.startswith("channels.measure"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in {"print", "exit", "quit", "sys.exit", "torch.manual_seed", "np.random.seed", "random.seed"}, (
                    f"{module}:{node.lineno} calls {called}"
                )


def test_no_signature_swallows_unknown_options():
    for module, path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                assert node.args.kwarg is None, f"{module}:{node.lineno} {node.name} takes **{node.args.kwarg.arg}"


def test_every_description_can_be_imported_without_the_heavy_libraries():
    code = """
import sys
from semcom import registry
for role in registry.TABLE:
    for kind in registry.kinds(role):
        registry.find(role, kind)
import semcom.cli.main
heavy = {"torch._C", "sionna.phy", "scipy.special", "skimage.io", "lpips.lpips", "matplotlib.pyplot", "pyarrow.lib", "pandas._libs"}
print(sorted(heavy & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "[]"


def test_importing_sionna_leaves_the_global_generator_alone():
    code = """
import torch
before = torch.get_rng_state()
from channels.modulation import QAM
QAM(2, "cpu").modulate(torch.zeros(1, 4, dtype=torch.uint8))
print(torch.equal(before, torch.get_rng_state()))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "True"
