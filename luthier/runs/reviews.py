"""The reviews of a run: what people are asked and what they said, each in a folder of its own below `review/`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import orjson

from luthier.errors import mistake
from luthier.flow import Message, Place, ReviewItem, Vote
from luthier.runs import whole
from luthier.runs.run import VERSION, Run

Kind = Literal["person", "scripted"]

_WHAT_CHANGED = {
    "kind": "who votes changed (--scripted)",
    "each_by": "how many raters each item goes to changed (--each-by)",
    "rows_sha256": "the rows changed",
    "run_sha256": "the run's weights changed",
    "against_sha256": "the weights of what it is held against changed",
    "max_tokens": "the most tokens of an answer changed (--max-tokens)",
    "checks": "the number of attention checks changed (--checks)",
}


@dataclass(frozen=True, slots=True)
class Terms:
    """What a review was begun with, and goes on with. `against` is `base` or a run's name, `rows` says where the rows
    are from, `same` counts rows that both answer alike, which nobody is shown; `began` is the time in UTC.

    Where the run is held against several, `systems` names them all, `against` first, and `same` counts rows that all
    answer alike."""

    against: str
    kind: Kind
    each_by: int
    rows: str
    rows_sha256: str
    run_sha256: str
    against_sha256: str
    max_tokens: int
    checks: int
    seed: int
    same: int = 0
    began: str = ""
    systems: tuple[str, ...] = ()

    @property
    def others(self) -> tuple[str, ...]:
        """All that the run is held against: the one that its target is of first."""
        return self.systems or (self.against,)


@dataclass(frozen=True, slots=True)
class KeptReview:
    """review/<against>[-N]/ of a run: terms.json, items.jsonl, the votes' database while people vote, and
    reviewed.json, what they came to."""

    folder: Path

    @classmethod
    def all(cls, run: Run) -> list[KeptReview]:
        """The reviews of a run that were begun, the newest last."""
        found = [cls(path.parent) for path in run.folder.glob("review/*/terms.json")]
        return sorted(found, key=lambda review: (review.terms().began, review.name))

    @classmethod
    def last(cls, run: Run, others: Sequence[str]) -> KeptReview | None:
        """The newest review against those, or None."""
        return next((one for one in reversed(cls.all(run)) if one.terms().others == tuple(others)), None)

    @classmethod
    def begin(cls, run: Run, terms: Terms, items: Iterable[ReviewItem]) -> KeptReview:
        """A new review, whole or absent."""
        more = f"-and-{len(terms.systems) - 1}-more" if terms.systems else ""
        stem = whole.folder_name(f"{terms.against}{more}", "run")
        root = run.folder / "review"
        whole.make_folder(root)
        number = 1
        while (folder := root / (stem if number == 1 else f"{stem}-{number}")).exists():
            number += 1
        lines = [orjson.dumps(_written(item), option=orjson.OPT_APPEND_NEWLINE) for item in items]

        def write(aside: Path) -> None:
            (aside / "items.jsonl").write_bytes(b"".join(lines))
            content = {"version": VERSION} | asdict(terms)
            if not terms.systems:
                del content["systems"]
            (aside / "terms.json").write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))

        whole.write_folder(folder, write)
        return cls(folder)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def database(self) -> Path:
        """The file that holds the votes while people vote."""
        return self.folder / "votes.sqlite"

    def terms(self) -> Terms:
        values = _read(self.folder / "terms.json")
        values["systems"] = tuple(values.get("systems", ()))
        return Terms(**{name: value for name, value in values.items() if name in Terms.__dataclass_fields__})

    def require(self, terms: Terms) -> None:
        """Raises `UserError` with what changed where the review was begun on other terms than these."""
        before = self.terms()
        changed = [words for name, words in _WHAT_CHANGED.items() if getattr(before, name) != getattr(terms, name)]
        if changed:
            raise mistake(
                f"{', and '.join(changed)} since this review was begun",
                str(self.folder),
                "put back what it was, or begin another beside it with --new; its votes stay",
            )

    def items(self) -> list[ReviewItem]:
        path = self.folder / "items.jsonl"
        try:
            return [_item(orjson.loads(line)) for line in path.read_bytes().split(b"\n") if line]
        except (OSError, ValueError, KeyError, TypeError, msgspec.ValidationError) as error:
            raise mistake(f"the items cannot be read: {error}", str(path), "begin another review with --new") from error

    def lock(self) -> AbstractContextManager[None]:
        """Only one process takes votes: a second one gets a `UserError`. A killed process holds nothing."""
        remedy = "use its page, or end it with Ctrl-C there"
        busy = mistake("another process has this review open", str(self.folder), remedy)
        return whole.locked(self.folder / ".lock", self.folder, lambda: busy)

    def write_result(
        self,
        run: Run,
        reviewed: Mapping[str, Any],
        votes: Sequence[Vote],
        pairs: Mapping[int, Sequence[tuple[str, str]]] | None = None,
    ) -> Path:
        """reviewed.json here and the same as reports/review.json of the run; the votes go into votes.jsonl in the place
        of what this review had there. Gives the path of votes.jsonl.

        `pairs` names the systems of each item where there are more than two; then a line has them, and no `against`.
        """
        whole.write_json(self.folder / "reviewed.json", reviewed)
        run.write_other_report("review", reviewed)
        against = self.terms().against
        several = pairs or {}
        others = [line for line in read_votes(run) if line["review"] != self.name]
        mine = [
            {"review": self.name}
            | ({"pairs": several[vote.item]} if vote.item in several else {"against": against})
            | asdict(vote)
            for vote in votes
        ]
        lines = (orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in others + mine)
        path = votes_path(run)
        whole.write_bytes(path, b"".join(lines))
        return path

    def result(self) -> dict[str, Any] | None:
        """reviewed.json; None where nobody has voted yet."""
        path = self.folder / "reviewed.json"
        return _read(path) if path.is_file() else None


def votes_path(run: Run) -> Path:
    """votes.jsonl of a run: people's votes of all its reviews, a line a vote."""
    return run.folder / "votes.jsonl"


def read_votes(run: Run) -> list[dict[str, Any]]:
    """The lines of votes.jsonl; none where there is no such file."""
    path = votes_path(run)
    if not path.is_file():
        return []
    try:
        return [orjson.loads(line) for line in path.read_bytes().split(b"\n") if line]
    except (OSError, ValueError) as error:
        remedy = "delete it: `luthier review` writes it anew from the votes' database"
        raise mistake(f"a line of the votes cannot be read: {error}", str(path), remedy) from error


def _written(item: ReviewItem) -> Any:
    several = {"row": item.row, "pairs": item.pairs} if item.pairs else {}
    return msgspec.to_builtins(
        {
            "number": item.number,
            "file": item.place.file,
            "line": item.place.line,
            "row_group": item.place.row_group,
            "category": item.category,
            "check": item.check,
            "asked": item.asked,
            "tools": item.tools,
            "run": item.run,
            "against": item.against,
            "run_stopped": item.run_stopped,
            "against_stopped": item.against_stopped,
        }
        | several
    )


def _item(line: Mapping[str, Any]) -> ReviewItem:
    return ReviewItem(
        line["number"],
        Place(line["file"], line["line"], line["row_group"]),
        line["category"],
        msgspec.convert(line["asked"], tuple[Message, ...]),
        line["run"],
        line["against"],
        line["run_stopped"],
        line["against_stopped"],
        line["check"],
        tuple(line["tools"]),
        line.get("row", 0),
        msgspec.convert(line.get("pairs", ()), tuple[tuple[int, int], ...]),
    )


def _read(path: Path) -> Any:
    try:
        return orjson.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise mistake(f"cannot be read: {error}", str(path), "copy the run's folder again") from error
