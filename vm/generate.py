"""Generate the notebooks for a GPU machine from those in the root: `make vm`.

Only the values in the cell tagged `parameters` and relative paths differ. The generated notebooks have no outputs, and
no cells tagged `setup`: those are for Colab and Kaggle.
"""

import re
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent

FOLDERS = {"project_dir": "..", "data_dir": "../data", "models_dir": "../models"}
GPU_PARAMETERS = {
    "solution_lstm": {
        **FOLDERS,
        "batch_size": 512,
        "max_tweets_seen": 13_000_000,
        "eval_steps": 1_000,
        "num_sampled_tokens": 0,
        "num_workers": 4,
        "max_pairs": 5_000,
    },
    "solution_pretrained": {
        **FOLDERS,
        "finetune_tweets": 1_280_000,
        "finetune_share": 1.0,
        "val_share": 1.0,
        "batch_size": 256,
        "eval_steps": 500,
        "val_loss_tweets": 5_000,
        "bf16": True,
        "num_workers": 4,
        "decoding_pairs": 3_000,
        "max_pairs": 5_000,
    },
    "compare": {
        **FOLDERS,
        "val_loss_tweets": 5_000,
        "test_share": 1.0,
        "max_pairs": 20_000,
        "typed_tweets": 1_000,
        "slow_typed_tweets": 1_000,
    },
}


def with_parameters(source: str, values: dict) -> str:
    """Replace values in the source of a parameters cell; the comments stay.

    Raises:
        KeyError: the cell has no such parameter.
    """
    for name, value in values.items():
        pattern = re.compile(rf"^{name} = .*?(?=  #)", re.MULTILINE)
        if not pattern.search(source):
            raise KeyError(f"the parameters cell has no {name!r}")
        literal = f"{value:_}" if type(value) is int else f'"{value}"' if isinstance(value, str) else repr(value)
        source = pattern.sub(f"{name} = {literal}", source)
    return source


def in_vm(source: str) -> str:
    """The Markdown of a root notebook, as it stands in `vm/`: other paths, and no links to Colab and Kaggle."""
    source = re.sub(r"^\[Open in Colab\].*\n*", "", source, flags=re.MULTILINE)
    return re.sub(r"\]\((?=(?:docs|data|src|tests|benchmarks)/)", "](../", source)


def generate(name: str) -> nbformat.NotebookNode:
    """The GPU variant of a root notebook."""
    notebook = nbformat.read(ROOT / f"{name}.ipynb", as_version=4)
    # Running a notebook writes the version of Python here.
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.cells = [cell for cell in notebook.cells if "setup" not in cell.metadata.get("tags", [])]
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = in_vm(cell.source)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = with_parameters(cell.source, GPU_PARAMETERS[name])
    return notebook


def main() -> None:
    for name in GPU_PARAMETERS:
        nbformat.write(generate(name), ROOT / "vm" / f"{name}.ipynb")


if __name__ == "__main__":
    main()
