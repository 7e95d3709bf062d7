"""Serve the page at http://127.0.0.1:8000: `python -m src.demo`."""

import argparse
import sys

import uvicorn

from src.demo.completers import newest_completers
from src.demo.server import LOCAL_HOSTS, create_app
from src.runs import RunError


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m src.demo", description="A web page on which models complete your text."
    )
    parser.add_argument("--port", type=int, default=8000, help="port of the page")
    parser.add_argument("--models-dir", default="models", help="folder of the run folders")
    arguments = parser.parse_args()
    try:
        completers = newest_completers(arguments.models_dir)
    except RunError as error:
        sys.exit(str(error))
    uvicorn.run(create_app(completers), host=LOCAL_HOSTS[0], port=arguments.port, log_level="warning")


if __name__ == "__main__":
    main()
