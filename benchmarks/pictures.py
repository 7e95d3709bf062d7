"""The README's pictures of the page: the real page in Chromium, with one tweet being typed and suggestions taken.

`python -m benchmarks.pictures` writes `src/demo/screenshot.png` and `src/demo/typing.gif` with the best run. At each
key it takes the longest suggestion that is right, and otherwise types the next character.
"""

import argparse
import shutil
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Literal

from fastapi import FastAPI
from PIL import Image
from playwright.sync_api import Locator, Page, expect, sync_playwright

from src.demo.background import serve_in_background
from src.demo.completers import page_models
from src.demo.server import create_app
from src.examples import TWEETS
from src.runs import RunError, named_run

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FOLDER = Path("src/demo")
VIEWPORT = {"width": 760, "height": 480}
NUM_COLOURS = 32
MAX_BYTES = 400_000
Step = Literal["typed", "found", "taken", "finished"]
# How long the animation shows each step.
MILLISECONDS: dict[Step, int] = {"typed": 130, "found": 700, "taken": 700, "finished": 3_000}


def right_chip(page: Page, rest_of_tweet: str) -> Locator | None:
    """The chip that adds most of the rest of the tweet, if one is right."""
    text = page.locator("textarea").input_value()
    half_typed = text.rpartition(" ")[2]
    rest = half_typed + rest_of_tweet + " "
    chips = [chip for chip in page.locator(".chip:visible").all() if rest.startswith(chip.inner_text() + " ")]
    chips = [chip for chip in chips if chip.inner_text() != half_typed]
    return max(chips, key=lambda chip: len(chip.inner_text()), default=None)


def type_tweet(page: Page, tweet: str) -> Iterator[Step]:
    """Type a tweet and yield after each step, when the page shows its suggestions."""
    box = page.locator("textarea")
    while len(text := box.input_value()) < len(tweet):
        expect(page.locator("[aria-busy=true]")).to_have_count(0)
        if chip := right_chip(page, tweet[len(text) :]):
            chip.hover()
            yield "found"
            chip.click()
            page.mouse.move(0, 0)
        else:
            box.press_sequentially(tweet[len(text)])
        expect(page.locator("[aria-busy=true]")).to_have_count(0)
        yield "taken" if chip else "typed"
    yield "finished"


def photograph(app: FastAPI, tweet: str) -> list[tuple[Step, Image.Image]]:
    """A picture of the page after each step, at two pixels of the picture for each of the page.

    Raises:
        ValueError: there is no browser.
    """
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        raise ValueError("no Chromium is installed: apt-get install chromium")
    address, stop = serve_in_background(app)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = browser.new_page(viewport=VIEWPORT, device_scale_factor=2)
        page.goto(address)
        expect(page.locator("textarea")).to_be_focused()
        end = page.locator("#saved").bounding_box()
        clip = {"x": 0, "y": 0, "width": VIEWPORT["width"], "height": end["y"] + end["height"] + 16}
        pictures = [
            (step, Image.open(BytesIO(page.screenshot(clip=clip))).convert("RGB")) for step in type_tweet(page, tweet)
        ]
        browser.close()
    stop()
    return pictures


def write_pictures(app: FastAPI, tweet: str, folder: Path) -> None:
    """Write `screenshot.png`, in which the last suggestion is about to be taken, and `typing.gif`.

    Raises:
        ValueError: there is no browser, no suggestion is right, or the animation is too large.
    """
    pictures = photograph(app, tweet)
    found = [picture for step, picture in pictures if step == "found"]
    if not found:
        raise ValueError(f"no suggestion is right in {tweet!r}: choose another tweet")
    palette = found[-1].quantize(NUM_COLOURS)
    first, *others = [picture.reduce(2).quantize(palette=palette, dither=Image.Dither.NONE) for _, picture in pictures]
    animation = BytesIO()
    durations = [MILLISECONDS[step] for step, _ in pictures]
    first.save(animation, "GIF", save_all=True, append_images=others, duration=durations, loop=0, optimize=True)
    if animation.tell() > MAX_BYTES:
        raise ValueError(
            f"the animation has {animation.tell():,} bytes of at most {MAX_BYTES:,}: choose a shorter tweet"
        )
    found[-1].quantize(256).save(folder / "screenshot.png", optimize=True)
    (folder / "typing.gif").write_bytes(animation.getvalue())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tweet", nargs="?", default=TWEETS[6], help="the tweet that is typed, in cleaned words")
    parser.add_argument("--run", help="folder of an LSTM run, or its name in the models folder; default: the best run")
    parser.add_argument("--models-dir", default="models", help="folder of the run folders")
    arguments = parser.parse_args()
    try:
        lstm_dir = named_run(arguments.run, arguments.models_dir) if arguments.run is not None else None
        write_pictures(create_app(page_models(arguments.models_dir, lstm_dir)), arguments.tweet, FOLDER)
    except (RunError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
