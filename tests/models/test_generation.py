"""`generate` of every model: lengths come from the caller, and what would be ignored is refused; the loss of labels."""

import warnings
from copy import deepcopy

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import (
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    MaxLengthCriteria,
    PreTrainedModel,
    StoppingCriteriaList,
)

from src.corpus.tokenization import encode
from src.models.generation import next_token_loss
from src.models.interpolation import InterpolatedLM
from src.models.kneser_ney import KneserNeyLM
from src.next_token_dataset import NextTokenDataset


def endless(model):
    """The model, without the end of text among its answers."""
    model = deepcopy(model)
    model.generation_config.suppress_tokens = [model.config.eos_token_id]
    return model


@pytest.fixture(scope="module")
def ngram(tokenizer, cleaned_texts) -> KneserNeyLM:
    dataset = NextTokenDataset(cleaned_texts, tokenizer, tokenizer.eos_token_id)
    return KneserNeyLM.from_dataset(dataset, len(tokenizer), tokenizer.pad_token_id, tokenizer.eos_token_id, order=3)


@pytest.fixture(scope="module")
def tiny_gpt2(tokenizer) -> PreTrainedModel:
    torch.manual_seed(0)
    sizes = {"vocab_size": len(tokenizer), "n_positions": 64, "n_embd": 16, "n_layer": 1, "n_head": 2}
    ids = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    return GPT2LMHeadModel(GPT2Config(**sizes, **ids)).eval()


@pytest.fixture(params=["lstm", "ngram", "lstm+ngram", "gpt2+ngram"])
def model(request, tiny_lstm, tiny_gpt2, ngram) -> PreTrainedModel:
    """A copy of each model, which never ends a text."""
    models = {
        "lstm": lambda: tiny_lstm,
        "ngram": lambda: ngram,
        "lstm+ngram": lambda: InterpolatedLM(deepcopy(tiny_lstm), deepcopy(ngram), 0.4),
        "gpt2+ngram": lambda: InterpolatedLM(deepcopy(tiny_gpt2), deepcopy(ngram), 0.4),
    }
    return endless(models[request.param]())


@pytest.fixture
def prefix_ids(tokenizer) -> torch.Tensor:
    prefix_ids = torch.tensor(encode(tokenizer, ["i am so"]))
    assert prefix_ids.shape == (1, 3)
    return prefix_ids


@pytest.fixture
def quiet(caplog):
    """Neither a Python warning nor a message of the library's log."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    assert not caplog.records


# Lengths


def length(model, prefix_ids, **options):
    return model.generate(prefix_ids, **options).shape[1]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 3 + 20),
        ({"max_new_tokens": None}, 3 + 20),
        ({"max_length": None, "max_new_tokens": None, "generation_config": None}, 3 + 20),
        ({"max_new_tokens": 5}, 3 + 5),
        ({"max_new_tokens": 40}, 3 + 40),
        ({"max_length": 6}, 6),
        ({"max_length": 40}, 40),
        ({"max_time": 100.0}, 3 + 20),
        ({"max_time": 0.0}, 3 + 1),
        ({"min_length": 10}, 3 + 20),
        ({"min_new_tokens": 10, "max_length": 30}, 30),
    ],
)
def test_the_length_that_the_call_sets_beats_the_default(model, prefix_ids, options, expected, quiet):
    assert length(model, prefix_ids, **options) == expected
    config = GenerationConfig(**{name: value for name, value in options.items() if name != "generation_config"})
    assert length(model, prefix_ids, generation_config=config) == expected
    assert config.max_new_tokens == options.get("max_new_tokens"), "the caller's configuration was changed"


@pytest.mark.parametrize("beams", [1, 3])
def test_the_length_of_every_search_is_the_callers(model, prefix_ids, beams, quiet):
    assert length(model, prefix_ids, max_length=6, num_beams=beams) == 6
    assert length(model, prefix_ids, max_length=6, num_beams=beams, do_sample=True) == 6


def test_a_length_beside_a_configuration_beats_the_one_in_it(model, prefix_ids):
    config = GenerationConfig(max_new_tokens=9)
    assert length(model, prefix_ids, generation_config=config, max_length=6) == 6
    assert length(model, prefix_ids, generation_config=GenerationConfig(max_length=9), max_new_tokens=1) == 4


def test_the_end_beside_a_configuration_is_the_callers(model, prefix_ids, quiet):
    config = GenerationConfig(max_length=9)
    first = int(model.generate(prefix_ids, max_new_tokens=1)[0, 3])
    assert model.generate(prefix_ids, generation_config=config, eos_id=first).tolist() == [[*prefix_ids[0], first]]
    assert config.eos_token_id is None


def test_a_length_that_was_set_on_the_model_beats_the_default(model, prefix_ids, quiet):
    model.generation_config.max_length = 6
    assert length(model, prefix_ids) == 6
    assert length(model, prefix_ids, max_new_tokens=5) == 8
    assert length(model, prefix_ids, max_length=10) == 10
    model.generation_config = GenerationConfig(max_new_tokens=4)
    assert length(model, prefix_ids) == 7
    assert length(model, prefix_ids, max_length=5) == 5


@pytest.mark.parametrize(
    ("options", "num_new"),
    [
        ({}, 1 + 1),
        ({"min_new_tokens": 0}, 1),
        ({"min_new_tokens": 4}, 4 + 1),
        ({"min_length": 0}, 1),
        ({"min_length": 3}, 1),
        ({"min_length": 7}, 4 + 1),
        ({"min_length": 6, "max_length": 9}, 3 + 1),
        # Longer than the default maximum, which is raised.
        ({"min_new_tokens": 30}, 30),
        ({"min_length": 33}, 30),
    ],
)
def test_the_minimum_that_the_call_sets_beats_that_of_the_model(model, prefix_ids, options, num_new, quiet):
    # The end is by far the most probable token.
    model.generation_config.suppress_tokens = None
    model.generation_config.sequence_bias = {(model.config.eos_token_id,): 1e4}
    model.generation_config.min_new_tokens = 1
    assert length(model, prefix_ids, **options) == 3 + num_new
    assert length(model, prefix_ids, generation_config=GenerationConfig(**options)) == 3 + num_new


@pytest.mark.parametrize("limit", [5, 30])
@pytest.mark.parametrize("beams", [1, 3])
def test_a_stopping_criterion_of_length_beats_the_default(model, prefix_ids, limit, beams, quiet):
    criteria = StoppingCriteriaList([MaxLengthCriteria(limit)])
    assert length(model, prefix_ids, stopping_criteria=criteria, num_beams=beams) == limit
    assert length(model, prefix_ids, stopping_criteria=[lambda ids, _: torch.tensor([ids.shape[1] >= 7])]) == 7


def test_a_stop_string_ends_a_text(model, tokenizer, prefix_ids):
    text = tokenizer.decode(model.generate(prefix_ids)[0, 3:])
    stop = text[len(text) // 3 :][:3]
    stopped = model.generate(prefix_ids, stop_strings=[stop], tokenizer=tokenizer)[0, 3:]
    assert stop in tokenizer.decode(stopped)
    assert stop not in tokenizer.decode(stopped[:-1])


@pytest.mark.parametrize("options", [{"max_length": 3}, {"max_length": 0}, {"max_new_tokens": 0}])
def test_a_length_that_leaves_no_new_token_is_refused(model, prefix_ids, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        model.generate(prefix_ids, **options)


# What is refused


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("guidance_scale", 1.5),
        ("negative_prompt_ids", torch.tensor([[3]])),
        ("past_key_values", ((torch.zeros(1),),)),
        ("cache_implementation", "static"),
        ("cache_implementation", "paged"),
        ("prefill_chunk_size", 2),
        ("inputs_embeds", torch.zeros(1, 3, 16)),
        ("position_ids", torch.tensor([[0, 1, 2]])),
        ("token_type_ids", torch.tensor([[0, 0, 0]])),
        ("lengths", torch.tensor([2])),
        ("state", (torch.zeros(2, 1, 24),) * 2),
        ("output_attentions", True),
        ("output_hidden_states", True),
        ("prompt_lookup_num_tokens", 3),
        ("penalty_alpha", 0.6),
        ("dola_layers", "high"),
        ("num_beam_groups", 2),
        ("diversity_penalty", 0.5),
        ("force_words_ids", [[3]]),
        ("token_healing", True),
        ("labels", torch.tensor([[3, 4, 5]])),
        ("logits_to_keep", 2),
        ("is_causal", False),
        ("do_sampling", True),
    ],
)
def test_an_option_that_would_be_ignored_is_refused_by_its_name(model, prefix_ids, name, value):
    with pytest.raises(ValueError, match=rf"^(generate\(\) has no option '{name}'|{name} is not supported).*: [^.]"):
        model.generate(prefix_ids, **{name: value})


def test_an_unsupported_option_of_a_configuration_is_refused(model, prefix_ids):
    with pytest.raises(ValueError, match="guidance_scale is not supported"):
        model.generate(prefix_ids, generation_config=GenerationConfig(guidance_scale=2.0))
    model.generation_config.penalty_alpha = 0.6
    with pytest.raises(ValueError, match="penalty_alpha is not supported"):
        model.generate(prefix_ids)


def test_an_assistant_and_several_greedy_answers_are_refused(model, prefix_ids):
    with pytest.raises(ValueError, match="assistant_model is not supported"):
        model.generate(prefix_ids, assistant_model=model)
    with pytest.raises(ValueError, match="num_return_sequences"):
        model.generate(prefix_ids, num_return_sequences=3)


def test_options_that_ask_for_nothing_pass(model, prefix_ids):
    neutral = {"guidance_scale": 1.0, "past_key_values": None, "output_attentions": False, "penalty_alpha": 0.0}
    assert torch.equal(model.generate(prefix_ids, **neutral), model.generate(prefix_ids))


def test_options_that_choose_tokens_work(model, prefix_ids):
    usual = model.generate(prefix_ids)[0, 3:].tolist()
    assert usual[0] not in model.generate(prefix_ids, bad_words_ids=[[usual[0]]])[0, 3:].tolist()
    only = model.generate(prefix_ids, prefix_allowed_tokens_fn=lambda row, ids: [5, 6])[0, 3:]
    assert set(only.tolist()) <= {5, 6}
    assert torch.equal(model.generate(prefix_ids, use_cache=False), model.generate(prefix_ids, use_cache=True))
    detailed = model.generate(prefix_ids, return_dict_in_generate=True, output_scores=True, output_logits=True)
    assert len(detailed.scores) == len(detailed.logits) == 20


@pytest.mark.parametrize("shape", [(1, 2), (1, 4), (2, 3), (3,), (1, 1, 3)])
def test_a_mask_of_another_shape_is_refused_even_if_it_is_all_ones(model, prefix_ids, shape):
    with pytest.raises(ValueError, match=r"attention_mask has the shape \[.*\], but input_ids has \[1, 3\]"):
        model.generate(prefix_ids, attention_mask=torch.ones(shape, dtype=torch.int64))


def test_prefixes_are_given_once_and_checked_under_each_name(model, prefix_ids):
    expected = model.generate(prefix_ids)
    assert torch.equal(model.generate(input_ids=prefix_ids, attention_mask=torch.ones_like(prefix_ids)), expected)
    assert torch.equal(model.generate(inputs=prefix_ids), expected)
    with pytest.raises(ValueError, match="prefix_ids and input_ids are given: they mean the same, give one of them"):
        model.generate(prefix_ids, input_ids=prefix_ids)
    with pytest.raises(ValueError, match="input_ids contain -1: token ids go from 0 to"):
        model.generate(input_ids=torch.tensor([[3, -1]]))
    with pytest.raises(ValueError, match="prefix_ids are a list: give a tensor"):
        model.generate([[3, 4]])


def test_a_configuration_in_the_place_of_the_length_is_refused(model, prefix_ids):
    with pytest.raises(ValueError, match="max_new_tokens is a GenerationConfig"):
        model.generate(prefix_ids, GenerationConfig(max_length=6))


# Labels


@torch.no_grad()
def test_labels_give_the_loss_of_the_library(model, tokenizer):
    input_ids = torch.tensor(encode(tokenizer, ["i am so", "the the bus"]))
    labels = input_ids.clone()
    labels[0, :2] = -100
    output = model(input_ids=input_ids, labels=labels)
    targets = [(0, 2), (1, 1), (1, 2)]
    expected = [-output.logits[i, j - 1].log_softmax(-1)[input_ids[i, j]] for i, j in targets]
    torch.testing.assert_close(output.loss, torch.stack(expected).mean())
    torch.testing.assert_close(model(input_ids, labels=labels, num_items_in_batch=7).loss, sum(expected) / 7)
    assert model(input_ids).loss is None


@torch.no_grad()
def test_the_loss_is_that_of_a_model_of_the_library(tiny_gpt2):
    input_ids = torch.randint(0, tiny_gpt2.config.vocab_size, (2, 6), generator=torch.Generator().manual_seed(0))
    labels = input_ids.masked_fill(torch.tensor([[0, 0, 1, 0, 0, 1], [0, 1, 1, 0, 0, 0]]).bool(), -100)
    for num_items in (None, 5):
        output = tiny_gpt2(input_ids, labels=labels, num_items_in_batch=num_items)
        found = next_token_loss(output.logits, input_ids, labels, num_items)
        assert torch.equal(found, output.loss)
    ours = cross_entropy(output.logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
    torch.testing.assert_close(next_token_loss(output.logits, input_ids, labels), ours)


@torch.no_grad()
def test_a_tuple_without_names_begins_with_loss_and_logits(model, prefix_ids):
    named = model(prefix_ids, labels=prefix_ids)
    loss, logits, *_ = model(prefix_ids, labels=prefix_ids, return_dict=False)
    assert torch.equal(loss, named.loss)
    assert torch.equal(logits, named.logits)
    assert torch.equal(model(prefix_ids, return_dict=False)[0], named.logits)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([[3, 4]]), r"labels has the shape \[1, 2\], but input_ids has \[1, 3\]"),
        (torch.tensor([[3.0, 4.0, 5.0]]), "labels are torch.float32: give torch.int64"),
        (torch.tensor([[3, -1, 5]]), "labels contain -1: token ids go from 0 to"),
        (torch.tensor([[3, 9999, 5]]), "labels contain 9999: token ids go from 0 to"),
        ([[3, 4, 5]], "labels are a list: give a tensor of torch.int64"),
    ],
)
def test_invalid_labels_are_refused(model, prefix_ids, labels, message):
    with pytest.raises(ValueError, match=message):
        model(prefix_ids, labels=labels)


def test_labels_need_all_logits(model, prefix_ids):
    with pytest.raises(ValueError, match="labels need the logits of all positions: leave logits_to_keep at 0"):
        model(prefix_ids, labels=prefix_ids, logits_to_keep=1)
