"""Running notebooks: with which Python, what is shown and kept, errors, interrupts, and refused parameters."""

import json
import os
import pty
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from vm.run_notebooks import WIDGET, ParameterError, check_parameters, main, tidy

ROOT = Path(__file__).resolve().parents[2]


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


def test_tidy_removes_notes_and_keeps_warnings():
    cell = new_code_cell("load()", outputs=[stderr("note: the corpus\nwarning: old\nnote: "), stderr("the model\n")])
    tidy(new_notebook(cells=[cell]))
    assert [output.text for output in cell.outputs] == ["warning: old\n"]


def write_notebook(path: Path, *sources: str) -> Path:
    """A notebook with a cell for each source, each under its own heading: "Step 1", "Step 2", ..."""
    cells = []
    for number, source in enumerate(sources, 1):
        cells += [new_markdown_cell(f"## Step {number}"), new_code_cell(source)]
    nbformat.write(new_notebook(cells=cells), path)
    return path


LOUD = """
import logging, os, warnings
from tqdm import tqdm
logging.getLogger("src.corpus").info("the corpus is\\n small")
logging.getLogger("src.corpus").debug("hidden")
logging.getLogger("library").warning("hidden")
warnings.warn("the run is old")
warnings.warn("hidden", FutureWarning)
warnings.warn("hidden", DeprecationWarning)
print("hidden")
os.write(2, b"hidden\\n")
for _ in tqdm(range(300), "training", mininterval=0): pass
"""


def test_steps_and_messages_are_shown_and_nothing_else(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    write_notebook(Path("story.ipynb"), LOUD, "'hidden'")
    main(["story.ipynb"])
    shown, errors = capfd.readouterr()
    assert [line.split(" ...")[0] for line in shown.splitlines()] == [
        "story.ipynb",
        "note: the corpus is small",
        "warning: the run is old",
        "[1/2] Step 1",
        "[2/2] Step 2",
        "",
        "Next: `make demo` serves a page to type in; `make lab` opens the notebooks.",
    ]
    assert "\r" not in shown and errors == ""
    cells = [cell for cell in nbformat.read("story.ipynb", as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == [1, 2]
    saved = "".join(output.text for output in cells[0].outputs if output.name == "stderr")
    assert "warning: the run is old\n" in saved and "note: " not in saved
    assert [file.name for file in tmp_path.iterdir()] == ["story.ipynb"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise RunError('no run: train one first')", 'Step 1":\n  no run: train one first\nThe outputs'),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "most often because the memory was full"),
    ],
)
def test_after_an_error_the_notebook_is_as_it_was(tmp_path, monkeypatch, capfd, source, message):
    monkeypatch.chdir(tmp_path)
    source = f"print('made')\nclass RunError(ValueError): pass\n{source}"
    write_notebook(Path("story.ipynb"), source, "open('ran', 'w')")
    write_notebook(Path("next.ipynb"), "open('ran', 'w')")
    before = Path("story.ipynb").read_bytes()
    with pytest.raises(SystemExit) as stopped:
        main(["story.ipynb", "next.ipynb"])
    assert message in stopped.value.code
    assert 'story.ipynb failed at step 1, "Step 1":' in stopped.value.code
    assert "make run NOTEBOOKS='story.ipynb next.ipynb'" in stopped.value.code
    assert ".story.partial.ipynb" in stopped.value.code
    assert "made" in Path(".story.partial.ipynb").read_text()
    assert Path("story.ipynb").read_bytes() == before
    assert not Path("ran").exists()
    shown, errors = capfd.readouterr()
    assert "failed after" in shown.splitlines()[-1] and errors == ""


FOREIGN_KERNEL = {"argv": ["false", "{connection_file}"], "language": "python", "display_name": "Python 3"}


@pytest.fixture
def foreign_kernels(tmp_path, monkeypatch):
    """Kernels named python3 in every place where Jupyter looks, and start-up files that print."""
    folders = {name: tmp_path / name.lower() for name in ("HOME", "JUPYTER_PATH", "JUPYTER_DATA_DIR", "IPYTHONDIR")}
    for name, folder in {**folders, "PYTHONPATH": tmp_path / "noise"}.items():
        monkeypatch.setenv(name, str(folder))
    places = [*folders.values(), tmp_path / "home/.local/share/jupyter", tmp_path / "home/Library/Jupyter"]
    for place in places:
        (place / "kernels/python3").mkdir(parents=True)
        (place / "kernels/python3/kernel.json").write_text(json.dumps(FOREIGN_KERNEL))
    for folder in (tmp_path / "home/.ipython", tmp_path / "ipythondir"):
        (folder / "profile_default/startup").mkdir(parents=True)
        (folder / "profile_default/startup/00.py").write_text("print('start-up'); here = 'start-up'")
        (folder / "profile_default/ipython_kernel_config.py").write_text("print('configuration'); 1 / 0")
    (tmp_path / "noise").mkdir()
    (tmp_path / "noise/sitecustomize.py").write_text("print('noise')")
    (tmp_path / "startup.py").write_text("here = 'start-up'")
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "startup.py"))
    assert KernelSpecManager().get_kernel_spec("python3").argv[0] == "false"
    monkeypatch.setenv("JUPYTER_DEFAULT_PROVISIONER_NAME", "of-the-cluster")
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", "/dev/null/not-a-folder")
    monkeypatch.setenv("MPLBACKEND", "pdf")


def test_notebooks_run_in_this_environment_whatever_kernels_are_installed(tmp_path, foreign_kernels, capfd):
    source = "import os, sys; print(sys.executable, sys.prefix, 'here' in globals(), os.environ.get('MPLBACKEND'))"
    path = write_notebook(tmp_path / "story.ipynb", source)
    main([str(path)])
    code = nbformat.read(path, as_version=4).cells[1]
    assert [output.text for output in code.outputs] == [
        f"{sys.executable} {sys.prefix} False module://matplotlib_inline.backend_inline\n"
    ]
    shown, errors = capfd.readouterr()
    assert "noise" not in shown and "start-up" not in shown and errors == ""


@pytest.mark.slow
def test_a_python_that_does_not_start_says_why(tmp_path, monkeypatch):
    (tmp_path / "noise").mkdir()
    (tmp_path / "noise/ipykernel.py").write_text("raise ImportError('of another Python')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "noise"))
    path = write_notebook(tmp_path / "story.ipynb", "1 + 1")
    with pytest.raises(SystemExit, match=r"(?s)story.ipynb failed at its start:.*did not start.*of another Python"):
        main([str(path)])


def test_make_gives_no_module_path_of_another_python(tmp_path):
    (tmp_path / "more.mk").write_text("show:\n\t@env\n")
    environment = {**os.environ, "PYTHONPATH": "/of/another", "PYTHONHOME": "/of/another", "KEPT": "yes"}
    command = ["make", "-f", "Makefile", "-f", str(tmp_path / "more.mk"), "show"]
    shown = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    assert "KEPT=yes" in shown
    assert "/of/another" not in shown


WAITING = """
import threading
from tqdm import tqdm
bar = tqdm(total=4, desc="training", mininterval=0)
bar.update()
threading.Event().wait(300)
"""
INTERRUPTED = (
    "story.ipynb was interrupted at step 1, \"Step 1\". Resume with:\n  make run NOTEBOOKS='story.ipynb next.ipynb'\n"
)


def waiting_command(folder: Path) -> list[str]:
    write_notebook(folder / "story.ipynb", WAITING)
    write_notebook(folder / "next.ipynb", "open('ran', 'w')")
    return [sys.executable, str(ROOT / "vm/run_notebooks.py"), "story.ipynb", "next.ipynb"]


@pytest.mark.slow
def test_control_c_in_a_terminal_says_how_to_resume(tmp_path):
    runner, terminal = pty.fork()
    if runner == 0:
        os.chdir(tmp_path)
        # A shell starts its background jobs with this signal ignored.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        command = waiting_command(tmp_path)
        os.execve(command[0], command, {**environment, "TERM": "xterm", "COLUMNS": "80"})
    shown, has_stopped = b"", False
    # On Linux, reading from a terminal that nobody has open any more is an error.
    with suppress(OSError):
        while block := os.read(terminal, 4096):
            shown += block
            if b"training 25%" in shown and not has_stopped:
                os.write(terminal, b"\x03")
                has_stopped = True
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(runner, 0)[1]) == 130
    assert b"\r[1/1] Step 1 ###" in shown
    assert b"stopped after" in shown
    assert INTERRUPTED in shown.decode().replace("\r\n", "\n")
    assert "Traceback" not in shown.decode()
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_a_scheduler_that_ends_the_job_is_told_how_to_resume(tmp_path):
    command = waiting_command(tmp_path)
    runner = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert runner.stdout.readline() == "story.ipynb\n"
    runner.terminate()
    shown, errors = runner.communicate()
    assert runner.returncode == 130
    assert "\r" not in shown
    assert "Resume with:\n  make run NOTEBOOKS='story.ipynb next.ipynb'\n" in errors
    assert "Traceback" not in errors


def notebook_with(tmp_path, parameters: str, *cells: str) -> Path:
    tagged = new_code_cell(parameters, metadata={"tags": ["parameters"]})
    nbformat.write(new_notebook(cells=[tagged, *map(new_code_cell, cells)]), tmp_path / "story.ipynb")
    return tmp_path / "story.ipynb"


@pytest.mark.parametrize("name", ["solution_lstm", "solution_pretrained", "compare"])
@pytest.mark.parametrize("folder", [".", "vm"])
def test_the_notebooks_read_all_their_parameters(folder, name):
    check_parameters(ROOT / folder / f"{name}.ipynb")


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


@pytest.mark.parametrize("content", [None, "{"])
def test_a_file_that_is_no_notebook_is_named(tmp_path, content):
    path = tmp_path / "story.ipynb"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SystemExit, match=r"story\.ipynb can't be read: "):
        main([str(path)])


def test_a_cell_that_is_not_python_is_named(tmp_path):
    with pytest.raises(
        SystemExit, match=r"story\.ipynb has a cell that is not Python, `learning_rate =`: invalid syntax"
    ):
        main([str(notebook_with(tmp_path, "learning_rate =", "print(learning_rate)"))])
