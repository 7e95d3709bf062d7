"""The structure of the repository: imports follow one order, every module is used, and the pages name what exists."""

import ast
import functools
import json
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ("solution_lstm.ipynb", "solution_pretrained.ipynb", "compare.ipynb")
DOCS = ("docs/DESIGN.md", "docs/USING.md", "docs/PROTOCOL.md")
PAGES = ("README.md", *DOCS, "benchmarks/RESULTS.md", "vm/README.md", "data/README.md")
MAX_LINES = 360
HEAVY = {"torch", "transformers", "pandas"}


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def sources(folder: str) -> dict[str, str]:
    """The source code of every module under a folder of the repository, by module name."""
    return {module_name(path): path.read_text(encoding="utf-8") for path in sorted((ROOT / folder).rglob("*.py"))}


def notebook_source(name: str) -> str:
    cells = json.loads(page(name))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def imported_names(source: str) -> list[tuple[str, str]]:
    """Every import as (module, name); the name is "" for `import module`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: import by the full name, not relative to the package"
            found += [(node.module, alias.name) for alias in node.names]
    return found


@functools.cache
def public_names() -> dict[tuple[str, str], str]:
    """The module that defines each name that a package exports, by (package, name)."""
    packages = [module_name(path) for path in (ROOT / "src").rglob("__init__.py")]
    return {
        (package, name): module
        for package in packages
        for module, name in imported_names(sources("src")[package])
        if module in sources("src")
    }


def imported_modules(source: str) -> set[str]:
    """The modules of `src` that a source imports, each by the name of the file that defines what is imported."""
    modules = set()
    for module, name in imported_names(source):
        if f"{module}.{name}" in sources("src"):
            modules.add(f"{module}.{name}")
        elif module in sources("src"):
            modules.add(public_names().get((module, name), module))
    return modules


@functools.cache
def imports_of_src() -> dict[str, set[str]]:
    """The modules of `src` that each module of `src` imports."""
    return {name: imported_modules(source) for name, source in sources("src").items()}


def component(module: str) -> str:
    """The name that stands for a module in the order: `corpus` for `src.corpus.load`, `runs` for `src.runs`."""
    return module.split(".")[1]


@functools.cache
def order() -> list[list[str]]:
    """The order of imports, read from the block of docs/DESIGN.md that begins with `text <`."""
    [block] = re.findall(r"```text\n(text\s*<.*?)```", page("docs/DESIGN.md"), re.DOTALL)
    return [[name.strip() for name in layer.split(",")] for layer in block.split("<")]


def wrong_imports(imports: dict[str, set[str]], order: list[list[str]]) -> list[str]:
    """Imports against the order, as sentences."""
    layer_of = {name: i for i, layer in enumerate(order) for name in layer}
    return [
        f"{module} imports {imported}, but {component(module)} < {component(imported)} in the order of docs/DESIGN.md"
        for module, targets in imports.items()
        for imported in sorted(targets)
        if layer_of[component(module)] < layer_of[component(imported)]
    ]


def test_every_component_of_src_has_a_place_in_the_order():
    components = {component(module) for module in sources("src") if "." in module}
    assert components == {name for layer in order()[:-1] for name in layer}, "update the order in docs/DESIGN.md"
    assert order()[-1] == ["notebooks", "vm", "benchmarks"]


def test_imports_follow_the_order():
    found = wrong_imports(imports_of_src(), order())
    assert not found, "\n".join(found)


def test_an_import_against_the_order_is_named():
    [sentence] = wrong_imports({"src.text.cleaning": {"src.corpus.load"}}, [["text"], ["corpus"]])
    assert sentence == "src.text.cleaning imports src.corpus.load, but text < corpus in the order of docs/DESIGN.md"


def test_no_module_imports_itself_in_a_circle():
    try:
        TopologicalSorter(imports_of_src()).prepare()
    except CycleError as error:
        pytest.fail("imports go in a circle: " + " <- ".join(error.args[1]))


def test_src_imports_no_test_benchmark_or_script():
    outside = {
        f"{module} imports {imported}"
        for module, source in sources("src").items()
        for imported, _ in imported_names(source)
        if imported.split(".")[0] in ("tests", "benchmarks", "vm")
    }
    assert not outside


def reachable(modules: set[str]) -> set[str]:
    """These modules, all that they import, and the `__init__` files that Python executes on the way."""
    found, waiting = set(), set(modules)
    while waiting:
        module = waiting.pop()
        found.add(module)
        package = module.rpartition(".")[0]
        waiting |= (imports_of_src()[module] | ({package} if package else set())) - found
    return found


def test_text_and_the_onnx_completer_import_no_torch_transformers_or_pandas():
    light = {name for name in sources("src") if name.startswith("src.text")} | {"src.deploy.onnx_lstm"}
    heavy = {
        f"{module} imports {imported}"
        for module in reachable(light)
        for imported, _ in imported_names(without_type_checking(sources("src")[module]))
        if imported.split(".")[0] in HEAVY
    }
    assert not heavy


def without_type_checking(source: str) -> str:
    """The source without its `if TYPE_CHECKING:` blocks, which never run."""
    tree = ast.parse(source)
    tree.body = [
        node for node in tree.body if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    return ast.unparse(tree)


def test_modules_of_src_are_short():
    lengths = {name: len(source.splitlines()) for name, source in sources("src").items()}
    assert not {name: length for name, length in lengths.items() if length > MAX_LINES}


def test_every_module_of_src_is_used():
    """Another module, a notebook, vm/ or a benchmark imports it, it is a command, or a README says how to use it."""
    exported_by = [module_name(path) for path in (ROOT / "src").rglob("__init__.py")]
    readers = {name: source for name, source in sources("src").items() if name not in exported_by}
    readers |= {**sources("vm"), **sources("benchmarks"), **{name: notebook_source(name) for name in NOTEBOOKS}}
    used = set().union(*(imported_modules(source) - {name} for name, source in readers.items()))
    commands = {name for name, text in sources("src").items() if "__main__" in name or '__name__ == "__main__"' in text}
    documented = page("README.md") + page("docs/USING.md") + page("vm/README.md")
    named = {name for name in sources("src") if re.search(rf"\b{name.replace('.', '[./]')}\b", documented)}
    assert not set(sources("src")) - used - commands - named - set(exported_by), "only tests import these modules"


@pytest.mark.parametrize("name", PAGES)
def test_paths_on_a_page_exist(name):
    named = re.findall(r"(?<![\w./-])((?:src|benchmarks|tests|vm|docs)/[\w./-]*[\w/])", page(name))
    links = re.findall(r"\]\(([^)#\s]+)", page(name))
    links = [link for link in links if not link.startswith("http")]
    missing = {path for path in named if not (ROOT / path).exists()}
    missing |= {link for link in links if not ((ROOT / name).parent / link).exists()}
    assert not missing


@pytest.mark.parametrize("name", PAGES)
def test_anchors_on_a_page_exist(name):
    missing = []
    for path, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", page(name)):
        if not path.startswith("http"):
            target = (ROOT / name).parent / path if path else ROOT / name
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            missing += [] if anchor in slugs else [f"{path}#{anchor}"]
    assert not missing


def code_on(name: str) -> str:
    """The code blocks and the inline code of a page."""
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", page(name), re.DOTALL))


@pytest.mark.parametrize("name", PAGES)
def test_modules_run_on_a_page_exist(name):
    modules = re.findall(r"-m ((?:src|benchmarks|vm)[\w.]*\w)", code_on(name))
    paths = {module: ROOT / module.replace(".", "/") for module in modules}
    files = {module: (path.with_suffix(".py"), path / "__main__.py") for module, path in paths.items()}
    assert not {module for module in modules if not any(path.is_file() for path in files[module])}


@pytest.mark.parametrize("name", PAGES)
def test_make_targets_on_a_page_exist(name):
    targets = re.findall(r"^([\w.-]+):", page("Makefile"), re.MULTILINE)
    named = re.findall(r"(?:^|[`\s])make ([a-z][a-z-]*)", code_on(name), re.MULTILINE)
    assert not set(named) - set(targets)
