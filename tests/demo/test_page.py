"""The page in a real browser, with made-up suggestions."""

import threading

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from playwright.sync_api import expect

from src.demo.background import serve_in_background
from src.demo.server import PageModel, create_app
from src.runs import RunError
from src.text.prefixes import Completion
from tests.browser import NEEDS_BROWSER

pytestmark = NEEDS_BROWSER
FIRST_WORDS = ["good morning", "i", "just got home"]
NEXT_WORDS = ["and so on", "today or never", "home"]
TODAY = ["today is lovely", "today or never", "today"]


class MadeUp:
    """Suggests "today is lovely" after "t", "to", ..., else next words. After the letter q it waits for `release`."""

    completes_first_words = True

    def __init__(self):
        self.asked, self.held_back, self.release = [], threading.Event(), threading.Event()

    def complete(self, prefixes, n=1, half_typed=False, max_new_tokens=20):
        [prefix] = prefixes
        self.asked.append(prefix)
        if prefix.endswith("q"):
            self.held_back.set()
            assert self.release.wait(60)
            return [[Completion("stale answer", 0.0, 1.0)]]
        letters = prefix.rpartition(" ")[2]
        texts = FIRST_WORDS if prefix == "" else NEXT_WORDS
        if letters and "today".startswith(letters):
            texts = TODAY
        return [[Completion(text, -0.1, probability) for text, probability in zip(texts, (0.94, 0.37, 0.02))]]


class SecondThoughts:
    """Can't complete first words, and doesn't know probabilities."""

    completes_first_words = False

    def complete(self, prefixes, n=1, half_typed=False, max_new_tokens=20):
        return [[Completion("second thoughts", -0.5)]]


def broken():
    raise RunError("it has no model.pt")


@pytest.fixture
def made_up():
    return MadeUp()


@pytest.fixture
def address(made_up):
    """The page from a server in a thread."""
    app = create_app(
        [
            PageModel("first", "first-1, trained on 7 tweets", lambda: made_up),
            PageModel("second", "second-1, trained on 8 tweets", SecondThoughts),
            PageModel("first-2", "first-2, trained on <b>9</b> tweets", SecondThoughts, side_by_side=False),
            PageModel("broken-3", "broken-3", broken, side_by_side=False),
        ]
    )
    address, stop = serve_in_background(app)
    yield address
    made_up.release.set()
    stop()


@pytest.fixture
def context_options():
    """A test's parameters may replace these options of the browser."""
    return {}


@pytest.fixture
def page(browser, address, context_options):
    """The page, with the focus on its text box."""
    context = browser.new_context(**context_options)
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(error))
    page.goto(address)
    expect(page.locator("textarea")).to_be_focused()
    yield page
    context.close()
    assert errors == []


def type_text(page, text):
    page.locator("textarea").first.press_sequentially(text)
    answered(page)


def answered(page):
    """Wait until every box shows the suggestions for its text."""
    expect(page.locator("[aria-busy=true]")).to_have_count(0)


def ghost(page):
    return page.locator(".ghost").first


def chips(page):
    """The chips that are shown, of all boxes."""
    return page.locator(".chip:visible")


def text_of(page):
    return page.locator("textarea").first.input_value()


# Suggestions


def test_an_empty_box_shows_first_words_if_the_model_can(page):
    expect(chips(page)).to_have_text(FIRST_WORDS)
    expect(ghost(page)).to_have_text("good morning")
    chips(page).nth(2).click()
    assert text_of(page) == "just got home "
    page.locator("textarea").fill("")
    expect(chips(page)).to_have_text(FIRST_WORDS)
    page.locator("#model").select_option("second")
    answered(page)
    expect(chips(page)).to_have_count(0)
    expect(page.locator("#error")).to_be_hidden()


def test_a_half_typed_first_word_is_completed(page):
    type_text(page, "tod")
    expect(chips(page)).to_have_text(TODAY)
    page.keyboard.press("Alt+1")
    assert text_of(page) == "today is lovely "


def test_suggestions_are_chips_and_the_first_is_also_shown_after_the_caret(page):
    type_text(page, "the weather tod")
    expect(chips(page)).to_have_text(TODAY)
    expect(ghost(page)).to_have_text("ay is lovely")
    expect(page.locator(".latency")).to_contain_text("ms")
    assert text_of(page) == "the weather tod"


@pytest.mark.parametrize("i", range(3))
@pytest.mark.parametrize("way", ["click", "Alt", "Enter"])
def test_a_chip_is_taken_with_the_space_after_it_and_typing_goes_on(page, way, i):
    type_text(page, "the weather tod")
    expect(chips(page)).to_have_text(TODAY)
    if way == "click":
        chips(page).nth(i).click()
    elif way == "Alt":
        page.keyboard.press(f"Alt+{i + 1}")
    else:
        chips(page).nth(i).press("Enter")
    assert text_of(page) == f"the weather {TODAY[i]} "
    expect(page.locator("textarea")).to_be_focused()
    page.keyboard.type("x")
    assert text_of(page) == f"the weather {TODAY[i]} x"


@pytest.mark.parametrize("context_options", [{"has_touch": True, "viewport": {"width": 360, "height": 740}}])
def test_a_chip_is_taken_by_a_tap(page):
    type_text(page, "the weather ")
    expect(chips(page)).to_have_text(NEXT_WORDS)
    for chip in chips(page).all():
        assert chip.bounding_box()["height"] >= 44
    chips(page).nth(1).tap()
    assert text_of(page) == "the weather today or never "
    expect(page.locator("textarea")).to_be_focused()


def test_suggestions_are_taken_one_after_the_other(page):
    for i in (1, 2, 3):
        answered(page)
        page.keyboard.press(f"Alt+{i}")
    assert text_of(page) == "good morning today or never home "


def test_alt_with_a_digit_that_has_no_chip_adds_nothing(page):
    page.locator("#model").select_option("second")
    type_text(page, "so very ")
    expect(chips(page)).to_have_text(["second thoughts"])
    for key in ("Alt+2", "Alt+3", "Alt+4", "Control+Alt+1"):
        page.keyboard.press(key)
    assert text_of(page) == "so very "


@pytest.mark.parametrize("key", ["Tab", "ArrowRight"])
def test_a_word_of_the_ghost_text_is_taken(page, key):
    type_text(page, "the weather tod")
    expect(ghost(page)).to_have_text("ay is lovely")
    # No newer answer may replace the rest of the suggestion here.
    page.route("**/suggestions", lambda route: None)
    for text, rest in (("today ", "is lovely"), ("today is ", "lovely"), ("today is lovely ", "")):
        page.keyboard.press(key)
        assert text_of(page) == f"the weather {text}"
        expect(ghost(page)).to_have_text(rest)
    expect(page.locator("textarea")).to_be_focused()


@pytest.mark.parametrize("key", ["End", "Shift+Tab"])
def test_all_of_the_ghost_text_is_taken(page, key):
    type_text(page, "the weather tod")
    expect(ghost(page)).to_have_text("ay is lovely")
    page.keyboard.press(key)
    assert text_of(page) == "the weather today is lovely "
    expect(page.locator("textarea")).to_be_focused()


def test_ghost_text_stays_hidden_until_something_is_typed_and_tab_leaves_the_box(page):
    type_text(page, "the weather tod")
    expect(ghost(page)).to_have_text("ay is lovely")
    page.keyboard.press("Escape")
    expect(ghost(page)).to_have_text("")
    page.keyboard.press("Tab")
    expect(chips(page).first).to_be_focused()
    page.keyboard.press("Shift+Tab")
    type_text(page, "a")
    expect(ghost(page)).to_have_text("y is lovely")


@pytest.mark.parametrize("key", ["ArrowLeft", "Shift+ArrowLeft", "Control+a"])
def test_nothing_is_suggested_in_the_middle_of_the_text(page, key):
    type_text(page, "the weather tod")
    expect(ghost(page)).to_have_text("ay is lovely")
    page.keyboard.press(key)
    expect(ghost(page)).to_have_text("")
    expect(chips(page)).to_have_count(0)
    page.keyboard.press("Alt+1")
    assert text_of(page) == "the weather tod"


def test_suggestions_that_still_fit_stay_while_the_next_answer_is_awaited(page):
    type_text(page, "so very ")
    expect(chips(page)).to_have_text(NEXT_WORDS)
    page.route("**/suggestions", lambda route: None)
    page.keyboard.type("today o")
    expect(chips(page)).to_have_text(["or never"])
    expect(ghost(page)).to_have_text("r never")
    page.keyboard.press("Alt+1")
    assert text_of(page) == "so very today or never "
    expect(chips(page)).to_have_count(0)


# Keys saved


def test_keys_are_counted_as_the_simulation_counts_them(page):
    saved = page.locator("#saved")
    expect(saved).to_have_text("No keys yet")
    type_text(page, "the weather tod")
    expect(saved).to_have_text("15 characters, 15 keys: none saved")
    page.keyboard.press("Alt+1")
    # "the weather today is lovely " has 28 characters. 15 were typed, and one key took the suggestion.
    expect(saved).to_have_text("28 characters, 16 keys: 12 saved (43%)")
    type_text(page, "tx")
    page.keyboard.press("Backspace")
    expect(saved).to_have_text("29 characters, 19 keys: 10 saved (34%)")
    answered(page)
    page.keyboard.press("Tab")
    # "t" becomes "today ".
    expect(saved).to_have_text("34 characters, 20 keys: 14 saved (41%)")
    answered(page)
    chips(page).nth(2).click()
    # "home "
    expect(saved).to_have_text("39 characters, 21 keys: 18 saved (46%)")
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    expect(saved).to_have_text("No keys yet")
    page.keyboard.type("☕")
    expect(saved).to_have_text("1 character, 1 key: none saved")


def test_a_first_word_that_is_taken_saves_keys(page):
    expect(chips(page)).to_have_text(FIRST_WORDS)
    page.keyboard.press("Alt+1")
    expect(page.locator("#saved")).to_have_text("13 characters, 1 key: 12 saved (92%)")


def test_a_pasted_text_saves_nothing(page):
    page.locator("textarea").fill("we never wanted to go")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.insert_text("o home")
    expect(page.locator("#saved")).to_have_text("26 characters, 26 keys: none saved")


def test_the_keys_of_all_boxes_are_counted_together(page):
    page.locator("#compare").check()
    type_text(page, "so very ")
    page.locator("textarea").nth(1).focus()
    page.keyboard.press("Alt+1")
    assert text_of(page) == "so very second thoughts "
    expect(page.locator("#saved")).to_have_text("24 characters, 9 keys: 15 saved (63%)")


# Settings


def test_improbable_suggestions_are_hidden(page):
    type_text(page, "the weather tod")
    expect(chips(page)).to_have_text(TODAY)
    for percent, number in (("2", 3), ("3", 2), ("37", 2), ("38", 1), ("94", 1), ("95", 0)):
        page.locator("#threshold").fill(percent)
        expect(page.locator("#threshold-value")).to_have_text(f"{percent}%")
        expect(chips(page)).to_have_text(TODAY[:number])
        expect(ghost(page)).to_have_text("ay is lovely" if number else "")
    page.locator("textarea").press("Alt+1")
    assert text_of(page) == "the weather tod"
    page.locator("#threshold").fill("0")
    expect(chips(page)).to_have_text(TODAY)


def test_suggestions_of_unknown_probability_are_shown(page):
    page.locator("#threshold").fill("100")
    page.locator("#model").select_option("second")
    type_text(page, "so very ")
    expect(chips(page)).to_have_text(["second thoughts"])
    assert not chips(page).first.get_attribute("title")


def test_a_chip_says_how_often_it_is_right_without_showing_a_number(page):
    expect(chips(page)).to_have_text(FIRST_WORDS)
    assert [chip.get_attribute("title") for chip in chips(page).all()] == [
        "right in about 9 of 10 cases",
        "right in about 4 of 10 cases",
        "right in fewer than 1 of 10 cases",
    ]


def test_one_model_is_shown_and_all_can_be_compared(page):
    type_text(page, "so very ")
    expect(page.locator("textarea")).to_have_count(1)
    page.get_by_role("switch", name="Compare side by side").check()
    expect(page.locator(".box h2")).to_have_text(["first", "second"])
    expect(page.locator(".ghost")).to_have_text(["and so on", "second thoughts"])
    expect(page.locator(".about")).to_have_text(["first-1, trained on 7 tweets", "second-1, trained on 8 tweets"])
    expect(page.locator("#model")).to_be_disabled()
    type_text(page, "tod")
    expect(page.locator(".ghost").first).to_have_text("ay is lovely")
    assert page.locator("textarea").nth(1).input_value() == "so very tod"
    page.keyboard.press("Tab")
    assert page.locator("textarea").nth(1).input_value() == text_of(page) == "so very today "
    page.get_by_role("switch").uncheck()
    expect(page.locator(".box h2")).to_have_text(["first"])
    assert text_of(page) == "so very today "


def test_the_run_of_each_model_is_named_and_another_run_can_be_chosen(page):
    type_text(page, "so very ")
    expect(page.locator(".about")).to_have_text("first-1, trained on 7 tweets")
    assert page.locator("#model option").all_text_contents() == ["first", "second", "first-2", "broken-3"]
    assert page.locator("#model optgroup").get_attribute("label") == "other runs"
    page.get_by_label("Model").select_option("first-2")
    expect(page.locator(".about")).to_have_text("first-2, trained on <b>9</b> tweets")
    expect(page.locator(".box h2")).to_have_text(["first-2"])
    expect(ghost(page)).to_have_text("second thoughts")


def test_the_chosen_model_is_remembered(page):
    page.locator("#model").select_option("first-2")
    page.reload()
    expect(page.locator("#model")).to_have_value("first-2")
    expect(page.locator(".about")).to_have_text("first-2, trained on <b>9</b> tweets")
    # Its run has been removed since.
    page.evaluate("for (const key of Object.keys(localStorage)) localStorage[key] = 'no model'")
    page.reload()
    expect(page.locator("#model")).to_have_value("first")
    expect(chips(page)).to_have_text(FIRST_WORDS)


@pytest.mark.parametrize(
    "blocked",
    [
        "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no', 'SecurityError'); }})",
        "Object.defineProperty(window, 'localStorage', {value: null})",
        "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }",
    ],
)
def test_the_page_works_where_storage_is_blocked(page, blocked):
    page.add_init_script(blocked)
    page.reload()
    expect(chips(page)).to_have_text(FIRST_WORDS)
    page.locator("#model").select_option("second")
    type_text(page, "so very ")
    expect(chips(page)).to_have_text(["second thoughts"])
    expect(page.locator("#error")).to_be_hidden()


def test_a_notebook_shows_the_page_in_a_frame(page, address):
    notebook = FastAPI()
    frame_html = f'<iframe src="{address}" width="100%" height="600"></iframe>'
    notebook.get("/", response_class=HTMLResponse)(lambda: frame_html)
    notebook_address, stop_notebook = serve_in_background(notebook)
    page.goto(notebook_address.replace("127.0.0.1", "localhost"))
    frame = page.frame_locator("iframe")
    expect(frame.locator(".chip:visible")).to_have_text(FIRST_WORDS)
    frame.locator("textarea").press("Alt+2")
    expect(frame.locator("textarea")).to_have_value("i ")
    stop_notebook()
    # All of it is seen without scrolling.
    assert frame.locator("html").evaluate(
        "root => [root.scrollWidth <= innerWidth, root.scrollHeight <= innerHeight]"
    ) == [
        True,
        True,
    ]


# Accessibility


def test_everything_has_a_role_and_a_name(page):
    type_text(page, "the weather tod")
    expect(page.get_by_role("textbox", name="your tweet, completed by first")).to_be_focused()
    group = page.get_by_role("group", name="suggestions")
    for i, text in enumerate(TODAY):
        chip = group.get_by_role("button", name=text, exact=True)
        assert chip.get_attribute("aria-keyshortcuts") == f"Alt+{i + 1}"
    expect(page.get_by_role("combobox", name="Model")).to_be_visible()
    expect(page.get_by_role("switch", name="Compare side by side")).not_to_be_checked()
    slider = page.get_by_role("slider", name="show only suggestions that are right at least this often")
    slider.fill("60")
    assert slider.get_attribute("aria-valuetext") == "60%"
    assert page.locator(".mirror").get_attribute("aria-hidden") == "true"
    expect(page.get_by_role("main")).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).to_have_count(1)


def test_a_screen_reader_hears_suggestions_only_when_typing_pauses(page):
    page.clock.install()
    page.reload()
    status = page.get_by_role("status")
    expect(status).to_have_count(1)
    page.evaluate("""() => {
        window.heard = [];
        const status = document.querySelector("[role=status]");
        new MutationObserver(() => window.heard.push(status.textContent)).observe(status, {childList: true});
    }""")
    expect(chips(page)).to_have_text(FIRST_WORDS)
    for letter in "the weather tod":
        type_text(page, letter)
        page.clock.run_for(300)
    assert page.evaluate("heard") == []
    page.clock.run_for(2000)
    suggestions = "Suggestions: 1: today is lovely; 2: today or never; 3: today"
    expect(status).to_have_text(suggestions)
    page.keyboard.press("Alt+1")
    expect(status).to_have_text("Added: today is lovely")
    answered(page)
    page.clock.run_for(2000)
    expect(status).to_have_text("Suggestions: 1: and so on; 2: today or never; 3: home")
    assert page.evaluate("heard.length") == 3
    # The count of keys changes with each key.
    assert page.locator("#saved").get_attribute("role") is None
    assert page.locator("output, [aria-live]").count() == 0


CONTRASTS = """() => {
    const channels = (color) => /rgba?\\((.*)\\)/.exec(color)[1].split(",").map(Number);
    const luminance = (color) => {
        const [r, g, b] = channels(color).slice(0, 3).map((c) => c / 255)
            .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const background = (element) => {
        const color = getComputedStyle(element).backgroundColor;
        return channels(color)[3] === 0 ? background(element.parentElement) : color;
    };
    const isShown = (element) => element.checkVisibility({checkVisibilityCSS: true})
        && [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    return [...document.querySelectorAll("main *")].filter(isShown).map((element) => {
        const [a, b] = [getComputedStyle(element).color, background(element)].map(luminance);
        const name = element.id || element.className || element.tagName;
        return [name, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
    });
}"""


def test_all_text_has_the_contrast_of_wcag_aa(page):
    page.route("**/suggestions", lambda route: route.fulfill(status=503, json={"detail": "Too many."}))
    page.locator("textarea").press_sequentially("s")
    expect(page.locator("#error")).to_be_visible()
    contrasts = page.evaluate(CONTRASTS)
    page.unroute("**/suggestions")
    type_text(page, "o very ")
    chips(page).first.hover()
    contrasts += page.evaluate(CONTRASTS)
    assert {"error", "ghost", "chip", "keys", "about", "latency", "saved"} <= {name for name, _ in contrasts}
    assert [(name, contrast) for name, contrast in contrasts if contrast < 4.5] == []


def test_the_focus_is_seen_on_everything_that_can_have_it(page):
    expect(chips(page)).to_have_text(FIRST_WORDS)
    outline = "getComputedStyle(document.activeElement.closest('.paper') ?? document.activeElement).outline"
    assert "solid 2px" in page.evaluate(outline)
    page.keyboard.press("Escape")
    focused = []
    for _ in range(6):
        page.keyboard.press("Tab")
        focused.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
        assert "solid 2px" in page.evaluate(outline)
    assert focused == [*FIRST_WORDS, "model", "compare", "threshold"]


@pytest.mark.parametrize("context_options", [{"viewport": {"width": 360, "height": 740}}])
@pytest.mark.parametrize("compared", [False, True])
def test_nothing_overflows_at_360_pixels(page, compared):
    page.locator("#compare").set_checked(compared)
    page.locator("textarea").first.fill("so very " + 80 * "x" + " ")
    answered(page)
    page.evaluate("document.querySelector('.about').textContent = 'lstm_lm-' + '0'.repeat(99)")
    page.evaluate("document.querySelector('.chip').textContent = 'x'.repeat(99)")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for element in page.locator("main *:visible").all():
        box = element.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 360, element.evaluate("element => element.outerHTML")


def test_nothing_moves_when_suggestions_appear_and_vanish(page):
    def place():
        return page.locator("#saved").bounding_box()["y"]

    expect(chips(page)).to_have_text(FIRST_WORDS)
    with_chips = place()
    page.locator("#threshold").fill("100")
    expect(chips(page)).to_have_count(0)
    assert place() == with_chips


# Answers and errors


def test_a_run_that_can_not_be_loaded_is_told_in_words(page):
    type_text(page, "so very ")
    page.locator("#model").select_option("broken-3")
    expect(page.locator("#error")).to_have_text("broken-3 can't be loaded: it has no model.pt")
    page.locator("#model").select_option("first")
    expect(page.locator("#error")).to_be_hidden()


def test_a_late_answer_does_not_replace_a_newer_one(page, made_up):
    page.locator("textarea").press_sequentially("so very q")
    assert made_up.held_back.wait(30)
    page.locator("textarea").press_sequentially(" and never t")
    made_up.release.set()
    expect(ghost(page)).to_have_text("oday is lovely")
    expect(page.locator(".chips")).not_to_contain_text("stale")
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
    page.keyboard.press("Alt+1")
    assert text_of(page) == "so very @and and so on "


def test_a_long_text_is_not_cut_in_the_middle_of_an_emoji(page):
    page.locator("textarea").fill("so very ☕👩 " + "so very " * 249 + "so v ")
    expect(ghost(page)).to_have_text("and so on")
    expect(page.locator("#error")).to_be_hidden()


def test_an_error_is_shown_in_words_and_goes_away(page):
    page.route(
        "**/suggestions", lambda route: route.fulfill(status=503, json={"detail": "Too many questions are waiting."})
    )
    page.locator("textarea").press_sequentially("so ")
    expect(page.locator("#error")).to_have_text("Too many questions are waiting.")
    expect(chips(page)).to_have_count(0)
    page.unroute("**/suggestions")
    page.route("**/suggestions", lambda route: route.abort())
    page.locator("textarea").press_sequentially("v")
    expect(page.locator("#error")).to_have_text("The server does not answer. Is it still running?")
    page.unroute("**/suggestions")
    page.route("**/suggestions", lambda route: route.fulfill(status=500, body="Internal Server Error"))
    page.locator("textarea").press_sequentially("e")
    expect(page.locator("#error")).to_have_text("The server failed (500).")
    page.unroute("**/suggestions")
    page.locator("textarea").fill("")
    expect(page.locator("#error")).to_be_hidden()
    type_text(page, "so very ")
    expect(ghost(page)).to_have_text("and so on")
    expect(page.locator("#error")).to_be_hidden()


def test_the_error_of_one_box_stays_while_another_answers(page):
    def refuse_first(route):
        if route.request.post_data_json["model"] == "first":
            route.fulfill(status=503, json={"detail": "Too many questions are waiting."})
        else:
            route.continue_()

    page.route("**/suggestions", refuse_first)
    page.locator("#compare").check()
    type_text(page, "so very ")
    expect(chips(page)).to_have_text(["second thoughts"])
    expect(page.locator("#error")).to_have_text("Too many questions are waiting.")
