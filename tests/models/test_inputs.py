"""What `forward` is given: wrong shapes and values, and arguments that it would ignore, are refused in one sentence."""

import pytest
import torch

from src.lstm_model import LSTMLM, LSTMConfig
from src.models.inputs import UNSUPPORTED, check_state, checked_mask
from src.models.interpolation import InterpolatedLM
from src.models.kneser_ney import KneserNeyLM
from src.next_token_dataset import NextTokenDataset, collate_batch

IDS = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12]])


@pytest.fixture(scope="module")
def ngram(tokenizer, cleaned_texts) -> KneserNeyLM:
    dataset = NextTokenDataset(cleaned_texts, tokenizer, tokenizer.eos_token_id)
    return KneserNeyLM.from_dataset(dataset, len(tokenizer), tokenizer.pad_token_id, tokenizer.eos_token_id, order=3)


@pytest.fixture(params=["lstm", "ngram", "both"])
def model(request, tiny_lstm, ngram):
    return {"lstm": tiny_lstm, "ngram": ngram, "both": InterpolatedLM(tiny_lstm, ngram, 0.4)}[request.param]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("past_key_values", ((torch.zeros(1),),)),
        ("inputs_embeds", torch.zeros(2, 4, 16)),
        ("position_ids", torch.arange(4).expand(2, 4)),
        ("token_type_ids", torch.zeros_like(IDS)),
        ("output_attentions", True),
        ("output_hidden_states", True),
    ],
)
def test_an_argument_that_would_be_ignored_is_refused(model, name, value):
    with pytest.raises(ValueError, match=name):
        model(IDS, **{name: value})


@torch.no_grad()
def test_arguments_that_ask_for_nothing_pass(model):
    logits = model(IDS).logits
    nothing = {name: None for name in UNSUPPORTED if name not in ("state", "lengths")}
    nothing |= {"output_attentions": False, "use_cache": True, "cache_position": torch.arange(4), "return_dict": True}
    assert torch.equal(model(IDS, **nothing).logits, logits)


def test_an_unknown_argument_is_refused_by_its_name(model):
    with pytest.raises(TypeError, match=r"forward\(\) has no argument 'atention_mask': check its spelling"):
        model(IDS, atention_mask=torch.ones_like(IDS))


def test_a_configuration_that_asks_for_hidden_states_is_refused():
    with pytest.raises(ValueError, match="output_hidden_states is not supported"):
        LSTMLM(LSTMConfig(vocab_size=40, embedding_dim=8, hidden_dim=8, output_hidden_states=True))


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (torch.tensor([5, 6]), r"input_ids have the shape \[2\]: give \[batch, length\], length above 0"),
        (torch.zeros(1, 2, 3, dtype=torch.int64), r"input_ids have the shape \[1, 2, 3\]"),
        (torch.zeros(2, 0, dtype=torch.int64), r"input_ids have the shape \[2, 0\]"),
        (torch.zeros(2, 4), "input_ids are torch.float32: give torch.int64"),
        ([[5, 6]], "input_ids are a list: give a tensor of torch.int64"),
    ],
)
def test_invalid_input_ids_are_refused(model, ids, message):
    with pytest.raises(ValueError, match=message):
        model(ids)


@pytest.mark.parametrize("number", [-1, torch.tensor([0, 2]), 1.5])
def test_an_invalid_number_of_positions_is_refused(model, number):
    with pytest.raises(ValueError, match="give the number of last positions, or 0 for all"):
        model(IDS, logits_to_keep=number)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(2, 3), r"attention_mask has the shape \[2, 3\], but input_ids has \[2, 4\]"),
        (torch.ones(1, 4), r"attention_mask has the shape \[1, 4\]"),
        (torch.ones(4), r"attention_mask has the shape \[4\]"),
        (torch.ones(2, 1, 4, 4), r"attention_mask has the shape \[2, 1, 4, 4\]"),
        (torch.full((2, 4), 2), "attention_mask has values other than 0 and 1"),
        (torch.full((2, 4), -1), "attention_mask has values other than 0 and 1"),
        (torch.full((2, 4), 0.5), "attention_mask has values other than 0 and 1"),
        ([[1] * 4] * 2, "attention_mask is a list: give a tensor"),
    ],
)
def test_an_invalid_mask_is_refused(model, mask, message):
    with pytest.raises(ValueError, match=message):
        model(IDS, attention_mask=mask)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bool, torch.int32, torch.uint8, torch.float32])
def test_a_mask_of_any_dtype_means_the_same(model, dtype):
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 0]])
    assert torch.equal(model(IDS, attention_mask=mask.to(dtype)).logits, model(IDS, attention_mask=mask).logits)
    assert checked_mask(mask.to(dtype), IDS).dtype == torch.int64


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([4, 5], "lengths say 5 for row 1: give a number from 1 to 4"),
        ([-1, 4], "lengths say -1 for row 0: give a number from 1 to 4"),
        ([4, 0], "row 1 of the batch has no tokens: give every row at least one"),
        ([4], r"lengths has the shape \[1\], but input_ids has the batch size \[2\]"),
        ([4, 4, 4], r"lengths has the shape \[3\]"),
        ([[4, 4]], r"lengths has the shape \[1, 2\]"),
        ([4.0, 3.0], "lengths are torch.float32: give torch.int64"),
    ],
)
def test_invalid_lengths_are_refused(tiny_lstm, lengths, message):
    with pytest.raises(ValueError, match=message):
        tiny_lstm(IDS, torch.tensor(lengths))


def test_lengths_that_are_a_list_are_refused(tiny_lstm):
    with pytest.raises(ValueError, match="lengths are a list: give a tensor"):
        tiny_lstm(IDS, [4, 3])


def test_lengths_beside_a_mask_are_refused(tiny_lstm):
    with pytest.raises(ValueError, match="lengths and attention_mask both say where the pads are: give one of them"):
        tiny_lstm(IDS, torch.tensor([4, 2]), attention_mask=torch.ones_like(IDS))


def test_lengths_are_refused_where_the_model_would_ignore_them(ngram, tiny_lstm):
    for model in (ngram, InterpolatedLM(tiny_lstm, ngram, 0.4)):
        with pytest.raises(ValueError, match="lengths is not supported by this model: give an attention_mask"):
            model(IDS, lengths=torch.tensor([4, 2]))


def test_the_labels_of_this_project_are_not_taken_for_those_of_the_library(tiny_lstm, tokenizer, cleaned_texts):
    dataset = NextTokenDataset(cleaned_texts[:2], tokenizer, tokenizer.eos_token_id)
    with pytest.raises(ValueError, match="labels that come with lengths, as from collate_batch, are those of the next"):
        tiny_lstm(**collate_batch([dataset[0], dataset[1]]))


def zeros(*shape, dtype=torch.float32):
    return torch.zeros(shape, dtype=dtype)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ((zeros(2, 1, 24),) * 2, r"state has the shapes \[\[2, 1, 24\], \[2, 1, 24\]\]: give two of \[2, 2, 24\]"),
        ((zeros(2, 2, 23), zeros(2, 2, 24)), r"state has the shapes \[\[2, 2, 23\], \[2, 2, 24\]\]"),
        ((zeros(1, 2, 24),) * 2, r"state has the shapes \[\[1, 2, 24\]"),
        ((zeros(2, 2, 24),), r"state has the shapes \[\[2, 2, 24\]\]: give two"),
        ((zeros(2, 2, 24), None), r"state has the shapes \[\[2, 2, 24\], 'NoneType'\]"),
        ((zeros(2, 2, 24, dtype=torch.float64),) * 2, "state is torch.float64: give torch.float32"),
    ],
)
@pytest.mark.parametrize("length", [1, 4])
def test_an_invalid_state_is_refused(tiny_lstm, state, message, length):
    with pytest.raises(ValueError, match=message):
        tiny_lstm(IDS[:, :length], state=state)


def test_a_state_of_autocast_passes():
    state = (zeros(1, 2, 3, dtype=torch.bfloat16),) * 2
    with pytest.raises(ValueError, match="state is torch"):
        check_state(state, (1, 2, 3), torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        check_state(state, (1, 2, 3), torch.float32)


def test_a_state_is_refused_where_the_ngrams_would_ignore_it(ngram, tiny_lstm):
    state = tiny_lstm(IDS).state
    with pytest.raises(ValueError, match="state is not supported by this model: give all tokens"):
        ngram(IDS, state=state)
    with pytest.raises(ValueError, match="the n-gram model has no memory: give all tokens, without state"):
        InterpolatedLM(tiny_lstm, ngram, 0.4)(IDS, state=state)
