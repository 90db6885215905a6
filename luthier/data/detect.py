"""Which form a file's rows have, by their fields, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from luthier import plugins
from luthier.errors import mistake

FORMS = "luthier.data.forms"

# Rows of other tools that are told apart but not read yet: field -> what they are, what to write.
NOT_READ = {
    "conversations": (
        "ShareGPT rows (`conversations`)",
        'write {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}: '
        "`from` becomes `role` (human: user, gpt: assistant), `value` becomes `content`",
    ),
    "chosen": (
        "preference rows (`chosen`)",
        "to train on the better answer alone write under `data`: columns: {output: chosen}",
    ),
    "preferred_output": (
        "preference rows (`preferred_output`)",
        "to train on the better answer alone write it as the last message of `messages`",
    ),
    "text": ("text rows (`text`)", 'write what is given and what follows: {"input": "...", "output": "..."}'),
}
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

    A row has a form when all that the form `needs` is there. Of several it has the one that knows most of its fields:
    `{instruction, input, output}` is an instruction row, though `{input, output}` alone is a completion row.
    """
    known = forms()
    votes: Counter[str] = Counter()
    for values in rows:
        fields = {name for name, value in values.items() if value is not None}
        fitting = [
            (len(fields & form.fields), name)
            for name, form in known.items()
            if all(fields.intersection(names) for names in form.needs)
        ]
        if fitting and not _not_read(fields, known):
            votes[max(fitting)[1]] += 1
    if not votes:
        return None
    form, count = votes.most_common(1)[0]
    needs = " and ".join(" or ".join(f"`{name}`" for name in names) for names in known[form].needs)
    return Detection(form, f"{count} of the first {len(rows)} rows have {needs}")


def refuse(rows: Sequence[Mapping[str, Any]], name: str) -> None:
    """Raises `UserError` for rows that have no form: which fields they have, and what to write."""
    fields = list(dict.fromkeys(field for values in rows for field in values))
    known = forms()
    other = _not_read(fields, known)
    if other:
        what, remedy = NOT_READ[other]
        raise mistake(f"these are {what}, which are not read yet", name, remedy)
    shown = ", ".join(repr(field) for field in fields[:12]) + (", ..." if len(fields) > 12 else "")
    examples = ", or ".join(form.example for form in known.values())
    remedy = _columns_to_offer(fields) or _what_is_missing(fields, known) or f"write {examples}"
    raise mistake(f"the rows' fields fit no form: {shown or 'none'}", name, remedy)


def _not_read(fields: Iterable[str], known: Mapping[str, ModuleType]) -> str:
    """The field that tells rows which no form reads yet, or an empty text. Plain text rows have nothing but `text`."""
    fields = set(fields)
    read = {name for form in known.values() for name in form.fields}
    found = [name for name in NOT_READ if name in fields and name not in read]
    return next((name for name in found if name != "text" or fields == {"text"}), "")


def _columns_to_offer(fields: Sequence[str]) -> str:
    """The `columns` that make completion rows of well-known names, or an empty text."""
    names = {field.lower(): field for field in fields}
    ask = next((names[name] for name in ASKS if name in names), None)
    answer = next((names[name] for name in ANSWERS if name in names and names[name] != ask), None)
    return f"write under `data`: columns: {{input: {ask}, output: {answer}}}" if ask and answer else ""


def _what_is_missing(fields: Sequence[str], known: Mapping[str, ModuleType]) -> str:
    """What the rows lack to have the form of which they have a part, or an empty text."""
    for name, form in known.items():
        missing = [names for names in form.needs if not set(names).intersection(fields)]
        if len(missing) < len(form.needs):
            return f"add {' and '.join(' or '.join(names) for names in missing)}: {name} rows are {form.example}"
    return ""
