"""How fast everything is on this machine: `make bench`, or `python -m benchmarks.speed PART ...`.

Each part writes `benchmarks/results/speed-<part>.json`; the tables in `benchmarks/RESULTS.md` are made from these
files. Without a PART all but `gpu` are measured, which trains on 1.28 million tweets and needs a GPU.
"""

import argparse

import torch

from benchmarks.common import prepared_corpus, write_results
from benchmarks.speed.page import write_page
from benchmarks.speed.parts import DEFAULT_PARTS, PARTS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help=f"one of {', '.join(PARTS)}")
    parts = parser.parse_args().parts or DEFAULT_PARTS
    _, record = prepared_corpus()
    settings = {"threads": torch.get_num_threads(), "seed": 0}
    for part in parts:
        tables = [{"title": title, "rows": rows} for title, rows in PARTS[part]().items()]
        write_results(f"speed-{part}", record, settings, tables, command=f"python -m benchmarks.speed {part}")
        write_page()


if __name__ == "__main__":
    main()
