"""The README's table: `python -m src.report.readme` makes it from the newest `models/*/comparison.json`."""

import json
from pathlib import Path

from src.files import replace_between
from src.report.tables import (
    COMPARISON_FILE,
    METRIC_TITLES,
    SEED,
    cost_table,
    recorded_summaries,
    score_table,
    seed_table,
    trainings,
)

TABLE_START, TABLE_END = "<!-- results: make table -->", "<!-- end of results -->"
METRICS = ("rouge1", "rouge2", "next_word", "perplexity_per_word", "bits_per_character")


def markdown_table(record: dict) -> str:
    """A row for each system, without the LSTM's other seeds, and one for the LSTM over all of them.

    The scores are the main ones; all of them are in the record.
    """
    summaries = recorded_summaries(record)
    titles = [METRIC_TITLES[metric] for metric in METRICS]
    table = score_table(summaries)[titles].join(cost_table(record))
    rows = {name: row for name, *row in table.itertuples(name=None) if SEED not in name}
    lstms = trainings(summaries, "LSTM")
    if len(lstms) > 1:
        spread = seed_table(lstms).loc[titles].round(4)
        values = [f"{row['mean']:.3g} ± {row['standard deviation']:.2g}" for _, row in spread.iterrows()]
        title = f"LSTM, mean of {len(lstms)} seeds ± standard deviation"
        rows[title] = values + ["–"] * (len(table.columns) - len(values))
    lines = [["", *table.columns], ["---"] * (1 + len(table.columns)), *([name, *row] for name, row in rows.items())]
    data = record["data"]
    note = (
        f"{record['num_pairs']:,} test pairs of `{data['source']}` ({data['name']}, {data['counts']['train']:,} "
        f"training tweets after cleaning), seed {record['seed']}, {record['interval']}, by `{record['command']}`."
    )
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + f"\n{note}\n"


def update_readme(readme: str | Path = "README.md", models_dir: str | Path = "models") -> None:
    """Put the newest comparison's table between the README's markers.

    Raises:
        ValueError: there is no comparison yet, or the README has no markers.
    """
    comparisons = sorted(Path(models_dir).glob(f"lstm_lm-*/{COMPARISON_FILE}"))
    if not comparisons:
        raise ValueError(f"no {COMPARISON_FILE} in {models_dir}: run compare.ipynb first")
    table = markdown_table(json.loads(comparisons[-1].read_text(encoding="utf-8")))
    replace_between(readme, TABLE_START, TABLE_END, table)


if __name__ == "__main__":
    update_readme()
