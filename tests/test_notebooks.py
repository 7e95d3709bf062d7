"""The three notebooks: executed on a made-up corpus with tiny parameters, and as they are committed."""

import ast
import itertools
import json
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from unittest.mock import Mock

import nbformat
import papermill
import pytest
import torch
from nbformat.v4 import new_code_cell

from src.adaptation import ADAPTATION_DROPOUT, seen_texts
from src.completion.decoding import GREEDY, Decoding
from src.corpus.load import load_corpus
from src.data_utils import prepare_tweets
from src.evaluation.selection import DECODINGS, validation_texts
from src.evaluation.verdicts import ENDPOINTS
from src.lstm_model import LSTMConfig, load_lstm_lm, save_lstm_lm
from src.recipe import build_device, new_lstm, train_lstm
from src.report.verdicts import verdict_sentences
from src.runs import new_run, run_metadata
from src.text.calibration import CALIBRATION_FILE, load_calibration
from src.training.dropout import default_dropout
from src.training.train import TrainingSettings
from tests.models.hub_server import running_hub
from vm.engine import ENGINE
from vm.generate import GPU_PARAMETERS, generate, with_parameters

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("solution_lstm", "solution_pretrained", "compare")
MAX_CELL_LINES = 15
PARAMETER_HEADINGS = ("# Change these", "# Advanced")


def parameters_source(notebook) -> str:
    [cell] = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    return cell.source


def parameters_of(path: Path) -> dict:
    values = {}
    exec(parameters_source(nbformat.read(path, as_version=4)), values)
    return values


TINY_CONFIG = {"vocab_size": 200, "embedding_dim": 8, "hidden_dim": 8}
TINY_SETTINGS = {"batch_size": 32, "max_epochs": 1}
TINY_CHOICES = {"ngram_orders": [1, 2], "decoding_pairs": 5, "typed_tweets": 4}
TINY_COMPARISON = {"timed_prefixes": 3, "ngram_orders": [1, 2], "decoding_pairs": 5, "typed_tweets": 4}
# The included run has 5.5 million parameters; a tiny one takes its place.
TINY_COMMITTED_RUN = """
from pathlib import Path
from src import adaptation as module
module.COMMITTED_RUN = Path({folder!r})
"""


@pytest.fixture(scope="module")
def hub(distilgpt2_path, tmp_path_factory):
    """A model hub in place of the real one."""
    with running_hub(distilgpt2_path) as server, pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in server.environment(tmp_path_factory.mktemp("cache")).items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture(scope="module")
def notebook_dir(tmp_path_factory, corpus_path, distilgpt2_path, hub) -> Path:
    """The folder in which all three notebooks were executed."""
    folder = tmp_path_factory.mktemp("notebooks")
    common = {
        "project_dir": str(ROOT),
        "data_dir": str(folder / "data"),
        "models_dir": str(folder / "models"),
        "corpus_path": str(corpus_path),
        "max_pairs": 20,
    }
    tiny = {
        "solution_lstm": {
            **TINY_CONFIG,
            **TINY_SETTINGS,
            **TINY_CHOICES,
            "init_from": None,
        },
        "solution_pretrained": {
            "model_name": str(distilgpt2_path),
            "finetune_tweets": 64,
            "eval_steps": 1,
            "val_loss_tweets": 16,
            "decoding_pairs": 5,
        },
        "compare": TINY_COMPARISON,
    }
    for name in NAMES:
        execute(ROOT / f"{name}.ipynb", folder, {**common, **tiny[name]})
    return folder


def execute(path: Path, folder: Path, parameters: dict) -> None:
    papermill.execute_notebook(
        path,
        folder / path.name,
        parameters=parameters,
        engine_name=ENGINE,
        kernel_name="python3",
        cwd=folder,
        progress_bar=False,
    )


@pytest.fixture(scope="module")
def first_run(tmp_path_factory, tokenizer, cleaned_texts) -> Path:
    """A run on other texts, with its folder for a device, to start from."""
    with new_run("lstm_lm", tmp_path_factory.mktemp("first")) as folder:
        meta = run_metadata("lstm_lm", {"decoding": asdict(GREEDY)}, {}, {}, 1.0)
        save_lstm_lm(folder, new_lstm(tokenizer, LSTMConfig(**TINY_CONFIG), seed=0), tokenizer, meta, [])
        seen_texts(cleaned_texts).save(folder)
    [folder] = folder.parent.glob("lstm_lm-*")
    build_device(folder, cleaned_texts, cleaned_texts[:20], typed_tweets=0)
    return folder


@pytest.fixture(scope="module")
def adapted_dir(tmp_path_factory, notebook_dir, first_run, corpus_path) -> Path:
    """The folder in which the LSTM's notebook and the comparison were executed with the default start."""
    folder = tmp_path_factory.mktemp("adapted")
    for run_dir in (notebook_dir / "models").glob("distilgpt2-*"):
        shutil.copytree(run_dir, folder / "models" / run_dir.name)
    common = {"project_dir": str(ROOT), "data_dir": "data", "models_dir": "models", "corpus_path": str(corpus_path)}
    parameters = {
        "solution_lstm": {**TINY_CONFIG, **TINY_CHOICES, "adaptation": {"max_epochs": 2}, "max_epochs": 1},
        "compare": TINY_COMPARISON,
    }
    for name, values in parameters.items():
        notebook = nbformat.read(ROOT / f"{name}.ipynb", as_version=4)
        [imports] = [i for i, cell in enumerate(notebook.cells) if "from src.adaptation import" in cell.source]
        notebook.cells.insert(imports + 1, new_code_cell(TINY_COMMITTED_RUN.format(folder=str(first_run))))
        (folder / "changed").mkdir(exist_ok=True)
        nbformat.write(notebook, folder / "changed" / f"{name}.ipynb")
        execute(folder / "changed" / f"{name}.ipynb", folder, {**common, **values, "max_pairs": 20})
    return folder


@pytest.mark.slow
def test_notebooks_train_save_and_compare(notebook_dir):
    models = notebook_dir / "models"
    [lstm_dir] = models.glob("lstm_lm-*")
    [transformer_dir] = models.glob("distilgpt2-*")
    assert not list(models.glob(".*")), "checkpoints or partial folders are left"
    record = json.loads((lstm_dir / "comparison.json").read_text())
    baselines, exported = ["constant answer", "Kneser-Ney n-gram"], ["LSTM, ONNX float32", "LSTM, ONNX int8"]
    transformers = ["distilgpt2", "distilgpt2, int8"]
    with_ngrams = ["LSTM with n-grams", "LSTM with n-grams, device"]
    assert list(record["systems"]) == [*baselines, "LSTM", *exported, *with_ngrams, *transformers]
    forms = {name: system["form_of"] for name, system in record["systems"].items() if "form_of" in system}
    forms_of_pairs = dict([with_ngrams[::-1], transformers[::-1]])
    assert forms == {**dict.fromkeys(exported, "LSTM"), **forms_of_pairs}
    parameters, megabytes = (
        [record["systems"][name][cost] for name in transformers] for cost in ("parameters", "megabytes")
    )
    assert parameters[0] == parameters[1] and megabytes[1] < megabytes[0]
    assert record["num_pairs"] == 20
    # The corpus is too small to leave out tweets that earlier comparisons scored.
    skipped = parameters_of(ROOT / "compare.ipynb")["skipped_pairs"]
    assert record["settings"]["skipped_pairs"] == skipped
    assert record["settings"]["pairs_among_skipped"] == min(20, skipped)
    assert record["decodings"].keys() == {"Kneser-Ney n-gram", "LSTM with n-grams"}
    timed = record["systems"]["LSTM"]
    assert timed["latency"]["median"]["n"] == 2
    assert timed["latency"]["median"]["value"] == timed["seconds_per_suggestion"]
    typed = {name: system["tweets"] for name, system in record["typing"]["systems"].items()}
    assert typed.pop("word list") == 4 and [typed.pop(name) for name in transformers] == [1, 1]
    assert typed == dict.fromkeys(["Kneser-Ney n-gram", "LSTM", "LSTM, ONNX int8", *with_ngrams], 4)
    assert {test["metric"] for test in record["tests"]} == set(ENDPOINTS)
    assert len(verdict_sentences(lstm_dir / "comparison.json")) == len(record["tests"])
    assert [list(stratum) for groups in record["strata"].values() for stratum in groups.values()]
    assert {test["b"] for test in record["with_junk_words"]["tests"]} == {
        *baselines,
        "LSTM",
        *with_ngrams,
        "distilgpt2",
    }
    assert record["systems"]["LSTM"]["run"] == lstm_dir.name
    assert record["systems"]["distilgpt2"]["run"] == transformer_dir.name
    for run_dir in (lstm_dir, transformer_dir):
        meta = json.loads((run_dir / "meta.json").read_text())
        assert meta["data"]["source"] == "tweets.csv"
        assert meta["data"]["sha256"] == record["data"]["sha256"]
        assert meta["metrics"]["rouge1"]["n"] == 20
        tried = meta["metrics"]["decodings"]
        assert list(tried) == list(map(str, DECODINGS)) and str(Decoding(**meta["settings"]["decoding"])) in tried
        assert tried["greedy"]["keystroke_savings"]["n"] == 5
        if run_dir == lstm_dir:
            assert meta["metrics"]["calibration_error"].keys() == {"before", "after"}
            assert (run_dir / CALIBRATION_FILE).is_file() and load_calibration(run_dir).slope > 0


@pytest.mark.slow
def test_by_default_few_tweets_adapt_the_committed_run_beside_random_weights(adapted_dir, first_run):
    models = adapted_dir / "models"
    assert not list(models.glob(".*")), "checkpoints or partial folders are left"
    [lstm_dir], [scratch_dir] = models.glob("lstm_lm-*"), models.glob("lstm_scratch-*")
    meta, scratch_meta = (json.loads((path / "meta.json").read_text()) for path in (lstm_dir, scratch_dir))
    assert meta["init_from"]["run"] == first_run.name and "init_from" not in scratch_meta
    assert meta["settings"]["max_epochs"] == 2 and scratch_meta["settings"]["max_epochs"] == 1
    assert meta["model"]["dropout"] == 0.3 and scratch_meta["model"]["dropout"] == 0.0
    tokenizer, first_tokenizer = (load_lstm_lm(path, device="cpu")[0] for path in (lstm_dir, first_run))
    assert tokenizer.get_vocab() == first_tokenizer.get_vocab()
    record = json.loads((lstm_dir / "comparison.json").read_text())
    assert {"LSTM", "LSTM, from scratch", "LSTM with n-grams, device"} <= record["systems"].keys()
    assert record["systems"]["LSTM, from scratch"]["run"] == scratch_dir.name
    text = (adapted_dir / "solution_lstm.ipynb").read_text()
    assert f"starts from the trained run {first_run.name}" in text and "are too few for random weights" in text


@pytest.mark.slow
def test_notebook_and_recipe_give_the_same_weights(notebook_dir, corpus_path, tmp_path):
    [run_dir] = (notebook_dir / "models").glob("lstm_lm-*")
    notebook_tokenizer, notebook_model, _, _ = load_lstm_lm(run_dir, device="cpu")
    tweets = prepare_tweets(load_corpus(corpus_path), seed=0)
    train_texts, val_texts = tweets.texts("train"), validation_texts(tweets, seed=0)
    config, settings = LSTMConfig(**TINY_CONFIG), TrainingSettings(**TINY_SETTINGS)
    tokenizer, model, result = train_lstm(train_texts, val_texts, config, settings, tmp_path / "checkpoints")
    assert tokenizer.get_vocab() == notebook_tokenizer.get_vocab()
    weights, expected = model.cpu().state_dict(), notebook_model.state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    meta = json.loads((run_dir / "meta.json").read_text())
    assert asdict(result.settings).items() <= meta["settings"].items()
    assert result.best_val_loss == meta["metrics"]["val_loss"]


def test_the_defaults_of_model_and_training_are_those_of_the_notebook():
    values = parameters_of(ROOT / "solution_lstm.ipynb")
    defaults = {**asdict(TrainingSettings()), **LSTMConfig().to_dict()}
    shared = defaults.keys() & values.keys() - {"dropout"}
    assert {"learning_rate", "max_tweets_seen", "bf16", "vocab_size", "hidden_dim"} <= shared
    assert {name: defaults[name] for name in shared} == {name: values[name] for name in shared}
    assert values["dropout"] is None
    assert defaults["dropout"] == default_dropout(1_200_000, defaults["max_epochs"], defaults["max_tweets_seen"])


def test_the_parameters_of_adaptation_replace_settings_of_training():
    values = parameters_of(ROOT / "solution_lstm.ipynb")
    adapted = asdict(replace(TrainingSettings(), **values["adaptation"]))
    assert values["adaptation"].items() <= adapted.items()
    assert adapted["max_tweets_seen"] < TrainingSettings().max_tweets_seen
    assert values["adaptation_dropout"] == ADAPTATION_DROPOUT


@pytest.mark.slow
def test_with_local_models_no_notebook_asks_the_hub(notebook_dir, hub):
    assert hub.requests == []


@pytest.mark.slow
def test_notebooks_prepare_the_corpus(notebook_dir, made_up_tweets):
    cleaned = (notebook_dir / "data" / "tweets_cleaned.csv").read_text().splitlines()
    assert cleaned[0] == "text,split"
    assert {line.split(",")[0] for line in cleaned[1:]} == set(made_up_tweets)


@pytest.mark.slow
def test_notebooks_show_no_tweet_of_the_corpus(notebook_dir, made_up_tweets):
    for name in NAMES:
        notebook = nbformat.read(notebook_dir / f"{name}.ipynb", as_version=4)
        outputs = json.dumps([cell.outputs for cell in notebook.cells if cell.cell_type == "code"])
        assert not [text for text in made_up_tweets if text in outputs]


@pytest.mark.parametrize("name", NAMES)
def test_committed_notebook_was_run_top_to_bottom(name):
    notebook = nbformat.read(ROOT / f"{name}.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [output for cell in code for output in cell.outputs if output.output_type == "error"]


@pytest.mark.parametrize("name", NAMES)
def test_every_code_cell_has_prose_before_it(name):
    cells = nbformat.read(ROOT / f"{name}.ipynb", as_version=4).cells
    assert all(before.cell_type == "markdown" for before, cell in itertools.pairwise(cells) if cell.cell_type == "code")


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_opens_with_title_road_and_time_and_ends_with_three_exercises(name):
    cells = nbformat.read(ROOT / f"{name}.ipynb", as_version=4).cells
    title, road, *others = filter(None, cells[0].source.split("\n"))
    assert title.startswith("# ") and re.fullmatch(r"!\[.+\]\(docs/road-\w+\.svg\)", road)
    assert "you will learn" in cells[0].source.lower() and re.search(r"\bminutes\b|\bhours?\b", " ".join(others))
    last = [cell for cell in cells if cell.cell_type == "markdown"][-1].source
    assert re.search(r"^#+ Exercises$", last, re.MULTILINE)
    assert re.findall(r"^(?:#+ |\*\*)?(?:Exercise )?(\d)[.:]", last, re.MULTILINE) == ["1", "2", "3"]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_has_sixty_words_of_prose_for_each_code_cell(name):
    cells = nbformat.read(ROOT / f"{name}.ipynb", as_version=4).cells
    prose = [re.sub(r"!\[[^\]]*\]|\]\([^)]*\)", " ", cell.source) for cell in cells if cell.cell_type == "markdown"]
    num_words, num_code = len(" ".join(prose).split()), sum(cell.cell_type == "code" for cell in cells)
    assert num_words >= 60 * num_code, f"{num_words} words for {num_code} code cells"


@pytest.mark.parametrize("name", NAMES)
def test_code_cells_are_short(name):
    """At most 15 lines, except the imports and the parameters."""
    cells = [cell for cell in nbformat.read(ROOT / f"{name}.ipynb", as_version=4).cells if cell.cell_type == "code"]
    exceptions = [
        cell
        for cell in cells
        if "parameters" in cell.metadata.get("tags", []) or "sys.path.insert(0, project_dir)" in cell.source
    ]
    assert len(exceptions) == 2
    long = {cell.id: len(cell.source.splitlines()) for cell in cells if cell not in exceptions}
    assert not {cell_id: length for cell_id, length in long.items() if length > MAX_CELL_LINES}


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_commented_literals_under_two_headings(name):
    lines = parameters_source(nbformat.read(ROOT / f"{name}.ipynb", as_version=4)).splitlines()
    assert lines[0] == PARAMETER_HEADINGS[0]
    assert [line for line in lines if line.startswith("#")] == list(PARAMETER_HEADINGS)
    for line in lines:
        if line and line not in PARAMETER_HEADINGS:
            assert "  # " in line, line
            [assignment] = ast.parse(line).body
            ast.literal_eval(assignment.value)


@pytest.mark.parametrize(
    ("name", "lowered"),
    [
        ("solution_lstm", {"max_tweets_seen", "val_share", "adaptation"}),
        ("solution_pretrained", {"finetune_share", "val_share"}),
        ("compare", {"test_share", "val_share", "timed_prefixes", "recited_tweets"}),
    ],
)
def test_quick_draws_the_same_tweets_and_may_run_twice(name, lowered):
    parameters = parameters_of(ROOT / f"{name}.ipynb")
    cells = nbformat.read(ROOT / f"{name}.ipynb", as_version=4).cells
    statements = [line for cell in cells if cell.cell_type == "code" for line in ast.parse(cell.source).body]
    [quick] = [one for one in statements if isinstance(one, ast.If) and ast.unparse(one.test) == "quick"]
    corpus = Mock()
    corpus.sample.return_value = corpus
    values = {**parameters, "quick": True, "corpus": corpus}
    exec(ast.unparse(quick), values)
    once = {parameter: values[parameter] for parameter in parameters}
    changed = {parameter for parameter in parameters if once[parameter] != parameters[parameter]}
    assert changed == {"quick", *lowered}
    numbers = lowered - {"adaptation"}
    assert all(0 < once[parameter] < parameters[parameter] for parameter in numbers)
    exec(ast.unparse(quick), values)
    assert {parameter: values[parameter] for parameter in parameters} == once
    assert [call.args for call in corpus.sample.call_args_list] == [(80_000, parameters["seed"])] * 2


@pytest.mark.parametrize("name", NAMES)
def test_the_first_code_cell_is_the_setup(name):
    cells = [cell for cell in nbformat.read(ROOT / f"{name}.ipynb", as_version=4).cells if cell.cell_type == "code"]
    assert [cell.metadata.get("tags") for cell in cells[:2]] == [["setup"], ["parameters"]]


@pytest.mark.parametrize("name", NAMES)
def test_gpu_notebook_has_not_drifted(name):
    committed = nbformat.read(ROOT / "vm" / f"{name}.ipynb", as_version=4)
    assert committed == generate(name), "run `make vm`"
    changed = parameters_of(ROOT / "vm" / f"{name}.ipynb")
    assert {parameter: changed[parameter] for parameter in GPU_PARAMETERS[name]} == GPU_PARAMETERS[name]


def test_a_gpu_parameter_that_no_notebook_has_is_refused():
    with pytest.raises(KeyError, match="learning_rat"):
        with_parameters("learning_rate = 1e-3  # peak", {"learning_rat": 1e-4})
