"""Writes the pages of docs/reference that come from the code: run file, commands, Python API, checks, rules."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from luthier import plugins
from luthier.advice.rules import fine_tune, method, possible, source_of, values
from luthier.data import checks
from luthier.settings.json_schema import Schema, alternatives

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = ROOT / "luthier" / "settings" / "run_file.schema.json"
REFERENCE = ROOT / "docs" / "reference"
MENDED_BY_OTHERS = ("label_spelling",)
"""Checks whose rows are mended by what the other rows say."""
SHOWN = 5  # rows of an example
LETTERS = 400  # of such a row


def main() -> None:
    pages = {
        "run-file.md": run_file_page(json.loads(SCHEMA.read_text(encoding="utf-8"))),
        "commands.md": commands_page(importlib.import_module("luthier.app.cli").app),
        "python.md": python_page(importlib.import_module("luthier")),
        "checks.md": checks_page(),
        **{f"checks/{check.name}.md": check_page(check) for check in checks.chosen(deep=True)},
        "rules.md": rules_page(),
    }
    (REFERENCE / "checks").mkdir(parents=True, exist_ok=True)
    for old in (REFERENCE / "checks").glob("*.md"):
        old.unlink()
    for name, text in pages.items():
        (REFERENCE / name).write_text(text, encoding="utf-8")
        print(f"wrote docs/reference/{name}")


def run_file_page(schema: Schema) -> str:
    """A table for each section of the run file, in the schema's order: key, what it takes, default, what for."""
    parts = [
        "# The run file\n",
        "Every key, what it takes and what it is when left out. A key that has `auto` is resolved when the run starts, "
        "and printed with its value, the reason and the source of the rule. Unknown keys are mistakes.\n",
    ]
    for path, section in _sections(schema, schema, ""):
        parts.append(f"## `{path}`\n" if path else "## Top level\n")
        if section.get("description") and path:
            parts.append(f"{_prose(section['description'])}\n")
        parts.append("| key | takes | default | |\n|---|---|---|---|")
        for name, value in section["properties"].items():
            options = list(alternatives(schema, value))
            if len(options) == 1 and "properties" in options[0]:
                takes, default = "a section", "see below"
            else:
                takes = ", or ".join(dict.fromkeys(_takes(schema, value)))
                written = json.dumps(value.get("default"), ensure_ascii=False)
                default = "required" if name in section.get("required", ()) else f"`{_cell(written)}`"
            parts.append(f"| `{name}` | {takes} | {default} | {_prose(value.get('description', ''))} |")
        parts.append("")
    return "\n".join(parts)


def _sections(schema: Schema, place: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    yield path, place
    for name, value in place["properties"].items():
        for option in alternatives(schema, value):
            if "properties" in option:
                yield from _sections(schema, option, f"{path}.{name}".lstrip("."))


def _takes(schema: Schema, place: Schema) -> Iterator[str]:
    for option in alternatives(schema, place):
        if "enum" in option or "const" in option:
            yield " ".join(f"`{name}`" for name in option.get("enum", [option.get("const")]))
        elif option["type"] == "array":
            yield f"a list of ({' / '.join(dict.fromkeys(_takes(schema, option['items'])))})"
        elif "properties" in option:
            yield f"`{{{', '.join(option['properties'])}}}`"
        else:
            yield _kind(option)


def _kind(option: Schema) -> str:
    kinds = {
        "integer": "whole number",
        "number": "number",
        "string": option.get("format", "text"),
        "boolean": "`true` `false`",
        "null": "`null`",
        "object": "`key: value` lines",
    }
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {option[name]}" for name, sign in bounds.items() if name in option]
    return " ".join([kinds[option["type"]], *limits])


def commands_page(app: typer.Typer) -> str:
    """What `luthier VERB --help` says, verb by verb."""
    parts = [
        "# The commands\n",
        "`luthier VERB` and `python -m luthier VERB` are the same. What the exit codes mean: "
        "[Scripts and exit codes](../how-to/scripts.md).\n",
    ]
    names = [command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands]
    for words in ([], *([name] for name in names)):
        shown = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1"}).invoke(app, [*words, "--help"], prog_name="luthier")
        assert shown.exit_code == 0, shown.output
        parts.append(f"## `{' '.join(['luthier', *words])}`\n")
        parts.append(f"```text\n{shown.output.strip()}\n```\n")
    return "\n".join(parts)


def python_page(package: Any) -> str:
    """The verbs as functions: signature and docstring of every public name of the package."""
    parts = [
        "# From Python\n",
        "The same verbs, with the typed objects behind the JSON. Nothing heavy is loaded before a verb is called.\n",
    ]
    for name in sorted(package.__all__):
        value = getattr(package, name)
        if callable(value):
            parts.append(f"## `luthier.{name}`\n")
            parts.append(f"```python\nluthier.{name}{_signature(value)}\n```\n")
            parts.append(f"{inspect.getdoc(value) or ''}\n")
    return "\n".join(parts)


def checks_page() -> str:
    """All checks of `luthier check` by criterion, each with what it finds and the way to its page."""
    parts = [
        "# The checks\n",
        "What `luthier check` looks for in rows, by the six criteria; each check has a page with what it finds and "
        "why, its thresholds and where they come from, and how it is switched off. A check passes where no more rows "
        "than it lets pass have a hit; a criterion passes where its checks do. An *error* makes the verdict "
        "`not ready`. How to use them: [Check rows](../how-to/check.md).\n",
    ]
    for criterion, title in checks.CRITERIA.items():
        parts.append(f"## {title}\n\n`{criterion}` in JSON.\n")
        parts.append("| check | what it finds |\n|---|---|")
        parts += [
            f"| [`{check.name}`](checks/{check.name}.md)"
            f"{' (with `--deep`)' if check.deep else ''} | {_prose(check.what)} |"
            for check in checks.chosen(deep=True)
            if check.criterion == criterion
        ]
        parts.append("")
    return "\n".join(parts)


def check_page(check: checks.Check) -> str:
    """One check: what it finds and why, by which numbers, what to do, how it is switched off, and rows to see it on."""
    module = plugins.load(checks.CHECKS, check.name)
    mends = bool(check.repair or check.repair_answer or check.name in MENDED_BY_OTHERS)
    written = "mends the row" if mends else "leaves the row out" if check.leaves_out else "keeps the row"
    needs = sorted(check.needs - {*checks.MADE})
    deep = " It runs with `--deep` alone." if check.deep else ""
    shown = f"One of [the checks](../checks.md) of *{checks.CRITERIA[check.criterion]}*, in JSON `{check.criterion}`."
    parts = [
        f"# `{check.name}`\n\n{shown}{deep}\n",
        f"## What it finds\n\n{_prose(check.what)}\n",
        f"## Why\n\n{_prose(check.why)}\n",
        "## By which numbers\n\n| threshold | of what | why, or where from |\n|---|---|---|",
        *(f"| {one.value:g} | {_prose(one.meaning)} | {_prose(one.source)} |" for one in check.thresholds),
        f"\n{_let_pass(check)}",
        *([f"\nIt needs {_listed(needs)}, which models compute."] if needs else []),
        *([f"\nIt needs the package {check.package}: `pip install 'luthier[check]'`."] if check.package else []),
        f"\n## What to do\n\n{_prose(check.remedy[0].upper() + check.remedy[1:])}. `--write` {written}.\n",
        f"## How to switch it off\n\n```console\nluthier check rows.jsonl --skip {check.name}\n```\n",
        f"## Rows that it names\n\n{_rows_shown(module.faulty())}\n",
        f"## Rows that it lets pass\n\n{_rows_shown(module.clean())}\n",
    ]
    return "\n".join(parts)


def _let_pass(check: checks.Check) -> str:
    """`A single such row is a *warning*.`"""
    kind = "an *error*" if check.severity == "error" else "a *warning*"
    if not check.tolerated:
        return f"A single such row is {kind}."
    return f"{100 * check.tolerated:g}% of the rows may be so; where more are, each is {kind}."


def _listed(names: list[str]) -> str:
    """`a`, `b` and `c`."""
    marked = [f"`{name}`" for name in names]
    return " and ".join([", ".join(marked[:-1]), marked[-1]] if len(marked) > 1 else marked)


def _rows_shown(rows: list[dict[str, Any]]) -> str:
    """The first rows of an example and its last, each a line of JSON, long ones cut."""
    chosen = rows if len(rows) <= SHOWN else [*rows[: SHOWN - 1], rows[-1]]
    lines = [json.dumps(row) for row in chosen]
    lines = [line if len(line) <= LETTERS else f"{line[:LETTERS]} ... ({len(line):,} letters)" for line in lines]
    if len(rows) > SHOWN:
        lines.insert(SHOWN - 1, f"... ({len(rows) - SHOWN:,} more)")
    return "\n".join(["```text", *lines, "```"])


def rules_page() -> str:
    """Each rule of `luthier advise`, in the order in which they are asked, with its source."""
    parts = [
        "# The rules of advice\n",
        "What `luthier advise` and `tuning_method: auto` go by, each a function of the facts and nothing else, below "
        "`luthier/advice/rules`. How to use them: [Let the rows choose the method](../how-to/advise.md).\n",
    ]
    kinds = (
        ("Whether to fine-tune: the first that speaks says no", fine_tune.RULES),
        ("Which methods are left out: each may", possible.RULES),
        ("Which of the others: the first that speaks", method.RULES),
        ("The settings: each gives one, and what is written stays", (*values.SHAPE, *values.COURSE)),
    )
    for heading, rules in kinds:
        parts.append(f"## {heading}\n\n| rule | what it holds | source |\n|---|---|---|")
        parts += [
            f"| `{rule.__name__}` | {_prose(inspect.getdoc(rule) or '')} | {_prose(source_of(rule))} |"
            for rule in rules
        ]
        parts.append("")
    return "\n".join(parts)


def _signature(function: Callable[..., Any]) -> str:
    """`(run: str, *, root: Path = Path('runs')) -> Chat`, each parameter on its own line."""
    written = re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(function))).replace("PosixPath(", "Path(")
    inside, _, result = written[1:].rpartition(") -> ")
    parameters = re.split(r", (?=\w+: |\*)", inside)
    return "(\n    " + ",\n    ".join(parameters) + f",\n) -> {result}"


def _prose(text: str) -> str:
    """Text as it is, in a table's cell: `runs/<name>` is no tag."""
    return _cell(text).replace("<", "&lt;")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    main()
