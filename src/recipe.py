"""Train the LSTM in one call, save any trained model as a run folder, and make its folder for a device."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import torch
import transformers
from transformers import PreTrainedTokenizerBase

from src.adaptation import choose_trained_share, first_run_record, seen_texts, starting_lstm
from src.completion.completer import Completer
from src.completion.decoding import Decoding
from src.corpus.tokenization import train_tokenizer
from src.deploy.device import DEVICE_DIR, DeviceLM
from src.deploy.export import export_onnx
from src.deploy.export_device import export_device, fill
from src.deploy.ngram_export import load_ngrams, write_merged_file, write_ngram_file
from src.deploy.ngram_file import NGRAM_FILE
from src.device import pick_device
from src.evaluation.context_weights import choose_context_weight
from src.evaluation.evaluate import evaluate
from src.evaluation.intervals import Estimate, Summary, as_record
from src.evaluation.reliability import expected_calibration_error
from src.evaluation.selection import (
    DECODINGS,
    MAX_SECONDS,
    WEIGHTS,
    choose_calibration,
    choose_decoding,
    choose_weight,
    decoding_evaluations,
    decoding_record,
)
from src.evaluation.systems import ModelSystem
from src.evaluation.typing import NUM_SUGGESTIONS
from src.files import write_json
from src.lstm_model import LSTMLM, LSTMConfig, load_lstm_lm, save_lstm_lm
from src.models.interpolation import InterpolatedLM
from src.models.lstm_weights import round_to_half
from src.models.ngram_counts import NgramLevel, ngram_levels
from src.models.ngram_merging import PRIORS
from src.models.pretrained import save_pretrained_lm
from src.next_token_dataset import NextTokenDataset
from src.runs import new_run, run_metadata
from src.text.calibration import CALIBRATION_FILE, IDENTITY, Calibration
from src.text.context_weight import ContextWeight
from src.text.prefixes import TweetCompleter
from src.training.train import Resume, TrainingResult, TrainingSettings, train

# With the LSTM in int8 and the tokenizer, the folder `device` then takes less than 16 MB.
NGRAM_BYTES = 9_500_000
# What the n-grams of a person's texts may add to those of a first device.
OWN_NGRAM_BYTES = 2_500_000
# With fewer validation texts, the weight of a first device is better than one chosen on them.
MIN_CHOICE_TEXTS = 20


def train_lstm(
    train_texts: Sequence[str],
    val_texts: Sequence[str],
    config: LSTMConfig,
    settings: TrainingSettings,
    checkpoint_dir: str | Path,
    resume: Resume = "auto",
    device: str | torch.device | None = None,
) -> tuple[PreTrainedTokenizerBase, LSTMLM, TrainingResult]:
    """Train a tokenizer and an LSTM, in the steps that `solution_lstm.ipynb` shows one by one.

    Args:
        train_texts: cleaned training texts.
        val_texts: cleaned validation texts, see `src.evaluation.selection.validation_texts`.
        config: sizes of the model; `vocab_size` is the maximum size of the vocabulary.
        settings: settings of the run; its seed also draws the initial weights.
        checkpoint_dir: as in `src.training.train.train`.
        resume: as in `src.training.train.train`.
        device: device to train on; None picks the best one.

    Returns:
        tokenizer, model in evaluation mode, result of the training run.
    """
    tokenizer = train_tokenizer(train_texts, config.vocab_size)
    datasets = token_datasets(tokenizer, train_texts, val_texts)
    model = new_lstm(tokenizer, config, settings.seed).to(pick_device(device))
    return tokenizer, model, train(model, *datasets, settings, checkpoint_dir, tokenizer.pad_token_id, resume)


def adapt_lstm(
    first_run: str | Path,
    train_texts: Sequence[str],
    val_texts: Sequence[str],
    settings: TrainingSettings,
    dropout: float,
    checkpoint_dir: str | Path,
    resume: Resume = "auto",
    device: str | torch.device | None = None,
) -> tuple[PreTrainedTokenizerBase, LSTMLM, TrainingResult, float]:
    """Train the LSTM of a run further on other tweets; see `src.adaptation` for the settings.

    Args:
        first_run: folder of the run whose weights and tokenizer are taken.
        dropout: probability of dropout.
        train_texts, val_texts, settings, checkpoint_dir, resume, device: as in `train_lstm`.

    Returns:
        tokenizer, model in evaluation mode, result of the training run, and the share of the trained weights in the
        model's, see `src.adaptation.choose_trained_share`.

    Raises:
        RunError: the run can't be read.
    """
    tokenizer, model = starting_lstm(first_run, dropout)
    datasets = token_datasets(tokenizer, train_texts, val_texts)
    model, pad_id = model.to(pick_device(device)), tokenizer.pad_token_id
    result = train(model, *datasets, settings, checkpoint_dir, pad_id, resume)
    trained_share, losses = choose_trained_share(model, first_run, datasets[1], pad_id)
    return tokenizer, model, replace(result, best_val_loss=losses["val_loss"].min()), trained_share


def token_datasets(
    tokenizer: PreTrainedTokenizerBase, train_texts: Sequence[str], val_texts: Sequence[str]
) -> list[NextTokenDataset]:
    """The training and the validation dataset, cut into context and target by words."""
    return [
        NextTokenDataset(texts, tokenizer, tokenizer.eos_token_id, context_unit="words", bos_id=tokenizer.bos_token_id)
        for texts in (train_texts, val_texts)
    ]


def new_lstm(tokenizer: PreTrainedTokenizerBase, config: LSTMConfig, seed: int) -> LSTMLM:
    """Make an untrained LSTM with the sizes of `config`, for a tokenizer. Seeds Python, NumPy and torch."""
    transformers.set_seed(seed)
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")}
    return LSTMLM(replace(config, vocab_size=len(tokenizer), **ids))


def save_run(
    system: ModelSystem,
    result: TrainingResult,
    val_texts: Sequence[str],
    data: dict,
    models_dir: str | Path = "models",
    *,
    decodings: Sequence[Decoding] = DECODINGS,
    decoding_pairs: int = 3_000,
    max_seconds: float = MAX_SECONDS,
    max_pairs: int = 2_000,
    typed_tweets: int = 200,
    seed: int = 0,
    train_texts: Sequence[str] = (),
    first_run: str | Path | None = None,
    trained_share: float = 1.0,
) -> None:
    """Choose decoding and calibration of a trained model, score it on validation pairs, and save its run folder.

    Args:
        system: the LSTM or a transformer, with the name of the run; its own decoding is not used.
        result: result of the training run.
        val_texts: cleaned validation texts; the first ones are used.
        data: record of the corpus, see `src.data_utils.corpus_record`.
        models_dir: folder of the run folders.
        decodings: decodings to choose from; a single one is not measured.
        decoding_pairs: number of validation pairs on which the decoding is chosen.
        max_seconds: limit of latency, see `src.evaluation.selection.choose_decoding`.
        max_pairs: number of validation pairs that are scored.
        typed_tweets: number of validation tweets that are typed: half to calibrate, half to check the calibration.
            With 0 the run has no calibration, for a model that is too slow to type.
        seed: seed of the bootstrap.
        train_texts: training texts of an LSTM; the run folder records which texts it has read.
        first_run: folder of the run from which the LSTM started.
        trained_share: as from `adapt_lstm`.
    """
    if isinstance(system.model, LSTMLM):
        round_to_half(system.model)
    decoding, tried, calibration, error = decodings[0], None, None, None
    if len(decodings) > 1:
        table = decoding_evaluations(system, decodings, val_texts[:decoding_pairs], max_seconds, seed)
        decoding, tried = choose_decoding(table, max_seconds), decoding_record(table)
    system = replace(system, decoding=decoding)
    pair_texts = val_texts[:max_pairs]
    summary = evaluate(system, pair_texts).summary(seed)
    if typed_tweets:
        calibration, error = calibrate(Completer(system.model, system.tokenizer), val_texts[:typed_tweets])
    start = {"first_run": first_run, "trained_share": trained_share}
    read_texts = [*train_texts, *val_texts] if train_texts else []
    chosen = {"decodings": tried, "calibration": calibration, "calibration_error": error}
    write_run(system, result, summary, len(pair_texts), data, models_dir, read_texts=read_texts, **chosen, **start)


def write_run(
    system: ModelSystem,
    result: TrainingResult,
    summary: Summary,
    num_pairs: int,
    data: dict,
    models_dir: str | Path = "models",
    *,
    read_texts: Sequence[str] = (),
    decodings: dict[str, dict] | None = None,
    calibration: Calibration | None = None,
    calibration_error: dict[str, float] | None = None,
    first_run: str | Path | None = None,
    trained_share: float = 1.0,
) -> None:
    """Write the run folder of a trained model that has been scored.

    Args:
        system: as in `save_run`, with the decoding that was chosen.
        summary: scores on validation pairs.
        num_pairs: number of these pairs.
        read_texts: texts that the model has read; the run folder of an LSTM records them.
        decodings: as from `src.evaluation.selection.decoding_record`; None if no decoding was chosen.
        calibration, calibration_error: as from `calibrate`; None for a model that was not calibrated.
        result, data, models_dir, first_run, trained_share: as in `save_run`.
    """
    metrics = {**as_record(summary), "val_loss": result.best_val_loss, "pairs": num_pairs}
    optional = {"decodings": decodings, "calibration_error": calibration_error}
    metrics |= {name: value for name, value in optional.items() if value is not None}
    settings = {**asdict(result.settings), "decoding": asdict(system.decoding)}
    init_from = first_run_record(first_run, trained_share) if first_run is not None else None
    meta = run_metadata(system.name, settings, data, metrics, result.duration, init_from)
    save_model = save_lstm_lm if isinstance(system.model, LSTMLM) else save_pretrained_lm
    with new_run(system.name, models_dir) as run_dir:
        if read_texts:
            seen_texts(read_texts, first_run).save(run_dir)
        if calibration is not None:
            write_json(run_dir / CALIBRATION_FILE, asdict(calibration))
        save_model(run_dir, system.model, system.tokenizer, meta, result.history)


def calibrate(completer: TweetCompleter, texts: Sequence[str]) -> tuple[Calibration, dict[str, float]]:
    """Fit the calibration of a completer, which has none yet, on half of validation texts.

    Returns:
        the calibration, and the expected calibration error on the other half, "before" and "after" it.
    """
    calibration, check = choose_calibration(completer, texts)
    n = max(NUM_SUGGESTIONS)
    probabilities, is_right = check.shown_probabilities(n), check.shown_right(n)
    probabilities = {"before": probabilities, "after": calibration.apply(probabilities)}
    return calibration, {name: expected_calibration_error(p, is_right) for name, p in probabilities.items()}


@dataclass(frozen=True)
class Device:
    """A run's folder `device` and how it was made.

    Attributes:
        folder: the folder.
        model: the same two models in torch, the LSTM in float32.
        weights: the table of `choose_weight`; None if the first device's weight was kept.
        change: of the validation loss by weights that depend on the context, see `choose_context_weight`; None if so.
        calibration_error: expected calibration error before and after it, as from `calibrate`; None without one.
        num_counted: number of n-grams before pruning, of all lengths.
    """

    folder: Path
    model: InterpolatedLM
    weights: pd.DataFrame | None
    change: Estimate | None
    calibration_error: dict[str, float] | None
    num_counted: int


def build_device(
    run_dir: str | Path,
    train_texts: Sequence[str],
    val_texts: Sequence[str],
    max_bytes: int | None = None,
    order: int = 4,
    typed_tweets: int = 200,
    seed: int = 0,
    first_device: str | Path | None = None,
) -> Device:
    """Count n-grams, prune them to a size, choose on validation tweets how much they count, and write `device`.

    Args:
        run_dir: folder of an LSTM run.
        train_texts: the texts on which the run was trained; they are counted.
        val_texts: validation texts.
        max_bytes: largest size of the n-gram file; None is `NGRAM_BYTES`, or with `first_device` the size of its file
            and `OWN_NGRAM_BYTES` more.
        order: length of the longest n-grams; with `first_device` that of its n-grams is used.
        typed_tweets: number of validation tweets that are typed to calibrate probabilities, if there are so many. If
            fewer than 2 are typed, the probabilities stay as they are.
        seed: seed of the bootstrap.
        first_device: folder `device` of the run that this one started from, with the same tokenizer. The counts are
            merged into its n-grams, and the validation texts choose how much these count. With fewer than
            `MIN_CHOICE_TEXTS` validation texts, its weight and its calibration are kept.

    Raises:
        ValueError: there are too few texts, the n-grams do not fit, or the first device has another tokenizer.
        RunError: the run can't be read.
        FileNotFoundError, DeviceError: the first device can't be used.
        WriteError: the disk is full.
    """
    if not train_texts or not val_texts or typed_tweets < 0:
        counts = f"{len(train_texts)} training texts, {len(val_texts)} validation texts, {typed_tweets} of them typed"
        raise ValueError(f"{counts}: give training texts and validation texts")
    tokenizer, lstm, pad_id, eos_id = load_lstm_lm(run_dir, device="cpu")
    first = None if first_device is None else open_first_device(first_device, run_dir, tokenizer)
    train_dataset, val_dataset = token_datasets(tokenizer, train_texts, val_texts)
    levels = ngram_levels(train_dataset, len(tokenizer), eos_id, first.ngrams.order if first else order)
    export_onnx(run_dir)
    keeps_first = first is not None and len(val_texts) < MIN_CHOICE_TEXTS
    # Beside the run folder, so that what a killed process leaves of the texts lies there too.
    with TemporaryDirectory(dir=Path(run_dir).resolve().parent, prefix=".device-") as name:
        folder = Path(name)
        paths = write_ngrams(folder, levels, eos_id, max_bytes, first)
        if keeps_first:
            path, weights, change, error = paths[0], None, None, None
            model, calibration = InterpolatedLM(lstm, load_ngrams(path, pad_id), first.weight), first.calibration
        else:
            path, model, weights = choose_ngrams(lstm, paths, val_dataset, pad_id)
            model, change = choose_context_weight(model, val_dataset, pad_id, seed)
            calibration, error = IDENTITY, None
        weight = model.weight
        if not isinstance(weight, ContextWeight):
            weight = ContextWeight.fixed(weight, len(levels))
        if min(typed_tweets, len(val_texts)) >= 2 and not keeps_first:
            fill(folder / DEVICE_DIR, run_dir, path, weight, IDENTITY)
            typing_model = DeviceLM(folder / DEVICE_DIR, allow_offensive_words=True)
            calibration, error = calibrate(typing_model, val_texts[:typed_tweets])
        device_dir = export_device(run_dir, path, weight, calibration)
    return Device(device_dir, model, weights, change, error, sum(len(level.tokens) for level in levels))


def open_first_device(folder: str | Path, run_dir: str | Path, tokenizer: PreTrainedTokenizerBase) -> DeviceLM:
    """Open the device of the run that another one started from; the errors are those of `build_device`."""
    first = DeviceLM(folder, allow_offensive_words=True)
    if first.tokenizer.get_vocab() != tokenizer.get_vocab() or first.eos_id != tokenizer.eos_token_id:
        raise ValueError(
            f"{folder} has another tokenizer than {run_dir}: give the device of the run that it started from"
        )
    return first


def write_ngrams(
    folder: Path, levels: Sequence[NgramLevel], eos_id: int, max_bytes: int | None, first: DeviceLM | None
) -> list[Path]:
    """Write counted n-grams to a new file; with a first device merged into its own, one file for each of `PRIORS`."""
    if first is None:
        max_bytes = NGRAM_BYTES if max_bytes is None else max_bytes
        return [write_ngram_file(folder / NGRAM_FILE, levels, eos_id, max_bytes)]
    if max_bytes is None:
        max_bytes = first.ngrams.path.stat().st_size + OWN_NGRAM_BYTES
    paths = [folder / f"{prior:g}-{NGRAM_FILE}" for prior in PRIORS]
    return [write_merged_file(path, first.ngrams, levels, max_bytes, prior) for path, prior in zip(paths, PRIORS)]


def choose_ngrams(
    lstm: LSTMLM, paths: Sequence[Path], dataset: NextTokenDataset, pad_id: int
) -> tuple[Path, InterpolatedLM, pd.DataFrame]:
    """The n-gram file with which the mixture has the lowest loss, the mixture, and the table of `choose_weight`."""
    positive = [weight for weight in WEIGHTS if weight > 0]
    mixtures = [choose_weight(lstm, load_ngrams(path, pad_id), dataset, pad_id, positive) for path in paths]
    best = min(range(len(paths)), key=lambda i: mixtures[i][1]["val_nll"].min())
    return paths[best], *mixtures[best]
