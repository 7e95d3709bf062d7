"""Running notebooks: which outputs are kept, what happens after an error, and which parameters are refused."""

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from papermill.exceptions import PapermillExecutionError

from vm.run_notebooks import WIDGET, ParameterError, check_parameters, main, run_notebook, tidy


def stderr(text: str):
    return new_output("stream", name="stderr", text=text)


def test_tidy_keeps_the_last_state_of_a_bar_and_removes_cleared_bars_and_widgets():
    bars = [
        stderr("\rcleaning: 0%"),
        stderr("\r            \r"),
        stderr("\rtraining: 50%"),
        stderr("\rtraining: 100%\n"),
    ]
    table = new_output("execute_result", data={"text/plain": "a table"})
    widget = new_output("display_data", data={WIDGET: {"model_id": "1"}, "text/plain": "0%"})
    only_cleared = [stderr("\rscoring: 0%"), stderr("\r           \r")]
    cells = [new_code_cell("train()", outputs=[*bars, widget, table]), new_code_cell("score()", outputs=only_cleared)]
    notebook = new_notebook(cells=cells, metadata={"papermill": {"start_time": "now"}, "widgets": {}})
    cells[0].metadata["execution"] = {"shell.execute_reply": "now"}
    tidy(notebook)
    assert [output.get("text", output.get("data")) for output in notebook.cells[0].outputs] == [
        "training: 100%\n",
        {"text/plain": "a table"},
    ]
    assert notebook.cells[1].outputs == []
    assert not notebook.metadata
    assert not notebook.cells[0].metadata


def test_a_notebook_that_fails_stays_as_it_was(tmp_path):
    path = tmp_path / "story.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("print('made')"), new_code_cell("1 / 0")]), path)
    before = path.read_bytes()
    with pytest.raises(PapermillExecutionError, match="ZeroDivisionError"):
        run_notebook(path)
    assert path.read_bytes() == before


def test_an_executed_notebook_holds_its_outputs(tmp_path):
    path = tmp_path / "story.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("print('made')")]), path)
    run_notebook(path)
    [cell] = nbformat.read(path, as_version=4).cells
    assert cell.execution_count == 1
    assert cell.outputs[0].text == "made\n"
    assert [file.name for file in tmp_path.iterdir()] == ["story.ipynb"]


def notebook_with(tmp_path, parameters: str, *cells: str) -> Path:
    tagged = new_code_cell(parameters, metadata={"tags": ["parameters"]})
    nbformat.write(new_notebook(cells=[tagged, *map(new_code_cell, cells)]), tmp_path / "story.ipynb")
    return tmp_path / "story.ipynb"


@pytest.mark.parametrize("name", ["solution_lstm", "solution_pretrained", "compare"])
@pytest.mark.parametrize("folder", [".", "vm"])
def test_the_notebooks_read_all_their_parameters(folder, name):
    check_parameters(Path(__file__).resolve().parents[2] / folder / f"{name}.ipynb")


@pytest.mark.parametrize("cell", ["%matplotlib inline\nprint(learning_rate)", "!ls\ntrain(rate=learning_rate)"])
def test_a_parameter_may_be_read_in_any_cell(tmp_path, cell):
    check_parameters(notebook_with(tmp_path, "learning_rate = 1  # peak", "1 + 1", cell))


@pytest.mark.parametrize("parameters", ["learning_rat = 2", "learning_rate = 1\nlearning_rat = 2"])
def test_a_misspelt_parameter_is_refused_before_anything_runs(tmp_path, parameters):
    path = notebook_with(tmp_path, parameters, "open('ran', 'w')", "print(learning_rate)")
    before = path.read_bytes()
    message = "story.ipynb sets learning_rat, which none of its cells reads: remove it, or did you mean learning_rate"
    with pytest.raises(ParameterError, match=message):
        check_parameters(path)
    with pytest.raises(SystemExit, match=message):
        main([str(path)])
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["story.ipynb"]
