"""The environment: pinned versions that agree, and a clear refusal of an old Python."""

import ast
import subprocess
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]


def pins(file_name: str) -> dict[str, set[str]]:
    """The pinned versions by package; a package has several if its version depends on the Python version."""
    versions = {}
    for line in (ROOT / file_name).read_text().splitlines():
        if line and not line.startswith(("#", "-r")):
            requirement = Requirement(line)
            versions.setdefault(requirement.name, set()).add(str(requirement.specifier))
    return versions


def test_constraints_hold_every_required_version():
    constraints = pins("constraints.txt")
    for file_name in ("requirements.txt", "requirements-dev.txt", "vm/requirements.txt"):
        for name, versions in pins(file_name).items():
            assert constraints.get(name) == versions, f"{name} in {file_name}: run `make update`"


def test_constraints_leave_the_build_of_torch_open():
    constraints = pins("constraints.txt")
    assert not [name for name in constraints if name.startswith(("nvidia", "cuda", "triton"))]
    assert all("+" not in version for version in constraints["torch"])


def test_src_imports_nothing_that_only_development_needs():
    development = pins("requirements-dev.txt").keys() | pins("vm/requirements.txt").keys()
    distributions = packages_distributions()
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                assert development.isdisjoint(distributions.get(name.split(".")[0], [])), f"{path} imports {name}"


def test_an_old_python_is_refused(tmp_path):
    old_python = tmp_path / "old-python"
    old_python.write_text("#!/bin/sh\nexit 1\n")
    old_python.chmod(0o755)
    command = ["make", f"{tmp_path}/venv/installed", f"VENV={tmp_path}/venv", f"PYTHON={old_python}"]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert completed.returncode != 0
    assert "Python 3.11 or newer is needed" in completed.stdout
    assert not (tmp_path / "venv").exists()
