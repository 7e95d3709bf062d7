"""Run notebooks in place, in the order given: `python vm/run_notebooks.py a.ipynb b.ipynb`.

The cells and their outputs are shown as they run. A notebook is replaced by the executed one only when all its cells
have run. No notebook is run if one of them has a misspelt parameter.
"""

import ast
import difflib
import logging
import sys
import time
from pathlib import Path

import nbformat
import papermill
from IPython.core.inputtransformer2 import TransformerManager
from nbconvert.preprocessors import CoalesceStreamsPreprocessor

WIDGET = "application/vnd.jupyter.widget-view+json"


def tidy(notebook: nbformat.NotebookNode) -> None:
    """Keep only the last state of every progress bar; remove widgets, times and paths of this machine."""
    CoalesceStreamsPreprocessor().preprocess(notebook, {})
    for name in ("papermill", "widgets"):
        notebook.metadata.pop(name, None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            shown = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
            cell.outputs = [output for output in shown if output.get("text", "some").strip()]


class ParameterError(ValueError):
    """A notebook sets a parameter that it never reads."""


def names(source: str, context: type[ast.expr_context]) -> list[str]:
    """The names that a cell sets (`ast.Store`) or reads (`ast.Load`)."""
    tree = ast.parse(TransformerManager().transform_cell(source))
    return [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, context)]


def check_parameters(path: Path) -> None:
    """Check that a notebook reads every parameter that it sets.

    Otherwise a misspelt name would be ignored, or fail only after hours of training.

    Raises:
        ParameterError: a parameter is never read.
    """
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    read = {name for cell in cells for name in names(cell.source, ast.Load)}
    for cell in cells:
        if "parameters" in cell.metadata.get("tags", []):
            for name in names(cell.source, ast.Store):
                if name not in read:
                    nearest = (
                        f", or did you mean {close[0]}" if (close := difflib.get_close_matches(name, read, 1)) else ""
                    )
                    raise ParameterError(f"{path} sets {name}, which none of its cells reads: remove it{nearest}")


def run_notebook(path: Path) -> None:
    """Execute a notebook and replace it with the result; one that fails stays as it was."""
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
    try:
        for path in paths:
            check_parameters(Path(path))
    except ParameterError as error:
        sys.exit(str(error))
    for path in paths:
        started = time.perf_counter()
        print(f"== {path}", flush=True)
        run_notebook(Path(path))
        print(f"== {path}: {(time.perf_counter() - started) / 60:.1f} minutes", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
