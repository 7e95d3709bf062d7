"""Run notebooks in place, in the order given: `python vm/run_notebooks.py a.ipynb b.ipynb`.

Each step is shown as one line, and at the end the results (`vm/progress.py`, `vm/outcome.py`). A notebook is replaced
by the executed one only when all its cells have run. No notebook is run if one of them has a misspelt parameter.
"""

import ast
import difflib
import logging
import signal
import sys
import threading
from pathlib import Path

# Run as a script, Python finds only the modules in this folder.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import nbformat
import papermill
from IPython.core.inputtransformer2 import TransformerManager
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from nbformat.reader import NotJSONError
from papermill.exceptions import PapermillExecutionError

from vm.engine import ENGINE, KernelError
from vm.kernel import NOTE
from vm.outcome import closing_lines, explain_error, explain_interrupt, run_files
from vm.progress import StepLines, keep_showing, step_titles

INTERRUPTED = 130  # the exit status that shells use
WIDGET = "application/vnd.jupyter.widget-view+json"


def tidy(notebook: nbformat.NotebookNode) -> None:
    """Keep only the last state of every progress bar; remove notes, widgets, times and paths of this machine."""
    CoalesceStreamsPreprocessor().preprocess(notebook, {})
    for name in ("papermill", "widgets"):
        notebook.metadata.pop(name, None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            shown = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
            for output in shown:
                if output.get("name") == "stderr":
                    lines = output.text.splitlines(keepends=True)
                    output.text = "".join(line for line in lines if not line.startswith(NOTE))
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


def partial_path(path: Path) -> Path:
    """Where the executed notebook lies until all its cells have run."""
    return path.with_name(f".{path.stem}.partial.ipynb")


def is_ok(execute_reply: dict) -> bool:
    """Whether a kernel reports that a cell raised no error."""
    return execute_reply["content"]["status"] == "ok"


def run_notebook(path: Path, lines: StepLines) -> None:
    """Execute a notebook and replace it with the result; one that fails stays as it was.

    Args:
        path: the notebook.
        lines: shows its steps.

    Raises:
        PapermillExecutionError: a cell raised an error.
        KernelError: its Python process did not start, or ended.
    """
    partial, stop = partial_path(path), threading.Event()
    threading.Thread(target=keep_showing, args=(lines, stop), daemon=True).start()
    try:
        papermill.execute_notebook(
            path,
            partial,
            engine_name=ENGINE,
            kernel_name="python3",
            cwd=path.parent,
            progress_bar=False,
            stderr_file=lines,
            on_cell_start=lambda cell, cell_index: lines.begin(cell_index),
            on_cell_executed=lambda execute_reply, **_: lines.end("ok" if is_ok(execute_reply) else "error"),
        )
    finally:
        stop.set()
    notebook = nbformat.read(partial, as_version=4)
    tidy(notebook)
    nbformat.write(notebook, partial)
    partial.replace(path)


def main(arguments: list[str]) -> None:
    """Run the notebooks. Exits with status 1 after an error and 130 after an interrupt."""
    # What papermill and nbclient log about an error is said in `explain_error`.
    logging.getLogger("papermill").setLevel(logging.CRITICAL + 1)
    paths = [Path(argument) for argument in arguments]
    for path in paths:
        try:
            check_parameters(path)
        except ParameterError as error:
            sys.exit(str(error))
        except SyntaxError as error:
            sys.exit(f"{path} has a cell that is not Python, `{(error.text or '').strip()}`: {error.msg}")
        except (OSError, NotJSONError) as error:
            sys.exit(f"{path} can't be read: {error}")
    before = run_files(paths)
    for i, path in enumerate(paths):
        lines = StepLines(step_titles(nbformat.read(path, as_version=4)), sys.stdout)
        try:
            print(path, flush=True)
            run_notebook(path, lines)
        except KeyboardInterrupt:
            lines.end("interrupted")
            print(explain_interrupt(paths[i:], lines.step), file=sys.stderr)
            sys.exit(INTERRUPTED)
        except (PapermillExecutionError, KernelError, OSError) as error:
            lines.end("error")
            sys.exit(explain_error(error, paths[i:], partial_path(path), lines.step))
    print(closing_lines(before, run_files(paths)))


if __name__ == "__main__":
    # Schedulers end a job with SIGTERM, which is handled like Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
