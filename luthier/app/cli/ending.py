"""How a verb is run and how it ends: its result or its errors on the right stream, and the exit code."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, redirect_stdout
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any, Final

from luthier.app.cli.job import Job, Outcome
from luthier.app.cli.text import visible
from luthier.errors import Mistake, Stopped, UserError

VERSION: Final = 1
MISSED, MISTAKEN, FAULT = 1, 2, 3
_INTERRUPTED: Final = 130
_PIPE_CLOSED: Final = 141
_SHOWN: Final = 50


def run(job: Job, command: Sequence[str]) -> int:
    """Works and prints; gives the exit code. `command` is what was typed, for the report of a fault."""
    try:
        outcome = _worked(job)
        if int(os.environ.get("RANK", "0")):
            return 0  # of several processes that train together, the first one speaks
        if job.json:
            write_json(outcome.data)
        else:
            from luthier.app.cli.screen import screen

            outcome.show(screen(sys.stdout))
        sys.stdout.flush()
    except UserError as error:
        return failed(error.mistakes, MISTAKEN, job.json)
    except Stopped as stopped:
        return failed([Mistake(str(stopped), remedy=stopped.remedy)], stopped.exit_code, job.json)
    except (KeyboardInterrupt, SystemExit) as end:
        code = end.code if isinstance(end, SystemExit) and isinstance(end.code, int) else _INTERRUPTED
        return failed([Mistake("stopped, as asked")], code, job.json)
    except BrokenPipeError:
        # Whoever read has had enough. Python flushes stdout once more when it ends, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    except Exception as fault:  # noqa: BLE001 - the one place where a fault of ours ends
        return failed([_reported(fault, command)], FAULT, job.json)
    if outcome.stopped_by:
        return Stopped(outcome.stopped_by).exit_code
    return MISSED if outcome.missed else 0


def failed(mistakes: Iterable[Mistake], code: int, as_json: bool) -> int:
    """Says what is wrong: as JSON on stdout, else on stderr as where, what and remedy. Gives `code`."""
    mistakes = list(mistakes)
    if as_json:
        write_json({"errors": [asdict(mistake) for mistake in mistakes]})
        sys.stdout.flush()
        return code
    from rich.text import Text

    from luthier.app.cli.screen import screen

    errors = screen(sys.stderr)
    for mistake in mistakes[:_SHOWN]:
        place = Text(f"{visible(mistake.where)}: " if mistake.where else "", "bold")
        errors.print(place.append(visible(mistake.message), "red"), soft_wrap=True)
        for line in visible(mistake.remedy).split("\n") if mistake.remedy else ():
            errors.print(Text("  → ").append(line, "cyan"), soft_wrap=True)
    if len(mistakes) > _SHOWN:
        errors.print(Text(f"and {len(mistakes) - _SHOWN:,} more: --json lists them all"), soft_wrap=True)
    return code


def write_json(data: Mapping[str, Any]) -> None:
    """One document with its version on stdout. Numbers that JSON cannot write (NaN, infinity) become null."""
    text = json.dumps(_writable({"version": VERSION, **data}), ensure_ascii=False, allow_nan=False)
    # A lone surrogate has no UTF-8; written as \ud800 inside of a string it is JSON all the same.
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace") + b"\n")


def _worked(job: Job) -> Outcome:
    from luthier.app.cli.progress import shown
    from luthier.app.cli.screen import screen

    with ExitStack() as stack:
        if job.json:
            stack.enter_context(redirect_stdout(sys.stderr))  # whatever a library prints
        return job.work(stack.enter_context(shown(screen(sys.stderr))))


def _writable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _writable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_writable(inner) for inner in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def _reported(fault: BaseException, command: Sequence[str]) -> Mistake:
    """Writes the traceback to a file; what to say about it."""
    from luthier.runs import without_secrets

    lines = [" ".join(["$ luthier", *without_secrets(command)]), ""]
    lines += traceback.format_exc().split("\n")
    report = "\n".join(visible(" ".join(without_secrets(line.split(" ")))) for line in lines)
    message = " ".join(without_secrets(f"{type(fault).__name__}: {fault}".split("\n")[0].split(" ")))
    try:
        from luthier.models import home

        folder = home() / "faults"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{time.strftime('%Y-%m-%d-%H%M%S')}-{os.getpid()}.txt"
        path.write_text(report, encoding="utf-8")
    except OSError as error:
        print(report, file=sys.stderr)
        return Mistake(
            f"a fault of Luthier's own: {message}", remedy=f"the report is above: it could not be kept ({error})"
        )
    return Mistake(f"a fault of Luthier's own: {message}", str(path), "this file is the report; please send it to us")
