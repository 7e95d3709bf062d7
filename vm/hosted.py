"""Prepare a session on Colab or Kaggle: install what is missing and leave alone what fits.

The first code cell of each notebook in the root calls `prepare` there. A second call finds nothing to do.
"""

import importlib
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import distributions, packages_distributions
from pathlib import Path

from IPython.display import SVG, display

ROOT = Path(__file__).resolve().parent.parent
# The site's own notebook runs on these, so they stay as they are.
OF_THE_SITE = {"ipython", "jupyter", "nbconvert", "nbformat", "papermill"}
# Their minor versions rename what this project calls.
SAME_MINOR = {"tokenizers", "transformers"}


class RestartNeeded(RuntimeError):
    """The session holds modules of packages that have been replaced."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback."""
        return [str(self)]


def normalised(name: str) -> str:
    """A package's name as the package index writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned_versions(text: str) -> dict[str, str]:
    """The pinned version of each package in a requirements file, by name."""
    lines = [line.strip() for line in text.splitlines()]
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {normalised(name): version for name, version in pins}


def installed_versions() -> dict[str, str]:
    """The version of each installed package, by name; of several versions, the one that is imported."""
    importlib.invalidate_caches()
    versions = {}
    for distribution in distributions():
        # What an interrupted installation leaves has no name.
        if distribution.name:
            versions.setdefault(normalised(distribution.name), distribution.version)
    return versions


def fits(name: str, version: str, pin: str) -> bool:
    """Whether an installed version can stay: its major version is the pinned one, for some packages the minor too."""
    num_parts = 2 if name in SAME_MINOR else 1
    return version.split(".")[:num_parts] == pin.split(".")[:num_parts]


def missing(pins: Mapping[str, str], versions: Mapping[str, str]) -> list[str]:
    """The pinned packages to install, as requirements.

    Args:
        pins: the pinned versions by package.
        versions: the installed versions by package.
    """
    needed = {name: pin for name, pin in pins.items() if name not in OF_THE_SITE}
    return [
        f"{name}=={pin}" for name, pin in needed.items() if name not in versions or not fits(name, versions[name], pin)
    ]


def install(requirements: list[str], versions: Mapping[str, str]) -> None:
    """Install requirements with pip, and keep the installed torch unless it is one of them.

    Raises:
        CalledProcessError: pip failed; it has said why.
    """
    replaces_torch = any(requirement.startswith("torch==") for requirement in requirements)
    # Named with its version, torch and the CUDA libraries that belong to it can't be replaced for another package.
    kept = [] if replaces_torch else [f"torch=={versions['torch']}"]
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *kept, *requirements], check=True)


def imported(packages: Iterable[str]) -> list[str]:
    """Those of these packages of which the session has imported a module, by name."""
    used = {
        normalised(package)
        for module, names in packages_distributions().items()
        if module in sys.modules
        for package in names
    }
    return sorted(used & set(packages))


def prepare(picture: str) -> None:
    """Install what this project needs and the session lacks, then show a picture.

    Args:
        picture: path of an SVG file in the repository; the sites can't show it in the text of a notebook.

    Raises:
        RestartNeeded: packages were replaced that the session has imported; the message says what to do.
        CalledProcessError: as from `install`.
    """
    before = installed_versions()
    requirements = missing(pinned_versions((ROOT / "requirements.txt").read_text(encoding="utf-8")), before)
    if requirements:
        print("Installing", ", ".join(requirements), flush=True)
        install(requirements, before)
        after = installed_versions()
        replaced = imported(name for name, version in before.items() if after.get(name) != version)
        if replaced:
            raise RestartNeeded(
                f"Restart the session and run this cell again, because it had imported the old {', '.join(replaced)}."
            )
    display(SVG(filename=str(ROOT / picture)))
