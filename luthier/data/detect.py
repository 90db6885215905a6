"""Which form a file's rows have, by their fields, and why."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from types import ModuleType
from typing import Any

from luthier import plugins
from luthier.errors import UserError, mistake

FORMS = "luthier.data.forms"

# What other tools call a completion row's two texts, to offer as `columns`; the likeliest first.
ASKS = ("question", "query", "prompt", "input", "text", "sentence", "source", "utterance")
ANSWERS = ("answer", "response", "completion", "output", "target", "reply", "intent", "category", "label")


@dataclass(frozen=True, slots=True)
class Detection:
    """The form that a file's rows are read as, and why."""

    form: str
    reason: str


def forms() -> dict[str, ModuleType]:
    """Every row form by its name."""
    return {name: plugins.load(FORMS, name) for name in plugins.names(FORMS)}


def detect(rows: Sequence[Mapping[str, Any]]) -> Detection | None:
    """The form that most of the rows have, or None where none has any.

    A row has a form when all that the form `needs` is there, and nothing that it names in `unless`. Of several it has
    the one that knows most of its fields: `{instruction, input, output}` is an instruction row, though
    `{input, output}` alone is a completion row.
    """
    known = forms()
    votes: Counter[str] = Counter()
    remarks: dict[str, set[str]] = defaultdict(set)
    for values in rows:
        fields = {name for name, value in values.items() if value is not None}
        fitting = [
            (len(fields & form.fields), name)
            for name, form in known.items()
            if all(fields.intersection(names) for names in form.needs) and fields.isdisjoint(_unless(form))
        ]
        if fitting and not _judged(values):
            name = max(fitting)[1]
            votes[name] += 1
            if hasattr(known[name], "remark") and (remark := known[name].remark(values)):
                remarks[name].add(remark)
    if not votes:
        return None
    form, count = votes.most_common(1)[0]
    there = {name for values in rows for name, value in values.items() if value is not None}
    needs = " and ".join(" or ".join(f"`{name}`" for name in names if name in there) for names in known[form].needs)
    reason = f"{count} of the first {len(rows)} rows have {needs}"
    return Detection(form, "; ".join([reason, *sorted(remarks[form])]))


def refuse(rows: Sequence[Mapping[str, Any]], name: str) -> None:
    """Raises `UserError` for rows that have no form: which fields they have, and what to write."""
    if any(_judged(values) for values in rows):
        raise kto(name, "kto_tag" if any("kto_tag" in values for values in rows) else "label")
    fields = list(dict.fromkeys(field for values in rows for field in values))
    known = forms()
    shown = ", ".join(repr(field) for field in fields[:12]) + (", ..." if len(fields) > 12 else "")
    examples = ", or ".join(form.example for form in known.values())
    remedy = _columns_to_offer(fields) or _what_is_missing(fields, known) or f"write {examples}"
    raise mistake(f"the rows' fields fit no form: {shown or 'none'}", name, remedy)


def kto(name: str, field: str) -> UserError:
    """The error of a file whose rows say of one answer whether it is good (KTO's), with the command that keeps the good
    ones. `field` is where they say it."""
    document = PurePath(name).suffix == ".json"
    kept = f"select(.{field}) | del(.{field})"
    words = ["jq", f"[.[] | {kept}]"] if document else ["jq", "-c", kept]
    new = str(PurePath(name).with_suffix(f".good{PurePath(name).suffix}"))
    command = f"{shlex.join(words)} < {shlex.quote(name)} > {shlex.quote(new)}"
    return mistake(
        f"`{field}` is true or false: these are KTO rows, answers judged one by one, which are not trained on here",
        name,
        f"to train on the good answers, keep those alone: {command}; if `{field}` is the row's class, write "
        "`data.format` with the rows' form",
    )


def _judged(values: Mapping[str, Any]) -> bool:
    """Whether a row says of its answer that it is good or bad."""
    return type(values.get("kto_tag")) is bool or (type(values.get("label")) is bool and not values.get("category"))


def _unless(form: ModuleType) -> frozenset[str]:
    names: frozenset[str] = getattr(form, "unless", frozenset())
    return names


def _columns_to_offer(fields: Sequence[str]) -> str:
    """The `columns` that make completion rows of well-known names, or an empty text."""
    names = {field.lower(): field for field in fields}
    ask = next((names[name] for name in ASKS if name in names), None)
    answer = next((names[name] for name in ANSWERS if name in names and names[name] != ask), None)
    if not ask or not answer:
        return ""
    offered = f"write under `data`: columns: {{input: {ask}, output: {answer}}}"
    return f"{offered}; or format: text, to train on the texts alone" if ask == "text" else offered


def _what_is_missing(fields: Sequence[str], known: Mapping[str, ModuleType]) -> str:
    """What the rows lack to have the form of which they have a part, or an empty text."""
    name, form = max(known.items(), key=lambda item: len(item[1].fields.intersection(fields)))
    missing = [names for names in form.needs if not set(names).intersection(fields)]
    if not missing or len(missing) == len(form.needs):
        return ""
    return f"add {' and '.join(' or '.join(names) for names in missing)}: {name} rows are {form.example}"
