"""The exported LSTM: float32 answers like torch, int8 almost like it, and neither needs torch."""

import errno
import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns

import numpy as np
import onnx
import pandas as pd
import pytest

from src.completion.completer import Completer
from src.completion.decoding import WORDS
from src.corpus.load import read_sentiment140
from src.data_utils import prepare_tweets, split_x_target_by_words
from src.deploy import export
from src.deploy.export import export_onnx
from src.deploy.onnx_lstm import INT8_FILE, ONNX_FILE, OnnxLSTM
from src.evaluation.evaluate import evaluate, evaluation_texts
from src.evaluation.systems import ModelSystem, OnnxSystem
from src.examples import PROMPTS
from src.files import WriteError
from src.lstm_model import load_lstm_lm
from src.runs import RunError, find_run

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT.parent / "shared" / "data" / "sentiment140-sample.csv.zip"


@pytest.mark.parametrize(("n", "half_typed"), [(1, False), (3, False), (1, True)])
def test_float32_answers_like_torch(run_dir, cleaned_texts, n, half_typed):
    tokenizer, model, _, _ = load_lstm_lm(run_dir, device="cpu")
    prefixes = [text for text in cleaned_texts if " " in text]
    expected = Completer(model, tokenizer).complete(prefixes, n, half_typed)
    found = OnnxLSTM(run_dir, "float32").complete(prefixes, n, half_typed)
    assert [[one.text for one in group] for group in found] == [[one.text for one in group] for group in expected]
    confidences = [[one.confidence for group in groups for one in group] for groups in (found, expected)]
    assert confidences[0] == pytest.approx(confidences[1], abs=1e-4)


def test_there_are_three_suggestions_even_if_one_token_spells_the_typed_letters(run_dir, cleaned_texts):
    prefixes = [text for text in cleaned_texts if " " in text]
    for prefix, group in zip(prefixes, OnnxLSTM(run_dir).complete(prefixes, 3, half_typed=True)):
        assert len({one.text for one in group}) == 3
        assert all(one.text.startswith(prefix.split()[-1]) for one in group)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_reading_token_by_token_equals_reading_all_at_once(run_dir, precision):
    model = OnnxLSTM(run_dir, precision)
    token_ids, state = np.array([[40, 50, 60, 70], [41, 40, 50, 45]]), None
    for tokens in token_ids.T:
        logits, state = model.read(tokens[:, None], state)
    expected, expected_state = model.read(token_ids)
    # In int8, the activations of tokens that are read together share a scale.
    tolerance = 1e-5 if precision == "float32" else 0.1 * np.abs(expected).max()
    np.testing.assert_allclose(logits, expected, atol=tolerance)
    np.testing.assert_allclose(state[0], expected_state[0], atol=1e-5 if precision == "float32" else 0.1)


def test_int8_logits_correlate_with_float32_after_every_token(run_dir, tokenizer):
    exact, quantised = OnnxLSTM(run_dir, "float32"), OnnxLSTM(run_dir, "int8")
    for token in range(len(tokenizer)):
        (logits, _), (near, _) = (model.read(np.array([[token]])) for model in (exact, quantised))
        assert np.corrcoef(logits[0], near[0])[0, 1] > 0.99


def test_export_prints_and_logs_nothing(run_dir, caplog, capfd):
    export_onnx(run_dir)
    assert caplog.records == [] and capfd.readouterr() == ("", "")


def test_completing_imports_no_torch(run_dir):
    code = (
        "import sys; from src.deploy.onnx_lstm import OnnxLSTM; "
        "print(OnnxLSTM(sys.argv[1]).complete(['so very'], n=2)); "
        "assert not {'torch', 'transformers', 'pandas'} & set(sys.modules)"
    )
    completed = subprocess.run([sys.executable, "-c", code, run_dir], cwd=ROOT, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.count("Completion(") == 2


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="export_onnx"):
        OnnxLSTM(tmp_path)
    with pytest.raises(RunError, match=r"has no meta\.json"):
        export_onnx(tmp_path)


def test_two_exports_at_once_both_end_with_complete_files(run_dir, tmp_path, monkeypatch):
    folder = without_exports(run_dir, tmp_path)
    quantise, ended = export.quantise, []

    def quantise_after_another_export(*paths):
        monkeypatch.setattr(export, "quantise", quantise)
        ended.append(export_onnx(folder))
        quantise(*paths)

    monkeypatch.setattr(export, "quantise", quantise_after_another_export)
    ended.append(export_onnx(folder))
    assert ended == [(folder / ONNX_FILE, folder / INT8_FILE)] * 2
    assert names_in(folder) == names_in(run_dir)
    for precision in ("float32", "int8"):
        assert OnnxLSTM(folder, precision).complete(["so very"]) == OnnxLSTM(run_dir, precision).complete(["so very"])


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_or_an_interruption_leaves_no_partial_file(run_dir, tmp_path, monkeypatch, error):
    folder = without_exports(run_dir, tmp_path)
    before = names_in(folder)

    def fail(*_):
        raise error

    monkeypatch.setattr("src.deploy.export.share_embedding", fail)
    with pytest.raises(WriteError if isinstance(error, OSError) else KeyboardInterrupt):
        export_onnx(folder)
    assert names_in(folder) == before


def without_exports(run_dir: Path, tmp_path: Path) -> Path:
    return Path(copytree(run_dir, tmp_path / "run", ignore=ignore_patterns("*.onnx")))


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_text_that_is_typed_gets_the_suggestions_of_a_new_model(run_dir):
    model = OnnxLSTM(run_dir, "float32")
    text = "good morning we never want"
    for end in [*range(len("good m"), len(text) + 1), 12, 8]:
        [found] = model.complete([text[:end]], 3, half_typed=True)
        [expected] = OnnxLSTM(run_dir, "float32").complete([text[:end]], 3, half_typed=True)
        assert [one.text for one in found] == [one.text for one in expected]


def test_within_a_word_the_text_is_not_read_again(run_dir, monkeypatch):
    model = OnnxLSTM(run_dir)
    lengths, read = [], model.read
    monkeypatch.setattr(model, "read", lambda ids, state=None: lengths.append(ids.shape[1]) or read(ids, state))
    for text in ("good morning t", "good morning to", "good morning today ", "good morning today w"):
        model.complete([text], 3, half_typed=True)
    prefix_tokens = [length for length in lengths if length > 1]
    assert len(prefix_tokens) == 1


def test_a_model_exported_for_one_row_is_refused(run_dir, tmp_path):
    for path in run_dir.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    exported = onnx.load(tmp_path / INT8_FILE)
    for one in exported.graph.input:
        if one.name in ("hidden", "cell"):
            one.type.tensor_type.shape.dim[1].dim_value = 1
    onnx.save(exported, tmp_path / INT8_FILE)
    with pytest.raises(FileNotFoundError, match=r"is of an earlier version and reads one row at a time: write it with"):
        OnnxLSTM(tmp_path)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (INT8_FILE, r"can't be read \(InvalidProtobuf\): write it with src.deploy.export.export_onnx\('.*'\)$"),
        ("tokenizer.json", r"can't be read \(EOF while parsing .*\): restore the file$"),
        ("special_tokens_map.json", r"does not hold the special tokens of a run: restore the file$"),
    ],
)
def test_a_damaged_file_is_refused_in_one_sentence(run_dir, tmp_path, name, problem):
    folder = Path(copytree(run_dir, tmp_path / "run"))
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=rf"^{folder / name} {problem}"):
        OnnxLSTM(folder)


def test_float32_scores_equal_those_of_torch(run_dir, cleaned_texts):
    tokenizer, model, _, _ = load_lstm_lm(run_dir, device="cpu")
    texts = evaluation_texts(cleaned_texts, 40, seed=0)
    expected, found = (
        evaluate(system, texts)
        for system in (ModelSystem("torch", model, tokenizer, WORDS), OnnxSystem("onnx", OnnxLSTM(run_dir, "float32")))
    )
    assert found.answers == expected.answers
    pd.testing.assert_frame_equal(found.scores, expected.scores)
    pd.testing.assert_frame_equal(found.likelihood, expected.likelihood, rtol=1e-4)
    np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-4)


@pytest.fixture(scope="module")
def committed_run(tmp_path_factory):
    """The committed run, exported."""
    folder = tmp_path_factory.mktemp("committed")
    for path in find_run("lstm_lm", models_dir=ROOT / "models").iterdir():
        (folder / path.name).symlink_to(path)
    export_onnx(folder)
    return folder


@pytest.mark.slow
def test_the_trained_model_loses_little_at_a_quarter_of_its_size(committed_run):
    names = ("model.pt", "model.onnx", "model.int8.onnx")
    saved, float32, int8 = ((committed_run / name).stat().st_size for name in names)
    # Weights are saved in 16 bits.
    assert float32 == pytest.approx(2 * saved, rel=0.01) and int8 < 0.27 * float32 < 8e6
    prefixes = real_prefixes()
    tokenizer, model, _, _ = load_lstm_lm(committed_run, device="cpu")
    expected = [group[0].text for group in Completer(model, tokenizer).complete(prefixes)]
    exact, near = (OnnxLSTM(committed_run, precision).complete(prefixes) for precision in ("float32", "int8"))
    assert [group[0].text for group in exact] == expected
    first_words = [(group[0].text.split()[0], text.split()[0]) for group, text in zip(near, expected)]
    # Of ten examples, one or two may have two words that are almost equally probable.
    assert np.mean([word == right for word, right in first_words]) >= (0.97 if len(prefixes) > 100 else 0.8)


def real_prefixes() -> list[str]:
    """Return 1,000 contexts from Sentiment140 if the file exists, else the example prefixes."""
    if not SAMPLE.exists():
        return list(PROMPTS)
    texts = prepare_tweets(read_sentiment140(SAMPLE), seed=0).texts("val", 1_200)
    return [split_x_target_by_words(text)[0] for text in texts if text.count(" ") >= 3][:1_000]


def test_half_typed_letters_that_the_model_finds_improbable_are_completed(run_dir, monkeypatch):
    model = OnnxLSTM(run_dir, "float32")
    read = model.read

    def read_with_a_favourite(input_ids, state=None):
        logits, state = read(input_ids, state)
        logits[:, model.eos_id] += 50
        return logits, state

    monkeypatch.setattr(model, "read", read_with_a_favourite)
    [[suggestion]] = model.complete(["so very hap"], half_typed=True)
    assert suggestion.text.startswith("hap") and np.isfinite(suggestion.confidence)
