"""The answers to the exercises of `compare.ipynb` run on a tiny model and are right."""

import pytest

from src.evaluation import ModelSystem, as_pairs, evaluate
from src.models.kneser_ney import KneserNeyLM
from src.recipe import token_datasets
from tests.exercises import answers


@pytest.fixture(scope="module")
def run(tokenizer, cleaned_texts):
    """A function that runs an answer with what the notebook has defined, and returns the names after it."""
    test_texts = [text for text in cleaned_texts if len(text.split()) >= 4]
    dataset, _ = token_datasets(tokenizer, cleaned_texts, cleaned_texts)
    model = KneserNeyLM.from_dataset(dataset, len(tokenizer), tokenizer.pad_token_id, tokenizer.eos_token_id, 3)
    names = ("LSTM", "LSTM with n-grams")
    evaluations = {name: evaluate(ModelSystem(name, model, tokenizer), test_texts) for name in names}
    defined = {
        "evaluations": evaluations,
        "evaluate": evaluate,
        "seed": 0,
        "targets": [pair.target for pair in as_pairs(test_texts)],
        "test_texts": test_texts,
        "train_texts": cleaned_texts,
    }

    def run(number: int) -> dict:
        found = dict(defined)
        exec(answers("compare")[number - 1], found)
        return found

    return run


def test_there_are_three_exercises():
    assert len(answers("compare")) == 3


def test_each_pair_gets_the_answer_of_the_next_one(run):
    names = run(1)
    given = names["evaluations"]["LSTM with n-grams"].answers
    assert names["moved"][:-1] == given[1:] and names["moved"][-1] == given[0]
    # The model has read the texts, so its own answers are better than those to other texts.
    assert 0 < names["share_of_luck"] < 1


def test_fewer_pairs_give_a_wider_interval(run):
    widths = run(2)["widths"]
    assert widths[0.25] > widths[1.0] > 0


def test_the_system_answers_with_a_word_that_followed_the_last_one(run):
    names = run(3)
    summary, system = names["one_word"], names["OneWord"]()
    assert "perplexity_per_word" not in summary and 0 < summary["next_word"].value <= 1
    # The texts are their own training texts here, so the most frequent follower is often right.
    [[best, *_]] = system.next_words([" ".join(names["train_texts"][5].split()[:2])])
    assert best in " ".join(names["train_texts"]).split()
    assert system.complete(["a word that is nowherexyz"])[0].text == ""
