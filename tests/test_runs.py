"""Create, find, read and describe run folders."""

import importlib.metadata
import json
import math
import platform
import re
import subprocess
from datetime import datetime
from functools import partial

import pytest

from src import runs
from src.model_card import model_card
from src.runs import (
    RunError,
    add_comparison,
    best_run,
    best_runs,
    describe_run,
    find_run,
    find_runs,
    git_commit,
    megabytes,
    named_run,
    new_run,
    read_meta,
    run_metadata,
    write_run_files,
)

DATA = {
    "name": "made-up",
    "source": "made.csv",
    "sha256": "abc123",
    "cleaning": 2,
    "split_by": "random",
    "split_seed": 7,
    "counts": {"rows_read": 4000, "bad_rows": 2},
}


@pytest.fixture
def frozen_time(monkeypatch):
    class Frozen(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 1, 2, 3, 4, 5, tzinfo=tz)

    monkeypatch.setattr(runs, "datetime", Frozen)


def make_run(models_dir, folder, **meta):
    (models_dir / folder).mkdir(parents=True)
    (models_dir / folder / "meta.json").write_text(json.dumps(meta))
    return models_dir / folder


def make_meta(**changes):
    metrics = {"rouge1": {"value": 0.123456, "low": 0.1, "high": 0.25}, "loss": 3.14159, "samples": 500}
    meta = run_metadata("lstm_lm", {"epochs": 3, "lr": 0.001}, DATA, metrics, duration=12.3456)
    return {**meta, **changes}


# Creating


def test_a_run_gets_its_final_name_when_its_block_ends(tmp_path, frozen_time):
    models_dir = tmp_path / "new" / "models"
    with new_run("lstm_lm", models_dir) as run_dir:
        (run_dir / "weights").write_text("1 2 3")
        assert run_dir.name.startswith(".")
        assert list(models_dir.iterdir()) == [run_dir]
    assert [path.name for path in models_dir.iterdir()] == ["lstm_lm-20260102-030405"]
    assert (models_dir / "lstm_lm-20260102-030405" / "weights").read_text() == "1 2 3"


def test_a_failed_run_keeps_its_files_under_the_temporary_name(tmp_path):
    with pytest.raises(KeyboardInterrupt), new_run("lstm_lm", tmp_path) as run_dir:
        (run_dir / "meta.json").write_text("{}")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == [run_dir]
    assert run_dir.name.startswith(".") and (run_dir / "meta.json").read_text() == "{}"
    with pytest.raises(RunError):
        find_run("lstm_lm", models_dir=tmp_path)


def test_runs_started_in_the_same_second_get_separate_folders(tmp_path, frozen_time):
    with new_run("lstm_lm", tmp_path) as first, new_run("lstm_lm", tmp_path) as second:
        (first / "meta.json").write_text('{"number": 1}')
        (second / "meta.json").write_text('{"number": 2}')
    with new_run("lstm_lm", tmp_path) as third:
        (third / "meta.json").write_text('{"number": 3}')
    assert sorted(read_meta(path)["number"] for path in tmp_path.iterdir()) == [1, 2, 3]
    assert not any(path.name.startswith(".") for path in tmp_path.iterdir())
    assert read_meta(find_run("lstm_lm", models_dir=tmp_path))["number"] == 3


def test_a_run_started_in_the_same_second_does_not_change_a_failed_one(tmp_path, frozen_time):
    with pytest.raises(ZeroDivisionError), new_run("lstm_lm", tmp_path) as failed:
        (failed / "weights").write_text("failed")
        raise ZeroDivisionError
    with new_run("lstm_lm", tmp_path) as run_dir:
        assert list(run_dir.iterdir()) == []
    assert (failed / "weights").read_text() == "failed"
    assert len(list(tmp_path.iterdir())) == 2


# Finding


def test_the_newest_run_is_found(tmp_path):
    make_run(tmp_path, "lstm_lm-20260102-030405")
    newest = make_run(tmp_path, "lstm_lm-20260103-000000")
    make_run(tmp_path, "lstm_lm-20251231-235959")
    make_run(tmp_path, "other-20270101-000000")
    make_run(tmp_path, "lstm_lm_large-20270101-000000")
    make_run(tmp_path, ".lstm_lm-20270101-000000.partial")
    assert find_run("lstm_lm", models_dir=tmp_path) == newest
    assert find_run("lstm_lm", models_dir=str(tmp_path)) == newest


def test_the_newest_run_with_any_of_several_names_is_found(tmp_path):
    older = make_run(tmp_path, "zebra-20260101-000000")
    newer = make_run(tmp_path, "ant-20260102-000000")
    assert find_run("zebra", "ant", models_dir=tmp_path) == newer
    assert find_run("ant", "zebra", models_dir=tmp_path) == newer
    assert find_run("zebra", "none", models_dir=tmp_path) == older


def test_only_runs_with_the_same_corpus_and_split_are_found(tmp_path):
    same = make_run(tmp_path, "lstm_lm-20260101-000000", data=DATA)
    make_run(tmp_path, "lstm_lm-20260102-000000", data={**DATA, "sha256": "other"})
    make_run(tmp_path, "lstm_lm-20260103-000000", data={**DATA, "split_seed": 8})
    newest = make_run(tmp_path, "lstm_lm-20260104-000000")
    assert find_run("lstm_lm", models_dir=tmp_path, data={**DATA, "source": "moved.csv"}) == same
    assert find_run("lstm_lm", models_dir=tmp_path) == newest


@pytest.mark.parametrize(("split_by", "other"), [("random", "time"), ("user", "random"), ("time", "user")])
def test_only_runs_split_in_the_same_way_are_found(tmp_path, split_by, other):
    made = {
        way: make_run(tmp_path, f"ant-2026010{i}-000000", data={**DATA, "split_by": way})
        for i, way in enumerate(("random", "user", "time"))
    }
    data = {**DATA, "split_by": split_by}
    assert find_run("ant", models_dir=tmp_path, data=data) == made[split_by]
    with pytest.raises(RunError, match="no ant run"):
        find_run("ant", models_dir=tmp_path, data=data, run_dir=made[other])


def test_only_runs_on_texts_cleaned_in_the_same_way_are_found(tmp_path):
    unrecorded = make_run(tmp_path, "ant-20260103-000000", data={k: v for k, v in DATA.items() if k != "cleaning"})
    for other in (make_run(tmp_path, "ant-20260102-000000", data={**DATA, "cleaning": 1}), unrecorded):
        assert find_runs("ant", models_dir=tmp_path, data=DATA) == []
        with pytest.raises(RunError, match=r"no ant run trained on .* version 2 of the cleaning in"):
            find_run("ant", models_dir=tmp_path, data=DATA, run_dir=other)
    same = make_run(tmp_path, "ant-20260101-000000", data=DATA)
    assert find_runs("ant", models_dir=tmp_path, data=DATA) == [same]


@pytest.mark.parametrize(("record", "version"), [(DATA, 2), ({"name": "made-up"}, 1)])
def test_the_model_card_names_the_version_of_the_cleaning(record, version):
    assert f"- Cleaning: version {version}\n" in model_card(make_meta(data=record))


def test_all_runs_that_match_a_pattern_are_found_newest_first(tmp_path):
    oldest = make_run(tmp_path, "lstm_seed2-20260101-000000", data=DATA)
    newest = make_run(tmp_path, "lstm_seed1-20260103-000000", data=DATA)
    make_run(tmp_path, "lstm_seed3-20260104-000000", data={**DATA, "split_seed": 8})
    make_run(tmp_path, "lstm_recipe-20260105-000000", data=DATA)
    assert find_runs("lstm_seed*", models_dir=tmp_path, data=DATA) == [newest, oldest]
    assert find_runs("lstm_seed*", models_dir=tmp_path / "missing") == []


def scored(bits, sha256="election", tweets=5_000, perplexity=739.4, **settings):
    """Metadata of a run on a corpus of so many training tweets; `bits` per character may be anything JSON can hold."""
    score = {"bits_per_character": {"value": bits}, "perplexity_per_word": {"value": perplexity}}
    return {
        "data": {"name": sha256, "source": f"{sha256}.csv", "sha256": sha256, "counts": {"train": tweets}},
        "settings": settings,
        "metrics": score,
    }


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        # Runs on one corpus: the score decides, not the time.
        (scored(1.8), scored(1.9)),
        (scored(1.8, tweets=4_999), scored(1.9, tweets=5_001)),
        (scored(1.8, max_tweets_seen=4_000), scored(1.9)),
        # Different corpora: the score does not decide.
        (scored(1.8, "sentiment140", 222_173), scored(1.9)),
        (scored(1.8, "sentiment140", 222_173), scored(0.9)),
        (scored(1.8, "sentiment140", 222_173, max_tweets_seen=1_800_000), scored(0.9, max_tweets_seen=1_800_000)),
        # A brief trial on a large corpus has learned from few tweets.
        (scored(1.8, "sentiment140", 222_173), scored(3.1, "all", 1_205_590, max_tweets_seen=1_000)),
        (scored(1.7, "all", 1_205_590, max_tweets_seen=1_800_000), scored(1.8, "sentiment140", 222_173)),
        # Runs without a score come last.
        *(
            (scored(9.9), {**scored(1.0, "all", 1_205_590), "metrics": metrics})
            for metrics in (None, {}, [], {"bits_per_character": 1.0}, {"bits_per_character": {"value": None}})
        ),
        *((scored(9.9), scored(bits, "all", 1_205_590)) for bits in (None, math.nan, math.inf, "1.0", [])),
        (scored(9.9), {}),
        ({**scored(1.0), "data": None, "settings": None}, {"data": [], "settings": 7}),
    ],
)
@pytest.mark.parametrize("better_is_newer", [True, False])
def test_the_best_run_is_not_always_the_newest(tmp_path, better, worse, better_is_newer):
    folders = ["ant-20260101-000000", "ant-20260102-000000"]
    best = make_run(tmp_path, folders[better_is_newer], **better)
    other = make_run(tmp_path, folders[not better_is_newer], **worse)
    assert best_runs("ant", models_dir=tmp_path) == [best, other]
    assert best_run("ant", models_dir=tmp_path) == best
    assert describe_run(best) and describe_run(other)


def test_a_run_without_a_score_does_not_speak_for_its_corpus(tmp_path):
    make_run(tmp_path, "ant-20260103-000000", **scored(None, "all", 1_205_590))
    make_run(tmp_path, "ant-20260102-000000", **scored(3.1, "all", 1_205_590, max_tweets_seen=1_000))
    best = make_run(tmp_path, "ant-20260101-000000", **scored(1.8, "sentiment140", 222_173))
    assert best_run("ant", models_dir=tmp_path) == best


@pytest.mark.parametrize("meta", [scored(1.8), scored(None), {}])
def test_among_equals_the_newest_run_is_best(tmp_path, meta):
    folders = [f"ant-2026010{day}-000000" for day in (2, 3, 1)]
    made = {folder: make_run(tmp_path, folder, **meta) for folder in folders}
    assert best_runs("ant", models_dir=tmp_path) == [made[folder] for folder in sorted(folders, reverse=True)]


@pytest.mark.parametrize("folder", [".", "missing"])
def test_without_any_run_there_is_no_best_one(tmp_path, folder):
    assert best_runs("ant", models_dir=tmp_path / folder) == []
    with pytest.raises(RunError, match=r"no ant or zebra run in .*: run its notebook first"):
        best_run("ant", "zebra", models_dir=tmp_path / folder)


BROKEN = [b"", b'{"name": "ant",\n"data": {', b"\xff\xfe{}", b"[]", b'{"versions": []}']


@pytest.mark.parametrize("content", BROKEN)
def test_a_run_whose_metadata_cannot_be_read_is_left_out_with_a_warning(tmp_path, caplog, content):
    best = make_run(tmp_path, "ant-20260101-000000", **scored(1.8))
    other = make_run(tmp_path, "ant-20260102-000000", **scored(1.9))
    broken = make_run(tmp_path, "ant-20260103-000000")
    (broken / "meta.json").write_bytes(content)
    data = {"sha256": "election", "split_by": None, "split_seed": None}
    for find, expected in [
        (best_run, best),
        (best_runs, [best, other]),
        (find_run, other),
        (find_runs, [other, best]),
        (partial(find_run, data=data), other),
    ]:
        caplog.clear()
        assert find("ant", models_dir=tmp_path) == expected
        [warning] = caplog.messages
        assert re.fullmatch(r"ant-20260103-000000 is left out: .*/meta\.json .*: restore the file\.", warning)
    with pytest.raises(RunError, match=r"ant-20260103-000000/meta\.json .*: restore the file$"):
        find_run("ant", models_dir=tmp_path, run_dir=broken)


@pytest.mark.parametrize("content", BROKEN)
def test_if_no_run_can_be_read_the_error_names_one(tmp_path, content):
    (make_run(tmp_path, "ant-20260101-000000") / "meta.json").write_bytes(content)
    make_run(tmp_path, "zebra-20260101-000000")
    assert best_runs("ant", models_dir=tmp_path) == []
    with pytest.raises(RunError, match=r"ant-20260101-000000/meta\.json .*: restore the file$"):
        best_run("ant", models_dir=tmp_path)
    with pytest.raises(RunError, match=r"^no ant run in .*: run its notebook first$"):
        find_run("ant", models_dir=tmp_path)


@pytest.mark.parametrize("trained_on", [None, [], "tweets.csv", {}])
def test_a_run_without_a_record_of_its_corpus_is_of_another_corpus(tmp_path, trained_on):
    same = make_run(tmp_path, "ant-20260101-000000", data=DATA)
    make_run(tmp_path, "ant-20260102-000000", data=trained_on)
    assert find_runs("ant", models_dir=tmp_path, data=DATA) == [same]


def test_a_run_is_found_by_its_name_or_its_path(tmp_path, monkeypatch):
    made = make_run(tmp_path / "models", "my-own")
    monkeypatch.chdir(tmp_path)
    assert named_run("my-own", tmp_path / "models") == made
    for path in (made, str(made), f"{made}/", "models/my-own"):
        assert named_run(path, "models").samefile(made)
    make_run(tmp_path / "models", ".half-20260101-000000.partial")
    with pytest.raises(RunError, match=r"there is no run 'other': give a folder or a name in models \(my-own\)$"):
        named_run("other", "models")


def test_a_run_is_described_in_one_line(tmp_path, monkeypatch):
    made = make_run(tmp_path, "ant-1", **scored(1.81323, "tweets", 222_173, max_tweets_seen=1_800_000))
    scores = "1.813 bits per character and perplexity 739 per word on validation tweets"
    assert describe_run(made) == f"ant-1, trained on 222,173 tweets of tweets (tweets.csv): {scores}"
    monkeypatch.chdir(made)
    assert describe_run(".") == describe_run(made)
    brief = make_run(tmp_path, "ant-2", **scored(2.0, "tweets", 222_173, perplexity=None, max_tweets_seen=4_000))
    assert describe_run(brief) == (
        "ant-2, trained on 4,000 tweets of tweets (tweets.csv): 2.000 bits per character on validation tweets"
    )
    assert describe_run(make_run(tmp_path, "ant-3")) == (
        "ant-3, trained on an unknown corpus: no score on validation tweets"
    )
    with pytest.raises(RunError, match=r"has no meta\.json"):
        describe_run(tmp_path)


@pytest.mark.parametrize("names", [("ant", "zebra"), ("zebra", "ant")])
def test_of_two_runs_with_the_same_timestamp_the_one_on_this_corpus_is_found(tmp_path, names):
    same = make_run(tmp_path, "ant-20260101-000000", data=DATA)
    make_run(tmp_path, "zebra-20260101-000000", data={**DATA, "sha256": "other"})
    assert find_run(*names, models_dir=tmp_path, data=DATA) == same


def test_a_given_run_replaces_the_newest_if_corpus_and_split_match(tmp_path):
    chosen = make_run(tmp_path, "my-own-folder", data=DATA)
    other = make_run(tmp_path, "ant-20260102-000000", data={**DATA, "split_seed": 8})
    assert find_run("ant", models_dir=tmp_path, run_dir=chosen) == chosen
    assert find_run("ant", models_dir=tmp_path, run_dir=str(chosen), data=DATA) == chosen
    condition = 'trained on made.csv with split_by="random", split seed 7 and version 2 of the cleaning'
    with pytest.raises(RunError, match=rf"no ant run {condition} in .*ant-20260102-000000"):
        find_run("ant", models_dir=tmp_path, run_dir=other, data=DATA)
    with pytest.raises(RunError, match="missing is not a folder"):
        find_run("ant", models_dir=tmp_path, run_dir=tmp_path / "missing")


def test_folders_without_meta_are_not_found(tmp_path):
    run_dir = make_run(tmp_path, "lstm_lm-20260101-000000")
    (tmp_path / "lstm_lm-20260102-000000").mkdir()
    (tmp_path / "lstm_lm-20260103-000000").write_text("a file")
    assert find_run("lstm_lm", models_dir=tmp_path) == run_dir


@pytest.mark.parametrize("folder", [".", "missing"])
def test_without_a_run_the_error_says_what_to_do(tmp_path, folder):
    with pytest.raises(RunError, match=r"no ant or zebra run in .*: run its notebook first"):
        find_run("ant", "zebra", models_dir=tmp_path / folder)


def test_without_a_run_on_this_corpus_the_error_names_corpus_and_split(tmp_path):
    make_run(tmp_path, "ant-20260101-000000", data=DATA)
    condition = 'trained on made.csv with split_by="user", split seed 7 and version 2 of the cleaning'
    with pytest.raises(RunError, match=rf"no ant run {condition} in .*: run its notebook"):
        find_run("ant", models_dir=tmp_path, data={**DATA, "split_by": "user"})


# Reading


def test_a_missing_run_folder_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"nowhere is not a folder: give the path of a run folder"):
        read_meta(tmp_path / "nowhere")


def test_a_folder_without_meta_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"has no meta.json: it is not a run folder"):
        read_meta(tmp_path)


@pytest.mark.parametrize("text, line", [("", 1), ('{"name": "a",\n"data": {\n', 3), ('{"name":\noops}', 2)])
def test_broken_json_is_refused_with_its_line(tmp_path, text, line):
    (tmp_path / "meta.json").write_text(text)
    with pytest.raises(RunError, match=rf"meta.json is not JSON \(line {line}\): restore the file"):
        read_meta(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe{}", "is not UTF-8: restore the file"),
        (b"[]", "does not have the format of a run's metadata: restore the file"),
        (b'{"versions": []}', "does not have the format of a run's metadata: restore the file"),
    ],
)
def test_a_file_that_is_not_metadata_is_refused(tmp_path, content, message):
    (tmp_path / "meta.json").write_bytes(content)
    with pytest.raises(RunError, match=rf"meta\.json {message}"):
        read_meta(tmp_path)


# Describing


def test_metadata_is_json_and_describes_the_run(frozen_time):
    meta = make_meta()
    assert json.loads(json.dumps(meta)) == meta
    assert (meta["name"], meta["settings"], meta["data"]) == ("lstm_lm", {"epochs": 3, "lr": 0.001}, DATA)
    assert (meta["created"], meta["duration_seconds"]) == ("2026-01-02T03:04:05", 12.3)
    assert meta["versions"]["python"] == platform.python_version()
    assert meta["versions"]["torch"] == importlib.metadata.version("torch")
    assert meta["git_commit"] == git_commit()


@pytest.mark.parametrize("status, expected", [("", "c0ffee"), (" M src/runs.py\n", "c0ffee+changes")])
def test_the_commit_is_marked_if_files_differ_from_it(monkeypatch, status, expected):
    def fake_git(command, **kwargs):
        return subprocess.CompletedProcess(command, 0, stdout="c0ffee\n" if "rev-parse" in command else status)

    monkeypatch.setattr(runs.subprocess, "run", fake_git)
    assert git_commit() == expected


@pytest.mark.parametrize("error", [FileNotFoundError("git"), subprocess.CalledProcessError(128, "git")])
def test_outside_git_there_is_no_commit(monkeypatch, error):
    def no_git(*args, **kwargs):
        raise error

    monkeypatch.setattr(runs.subprocess, "run", no_git)
    assert git_commit() is None
    json.dumps(make_meta())


def test_run_files_are_written_and_read_back(tmp_path):
    meta, history = make_meta(name="café lm"), [{"epoch": 1, "loss": 2.5}]
    write_run_files(tmp_path, meta, history)
    assert {path.name for path in tmp_path.iterdir()} == {"meta.json", "history.json", "README.md"}
    assert read_meta(tmp_path) == meta
    assert json.loads((tmp_path / "history.json").read_text()) == history
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == model_card(meta)


def test_if_the_history_cannot_be_written_there_is_no_metadata(tmp_path):
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_run_files(tmp_path, make_meta(), [{"loss": object()}])
    assert list(tmp_path.iterdir()) == []


def test_the_model_card_shows_scores_with_their_intervals():
    lines = model_card(make_meta(git_commit="c0ffee")).splitlines()
    assert lines[0] == "# lstm_lm"
    assert "| rouge1 | 0.1235 (0.1 to 0.25) |" in lines
    assert "| loss | 3.142 |" in lines
    assert "| samples | 500 |" in lines
    assert "| lr | 0.001 |" in lines
    assert "- Corpus: made-up (made.csv), split seed 7" in lines
    assert "- sha256 of the corpus: `abc123`" in lines
    assert "- Row counts: rows read 4,000; bad rows 2" in lines
    assert any(line.endswith("after 12 s of training; saved at commit c0ffee") for line in lines)


def test_the_model_card_lists_nested_scores():
    score = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 9}
    meta = run_metadata("m", {}, {}, {"rouge1": score, "before": {"rouge1": score}}, 1.0)
    card = model_card(meta)
    assert "| rouge1 | 0.5 (0.25 to 0.75) |" in card
    assert "| before: rouge1 | 0.5 (0.25 to 0.75) |" in card


@pytest.mark.parametrize("number", [None, math.nan])
def test_the_model_card_shows_an_undefined_score(number):
    metrics = {"exact_match": {"value": number, "low": number, "high": number, "n": 0}}
    assert "| exact_match | undefined |" in model_card(make_meta(metrics=metrics))


def test_a_comparison_adds_test_scores_and_what_is_recited_to_the_model_card(tmp_path):
    score = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 9}
    comparison = {
        "num_pairs": 2_000,
        "systems": {"LSTM": {"metrics": {"next_word": score}}, "a baseline": {"metrics": {"rouge1": score}}},
        "typing": {"systems": {"LSTM": {"word": {"3": {"metrics": {"keys_saved": score}}}}}},
        "recited": {"training": {"LSTM": score}, "test": {"LSTM": score}},
    }
    write_run_files(tmp_path, make_meta(), [])
    without = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "`compare.ipynb` scores it on test tweets." in without and "was not measured" in without
    add_comparison(tmp_path, comparison)
    assert json.loads((tmp_path / "comparison.json").read_text()) == comparison
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "Scores on 2,000 test tweets" in card
    assert "| LSTM | 50% (25% to 75%), 9 tweets | – | 0.5 (0.25 to 0.75) | – |" in card
    assert "| a baseline | – | – | – | 0.5 (0.25 to 0.75) |" in card
    assert "- LSTM: 50% (25% to 75%) of 9 training tweets, 50% (25% to 75%) of 9 test tweets" in card
    headings = ["Intended use", "Training data", "Evaluation", "Limits", "Biases", "Memorisation", "Settings"]
    assert [line[3:] for line in card.splitlines() if line.startswith("## ")] == headings


def test_the_size_of_a_run_leaves_out_exports_and_records(tmp_path):
    (tmp_path / "device").mkdir()
    records = ("training_texts.safetensors", "comparison.json")
    for name in ("model.pt", "tokenizer.json", "model.onnx", "device/ngrams.bin", *records):
        (tmp_path / name).write_bytes(b"x" * 1_000)
    assert megabytes(tmp_path) == 0.002
