"""The tables of the lessons show what the model and the batch hold."""

import math
import re

import numpy as np
import pytest
import torch

from src.adaptation import COMMITTED_RUN
from src.completion.completer import Completer
from src.completion.word_constraint import word_starts
from src.corpus.tokenization import load_tokenizer, train_tokenizer
from src.data_utils import clean_string, split_x_target_by_words
from src.examples import PROMPTS, RARE_TWEETS, TWEETS
from src.lstm_model import LSTMLM, LSTMConfig
from src.next_token_dataset import NextTokenDataset, collate_batch
from src.report.lessons import (
    compare_losses,
    mask_table,
    next_word_probabilities,
    sampled_softmax_table,
    token_loss_table,
    token_table,
)
from src.training.loss import token_frequencies, training_loss


@pytest.fixture
def dataset(tokenizer):
    ids = tokenizer.eos_token_id, tokenizer.bos_token_id
    return NextTokenDataset(TWEETS, tokenizer, ids[0], context_unit="words", bos_id=ids[1])


@pytest.fixture
def batch(dataset, tokenizer):
    return collate_batch([dataset[i] for i in range(4)], tokenizer.pad_token_id)


@pytest.fixture(scope="module")
def lstm(tokenizer):
    """An untrained LSTM whose probabilities are not all alike."""
    torch.manual_seed(0)
    ids = {name: getattr(tokenizer, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    model = LSTMLM(LSTMConfig(vocab_size=len(tokenizer), embedding_dim=16, hidden_dim=24, dropout=0.0, **ids)).eval()
    with torch.no_grad():
        model.lm_head.bias.normal_(std=2.0)
    return model


@pytest.mark.parametrize("kind", ["committed", "tiny", "trained on all examples"])
def test_every_tweet_of_rare_words_has_words_that_split(tokenizer, kind):
    if kind == "committed":
        tokenizer = load_tokenizer(COMMITTED_RUN)
    if kind == "trained on all examples":
        tokenizer = train_tokenizer([*map(clean_string, PROMPTS), *TWEETS], vocab_size=12_000)
    table = token_table(tokenizer, RARE_TWEETS)
    assert (table["number of tokens"] > table["words"]).all()
    assert table["tokens"].str.contains(" ##", regex=False).all()
    assert not table["tokens"].str.contains("[UNK]", regex=False).any()


def test_the_tokens_of_a_table_spell_its_texts(tokenizer):
    table = token_table(tokenizer, TWEETS)
    assert table["tokens"].str.replace(" ##", "").tolist() == list(TWEETS) == table["text"].tolist()
    assert table["number of tokens"].tolist() == [len(tokens.split()) for tokens in table["tokens"]]


def test_rare_tweets_are_clean():
    assert [clean_string(text) for text in RARE_TWEETS] == list(RARE_TWEETS)


def test_targets_are_bold_and_everything_else_is_grey(batch, tokenizer):
    table = mask_table(batch, tokenizer)
    rows = re.findall("<tr>(.*?)</tr>", table)
    assert len(rows) == 4
    for text, row in zip(TWEETS, rows):
        cells = re.findall("<td style=.*?</td>", row)
        tokens = [re.sub("<.*?>", "", cell) for cell in cells]
        _, target = split_x_target_by_words(text)
        bold = re.findall("<b>(.*?)</b>", row)
        assert bold == [*tokenizer.tokenize(target), tokenizer.eos_token]
        pads = [token for token in tokens if token == tokenizer.pad_token]
        assert tokens == [tokenizer.bos_token, *tokenizer.tokenize(text), tokenizer.eos_token, *pads]
        assert all(("color: #767676" in cell) != ("<b>" in cell) for cell in cells)
    assert len({row.count("<td") for row in rows}) == 1


def test_a_token_cannot_break_the_html(batch):
    class Tokens:
        def convert_ids_to_tokens(self, ids):
            return ["<b>&" for _ in ids]

    assert "&lt;b&gt;&amp;</td>" in mask_table(batch, Tokens())


def test_probabilities_of_target_tokens_give_the_loss(lstm, tokenizer, dataset):
    for i, text in enumerate(TWEETS):
        table = token_loss_table(lstm, tokenizer, text)
        _, target = split_x_target_by_words(text)
        assert table["token"].tolist() == [*tokenizer.tokenize(target), tokenizer.eos_token]
        np.testing.assert_allclose(np.log(table["probability"]), table["log_probability"], rtol=1e-5)
        expected = training_loss(lstm, collate_batch([dataset[i]], tokenizer.pad_token_id))
        assert -table["log_probability"].mean() == pytest.approx(expected.item(), rel=1e-5)


def test_a_uniform_guess_has_the_perplexity_of_the_vocabulary(tokenizer):
    model = LSTMLM(LSTMConfig(vocab_size=len(tokenizer), embedding_dim=8, hidden_dim=8, dropout=0.0)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    table = token_loss_table(model, tokenizer, TWEETS[0])
    assert math.exp(-table["log_probability"].mean()) == pytest.approx(len(tokenizer), rel=1e-5)


def test_the_mean_of_sampled_sums_is_the_sum_over_the_vocabulary(lstm, batch, dataset, tokenizer):
    frequencies = token_frequencies(dataset, len(tokenizer))
    options = {"num_samples": 60, "num_repeats": 4_000}
    table = sampled_softmax_table(lstm, batch, frequencies, **options)
    full, one, mean = (table.loc[name] for name in ("full vocabulary", "one sample", "mean of 4,000 samples"))
    assert full["tokens in the sum"] == len(tokenizer) and full["sum of exponentials"] == 1
    assert full["loss"] == pytest.approx(training_loss(lstm, batch).item(), rel=1e-5)
    assert one["tokens in the sum"] <= 60 and mean["tokens in the sum"] < len(tokenizer)
    assert mean["sum of exponentials"] == pytest.approx(1, abs=0.02)
    # The logarithm is concave, so the mean of the sampled losses is below the full loss.
    assert full["loss"] - 0.5 < mean["loss"] < full["loss"]


def test_samples_repeat_and_leave_the_global_random_state(lstm, batch, dataset, tokenizer):
    frequencies = token_frequencies(dataset, len(tokenizer))
    before = torch.get_rng_state()
    first, second = (sampled_softmax_table(lstm, batch, frequencies, 50, 3) for _ in range(2))
    assert first.equals(second) and torch.equal(torch.get_rng_state(), before)
    assert not first.equals(sampled_softmax_table(lstm, batch, frequencies, 50, 3, seed=1))


def test_next_words_have_the_probabilities_of_the_completer(lstm, tokenizer):
    text = "who wants to go to the beach"
    prefixes = [" ".join(text.split()[:i]) for i in range(1, 8)]
    suggestions = Completer(lstm, tokenizer).complete(prefixes, n=1)
    words = [row[0].text.split()[0] for row in suggestions]
    table = next_word_probabilities(lstm, tokenizer, text, words)
    assert table.index.tolist() == text.split() and table.columns.tolist() == words
    found = [table.iloc[i, i] for i in range(len(words))]
    # The completer's probability is that of the word, given that any new word follows.
    new_words = [i for _, i in word_starts(tokenizer, len(tokenizer)).first]
    expected = []
    for prefix, row in zip(prefixes, suggestions):
        ids = torch.tensor([[tokenizer.bos_token_id, *tokenizer.encode(prefix, add_special_tokens=False)]])
        with torch.no_grad():
            next_token = lstm(input_ids=ids).logits[0, -1].softmax(dim=0)
        expected.append(row[0].next_word_probability * next_token[new_words].sum().item())
    assert found == pytest.approx(expected, rel=0.01)


def test_the_probability_of_a_word_of_several_tokens_is_their_product(lstm, tokenizer):
    word = "hedgehog"
    ids = tokenizer.encode(word, add_special_tokens=False)
    assert len(ids) > 1
    context = [tokenizer.bos_token_id, *tokenizer.encode("the", add_special_tokens=False)]
    expected = 1.0
    with torch.no_grad():
        for i, token in enumerate(ids):
            logits = lstm(input_ids=torch.tensor([context + ids[:i]])).logits[0, -1]
            expected *= logits.softmax(dim=0)[token].item()
        after = lstm(input_ids=torch.tensor([context + ids])).logits[0, -1].softmax(dim=0)
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    expected *= 1 - sum(after[i].item() for i, token in enumerate(tokens) if token.startswith("##"))
    assert next_word_probabilities(lstm, tokenizer, "the", [word]).iloc[0, 0] == pytest.approx(expected, rel=1e-4)


def test_losses_are_compared_token_by_token_and_as_perplexities(lstm, tiny_lstm, tokenizer):
    before, after = (token_loss_table(model, tokenizer, TWEETS[0]) for model in (tiny_lstm, lstm))
    table = compare_losses(before, after)
    assert table["token"].tolist() == [*before["token"], "perplexity"]
    for name, losses in {"before": before, "after": after}.items():
        *probabilities, perplexity = table[name].str.replace(",", "").astype(float)
        assert probabilities == pytest.approx(losses["probability"].tolist(), abs=1e-5)
        assert perplexity == pytest.approx(math.exp(-losses["log_probability"].mean()), abs=0.06)
