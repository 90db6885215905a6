"""The few errors that a user can meet: what is wrong, where, and what to type next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that the user must mend.

    `message` says what is wrong with the value, `where` is a file and line or a setting's path (empty where there is
    no place), `remedy` is what to type next.
    """

    message: str
    where: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        remedy = f"\n  {self.remedy}" if self.remedy else ""
        return f"{place}{self.message}{remedy}"


class UserError(Exception):
    """Everything that the user must mend, found in one go. Exit code 2, no traceback."""

    def __init__(self, mistakes: Mistake | Iterable[Mistake]) -> None:
        self.mistakes = (mistakes,) if isinstance(mistakes, Mistake) else tuple(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))

    def __reduce__(self) -> tuple[type[UserError], tuple[tuple[Mistake, ...]]]:
        return UserError, (self.mistakes,)


def mistake(message: str, where: str = "", remedy: str = "") -> UserError:
    """A `UserError` of a single mistake: `raise mistake("no such file", "rows.jsonl", "check the path")`."""
    return UserError(Mistake(message, where, remedy))


class Stopped(Exception):
    """Work ended early by a signal, with everything saved. `remedy` is the command that goes on."""

    def __init__(self, signal_number: int, remedy: str = "") -> None:
        self.signal_number = signal_number
        self.remedy = remedy
        super().__init__(f"stopped by signal {signal_number}, saved")

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + self.signal_number
