"""The share of texts that a completer recites: worked examples, and n-grams that have read the texts or have not."""

import pytest

from src.completion import Completer, Decoding
from src.evaluation.memorisation import MIN_WORDS, recitable, recited_share
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
