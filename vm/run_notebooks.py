"""Run notebooks in place, in the order given: `python vm/run_notebooks.py a.ipynb b.ipynb`.

Every cell is named as it runs and its output shown. A notebook takes its place only when all
its cells have run, without the traces of progress bars.
"""

import logging
import sys
import time
from pathlib import Path

import nbformat
import papermill
from nbconvert.preprocessors import CoalesceStreamsPreprocessor

WIDGET = "application/vnd.jupyter.widget-view+json"


def tidy(notebook: nbformat.NotebookNode) -> None:
    """Keep the last state of every progress bar, and no widgets, times or paths of the machine."""
    CoalesceStreamsPreprocessor().preprocess(notebook, {})
    for name in ("papermill", "widgets"):
        notebook.metadata.pop(name, None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            shown = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
            cell.outputs = [output for output in shown if output.get("text", "some").strip()]


def run_notebook(path: Path) -> None:
    partial = path.with_name(f".{path.stem}.partial.ipynb")
    papermill.execute_notebook(
        path, partial, kernel_name="python3", cwd=path.parent, log_output=True, progress_bar=False
    )
    notebook = nbformat.read(partial, as_version=4)
    tidy(notebook)
    nbformat.write(notebook, partial)
    partial.replace(path)


def main(paths: list[str]) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    for path in paths:
        started = time.perf_counter()
        print(f"== {path}", flush=True)
        run_notebook(Path(path))
        print(f"== {path}: {(time.perf_counter() - started) / 60:.1f} minutes", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
