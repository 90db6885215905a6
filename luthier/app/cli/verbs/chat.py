"""`luthier chat`: talk to a tuned model, or have one question answered."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from luthier.app.cli.job import Job, JsonOption, Outcome
from luthier.errors import UserError, mistake

if TYPE_CHECKING:
    from rich.console import Console

    from luthier.flow import Event, Message
    from luthier.workflow.chat import Chat


def chat(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's name or folder, or a model.")],
    prompt: Annotated[str | None, typer.Option(metavar="P", help="Answer this once and end.")] = None,
    system: Annotated[str | None, typer.Option(metavar="S", help="A system message to begin with.")] = None,
    json: JsonOption = False,
) -> Job:
    """Talk to a tuned model. /quit or Ctrl-D ends.

    \b
        luthier chat runs/rows-lora-1
        luthier chat runs/rows-lora-1 --prompt "Where is my parcel?"
    """

    def work(listen: Callable[[Event], None]) -> Outcome:
        if prompt is not None and not prompt.strip():
            raise mistake("the prompt is empty", "--prompt", f'luthier chat {run} --prompt "Where is my parcel?"')
        if prompt is None and json:
            raise mistake("a chat is no JSON document", "--json", "give the one question with --prompt")
        from luthier.flow import Message, Note
        from luthier.workflow.chat import open_chat

        listen(Note("file", f"loading {run}"))
        opened = open_chat(run)
        if why := opened.why_padded():
            listen(Note("warning", why))
        beginning = [Message("system", system)] if system else []
        if prompt is None:
            return Outcome({}, lambda console: _talk(opened, beginning, console))
        answer = opened.ask([*beginning, Message("user", prompt)])
        return Outcome({"answer": answer}, lambda console: _print_answer(answer))

    return Job(work, json)


def _print_answer(answer: str) -> None:
    """As it is into a file or another program, safe on a terminal."""
    from luthier.app.cli.text import visible

    sys.stdout.write((visible(answer) if sys.stdout.isatty() else answer) + "\n")


def _talk(opened: Chat, messages: list[Message], console: Console) -> None:
    """Question and answer in turn until there is no more input; the model sees all that was said before."""
    from luthier.app.cli.text import visible
    from luthier.flow import Message

    asks = sys.stdin.isatty()
    if asks:
        import readline

        del readline  # loaded, it lets a line be edited
        console.print("Type a message; /quit or Ctrl-D ends.")
    while True:
        try:
            said = input("> " if asks else "")
        except EOFError:
            break
        if said.strip() == "/quit":
            return
        if not said.strip():
            continue
        asked = [*messages, Message("user", said)]
        pieces = []
        try:
            for piece in opened.stream(asked):
                pieces.append(piece)
                sys.stdout.write(visible(piece))
                sys.stdout.flush()
        except UserError as error:
            # The talk goes on: only this message was refused.
            sys.stdout.write(visible(str(error)))
        else:
            messages = [*asked, Message("assistant", "".join(pieces))]
        sys.stdout.write("\n")
    if asks:
        sys.stdout.write("\n")
