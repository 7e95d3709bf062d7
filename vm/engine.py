"""A papermill engine that runs notebooks with the Python of this environment, whatever else is installed.

Jupyter finds a kernel by its name. Hubs and clusters install one named python3 that starts another Python.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync
from nbclient.exceptions import DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines

# The name for `papermill.execute_notebook(..., engine_name=ENGINE)`.
ENGINE = "environment"
KERNEL = Path(__file__).resolve().with_name("kernel.py")
# The user's own settings for Python and figures, which would change what a notebook shows.
PERSONAL_SETTINGS = ("PYTHONSTARTUP", "MPLBACKEND")
START_TIMEOUT = 600  # seconds; a cold network file system is slow
LAST_LINES = 6
ENDED = "the Python process was ended by the system, most often because the memory was full"


class KernelError(RuntimeError):
    """The Python process of a notebook did not start, or ended before the notebook."""


class EnvironmentKernelManager(AsyncKernelManager):
    """Starts the running interpreter; looks up no kernel."""

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(
            argv=[sys.executable, "-Xfrozen_modules=off", str(KERNEL), "-f", "{connection_file}", "--log-level=ERROR"],
            display_name="Python 3",
            language="python",
            metadata={"kernel_provisioner": {"provisioner_name": "local-provisioner"}},
        )


def kernel_environment(folder: str) -> dict[str, str]:
    """This process's environment, without personal settings; the kernel's own files go to `folder`."""
    environment = {name: value for name, value in os.environ.items() if name not in PERSONAL_SETTINGS}
    quiet = {"TRANSFORMERS_VERBOSITY": "error"}
    return {**quiet, **environment, "IPYTHONDIR": folder, "JUPYTER_RUNTIME_DIR": folder}


class EnvironmentEngine(NBClientEngine):
    """Runs a notebook in a kernel of `EnvironmentKernelManager`."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, **settings) -> None:
        """Execute the cells.

        Args:
            nb_man: papermill's manager of the notebook.
            kernel_name: not used.
            **settings: papermill's settings, and the settings of `nbclient.NotebookClient`.

        Raises:
            KernelError: the kernel did not start or ended; the message has the last lines that it printed.
        """
        for name in ("input_path", "start_timeout"):
            settings.pop(name, None)
        with TemporaryDirectory(prefix="kernel-", ignore_cleanup_errors=True) as folder:
            manager = EnvironmentKernelManager(connection_file=f"{folder}/connection.json")
            client = PapermillNotebookClient(nb_man, km=manager, startup_timeout=START_TIMEOUT, **settings)
            printed = Path(folder, "printed.txt")
            try:
                with printed.open("wb") as file:
                    client.execute(env=kernel_environment(folder), stdout=file, stderr=file, cleanup_kc=True)
            except RuntimeError as error:
                lines = printed.read_text(errors="replace").splitlines()[-LAST_LINES:]
                reason = ENDED if isinstance(error, DeadKernelError) else f"the Python process did not start: {error}"
                raise KernelError("\n  ".join([reason, *lines])) from error
            finally:
                # An interrupt during the start leaves it running.
                if manager.has_kernel:
                    run_sync(manager.shutdown_kernel)(now=True)


papermill_engines.register(ENGINE, EnvironmentEngine)
