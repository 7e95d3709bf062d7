"""The README's table of results: `python -m src.report.readme` writes it from the newest `models/*/comparison.json`."""

import json
from pathlib import Path

from src.evaluation.metrics import METRICS
from src.files import replace_between
from src.report.tables import (
    COMPARISON_FILE,
    SEED_MARK,
    UNKNOWN,
    cost_table,
    keys_saved_table,
    markdown_table,
    recorded_summaries,
    score_table,
    seed_table,
    summaries_of_seeds,
)

TABLE_START, TABLE_END = "<!-- results: make table -->", "<!-- end of results -->"
TITLES = [metric.title for metric in METRICS.values() if metric.in_readme]


def results_section(record: dict) -> str:
    """The tables of a comparison, and a note that names its data.

    The first table holds the keys saved, the second the scores of complete answers. The LSTM's runs with other seeds
    share one row, their mean. The record also holds the other metrics.
    """
    summaries = recorded_summaries(record)
    table = score_table(summaries)[TITLES].join(cost_table(record))
    rows = [{"": name, **row} for name, row in table.to_dict("index").items() if SEED_MARK not in name]
    seeds = summaries_of_seeds(summaries, "LSTM")
    if len(seeds) > 1:
        spread = seed_table(seeds).loc[TITLES].round(4)
        scores = {title: f"{row['mean']:.3g} ± {row['standard deviation']:.2g}" for title, row in spread.iterrows()}
        name = f"LSTM, mean of {len(seeds)} seeds ± standard deviation"
        rows.append({"": name, **dict.fromkeys(table.columns, UNKNOWN), **scores})
    saved = [{"": name, **row} for name, row in keys_saved_table(record["typing"]).to_dict("index").items()]
    data = record["data"]
    note = (
        f"{record['num_pairs']:,} test pairs of `{data['source']}` ({data['name']}, {data['counts']['train']:,} "
        f"training tweets after cleaning), seed {record['seed']}, {record['interval']}, by `{record['command']}`."
    )
    return f"{markdown_table(saved)}\n\n{markdown_table(rows)}\n\n{note}\n"


def update_readme(readme: str | Path = "README.md", models_dir: str | Path = "models") -> None:
    """Replace the table in the README with the one of the newest comparison.

    Raises:
        ValueError: there is no comparison yet, or the README has no markers.
    """
    comparisons = sorted(Path(models_dir).glob(f"lstm_lm-*/{COMPARISON_FILE}"))
    if not comparisons:
        raise ValueError(f"no {COMPARISON_FILE} in {models_dir}: run compare.ipynb first")
    record = json.loads(comparisons[-1].read_text(encoding="utf-8"))
    replace_between(readme, TABLE_START, TABLE_END, results_section(record))


if __name__ == "__main__":
    update_readme()
