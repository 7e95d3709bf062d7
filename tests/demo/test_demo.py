"""What the page's server answers and what it refuses."""

import asyncio
import threading

import httpx
import pytest
from fastapi.testclient import TestClient

from src.demo import server
from src.demo.__main__ import main
from src.demo.server import MAX_READ, ModelQueue, create_app
from src.text.prefixes import Completion, PrefixError

LOCAL = "http://127.0.0.1"


class Repeat:
    """Suggests the prefix itself, so that a test sees it."""

    def complete(self, prefixes, n=1, half_typed=False, max_new_tokens=20):
        assert half_typed
        return [[Completion(f"{prefix}|{i}", -0.5 * i) for i in range(n)] for prefix in prefixes]


class Refuse:
    def complete(self, prefixes, n=1, half_typed=False, max_new_tokens=20):
        raise PrefixError("prefix 0 has no letters a to z")


@pytest.fixture
def client():
    return TestClient(create_app({"repeat": Repeat(), "refuse": Refuse()}), base_url=LOCAL)


def ask(client, text, model="repeat", **kwargs):
    return client.post("/suggestions", json={"model": model, "text": text}, **kwargs)


@pytest.mark.parametrize(
    ("text", "prefix", "typed"),
    [
        ("so very", "so very", "very"),
        ("so very ", "so very ", ""),
        ("so\nvery\t", "so\nvery\t", ""),
        ("so\n very", "so\n very", "very"),
        ("☕ so <b>tea</b>", "☕ so <b>tea</b>", "bteab"),
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
    assert [one["confidence"] for one in answer["suggestions"]] == [0, -0.5, -1.0]
    assert answer["typed"] == typed
    assert answer["milliseconds"] >= 0


@pytest.mark.parametrize("text", ["", "!!!", "t", "☕ <b>tea</b>", "x" * (MAX_READ + 1)])
def test_a_text_without_a_complete_word_has_no_suggestions(client, text):
    answer = ask(client, text).json()
    assert answer["suggestions"] == [] and answer["typed"] == ""
    assert ask(client, "so very", "refuse").json()["suggestions"] == []


def test_models_are_listed_and_unknown_ones_are_refused(client):
    assert client.get("/models").json() == ["repeat", "refuse"]
    response = ask(client, "so very", "gpt9")
    assert response.status_code == 404 and "There is no model 'gpt9'" in response.json()["detail"]


def test_the_page_loads_nothing_from_elsewhere(client):
    page = client.get("/")
    assert page.status_code == 200 and "Tweet" in page.text
    for name in ("page.js", "page.css"):
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


def test_a_body_of_unknown_length_is_refused(client):
    assert client.post("/suggestions", content=iter([b"{}"])).status_code == 411
    both = {"content-length": "2", "transfer-encoding": "chunked"}
    assert client.post("/suggestions", content=b"{}", headers=both).status_code == 411


def test_without_a_model_the_demo_ends_with_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["src.demo", "--models-dir", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"no lstm_lm run in .*: run its notebook first"):
        main()


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
        queue = ModelQueue(Noted())

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
        transport = httpx.ASGITransport(create_app({"slow": Slow()}))
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
