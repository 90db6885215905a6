"""The Python API: the verbs' names, loaded when asked for."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import luthier
from luthier.app.cli import app

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def test_the_functions_have_the_verbs_names() -> None:
    assert sorted(luthier.__all__) == sorted(COMMANDS)
    assert set(luthier.__all__) <= set(dir(luthier))


@pytest.mark.parametrize("verb", sorted(COMMANDS))
def test_a_function_takes_what_its_verb_takes(verb: str) -> None:
    faces = {"json", "strict", "help"}  # how a result is shown
    later = {"chat": {"prompt", "system"}}  # what the function's result is asked for
    wanted = {parameter.name for parameter in COMMANDS[verb].params} - faces - later.get(verb, set())
    assert wanted <= set(inspect.signature(getattr(luthier, verb)).parameters)


def test_models_is_the_verb_and_the_package_whoever_comes_first() -> None:
    script = (
        "import sys, luthier\n"
        "first = luthier.models()\n"
        "from luthier.models import cached\n"
        "import luthier.models as package\n"
        "assert first == luthier.models() == tuple(package.cached())\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        luthier.trian  # noqa: B018
