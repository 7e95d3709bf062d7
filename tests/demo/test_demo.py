"""What the page's server answers and what it refuses."""

import asyncio
import errno
import shutil
import socket
import threading
from dataclasses import asdict
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi.testclient import TestClient

from src.demo import server
from src.demo.__main__ import main
from src.demo.completers import page_models
from src.demo.server import DEVICE_FILES, MAX_CHARACTERS, MAX_READ, ModelQueue, PageModel, create_app
from src.deploy.device import DeviceLM
from src.deploy.onnx_lstm import INT8_FILE
from src.files import write_json
from src.lstm_model import save_lstm_lm
from src.runs import RunError, describe_run, find_run, run_metadata, write_run_files
from src.text.calibration import CALIBRATION_FILE, Calibration
from src.text.offensive import offensive_words
from src.text.prefixes import Completion, PrefixError

ROOT = Path(__file__).resolve().parents[2]
LOCAL = "http://127.0.0.1"


class Repeat:
    """Suggests the prefix itself, so that a test sees it."""

    completes_first_words = False

    def complete(self, prefixes, n=1, half_typed=False, max_new_tokens=20):
        assert half_typed
        return [[Completion(f"{prefix}|{i}", -0.5 * i, 0.5**i) for i in range(n)] for prefix in prefixes]


class FirstWords(Repeat):
    completes_first_words = True


class Refuse:
    completes_first_words = False

    def complete(self, prefixes, n=1, half_typed=False, max_new_tokens=20):
        raise PrefixError("prefix 0 has no letters a to z")


@pytest.fixture
def client():
    models = [
        PageModel("repeat", "a parrot", Repeat),
        PageModel("first", "a lark", FirstWords),
        PageModel("refuse", "a mule", Refuse, side_by_side=False),
    ]
    return TestClient(create_app(models), base_url=LOCAL)


def ask(client, text, model="repeat", **kwargs):
    return client.post("/suggestions", json={"model": model, "text": text}, **kwargs)


@pytest.mark.parametrize(
    ("text", "prefix", "typed"),
    [
        ("so very", "so very", "very"),
        ("so very ", "so very ", ""),
        ("so\nvery\t", "so\nvery\t", ""),
        ("so\n very", "so\n very", "very"),
        ("☕ so <b>tea", "☕ so <b>tea", "tea"),
        ("☕ so <b>tea</b>", "☕ so <b>tea</b>", ""),
        ("so tired...wa", "so tired...wa", "wa"),
        ("the café", "the café", "cafe"),
        ("i can'", "i can'", "can"),
        ("so very :)", "so very :)", ""),
        ("happy birthday to @m", "happy birthday to @m", ""),
        ("look at www.exa", "look at www.exa", ""),
        ("so " + 41 * "x", "so " + 41 * "x", ""),
        ("x" * MAX_READ + " so very", "so very", "very"),
    ],
)
def test_the_end_of_a_text_is_completed_and_its_half_typed_word_is_named(client, text, prefix, typed):
    answer = ask(client, text).json()
    assert [one["text"] for one in answer["suggestions"]] == [f"{prefix}|{i}" for i in range(3)]
    assert [one["next_word_probability"] for one in answer["suggestions"]] == [1, 0.5, 0.25]
    assert answer["typed"] == typed
    assert answer["milliseconds"] >= 0


def test_offensive_words_are_left_out_unless_they_are_allowed(monkeypatch):
    monkeypatch.setattr(server, "offensive_words", lambda: frozenset({"very0", "very2"}))

    class Words(Repeat):
        def complete(self, prefixes, n=1, half_typed=False, max_new_tokens=20):
            return [[Completion(f"very{i} very{i - 1} then", -1.0, 0.5**i) for i in range(n)] for _ in prefixes]

    for is_allowed, texts in (
        (False, ["very1", "very3", "very4 very3 then"]),
        (True, ["very0 very-1 then", "very1 very0 then", "very2 very1 then"]),
    ):
        client = TestClient(create_app([PageModel("repeat", "", Words)], is_allowed), base_url=LOCAL)
        assert [one["text"] for one in ask(client, "so very0 very").json()["suggestions"]] == texts
        assert client.get("/left-out-words").json() == ([] if is_allowed else ["very0", "very2"])


@pytest.mark.parametrize("text", ["", "!!!", "t", "☕ <tea", "x" * (MAX_READ + 1)])
def test_a_text_without_a_complete_word_has_no_suggestions(client, text):
    answer = ask(client, text).json()
    assert answer["suggestions"] == [] and answer["typed"] == ""
    assert ask(client, "so very", "refuse").json()["suggestions"] == []


@pytest.mark.parametrize(("text", "typed"), [("", ""), (" \n", ""), ("!!!", ""), ("t", "t"), ("☕ <tea", "tea")])
def test_a_first_word_is_completed_if_the_model_can(client, text, typed):
    answer = ask(client, text, "first").json()
    assert [one["text"] for one in answer["suggestions"]] == [f"{text}|{i}" for i in range(3)]
    assert answer["typed"] == typed


@pytest.mark.parametrize("end", ["", " ", " t"])
def test_the_end_of_a_very_long_text_is_no_first_word(client, end):
    assert ask(client, "x" * MAX_READ + "x" + end, "first").json()["suggestions"] == []


def test_models_are_listed_and_unknown_ones_are_refused(client):
    assert client.get("/models").json() == [
        {"name": "repeat", "about": "a parrot", "side_by_side": True, "device": None},
        {"name": "first", "about": "a lark", "side_by_side": True, "device": None},
        {"name": "refuse", "about": "a mule", "side_by_side": False, "device": None},
    ]
    response = ask(client, "so very", "gpt9")
    assert response.status_code == 404 and "There is no model 'gpt9'" in response.json()["detail"]


def test_the_page_loads_nothing_from_elsewhere(client):
    page = client.get("/")
    assert page.status_code == 200 and "Tweet" in page.text
    names = [path.relative_to(server.PAGE_DIR).as_posix() for path in server.PAGE_DIR.rglob("*.*")]
    assert "in_browser/worker.js" in names
    for name in (name for name in names if name != "index.html"):
        assert client.get(f"/{name}").status_code == 200
        assert "//" not in client.get(f"/{name}").text.replace("// ", "")
    assert "http" not in page.text.replace("http-equiv", "")
    assert "default-src 'self'" in page.headers["content-security-policy"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "192.168.0.7"])
def test_other_hosts_are_refused(client, host):
    assert client.get("/models", headers={"host": host}).status_code == 400


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9"])
def test_other_origins_are_refused(client, origin):
    assert ask(client, "so very", headers={"origin": origin}).status_code == 403
    assert ask(client, "so very", headers={"origin": LOCAL}).status_code == 200


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b'{"model": "repeat", "text": "' + b"a" * 300_000 + b'"}', 413),
        (b'{"model": "repeat", "text": "' + b"a" * 30_000 + b'"}', 422),
        (b'{"model": "repeat"}', 422),
        (b'{"model": "repeat", "text": 7}', 422),
        (b"\xff\xfe", 422),
        (b"", 422),
    ],
)
def test_a_body_that_is_too_long_or_is_no_question_is_refused(client, content, status):
    response = client.post("/suggestions", content=content, headers={"content-type": "application/json"})
    assert response.status_code == status and response.json()["detail"]


NO_QUESTION = "A question is a JSON object with a model and a text, both strings."
TOO_LONG = "A text has at most 20,000 characters."
HALF = "The question contains half a character, such as half an emoji: send complete characters."


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (rb'{"model": "repeat", "text": "so \ud83d"}', HALF),
        (rb'{"model": "repeat", "text": "\udc69 so very"}', HALF),
        (rb'{"model": "repeat", "text": "so \udc69\ud83d very"}', HALF),
        (b'{"model": "repeat", "text": "' + b"a" * (MAX_CHARACTERS + 1) + b'"}', TOO_LONG),
        (b'{"model": "repeat"}', NO_QUESTION),
        (b'{"model": "repeat", "text": null}', NO_QUESTION),
        (b"[]", NO_QUESTION),
        (b"{", NO_QUESTION),
    ],
)
def test_a_refusal_names_what_is_wrong(client, content, reason):
    response = client.post("/suggestions", content=content, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()) == (422, {"detail": reason})


@pytest.mark.parametrize("text", [r"so \ud83d\udc69 very", "so 👩 very"])
def test_a_complete_emoji_is_no_half_one(client, text):
    content = f'{{"model": "repeat", "text": "{text}"}}'.encode()
    response = client.post("/suggestions", content=content, headers={"content-type": "application/json"})
    assert response.json()["suggestions"][0]["text"] == "so 👩 very|0"


def test_a_body_of_unknown_length_is_refused(client):
    assert client.post("/suggestions", content=iter([b"{}"])).status_code == 411
    both = {"content-length": "2", "transfer-encoding": "chunked"}
    assert client.post("/suggestions", content=b"{}", headers=both).status_code == 411


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [([], r"no lstm_lm run in .*: run its notebook first"), (["--run", "nothing"], "there is no run 'nothing'")],
)
def test_without_a_model_the_demo_ends_with_one_sentence(tmp_path, monkeypatch, arguments, problem):
    monkeypatch.setattr("sys.argv", ["src.demo", "--models-dir", str(tmp_path), *arguments])
    with pytest.raises(SystemExit, match=problem):
        main()


def test_a_model_is_loaded_once_when_it_is_first_asked():
    loaded = []

    def load():
        loaded.append(1)
        return Repeat()

    client = TestClient(create_app([PageModel("late", "", load)]), base_url=LOCAL)
    assert client.get("/models").status_code == 200 and loaded == []
    for _ in range(2):
        assert ask(client, "so very", "late").json()["suggestions"][0]["text"] == "so very|0"
    assert loaded == [1]


def test_a_run_that_can_not_be_loaded_is_told_in_words():
    def load():
        raise RunError("models/ant-1 has no model.pt: restore it")

    client = TestClient(create_app([PageModel("ant-1", "", load)]), base_url=LOCAL)
    for _ in range(2):
        response = ask(client, "so very", "ant-1")
        assert response.status_code == 500
        assert response.json() == {"detail": "ant-1 can't be loaded: models/ant-1 has no model.pt: restore it"}


@pytest.mark.parametrize("has_library", [True, False])
def test_a_device_folder_is_named_and_served_if_the_library_is_there(tmp_path, monkeypatch, has_library):
    monkeypatch.setattr("src.demo.browser_library.is_complete", lambda: has_library)
    folders = [tmp_path / "a" / "device", tmp_path / "b" / "device"]
    for folder in folders:
        folder.mkdir(parents=True)
        for name in (*DEVICE_FILES, "secret.txt"):
            (folder / name).write_text(f"{folder.parent.name} {name}")
    a, b = folders
    models = [PageModel(str(i), "", Repeat, device_dir=folder) for i, folder in enumerate([a, a, None, b])]
    client = TestClient(create_app(models), base_url=LOCAL)
    named = [model["device"] for model in client.get("/models").json()]
    assert named == (["device/0/", "device/0/", None, "device/1/"] if has_library else [None] * 4)
    for name in DEVICE_FILES:
        assert client.get(f"/device/1/{name}").text == f"b {name}"
    for path in ("1/secret.txt", "2/ngrams.bin", "-1/ngrams.bin", "x/ngrams.bin", "1/..%2fngrams.bin", "1/"):
        assert client.get(f"/device/{path}").status_code in (404, 422)


def test_the_best_run_with_n_grams_comes_first_and_can_run_in_the_browser(models_dir):
    best = models_dir / "lstm_lm-20260101-000000"
    shutil.copytree(find_run("lstm_lm", models_dir=ROOT / "models") / "device", best / "device")
    first, *others = page_models(models_dir)
    assert first.name == "LSTM with n-grams" and first.device_dir == best / "device"
    assert first.about == f"int8 export with n-grams of {describe_run(best)}"
    assert first.load().complete([""], 3) == DeviceLM(best / "device").complete([""], 3)
    assert [model.device_dir for model in others] == [None] * 5 and others[0].name == "LSTM"
    (best / "device" / "ngrams.bin").write_bytes(b"no n-grams")
    with pytest.warns(UserWarning, match="The LSTM with n-grams is left out: .*copy the folder again"):
        assert [model.name for model in page_models(models_dir)] == [model.name for model in others]
    (best / "device" / "ngrams.bin").unlink()
    assert [model.name for model in page_models(models_dir)] == [model.name for model in others]


# The runs


def save_lstm(models_dir, folder, model, tokenizer, bits, corpus="some-tweets", tweets=5_000):
    run_dir = models_dir / folder
    run_dir.mkdir()
    data = {"name": corpus, "source": "some.csv", "sha256": corpus, "counts": {"train": tweets}}
    meta = run_metadata("lstm_lm", {}, data, {"bits_per_character": {"value": bits}}, duration=1.0)
    return save_lstm_lm(run_dir, model, tokenizer, meta, [])


@pytest.fixture
def models_dir(tmp_path, tiny_lstm, tokenizer, distilgpt2_path):
    """Two LSTMs and two transformers, in each case the better one older."""
    save_lstm(tmp_path, "lstm_lm-20260101-000000", tiny_lstm, tokenizer, bits=1.8)
    save_lstm(tmp_path, "lstm_lm-20260102-000000", tiny_lstm, tokenizer, bits=2.8, corpus="few-tweets", tweets=9)
    for day, bits in ((1, 1.7), (2, 2.7)):
        run_dir = tmp_path / f"distilgpt2-2026010{day}-000000"
        shutil.copytree(distilgpt2_path, run_dir)
        write_run_files(run_dir, run_metadata("distilgpt2", {}, {}, {"bits_per_character": {"value": bits}}, 1.0), [])
    return tmp_path


def test_the_page_has_the_best_runs_side_by_side_and_all_others_to_choose(models_dir):
    models = page_models(models_dir)
    assert [(model.name, model.side_by_side) for model in models] == [
        ("LSTM", True),
        ("LSTM int8", True),
        ("distilgpt2", True),
        ("lstm_lm-20260102-000000", False),
        ("distilgpt2-20260102-000000", False),
    ]
    assert [model.about for model in models] == [
        describe_run(models_dir / "lstm_lm-20260101-000000"),
        "int8 export of " + describe_run(models_dir / "lstm_lm-20260101-000000"),
        describe_run(models_dir / "distilgpt2-20260101-000000"),
        describe_run(models_dir / "lstm_lm-20260102-000000"),
        describe_run(models_dir / "distilgpt2-20260102-000000"),
    ]
    for model in models:
        [suggestions] = model.load().complete(["so very"], 2)
        assert len(suggestions) == 2


def test_given_runs_are_shown_in_place_of_the_best(models_dir):
    models = page_models(models_dir, models_dir / "lstm_lm-20260102-000000", models_dir / "distilgpt2-20260102-000000")
    assert ["20260102" in model.about for model in models] == [True, True, True, False, False]
    assert [model.name for model in models[3:]] == ["lstm_lm-20260101-000000", "distilgpt2-20260101-000000"]


def test_each_run_has_its_own_calibration(models_dir):
    before = [model.load() for model in page_models(models_dir)]
    for day, slope in ((1, 0.5), (2, 2.0)):
        for name in ("lstm_lm", "distilgpt2"):
            run_dir = models_dir / f"{name}-2026010{day}-000000"
            write_json(run_dir / CALIBRATION_FILE, asdict(Calibration(slope, -1.0)))
    after = [model.load() for model in page_models(models_dir)]
    assert [one.calibration.slope for one in before] == [1, 1, 1, 1, 1]
    assert [one.calibration.slope for one in after] == [0.5, 0.5, 0.5, 2.0, 2.0]
    for own, shown in zip(before, after, strict=True):
        [own_found], [shown_found] = (one.complete(["so very "], 3, half_typed=True) for one in (own, shown))
        assert [one.text for one in own_found] == [one.text for one in shown_found]


def test_a_damaged_calibration_ends_the_demo_with_one_sentence(models_dir, monkeypatch):
    (models_dir / "lstm_lm-20260101-000000" / CALIBRATION_FILE).write_text("[]")
    monkeypatch.setattr("sys.argv", ["src.demo", "--models-dir", str(models_dir)])
    with pytest.raises(SystemExit, match=r"calibration\.json does not hold a slope and an intercept: restore the file"):
        main()


def test_a_damaged_export_ends_the_demo_with_one_sentence(models_dir, monkeypatch):
    (models_dir / "lstm_lm-20260101-000000" / INT8_FILE).write_bytes(b"no model")
    monkeypatch.setattr("sys.argv", ["src.demo", "--models-dir", str(models_dir)])
    with pytest.raises(SystemExit, match=r"model\.int8\.onnx can't be read \(InvalidProtobuf\): write it with"):
        main()


def test_without_room_for_its_export_the_int8_model_is_left_out(models_dir, monkeypatch):
    def refuse(**_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("src.files.TemporaryDirectory", refuse)
    with pytest.warns(UserWarning, match=r"^The LSTM int8 is left out: .*can't be written \(Read-only file system\)"):
        models = page_models(models_dir)
    assert [model.name for model in models if model.side_by_side] == ["LSTM", "distilgpt2"]


def test_ctrl_c_during_the_export_ends_the_demo_and_leaves_nothing(models_dir, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    before = sorted(models_dir.rglob("*"))
    monkeypatch.setattr("src.deploy.export.quantise", interrupt)
    monkeypatch.setattr("sys.argv", ["src.demo", "--models-dir", str(models_dir)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130 and sorted(models_dir.rglob("*")) == before


@pytest.mark.parametrize("run", [None, "lstm_lm-20260102-000000"])
def test_the_command_says_which_runs_it_uses(models_dir, monkeypatch, capsys, run):
    served = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    monkeypatch.setattr(uvicorn, "run", lambda app, **options: served.append((app, options)))
    chosen = ["--run", run] if run else []
    monkeypatch.setattr("sys.argv", ["src.demo", "--models-dir", str(models_dir), "--port", port, *chosen])
    main()
    lstm = describe_run(models_dir / (run or "lstm_lm-20260101-000000"))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines()[-5:] == [
        f"LSTM: {lstm}",
        f"LSTM int8: int8 export of {lstm}",
        f"distilgpt2: {describe_run(models_dir / 'distilgpt2-20260101-000000')}",
        "2 other runs can be chosen on the page",
        f"http://127.0.0.1:{port} (Ctrl+C stops it)",
    ]
    [(app, options)] = served
    assert options["port"] == int(port)
    assert TestClient(app, base_url=LOCAL).get("/models").json()[0]["about"] == lstm


@pytest.mark.parametrize("allowed", [[], ["--allow-offensive-words"]])
def test_the_command_allows_offensive_words_only_if_it_is_told_to(models_dir, monkeypatch, allowed):
    served = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    monkeypatch.setattr(uvicorn, "run", lambda app, **options: served.append(app))
    monkeypatch.setattr("sys.argv", ["src.demo", "--models-dir", str(models_dir), "--port", port, *allowed])
    main()
    left_out = TestClient(served[0], base_url=LOCAL).get("/left-out-words").json()
    assert left_out == ([] if allowed else sorted(offensive_words()))


def test_a_port_in_use_ends_the_demo_with_one_sentence(models_dir, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        monkeypatch.setattr("sys.argv", ["src.demo", "--models-dir", str(models_dir), "--port", port])
        with pytest.raises(SystemExit, match=f"port {port} can't be used .*: choose another one with --port"):
            main()


def test_a_port_that_does_not_exist_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["src.demo", "--port", "65536"])
    with pytest.raises(SystemExit):
        main()
    assert "port 65536 is not between 1 and 65535: choose another one" in capsys.readouterr().err


def test_nothing_outside_the_page_is_served(client):
    for path in ("/../server.py", "/%2e%2e/server.py", "/..%2fserver.py", "/docs", "/openapi.json"):
        assert client.get(path).status_code == 404


def test_a_question_that_is_withdrawn_while_it_waits_is_not_answered():
    asked = []

    class Noted(Repeat):
        def complete(self, prefixes, n=1, half_typed=False, max_new_tokens=20):
            asked.extend(prefixes)
            return super().complete(prefixes, n, half_typed)

    async def ask_two():
        queue = ModelQueue(PageModel("noted", "", Noted), frozenset())

        async def withdrawn():
            return True

        async def not_withdrawn():
            return False

        return await asyncio.gather(
            queue.answer("so very ", withdrawn), queue.answer("so very t", not_withdrawn), return_exceptions=True
        )

    withdrawn, answered = asyncio.run(ask_two())
    assert withdrawn.status_code == 408
    assert answered.suggestions[0].text == "so very t|0"
    assert asked == ["so very t"]


def test_each_of_200_simultaneous_questions_is_answered_or_politely_refused(monkeypatch):
    monkeypatch.setattr(server, "MAX_WAITING", 20)
    all_asked = threading.Event()

    class Slow(Repeat):
        def complete(self, prefixes, n=1, half_typed=False, max_new_tokens=20):
            assert all_asked.wait(60)
            return super().complete(prefixes, n, half_typed)

    async def ask_all():
        transport = httpx.ASGITransport(create_app([PageModel("slow", "", Slow)]))
        async with httpx.AsyncClient(transport=transport, base_url=LOCAL, timeout=60) as client:
            questions = [{"model": "slow", "text": f"so very {i}"} for i in range(200)]
            asked = [asyncio.create_task(client.post("/suggestions", json=question)) for question in questions]
            done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            while len(done) < 180:
                done, _ = await asyncio.wait(asked, timeout=0.05)
            all_asked.set()
            return await asyncio.gather(*asked)

    responses = asyncio.run(ask_all())
    answered = [i for i, response in enumerate(responses) if response.status_code == 200]
    assert len(answered) == 20
    assert all(responses[i].json()["suggestions"][0]["text"] == f"so very {i}|0" for i in answered)
    refused = [response for response in responses if response.status_code != 200]
    assert {response.status_code for response in refused} == {503}
    assert all("try again" in response.json()["detail"] for response in refused)
