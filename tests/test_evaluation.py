"""Behaviour of the scores: pairs, ROUGE, likelihood, intervals, timing and tables."""

import copy
import json
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from src import evaluation
from src.data_utils import split_x_target_by_words
from src.evaluation import (
    ROUGE_TYPES,
    Estimate,
    Evaluation,
    Pair,
    as_pairs,
    as_record,
    bootstrap,
    bootstrap_mean,
    completion_scores,
    evaluate,
    evaluation_texts,
    paired_difference,
    suggestion_seconds,
    summary_table,
    target_likelihood,
)

COLUMNS = [*ROUGE_TYPES, "exact_match", "next_word"]


def width(estimate):
    return estimate.high - estimate.low


def evaluation_of(scores, name="system", likelihood=None):
    return Evaluation(name, [""] * len(scores), pd.DataFrame({"rouge1": scores}), likelihood)


# Texts and pairs


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


def test_a_text_of_just_the_least_number_of_words_is_evaluated():
    texts = ["one", "one two", "one two three"]
    assert set(evaluation_texts(texts, 9, seed=0, min_words=2)) == {"one two", "one two three"}


@pytest.mark.parametrize("texts", [[], ["too short"] * 3])
def test_without_long_texts_there_is_nothing_to_evaluate_on(texts):
    with pytest.raises(ValueError, match=f"none of {len(texts)} texts has 4 words: there is nothing to evaluate on"):
        evaluation_texts(texts, 10, seed=0)


def test_pairs_are_cut_where_the_data_is_cut(cleaned_texts):
    assert as_pairs(["a b c d", "a b"]) == [Pair("a b c", "d"), Pair("a", "b")]
    assert [(pair.context, pair.target) for pair in as_pairs(cleaned_texts)] == [
        split_x_target_by_words(text) for text in cleaned_texts
    ]


# Scores of completions


def test_a_perfect_answer_scores_one_and_an_empty_one_zero(cleaned_texts):
    pairs = as_pairs(cleaned_texts)
    perfect = completion_scores([pair.target for pair in pairs], pairs)
    has_bigrams = [pair.target.count(" ") > 0 for pair in pairs]
    assert any(has_bigrams) and not all(has_bigrams)
    assert list(perfect.columns) == COLUMNS and len(perfect) == len(pairs)
    assert list(perfect["rouge2"]) == [float(has) for has in has_bigrams]
    assert (perfect.drop(columns="rouge2") == 1).all(axis=None)
    empty = completion_scores([""] * len(pairs), pairs)
    assert list(empty.columns) == COLUMNS and (empty == 0).all(axis=None)


@pytest.mark.parametrize(
    ("answer", "exact_match", "next_word"),
    [("to bed", 1, 1), ("to bed now", 0, 1), ("to", 0, 1), ("today", 0, 0), ("bed to", 0, 0), ("t", 0, 0), ("", 0, 0)],
)
def test_exact_match_and_next_word_by_hand(answer, exact_match, next_word):
    scores = completion_scores([answer], [Pair("time to go", "to bed")])
    assert (scores["exact_match"][0], scores["next_word"][0]) == (exact_match, next_word)


def test_rouge_by_hand():
    # One of two answered words is among the three of the target: precision 1/2, recall 1/3.
    scores = completion_scores(["love cats"], [Pair("i", "love my dogs")])
    assert scores.loc[0, list(ROUGE_TYPES)].tolist() == pytest.approx([0.4, 0, 0.4])
    # No stemmer: "dog" is not "dogs". The longest common subsequence in reversed words is one.
    scores = completion_scores(["dog", "dogs my love"], [Pair("i", "love my dogs")] * 2)
    assert scores[list(ROUGE_TYPES)].to_numpy() == pytest.approx(np.array([[0, 0, 0], [1, 0, 1 / 3]]))


SENTENCES = st.lists(st.sampled_from(["a", "b", "cats", "cat", "2moro"]), min_size=1, max_size=6).map(" ".join)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=4))
def test_rouge_equals_the_package_row_by_row(answers_and_targets):
    pairs = [Pair("i", target) for _, target in answers_and_targets]
    scores = completion_scores([answer for answer, _ in answers_and_targets], pairs)
    for i, (answer, target) in enumerate(answers_and_targets):
        expected = RougeScorer(ROUGE_TYPES, use_stemmer=False).score(target, answer)
        assert [scores.loc[i, name] for name in ROUGE_TYPES] == [expected[name].fmeasure for name in ROUGE_TYPES]


@pytest.mark.parametrize("num_answers", [0, 1, 3])
def test_every_pair_needs_one_answer(num_answers):
    with pytest.raises(ValueError, match=f"{num_answers} answers for 2 pairs: every pair needs one answer"):
        completion_scores(["x"] * num_answers, as_pairs(["a b", "c d"]))


# Likelihood


def split_ids(tokenizer, text):
    """Ids of the context, and of the target with its end."""
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
    # Words of many pieces, where three quarters of the words are not three quarters of the tokens.
    texts = [*cleaned_texts, "i am a jazzquixoticxylophone", "jazzquixoticxylophone i am a zzyzx q"]
    likelihood = target_likelihood(opinionated_lstm, tokenizer, texts)
    expected = []
    for text in texts:
        context, target = split_ids(tokenizer, text)
        with torch.no_grad():
            logits = opinionated_lstm(torch.tensor([context + target[:-1]])).logits[0]
        log_probabilities = logits.log_softmax(dim=1)[len(context) - 1 :]
        expected.append(-sum(float(row[token]) for row, token in zip(log_probabilities, target, strict=True)))
    # Texts differ by far more than the tolerance, so a wrong token or order would show.
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


def test_a_model_that_knows_nothing_has_the_perplexity_of_its_vocabulary(tiny_lstm, tokenizer, cleaned_texts):
    uniform = copy.deepcopy(tiny_lstm)
    with torch.no_grad():
        for parameter in uniform.parameters():
            parameter.zero_()
    nats = math.log(uniform.config.vocab_size)
    likelihood = target_likelihood(uniform, tokenizer, cleaned_texts)
    num_targets = np.array([len(split_ids(tokenizer, text)[1]) for text in cleaned_texts])
    assert likelihood["nll"].to_numpy() == pytest.approx(num_targets * nats, rel=1e-5)
    summary = evaluation_of([0.0] * len(cleaned_texts), likelihood=likelihood).summary(seed=0)
    num_words, num_characters = likelihood["words"].sum(), likelihood["characters"].sum()
    expected = math.exp(num_targets.sum() * nats / num_words)
    assert summary["perplexity_per_word"].value == pytest.approx(expected, rel=1e-4)
    expected = num_targets.sum() * math.log2(uniform.config.vocab_size) / num_characters
    assert summary["bits_per_character"].value == pytest.approx(expected, rel=1e-5)


# Intervals


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 10), min_size=1, max_size=40), st.integers(0, 100))
def test_an_interval_contains_its_mean(tenths, seed):
    scores = pd.Series(tenths) / 10
    estimate = bootstrap_mean(scores, seed)
    assert estimate.value == pytest.approx(scores.mean())
    assert scores.min() - 1e-9 <= estimate.low <= estimate.value + 1e-9
    assert estimate.value - 1e-9 <= estimate.high <= scores.max() + 1e-9
    assert estimate.n == len(scores)


def test_an_interval_depends_on_its_seed_alone():
    scores = pd.Series(np.random.default_rng(0).random(50))
    assert bootstrap_mean(scores, seed=1) == bootstrap_mean(scores, seed=1)
    assert bootstrap_mean(scores, seed=1) != bootstrap_mean(scores, seed=2)


@pytest.mark.parametrize("scores", [[0.1] * 30, [0.7]])
def test_constant_scores_have_no_width(scores):
    estimate = bootstrap_mean(pd.Series(scores), seed=0)
    assert estimate == Estimate(pytest.approx(scores[0]), estimate.value, estimate.value, len(scores))


def test_an_interval_of_a_mean_is_as_wide_as_the_normal_approximation():
    scores = pd.Series(np.random.default_rng(0).normal(5, 2, size=400))
    estimate = bootstrap_mean(scores, seed=0)
    assert width(estimate) == pytest.approx(2 * 1.96 * scores.std() / math.sqrt(400), rel=0.1)
    assert width(bootstrap_mean(scores[:100], seed=0)) == pytest.approx(2 * width(estimate), rel=0.15)


def test_an_interval_covers_the_true_mean_in_95_of_100_data_sets(monkeypatch):
    monkeypatch.setattr(evaluation, "NUM_RESAMPLES", 400)
    rng = np.random.default_rng(0)
    estimates = [bootstrap_mean(pd.Series(rng.random(60)), seed) for seed in range(400)]
    covered = np.mean([estimate.low <= 0.5 <= estimate.high for estimate in estimates])
    # Of 400 data sets 0.95 has a standard error of 0.011.
    assert 0.92 <= covered <= 0.98


def test_any_statistic_can_be_resampled():
    weights, values = np.array([1.0, 3.0, 2.0, 2.0]), np.array([5.0, 1.0, 4.0, 4.0])
    estimate = bootstrap(lambda rows: (weights * values)[rows].sum() / weights[rows].sum(), 4, seed=0)
    assert estimate.value == pytest.approx((5 + 3 + 8 + 8) / 8)
    assert 1 <= estimate.low < estimate.value < estimate.high <= 5


def correlated_evaluations():
    rng = np.random.default_rng(0)
    difficulty = rng.random(200)
    better = evaluation_of(difficulty + 0.05 + rng.normal(0, 0.02, 200))
    return better, evaluation_of(difficulty + rng.normal(0, 0.02, 200))


def test_a_system_does_not_differ_from_itself():
    system, _ = correlated_evaluations()
    assert paired_difference(system, system, "rouge1", seed=0) == Estimate(0.0, 0.0, 0.0, 200)


def test_a_paired_difference_is_first_minus_second():
    better, worse = correlated_evaluations()
    difference = paired_difference(better, worse, "rouge1", seed=0)
    assert difference.value == pytest.approx(better.scores["rouge1"].mean() - worse.scores["rouge1"].mean())
    assert 0 < difference.low < difference.value < difference.high < 0.1
    opposite = paired_difference(worse, better, "rouge1", seed=0)
    assert (opposite.value, opposite.low, opposite.high) == pytest.approx(
        (-difference.value, -difference.high, -difference.low)
    )


def test_pairing_narrows_the_interval_of_correlated_scores():
    better, worse = correlated_evaluations()
    paired = paired_difference(better, worse, "rouge1", seed=0)
    other_order = evaluation_of(worse.scores["rouge1"].sample(frac=1, random_state=0).to_numpy())
    unpaired = paired_difference(better, other_order, "rouge1", seed=0)
    assert paired.value == pytest.approx(unpaired.value)
    assert width(paired) < width(unpaired) / 5


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(0.12345, 0.1, 0.2, 9), "0.123 (0.100 to 0.200)"),
        (Estimate(-0.5, -0.75, -0.25, 9), "-0.500 (-0.750 to -0.250)"),
        (Estimate(123.4, 99.6, 150.2, 9), "123 (100 to 150)"),
    ],
)
def test_an_estimate_reads_with_its_interval(estimate, text):
    assert str(estimate) == text


# Whole evaluations


def likelihood_by_hand():
    return pd.DataFrame({"nll": [2.0, 4.0], "words": [2, 3], "characters": [6, 10]})


def test_a_summary_has_likelihoods_only_where_there_are_any():
    scores = completion_scores(["x", "y"], [Pair("a", "x"), Pair("b", "z")])
    without = Evaluation("floor", ["x", "y"], scores).summary(seed=0)
    assert list(without) == COLUMNS
    summary = Evaluation("model", ["x", "y"], scores, likelihood_by_hand()).summary(seed=0)
    assert list(summary) == [*COLUMNS, "perplexity_per_word", "bits_per_character"]
    assert {name: summary[name] for name in COLUMNS} == without
    assert without["exact_match"] == Estimate(0.5, 0.0, 1.0, 2)
    perplexity, bits = summary["perplexity_per_word"], summary["bits_per_character"]
    assert perplexity.value == pytest.approx(math.exp(6 / 5))
    assert (perplexity.low, perplexity.high) == pytest.approx((math.exp(1), math.exp(4 / 3)))
    assert bits.value == pytest.approx(6 / 16 / math.log(2))
    assert (bits.low, bits.high) == pytest.approx((2 / 6 / math.log(2), 4 / 10 / math.log(2)))
    assert perplexity.n == bits.n == 2


def test_a_system_is_asked_for_the_contexts_only(tiny_lstm, tokenizer):
    texts = ["i want to sleep", "the cat is on the bus to town"]
    asked = []

    def answer(contexts):
        asked.append(contexts)
        return ["sleep", "the town"]

    found = evaluate("system", answer, texts, tiny_lstm, tokenizer)
    assert asked == [["i want to", "the cat is on the bus"]]
    assert (found.name, found.answers) == ("system", ["sleep", "the town"])
    pd.testing.assert_frame_equal(found.scores, completion_scores(["sleep", "the town"], as_pairs(texts)))
    pd.testing.assert_frame_equal(found.likelihood, target_likelihood(tiny_lstm, tokenizer, texts))
    assert evaluate("system", answer, texts).likelihood is None


def test_a_system_that_leaves_an_answer_out_is_refused():
    with pytest.raises(ValueError, match="1 answers for 2 pairs"):
        evaluate("system", lambda contexts: ["x"], ["a b", "c d"])


def test_a_table_has_one_row_for_each_system():
    systems = [evaluation_of([0.0, 0.0], "floor"), evaluation_of([0.5, 0.5], "lstm", likelihood_by_hand())]
    table = summary_table(systems, seed=0)
    columns = ["rouge1", "perplexity_per_word", "bits_per_character"]
    assert (list(table.index), list(table.columns)) == (["floor", "lstm"], columns)
    assert list(table.loc["floor"]) == ["0.000 (0.000 to 0.000)", "", ""]
    expected = systems[1].summary(seed=0)
    assert list(table.loc["lstm"]) == [str(expected[name]) for name in columns]
    # Whatever the order of the systems, a missing score is an empty cell.
    assert summary_table(systems[::-1], seed=0)[columns].equals(table.iloc[::-1])


def test_a_record_survives_json():
    summary = evaluation_of([0.25, 0.75], likelihood=likelihood_by_hand()).summary(seed=0)
    record = json.loads(json.dumps(as_record(summary)))
    assert {name: Estimate(**values) for name, values in record.items()} == summary


# Timing


def test_systems_take_turns_and_the_first_prefix_is_not_counted(monkeypatch):
    now, calls = 0.0, []
    monkeypatch.setattr(evaluation, "time", SimpleNamespace(perf_counter=lambda: now))

    def system(name, durations):
        durations = iter(durations)

        def answer(prefixes):
            nonlocal now
            calls.append((name, prefixes))
            now += next(durations)
            return ["x"]

        return answer

    # Medians of 1, 4, 2 and of 30, 20, 70.
    systems = {"fast": system("fast", [100, 1, 4, 2]), "slow": system("slow", [1000, 30, 20, 70])}
    assert suggestion_seconds(systems, ["a", "b", "c", "d"]) == pytest.approx({"fast": 2, "slow": 30})
    assert calls == [(name, [prefix]) for prefix in "abcd" for name in ("fast", "slow")]
