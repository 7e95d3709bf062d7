"""The README's pictures of the page, with made-up suggestions."""

import pytest
from PIL import Image

from benchmarks.pictures import MAX_BYTES, photograph, write_pictures
from src.demo.server import PageModel, create_app
from src.text.prefixes import Completion
from tests.browser import NEEDS_BROWSER

pytestmark = NEEDS_BROWSER


class Guesses:
    """Guesses the same words at every key."""

    completes_first_words = True

    def complete(self, prefixes, n=1, half_typed=False, max_new_tokens=20):
        letters = prefixes[0].rpartition(" ")[2]
        words = [word for word in ("so", "so tired", "today", "home") if word.startswith(letters)]
        return [[Completion(word, -1.0, 0.5) for word in words[:3]]]


@pytest.fixture
def app():
    return create_app([PageModel("guesses", "guesses-1", Guesses)])


def test_the_longest_suggestion_that_is_right_is_taken(app):
    steps = [step for step, _ in photograph(app, "so tired all day")]
    assert steps == ["found", "taken", *["typed"] * len("all day"), "finished"]


def test_a_picture_and_an_animation_are_written(app, tmp_path):
    write_pictures(app, "so tired today", tmp_path)
    with Image.open(tmp_path / "typing.gif") as animation:
        # found, taken, found, taken and finished; the last two show the same.
        assert animation.is_animated and animation.n_frames == 4
        size = animation.size
    assert (tmp_path / "typing.gif").stat().st_size <= MAX_BYTES
    with Image.open(tmp_path / "screenshot.png") as picture:
        assert picture.size == (2 * size[0], 2 * size[1])


def test_without_a_right_suggestion_no_picture_is_written(app, tmp_path):
    with pytest.raises(ValueError, match=r"no suggestion is right in 'nothing': choose another tweet"):
        write_pictures(app, "nothing", tmp_path)
    assert not list(tmp_path.iterdir())
