"""Votes as files for elsewhere: a table, all of a review as JSON, and preference rows that train."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from luthier.data.forms import preference
from luthier.data.messages import write_message
from luthier.errors import mistake
from luthier.evaluation.review import Reviewed, outcomes
from luthier.flow import Conversation, Message, ReviewItem, Vote
from luthier.runs.whole import make_folder, write_bytes
from luthier.workflow.voted import Prepared, names_of

Form = Literal["trl", "openai"]
FORMS: Final = ("trl", "openai")
ENDINGS: Final = (".csv", ".json", ".jsonl")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Written:
    """A file of votes. `rows` are its lines; `left_out` says how many items are no preference row, and why."""

    path: str
    rows: int
    left_out: Mapping[str, int]


def require(out: str, form: str) -> None:
    """Raises `UserError` where the file exists, its ending is unknown, or there is no such form."""
    path = Path(out)
    if path.suffix not in ENDINGS:
        remedy = ".csv: a line a vote; .json: all of it; .jsonl: preference rows that train"
        raise mistake(f"{path.suffix or 'no ending'!r} says not what to write", out, remedy)
    if form not in FORMS:
        raise mistake(f"{form!r} is no form of preference rows", "--form", f"write {' or '.join(FORMS)}")
    if path.exists():
        raise mistake("the file exists, and is left as it is", out, "name another file with --export")


def write(prepared: Prepared, votes: Sequence[Vote], reviewed: Reviewed, out: str, form: Form = "trl") -> Written:
    """Writes what the file's ending asks for, whole or not at all."""
    require(out, form)
    path, left_out = Path(out), dict[str, int]()
    if path.suffix == ".csv":
        content, rows = table(prepared, votes), len(votes)
    elif path.suffix == ".json":
        content, rows = whole(prepared, votes, reviewed), len(votes)
    else:
        lines, left_out = preference_rows(prepared.items, votes, form)
        content = b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)
        rows = len(lines)
    make_folder(path.parent, above=True)
    write_bytes(path, content)
    return Written(out, rows, left_out)


def preference_rows(
    items: Sequence[ReviewItem], votes: Sequence[Vote], form: Form = "trl"
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """A row for each item on which most raters chose one answer, whosever it is, in TRL's form or OpenAI's, and what
    was left out: ties (both good, both bad, or as many raters for the one as for the other), items without a vote,
    empty answers."""
    found = outcomes(items, votes)
    left_out = {"tied": 0, "no vote": 0, "an answer is empty": 0}
    rows = []
    for item in items:
        if item.check:
            continue
        outcome = found.get(item.number)
        if outcome in (None, "tie"):
            left_out["no vote" if outcome is None else "tied"] += 1
        elif not (item.run.strip() and item.against.strip()):
            left_out["an answer is empty"] += 1
        else:
            better, worse = (item.run, item.against) if outcome == "win" else (item.against, item.run)
            rows.append(_row(item, better, worse, form))
    return rows, left_out


def table(prepared: Prepared, votes: Sequence[Vote]) -> bytes:
    """A line a vote, for a spreadsheet. A text that a spreadsheet would take for a formula gets a ' before it.

    Of more than two systems `run_is` and `against_is` name whose answers these are, and `chosen_is` whose was chosen:
    all that gave it, a comma between.
    """
    by_number = {item.number: item for item in prepared.items}
    pairs = names_of(prepared)
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    names = "item file line category check rater kind left choice note at prompt run against"
    writer.writerow([*names.split(), *(("run_is", "against_is", "chosen_is") if pairs else ())])
    for vote in votes:
        item = by_number[vote.item]
        prompt = "\n\n".join(f"{message.role}: {message.content}" for message in item.asked)
        cells = [item.number, item.place.file, item.place.line, item.category or "", item.check, vote.rater, vote.kind]
        cells += [vote.left, vote.choice, vote.note, vote.at, prompt, item.run, item.against]
        if pairs:
            sides = {"run": _all_of(one for one, _ in pairs[vote.item])}
            sides["against"] = _all_of(other for _, other in pairs[vote.item])
            cells += [sides["run"], sides["against"], sides.get(vote.choice, "")]
        writer.writerow([_cell(cell) for cell in cells])
    return file.getvalue().encode("utf-8", "backslashreplace")


def whole(prepared: Prepared, votes: Sequence[Vote], reviewed: Reviewed) -> bytes:
    """All of a review as one JSON document: what it came to, and each item with its answers and votes. Of more than two
    systems an item's `pairs` name whose answers `run` and `against` are."""
    content = {"version": 1, "reviewed": reviewed.data(), "items": _all(prepared, votes)}
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _all_of(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _row(item: ReviewItem, better: str, worse: str, form: Form) -> dict[str, Any]:
    sides = [(*item.asked, Message("assistant", text)) for text in (better, worse)]
    conversation = Conversation("preference", sides[0], item.place, item.category, item.tools, sides[1])
    row = preference.write(conversation)
    if form == "trl":
        return row
    asked: dict[str, Any] = {"messages": [write_message(message) for message in item.asked]}
    if item.tools:
        asked["tools"] = list(item.tools)
    of_openai = {"input": asked, "preferred_output": row["chosen"], "non_preferred_output": row["rejected"]}
    return of_openai | {name: row[name] for name in row if name not in ("prompt", "chosen", "rejected", "tools")}


def _all(prepared: Prepared, votes: Sequence[Vote]) -> list[dict[str, Any]]:
    pairs = names_of(prepared)
    of_item: dict[int, list[dict[str, Any]]] = {}
    for vote in votes:
        of_item.setdefault(vote.item, []).append(asdict(vote))
    return [
        {
            "item": item.number,
            "file": item.place.file,
            "line": item.place.line,
            "category": item.category,
            "check": item.check,
            "messages": [write_message(message) for message in item.asked],
            "run": item.run,
            "against": item.against,
            "votes": of_item.get(item.number, []),
        }
        | ({"pairs": pairs[item.number]} if pairs else {})
        for item in prepared.items
    ]
