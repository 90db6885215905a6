"""What the project says of itself, held against what it is: dependencies, the lock, the wheel, the make targets."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import luthier

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCKS = ("requirements.lock", "requirements-bench.lock")


def requirements(*lines: str) -> dict[str, Requirement]:
    return {canonicalize_name(requirement.name): requirement for requirement in map(Requirement, lines)}


RUNTIME = requirements(*PROJECT["dependencies"])
DEVELOPMENT = requirements(*PROJECT["optional-dependencies"]["dev"])
EXTRAS = requirements(
    *(line for extra, lines in PROJECT["optional-dependencies"].items() if extra != "dev" for line in lines)
)


def pinned(lock: str) -> dict[str, str]:
    """The lock's names and versions."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    return {
        canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==([^ ;]+)", text, re.MULTILINE)
    }


def imported_packages(folder: str) -> dict[str, str]:
    """Top-level names imported by a folder's files, lazily or not, and a file that does so."""
    found: dict[str, str] = {}
    for file in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            else:
                continue
            for name in names:
                found.setdefault(name.split(".")[0], str(file.relative_to(ROOT)))
    return {name: file for name, file in found.items() if name not in sys.stdlib_module_names and name != "luthier"}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_a_hash_for_every_package_and_names_no_machine_and_no_index(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    requirement_lines = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    blocks = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(requirement_lines) > 0
    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert re.findall(r"://|^-|(?<![\w.])/\w+/", text, re.MULTILINE) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_leaves_torch_and_what_its_builds_bring_to_the_machine(lock: str) -> None:
    left_out = ("torch", "triton", "nvidia-", "cuda-", "pip")
    assert [name for name in pinned(lock) if name in left_out or name.startswith(("nvidia-", "cuda-"))] == []


def test_every_dependency_is_locked_at_a_version_that_the_metadata_allows() -> None:
    torch = (ROOT / "requirements-torch.txt").read_text(encoding="utf-8").splitlines()[-1]
    versions = {**pinned("requirements.lock"), "torch": torch.removeprefix("torch==")}
    wanted = RUNTIME | DEVELOPMENT
    assert sorted(set(wanted) - set(versions)) == []
    assert [str(each) for name, each in wanted.items() if versions[name] not in each.specifier] == []


def test_the_benchmarks_lock_agrees_with_the_other() -> None:
    locked, bench = pinned("requirements.lock"), pinned("requirements-bench.lock")
    assert {
        name: (version, locked[name]) for name, version in bench.items() if locked.get(name, version) != version
    } == {}
    assert "trl" in bench


def test_what_the_package_imports_is_what_the_metadata_requires() -> None:
    distributions = packages_distributions()
    imported = {
        canonicalize_name(distribution): file
        for name, file in imported_packages("luthier").items()
        for distribution in distributions.get(name, [name])
    }
    undeclared = {name: file for name, file in imported.items() if name not in RUNTIME | EXTRAS}
    assert undeclared == {}, "imported and not in pyproject's dependencies"
    assert sorted(set(RUNTIME) - set(imported)) == [], "in pyproject's dependencies and never imported"


def test_the_tests_or_the_benchmarks_have_every_extra_of_the_package() -> None:
    lines = (ROOT / "requirements-bench.in").read_text(encoding="utf-8").splitlines()
    bench = requirements(*(line for line in lines if not line.startswith("#")))
    assert sorted(set(EXTRAS) - set(DEVELOPMENT) - set(bench)) == []


def test_the_metadata_claims_what_was_tested_and_no_more() -> None:
    support = (ROOT / "docs" / "support.md").read_text(encoding="utf-8")
    claimed = [name.rpartition(" ")[2] for name in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", name)]
    assert PROJECT["requires-python"] == ">=3.11,<3.14"
    assert claimed == ["3.11"]
    for version in ("3.12", "3.13"):
        assert re.search(rf"Python {version}.*untested", support), (
            f"docs/support.md must say that {version} is untested"
        )


def test_the_licence_is_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_changelog_has_the_version() -> None:
    assert f"## {luthier.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("target", ["demo", "test", "test-all", "check", "docs", "bench-train", "setup", "lock"])
def test_make_knows_the_target_and_sets_up_first(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "scripts/set_up.py" in done.stdout


def test_make_names_the_remedy_where_there_is_no_python_that_fits() -> None:
    done = subprocess.run(["make", "setup", "PYTHON=python2.6"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "luthier needs Python 3.11, 3.12 or 3.13" in done.stderr
    assert "make PYTHON=/path/to/python3.11 setup" in done.stderr


def test_a_wheel_carries_every_file_of_the_package(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    carried = set(zipfile.ZipFile(wheel).namelist())
    files = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "luthier").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert sorted(files - carried) == []
    assert f"luthier-{luthier.__version__}.dist-info/licenses/LICENSE" in carried
