"""What is said after the notebooks: their results, or how to continue after an error."""

import ast
import json
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import nbformat
from papermill.exceptions import PapermillExecutionError, strip_color

SRC = Path(__file__).resolve().parent.parent / "src"
LAST_LINES = 8


def command(paths: Sequence[Path]) -> str:
    """The command that runs these notebooks."""
    in_vm = all(path.parent == Path("vm") for path in paths)
    names = " ".join(path.name if in_vm else str(path) for path in paths)
    return f"make {'vm-run' if in_vm else 'run'} NOTEBOOKS={shlex.quote(names)}"


def explain_interrupt(paths: Sequence[Path], step: str) -> str:
    """Say how to resume.

    Args:
        paths: the interrupted notebook, and those that did not run.
        step: the interrupted step, in words.
    """
    return (
        f"\n{paths[0]} was interrupted at {step}. Resume with:\n  {command(paths)}\n"
        "Training then resumes from its last evaluation."
    )


def project_errors() -> set[str]:
    """The names of the exceptions that `src` defines; their messages say in one sentence what to do."""
    return {name for path in SRC.rglob("*.py") for name in re.findall(r"^class (\w+Error)\(", path.read_text(), re.M)}


def explain_error(error: Exception, paths: Sequence[Path], partial: Path, step: str) -> str:
    """Say what happened, where the traceback is, and how to try again.

    Args:
        error: what stopped the notebook: `PapermillExecutionError`, `KernelError` or `OSError`.
        paths: the notebook that failed, and those that did not run.
        partial: the notebook with the outputs so far.
        step: the step that failed, in words.
    """
    kept = f"The outputs so far are in {partial}; {paths[0]} is unchanged."
    if not isinstance(error, PapermillExecutionError):
        message = str(error)
    elif error.ename in project_errors():
        message = error.evalue
    else:
        traceback = strip_color("\n".join(error.traceback)).splitlines()
        message = "\n  ".join(["...", *[line for line in traceback if line.strip()][-LAST_LINES:]])
        kept = f"The traceback and the outputs so far are in {partial}; {paths[0]} is unchanged."
    return f"\n{paths[0]} failed at {step}:\n  {message}\n{kept}\nTry again with:\n  {command(paths)}"


def models_dir(path: Path) -> Path:
    """The folder of the run folders, from a notebook's parameters."""
    for cell in nbformat.read(path, as_version=4).cells:
        if "parameters" in cell.metadata.get("tags", []):
            for line in ast.parse(cell.source).body:
                if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "models_dir":
                    return path.parent / ast.literal_eval(line.value)
    return path.parent / "models"


def run_files(paths: Sequence[Path]) -> dict[Path, int]:
    """The JSON files in the run folders of these notebooks, each with its time of change in nanoseconds."""
    folders = {os.path.relpath(models_dir(path)) for path in paths}
    files = [file for folder in sorted(folders) for file in sorted(Path(folder).glob("[!.]*/*.json"))]
    return {file: file.stat().st_mtime_ns for file in files}


def closing_lines(before: dict[Path, int], after: dict[Path, int]) -> str:
    """The table of the new comparison, the run folders, and what to do next.

    Args:
        before, after: what `run_files` returned before and after the notebooks ran.
    """
    new = {file for file, changed in after.items() if before.get(file) != changed}
    runs = {file.parent: None for file in sorted(new) if file.name == "meta.json"}
    lines = [""]
    comparisons = [file for file in new if file.name == "comparison.json"]
    if comparisons:
        newest = max(comparisons, key=after.get)
        record = json.loads(newest.read_text(encoding="utf-8"))
        runs |= {newest.parent.parent / system["run"]: None for system in record["systems"].values() if "run" in system}
        lines += [comparison_lines(record), f"All scores, with intervals: compare.ipynb and {newest}", ""]
    if runs:
        lines += ["Run folders:", *(f"  {run}" for run in runs), ""]
    lines += ["Next: `make demo` serves a page to type in; `make lab` opens the notebooks."]
    return "\n".join(lines)


def comparison_lines(record: dict) -> str:
    """The main table of a comparison, and a line about its data."""
    # Imported here because it loads torch, which the notebooks' run needs in its own process only.
    from src.report.tables import plain_table

    data = record["data"]
    pairs = f"{record['num_pairs']:,} test pairs of {data['source']} ({data['name']})"
    return f"{plain_table(record)}\n\n{pairs}"
