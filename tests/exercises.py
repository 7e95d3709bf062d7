"""The answers to the exercises of a notebook, as its reader finds them."""

import re
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent


def answers(notebook: str) -> list[str]:
    """The Python code of each answer, from the Markdown cells after the heading `## Exercises`."""
    cells = [cell.source for cell in nbformat.read(ROOT / f"{notebook}.ipynb", as_version=4).cells]
    [start] = [i for i, source in enumerate(cells) if source.startswith("## Exercises")]
    return re.findall(r"<summary>.*?</summary>\n\n```python\n(.*?)```", "\n\n".join(cells[start:]), re.DOTALL)
