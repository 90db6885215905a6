"""What the documentation tells people to type: every verb, option, make target and run file in it exists."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema
import orjson
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from luthier import plugins
from luthier.app.cli import app
from luthier.data import checks
from scripts.write_reference import check_page, checks_page

ROOT = Path(__file__).resolve().parents[1]
WRITTEN_ELSEWHERE = {"commands.md", "python.md", "run-file.md", "mission.md"}  # from the code; the mission's own test
PAGES = [
    page for page in sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))) if page.name not in WRITTEN_ELSEWHERE
]


def blocks(language: str) -> list[tuple[str, str]]:
    """The fenced blocks of a language, each with its page's name."""
    fence = re.compile(rf"^```{language}\n(.*?)^```", re.M | re.S)
    return [(str(page.relative_to(ROOT)), block) for page in PAGES for block in fence.findall(page.read_text("utf-8"))]


def typed(program: str) -> list[tuple[str, list[str]]]:
    """The command lines of a program, split into words, comments and pipes left out."""
    lines = [
        (page, line.split("#")[0].split("|")[0].split())
        for page, text in blocks("console")
        for line in text.splitlines()
    ]
    return [(page, words[1:]) for page, words in lines if words and words[0] == program]


def help_of(*verb: str) -> str:
    shown = CliRunner().invoke(app, [*verb, "--help"], prog_name="luthier")
    assert shown.exit_code == 0, f"there is no verb {' '.join(verb)}"
    return shown.output


def test_every_command_in_the_documentation_has_a_verb_and_options_that_exist() -> None:
    commands = typed("luthier")
    assert len(commands) >= 7
    for page, words in commands:
        options = {word.split("=")[0] for word in words if word.startswith("--")}
        known = set(re.findall(r"--[a-z-]+", help_of(words[0])))
        assert options <= known, f"{page}: luthier {' '.join(words)}"


def test_every_make_target_in_the_documentation_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    named = [(page, word) for page, words in typed("make") for word in words if "=" not in word and '"' not in word]
    assert len(named) >= 4
    assert [(page, word) for page, word in named if word not in targets] == []


@pytest.mark.parametrize(("page", "text"), [pytest.param(*block, id=block[0]) for block in blocks("yaml")])
def test_every_run_file_in_the_documentation_fits_the_schema(page: str, text: str) -> None:
    schema = orjson.loads((ROOT / "luthier" / "settings" / "run_file.schema.json").read_bytes())
    jsonschema.validate(YAML(typ="safe").load(text), schema)


@pytest.mark.parametrize("name", plugins.names(checks.CHECKS))
def test_each_check_has_a_page_with_what_why_thresholds_and_how_to_switch_it_off(name: str) -> None:
    check = checks.load(name)
    page = check_page(check)
    assert f"(checks/{name}.md)" in checks_page()
    parts = dict(part.split("\n\n", 1) for part in page.split("\n## ")[1:])
    assert check.what.split("`")[0] in parts["What it finds"]
    assert check.why.split("`")[0] in parts["Why"]
    assert parts["By which numbers"].count("\n| ") >= len(check.thresholds) >= 1
    assert f"luthier check rows.jsonl --skip {name}\n" in parts["How to switch it off"]
    assert parts["Rows that it names"].startswith("```text\n{")
    assert parts["Rows that it lets pass"].startswith("```text\n{")
