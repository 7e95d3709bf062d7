"""Different next words: their probabilities, their order, and how far each suggestion goes on."""

import math
from copy import deepcopy

import numpy as np
import pytest
import torch

from src.completion import GREEDY, WORDS, Completer, Decoding, complete
from src.text.word_search import WordSearch
from src.text.word_starts import WordStarts
from tests.completion.made_models import ALL_KINDS

PREFIXES = ["the weather today is so", "good morning", "i am"]
TYPED = ["", "t", "tod", "weathe", "2", "12b"]


def prompt_ids(tokenizer, text):
    bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    return bos + tokenizer(text, add_special_tokens=False)["input_ids"]


@torch.no_grad()
def log_probabilities(model, ids):
    return model(torch.tensor([ids])).logits[0, -1].log_softmax(dim=0).tolist()


class ByHand:
    """The probability of a word as a sum over all spellings, one forward pass for each."""

    def __init__(self, model, tokenizer, at_text_start=False):
        self.model = model
        tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
        starts = WordStarts(tokens, tokenizer.all_special_tokens)
        self.first, self.inside = starts.first, starts.inside
        # A lone space comes before a digit.
        self.first = self.first + ([] if starts.space_id is None else [("", starts.space_id)])
        if at_text_start and "Ġ" in "".join(tokens):
            self.first = self.inside

    def word(self, ids, rest, is_first=True, typed=""):
        """Probability that the word goes on with the letters `rest` and ends."""
        after = log_probabilities(self.model, ids)
        if rest == "":
            return 1 - sum(math.exp(after[i]) for _, i in self.inside)
        return sum(
            math.exp(after[i]) * self.word([*ids, i], rest[len(letters) :], is_first=False)
            for letters, i in (self.first if is_first else self.inside)
            if rest.startswith(letters) and (letters or typed or rest[0].isdigit())
        )

    def typed(self, ids, rest, is_first=True):
        """Probability that a word begins with the letters `rest`."""
        after = log_probabilities(self.model, ids)
        total = 0.0
        for letters, i in self.first if is_first else self.inside:
            if letters == "":
                parts = [rest] if rest else list("0123456789")
                total += math.exp(after[i]) * sum(self.typed([*ids, i], part, is_first=False) for part in parts)
            elif letters.startswith(rest):
                total += math.exp(after[i])
            elif rest.startswith(letters):
                total += math.exp(after[i]) * self.typed([*ids, i], rest[len(letters) :], is_first=False)
        return total


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("typed", TYPED)
def test_the_probability_of_a_word_is_the_sum_over_its_spellings(make, kind, typed, monkeypatch):
    # So many beams leave hardly anything out.
    monkeypatch.setattr("src.text.word_search.BEAMS_PER_SUGGESTION", 30)
    model, tokenizer = make(kind)
    by_hand = ByHand(model, tokenizer)
    [found] = Completer(model, tokenizer).complete([f"good morning {typed}"], 3, half_typed=True, max_new_tokens=2)
    ids = prompt_ids(tokenizer, "good morning")
    covered = by_hand.typed(ids, typed)
    words = [one.text.split(" ")[0] for one in found]
    assert all(word.startswith(typed) for word in words)
    for one, word in zip(found, words):
        # Longer words have too many spellings.
        if len(word) > 7:
            continue
        assert one.next_word_probability == pytest.approx(by_hand.word(ids, word, typed=typed) / covered, rel=0.06), (
            word
        )


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("typed", TYPED)
def test_words_are_different_and_sorted_and_a_typed_word_comes_last(make, kind, typed):
    completer = Completer(*make(kind, eos_bias=2.0))
    for found in completer.complete([f"{prefix} {typed}" for prefix in PREFIXES], 3, half_typed=True):
        words = [one.text.split(" ")[0] for one in found]
        assert len(set(words)) == 3
        probabilities = [one.next_word_probability for one in found]
        assert 0 < sum(probabilities) <= 1 + 1e-6
        rest = [p for word, p in zip(words, probabilities) if word != typed]
        assert rest == sorted(rest, reverse=True)
        assert typed not in words[:-1]


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_the_confidence_is_the_mean_log_probability_given_the_typed_letters(make, kind):
    model, tokenizer = make(kind, eos_bias=1.0)
    by_hand = ByHand(model, tokenizer)
    ids = prompt_ids(tokenizer, "good morning")
    completer = Completer(model, tokenizer)
    suggested = []
    search = completer.word_search.suggest
    completer.word_search.suggest = lambda *arguments: suggested.append(search(*arguments)) or suggested[-1]
    [[completion]] = completer.complete(["good morning"], max_new_tokens=8)
    [[[suggestion]]] = suggested
    total = sum(
        log_probabilities(model, ids + suggestion.token_ids[:i])[token] for i, token in enumerate(suggestion.token_ids)
    )
    expected = (total - math.log(by_hand.typed(ids, ""))) / len(suggestion.token_ids)
    assert completion.confidence == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_while_a_text_is_typed_a_suggestion_goes_on_as_long_as_it_is_probable(make, kind):
    model, tokenizer = make(kind)
    texts = {}
    for threshold in (0.0, 0.01, 1.0):
        completer = Completer(model, tokenizer, Decoding("words", min_probability=threshold))
        typed = completer.complete([f"{prefix} " for prefix in PREFIXES], 3, half_typed=True, max_new_tokens=8)
        texts[threshold] = [one.text for found in typed for one in found]
        complete = completer.complete(PREFIXES, 3, max_new_tokens=8)
        assert [one.text for found in complete for one in found] == texts[0.0]
    assert all(" " not in text for text in texts[1.0])
    for longest, middle, shortest in zip(*texts.values()):
        assert longest.startswith(middle) and middle.startswith(shortest)
    lengths = {threshold: sum(text.count(" ") for text in found) for threshold, found in texts.items()}
    assert lengths[0.0] >= lengths[0.01] >= lengths[1.0] == 0 < lengths[0.0]


def test_a_continuation_has_the_probability(make):
    model, tokenizer = make("lstm")
    by_hand = ByHand(model, tokenizer)
    threshold = 0.001
    completer = Completer(model, tokenizer, Decoding("words", min_probability=threshold))
    found = completer.complete([f"{prefix} " for prefix in PREFIXES], 8, half_typed=True, max_new_tokens=8)
    texts = [(prefix, one.text.split(" ")) for prefix, group in zip(PREFIXES, found) for one in group]
    assert any(len(words) > 1 for _, words in texts)
    for prefix, words in texts:
        ids = prompt_ids(tokenizer, f"{prefix} {words[0]}")
        continuation = prompt_ids(tokenizer, " ".join([prefix, *words]))[len(ids) :]
        if len(continuation) == 0:
            continue
        # The first word is known to end.
        ends = 1 - sum(math.exp(log_probabilities(model, ids)[token]) for _, token in by_hand.inside)
        steps = [log_probabilities(model, ids + continuation[:i])[token] for i, token in enumerate(continuation)]
        assert math.exp(sum(steps)) / ends >= threshold - 1e-6


# First words


@pytest.fixture
def make_with_bos(make):
    """As `make`, but every tokenizer has a token that begins a text."""

    def make_with_bos(kind, **settings):
        model, tokenizer = make(kind, **settings)
        if tokenizer.bos_token is None:
            tokenizer = deepcopy(tokenizer)
            tokenizer.bos_token = tokenizer.eos_token
        return model, tokenizer

    return make_with_bos


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_a_first_word_is_completed_after_the_token_that_begins_a_text(make_with_bos, kind, monkeypatch):
    monkeypatch.setattr("src.text.word_search.BEAMS_PER_SUGGESTION", 30)
    model, tokenizer = make_with_bos(kind)
    completer = Completer(model, tokenizer)
    by_hand = ByHand(model, tokenizer, at_text_start=True)
    for prefix, typed in [("", ""), ("@ada ", ""), ("  ", ""), ("goo", "goo"), ("@ada th", "th"), ("4", "4")]:
        [found] = completer.complete([prefix], 3, half_typed=True, max_new_tokens=2)
        assert len(found) == 3
        covered = by_hand.typed([tokenizer.bos_token_id], typed)
        for one in found:
            assert one.text.startswith(typed)
            word = one.text.split(" ")[0]
            if len(word) <= 6:
                expected = by_hand.word([tokenizer.bos_token_id], word, typed=typed) / covered
                assert one.next_word_probability == pytest.approx(expected, rel=0.06)
    assert completer.complete([""], 2)[0] == completer.complete(["!!!"], 2)[0]


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("method", ["greedy", "beam"])
def test_a_first_word_begins_with_a_token_that_the_tokenizer_writes_there(make_with_bos, kind, method):
    model, tokenizer = make_with_bos(kind)
    likely = log_probabilities(model, [tokenizer.bos_token_id])
    words = {word for token in tokenizer.get_vocab() if (word := token.strip("#Ġ")).isalnum() and word.isascii()}
    firsts = {tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in words}
    best = max(firsts, key=likely.__getitem__)
    # With one beam, both methods take the most probable token.
    [[found]] = Completer(model, tokenizer, Decoding(method, num_beams=1)).complete([""])
    assert found.text.startswith(tokenizer.decode([best]).strip("#").lower())
    # In the same call, other texts continue with a space.
    texts = ["", "good morning"]
    together = Completer(model, tokenizer, Decoding(method, num_beams=1)).complete(texts)
    alone = [Completer(model, tokenizer, Decoding(method, num_beams=1)).complete([text])[0] for text in texts]
    assert [found[0].text for found in together] == [found[0].text for found in alone]


@pytest.mark.parametrize("prefix", ["привет", "مرحبا", "日本語"])
def test_a_text_in_other_letters_is_not_taken_for_an_empty_one(make, prefix):
    completer = Completer(*make("lstm"))
    assert completer.completes_first_words
    with pytest.raises(ValueError, match="has no letters a to z"):
        completer.complete([prefix])


@pytest.mark.parametrize("prefix, typed", [("", False), ("", True), ("!!!", True), ("goo", True)])
def test_a_model_without_a_beginning_token_refuses_first_words(make, prefix, typed):
    completer = Completer(*make("gpt2"))
    assert not completer.completes_first_words
    with pytest.raises(ValueError, match="not trained to complete a first word"):
        completer.complete([prefix], half_typed=typed)


def test_words_is_the_default(make):
    model, tokenizer = make("lstm")
    expected = Completer(model, tokenizer, WORDS).complete(PREFIXES, 3)
    assert Completer(model, tokenizer).complete(PREFIXES, 3) == complete(model, tokenizer, PREFIXES, 3) == expected
    assert Completer(model, tokenizer, GREEDY).complete(PREFIXES, 3) != expected


class FixedReader:
    """A model that gives the same probabilities after every text, but none to the rest of a word."""

    def __init__(self, probabilities):
        self.probabilities = np.array(probabilities, dtype=np.float32)

    def knows(self, path):
        return not path.token_ids

    def read(self, paths):
        return [self.probabilities if not path.token_ids else np.eye(len(self.probabilities))[0] for path in paths]


def test_tokens_that_spell_only_some_of_the_typed_letters_do_not_displace_a_word():
    tokens = ["[EOS]", "m", "ma", "mag", "magi", "##c", "magic"]
    reader = FixedReader([0.1, 0.2, 0.2, 0.2, 0.2, 0.05, 0.05])
    search = WordSearch(WordStarts(tokens, ["[EOS]"]), eos_id=0)
    for typed in ("magic", "magi", "mag"):
        [found] = search.suggest(reader, [typed], n=3, max_new_tokens=5)
        assert "magic" in [one.word for one in found], typed
    [[best]] = search.suggest(reader, ["magic"], n=1, max_new_tokens=5)
    assert best.word == "magic" and best.word_log_probability == pytest.approx(0.0)
