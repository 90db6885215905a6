"""Where every row went: read = kept + dropped by reason, by source file and by category; behind rows.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

Cell = tuple[str, str | None]
"""A source file and a category."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of rows, and of tokens in the training rows.

    `read` = `kept` + the sum of `dropped`. Of the kept rows `validation` are held back from training and `cut` lost
    tokens to the length limit. `tokens` = `masked_tokens` + `trained_tokens`. Of the rows read `made` stand in no file:
    other rows changed, or base's own answers.
    """

    read: int = 0
    kept: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    validation: int = 0
    cut: int = 0
    tokens: int = 0
    trained_tokens: int = 0
    made: int = 0

    @property
    def masked_tokens(self) -> int:
        return self.tokens - self.trained_tokens

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.read + other.read,
            self.kept + other.kept,
            dict(sorted((Counter(self.dropped) + Counter(other.dropped)).items())),
            self.validation + other.validation,
            self.cut + other.cut,
            self.tokens + other.tokens,
            self.trained_tokens + other.trained_tokens,
            self.made + other.made,
        )

    def to_data(self) -> dict[str, Any]:
        return {**asdict(self), "masked_tokens": self.masked_tokens}


@dataclass(frozen=True, slots=True)
class Account:
    """A tally for each (source file, category); sums over them are right by construction.

    A row dropped before its category was known counts under None.
    """

    cells: Mapping[Cell, Tally]

    @property
    def total(self) -> Tally:
        return sum(self.cells.values(), Tally())

    def sources(self) -> dict[str, Tally]:
        """A tally for each source file."""
        tallies: dict[str, Tally] = {}
        for (source, _), tally in self.cells.items():
            tallies[source] = tallies.get(source, Tally()) + tally
        return tallies

    def categories(self) -> dict[str | None, Tally]:
        """A tally for each category; None holds the rows without one."""
        tallies: dict[str | None, Tally] = {}
        for (_, category), tally in self.cells.items():
            tallies[category] = tallies.get(category, Tally()) + tally
        return tallies

    def with_made(self, rows: Mapping[Cell, int]) -> Account:
        """Adds rows that were made and stand in no file, as cells of their own."""
        added = {cell: Tally(count, count, made=count) for cell, count in rows.items()}
        return Account({**self.cells, **added}).check()

    def with_dropped(self, reason: str, rows: Mapping[Cell, int]) -> Account:
        """Moves so many rows of each cell from kept to dropped."""

        def drop(tally: Tally, count: int) -> Tally:
            dropped = {**tally.dropped, reason: tally.dropped.get(reason, 0) + count}
            return replace(tally, kept=tally.kept - count, dropped=dropped)

        return self._with(rows, drop)

    def with_validation(self, rows: Mapping[Cell, int]) -> Account:
        """Says how many of the kept rows are held back from training."""
        return self._with(rows, lambda tally, count: replace(tally, validation=tally.validation + count))

    def with_cut(self, rows: Mapping[Cell, int]) -> Account:
        """Says how many of the kept rows lost tokens to the length limit."""
        return self._with(rows, lambda tally, count: replace(tally, cut=tally.cut + count))

    def with_tokens(self, tokens: Mapping[Cell, int], trained: Mapping[Cell, int]) -> Account:
        """Adds the tokens of the training rows, and how many of them are trained on."""
        account = self._with(tokens, lambda tally, count: replace(tally, tokens=tally.tokens + count))
        return account._with(trained, lambda tally, count: replace(tally, trained_tokens=tally.trained_tokens + count))

    def check(self) -> Account:
        """Itself, when it adds up. Raises `AssertionError`, which is a fault of ours."""
        for key, tally in self.cells.items():
            adds_up = (
                tally.read == tally.kept + sum(tally.dropped.values())
                and 0 <= tally.validation <= tally.kept
                and 0 <= tally.cut <= tally.kept
                and 0 <= tally.trained_tokens <= tally.tokens
                and tally.made in (0, tally.read)
            )
            if not adds_up:
                raise AssertionError(f"the rows of {key} do not add up: {tally}")
        return self

    def to_data(self) -> dict[str, Any]:
        """What rows.json holds: the total, `sources` by file, `categories` as a list (its name, null for none)."""
        self.check()
        return {
            **self.total.to_data(),
            "sources": {source: tally.to_data() for source, tally in self.sources().items()},
            "categories": [
                {"category": category, **tally.to_data()}
                for category, tally in sorted(
                    self.categories().items(), key=lambda item: (item[0] is None, item[0] or "")
                )
            ],
        }

    def _with(self, rows: Mapping[Cell, int], change: Callable[[Tally, int], Tally]) -> Account:
        cells = dict(self.cells)
        for key, count in rows.items():
            cells[key] = change(cells[key], count)
        return Account(cells).check()
