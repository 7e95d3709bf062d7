"""The folder `device`: the LSTM in int8 with n-grams, without torch."""

import ast
import errno
import json
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.completion import Completer
from src.corpus.tokenization import train_tokenizer
from src.deploy.device import CHECKED, DEVICE_DIR, SETTINGS_FILE, TOKENIZER_FILE, DeviceError, DeviceLM, read_settings
from src.deploy.export_device import export_device, main, megabytes
from src.deploy.ngram_export import load_ngrams, write_merged_file
from src.deploy.ngram_file import NGRAM_FILE, NgramFile
from src.deploy.onnx_lstm import INT8_FILE, ONNX_FILE
from src.evaluation.evaluate import evaluate
from src.evaluation.systems import ModelSystem, OnnxSystem
from src.examples import TWEETS
from src.files import WriteError, write_json
from src.lstm_model import LSTMLM, LSTMConfig, load_lstm_lm, save_lstm_lm
from src.models.interpolation import InterpolatedLM
from src.models.ngram_counts import ngram_levels
from src.models.ngram_merging import PRIORS
from src.next_token_dataset import NextTokenDataset
from src.recipe import MIN_CHOICE_TEXTS, Device, build_device
from src.runs import RunError, find_run
from src.text.calibration import IDENTITY
from src.text.context_weight import ContextWeight
from tests.budget import examples

ROOT = Path(__file__).resolve().parents[2]
ORDER = 3
WEIGHT = ContextWeight((0.5, -0.3, -1.0, 0.4, -0.6, 0.2))
TYPED = ["", "go", "@ada w", "The weather TODAY!", "good morning t", "good morning tod", "we never want to go "]


@pytest.fixture(scope="module")
def device(run_dir, cleaned_texts, tmp_path_factory) -> Device:
    """The device of a small run, with the LSTM in float32 too."""
    folder = shutil.copytree(run_dir, tmp_path_factory.mktemp("device") / "run")
    made = build_device(folder, cleaned_texts, cleaned_texts[:40], order=ORDER, typed_tweets=20)
    shutil.copyfile(run_dir / ONNX_FILE, made.folder / ONNX_FILE)
    return made


@pytest.fixture(scope="module")
def by_context(device, tmp_path_factory) -> Device:
    """The same with a weight that differs from context to context."""
    run_dir = shutil.copytree(device.folder.parent, tmp_path_factory.mktemp("by_context") / "run")
    ngram_path = shutil.copyfile(device.folder / NGRAM_FILE, run_dir / NGRAM_FILE)
    folder = export_device(run_dir, ngram_path, WEIGHT, IDENTITY)
    shutil.copyfile(device.folder / ONNX_FILE, folder / ONNX_FILE)
    model = InterpolatedLM(device.model.neural, device.model.ngram, WEIGHT)
    return replace(device, folder=folder, model=model)


OWN_TEXTS = ["my cat missed the bus again", "my cat found the bakery", "never trust the bus on sunday"] * 10


@pytest.fixture(scope="module")
def adapted(device, run_dir, tmp_path_factory) -> Device:
    """The device of a run on a person's texts, which started from the small one."""
    folder = shutil.copytree(run_dir, tmp_path_factory.mktemp("adapted") / "run")
    made = build_device(folder, OWN_TEXTS, OWN_TEXTS[:20], typed_tweets=4, first_device=device.folder)
    shutil.copyfile(run_dir / ONNX_FILE, made.folder / ONNX_FILE)
    return made


@pytest.fixture(params=["device", "by_context", "adapted"])
def any_device(request, device, by_context, adapted) -> Device:
    return {"device": device, "by_context": by_context, "adapted": adapted}[request.param]


def in_torch(device: Device) -> Completer:
    tokenizer, *_ = load_lstm_lm(device.folder.parent, device="cpu")
    settings = read_settings(device.folder / SETTINGS_FILE)
    return Completer(device.model, tokenizer, calibration=settings.calibration)


@pytest.mark.parametrize("n", [1, 3])
def test_float32_suggests_what_both_models_in_torch_suggest(any_device, n):
    found = DeviceLM(any_device.folder, "float32").complete(TYPED, n, half_typed=True)
    expected = in_torch(any_device).complete(TYPED, n, half_typed=True)
    # Words that hardly occur are equally improbable, so their order depends on rounding.
    texts = [
        [[one.text for one in group if one.next_word_probability > 1e-3] for group in groups]
        for groups in (found, expected)
    ]
    assert texts[0] == texts[1] and all(texts[0])
    for name in ("confidence", "next_word_probability"):
        values = [[getattr(one, name) for group in groups for one in group] for groups in (found, expected)]
        assert values[0] == pytest.approx(values[1], abs=1e-3)


def test_float32_scores_equal_those_of_both_models_in_torch(any_device, cleaned_texts):
    texts = [text for text in cleaned_texts if text.count(" ") >= 3]
    exact = ModelSystem("torch", any_device.model, in_torch(any_device).tokenizer)
    found = OnnxSystem("device", DeviceLM(any_device.folder, "float32")).likelihood(texts)
    assert found["nll"].tolist() == pytest.approx(exact.likelihood(texts)["nll"].tolist(), rel=1e-4)


def test_probabilities_sum_to_one_and_take_the_n_grams_in(any_device):
    model = DeviceLM(any_device.folder)
    texts = [(model.eos_id, 40, 50), (model.eos_id,)]
    logits, _ = model.read(np.array([[40], [50]]))
    probabilities = model.probabilities(texts, logits)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    model.weight = ContextWeight.fixed(1 - 1e-9, ORDER)
    np.testing.assert_allclose(model.probabilities(texts, logits), model.ngrams.look_up_all(texts)[0], atol=1e-6)


def test_int8_agrees_with_float32_in_the_next_word_of_the_committed_run():
    folder = find_run("lstm_lm", models_dir=ROOT / "models") / DEVICE_DIR
    tokenizer, lstm, pad_id, _ = load_lstm_lm(folder.parent, device="cpu")
    completer = DeviceLM(folder)
    exact = Completer(InterpolatedLM(lstm, load_ngrams(folder / NGRAM_FILE, pad_id), completer.weight), tokenizer)
    prefixes = [tweet[:end] for tweet in TWEETS for end in range(len(tweet))]
    found, expected = (
        [group[0].text.split(" ")[0] for group in one.complete(prefixes, 1, half_typed=True)]
        for one in (completer, exact)
    )
    agreement = np.mean([a == b for a, b in zip(found, expected)])
    assert len(prefixes) > 300 and agreement >= 0.97


def test_the_committed_folder_is_small_and_is_what_its_run_says():
    run_dir = find_run("lstm_lm", models_dir=ROOT / "models")
    record = json.loads((run_dir / "meta.json").read_text())["device"]
    # The code that is a part of an exported folder is not committed twice.
    assert megabytes(run_dir / DEVICE_DIR) == pytest.approx(record["megabytes"], abs=0.1) and record["megabytes"] <= 16
    for name, checksum in record["sha256"].items():
        assert sha256((run_dir / DEVICE_DIR / name).read_bytes()).hexdigest() == checksum


def test_the_build_says_what_it_chose(device):
    assert set(device.weights) == {"weight", "val_nll"} and device.change.n > 0
    assert set(device.calibration_error) == {"before", "after"}
    assert json.loads((device.folder.parent / "meta.json").read_text())["device"]["sha256"].keys() == {
        INT8_FILE,
        NGRAM_FILE,
    }


def test_what_is_typed_is_remembered_without_changing_what_is_suggested(device):
    model = DeviceLM(device.folder, "float32")
    text = "good morning we never want"
    for end in [*range(len(text) + 1), 12, 8]:
        [found] = model.complete([text[:end]], 3, half_typed=True)
        [expected] = DeviceLM(device.folder, "float32").complete([text[:end]], 3, half_typed=True)
        assert [one.text for one in found] == [one.text for one in expected]


def test_completing_needs_no_torch(device):
    code = "import sys, runpy; sys.argv[1:] = ['good', 'morni']; runpy.run_path('example.py', run_name='__main__'); "
    code += "assert not {'torch', 'transformers', 'pandas', 'safetensors'} & set(sys.modules)"
    completed = subprocess.run([sys.executable, "-c", code], cwd=device.folder, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr
    assert len(completed.stdout.splitlines()) == 3


@pytest.mark.slow
def test_the_example_runs_in_an_environment_with_the_packages_that_its_page_names(device, tmp_path):
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--retries", "0", "-c", ROOT / "constraints.txt"]
    copy = shutil.copytree(device.folder, tmp_path / "elsewhere")
    named = re.search(r"pip install (.*)", (copy / "README.md").read_text())[1].split()
    *packages, word_list = named
    for some in (packages, [word_list]):
        # Without the list of words, the example says in one sentence what is missing.
        if some == [word_list]:
            refused = subprocess.run([python, copy / "example.py", "good", "morni"], capture_output=True, text=True)
            assert refused.returncode == 1 and refused.stderr.startswith(
                "The list of offensive words can't be read: run"
            )
            assert len(refused.stderr.splitlines()) == 1 and word_list in refused.stderr
        installed = subprocess.run([*pip, *some], capture_output=True, text=True)
        if installed.returncode:
            pytest.skip(f"the packages can't be installed here: {installed.stderr.strip()[-200:]}")
    completed = subprocess.run([python, copy / "example.py", "good", "morni"], capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr
    lines = completed.stdout.splitlines()
    assert len(lines) == 3 and all("% morni" in line for line in lines)


# Words that are left out


@pytest.fixture
def most_probable(device, monkeypatch) -> frozenset[str]:
    """The most probable next words after the prefixes of `TYPED`, which count as offensive in this test."""
    groups = DeviceLM(device.folder, allow_offensive_words=True).complete(TYPED, half_typed=True)
    words = frozenset(one.text.split()[0] for [one] in groups)
    monkeypatch.setattr("src.deploy.device.offensive_words", lambda: words)
    return words


def test_the_most_probable_words_are_left_out_if_they_are_listed(device, most_probable):
    found = DeviceLM(device.folder).complete(TYPED, 3, half_typed=True)
    assert all(len(group) == 3 for group in found)
    assert all(most_probable.isdisjoint(one.text.split()) for group in found for one in group)


def test_they_are_suggested_if_that_is_allowed(device, most_probable):
    found = DeviceLM(device.folder, allow_offensive_words=True).complete(TYPED, 3, half_typed=True)
    assert {group[0].text.split()[0] for group in found} == most_probable


def test_what_is_measured_is_the_model_without_the_filter():
    """No module with scores or times that are compared builds a filtered one."""
    shown = {"src/deploy/example.py", "benchmarks/robustness/kills.py", "benchmarks/speed/memory.py"}
    paths = [path for folder in ("src", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))]
    calls = {
        (path.relative_to(ROOT).as_posix(), ast.unparse(node))
        for path in paths
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "DeviceLM"
    }
    assert len(calls) > 10
    assert not [call for path, call in calls if path not in shown and "allow_offensive_words=" not in call]


# N-grams of the run that this one started from


def test_an_adapted_device_knows_what_both_runs_know(device, adapted):
    first, own = DeviceLM(device.folder), DeviceLM(adapted.folder)
    # "again" ends the person's text; the first run's texts hold no "missed the bus".
    ids = own.tokenizer.encode("my cat missed the bus", add_special_tokens=False).ids
    again = own.tokenizer.encode("again", add_special_tokens=False).ids[0]
    known = [model.ngrams.probabilities([model.eos_id, *ids])[again] for model in (first, own)]
    assert known[1] > 0.3 > 10 * known[0]
    assert own.ngrams.order == ORDER and adapted.num_counted > 0
    assert all(len(new.tokens) > len(old.tokens) for new, old in zip(own.ngrams.levels, first.ngrams.levels))


@pytest.mark.parametrize(("are_reversed", "prior"), [(False, PRIORS[0]), (True, PRIORS[-1])])
def test_validation_texts_choose_how_much_the_first_n_grams_count(
    run_dir, device, cleaned_texts, tmp_path, are_reversed, prior
):
    # The person's texts are better than the first run's to predict the validation texts, or mislead in every context.
    own = [" ".join(reversed(text.split())) for text in cleaned_texts[:40]] if are_reversed else OWN_TEXTS
    val_texts = cleaned_texts[:40] if are_reversed else OWN_TEXTS[:20]
    folder = shutil.copytree(run_dir, tmp_path / "run")
    made = build_device(folder, own, val_texts, typed_tweets=0, first_device=device.folder)
    file = NgramFile(device.folder / NGRAM_FILE)
    path = write_merged_file(tmp_path / "expected.bin", file, counted(folder, own), prior=prior)
    assert (made.folder / NGRAM_FILE).read_bytes() == path.read_bytes()


def counted(run_dir, texts):
    tokenizer, *_, eos_id = load_lstm_lm(run_dir, device="cpu")
    return ngram_levels(NextTokenDataset(texts, tokenizer, eos_id), len(tokenizer), eos_id, ORDER)


def test_a_handful_of_validation_texts_keeps_the_choices_of_the_first_device(run_dir, by_context, tmp_path):
    first = shutil.copytree(by_context.folder, tmp_path / "first")
    settings = json.loads((first / SETTINGS_FILE).read_text(encoding="utf-8"))
    settings["calibration"] = {"slope": 0.9, "intercept": 0.1}
    write_json(first / SETTINGS_FILE, settings)
    folder = shutil.copytree(run_dir, tmp_path / "run")
    made = build_device(folder, OWN_TEXTS, OWN_TEXTS[: MIN_CHOICE_TEXTS - 1], first_device=first)
    kept = read_settings(made.folder / SETTINGS_FILE)
    assert kept.weight == WEIGHT == made.model.weight and asdict(kept.calibration) == settings["calibration"]
    assert made.weights is made.change is made.calibration_error is None
    path = write_merged_file(tmp_path / "merged.bin", NgramFile(first / NGRAM_FILE), counted(folder, OWN_TEXTS))
    assert (made.folder / NGRAM_FILE).read_bytes() == path.read_bytes()


def test_the_size_of_an_adapted_file(run_dir, device, tmp_path):
    folder = shutil.copytree(run_dir, tmp_path / "run")
    size = (device.folder / NGRAM_FILE).stat().st_size
    texts = {"train_texts": OWN_TEXTS, "val_texts": OWN_TEXTS[:2], "first_device": device.folder}
    made = build_device(folder, **texts, max_bytes=size + 1_000)
    assert (made.folder / NGRAM_FILE).stat().st_size <= size + 1_000
    with pytest.raises(ValueError, match=rf"max_bytes is 1000: the n-grams of .*{NGRAM_FILE} alone take"):
        build_device(folder, **texts, max_bytes=1_000)


def test_a_device_with_another_tokenizer_is_refused_before_anything_is_written(device, tmp_path):
    tokenizer = train_tokenizer(["q w e r t y"], vocab_size=80)
    model = LSTMLM(LSTMConfig(vocab_size=len(tokenizer), eos_token_id=tokenizer.eos_token_id, hidden_dim=8))
    meta = {"name": "lstm_lm", "created": "", "duration_seconds": 1, "settings": {}, "data": {}, "metrics": {}}
    folder = tmp_path / "run"
    folder.mkdir()
    save_lstm_lm(folder, model, tokenizer, {**meta, "versions": {}, "git_commit": None}, [])
    before = sorted(folder.iterdir())
    with pytest.raises(
        ValueError, match=r"device has another tokenizer than .*run: give the device of the run"
    ) as error:
        build_device(folder, ["a b"], ["a b", "b a"], first_device=device.folder)
    assert len(str(error.value).splitlines()) == 1 and sorted(folder.iterdir()) == before
    with pytest.raises(FileNotFoundError, match="copy the folder again"):
        build_device(device.folder.parent, ["a b"], ["a b", "b a"], first_device=tmp_path / "none")


# What can go wrong


@pytest.mark.parametrize(("num_train", "num_val", "num_typed"), [(0, 40, 20), (40, 0, 20), (40, 40, -1)])
def test_too_few_texts_are_refused_before_anything_is_written(run_dir, cleaned_texts, num_train, num_val, num_typed):
    with pytest.raises(ValueError, match="give training texts and validation texts"):
        build_device(run_dir, cleaned_texts[:num_train], cleaned_texts[:num_val], typed_tweets=num_typed)
    assert not (run_dir / DEVICE_DIR).exists()


@pytest.mark.parametrize(("num_val", "num_typed"), [(2, 0), (2, 1), (2, 200), (1, 0), (1, 200)])
def test_few_validation_texts_are_enough_and_keep_one_weight(run_dir, cleaned_texts, tmp_path, num_val, num_typed):
    folder = shutil.copytree(run_dir, tmp_path / "run")
    made = build_device(folder, cleaned_texts[:20], cleaned_texts[20 : 20 + num_val], order=2, typed_tweets=num_typed)
    assert isinstance(made.model.weight, float)
    assert (made.calibration_error is None) == (min(num_val, num_typed) < 2)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert len(DeviceLM(made.folder).complete([""], 3)[0]) == 3


def test_a_text_without_letters_gets_one_sentence(device):
    command = [sys.executable, device.folder / "example.py", "привет"]
    completed = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert completed.returncode == 1 and "has no letters a to z" in completed.stderr
    assert len(completed.stderr.splitlines()) == 1


def test_the_command_adds_the_code_to_the_best_run(device, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["export_device"])
    with pytest.raises(SystemExit, match="lstm_lm"):
        main()
    folder = shutil.copytree(device.folder.parent, tmp_path / "models" / "lstm_lm-20260101-000000") / DEVICE_DIR
    shutil.rmtree(folder / "src")
    main()
    assert capsys.readouterr().out.strip() == str(folder.relative_to(tmp_path))
    assert {path.name for path in folder.iterdir()} == {path.name for path in device.folder.iterdir()}
    (folder / NGRAM_FILE).write_bytes(b"no n-grams")
    with pytest.raises(SystemExit, match="copy the folder again"):
        main()


def test_a_folder_that_is_no_run_is_refused(tmp_path, device):
    with pytest.raises(RunError):
        export_device(tmp_path, device.folder / NGRAM_FILE, WEIGHT, IDENTITY)


@pytest.mark.parametrize("name", [INT8_FILE, NGRAM_FILE, TOKENIZER_FILE, SETTINGS_FILE])
def test_a_missing_file_is_named(device, tmp_path, name):
    folder = shutil.copytree(device.folder, tmp_path / DEVICE_DIR)
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        DeviceLM(folder)


@pytest.mark.parametrize("name", [INT8_FILE, NGRAM_FILE, TOKENIZER_FILE])
def test_a_damaged_file_or_one_of_another_run_is_refused(device, tmp_path, name):
    folder = shutil.copytree(device.folder, tmp_path / DEVICE_DIR)
    committed = find_run("lstm_lm", models_dir=ROOT / "models") / DEVICE_DIR
    for content in ((committed / name).read_bytes(), b"", (device.folder / name).read_bytes()[:-1]):
        (folder / name).write_bytes(content)
        with pytest.raises(DeviceError, match=f"{name} is damaged or of another run: copy the folder again"):
            DeviceLM(folder)


@pytest.mark.parametrize("tokens", [{"eos_token": "none"}, {"eos_token": "[EOS]", "bos_token": "none"}])
def test_special_tokens_that_the_models_lack_are_refused(device, tmp_path, tokens):
    folder = shutil.copytree(device.folder, tmp_path / DEVICE_DIR)
    settings = json.loads((folder / SETTINGS_FILE).read_text())
    (folder / SETTINGS_FILE).write_text(json.dumps({**settings, "special_tokens": tokens}))
    with pytest.raises(DeviceError, match="has other special tokens than the models"):
        DeviceLM(folder)


@pytest.mark.parametrize("name", ["special_tokens", "sha256"])
@pytest.mark.parametrize("value", [["eos_token", *CHECKED], {"eos_token": 2}, {}])
def test_settings_of_another_kind_are_refused(device, tmp_path, name, value):
    settings = json.loads((device.folder / SETTINGS_FILE).read_text())
    (tmp_path / SETTINGS_FILE).write_text(json.dumps({**settings, name: value}))
    with pytest.raises(DeviceError, match="can't be used"):
        read_settings(tmp_path / SETTINGS_FILE)


def test_the_weight_of_other_n_grams_is_refused(device, tmp_path):
    folder = shutil.copytree(device.folder, tmp_path / DEVICE_DIR)
    settings = json.loads((folder / SETTINGS_FILE).read_text())
    (folder / SETTINGS_FILE).write_text(json.dumps({**settings, "ngram_weight": [0.0, 0.0]}))
    with pytest.raises(DeviceError, match="has the weight of other n-grams"):
        DeviceLM(folder)


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
JSON = st.recursive(VALUES, lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text(max_size=3), inner))


@given(
    changed=st.dictionaries(
        st.sampled_from(["special_tokens", "calibration", "ngram_weight", "min_probability", "sha256"]),
        JSON,
        min_size=1,
    )
    | JSON
)
@examples(60)
def test_damaged_settings_give_one_sentence_or_settings(device, tmp_path_factory, changed):
    path = tmp_path_factory.getbasetemp() / "settings.json"
    settings = json.loads((device.folder / SETTINGS_FILE).read_text())
    path.write_text(json.dumps({**settings, **changed} if isinstance(changed, dict) else changed))
    try:
        settings = read_settings(path)
    except DeviceError as error:
        assert str(error).count(": ") == 1 and str(error).endswith("src.recipe.build_device")
    else:
        assert settings.calibration.slope > 0 and 0 <= settings.min_probability <= 1


def test_settings_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / SETTINGS_FILE
    for content in (b"\xff\xfe", b"{", b"[" * 100_000):
        path.write_bytes(content)
        with pytest.raises(DeviceError, match="can't be used"):
            read_settings(path)


@pytest.mark.parametrize("disturbed", ["copyfile", "write_json", "publish"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_or_an_interruption_leaves_no_half_folder(device, tmp_path, monkeypatch, disturbed, error):
    run_dir = shutil.copytree(device.folder.parent, tmp_path / "run")
    before = (run_dir / DEVICE_DIR / SETTINGS_FILE).read_bytes()

    def fail(*_):
        raise error

    owner = "shutil.copyfile" if disturbed == "copyfile" else f"src.deploy.export_device.{disturbed}"
    with monkeypatch.context() as patch, pytest.raises(WriteError if isinstance(error, OSError) else KeyboardInterrupt):
        patch.setattr(owner, fail)
        export_device(run_dir, device.folder / NGRAM_FILE, WEIGHT, IDENTITY)
    assert not [path.name for path in run_dir.iterdir() if path.name.endswith(".partial")]
    if disturbed != "publish":
        assert (run_dir / DEVICE_DIR / SETTINGS_FILE).read_bytes() == before
    folder = export_device(run_dir, device.folder / NGRAM_FILE, WEIGHT, IDENTITY)
    assert DeviceLM(folder).complete(["good morning"], 1)[0]


def test_evaluation_takes_it_as_any_exported_model(device, cleaned_texts):
    texts = [text for text in cleaned_texts if text.count(" ") >= 3][:10]
    summary = evaluate(OnnxSystem("device", DeviceLM(device.folder)), texts).summary(0)
    assert 0 <= summary["next_word"].value <= 1 < summary["perplexity_per_word"].value
