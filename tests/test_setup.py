"""The environment: pinned versions that agree, a clear refusal of an old Python, and the kernel of `make lab`."""

import ast
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
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


def make(target: str, *variables: str, folder: Path = ROOT, **environment: str) -> subprocess.CompletedProcess:
    """Run make as outside of another make, whose variables would change what it does."""
    unset = ("REPOSITORY", "MAKEFLAGS", "MFLAGS", "MAKELEVEL")
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    command = ["make", "--silent", target, *variables]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**kept, **environment})


def write_kernel(folder: Path) -> None:
    """Write a kernel named python3 that starts another Python."""
    spec = folder / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    argv = ["/elsewhere/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec.write_text(json.dumps({"argv": argv, "display_name": "Another Python", "language": "python"}))


def test_make_lab_opens_a_notebook_with_the_environments_kernel(tmp_path):
    """Also if the user and the machine's administrator have installed kernels of the same name."""
    user, cluster, venv = tmp_path / "user", tmp_path / "cluster", tmp_path / "venv"
    write_kernel(user)
    write_kernel(cluster)
    (venv / "bin").mkdir(parents=True)
    list_kernels = f'"{sys.executable}" -m jupyter_client.kernelspecapp list --json'
    (venv / "bin" / "jupyter").write_text(f'#!/bin/sh\necho "$@" >&2\nexec {list_kernels}\n')
    (venv / "bin" / "jupyter").chmod(0o755)
    for name in ("bin/pip", "installed"):
        (venv / name).touch()
    elsewhere = {"JUPYTER_DATA_DIR": str(user), "JUPYTER_PATH": str(cluster)}
    done = make("lab", f"VENV={venv}", **elsewhere)
    assert done.returncode == 0 and done.stderr.splitlines()[0] == "lab solution_lstm.ipynb"
    kernel = json.loads(done.stdout)["kernelspecs"]["python3"]
    assert Path(kernel["resource_dir"]).resolve().is_relative_to(Path(sys.prefix).resolve())
    # Jupyter replaces the bare name by the Python that it runs with.
    assert kernel["spec"]["argv"][0] in ("python", sys.executable)
    plain = subprocess.run(list_kernels, shell=True, capture_output=True, text=True, env={**os.environ, **elsewhere})
    other = json.loads(plain.stdout)["kernelspecs"]["python3"]
    assert other["resource_dir"] == str(cluster / "kernels" / "python3"), "the other kernels would not have been found"


NOTEBOOKS = ("solution_lstm.ipynb", "solution_pretrained.ipynb", "compare.ipynb")
ADDRESSED = ("README.md", "CITATION.cff", *NOTEBOOKS)


@pytest.fixture
def copy(tmp_path) -> Path:
    """A folder with the Makefile, and in place of each file with links one line with the address."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ADDRESSED:
        (tmp_path / name).write_text('"[a](https://github.com/OWNER/REPOSITORY/blob/main/a) OWNER/REPOSITORY"\n')
    return tmp_path


def test_make_publish_puts_the_address_into_every_link(copy):
    before = set(copy.iterdir())
    done = make("publish", "REPOSITORY=ada-l/tweets.2", folder=copy)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    line = '"[a](https://github.com/ada-l/tweets.2/blob/main/a) ada-l/tweets.2"\n'
    assert {name: (copy / name).read_text() for name in ADDRESSED} == dict.fromkeys(ADDRESSED, line)
    assert set(copy.iterdir()) == before


@pytest.mark.parametrize(
    "address",
    [
        "",
        "tweets",
        "https://github.com/ada/tweets",
        "ada/a/b",
        "/tweets",
        "ada/",
        "ada/..",
        "a d/a",
        "ä/a",
        "a/b&",
        "a|b/c",
        "ada/tweets\neve/tweets",
        "ada/tweets#",
        "$(touch x)/tweets",
    ],
)
def test_make_publish_without_an_address_changes_nothing(copy, address):
    before = {path: path.read_text() for path in copy.iterdir()}
    # As a variable of the environment, because make would expand a dollar sign in its own.
    done = make("publish", folder=copy, REPOSITORY=address)
    assert done.returncode != 0 and done.stdout == "Name your repository: make publish REPOSITORY=owner/name\n"
    assert {path: path.read_text() for path in copy.iterdir()} == before


def test_make_publish_says_that_the_links_have_an_address(copy):
    assert make("publish", "REPOSITORY=ada/tweets", folder=copy).returncode == 0
    before = {path: path.read_text() for path in copy.iterdir()}
    done = make("publish", "REPOSITORY=eve/tweets", folder=copy)
    assert done.returncode != 0 and "the links have an address already: replace it by hand" in done.stdout
    assert {path: path.read_text() for path in copy.iterdir()} == before


def test_the_placeholder_stands_only_where_make_publish_replaces_it():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    texts = [name for name in tracked if name.endswith((".md", ".cff", ".ipynb", ".py", ".toml", ".txt", ".svg"))]
    named = {name for name in texts if "OWNER/REPOSITORY" in (ROOT / name).read_text(encoding="utf-8")}
    assert named - {"tests/test_setup.py"} <= set(ADDRESSED)
