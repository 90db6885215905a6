"""The command line as a process: what it costs to start, and what it says about wrong words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import luthier

ROOT = Path(__file__).resolve().parents[2]
VERBS = (
    "demo",
    "advise",
    "train",
    "evaluate",
    "generate",
    "compare",
    "review",
    "diagnose",
    "remedy",
    "check",
    "estimate",
    "chat",
    "export",
    "models",
    "selftest",
)


def process(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """`python -m luthier` in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("environment", {})}
    return subprocess.run(
        [sys.executable, *options.pop("python", ()), "-m", "luthier", *words],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env=environment,
        **options,
    )


def test_help_loads_nothing_but_typer() -> None:
    loaded = process("--help", python=("-X", "importtime")).stderr
    names = {line.rpartition("|")[2].strip().split(".")[0] for line in loaded.splitlines()}
    assert "typer" in names
    assert names.isdisjoint({"torch", "transformers", "numpy", "rich", "pydantic", "orjson"})


def test_help_comes_within_four_tenths_of_a_second() -> None:
    def seconds() -> float:
        """Of the processor, so that a busy machine changes nothing."""
        before = os.times()
        assert process("--help").returncode == 0
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert min(seconds() for _ in range(3)) < 0.4


def test_the_version_is_the_package_s(luthier_command: Callable[..., Any]) -> None:
    assert luthier_command("--version").out == f"luthier {luthier.__version__}\n"


def test_help_lists_the_verbs_that_there_are_and_bare_luthier_is_help(luthier_command: Callable[..., Any]) -> None:
    done = luthier_command("--help")
    listed = [line.split()[0] for line in done.out.partition("Commands:\n")[2].splitlines()]
    assert tuple(listed) == VERBS
    assert "..." not in done.out.partition("Commands:\n")[2]  # no summary is cut
    assert luthier_command() == done


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_takes_json_and_its_help_has_an_example_to_copy(
    verb: str, luthier_command: Callable[..., Any]
) -> None:
    done = luthier_command(verb, "--help")
    assert done.code == 0
    assert "--json" in done.out
    assert f"\n      luthier {verb}" in done.out


@pytest.mark.parametrize(
    ("words", "where", "message"),
    [
        (("trian",), "luthier", "No such command 'trian'. Did you mean 'train'?"),
        (("train", "--nam", "x"), "luthier train", "No such option: --nam (Possible options: --name)"),
        (("evaluate",), "luthier evaluate", "Missing argument 'RUN'."),
        (("check", "x.jsonl", "--mask", "many"), "luthier check", "Invalid value for '--mask'"),
    ],
)
def test_wrong_words_are_code_2_with_the_nearest_right_ones(
    words: tuple[str, ...], where: str, message: str, luthier_command: Callable[..., Any]
) -> None:
    done = luthier_command(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"{where}: {message}")
    assert done.err.endswith(f"\n  → {where} --help\n")
    [error] = luthier_command(*words, "--json").json["errors"]
    assert (error["where"], error["remedy"]) == (where, f"{where} --help")


def test_a_reader_that_has_had_enough_is_no_fault(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "luthier", "models"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LUTHIER_HOME": str(tmp_path)},
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_stream_that_knows_only_ascii_gets_codes_and_json_stays_utf_8(tmp_path: Path) -> None:
    (tmp_path / "größe.jsonl").write_text('{"instruction": "a", "response": "b"}\nnope\n', encoding="utf-8")
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    done = process("check", "größe.jsonl", environment=ascii_only, cwd=tmp_path)
    assert (done.returncode, done.stdout.partition(":")[0]) == (1, "gr\\xf6\\xdfe.jsonl")
    document = json.loads(process("check", "größe.jsonl", "--json", environment=ascii_only, cwd=tmp_path).stdout)
    assert [problem["file"] for problem in document["problems"]] == ["größe.jsonl"]


def test_models_are_listed_before_any_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, luthier_command: Callable[..., Any]
) -> None:
    monkeypatch.setenv("LUTHIER_HOME", str(tmp_path))
    assert "fetched on first use" in luthier_command("models").out
    [packaged] = [each for each in luthier_command("models", "--json").json["models"] if each["kind"] == "packaged"]
    assert (packaged["name"], packaged["folder"]) == ("smollm2-135m-instruct", None)


def test_sigterm_ends_with_143_through_everything_that_cleans_up(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys, luthier.workflow.models as verb\n"
        "def wait():\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    finally:\n"
        "        print('cleaned up', file=sys.stderr)\n"
        "verb.models = wait\n"
        "sys.argv = ['luthier', 'models']\n"
        "from luthier.app.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LUTHIER_HOME": str(tmp_path)},
    )
    assert (done.returncode, done.stderr) == (143, "cleaned up\nstopped, as asked\n")
