"""Serve the page at http://127.0.0.1:8000: `python -m src.demo`."""

import argparse
import socket
import sys

import uvicorn

from src.demo.completers import page_models
from src.demo.server import LOCAL_HOSTS, create_app
from src.runs import named_run


def main() -> None:
    try:
        serve(parse())
    except KeyboardInterrupt:
        sys.exit(130)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m src.demo", description="A web page on which models complete your text."
    )
    parser.add_argument("--port", type=int, default=8000, help="port of the page")
    parser.add_argument("--run", help="folder of an LSTM run, or its name in the models folder; default: the best run")
    parser.add_argument("--models-dir", default="models", help="folder of the run folders")
    help_ = "suggest offensive words too, which are left out otherwise"
    parser.add_argument("--allow-offensive-words", action="store_true", help=help_)
    arguments = parser.parse_args()
    if not 0 < arguments.port < 65_536:
        parser.error(f"port {arguments.port} is not between 1 and 65535: choose another one")
    return arguments


def serve(arguments: argparse.Namespace) -> None:
    """Load the models, say which they are, and serve the page until Ctrl+C."""
    try:
        lstm_dir = named_run(arguments.run, arguments.models_dir) if arguments.run is not None else None
        models = page_models(arguments.models_dir, lstm_dir)
        app = create_app(models, arguments.allow_offensive_words)
    except (ValueError, OSError) as error:
        sys.exit(str(error))
    try:
        socket.create_server((LOCAL_HOSTS[0], arguments.port)).close()
    except OSError as error:
        sys.exit(f"port {arguments.port} can't be used ({error.strerror}): choose another one with --port")
    # Standard error can show every character: it escapes those that the console lacks.
    for model in models:
        if model.side_by_side:
            print(f"{model.name}: {model.about}", file=sys.stderr)
    if others := sum(not model.side_by_side for model in models):
        print(f"{others} other run{'s' * (others > 1)} can be chosen on the page", file=sys.stderr)
    print(f"http://{LOCAL_HOSTS[0]}:{arguments.port} (Ctrl+C stops it)", file=sys.stderr)
    uvicorn.run(app, host=LOCAL_HOSTS[0], port=arguments.port, log_level="warning")


if __name__ == "__main__":
    main()
