"""The share of texts that a completer recites: worked examples, and n-grams that have read the texts or have not."""

import pytest

from src.completion import Completer, Decoding
from src.evaluation.memorisation import (
    MIN_TEXTS,
    MIN_WORDS,
    PREFIX_WORDS,
    RECITED_WORDS,
    recitable,
    recited_by_prefix,
    recited_share,
)
from src.models.kneser_ney import KneserNeyLM
from src.next_token_dataset import NextTokenDataset
from src.text.prefixes import Completion

KNOWN = "so my dog wants tea again today"


class Reciter:
    """Continues one text from the first half of its words, and everything else with one word."""

    completes_first_words = True

    def __init__(self, ending="tea again today"):
        self.ending, self.asked = ending, []

    def complete(self, prefixes, n=1, half_typed=False, max_new_tokens=20):
        self.asked += [(prefix, n, half_typed, max_new_tokens) for prefix in prefixes]
        answers = {"so my dog": f"wants {self.ending}"}
        return [[Completion(answers.get(prefix, "nothing"), 0.0)] for prefix in prefixes]


def test_a_text_counts_only_if_its_second_half_is_answered_exactly():
    others = ["the cat sat on the mat", "so my dog sleeps all the day"]
    share = recited_share(Reciter(), [KNOWN, *others], seed=0)
    assert share.value == pytest.approx(1 / 3) and share.n == 3
    assert 0 <= share.low <= share.value <= share.high <= 1
    for ending in ("tea again", "tea again today and tomorrow", "tea again toda"):
        assert recited_share(Reciter(ending), [KNOWN, *others], seed=0).value == 0


def test_the_prefix_is_the_first_half_and_the_answer_may_be_long_enough():
    completer = Reciter()
    long_words = "one two three " + " ".join(["x" * 30] * 4)
    recited_share(completer, [KNOWN, long_words], seed=0)
    [(first, *request), (second, *_)] = completer.asked
    assert (first, second) == ("so my dog", "one two three")
    # A token for each character, also of the longest half.
    assert request[:2] == [1, False] and request[2] >= len(" ".join(["x" * 30] * 4))


def test_short_texts_do_not_count():
    texts = ["good morning all of you", KNOWN, "one two three four five six"]
    assert recitable(texts) == texts[1:]
    assert all(len(text.split()) >= MIN_WORDS for text in recitable(texts))
    assert recited_share(Reciter(), texts, seed=0).n == 2
    with pytest.raises(ValueError, match="none of 1 texts has 6 words: give longer texts"):
        recited_share(Reciter(), texts[:1], seed=0)


def test_n_grams_of_long_contexts_recite_what_they_have_read(tokenizer, cleaned_texts):
    long_texts = recitable(cleaned_texts)
    read, unread = long_texts[::2], long_texts[1::2]
    dataset = NextTokenDataset(read, tokenizer, tokenizer.eos_token_id, bos_id=tokenizer.bos_token_id)
    model = KneserNeyLM.from_dataset(dataset, len(tokenizer), tokenizer.pad_token_id, tokenizer.eos_token_id, 8)
    completer = Completer(model, tokenizer, Decoding("greedy"))
    assert recited_share(completer, read, seed=0).value > 0.9
    assert recited_share(completer, unread, seed=0).value == 0


class Rememberer:
    """Continues its texts to their end from any prefix of at least so many words, and everything else with one word."""

    completes_first_words = True

    def __init__(self, texts, min_words, added=""):
        self.texts, self.min_words, self.added, self.limits = texts, min_words, added, []

    def complete(self, prefixes, n=1, half_typed=False, max_new_tokens=20):
        self.limits.append(max_new_tokens)
        return [[Completion(self.rest_of(prefix), 0.0)] for prefix in prefixes]

    def rest_of(self, prefix):
        known = [text for text in self.texts if text.startswith(f"{prefix} ")]
        if not known or len(prefix.split()) < self.min_words:
            return "nothing"
        return known[0].removeprefix(f"{prefix} ") + self.added


LONG = [" ".join(f"{word}{i}" for word in "abcdefghijklmnop") for i in range(MIN_TEXTS)]


def values(shares):
    return {length: share["value"] for length, share in shares.items()}


@pytest.mark.parametrize("min_words", [1, 4, 12, 13])
def test_the_share_by_prefix_tells_how_many_words_are_needed(min_words):
    record = recited_by_prefix({"it": Rememberer(LONG, min_words)}, {"training": LONG}, 100, seed=0)
    expected = {str(length): float(length >= min_words) for length in PREFIX_WORDS}
    assert values(record["training"]["it"]) == expected
    assert {share["n"] for share in record["training"]["it"].values()} == {len(LONG)}


def test_the_next_words_count_and_what_comes_after_them_does_not():
    texts = {"training": LONG, "test": [text.upper() for text in LONG]}
    # With the longest prefix, the next words are the last ones of these texts.
    whole, glued = Rememberer(LONG, 1, " and more"), Rememberer(LONG, 1, "x")
    record = recited_by_prefix({"whole": whole, "glued": glued}, texts, 100, seed=0)
    assert set(values(record["training"]["whole"]).values()) == {1.0}
    assert set(values(record["test"]["whole"]).values()) == {0.0}
    *shorter, longest = values(record["training"]["glued"]).values()
    assert set(shorter) == {1.0} and longest == 0.0
    # A token for each character of the words to recite.
    assert min(whole.limits) >= len(" ".join(["a0"] * RECITED_WORDS))


def test_the_same_texts_are_tried_with_every_length_and_few_long_texts_are_left_out():
    short = [" ".join(text.split()[:-1]) for text in LONG]
    texts = {"training": [*short, *LONG], "validation": [*short, *LONG[1:]], "test": []}
    record = recited_by_prefix({"it": Rememberer(LONG[:2], 1)}, texts, 100, seed=0)
    assert list(record) == ["training"]
    assert set(values(record["training"]["it"]).values()) == {2 / len(LONG)}
    sample = recited_by_prefix({"it": Rememberer(LONG, 1)}, texts, 2, seed=0)
    assert {share["n"] for share in sample["training"]["it"].values()} == {2}
