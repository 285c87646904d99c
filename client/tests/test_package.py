"""What the package may lean on: the standard library and httpx; torch and transformers only where a training has them anyway."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "touchstone_client"
HEAVY = {"torch", "transformers", "numpy"}
TRAINING = {"callback", "checkpoints", "distributed", "generator"}
OPTIONAL = {"scoring": {"rapidfuzz"}}


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("path", sorted(SOURCE.glob("*.py")), ids=lambda path: path.stem)
def test_modules_lean_on_nothing_else(path: Path) -> None:
    allowed = set(sys.stdlib_module_names) | {"touchstone_client", "httpx"} | OPTIONAL.get(path.stem, set())
    assert imported(path) <= allowed | (HEAVY if path.stem in TRAINING else set())


def test_a_run_needs_no_torch() -> None:
    script = (
        "import sys, touchstone_client as t; t.Run; t.sample; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, env={"PYTHONPATH": str(SOURCE.parent)}).returncode == 0
