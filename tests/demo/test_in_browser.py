"""A model that runs in the page: it agrees with Python, needs no server once loaded, and refuses damaged files."""

import json
import random
import re
import shutil
from base64 import b64encode
from pathlib import Path
from unicodedata import ucd_3_2_0

import numpy as np
import pytest
from playwright.sync_api import expect
from safetensors.numpy import load, save
from tokenizers import Tokenizer

from src.corpus.download import DownloadError
from src.demo.background import serve_in_background
from src.demo.browser_library import WASM, fetch_library
from src.demo.server import DEVICE_FILES, MAX_READ, PageModel, create_app, suggest
from src.deploy.device import DeviceLM
from src.deploy.export_device import export_device
from src.deploy.ngram_file import NgramFile
from src.examples import HALF_TYPED, MESSY_TWEETS, PROMPTS, TWEETS
from src.text.calibration import IDENTITY
from src.text.cleaning import clean_string, normalize_tweet
from src.text.context_weight import ContextWeight
from src.text.prefixes import Completion, PrefixError, split_prefix
from tests.browser import NEEDS_BROWSER
from tests.demo.small_ngrams import write_ngrams

pytestmark = NEEDS_BROWSER
SERVER_WORDS = ["from the server"]
COMMITTED_RUN = Path(__file__).resolve().parents[2] / "models" / "lstm_lm-20261127-102352"
READY = re.compile(r"Ready: \d+\.\d MB are loaded, and the server is not needed\.")


class OnServer:
    completes_first_words = True

    def complete(self, prefixes, n=1, half_typed=False, max_new_tokens=20):
        return [[Completion(SERVER_WORDS[0], -0.5, 0.5)]]


@pytest.fixture(scope="session")
def library():
    try:
        return fetch_library()
    except DownloadError as error:
        pytest.skip(f"onnxruntime-web is not there: {error}")


@pytest.fixture
def serve():
    """A function that serves the page with a model in a device folder; it returns the address and what stops it."""
    stops = []

    def start(device_dir):
        models = [PageModel("first", "first-1", OnServer, device_dir=device_dir), PageModel("second", "", OnServer)]
        address, stop = serve_in_background(create_app(models))
        stops.append(stop)
        return address, stop

    yield start
    for stop in stops:
        stop()


@pytest.fixture
def page(browser):
    context = browser.new_context()
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(error))
    yield page
    context.close()
    assert errors == []


@pytest.fixture(scope="session")
def device_dir(tmp_path_factory):
    """The committed run in 8 bits, with n-grams of the example tweets whose weight depends on the context."""
    run_dir = tmp_path_factory.mktemp("run")
    for path in COMMITTED_RUN.iterdir():
        if path.is_file() and path.suffix != ".onnx":
            (run_dir / path.name).symlink_to(path)
    tokenizer = Tokenizer.from_file(str(run_dir / "tokenizer.json"))
    texts = [clean_string(text) for text in (*TWEETS, *PROMPTS)]
    write_ngrams(run_dir / "ngrams.bin", texts, tokenizer, tokenizer.token_to_id("[EOS]"))
    return export_device(run_dir, run_dir / "ngrams.bin", ContextWeight((-0.9, 0.2, 0.3, -0.5, 0.11, 0.05)), IDENTITY)


def in_page(page, module, code, given):
    """The value of JavaScript `code`, which sees the exports of a module of the page as `m`, and `given`."""
    return page.evaluate(f"async (given) => {{ const m = await import('/in_browser/{module}'); {code} }}", given)


# The same as Python

PARTS = (
    *("so", "tired", "X", "q", "2", "9.30", "RT", "rt ", "@ada", "@", "#tag", "'", "’", "`", "!", "...", "-", "_", "/"),
    *("www.", "WWW.a", "http://", "HTTPS:/", "ftp://", "bit.ly/a1", "x.yz/aB", "x.yz/ab", "a.co.uk", "foo.com:80"),
    *("foo.comb", "home.in/out", "a" * 50 + ".com/", "a.b.c.d.e.f.g.h.i.j.k.l.com/x", "&amp;", "&amp;lt;", "&notit;"),
    *("&#39;", "&#x1F600;", "&#128;", "&#0;", "&#11;", "&#xD800;", "&#xFFFE;", "&nbsp;", "&eacute", "&NewLine;", "&"),
    *("&bogus;", "&#", "Ã©", "â€™", "Ã¢â‚¬", "café", "cafe\u0301", "\u200d", "\u200b", "☕", "👩‍💻", "½", "™", "ﬁ"),
    *("Ａ", "²", "İ", "ı", "ſ", "ß", "\x85", "\x1c", "\u2028", "\ufeff", "\xa0", "\x91", "\ufffd", " ", "  ", "\n"),
    *("\t", "\0", "привет", "你好", "x" * 41, "so very " * 70),
)


def made_up_texts(number):
    """Texts of parts that cleaning has to handle, and of characters that every version of Unicode knows alike."""
    rng = random.Random(0)
    known = [chr(i) for i in range(0x10000) if ucd_3_2_0.category(chr(i)) not in ("Cn", "Cs", "Co")]
    parts = rng.choices((PARTS, known), weights=(4, 1), k=10 * number)
    lengths = [rng.randint(0, 10) for _ in range(number)]
    return ["".join(rng.choice(parts.pop()) for _ in range(length)) for length in lengths]


def python_split(text, first_words):
    """The words and the typed letters of a text as the server finds them; None if it finds nothing to complete."""
    is_cut = len(text) > MAX_READ
    text = text[-MAX_READ:].partition(" ")[2] if is_cut else text
    try:
        words, typed = split_prefix(text, 0, half_typed=True, first_words=first_words and not is_cut)
    except PrefixError:
        return None
    return {"words": words, "typed": typed}


def test_texts_are_cleaned_and_split_as_in_python(page, serve):
    page.goto(serve(None)[0])
    texts = [*made_up_texts(6_000), *MESSY_TWEETS]
    code = "const { normalizeTweet, cleanString } = m; return given.map((text) => cleanString(normalizeTweet(text)));"
    found = in_page(page, "cleaning.js", code, texts)
    expected = [clean_string(normalize_tweet(text)) for text in texts]
    assert [case for case in zip(texts, found, expected) if case[1] != case[2]] == []
    for first_words in (True, False):
        code = f"return given.map((text) => m.splitPrefix(text, {str(first_words).lower()}));"
        found = in_page(page, "prefixes.js", code, texts)
        expected = [python_split(text, first_words) for text in texts]
        assert [case for case in zip(texts, found, expected) if case[1] != case[2]] == []


def test_words_are_split_into_tokens_as_in_python(page, serve, device_dir):
    page.goto(serve(device_dir)[0])
    tokenizer, rng = Tokenizer.from_file(str(device_dir / "tokenizer.json")), random.Random(0)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789  "
    texts = [clean_string("".join(rng.choices(letters, k=rng.randint(0, 30)))) for _ in range(500)]
    texts += [clean_string(" ".join(rng.choices(sorted(tokenizer.get_vocab()), k=9))) for _ in range(500)]
    code = """const file = await (await fetch("/device/0/tokenizer.json")).json();
        const tokenizer = new m.Tokenizer(file, ["[EOS]", "[PAD]", "[UNK]"]);
        return given.map((text) => [tokenizer.encode(text), tokenizer.decode(tokenizer.encode(text).slice(1))]);"""
    encoded = [encoding.ids for encoding in tokenizer.encode_batch(texts, add_special_tokens=False)]
    assert in_page(page, "tokenizer.js", code, texts) == [[ids, tokenizer.decode(ids[1:])] for ids in encoded]


def test_ngrams_have_the_probabilities_of_python(page, serve, device_dir):
    page.goto(serve(device_dir)[0])
    ngrams, rng = NgramFile(device_dir / "ngrams.bin"), random.Random(0)
    tokenizer = Tokenizer.from_file(str(device_dir / "tokenizer.json"))
    texts = [tokenizer.encode(text[: rng.randrange(len(text))]).ids for text in TWEETS] + [[9, 8, 7]]
    code = """const ngrams = new m.Ngrams(await (await fetch("/device/0/ngrams.bin")).arrayBuffer(), 12000, 2);
        return given.map((ids) => {
            const { probabilities, context } = ngrams.lookUp([2, ...ids]);
            return [...probabilities, ...context];
        });"""
    expected = np.concatenate(ngrams.look_up_all(texts), axis=1)
    np.testing.assert_allclose(in_page(page, "ngrams.js", code, texts), expected, rtol=1e-5)


def prefixes_of_every_kind():
    """The empty text, half-typed words, URLs, mentions, emoji and accents; many follow each other as in typing."""
    typed = [text[:end] for text in (*TWEETS[:3], *MESSY_TWEETS) for end in range(0, min(len(text), 36) + 1, 3)]
    others = ["", "x", "xqzjw", "the café", "☕ ", "привет", *(f"{text} " for text in PROMPTS)]
    return [*typed, *PROMPTS, *HALF_TYPED, *others]


@pytest.mark.usefixtures("library")
def test_suggestions_are_those_of_python(page, serve, device_dir):
    page.goto(serve(device_dir)[0])
    texts = prefixes_of_every_kind()
    assert len(texts) >= 200
    code = """const model = await m.InBrowser.load("device/0/", () => {});
        const answers = [];
        for (const text of given) answers.push(await model.ask(text, new AbortController().signal));
        return answers.map(({ suggestions }) => suggestions.map(({ words, probability }) => [words, probability]));"""
    found = in_page(page, "in_browser.js", code, texts)
    completer = DeviceLM(device_dir)
    expected = [suggest(completer, text)[0] for text in texts]
    same = [[words for words, _ in some] == [one.text for one in others] for some, others in zip(found, expected)]
    # In int8, processors round differently, which may change a suggestion.
    assert np.mean(same) >= 0.95
    pairs = [
        (probability, other.next_word_probability)
        for some, others, is_same in zip(found, expected, same)
        if is_same
        for (_, probability), other in zip(some, others)
    ]
    assert len(pairs) > 500
    np.testing.assert_allclose(*zip(*pairs), atol=0.02)


@pytest.mark.usefixtures("library")
def test_words_are_left_out_as_in_python(page, serve, device_dir, monkeypatch):
    texts = [*PROMPTS, *HALF_TYPED, "happy birthd", "the weather "]
    most_probable = DeviceLM(device_dir).complete(texts, half_typed=True)
    words = frozenset(one.text.split()[0] for group in most_probable for one in group)
    for module in ("src.demo.server", "src.deploy.device"):
        monkeypatch.setattr(f"{module}.offensive_words", lambda: words)
    page.goto(serve(device_dir)[0])
    code = """const model = await m.InBrowser.load("device/0/", () => {});
        const answers = [];
        for (const text of given) answers.push(await model.ask(text, new AbortController().signal));
        return answers.map(({ suggestions }) => suggestions.map(({ words }) => words));"""
    found = in_page(page, "in_browser.js", code, texts)
    completer = DeviceLM(device_dir)
    expected = [[one.text for one in suggest(completer, text)[0]] for text in texts]
    assert all(words.isdisjoint(one.split()) for some in found for one in some)
    assert [len(some) for some in found] == [len(some) for some in expected]
    assert np.mean([some == others for some, others in zip(found, expected)]) >= 0.9


# The switch


def switch(page):
    return page.get_by_role("switch", name="In this browser")


def state(page):
    return page.locator("#in-browser-state")


def chips(page):
    return page.locator(".chip:visible")


def answered(page):
    expect(page.locator("[aria-busy=true]")).to_have_count(0)


def switched_on(page, address):
    page.goto(address)
    switch(page).check()
    expect(state(page)).to_have_text(READY)


@pytest.mark.usefixtures("library")
def test_typing_goes_on_when_the_server_is_switched_off(page, serve, device_dir):
    address, stop = serve(device_dir)
    page.goto(address)
    expect(chips(page)).to_have_text(SERVER_WORDS)
    switched_on(page, address)
    expect(chips(page)).to_have_count(3)
    expect(page.locator(".latency")).to_contain_text("ms in this browser")
    paths = [device_dir / name for name in DEVICE_FILES] + [fetch_library() / WASM]
    megabytes = sum(path.stat().st_size for path in paths) / 1e6
    assert float(re.search(r"[\d.]+", state(page).inner_text())[0]) == pytest.approx(megabytes, abs=0.1)
    stop()
    page.locator("textarea").press_sequentially("happy birthd")
    answered(page)
    expect(chips(page).first).to_contain_text("birthday")
    page.keyboard.press("Alt+1")
    expect(page.locator("#saved")).to_contain_text("saved (")
    answered(page)
    expect(chips(page)).to_have_count(3)
    expect(page.locator("#error")).to_be_hidden()
    page.get_by_label("Model").select_option("second")
    expect(page.locator("#error")).to_have_text("The server does not answer. Is it still running?")
    expect(switch(page)).to_be_hidden()


@pytest.mark.usefixtures("library")
def test_the_switch_is_remembered_and_goes_back_to_the_server(page, serve, device_dir):
    address, _ = serve(device_dir)
    switched_on(page, address)
    page.reload()
    expect(switch(page)).to_be_checked()
    expect(state(page)).to_have_text(READY)
    switch(page).uncheck()
    expect(chips(page)).to_have_text(SERVER_WORDS)
    expect(state(page)).to_be_hidden()
    # It is loaded once.
    page.route("**/device/**", lambda route: route.abort())
    switch(page).check()
    expect(state(page)).to_have_text(READY)
    expect(chips(page)).to_have_count(3)
    switch(page).uncheck()
    page.reload()
    expect(chips(page)).to_have_text(SERVER_WORDS)
    expect(switch(page)).not_to_be_checked()


@pytest.mark.usefixtures("library")
def test_side_by_side_the_server_answers(page, serve, device_dir):
    switched_on(page, serve(device_dir)[0])
    page.get_by_role("switch", name="Compare side by side").check()
    expect(chips(page)).to_have_text(SERVER_WORDS * 2)
    expect(switch(page)).to_be_hidden()
    expect(state(page)).to_be_hidden()
    page.get_by_role("switch", name="Compare side by side").uncheck()
    expect(state(page)).to_have_text(READY)
    expect(chips(page)).to_have_count(3)


def test_without_a_device_folder_or_the_library_there_is_no_switch(page, serve, device_dir, monkeypatch):
    for folder in (None, device_dir):
        monkeypatch.setattr("src.demo.browser_library.is_complete", lambda: False)
        page.goto(serve(folder)[0])
        expect(chips(page)).to_have_text(SERVER_WORDS)
        expect(switch(page)).to_be_hidden()


@pytest.mark.usefixtures("library")
def test_a_model_that_stops_to_load_leaves_the_server(page, serve, device_dir):
    page.goto(serve(device_dir)[0])
    page.route("**/ngrams.bin", lambda route: route.abort())
    switch(page).check()
    expect(state(page)).to_have_text("The model can't run in this browser: the server does not answer.")
    page.unroute("**/ngrams.bin")
    switch(page).check()
    expect(state(page)).to_have_text(READY)


# Damaged files


def damaged_ngrams(content):
    """Damaged files, by what is wrong."""
    arrays = load(content)
    metadata = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]

    def save_with(changed=None, **about):
        return save(arrays | (changed or {}), metadata | about)

    rng = random.Random(0)
    flipped = [bytearray(content) for _ in range(40)]
    for one in flipped:
        one[rng.randrange(600)] ^= 1 << rng.randrange(8)
    return {
        "empty": b"",
        "short": content[:-1],
        "no header": b"\xff" * 100,
        "web page": b"<!doctype html>" * 10,
        "deep header": (20_000).to_bytes(8, "little") + b"[" * 20_000,
        "version": save_with(version="2"),
        "vocabulary": save_with(vocab_size="11999"),
        "order": save_with(order="17"),
        "order is no number": save_with(order="many"),
        "missing level": save_with(order="4"),
        "tokens": save_with({"tokens_3": arrays["tokens_3"] | 0x8000}),
        "shares": save_with({"codebook_2": arrays["codebook_2"] * np.nan}),
        "probabilities": save_with({"probabilities_1": arrays["probabilities_1"] * 2}),
        "children": save_with({"num_children_2": arrays["num_children_2"] + np.uint8(1)}),
        "first children": save_with({"first_child_1": arrays["first_child_1"] + np.uint32(9)}),
        **{f"flipped bit {i}": bytes(one) for i, one in enumerate(flipped)},
    }


def test_damaged_ngrams_are_refused(page, serve, device_dir):
    page.goto(serve(device_dir)[0])
    content = (device_dir / "ngrams.bin").read_bytes()
    damaged = damaged_ngrams(content)
    code = """return given.map((text) => {
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            try { new m.Ngrams(bytes.buffer, 12000, 2); return null; } catch (error) { return error.message; }
        });"""
    encoded = [b64encode(one).decode() for one in [content, *damaged.values()]]
    accepted, *found = in_page(page, "ngrams.js", code, encoded)
    assert accepted is None
    problems = dict(zip(damaged, found))
    for name, problem in problems.items():
        if problem is None:
            # A bit of an unused part, such as a space, may differ.
            assert name.startswith("flipped"), name
        else:
            assert problem.startswith(("it is no", "it has", "it holds", "its ")), (name, problem)


@pytest.mark.parametrize("name", ["ngrams.bin", "model.int8.onnx", "tokenizer.json", "settings.json"])
@pytest.mark.usefixtures("library")
def test_a_damaged_file_is_told_in_one_sentence_and_the_server_answers(page, serve, device_dir, tmp_path, name):
    folder = shutil.copytree(device_dir, tmp_path / "device")
    (folder / name).write_bytes(b"\x00{hostile" * 50)
    page.goto(serve(folder)[0])
    switch(page).check()
    sentence = rf"The model can't run in this browser: {re.escape(name)} can't be read \(.*\): export the run again\."
    expect(state(page)).to_have_text(re.compile(sentence))
    expect(switch(page)).not_to_be_checked()
    page.locator("textarea").press_sequentially("so ")
    answered(page)
    expect(chips(page)).to_have_text(SERVER_WORDS)
    expect(page.locator("#error")).to_be_hidden()
