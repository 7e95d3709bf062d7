"""The tables of results in the README and in benchmarks/RESULTS.md.

`python -m src.report.readme` writes them from the newest `models/*/comparison.json`.
"""

import json
import sys
from pathlib import Path

from src.evaluation.metrics import METRICS
from src.evaluation.verdicts import SECONDARY
from src.files import replace_between
from src.report.tables import (
    SEED_MARK,
    UNKNOWN,
    cost_table,
    keys_saved_table,
    main_systems,
    main_table,
    markdown_table,
    recorded_summaries,
    score_table,
    seed_table,
    summaries_of_seeds,
)
from src.runs import COMPARISON_FILE

TABLE_START, TABLE_END = "<!-- results: make table -->", "<!-- end of results -->"
FULL_START, FULL_END = "<!-- full tables: make table -->", "<!-- end of full tables -->"
TITLES = [METRICS[metric].title for metric in (*SECONDARY, "bits_per_character")]


def results_section(record: dict) -> str:
    """The main table of a comparison, and a note that names its data, for the README.

    Of the LSTM with n-grams it has the form that a reader would use, the one for a device.
    """
    names = [name for name in main_systems(record) if name != "LSTM with n-grams"]
    rows = [{"": name, **row} for name, row in main_table(record, names).to_dict("index").items()]
    return f"{markdown_table(rows)}\n\n{_note(record)}\n"


def full_results_section(record: dict) -> str:
    """The keys saved and the scores of all systems, and a note that names their data, for benchmarks/RESULTS.md.

    The LSTM's runs with other seeds share one row, their mean. The record also holds the other metrics.
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
    return f"{markdown_table(saved)}\n\n{markdown_table(rows)}\n\n{_note(record)}\n"


def _note(record: dict) -> str:
    data = record["data"]
    return (
        f"{record['num_pairs']:,} test pairs of `{data['source']}` ({data['name']}, {data['counts']['train']:,} "
        f"training tweets after cleaning), seed {record['seed']}, {record['interval']}, by `{record['command']}`."
    )


def update_pages(
    readme: str | Path = "README.md",
    results: str | Path = "benchmarks/RESULTS.md",
    models_dir: str | Path = "models",
) -> None:
    """Replace the tables in the README and in the page of results with those of the newest comparison.

    Raises:
        ValueError: there is no comparison yet, the newest one is damaged, or a page lacks markers.
        WriteError: a page can't be written.
    """
    comparisons = sorted(Path(models_dir).glob(f"lstm_lm-*/{COMPARISON_FILE}"))
    if not comparisons:
        raise ValueError(f"no {COMPARISON_FILE} in {models_dir}: run compare.ipynb first")
    try:
        record = json.loads(comparisons[-1].read_text(encoding="utf-8"))
        sections = results_section(record), full_results_section(record)
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{comparisons[-1]} is not the record of a comparison: run compare.ipynb again") from None
    replace_between(readme, TABLE_START, TABLE_END, sections[0])
    replace_between(results, FULL_START, FULL_END, sections[1])


if __name__ == "__main__":
    try:
        update_pages()
    except (OSError, ValueError) as error:
        sys.exit(str(error))
