"""An LSTM that starts from a trained run: where it starts, what it may be tested on, and what is recorded."""

import json
import shutil
from dataclasses import replace
from hashlib import sha256

import pandas as pd
import pytest
import torch

from src import adaptation
from src.adaptation import (
    TRAINED_SHARES,
    LeakageError,
    choose_first_run,
    choose_trained_share,
    first_run_of,
    first_run_record,
    run_with_device,
    seen_texts,
    start_from,
    starting_lstm,
    without_read_tweets,
)
from src.completion.decoding import GREEDY
from src.data_utils import PreparedTweets
from src.evaluation.seen_texts import load_seen_texts
from src.evaluation.systems import ModelSystem
from src.lstm_model import load_lstm_lm, save_lstm_lm
from src.recipe import adapt_lstm, save_run, token_datasets
from src.runs import RunError, read_meta, run_metadata
from src.training.train import TrainingSettings, train

READ = [f"read text number {i}" for i in range(100)]
SETTINGS = TrainingSettings(learning_rate=1e-2, batch_size=16, max_epochs=2, num_sampled_tokens=0)


def prepared(num_train: int = 80, num_read_test: int = 0, read_val: tuple[str, ...] = ()) -> PreparedTweets:
    """Tweets with 10 validation and 40 test tweets, some of which the first run has read."""
    texts = {
        "train": [f"own training text {i}" for i in range(num_train)],
        "val": [*read_val, *(f"own validation text {i}" for i in range(10))],
        "test": [*READ[:num_read_test], *(f"own test text {i}" for i in range(40 - num_read_test))],
    }
    rows = [(text, split) for split, split_texts in texts.items() for text in split_texts]
    counts = {"rows_read": len(rows), "bad_rows": 0, **{split: len(found) for split, found in texts.items()}}
    return PreparedTweets(pd.DataFrame(rows, columns=["text", "split"]), counts, seed=0, split_by="random")


@pytest.fixture
def first_run(tmp_path, tiny_lstm, tokenizer):
    """A run that has read `READ`."""
    folder = tmp_path / "lstm_lm-20260101-000000"
    folder.mkdir()
    save_lstm_lm(folder, tiny_lstm, tokenizer, run_metadata("lstm_lm", {}, {}, {}, 1.0), [])
    seen_texts(READ).save(folder)
    return folder


@pytest.fixture
def committed(first_run, monkeypatch):
    """The same run as the committed one."""
    monkeypatch.setattr(adaptation, "COMMITTED_RUN", first_run)
    return first_run


def test_the_committed_run_is_there_and_knows_what_it_has_read():
    seen = load_seen_texts(adaptation.COMMITTED_RUN)
    assert seen.contain(["so tired", "thank you", "good night", "so bored", "im bored"]).mean() > 0.5
    assert not seen.contain(["zebras recite seven quiet harpsichord equations backwards"]).any()
    assert first_run_of(adaptation.COMMITTED_RUN) is None


def test_by_default_few_tweets_start_from_the_committed_run_and_many_from_random_weights(committed, monkeypatch):
    few = choose_first_run("auto", prepared())
    assert few.folder == committed
    assert committed.name in few.reason and "80 training tweets are too few" in few.reason
    monkeypatch.setattr(adaptation, "MIN_TWEETS_FROM_SCRATCH", 80)
    many = choose_first_run("auto", prepared())
    assert many.folder is None and "random weights: 80 training tweets are enough" in many.reason


def test_none_committed_and_a_name_are_taken_at_their_word(committed, monkeypatch):
    monkeypatch.setattr(adaptation, "MIN_TWEETS_FROM_SCRATCH", 1)
    assert choose_first_run(None, prepared()).folder is None
    for init_from in ("committed", committed, committed.name):
        assert choose_first_run(init_from, prepared(), committed.parent).folder == committed
    with pytest.raises(RunError, match="there is no run 'lstm_lm-1'"):
        choose_first_run("lstm_lm-1", prepared(), committed.parent)


def test_held_out_tweets_that_the_first_run_has_read_are_left_out_and_counted(committed):
    tweets = prepared(num_read_test=2, read_val=("read text number 50",))
    chosen = choose_first_run("committed", tweets)
    assert chosen.tweets.texts("test") == [f"own test text {i}" for i in range(38)]
    assert chosen.tweets.texts("val") == [f"own validation text {i}" for i in range(10)]
    assert chosen.tweets.texts("train") == tweets.texts("train")
    assert chosen.tweets.counts == {
        "rows_read": 131, "bad_rows": 0, "read_by_first_run": 3, "train": 80, "val": 10, "test": 38
    }  # fmt: skip
    assert "3 validation and test tweets that this run has read are left out" in chosen.reason


def test_a_run_that_has_read_the_test_tweets_is_refused(committed):
    tweets = prepared(num_read_test=10)
    with pytest.raises(LeakageError, match="has read 10 of the 40 test tweets") as refused:
        choose_first_run("committed", tweets)
    neutral = f"{committed.name} has read 10 of the 40 test tweets"
    advice = "train on other tweets, or start from another run or from random weights (init_from=None)"
    assert str(refused.value) == f"{neutral}: {advice}"
    with pytest.raises(LeakageError) as refused:
        start_from(committed, tweets, "as it must be")
    assert str(refused.value) == neutral
    chosen = choose_first_run("auto", tweets)
    assert chosen.folder is None and chosen.tweets is tweets
    few = "80 training tweets are too few for random weights (fewer than 100,000)"
    assert chosen.reason == f"The LSTM starts from random weights, although {few}: {neutral}."


@pytest.mark.parametrize("init_from", [5, True, b"lstm_lm-1", "", ["auto"]])
def test_what_names_no_run_is_refused_with_all_that_is_possible(tmp_path, init_from):
    possible = f'give "auto", "committed", None, or the folder of a run or its name in {tmp_path}'
    with pytest.raises(RunError) as refused:
        choose_first_run(init_from, prepared(), tmp_path)
    assert str(refused.value) == f"init_from is {init_from!r}: {possible}"


def test_an_unknown_name_is_refused_with_all_that_is_possible(first_run):
    models_dir = first_run.parent
    with pytest.raises(RunError) as refused:
        choose_first_run("lstm_lm-1", prepared(), models_dir)
    names = f"give a folder or a name in {models_dir} ({first_run.name})"
    others = 'or "auto", "committed" or None'
    assert str(refused.value) == f"there is no run 'lstm_lm-1': {names}, {others}"


def test_a_small_archive_may_hold_two_common_tweets(committed):
    tweets = prepared(num_read_test=2)
    few = replace(tweets, table=tweets.table.drop(index=range(100, 130)), counts={**tweets.counts, "test": 10})
    assert choose_first_run("committed", few).tweets.counts["test"] == 8


def test_without_validation_tweets_there_is_nothing_to_choose_on(committed):
    tweets = prepared(read_val=("read text number 1",))
    table = tweets.table[(tweets.table["split"] != "val") | tweets.table["text"].str.startswith("read")]
    one = replace(tweets, table=table, counts={**tweets.counts, "val": 1})
    with pytest.raises(LeakageError, match="has read 1 of the 1 validation tweets"):
        choose_first_run("committed", one)


def test_a_run_without_a_record_of_its_texts_is_refused(committed):
    (committed / "training_texts.safetensors").unlink()
    with pytest.raises(RunError, match="training_texts"):
        choose_first_run("committed", prepared())
    assert choose_first_run("auto", prepared()).folder is None


def test_an_adapted_run_starts_from_the_weights_and_tokenizer_of_the_first(first_run, tokenizer):
    other_tokenizer, model = starting_lstm(first_run, dropout=0.5)
    assert other_tokenizer.get_vocab() == tokenizer.get_vocab()
    assert model.config.dropout == model.backbone.dropout.p == 0.5
    expected = load_lstm_lm(first_run, device="cpu")[1].state_dict()
    assert all(torch.equal(weights, expected[name]) for name, weights in model.state_dict().items())
    assert read_meta(first_run)["model"]["dropout"] == 0.0


def adapted(first_run, made_up_tweets, folder, settings=SETTINGS):
    train_texts, val_texts = made_up_tweets[:100], made_up_tweets[100:120]
    tokenizer, model, result, share = adapt_lstm(first_run, train_texts, val_texts, settings, 0.1, folder, device="cpu")
    return ModelSystem("lstm_lm", model, tokenizer), result, train_texts, val_texts, share


def test_the_average_of_first_and_trained_weights_is_chosen_on_validation_tweets(first_run, made_up_tweets, tmp_path):
    train_texts, val_texts = made_up_tweets[:100], made_up_tweets[100:120]
    tokenizer, model = starting_lstm(first_run, dropout=0.0)
    datasets = token_datasets(tokenizer, train_texts, val_texts)
    result = train(model, *datasets, SETTINGS, tmp_path / "checkpoints", tokenizer.pad_token_id)
    trained = {name: weights.clone() for name, weights in model.state_dict().items()}
    share, table = choose_trained_share(model, first_run, datasets[1], tokenizer.pad_token_id)
    first = starting_lstm(first_run, dropout=0.0)[1].state_dict()
    for name, weights in model.state_dict().items():
        torch.testing.assert_close(weights, (1 - share) * first[name] + share * trained[name])
    assert table["share of the trained weights"].tolist() == list(TRAINED_SHARES)
    # Training may evaluate in 16 bits.
    assert table["val_loss"].iloc[-1] == pytest.approx(result.best_val_loss, rel=0.02)
    assert table["val_loss"].idxmin() == TRAINED_SHARES.index(share)


def test_training_that_only_harms_leaves_the_first_weights(first_run, made_up_tweets):
    tokenizer, model = starting_lstm(first_run, dropout=0.0)
    _, dataset = token_datasets(tokenizer, made_up_tweets[:10], made_up_tweets[:50])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 10 * torch.randn_like(parameter)
    share, _ = choose_trained_share(model, first_run, dataset, tokenizer.pad_token_id)
    assert share == 0
    first = starting_lstm(first_run, dropout=0.0)[1].state_dict()
    assert all(torch.equal(weights, first[name]) for name, weights in model.state_dict().items())


def saved(first_run, made_up_tweets, models_dir):
    system, result, train_texts, val_texts, share = adapted(first_run, made_up_tweets, models_dir / ".checkpoints")
    options = {"decodings": [GREEDY], "max_pairs": 5, "typed_tweets": 0, "train_texts": train_texts}
    options["trained_share"] = share
    save_run(system, result, val_texts, {"counts": {}}, models_dir, first_run=first_run, **options)
    [run_dir] = set(models_dir.glob("lstm_lm-*")) - {first_run}
    return run_dir


def test_adaptation_lowers_the_validation_loss(first_run, made_up_tweets, tmp_path):
    _, result, *_ = adapted(first_run, made_up_tweets, tmp_path / "a", replace(SETTINGS, max_epochs=8))
    losses = [row["val_loss"] for row in result.history]
    assert losses[-1] < losses[0]


def test_a_saved_run_records_where_it_started_and_what_both_runs_have_read(first_run, made_up_tweets):
    run_dir = saved(first_run, made_up_tweets, first_run.parent)
    record = read_meta(run_dir)["init_from"]
    assert record == first_run_record(first_run, record["trained_share"])
    assert record["run"] == first_run.name and record["trained_share"] in TRAINED_SHARES
    assert record["sha256"] == sha256((first_run / "model.pt").read_bytes()).hexdigest()
    assert (
        f"the weights of the run {first_run.name}, sha256 `{record['sha256']}`;" in (run_dir / "README.md").read_text()
    )
    assert first_run_of(run_dir) == first_run
    seen = load_seen_texts(run_dir)
    assert seen.contain([*READ, *made_up_tweets[:120]]).all()
    assert seen.before.contain(READ).all() and not seen.before.contain(made_up_tweets[:100]).any()


def test_another_run_and_its_comparison_leave_out_what_the_first_run_has_read(first_run, made_up_tweets):
    tweets = prepared(num_read_test=2)
    run_dir = saved(first_run, made_up_tweets, first_run.parent)
    expected = choose_first_run(first_run, tweets)
    assert without_read_tweets(tweets, run_dir).table.equals(expected.tweets.table)
    assert without_read_tweets(tweets, run_dir).counts == expected.tweets.counts
    assert without_read_tweets(tweets, first_run) is tweets


def test_a_first_run_that_has_gone_or_changed_is_named(first_run, made_up_tweets, monkeypatch):
    run_dir = saved(first_run, made_up_tweets, first_run.parent)
    shutil.move(first_run, first_run.parent / "elsewhere")
    with pytest.raises(RunError, match=f"started from {first_run.name}, which is not beside it"):
        first_run_of(run_dir)
    shutil.move(first_run.parent / "elsewhere", first_run)
    meta = json.loads((run_dir / "meta.json").read_text())
    meta["init_from"]["sha256"] = "0" * 64
    (run_dir / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(RunError) as refused:
        first_run_of(run_dir)
    changed = f"started from {first_run}, but its weights have changed: restore its model.pt"
    assert str(refused.value) == f"{run_dir} {changed}"


def test_a_run_to_adapt_lies_in_the_models_folder_or_is_the_committed_one(committed, tmp_path):
    models_dir, other = tmp_path / "other", tmp_path / "elsewhere" / committed.name
    models_dir.mkdir()
    shutil.copytree(committed, other)
    for folder in (committed, other):
        (folder / "device").mkdir()
    assert run_with_device("committed", models_dir) == run_with_device(committed, models_dir) == committed
    assert run_with_device(other, other.parent) == run_with_device(other.name, other.parent) == other
    with pytest.raises(RunError) as refused:
        run_with_device(other, models_dir)
    place = f"lie in the models folder ({models_dir}) or be the one of this project"
    assert str(refused.value) == f"{other} can't be used: the run to start from must {place}"
