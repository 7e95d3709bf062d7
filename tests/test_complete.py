"""The terminal command `python -m src.complete`."""

from pathlib import Path

import pytest

from src.complete import main
from src.completion import Completer
from src.lstm_model import load_lstm_lm
from src.runs import find_run

MODELS = str(Path(__file__).resolve().parent.parent / "models")


def test_the_newest_model_answers(capsys):
    tokenizer, model, _, _ = load_lstm_lm(find_run("lstm_lm", models_dir=MODELS), device="cpu")
    [expected] = Completer(model, tokenizer).complete(["The weather tod"], 3, half_typed=True)
    main(["The weather tod", "-n", "3", "--half-typed", "--models-dir", MODELS])
    assert capsys.readouterr().out.splitlines() == [one.text for one in expected]
    main(["The weather today", "--models-dir", MODELS])
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["!!!", "--models-dir", MODELS], "has no letters or digits"),
        (["the weather", "-n", "0", "--models-dir", MODELS], "n is 0: ask for at least one suggestion"),
        (["the weather", "--models-dir", "nowhere"], "no lstm_lm run in nowhere"),
    ],
)
def test_an_error_is_one_sentence(arguments, problem, capsys):
    with pytest.raises(SystemExit, match=problem):
        main(arguments)
    assert capsys.readouterr().out == ""
