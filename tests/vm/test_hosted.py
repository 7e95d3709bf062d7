"""Colab and Kaggle: the first cell of the notebooks, with a local repository, and packages and a pip made up for it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell

from vm.generate import generate
from vm.hosted import OF_THE_SITE, RestartNeeded, fits, installed_versions, missing, pinned_versions

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("solution_lstm", "solution_pretrained", "compare")
SITES = ("COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE")
ADDRESS = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+")
REQUIREMENTS = "# made up\ntorch==2.13.0\nkept-package==1.4.0\nold_package==3.1.0\nabsent==0.2.0\nipython==9.18.1\n"
INSTALLED = {"torch": "2.8.0+cu126", "kept_package": "1.2.0", "old-package": "2.9.0", "ipython": "7.34.0"}
# In place of pip: notes its arguments and "installs" what it is asked for.
PIP = """
import pathlib, shutil, sys
site = pathlib.Path(__file__).resolve().parents[1]
with open(site / "asked.txt", "a") as file:
    print(*sys.argv[1:], file=file)
for requirement in sys.argv[1:]:
    if "==" in requirement:
        name, version = requirement.split("==")
        for old in site.glob(name.replace("-", "[-_]") + "-*.dist-info"):
            shutil.rmtree(old)
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
        (info / "top_level.txt").write_text(name.replace("-", "_"))
"""


def setup_cell(name: str) -> str:
    """The source of the first code cell of a notebook."""
    notebook = nbformat.read(ROOT / f"{name}.ipynb", as_version=4)
    return next(cell.source for cell in notebook.cells if cell.cell_type == "code")


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> str:
    """The address of a local git repository with the files that the setup needs."""
    folder = tmp_path_factory.mktemp("hosted") / "origin"
    for name in ("vm/hosted.py", *(f"docs/{path.name}" for path in ROOT.glob("docs/road-*.svg"))):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "requirements.txt").write_text(REQUIREMENTS)
    git = ["git", "-c", "user.name=ada", "-c", "user.email=ada@example.com"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "Begin"]):
        subprocess.run([*git, *command], cwd=folder, check=True)
    return folder.as_uri()


@pytest.fixture
def site(tmp_path) -> Path:
    """A folder of installed packages that comes before those of this environment."""
    folder = tmp_path / "site"
    (folder / "pip").mkdir(parents=True)
    (folder / "pip" / "__init__.py").touch()
    (folder / "pip" / "__main__.py").write_text(PIP)
    for name, version in INSTALLED.items():
        subprocess.run([sys.executable, folder / "pip", f"{name}=={version}"], check=True)
    for module in ("kept_package", "old_package"):
        (folder / f"{module}.py").touch()
    (folder / "asked.txt").unlink()
    return folder


def run_cell(
    name: str, repository: str, site: Path, *, on: str | None, before: str = ""
) -> subprocess.CompletedProcess:
    """Run the first cell of a notebook in a new session and another folder; `on` is the variable of a site."""
    folder = site.parent / "content"
    folder.mkdir(exist_ok=True)
    source, num_replaced = ADDRESS.subn(repository, setup_cell(name))
    assert num_replaced == 1
    environment = {key: value for key, value in os.environ.items() if key not in SITES}
    # Should the real pip be run, it finds nothing to install.
    environment |= {"PYTHONPATH": str(site), "PIP_NO_INDEX": "1"}
    if on is not None:
        environment[on] = "1"
    program = f"{before}\n{source}\nprint(os.getcwd())"
    return subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, env=environment, timeout=100
    )


@pytest.mark.parametrize("name", NAMES)
def test_elsewhere_the_cell_does_nothing_and_prints_nothing(name, repository, site):
    done = run_cell(name, repository, site, on=None)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{site.parent / 'content'}\n", "")
    assert list((site.parent / "content").iterdir()) == [] and not (site / "asked.txt").exists()


@pytest.mark.parametrize("on", SITES)
@pytest.mark.parametrize("name", NAMES)
def test_on_a_site_the_cell_clones_installs_what_is_missing_and_shows_the_road(name, on, repository, site):
    first = run_cell(name, repository, site, on=on, before="import kept_package")
    assert first.returncode == 0, first.stderr
    clone = site.parent / "content" / "tweet-completion"
    installing, shown, folder = first.stdout.splitlines()
    assert installing == "Installing old-package==3.1.0, absent==0.2.0"
    assert "SVG" in shown and folder == str(clone) and (clone / "vm" / "hosted.py").is_file()
    asked = "install --quiet torch==2.8.0+cu126 old-package==3.1.0 absent==0.2.0\n"
    assert (site / "asked.txt").read_text() == asked
    second = run_cell(name, repository, site, on=on)
    assert second.returncode == 0 and second.stdout.splitlines()[1:] == [str(clone)]
    assert (site / "asked.txt").read_text() == asked, "the second run installed something"


def test_a_replaced_package_that_was_imported_asks_for_a_restart(repository, site):
    first = run_cell("solution_pretrained", repository, site, on=SITES[0], before="import old_package")
    sentence = "Restart the session and run this cell again, because it had imported the old old-package."
    assert first.returncode != 0 and first.stderr.splitlines()[-1] == f"vm.hosted.RestartNeeded: {sentence}"
    restarted = run_cell("solution_pretrained", repository, site, on=SITES[0], before="import old_package")
    assert restarted.returncode == 0 and "Installing" not in restarted.stdout


def test_of_the_request_for_a_restart_a_notebook_shows_the_sentence_alone(capsys):
    done = InteractiveShell().run_cell("from vm.hosted import RestartNeeded\nraise RestartNeeded('Restart it.')")
    assert isinstance(done.error_in_exec, RestartNeeded)
    assert capsys.readouterr().out.strip() == "Restart it."


@pytest.mark.parametrize(
    ("name", "version", "pin", "expected"),
    [
        ("numpy", "2.0.2", "2.4.6", True),
        ("numpy", "1.26.4", "2.4.6", False),
        ("torch", "2.8.0+cu126", "2.13.0", True),
        ("torch", "20.1", "2.13.0", False),
        ("transformers", "5.23.4", "5.23.0", True),
        ("transformers", "5.2.0", "5.23.0", False),
        ("tokenizers", "0.22.1", "0.23.3", False),
    ],
)
def test_an_installed_version_fits_by_its_major_and_for_two_packages_by_its_minor(name, version, pin, expected):
    assert fits(name, version, pin) is expected


def test_every_line_of_the_requirements_is_understood():
    pins = pinned_versions((ROOT / "requirements.txt").read_text())
    assert {"torch", "transformers", "huggingface-hub", "rouge-score"} <= pins.keys()
    assert missing(pins, {}) == [f"{name}=={pin}" for name, pin in pins.items() if name not in OF_THE_SITE]
    assert missing(pins, pins) == [] and pins.keys() >= OF_THE_SITE


def test_this_environment_lacks_nothing():
    assert missing(pinned_versions((ROOT / "requirements.txt").read_text()), installed_versions()) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_links_of_a_notebook_open_itself_from_the_address_in_its_setup(name):
    [address] = ADDRESS.findall(setup_cell(name))
    first = nbformat.read(ROOT / f"{name}.ipynb", as_version=4).cells[0].source
    page = f"{address.removeprefix('https://github.com/')}/blob/main/{name}.ipynb"
    assert f"(https://colab.research.google.com/github/{page})" in first
    assert f"(https://kaggle.com/kernels/welcome?src=https://github.com/{page})" in first


@pytest.mark.parametrize("name", NAMES)
def test_the_notebook_for_a_gpu_machine_has_no_setup_and_its_pictures_exist(name):
    cells = generate(name).cells
    sources = "\n".join(cell.source for cell in cells)
    assert "COLAB_RELEASE_TAG" not in sources and "Open in Colab" not in sources
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", sources)
    assert pictures and all((ROOT / "vm" / picture).is_file() for picture in pictures)
