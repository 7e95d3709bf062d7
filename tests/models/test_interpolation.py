"""A neural and an n-gram model together: the weighted mean of both, in scoring and in every decoding."""

from copy import deepcopy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from src.completion.completer import complete
from src.completion.decoding import Decoding
from src.completion.prefix_memory import PrefixMemory
from src.corpus.tokenization import encode
from src.evaluation.selection import choose_weight
from src.evaluation.systems import target_likelihood
from src.models.interpolation import InterpolatedLM, interpolated
from src.models.kneser_ney import KneserNeyLM
from src.next_token_dataset import IGNORE_INDEX, NextTokenDataset, collate_batch
from src.training.loss import dataset_nll
from tests.budget import examples

PREFIXES = ["the weather today", "i am"]
DECODINGS = [Decoding("greedy"), Decoding("beam"), Decoding("mbr"), Decoding("nucleus")]


@pytest.fixture(scope="module")
def dataset(cleaned_texts, tokenizer) -> NextTokenDataset:
    return NextTokenDataset(cleaned_texts, tokenizer, tokenizer.eos_token_id, context_unit="words")


@pytest.fixture(scope="module")
def ngram(dataset, tokenizer) -> KneserNeyLM:
    return KneserNeyLM.from_dataset(dataset, len(tokenizer), tokenizer.pad_token_id, tokenizer.eos_token_id, order=3)


@pytest.fixture(scope="module")
def tiny_gpt2(tokenizer) -> PreTrainedModel:
    """A stand-in for the transformer, with numbered positions and a cache."""
    torch.manual_seed(0)
    sizes = {"vocab_size": len(tokenizer), "n_positions": 64, "n_embd": 16, "n_layer": 1, "n_head": 2}
    ids = {"bos_token_id": tokenizer.eos_token_id, "eos_token_id": tokenizer.eos_token_id}
    return GPT2LMHeadModel(GPT2Config(**sizes, **ids)).eval()


@pytest.fixture(params=["tiny_lstm", "tiny_gpt2"])
def neural(request) -> PreTrainedModel:
    return request.getfixturevalue(request.param)


def suggestions(model, tokenizer, decoding):
    return [[one.text for one in row] for row in complete(model, tokenizer, PREFIXES, n=2, decoding=decoding)]


@torch.no_grad()
def test_probabilities_are_the_weighted_mean_and_sum_to_one(neural, ngram, tokenizer):
    input_ids = torch.tensor(encode(tokenizer, ["i love my dog so"]))
    probabilities = InterpolatedLM(neural, ngram, 0.3)(input_ids).logits.exp()
    expected = 0.7 * neural(input_ids).logits.softmax(-1) + 0.3 * ngram(input_ids).logits.exp()
    torch.testing.assert_close(probabilities, expected)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(input_ids.shape))


@given(
    st.lists(st.floats(0.01, 1), min_size=2, max_size=5),
    st.lists(st.floats(0.01, 1), min_size=2, max_size=5),
    st.floats(0, 1),
)
@examples(0.5)
def test_interpolated_is_the_logarithm_of_the_weighted_mean(p, q, weight):
    p, q = torch.tensor(p[: len(q)]), torch.tensor(q[: len(p)])
    torch.testing.assert_close(interpolated(p.log(), q.log(), weight).exp(), (1 - weight) * p + weight * q)


@pytest.mark.parametrize("decoding", DECODINGS, ids=str)
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_full_weight_on_one_model_gives_its_completions(neural, ngram, tokenizer, weight, decoding):
    alone = ngram if weight else neural
    both = InterpolatedLM(neural, ngram, weight)
    assert suggestions(both, tokenizer, decoding) == suggestions(alone, tokenizer, decoding)


def test_tokens_generated_step_by_step_are_the_most_probable_ones_of_the_complete_text(neural, ngram, tokenizer):
    model = InterpolatedLM(neural, ngram, 0.4)
    prefix = torch.tensor(encode(tokenizer, ["i love"]))
    text = model.generate(prefix, max_new_tokens=6, do_sample=False)
    with torch.no_grad():
        expected = model(text[:, :-1]).logits[:, prefix.shape[1] - 1 :].argmax(-1)
    assert text[:, prefix.shape[1] :].tolist() == expected.tolist()


def test_scores_equal_those_of_the_logits(neural, ngram, tokenizer, cleaned_texts):
    """Scores come from the log-probabilities of the targets only; logits cover the vocabulary."""
    model = InterpolatedLM(neural, ngram, 0.4)
    texts = [text for text in cleaned_texts if text.count(" ") > 3][:5]
    nll = target_likelihood(model, tokenizer, texts)["nll"]
    for text, expected in zip(texts, nll):
        eos_id = tokenizer.eos_token_id
        batch = collate_batch([NextTokenDataset([text], tokenizer, eos_id, context_unit="words", bos_id=eos_id)[0]])
        with torch.no_grad():
            log_p = model(batch["input_ids"]).logits
        is_target = batch["labels"] != IGNORE_INDEX
        picked = log_p[is_target].gather(1, batch["labels"][is_target][:, None])
        assert -float(picked.sum()) == pytest.approx(expected, rel=1e-5)


def test_a_batch_completes_like_its_prefixes_alone(neural, ngram, tokenizer):
    model = InterpolatedLM(neural, ngram, 0.4)
    together = complete(model, tokenizer, ["i love my dog", "the", "so tired of this rain"])
    alone = [complete(model, tokenizer, [prefix])[0] for prefix in ["i love my dog", "the", "so tired of this rain"]]
    assert [[one.text for one in row] for row in together] == [[one.text for one in row] for row in alone]


def test_completions_with_a_memory_equal_those_without(neural, ngram, tokenizer):
    model = InterpolatedLM(neural, ngram, 0.4)
    memory = PrefixMemory(model)
    for typed in ("the weather t", "the weather to", "the weather tod"):
        remembered = complete(model, tokenizer, [typed], half_typed=True, memory=memory)
        assert [one.text for one in remembered[0]] == [
            one.text for one in complete(model, tokenizer, [typed], half_typed=True)[0]
        ]


def test_the_best_weight_is_chosen_and_its_score_is_the_models(neural, ngram, dataset, tokenizer):
    model, table = choose_weight(neural, ngram, dataset, tokenizer.pad_token_id, batch_size=7)
    assert model.weight == table["weight"][table["val_nll"].idxmin()]
    nll, num_targets = dataset_nll(model, dataset, 7, tokenizer.pad_token_id)
    assert nll.sum() / num_targets.sum() == pytest.approx(table["val_nll"].min(), rel=1e-5)


def test_both_models_are_on_the_device_of_the_neural_one(tiny_lstm, ngram, dataset, tokenizer, monkeypatch):
    """The "meta" device stands for another one; it computes nothing."""
    elsewhere, devices = deepcopy(tiny_lstm).to("meta"), []

    def nowhere(model, batch):
        devices.append(model.device.type)
        return torch.ones(3), None

    monkeypatch.setattr("src.evaluation.selection.target_nll", nowhere)
    model, _ = choose_weight(elsewhere, deepcopy(ngram), dataset, tokenizer.pad_token_id)
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    assert set(devices) == {"meta", "cpu"}


def test_the_two_models_are_not_changed(neural, ngram, tokenizer):
    before = suggestions(neural, tokenizer, Decoding("greedy"))
    model = InterpolatedLM(neural, ngram, 0.4)
    model.generation_config.min_new_tokens = 3
    assert suggestions(neural, tokenizer, Decoding("greedy")) == before
    assert model.num_parameters() == neural.num_parameters() + ngram.num_parameters()


def test_wrong_weights_and_other_vocabularies_are_refused(neural, ngram, tokenizer):
    with pytest.raises(ValueError, match=r"weight is 1\.5: choose a number from 0 to 1"):
        InterpolatedLM(neural, ngram, 1.5)
    other = KneserNeyLM.from_dataset(
        NextTokenDataset(["a b"], tokenizer, tokenizer.eos_token_id), len(tokenizer) + 1, 0, tokenizer.eos_token_id, 2
    )
    with pytest.raises(ValueError, match="give two models of one tokenizer"):
        InterpolatedLM(neural, other, 0.5)
