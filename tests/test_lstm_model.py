"""The LSTM: padding and state do not change predictions, generation is correct, run folders reload."""

import importlib.metadata
import itertools
import json
import pickle
import re
import socket
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForLanguageModeling,
    LogitsProcessor,
    LogitsProcessorList,
    TextIteratorStreamer,
    TextStreamer,
    Trainer,
    TrainingArguments,
    pipeline,
)
from transformers.generation.streamers import BaseStreamer

from src.corpus.tokenization import save_tokenizer, train_tokenizer
from src.lstm_model import LSTMLM, LSTMConfig, load_lstm_lm, save_lstm_lm
from src.runs import RunError, run_metadata, warn_of_other_versions

VOCAB_SIZE, PAD, EOS = 40, 0, 2
# Ids 0 and 2 occur as tokens: a pad is recognised by its position, never by its id.
ROWS = [[5, 0, 9, 2, 31, 7], [12], [8, 8, 0], [39, 3, 2, 17]]
META = run_metadata("lstm_lm", {"learning_rate": 0.002}, {"name": "tweets"}, {"perplexity": 9.5}, duration=1.0)
HISTORY = [{"step": 4, "val_loss": 5.25}]


def make_lstm(seed=0, eos_bias=0.0, **sizes):
    """A model with weights so large that predictions differ clearly from token to token."""
    torch.manual_seed(seed)
    sizes = {"vocab_size": VOCAB_SIZE, "embedding_dim": 12, "hidden_dim": 20, "num_layers": 2, "dropout": 0.0, **sizes}
    model = LSTMLM(LSTMConfig(**sizes)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.6)
    with torch.no_grad():
        model.lm_head.bias[EOS] += eos_bias
    return model


def pad_rows(rows, side, pad_id=PAD):
    """Ids and attention mask of padded rows, int64 [rows, longest]."""
    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), pad_id)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        real = slice(0, len(row)) if side == "right" else slice(longest - len(row), longest)
        ids[i, real], mask[i, real] = torch.tensor(row), 1
    return ids, mask


def greedy_by_hand(model, prefix, max_new_tokens, eos_id=None):
    """New tokens of one prefix: each is the most probable one after the complete sequence before it."""
    tokens = list(prefix)
    while len(tokens) < len(prefix) + max_new_tokens and (len(tokens) == len(prefix) or tokens[-1] != eos_id):
        with torch.no_grad():
            tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
    return tokens[len(prefix) :]


# Forward


SIZES = [{}, {"num_layers": 1}, {"hidden_dim": 12}]


@pytest.mark.parametrize("sizes", SIZES)
def test_logits_are_batch_by_length_by_vocabulary(sizes):
    model = make_lstm(**sizes)
    output = model(torch.randint(0, VOCAB_SIZE, (3, 7)))
    assert output.logits.shape == (3, 7, VOCAB_SIZE)
    assert [tensor.shape for tensor in output.state] == [(model.config.num_layers, 3, model.config.hidden_dim)] * 2


@torch.no_grad()
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("side", ["right", "left", "lengths"])
@pytest.mark.parametrize("pad_id", [PAD, EOS, 7])
def test_padded_rows_predict_what_they_predict_alone(sizes, side, pad_id):
    model = make_lstm(**sizes)
    ids, mask = pad_rows(ROWS, "left" if side == "left" else "right", pad_id)
    output = model(ids, mask.sum(dim=1)) if side == "lengths" else model(ids, attention_mask=mask)
    for i, row in enumerate(ROWS):
        alone = model(torch.tensor([row]))
        torch.testing.assert_close(output.logits[i][mask[i].bool()], alone.logits[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(output.logits[i, -1], alone.logits[0, -1], atol=1e-5, rtol=0)
        for found, expected in zip(output.state, alone.state):
            torch.testing.assert_close(found[:, i], expected[:, 0], atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("side", ["left", "right"])
def test_the_last_logits_equal_those_of_all_positions(tiny_lstm, side):
    input_ids = torch.randint(3, tiny_lstm.config.vocab_size, (2, 6), generator=torch.Generator().manual_seed(0))
    attention_mask = torch.ones_like(input_ids)
    attention_mask[0, :2] = 0
    if side == "right":
        attention_mask = attention_mask.flip(1)
    everything = tiny_lstm(input_ids, attention_mask=attention_mask).logits
    for logits_to_keep in (1, 3):
        kept = tiny_lstm(input_ids, attention_mask=attention_mask, logits_to_keep=logits_to_keep).logits
        torch.testing.assert_close(kept, everything[:, -logits_to_keep:])


@torch.no_grad()
def test_continuing_from_a_state_equals_reading_the_complete_sequence():
    model = make_lstm()
    ids = torch.randint(0, VOCAB_SIZE, (3, 9))
    complete = model(ids)
    logits, state = [], None
    for step in ids.split([1, 1, 3, 4], dim=1):
        output = model(step, state=state)
        logits.append(output.logits)
        state = output.state
    torch.testing.assert_close(torch.cat(logits, dim=1), complete.logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(state, complete.state, atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("side", ["right", "left"])
def test_a_padded_batch_can_be_continued_from_its_state(side):
    model = make_lstm()
    ids, mask = pad_rows(ROWS, side)
    new = torch.tensor([[4], [6], [0], [30]])
    logits = model(new, state=model(ids, attention_mask=mask).state).logits
    for i, row in enumerate(ROWS):
        alone = model(torch.tensor([[*row, int(new[i])]])).logits[0, -1]
        torch.testing.assert_close(logits[i, -1], alone, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_pad_before_a_row_does_not_see_its_first_token():
    """The library's loss compares the logits of such a pad with the first token."""
    model = make_lstm()
    ids, mask = pad_rows([[5, 6, 7], [8]], "left")
    logits = model(ids, attention_mask=mask).logits
    torch.testing.assert_close(logits[1, :2], model.lm_head.bias.expand(2, -1))
    ids[1, 2] = 9
    assert torch.equal(model(ids, attention_mask=mask).logits[1, :2], logits[1, :2])


@pytest.mark.parametrize("sizes", SIZES)
def test_embedding_and_output_layer_share_one_tensor(sizes):
    model = make_lstm(**sizes)
    assert model.lm_head.weight is model.backbone.embedding.weight
    assert model.lm_head.weight.shape == (VOCAB_SIZE, 12)


def test_a_row_without_tokens_is_refused():
    ids, mask = pad_rows(ROWS, "right")
    mask[2] = 0
    with pytest.raises(ValueError, match=r"row 2 of the batch has no tokens: give every row at least one"):
        make_lstm()(ids, attention_mask=mask)
    with pytest.raises(ValueError, match=r"row 2 of the batch has no tokens"):
        make_lstm()(ids, mask.sum(dim=1))


@pytest.mark.parametrize("side", ["right", "left"])
def test_gradients_of_a_padded_batch_equal_those_of_its_rows(side):
    padded, alone = make_lstm(), make_lstm()
    ids, mask = pad_rows(ROWS, side)
    logits = padded(ids, attention_mask=mask).logits[mask.bool()]
    cross_entropy(logits, torch.cat([torch.tensor(row) for row in ROWS]), reduction="sum").backward()
    for row in ROWS:
        cross_entropy(alone(torch.tensor([row])).logits[0], torch.tensor(row), reduction="sum").backward()
    for (name, parameter), other in zip(padded.named_parameters(), alone.parameters()):
        assert parameter.grad.abs().max() > 0, name
        torch.testing.assert_close(parameter.grad, other.grad, atol=1e-4, rtol=1e-4)


def test_gradients_reach_the_embedding_through_the_recurrence():
    model = make_lstm()
    # From the hidden states, so that no gradient comes through the tied output layer.
    model.backbone(torch.tensor([[4, 9, 11]])).last_hidden_state[:, -1].sum().backward()
    touched = model.backbone.embedding.weight.grad.abs().sum(dim=1).nonzero()[:, 0]
    assert touched.tolist() == [4, 9, 11]


# Generation


@pytest.mark.parametrize("seed", range(6))
def test_greedy_generation_repeats_the_argmax_of_forward(seed):
    model = make_lstm(seed)
    prefixes = torch.randint(3, VOCAB_SIZE, (4, 5))
    # A token that one row generates early, so that rows end at different times.
    eos_id = greedy_by_hand(model, prefixes[0].tolist(), 20)[3]
    expected = [greedy_by_hand(model, row.tolist(), 20, eos_id) for row in prefixes]
    longest = max(map(len, expected))
    expected = torch.tensor([row + [PAD] * (longest - len(row)) for row in expected])
    output = model.generate(prefixes, max_new_tokens=20, eos_id=eos_id)
    assert output.dtype == torch.int64
    assert torch.equal(output, torch.cat([prefixes, expected], dim=1))


def test_generation_stops_when_every_row_has_ended():
    model = make_lstm(eos_bias=1e4)
    prefixes = torch.randint(3, VOCAB_SIZE, (3, 4))
    assert model.generate(prefixes, max_new_tokens=20, eos_id=EOS)[:, 4:].tolist() == [[EOS]] * 3


def test_a_row_that_ended_is_padded_while_others_continue():
    model = make_lstm()
    eos_id = greedy_by_hand(model, [5, 6, 7], 1)[0]
    endless = next([token] * 3 for token in range(VOCAB_SIZE) if eos_id not in greedy_by_hand(model, [token] * 3, 5))
    output = model.generate(torch.tensor([[5, 6, 7], endless]), max_new_tokens=5, eos_id=eos_id)
    assert output[:, 3:].tolist() == [[eos_id, PAD, PAD, PAD, PAD], greedy_by_hand(model, endless, 5)]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("use_cache", [True, False])
def test_a_padded_batch_continues_as_its_rows_do(side, use_cache):
    model = make_lstm(1)
    ids, mask = pad_rows(ROWS, side)
    output = model.generate(ids, max_new_tokens=12, eos_id=EOS, attention_mask=mask, use_cache=use_cache)
    assert torch.equal(output[:, : ids.shape[1]], ids)
    for row, new in zip(ROWS, output[:, ids.shape[1] :].tolist()):
        expected = greedy_by_hand(model, row, 12, EOS)
        assert new[: len(expected)] == expected
        assert set(new[len(expected) :]) <= {PAD}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("num_return_sequences", [1, 4])
def test_beam_search_with_the_state_equals_beam_search_without(seed, num_return_sequences):
    model = make_lstm(seed, eos_bias=2.0)
    ids, mask = pad_rows(ROWS, "left")

    def search(use_cache):
        return model.generate(
            ids,
            max_new_tokens=8,
            eos_id=EOS,
            attention_mask=mask,
            num_beams=4,
            num_return_sequences=num_return_sequences,
            use_cache=use_cache,
            return_dict_in_generate=True,
            output_scores=True,
        )

    with_state, without = search(True), search(False)
    assert with_state.sequences.shape[0] == len(ROWS) * num_return_sequences
    assert torch.equal(with_state.sequences, without.sequences)
    torch.testing.assert_close(with_state.sequences_scores, without.sequences_scores, atol=1e-5, rtol=0)


@pytest.mark.parametrize("num_beams", [1, 3])
def test_generation_reads_every_token_once(num_beams):
    model, lengths = make_lstm(eos_bias=-100.0), []
    model.backbone.embedding.register_forward_pre_hook(lambda module, args: lengths.append(args[0].shape[1]))
    model.generate(torch.tensor([[5, 6, 7]]), max_new_tokens=5, num_beams=num_beams)
    assert lengths == [3, 1, 1, 1, 1]


def test_sampling_is_reproducible_by_seed():
    model = make_lstm()
    prefixes = torch.randint(3, VOCAB_SIZE, (2, 4))

    def sample(seed):
        torch.manual_seed(seed)
        return model.generate(prefixes, max_new_tokens=15, do_sample=True, temperature=1.5, top_p=0.95).tolist()

    assert sample(1) == sample(1)
    assert sample(1) != sample(2)


def test_sampling_from_the_single_most_probable_token_is_greedy():
    model = make_lstm()
    prefixes = torch.randint(3, VOCAB_SIZE, (2, 4))
    sampled = model.generate(prefixes, max_new_tokens=15, eos_id=EOS, do_sample=True, top_k=1)
    assert torch.equal(sampled, model.generate(prefixes, max_new_tokens=15, eos_id=EOS))


def test_a_streamer_receives_the_prefix_and_every_token():
    class Recorder(BaseStreamer):
        def __init__(self):
            self.received, self.ended = [], False

        def put(self, value):
            self.received += value.flatten().tolist()

        def end(self):
            self.ended = True

    recorder = Recorder()
    output = make_lstm().generate(torch.tensor([[5, 6, 7]]), max_new_tokens=6, streamer=recorder)
    assert recorder.received == output[0].tolist()
    assert recorder.ended


@pytest.mark.parametrize(
    ("prefix_ids", "message"),
    [
        (torch.tensor([[3, VOCAB_SIZE]]), "prefix_ids contain 40: token ids go from 0 to 39"),
        (torch.tensor([[3, -1]]), "prefix_ids contain -1: token ids go from 0 to 39"),
        (torch.tensor([[3.0, 4.0]]), "prefix_ids are torch.float32: give torch.int64"),
        (torch.tensor([3, 4]), r"prefix_ids have the shape \[2\]: give \[batch, length\]"),
        (torch.empty(1, 0, dtype=torch.long), r"prefix_ids have the shape \[1, 0\]"),
        (torch.tensor([[3, 4]], device="meta"), "prefix_ids are on meta, the model on cpu: move one of them"),
    ],
)
def test_invalid_prefix_ids_are_refused(prefix_ids, message):
    with pytest.raises(ValueError, match=message):
        make_lstm().generate(prefix_ids)


@pytest.mark.parametrize("setting", [{"max_new_tokens": 0}, {"max_new_tokens": -5}])
def test_generating_no_tokens_is_refused(setting):
    with pytest.raises(ValueError, match="max_new_tokens"):
        make_lstm().generate(torch.tensor([[3, 4]]), **setting)


def test_twenty_tokens_are_added_by_default():
    output = make_lstm(eos_bias=-1e4).generate(torch.tensor([[5, 6, 7]]))
    assert output.shape == (1, 3 + 20)


def test_the_text_generation_pipeline_works(tiny_lstm, tokenizer):
    generator = pipeline("text-generation", model=tiny_lstm, tokenizer=tokenizer, device="cpu")
    (answer,) = generator("the weather today", max_new_tokens=5, do_sample=False)
    ids = tokenizer("the weather today", return_tensors="pt")["input_ids"]
    expected = tokenizer.decode(tiny_lstm.generate(ids, max_new_tokens=5)[0], skip_special_tokens=True)
    assert answer["generated_text"].startswith("the weather today")
    # The pipeline decodes the continuation alone, which has no space before its first word.
    assert answer["generated_text"].replace(" ", "") == expected.replace(" ", "")


# Streams and continuations alone


class Recorder(TextStreamer):
    """A `TextStreamer` that keeps what it would print."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.printed = []

    def on_finalized_text(self, text, stream_end=False):
        self.printed.append(text)


def tokens_of(tokenizer, *tokens):
    return tokenizer.convert_tokens_to_ids(list(tokens))


@pytest.fixture
def ends_inside_a_word(tokenizer):
    """A model that continues every prefix with "##a", "##b", a word, and the end."""
    tokens = tokens_of(tokenizer, "##a", "##b", "the", "[EOS]")

    class Fixed(LogitsProcessor):
        def __call__(self, input_ids, scores):
            chosen = torch.full_like(scores, -torch.inf)
            chosen[:, tokens[input_ids.shape[1] - 1]] = 0
            return chosen

    return {"logits_processor": LogitsProcessorList([Fixed()])}


@pytest.mark.parametrize("skip_prompt", [True, False])
def test_streamed_text_is_the_decoded_text(tokenizer, skip_prompt):
    ids = st.lists(st.integers(0, len(tokenizer) - 1), min_size=1, max_size=12)

    @given(ids, ids)
    def check(prefix, continuation):
        recorder = Recorder(tokenizer, skip_prompt=skip_prompt)
        recorder.put(torch.tensor([prefix]))
        for token in continuation:
            recorder.put(torch.tensor([token]))
        recorder.end()
        text = "".join(recorder.printed)
        assert text == tokenizer.decode(continuation if skip_prompt else prefix + continuation)
        assert "##" not in text

    check()


def test_streamers_print_no_marks_of_tokens(tiny_lstm, tokenizer, ends_inside_a_word, capsys):
    prefix_ids = torch.tensor([tokens_of(tokenizer, "t")])
    tiny_lstm.generate(prefix_ids, streamer=TextStreamer(tokenizer, skip_prompt=True), **ends_inside_a_word)
    tiny_lstm.generate(prefix_ids, streamer=TextStreamer(tokenizer, skip_special_tokens=True), **ends_inside_a_word)
    assert capsys.readouterr().out == "ab the [EOS]\ntab the\n"
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
    tiny_lstm.generate(prefix_ids, streamer=streamer, **ends_inside_a_word)
    assert "".join(streamer) == "ab the"


def test_a_continuation_alone_shows_no_marks_of_tokens(tiny_lstm, tokenizer, ends_inside_a_word):
    prefix_ids = torch.tensor([tokens_of(tokenizer, "t")])
    output = tiny_lstm.generate(prefix_ids, **ends_inside_a_word)
    assert tokenizer.decode(output[0, 1:]) == "ab the [EOS]"
    assert tokenizer.decode(output[0, 1:], skip_special_tokens=True) == "ab the"
    assert tokenizer.batch_decode(output[:, 1:], skip_special_tokens=True) == ["ab the"]
    generator = pipeline("text-generation", model=tiny_lstm, tokenizer=tokenizer, device="cpu")
    options = {"do_sample": False, **ends_inside_a_word}
    assert generator("t", return_full_text=False, **options) == [{"generated_text": "ab the"}]
    assert generator("t", **options) == [{"generated_text": "tab the"}]


def test_a_pipeline_knows_the_model_and_takes_lengths(tiny_lstm, tokenizer, caplog):
    generator = pipeline("text-generation", model=tiny_lstm, tokenizer=tokenizer, device="cpu")
    assert not caplog.records
    prompt = tokenizer("the weather today")["input_ids"]
    lengths = {"max_length": 30}, {"max_new_tokens": 4}, {}
    for length, expected in zip(lengths, (30, len(prompt) + 4, len(prompt) + 20)):
        options = {"min_length": expected, "return_tensors": True, "do_sample": False}
        (answer,) = generator("the weather today", **length, **options)
        assert len(answer["generated_token_ids"]) == expected


# The library's Trainer


@pytest.mark.parametrize("settings", [{}, {"label_smoothing_factor": 0.1}, {"gradient_accumulation_steps": 2}])
def test_the_trainer_of_the_library_trains_it(tmp_path, tokenizer, cleaned_texts, settings):
    torch.manual_seed(0)
    model = LSTMLM(LSTMConfig(vocab_size=len(tokenizer), embedding_dim=16, hidden_dim=24, dropout=0.0))
    dataset = [tokenizer(text) for text in cleaned_texts[:16]]
    shapes = []
    trainer = Trainer(
        model,
        TrainingArguments(
            tmp_path,
            per_device_train_batch_size=8,
            max_steps=12,
            learning_rate=0.02,
            use_cpu=True,
            report_to=[],
            disable_tqdm=True,
            save_strategy="no",
            **settings,
        ),
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm=False),
        train_dataset=dataset,
        eval_dataset=dataset[:8],
        compute_metrics=lambda prediction: shapes.append(prediction.predictions.shape) or {},
    )
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    assert trainer.evaluate()["eval_loss"] < 0.9 * before
    # The predictions are the logits alone.
    assert shapes[0][0] == 8
    assert shapes[0][2] == len(tokenizer)
    trainer.save_model(tmp_path)
    saved = LSTMLM.from_pretrained(tmp_path).eval()
    ids = torch.tensor([dataset[0]["input_ids"]])
    assert torch.equal(saved(ids).logits, model.eval()(ids).logits)


def test_label_smoothing_compares_logits_with_the_next_token(tmp_path, tiny_lstm, tokenizer):
    arguments = TrainingArguments(tmp_path, use_cpu=True, report_to=[], label_smoothing_factor=1e-6)
    batch = DataCollatorForLanguageModeling(tokenizer, mlm=False)([tokenizer("the weather today"), tokenizer("i am")])
    expected = tiny_lstm(**batch).loss
    found = Trainer(tiny_lstm, arguments).compute_loss(tiny_lstm, dict(batch))
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


# Run folders


@pytest.fixture
def run_dir(tmp_path, tiny_lstm, tokenizer):
    folder = tmp_path / "lstm_lm-20260101-120000"
    folder.mkdir()
    return save_lstm_lm(folder, tiny_lstm, tokenizer, META, HISTORY)


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@torch.no_grad()
def test_a_loaded_model_never_ends_at_once_unless_asked_to(tmp_path, tokenizer):
    model = make_lstm(vocab_size=len(tokenizer))
    with torch.no_grad():
        model.lm_head.bias[tokenizer.eos_token_id] = 100.0
    save_lstm_lm(tmp_path, model, tokenizer, META, HISTORY)
    _, loaded, _, eos_id = load_lstm_lm(tmp_path, "cpu")
    prefix_ids = torch.tensor([[5, 6, 7]])
    suggestion = loaded.generate(prefix_ids, eos_id=eos_id)[0, 3:].tolist()
    assert suggestion[0] != eos_id
    assert suggestion[1:] == [eos_id]
    assert loaded.generate(prefix_ids, eos_id=eos_id, min_new_tokens=0)[0, 3:].tolist() == [eos_id]


def test_a_run_reloads_bit_for_bit(run_dir, tiny_lstm, tokenizer, cleaned_texts, no_network):
    loaded_tokenizer, model, pad_id, eos_id = load_lstm_lm(run_dir, "cpu")
    assert (pad_id, eos_id) == (tokenizer.pad_token_id, tokenizer.eos_token_id)
    assert loaded_tokenizer(cleaned_texts)["input_ids"] == tokenizer(cleaned_texts)["input_ids"]
    assert loaded_tokenizer.padding_side == "left"
    assert not model.training
    assert model.lm_head.weight is model.backbone.embedding.weight
    saved = tiny_lstm.state_dict()
    assert list(model.state_dict()) == list(saved)
    assert all(torch.equal(tensor, saved[name]) for name, tensor in model.state_dict().items())
    ids = torch.randint(0, len(tokenizer), (4, 9))
    assert torch.equal(model(ids).logits, tiny_lstm(ids).logits)
    assert torch.equal(model.generate(ids), tiny_lstm.generate(ids))


def test_a_loaded_run_is_saved_again_without_change(run_dir, tmp_path, tokenizer):
    _, model, _, _ = load_lstm_lm(run_dir, "cpu")
    save_lstm_lm(tmp_path, model, tokenizer, META, HISTORY)
    assert (tmp_path / "model.pt").stat().st_size <= (run_dir / "model.pt").stat().st_size + 1_000
    model.save_pretrained(tmp_path)
    for again in (load_lstm_lm(tmp_path, "cpu")[1], AutoModelForCausalLM.from_pretrained(tmp_path)):
        assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in again.state_dict().items())


def test_a_run_has_its_files(run_dir, tokenizer):
    assert {path.name for path in run_dir.iterdir()} == {
        "model.pt",
        "meta.json",
        "history.json",
        "README.md",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "vocab.txt",
    }
    meta = json.loads((run_dir / "meta.json").read_text())
    assert META.items() <= meta.items()
    # All sizes are recorded, because a default may change.
    assert meta["model"] == {
        "vocab_size": len(tokenizer),
        "embedding_dim": 16,
        "hidden_dim": 24,
        "num_layers": 2,
        "dropout": 0.0,
        "pad_token_id": 0,
        "bos_token_id": None,
        "eos_token_id": 2,
        "tie_word_embeddings": True,
    }
    assert json.loads((run_dir / "history.json").read_text()) == HISTORY
    assert (run_dir / "README.md").read_text().startswith("# lstm_lm\n")
    tokens = (run_dir / "vocab.txt").read_text().splitlines()
    assert tokens == tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "bos_token": "[EOS]", "eos_token": "[EOS]"}
    assert json.loads((run_dir / "special_tokens_map.json").read_text()) == special


def test_the_tokenizer_of_a_run_opens_without_a_network(run_dir, tokenizer, cleaned_texts, no_network):
    loaded = AutoTokenizer.from_pretrained(run_dir)
    assert loaded(cleaned_texts)["input_ids"] == tokenizer(cleaned_texts)["input_ids"]
    assert loaded.get_vocab() == tokenizer.get_vocab()


@pytest.mark.parametrize("num_layers", [1, 2])
@torch.no_grad()
def test_a_text_without_the_token_that_begins_one_is_read_as_if_it_stood_there(num_layers):
    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "embedding_dim": 8, "hidden_dim": 12, "num_layers": num_layers}
    model = LSTMLM(LSTMConfig(**sizes, bos_token_id=2)).eval()
    ids = torch.tensor([[7, 8, 9, 10], [11, 12, 2, 13]])
    with_bos = torch.cat([torch.full((2, 1), 2), ids], dim=1)
    expected = model(with_bos).logits[:, 1:]
    assert torch.allclose(model(ids).logits, expected, atol=1e-5)
    assert torch.allclose(model(ids[:1]).logits, expected[:1], atol=1e-5)
    mixed = torch.tensor([[2, 7, 8, 9], [7, 8, 9, 0], [0, 0, 2, 7], [0, 7, 8, 9]])
    logits = model(mixed, attention_mask=(mixed != 0).long()).logits
    assert torch.allclose(logits[0, 1:], expected[0, :3], atol=1e-5)
    assert torch.allclose(logits[1, :3], expected[0, :3], atol=1e-5)
    assert torch.allclose(logits[2, 3], expected[0, 0], atol=1e-5)
    assert torch.allclose(logits[3, 1:], expected[0, :3], atol=1e-5)
    generated = model.generate(ids, max_new_tokens=5)
    assert torch.equal(generated[:, 4:], model.generate(with_bos, max_new_tokens=5)[:, 5:])
    without = LSTMLM(LSTMConfig(**sizes)).eval()
    without.load_state_dict(model.state_dict())
    assert not torch.allclose(without(ids).logits, expected, atol=1e-3)


@torch.no_grad()
def test_a_run_that_does_not_record_its_dropout_answers_the_same(run_dir, tiny_lstm):
    meta = json.loads((run_dir / "meta.json").read_text())
    del meta["model"]["dropout"]
    (run_dir / "meta.json").write_text(json.dumps(meta))
    _, model, _, _ = load_lstm_lm(run_dir, "cpu")
    ids = torch.randint(0, model.config.vocab_size, (4, 9))
    assert torch.equal(model(ids).logits, tiny_lstm(ids).logits)


def test_the_committed_run_has_the_default_sizes():
    root = Path(__file__).parents[1]
    run_dir = re.search(r'run_dir = "(models/lstm_lm-[^"]+)"', (root / "README.md").read_text())[1]
    sizes = json.loads((root / run_dir / "meta.json").read_text())["model"]
    for name in LSTMConfig.__annotations__.keys() - {"bos_token_id"}:
        assert getattr(LSTMConfig(), name) == sizes[name], name


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"absent is not a folder: give the path of a run folder"):
        load_lstm_lm(tmp_path / "absent")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.pt", r"has no model\.pt: it is not a complete LSTM run, choose another folder"),
        ("meta.json", r"has no meta\.json: it is not a run folder"),
    ],
)
def test_a_run_without_one_of_its_files_is_refused(run_dir, name, message):
    (run_dir / name).unlink()
    with pytest.raises(RunError, match=message):
        load_lstm_lm(run_dir)


def test_a_broken_meta_json_is_refused(run_dir):
    (run_dir / "meta.json").write_text('{\n"name": "lstm')
    with pytest.raises(RunError, match=r"meta\.json is not JSON \(line 2\): restore the file"):
        load_lstm_lm(run_dir)


def test_the_run_of_another_model_is_refused(run_dir):
    # A run of `save_pretrained_lm` records no sizes of an LSTM.
    (run_dir / "meta.json").write_text(json.dumps({**META, "name": "distilgpt2"}))
    with pytest.raises(RunError):
        load_lstm_lm(run_dir)


def test_a_tokenizer_of_another_size_is_refused(run_dir, cleaned_texts):
    save_tokenizer(train_tokenizer(cleaned_texts, vocab_size=120), run_dir)
    with pytest.raises(RunError, match=r"a tokenizer of 120 tokens, but its model knows 300: .* restore the folder"):
        load_lstm_lm(run_dir)


def test_weights_that_are_not_finite_are_refused(run_dir, tiny_lstm):
    weights = {name: tensor.clone() for name, tensor in tiny_lstm.state_dict().items()}
    weights["backbone.projection.weight"][3, 5] = torch.nan
    torch.save(weights, run_dir / "model.pt")
    with pytest.raises(RunError, match=r"model\.pt holds weights that are not finite"):
        load_lstm_lm(run_dir)


@pytest.mark.parametrize("sizes", [{"hidden_dim": "many"}, {"num_layers": 0}, {"embedding_dim": -3}])
def test_invalid_sizes_are_refused(run_dir, sizes):
    meta = json.loads((run_dir / "meta.json").read_text())
    (run_dir / "meta.json").write_text(json.dumps({**meta, "model": {**meta["model"], **sizes}}))
    with pytest.raises(RunError, match=r"meta\.json does not hold an LSTM's sizes"):
        load_lstm_lm(run_dir)


def test_weights_of_another_size_are_refused(run_dir):
    meta = json.loads((run_dir / "meta.json").read_text())
    (run_dir / "meta.json").write_text(json.dumps({**meta, "model": {**meta["model"], "hidden_dim": 32}}))
    with pytest.raises(RunError, match=r"model\.pt does not hold this model's weights .*: restore the file"):
        load_lstm_lm(run_dir)


BUILDS = ("2.13.0", "2.13.0+cpu", "2.13.0+cu130", "2.13.0+rocm6.3", "2.13.0a0+git1234")


@pytest.mark.parametrize(("recorded", "installed"), itertools.product(BUILDS, BUILDS))
def test_another_build_of_torch_is_no_other_version(run_dir, monkeypatch, recorded, installed):
    monkeypatch.setattr(importlib.metadata, "version", {"torch": installed}.get)
    monkeypatch.setattr("src.runs.COMPUTING_PACKAGES", ("torch",))
    monkeypatch.setattr("src.runs.RECORDED_PACKAGES", ("torch",))
    write_versions(run_dir, torch=recorded)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warn_of_other_versions(run_dir)


def test_other_versions_of_the_libraries_are_reported(run_dir, monkeypatch):
    here = {"torch": "2.13.0+cu130", "transformers": "5.23.0", "tokenizers": "0.23.3"}
    monkeypatch.setattr("src.runs.library_versions", lambda: here)
    write_versions(run_dir, torch="2.12.1+cpu", pandas="0.1")
    with pytest.warns(UserWarning, match=r"made with torch 2\.12\.1 \(here 2\.13\.0\): its answers"):
        load_lstm_lm(run_dir)


def write_versions(run_dir, **versions):
    """Change the library versions that a run records."""
    meta = json.loads((run_dir / "meta.json").read_text())
    (run_dir / "meta.json").write_text(json.dumps({**meta, "versions": {**meta["versions"], **versions}}))


def test_a_truncated_model_pt_is_refused(run_dir):
    content = (run_dir / "model.pt").read_bytes()
    (run_dir / "model.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(RunError, match=r"model\.pt does not hold this model's weights"):
        load_lstm_lm(run_dir)


def test_a_model_pt_with_one_changed_byte_is_refused(run_dir):
    content = bytearray((run_dir / "model.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (run_dir / "model.pt").write_bytes(content)
    with pytest.raises(RunError, match=r"model\.pt does not hold .* \(.* in it is damaged\): restore the file"):
        load_lstm_lm(run_dir)


@pytest.mark.parametrize("content", [b"", b"these are no weights"])
def test_a_damaged_model_pt_is_refused(run_dir, content):
    (run_dir / "model.pt").write_bytes(content)
    with pytest.raises(RunError):
        load_lstm_lm(run_dir)


def test_weights_that_are_a_list_are_refused(run_dir):
    torch.save([1, 2], run_dir / "model.pt")
    with pytest.raises(RunError, match=r"model\.pt does not hold this model's weights"):
        load_lstm_lm(run_dir)


@pytest.mark.parametrize(
    ("name", "content"),
    [("tokenizer.json", None), ("tokenizer.json", b'{"version": "1'), ("tokenizer_config.json", b"")],
)
def test_a_damaged_tokenizer_is_refused(run_dir, name, content):
    (run_dir / name).unlink()
    if content is not None:
        (run_dir / name).write_bytes(content)
    with pytest.raises(RunError, match=r"has no tokenizer that can be read \(.*\): restore its files"):
        load_lstm_lm(run_dir)


NO_WEIGHTS = r"model\.pt does not hold this model's weights \(it is no file of weights alone\): restore the file$"


@pytest.mark.parametrize(
    "write",
    [
        lambda path: torch.save(nn.Linear(2, 2), path),
        lambda path: torch.jit.save(torch.jit.script(nn.Linear(2, 2)), path),
        lambda path: path.write_bytes(pickle.dumps({"weights": [1.0]})),
        lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"),
        lambda path: path.write_bytes(b"<!doctype html><html></html>"),
    ],
    ids=["module", "script", "pickle", "pointer", "page"],
)
@pytest.mark.filterwarnings("ignore")
def test_advice_to_load_a_file_without_the_check_is_not_passed_on(run_dir, write):
    write(run_dir / "model.pt")
    with pytest.raises(RunError, match=NO_WEIGHTS) as refusal:
        load_lstm_lm(run_dir)
    assert refusal.value.__suppress_context__


class Payload:
    """An object that creates a file when it is unpickled without care."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_code_in_model_pt_is_not_run(run_dir, tmp_path):
    mark = tmp_path / "was-run"
    torch.save({"backbone.embedding.weight": Payload(mark)}, run_dir / "model.pt")
    with pytest.raises(RunError, match=NO_WEIGHTS):
        load_lstm_lm(run_dir)
    assert not mark.exists()
    torch.load(run_dir / "model.pt", weights_only=False)
    assert mark.exists(), "the payload does nothing, so this test proves nothing"


@torch.no_grad()
def test_saving_and_loading_with_transformers_works(tmp_path, no_network):
    model = make_lstm()
    model.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert isinstance(loaded, LSTMLM)
    assert loaded.lm_head.weight is loaded.backbone.embedding.weight
    ids = torch.randint(0, VOCAB_SIZE, (4, 9))
    assert torch.equal(loaded.eval()(ids).logits, model(ids).logits)
    assert torch.equal(loaded.generate(ids), model.generate(ids))
