"""Who may import whom: a part imports only from rows above its own, never sideways, and no modules form a circle."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A part sees the rows above its own. `__init__` is the package's own file: the Python API, which opens
# the same pages as the command line.
ROWS: tuple[frozenset[str], ...] = (
    frozenset({"errors"}),
    frozenset({"flow"}),
    frozenset({"plugins"}),
    frozenset({"settings", "statistics"}),
    frozenset({"data", "models", "runs"}),
    frozenset({"methods", "engine"}),
    frozenset({"evaluation"}),
    frozenset({"training"}),
    frozenset({"advice", "diagnosis", "export", "report"}),
    frozenset({"workflow"}),
    frozenset({"jobs"}),
    frozenset({"app"}),
    frozenset({"__init__"}),
    frozenset({"__main__"}),
)
DATA_FOLDERS = {"examples", "skill"}  # rows, run files and words that travel with the package, no code
DRAWERS = {"utils", "util", "common", "helpers", "helper", "misc"}


@dataclass(frozen=True)
class Import:
    """`module` imports `imported`, both as dotted names; a name out of a module counts as the module."""

    module: str
    imported: str
    line: int


def row_of(part: str) -> int:
    for number, row in enumerate(ROWS):
        if part in row:
            return number
    raise AssertionError(f"luthier.{part} has no row in architecture's table: give it one in {Path(__file__).name}")


def modules_of(package: Path) -> dict[str, Path]:
    """Dotted names and files of a package: `{"luthier.errors": .../errors.py, "luthier": .../__init__.py, ...}`."""
    found = {}
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def part_of(module: str) -> str:
    """`luthier.data.reading` is in `data`; the package's own file is `__init__`."""
    names = module.split(".")
    return names[1] if len(names) > 1 else "__init__"


def imports_of(module: str, file: Path, modules: Mapping[str, Path]) -> Iterator[Import]:
    """Every import of the package's own modules in a file, inside functions too, those for type checkers excepted.

    A module named by a string in a call counts as imported: `load("luthier.methods", name)`.
    """
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    root = module.split(".")[0]
    for node in _run_nodes(ast.parse(file.read_text(encoding="utf-8"))):
        named: list[str] = []
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1])
                base = f"{above}.{base}".rstrip(".")
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                if whole in modules:
                    named.append(whole)
                elif not (base == root and alias.name == "__version__"):  # a constant that everybody may read
                    named.append(base)
        elif isinstance(node, ast.Call):
            words = [*node.args, *(keyword.value for keyword in node.keywords)]
            named = [word.value for word in words if isinstance(word, ast.Constant) and isinstance(word.value, str)]
            named = [name for name in named if "." in name and name in modules]
        for name in named:
            if name.split(".")[0] == root and name != module:
                yield Import(module, name, getattr(node, "lineno", 0))


def _run_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING:`."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from _run_nodes(other)
        else:
            yield from _run_nodes(child)


def wrong_directions(imports: list[Import]) -> list[str]:
    found = []
    for each in imports:
        importer, imported = part_of(each.module), part_of(each.imported)
        if importer != imported and row_of(imported) >= row_of(importer):
            found.append(f"{each.module}:{each.line} imports {each.imported}: {importer} may not import {imported}")
    return found


def circles(imports: list[Import]) -> list[list[str]]:
    """Modules that import each other, over any number of steps: the sets of which each member reaches each other."""
    edges: dict[str, set[str]] = {}
    for each in imports:
        edges.setdefault(each.module, set()).add(each.imported)

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        todo = list(edges.get(start, ()))
        while todo:
            module = todo.pop()
            if module not in seen:
                seen.add(module)
                todo.extend(edges.get(module, ()))
        return seen

    reach = {module: reached(module) for module in edges}
    knots = {
        frozenset({module, *(other for other in reach[module] if module in reach.get(other, ()))})
        for module in edges
        if module in reach[module]
    }
    return sorted(sorted(knot) for knot in knots)


def all_imports(package: Path) -> list[Import]:
    modules = modules_of(package)
    return [each for module, file in modules.items() for each in imports_of(module, file, modules)]


def test_a_part_imports_only_from_rows_above_its_own() -> None:
    wrong = wrong_directions(all_imports(ROOT / "luthier"))
    assert not wrong, "\n".join(wrong)


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles(all_imports(ROOT / "luthier")) == []


def test_every_part_of_the_package_has_a_row() -> None:
    for module in modules_of(ROOT / "luthier"):
        row_of(part_of(module))
    for folder in (ROOT / "luthier").iterdir():
        if folder.is_dir() and folder.name != "__pycache__" and folder.name not in DATA_FOLDERS:
            row_of(folder.name)


def test_no_file_is_a_drawer() -> None:
    drawers = [
        str(path.relative_to(ROOT))
        for top in ("luthier", "tests", "benchmarks", "scripts")
        for path in (ROOT / top).rglob("*")
        if path.stem in DRAWERS
    ]
    assert not drawers, f"say in the name what it is for: {', '.join(drawers)}"


@pytest.fixture
def small_package(tmp_path: Path) -> Path:
    """A package `luthier` with a fault of each kind in `data/reading.py`, and none elsewhere."""
    package = tmp_path / "luthier"
    for folder in ("data", "engine", "settings"):
        (package / folder).mkdir(parents=True)
        (package / folder / "__init__.py").write_text("")
    (package / "__init__.py").write_text('__version__ = "1"\n')
    (package / "errors.py").write_text("")
    (package / "engine" / "loss.py").write_text("from luthier.data import reading\n")
    (package / "settings" / "names.py").write_text("from luthier import __version__, errors\n")
    (package / "data" / "reading.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "from ..settings import names\n"
        "if TYPE_CHECKING:\n"
        "    from luthier.engine import loss\n"
        "def lazily():\n"
        "    import luthier.engine.loss\n"
        "def by_name(load):\n"
        '    load("luthier.engine", "loss")\n'
    )
    return package


def test_lazy_imports_and_modules_named_by_a_string_count_and_type_checking_ones_do_not(small_package: Path) -> None:
    assert wrong_directions(all_imports(small_package)) == [
        "luthier.data.reading:6 imports luthier.engine.loss: data may not import engine",
        "luthier.data.reading:8 imports luthier.engine: data may not import engine",
    ]


def test_a_circle_of_two_modules_is_found(small_package: Path) -> None:
    assert circles(all_imports(small_package)) == [["luthier.data.reading", "luthier.engine.loss"]]


HEAVY = ("torch", "transformers", "peft", "accelerate", "scipy", "tensorboardX")


@pytest.mark.parametrize(
    "what",
    [
        "import luthier",
        "import luthier.app.cli",
        "import sys; import luthier.app.cli as cli; sys.argv = ['luthier', '--help']; cli.main()",
    ],
    ids=["the Python API", "the command line", "luthier --help"],
)
def test_starting_loads_nothing_heavy(what: str) -> None:
    script = (
        "import sys\n"
        f"try:\n    exec({what!r})\nexcept SystemExit as exit:\n    assert not exit.code, exit.code\n"
        f"print('loaded:', *[name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].split() == ["loaded:"]
