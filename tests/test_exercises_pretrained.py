"""The answers to the exercises of `solution_pretrained.ipynb` run on a tiny transformer and are right."""

import math

import pandas as pd
import pytest

from src.data_utils import clean_string
from src.evaluation.evaluate import evaluate
from src.evaluation.systems import ModelSystem
from src.examples import TWEETS
from src.models.pretrained import load_pretrained
from src.next_token_dataset import NextTokenDataset
from src.training.loss import dataset_nll
from src.training.train import TrainingSettings, train
from tests.exercises import answers


@pytest.fixture
def lm(distilgpt2_path):
    return load_pretrained(distilgpt2_path, device="cpu")


def run(number: int, **defined) -> dict:
    """Run an answer with some names of the notebook, and return the names after it."""
    exec(answers("solution_pretrained")[number - 1], defined)
    return defined


def test_there_are_three_exercises():
    assert len(answers("solution_pretrained")) == 3


def test_rare_words_need_more_tokens(lm, tokenizer):
    known, rare = [clean_string(text) for text in TWEETS], ["hedgehogs accordion marshmallowing"]
    tokenizers = {"LSTM": tokenizer, lm.name: lm.tokenizer}
    tokens = run(1, pd=pd, tokenizers=tokenizers, TWEETS=known, RARE_TWEETS=rare)["tokens"]
    # No token spans two words, so a word is at least one token.
    assert (tokens >= 1).all(axis=None) and (tokens.loc["TWEETS"] < tokens.loc["RARE_TWEETS"]).all()


def test_scores_by_hand_are_those_of_the_table(lm, cleaned_texts):
    before = evaluate(ModelSystem("before", lm.model, lm.tokenizer), cleaned_texts[:20])
    found, summary = run(2, math=math, before=before), before.summary(seed=0)
    assert found["bits_per_character"] == pytest.approx(summary["bits_per_character"].value)
    assert found["perplexity_per_word"] == pytest.approx(summary["perplexity_per_word"].value)
    assert found["mean_of_tweets"] != pytest.approx(found["bits_per_character"])


def test_one_layer_learns_and_the_others_stay(lm, distilgpt2_path, made_up_tweets, tmp_path):
    eos_id, pad_id = lm.tokenizer.eos_token_id, lm.tokenizer.pad_token_id
    datasets = [
        NextTokenDataset(texts, lm.tokenizer, eos_id, context_unit="words", bos_id=lm.tokenizer.bos_token_id)
        for texts in (made_up_tweets[:200], made_up_tweets[200:240])
    ]
    settings = TrainingSettings(learning_rate=1e-2, batch_size=32, max_epochs=1, eval_steps=0.5, num_sampled_tokens=0)
    found = run(
        3,
        load_pretrained=load_pretrained,
        train=train,
        model_name=str(distilgpt2_path),
        data_dir=str(tmp_path),
        models_dir=str(tmp_path),
        datasets=datasets,
        settings=settings,
    )
    trained, untrained = found["again"].model.cpu(), lm.model
    changed = {
        name
        for (name, p), q in zip(trained.named_parameters(), untrained.parameters())
        if not (p.detach() == q.detach()).all()
    }
    of_last_layer = {id(parameter) for parameter in found["layers"][-1].parameters()}
    trainable = {name for name, parameter in trained.named_parameters() if id(parameter) in of_last_layer}
    assert changed and changed <= trainable
    nll, num_targets = dataset_nll(untrained, datasets[1], 32, pad_id)
    assert found["last_layer"].best_val_loss < nll.sum() / num_targets.sum()
