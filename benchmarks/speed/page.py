"""The tables of `benchmarks/RESULTS.md` on speed, made from `benchmarks/results/speed-*.json`."""

import json
from pathlib import Path

from benchmarks.common import RESULTS_DIR
from benchmarks.speed.costs import cost_table
from benchmarks.speed.parts import GPU_TITLE, PARTS, PREPARATION_TITLE, TRAINING_TITLE
from benchmarks.speed.training import NOTEBOOK_LOOP
from src.files import replace_between
from src.report.tables import markdown_table

RESULTS_PAGE = Path(__file__).parents[1] / "RESULTS.md"
START, END = "<!-- speed: make bench -->", "<!-- end of speed -->"


def recorded_tables() -> dict[str, list[dict]]:
    """The tables of all parts that were measured, by title."""
    paths = [RESULTS_DIR / f"speed-{part}.json" for part in PARTS]
    records = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]
    return {table["title"]: table["rows"] for record in records for table in record["rows"]}


def speed_section() -> str:
    """The tables of all parts in Markdown, and the cost table computed from them."""
    tables = recorded_tables()
    if {TRAINING_TITLE, PREPARATION_TITLE, GPU_TITLE} <= tables.keys():
        [loop] = [row for row in tables[TRAINING_TITLE] if row["loop"] == NOTEBOOK_LOOP]
        [preparation] = [row for row in tables[PREPARATION_TITLE] if row["stage"] == "all"]
        tables["Computed cost of more tweets"] = cost_table(loop, preparation, tables[GPU_TITLE][0])
    return "\n\n".join(f"### {title}\n\n{markdown_table(rows)}" for title, rows in tables.items()) + "\n"


def write_page() -> None:
    replace_between(RESULTS_PAGE, START, END, speed_section())
