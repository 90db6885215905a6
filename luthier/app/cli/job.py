"""What a verb of the command line gives: work that says how it goes, and what that ends with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from luthier.flow import Event

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, messages on stderr.")]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Exit code 1 for targets that are likely or not_measured as well.")
]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a verb came to: `data` is its JSON but for the version, `show` prints the same for people. `missed` is
    true where a target or a check was; `stopped_by` is the signal after which it still had something to show, or 0."""

    data: Mapping[str, Any]
    show: Callable[[Console], None]
    missed: bool = False
    stopped_by: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """A verb with its arguments, ready to work. `work` is given a function to hand its events to."""

    work: Callable[[Callable[[Event], None]], Outcome]
    json: bool
