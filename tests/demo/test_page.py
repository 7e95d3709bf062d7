"""The page in a real browser, with made-up suggestions."""

import shutil
import threading

import pytest
from playwright.sync_api import expect, sync_playwright

from src.demo.background import serve_in_background
from src.demo.server import PageModel, create_app
from src.runs import RunError
from src.text.prefixes import Completion

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium"),
]


class MadeUp:
    """Suggests "today is lovely" after "t", "to", ..., else next words. After the letter q it waits for `release`."""

    def __init__(self):
        self.asked, self.held_back, self.release = [], threading.Event(), threading.Event()

    def complete(self, prefixes, n=1, half_typed=False, max_new_tokens=20):
        [prefix] = prefixes
        self.asked.append(prefix)
        if prefix.endswith("q"):
            self.held_back.set()
            assert self.release.wait(60)
            return [[Completion("stale answer", 0.0)]]
        letters = prefix.rpartition(" ")[2]
        texts = ["and so on", "today or never", "home"]
        if letters and "today".startswith(letters):
            texts = ["today is lovely", "today or never", "today"]
        return [[Completion(text, confidence) for text, confidence in zip(texts, (-0.1, -1.0, -2.0))]]


class SecondThoughts:
    def complete(self, prefixes, n=1, half_typed=False, max_new_tokens=20):
        return [[Completion("second thoughts", -0.5)]]


def broken():
    raise RunError("it has no model.pt")


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def made_up():
    return MadeUp()


@pytest.fixture
def page(browser, made_up):
    """The page from a server in a thread, with the focus on its text box."""
    app = create_app(
        [
            PageModel("first", "first-1, trained on 7 tweets", lambda: made_up),
            PageModel("second", "second-1, trained on 8 tweets", SecondThoughts),
            PageModel("first-2", "first-2, trained on <b>9</b> tweets", SecondThoughts, side_by_side=False),
            PageModel("broken-3", "broken-3", broken, side_by_side=False),
        ]
    )
    address, stop = serve_in_background(app)
    page = browser.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(error))
    page.goto(address)
    expect(page.locator("textarea")).to_be_focused()
    yield page
    page.close()
    made_up.release.set()
    stop()
    assert errors == []


def type_text(page, text):
    page.locator("textarea").press_sequentially(text)


def ghost(page):
    return page.locator(".ghost").first


def text_of(page):
    return page.locator("textarea").first.input_value()


def test_a_suggestion_is_shown_after_the_caret_and_completes_a_half_typed_word(page):
    type_text(page, "the weather tod")
    expect(ghost(page)).to_have_text("ay is lovely")
    expect(page.locator(".alternatives li")).to_have_count(3)
    expect(page.locator(".alternatives li").nth(1)).to_have_text("today or never 37% per token")
    expect(page.locator(".latency")).to_contain_text("ms")
    assert text_of(page) == "the weather tod"


@pytest.mark.parametrize("key", ["Tab", "ArrowRight"])
def test_a_word_is_taken(page, key):
    type_text(page, "the weather tod")
    expect(ghost(page)).to_have_text("ay is lovely")
    page.keyboard.press(key)
    assert text_of(page) == "the weather today"
    page.keyboard.press(key)
    assert text_of(page) == "the weather today is"
    expect(page.locator("textarea")).to_be_focused()


@pytest.mark.parametrize("key", ["End", "Shift+Tab"])
def test_the_complete_suggestion_is_taken_and_the_saved_keystrokes_are_counted(page, key):
    type_text(page, "the weather tod")
    expect(ghost(page)).to_have_text("ay is lovely")
    page.keyboard.press(key)
    assert text_of(page) == "the weather today is lovely"
    # 15 letters and one key were typed. The key replaces 12 letters and so saves 11.
    expect(page.locator("#saved")).to_have_text("16 keystrokes made, 11 saved (41%).")


def test_a_suggestion_stays_hidden_until_something_is_typed(page):
    type_text(page, "the weather tod")
    expect(ghost(page)).to_have_text("ay is lovely")
    page.keyboard.press("Escape")
    expect(ghost(page)).to_have_text("")
    type_text(page, "a")
    expect(ghost(page)).to_have_text("y is lovely")


def test_an_alternative_is_taken_by_a_click(page):
    type_text(page, "the weather ")
    page.locator(".alternatives button").nth(1).click()
    assert text_of(page) == "the weather today or never"


def test_nothing_is_suggested_in_the_middle_of_the_text(page):
    type_text(page, "the weather tod")
    expect(ghost(page)).to_have_text("ay is lovely")
    page.keyboard.press("ArrowLeft")
    expect(ghost(page)).to_have_text("")
    page.keyboard.press("Tab")
    assert text_of(page) == "the weather tod"


def test_unsure_suggestions_are_hidden(page):
    type_text(page, "the weather tod")
    expect(ghost(page)).to_have_text("ay is lovely")
    page.locator("#threshold").fill("95")
    expect(ghost(page)).to_have_text("")
    page.locator("#threshold").fill("90")
    expect(ghost(page)).to_have_text("ay is lovely")


def test_models_are_switched_and_shown_side_by_side(page):
    type_text(page, "so very ")
    page.locator("#model").select_option("second")
    expect(ghost(page)).to_have_text("second thoughts")
    page.locator("#model").select_option("side by side")
    expect(page.locator(".box h2")).to_have_text(["first", "second"])
    expect(page.locator(".ghost")).to_have_text(["and so on", "second thoughts"])
    page.locator("textarea").first.press_sequentially("tod")
    expect(page.locator(".ghost").first).to_have_text("ay is lovely")
    assert page.locator("textarea").nth(1).input_value() == "so very tod"
    page.keyboard.press("Tab")
    assert page.locator("textarea").nth(1).input_value() == text_of(page) == "so very today"


def test_the_run_of_each_model_is_named_and_another_run_can_be_chosen(page):
    type_text(page, "so very ")
    expect(page.locator(".about")).to_have_text("first-1, trained on 7 tweets")
    assert page.locator("#model option").all_text_contents() == [
        "first",
        "second",
        "side by side",
        "first-2",
        "broken-3",
    ]
    assert page.locator("#model optgroup").get_attribute("label") == "other runs"
    page.locator("#model").select_option("first-2")
    expect(page.locator(".about")).to_have_text("first-2, trained on <b>9</b> tweets")
    expect(page.locator(".box h2")).to_have_text(["first-2"])
    expect(ghost(page)).to_have_text("second thoughts")
    page.locator("#model").select_option("side by side")
    expect(page.locator(".box h2")).to_have_text(["first", "second"])
    expect(page.locator(".about")).to_have_text(["first-1, trained on 7 tweets", "second-1, trained on 8 tweets"])


def test_a_run_that_can_not_be_loaded_is_told_in_words(page):
    type_text(page, "so very ")
    page.locator("#model").select_option("broken-3")
    expect(page.locator("#error")).to_have_text("broken-3 can't be loaded: it has no model.pt")
    page.locator("#model").select_option("first")
    expect(page.locator("#error")).to_be_hidden()


def test_a_late_answer_does_not_replace_a_newer_one(page, made_up):
    type_text(page, "so very q")
    assert made_up.held_back.wait(30)
    type_text(page, " and never t")
    made_up.release.set()
    expect(ghost(page)).to_have_text("oday is lovely")
    expect(page.locator(".alternatives")).not_to_contain_text("stale")
    assert made_up.asked[-1] == "so very q and never t"


def test_fast_typing_ends_in_the_suggestion_for_the_complete_text(page):
    page.locator("textarea").press_sequentially("we never wanted to go home tod", delay=0)
    expect(ghost(page)).to_have_text("ay is lovely")
    assert text_of(page) == "we never wanted to go home tod"


def test_a_very_long_text_is_completed(page):
    page.locator("textarea").fill("so very " * 1250)
    expect(ghost(page)).to_have_text("and so on")


@pytest.mark.parametrize(
    "text", ["<img src=x onerror='window.hacked = 1'> ", "☕ <script>window.hacked=1</script> 👩‍💻 "]
)
def test_markup_and_emoji_are_shown_as_text(page, text):
    page.locator("textarea").fill(text)
    expect(ghost(page)).to_have_text("and so on")
    assert page.locator(".typed").first.text_content() == text
    assert page.evaluate("window.hacked") is None
    assert page.locator(".mirror img, .mirror script").count() == 0


def test_a_suggestion_after_a_mention_begins_with_a_space(page):
    type_text(page, "so very @and")
    expect(ghost(page)).to_have_text(" and so on")


def test_a_long_text_is_not_cut_in_the_middle_of_an_emoji(page):
    page.locator("textarea").fill("so very ☕👩 " + "so very " * 249 + "so v ")
    expect(ghost(page)).to_have_text("and so on")
    expect(page.locator("#error")).to_be_hidden()


def test_an_error_is_shown_in_words_and_goes_away(page):
    page.route(
        "**/suggestions", lambda route: route.fulfill(status=503, json={"detail": "Too many questions are waiting."})
    )
    type_text(page, "so ")
    expect(page.locator("#error")).to_have_text("Too many questions are waiting.")
    page.unroute("**/suggestions")
    page.route("**/suggestions", lambda route: route.abort())
    type_text(page, "v")
    expect(page.locator("#error")).to_have_text("The server does not answer. Is it still running?")
    page.unroute("**/suggestions")
    page.route("**/suggestions", lambda route: route.fulfill(status=500, body="Internal Server Error"))
    type_text(page, "e")
    expect(page.locator("#error")).to_have_text("The server failed (500).")
    page.unroute("**/suggestions")
    page.locator("textarea").fill("")
    expect(page.locator("#error")).to_be_hidden()
    type_text(page, "so very ")
    expect(ghost(page)).to_have_text("and so on")
    expect(page.locator("#error")).to_be_hidden()
