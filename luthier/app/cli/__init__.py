"""The command line: `luthier VERB`. Parses what was typed, lets the verb work, ends with its exit code."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

from luthier import __version__
from luthier.app.cli import ending
from luthier.app.cli.job import Job
from luthier.app.cli.verbs import (
    advise,
    chat,
    check,
    compare,
    demo,
    diagnose,
    estimate,
    evaluate,
    export,
    generate,
    models,
    remedy,
    review,
    selftest,
    train,
)
from luthier.errors import Mistake

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,  # plain help is a third of a second faster
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for verb in (
    demo.demo,
    advise.advise,
    train.train,
    evaluate.evaluate,
    generate.generate,
    compare.compare,
    review.review,
    diagnose.diagnose,
    remedy.remedy,
    check.check,
    estimate.estimate,
    chat.chat,
    export.export,
    models.models,
    selftest.selftest,
):
    app.command()(verb)


@app.callback(invoke_without_command=True)
def luthier(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Fine-tune a language model on your rows, and see whether it worked.

    \b
    Begin with:
        luthier demo                          the whole way on example data, about 4 minutes
        luthier advise --data rows.jsonl      which method for your rows, or none, and why
        luthier train rows.jsonl              tune the packaged model on your rows
        luthier train --help                  what a verb takes, with an example to copy
    """
    if version:
        typer.echo(f"luthier {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> NoReturn:
    """What `luthier` runs."""
    signal.signal(signal.SIGTERM, _end)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Runs a command line; gives its exit code."""
    try:
        # Whatever a command returns comes back; None or a code after --help and the like.
        parsed: Any = typer.main.get_command(app).main(list(arguments), prog_name="luthier", standalone_mode=False)
    except typer.TyperException as wrong:
        return ending.failed([_usage(wrong)], ending.MISTAKEN, "--json" in arguments)
    return ending.run(parsed, arguments) if isinstance(parsed, Job) else int(parsed or 0)


def _usage(wrong: typer.TyperException) -> Mistake:
    """What was typed wrong. The message names the nearest verb or option."""
    context = getattr(wrong, "ctx", None)
    place = context.command_path if context else "luthier"
    return Mistake(wrong.format_message(), place, f"{place} --help")


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """Ends through all `finally`, so that half-made files are cleared away."""
    del frame
    sys.exit(128 + number)
