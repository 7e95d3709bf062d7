"""The evaluation: pairs, likelihood, evaluations of a system and coverage."""

import copy
import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from src.completion.completer import complete
from src.completion.decoding import GREEDY
from src.data_utils import split_x_target_by_words
from src.evaluation.evaluate import (
    Evaluation,
    evaluate,
    evaluation_texts,
    paired_difference,
)
from src.evaluation.intervals import Estimate, estimate
from src.evaluation.metrics import QUARTER, answer_scores, next_word_scores
from src.evaluation.systems import ModelSystem, Pair, as_pairs, target_likelihood
from src.text.prefixes import Completion


class Parrot:
    """A system that gives prepared answers and records the prefixes it is asked for."""

    name = "parrot"

    def __init__(self, suggestions, next_words=None, likelihood=None):
        self.suggestions, self.words, self.table = suggestions, next_words, likelihood
        self.asked = []

    def complete(self, prefixes):
        self.asked.append(list(prefixes))
        return [Completion(text, confidence) for text, confidence in self.suggestions]

    def next_words(self, prefixes):
        self.asked.append(list(prefixes))
        return self.words or [[text.split(" ")[0]] for text, _ in self.suggestions]

    def likelihood(self, texts):
        return self.table


def evaluation_of(answers, targets, confidence=None, likelihood=None, name="system"):
    next_words = [[answer.split(" ")[0]] for answer in answers]
    scores = answer_scores(answers, targets).join(next_word_scores(next_words, targets))
    return Evaluation(name, answers, np.array(confidence or [0.0] * len(answers)), scores, likelihood)


# Texts and pairs


@pytest.mark.parametrize("texts", [[], (), np.array([], dtype=object), pd.Series([], dtype=object)])
def test_an_evaluation_on_nothing_is_refused(texts):
    with pytest.raises(ValueError, match=r"^no texts to evaluate parrot on: give at least one$"):
        evaluate(Parrot([]), texts)


def test_evaluation_texts_are_long_enough_seeded_and_not_repeated(cleaned_texts):
    long_enough = {text for text in cleaned_texts if len(text.split(" ")) >= 4}
    chosen = evaluation_texts(cleaned_texts, 20, seed=1)
    assert len(chosen) == len(set(chosen)) == 20
    assert set(chosen) <= long_enough < set(cleaned_texts)
    assert chosen == evaluation_texts(cleaned_texts, 20, seed=1)
    assert chosen != evaluation_texts(cleaned_texts, 20, seed=2)
    assert chosen == evaluation_texts(cleaned_texts, 40, seed=1)[:20]
    everything = evaluation_texts(cleaned_texts, 10_000, seed=1)
    assert len(everything) == len(long_enough) and set(everything) == long_enough


def test_a_text_of_exactly_min_words_is_evaluated():
    texts = ["one", "one two", "one two three"]
    assert set(evaluation_texts(texts, 9, seed=0, min_words=2)) == {"one two", "one two three"}


@pytest.mark.parametrize("texts", [[], ["too short"] * 3])
def test_texts_that_are_all_too_short_are_refused(texts):
    with pytest.raises(ValueError, match=f"none of {len(texts)} texts has 4 words: give longer texts"):
        evaluation_texts(texts, 10, seed=0)


@given(st.integers(0, 12), st.integers(1, 12), st.integers(1, 20))
def test_skipped_texts_are_the_first_of_the_order_or_none(num_skipped, max_texts, num_texts):
    texts = [f"a b c {i}" for i in range(num_texts)]
    chosen = evaluation_texts(texts, max_texts, seed=3, num_skipped=num_skipped)
    # The number of texts does not depend on how many are skipped.
    assert len(chosen) == min(max_texts, num_texts)
    in_order = evaluation_texts(texts, num_texts, seed=3)
    enough = num_skipped + max_texts <= num_texts
    assert chosen == (in_order[num_skipped:] if enough else in_order)[:max_texts]
    if enough:
        assert not set(chosen) & set(evaluation_texts(texts, num_skipped, seed=3))


def test_pairs_are_split_as_the_data_is(cleaned_texts):
    assert as_pairs(["a b c d", "a b"]) == [Pair("a b c", "d"), Pair("a", "b")]
    assert [(pair.context, pair.target) for pair in as_pairs(cleaned_texts)] == [
        split_x_target_by_words(text) for text in cleaned_texts
    ]


# Likelihood


def split_ids(tokenizer, text):
    """The token ids of the context, and those of the target and its end."""
    context, target = tokenizer(list(split_x_target_by_words(text)), add_special_tokens=False)["input_ids"]
    return context, [*target, tokenizer.eos_token_id]


@pytest.fixture(scope="module")
def opinionated_lstm(tiny_lstm):
    """The tiny model with weights so large that its tokens have very different probabilities."""
    model = copy.deepcopy(tiny_lstm)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
        model.lm_head.bias.copy_(torch.randn(model.config.vocab_size, generator=torch.Generator().manual_seed(0)))
    return model


def test_likelihood_equals_the_logits_of_forward_text_by_text(opinionated_lstm, tokenizer, cleaned_texts):
    # With words of many tokens, 75% of the words are not 75% of the tokens.
    texts = [*cleaned_texts, "i am a jazzquixoticxylophone", "jazzquixoticxylophone i am a zzyzx q"]
    likelihood = target_likelihood(opinionated_lstm, tokenizer, texts)
    expected = []
    for text in texts:
        context, target = split_ids(tokenizer, text)
        with torch.no_grad():
            logits = opinionated_lstm(torch.tensor([[tokenizer.bos_token_id, *context, *target[:-1]]])).logits[0]
        log_probabilities = logits.log_softmax(dim=1)[len(context) :]
        expected.append(-sum(float(row[token]) for row, token in zip(log_probabilities, target, strict=True)))
    # Texts differ by far more than the tolerance, so a wrong token or a wrong order fails the test.
    assert np.std(expected) > 1
    assert likelihood["nll"].to_numpy() == pytest.approx(np.array(expected), rel=1e-4)


def test_the_units_count_the_words_and_characters_of_the_target_and_its_end(tiny_lstm, tokenizer, cleaned_texts):
    likelihood = target_likelihood(tiny_lstm, tokenizer, ["a b c dog", "i am so very very very tired today", "go on"])
    assert list(likelihood["words"]) == [2, 3, 2]
    assert list(likelihood["characters"]) == [4, len("tired today") + 1, 3]
    likelihood = target_likelihood(tiny_lstm, tokenizer, cleaned_texts)
    targets = [split_x_target_by_words(text)[1] for text in cleaned_texts]
    assert list(likelihood["words"]) == [len(target.split(" ")) + 1 for target in targets]
    assert list(likelihood["characters"]) == [len(target) + 1 for target in targets]


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_the_batch_size_does_not_matter(opinionated_lstm, tokenizer, cleaned_texts, batch_size):
    expected = target_likelihood(opinionated_lstm, tokenizer, cleaned_texts)
    likelihood = target_likelihood(opinionated_lstm, tokenizer, cleaned_texts, batch_size)
    pd.testing.assert_frame_equal(likelihood, expected, rtol=1e-4)


def test_a_uniform_model_has_the_perplexity_of_its_vocabulary(tiny_lstm, tokenizer, cleaned_texts):
    uniform = copy.deepcopy(tiny_lstm)
    with torch.no_grad():
        for parameter in uniform.parameters():
            parameter.zero_()
    nats = math.log(uniform.config.vocab_size)
    likelihood = target_likelihood(uniform, tokenizer, cleaned_texts)
    num_targets = np.array([len(split_ids(tokenizer, text)[1]) for text in cleaned_texts])
    assert likelihood["nll"].to_numpy() == pytest.approx(num_targets * nats, rel=1e-5)
    answers = ["x"] * len(cleaned_texts)
    summary = evaluation_of(answers, answers, likelihood=likelihood).summary(seed=0)
    num_words, num_characters = likelihood["words"].sum(), likelihood["characters"].sum()
    expected = math.exp(num_targets.sum() * nats / num_words)
    assert summary["perplexity_per_word"].value == pytest.approx(expected, rel=1e-4)
    expected = num_targets.sum() * math.log2(uniform.config.vocab_size) / num_characters
    assert summary["bits_per_character"].value == pytest.approx(expected, rel=1e-5)


# Evaluations of a system


def likelihood_by_hand():
    return pd.DataFrame({"nll": [2.0, 4.0], "words": [2, 3], "characters": [6, 10]})


def test_a_summary_has_likelihood_metrics_only_for_a_system_with_probabilities():
    without = evaluation_of(["x", "y"], ["x", "z w"]).summary(seed=0)
    summary = evaluation_of(["x", "y"], ["x", "z w"], likelihood=likelihood_by_hand()).summary(seed=0)
    assert summary.keys() - without.keys() == {"perplexity_per_word", "bits_per_character"}
    assert without["exact_match"] == Estimate(0.5, 0.0, 1.0, 2)
    assert without["exact_match_2"].n == 1
    assert "exact_match_3" not in without
    assert without["length_ratio"].value == pytest.approx(2 / 3)
    perplexity, bits = summary["perplexity_per_word"], summary["bits_per_character"]
    assert perplexity.value == pytest.approx(math.exp(6 / 5))
    assert (perplexity.low, perplexity.high) == pytest.approx((math.exp(1), math.exp(4 / 3)))
    assert bits.value == pytest.approx(6 / 16 / math.log(2))
    assert (bits.low, bits.high) == pytest.approx((2 / 6 / math.log(2), 4 / 10 / math.log(2)))
    assert perplexity.n == bits.n == 2


def test_a_system_sees_only_the_contexts():
    texts = ["i want to sleep", "the cat is on the bus to town"]
    table = likelihood_by_hand()
    system = Parrot([("sleep", -1.0), ("the town", -2.0)], [["eat", "sleep"], ["a", "b", "to"]], table)
    found = evaluate(system, texts)
    assert system.asked == [["i want to", "the cat is on the bus"]] * 2
    assert (found.name, found.answers, found.confidence.tolist()) == ("parrot", ["sleep", "the town"], [-1.0, -2.0])
    assert found.scores["rouge1"].tolist() == [1.0, 0.5]
    assert found.scores["next_word"].tolist() == [0.0, 0.0]
    assert found.scores["next_word_top3"].tolist() == [1.0, 1.0]
    assert found.likelihood is table


def test_a_system_that_omits_an_answer_is_refused():
    with pytest.raises(ValueError, match="1 answers for 2 targets"):
        evaluate(Parrot([("x", 0.0)]), ["a b", "c d"])


def test_a_model_answers_with_complete_and_has_the_likelihood_of_the_targets(
    opinionated_lstm, tokenizer, cleaned_texts
):
    texts = evaluation_texts(cleaned_texts, 12, seed=0)
    contexts = [pair.context for pair in as_pairs(texts)]
    found = evaluate(ModelSystem("LSTM", opinionated_lstm, tokenizer), texts)
    expected = [row[0] for row in complete(opinionated_lstm, tokenizer, contexts, decoding=GREEDY)]
    assert found.answers == [completion.text for completion in expected]
    assert found.confidence.tolist() == [completion.confidence for completion in expected]
    pd.testing.assert_frame_equal(found.likelihood, target_likelihood(opinionated_lstm, tokenizer, texts))
    # The next word is the most probable one, whatever the decoding.
    targets = [pair.target for pair in as_pairs(texts)]
    first_words = [[row[0].text.split(" ")[0]] for row in complete(opinionated_lstm, tokenizer, contexts)]
    assert found.scores["next_word"].tolist() == next_word_scores(first_words, targets)["next_word"].tolist()


def test_a_paired_difference_is_first_minus_second():
    better = evaluation_of(["x", "y", "z", "w"], list("xyzv"), name="better")
    worse = evaluation_of(["x", "x", "x", "w"], list("xyzv"), name="worse")
    found = paired_difference(better, worse, "rouge1", seed=0)
    assert found.value == pytest.approx(0.5)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_coverage_shows_the_most_confident_answers_first():
    confidence = [-1.0, -4.0, -2.0, -3.0]
    system = evaluation_of(["x", "y", "no", "w"], ["x", "y", "z", "w"], confidence)
    shares = {c: estimate(system.exact_match_at(c), seed=0) for c in (0.01, 0.25, 0.5, 0.75, 1.0)}
    assert [found.value for found in shares.values()] == pytest.approx([1, 1, 1 / 2, 2 / 3, 3 / 4])
    assert [found.n for found in shares.values()] == [1, 1, 2, 3, 4]
    assert system.summary(seed=0)[QUARTER] == shares[0.25]


def test_answers_of_undefined_confidence_are_shown_last():
    system = evaluation_of(["x", "y", "z", "no"], list("xyzw"), [math.nan, math.nan, math.nan, -9.0])
    assert system.ratios()[QUARTER].value == 0


def test_the_quarter_of_some_pairs_is_that_of_these_pairs():
    system = evaluation_of([*"xy", *["no"] * 6], [*"xyzw"] * 2, [-8.0, -7.0, -6.0, -5.0, -4.0, -3.0, -2.0, -1.0])
    assert system.ratios()[QUARTER].value == 0
    assert system.of_pairs(np.arange(8) < 2).ratios()[QUARTER].value == 1
