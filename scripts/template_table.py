"""The mask under many chat templates and shapes of conversations, as a table: proven, or refused with the reason.

python scripts/template_table.py ../shared/data/chat_templates > docs/reference/templates.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.data.render import render, stop_tokens
from luthier.data.templates import Template, load
from luthier.data.tokenize import prove, tokenize
from luthier.flow import Conversation, Message, Place, Problem, ToolCall

_MARK = re.compile(
    r"<[|｜][^<>\s{}]*?[|｜]?>|<[^<>\s{}]*?\|>|</?[A-Za-z_:]+>|\[/?[A-Z_]{3,}\]|〈\|EOS\|〉|\]~b\]|\[e~\["
)
_WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "The city's name."},
                "days": {"type": "integer", "description": "How many days ahead."},
            },
            "required": ["city"],
        },
    },
}
_PARIS = ToolCall("get_weather", {"city": "Paris", "days": 2}, "a1b2c3d4e")
_ROME = ToolCall("get_weather", {"city": "Rome", "days": 1}, "f5g6h7i8j")
_ASK = Message("user", "What is the weather in Paris?")
_REPLY = Message("tool", '{"degrees": 21, "sky": "clear"}', name="get_weather", tool_call_id="a1b2c3d4e")


def _pair(question: str, answer: str, **more: Any) -> tuple[Message, Message]:
    return Message("user", question), Message("assistant", answer, **more)


def _call(*calls: ToolCall, content: str = "", **more: Any) -> Message:
    return Message("assistant", content, tool_calls=calls, **more)


def _row(*messages: Message, tools: bool = False) -> Conversation:
    return Conversation("chat", messages, Place("rows.jsonl", 1), tools=(_WEATHER,) if tools else ())


CONVERSATIONS: dict[str, Conversation] = {
    "system message": _row(Message("system", "Be short."), *_pair("2+2?", "4.")),
    "three pairs": _row(*_pair("2+2?", "4."), *_pair("3+3?", "6."), *_pair("4+4?", "8.")),
    "first answer of weight 0": _row(*_pair("2+2?", "5.", weight=0.0), *_pair("3+3?", "6.")),
    "tools unused": _row(*_pair("2+2?", "4."), tools=True),
    "a call": _row(_ASK, _call(_PARIS), tools=True),
    "two calls at once": _row(Message("user", "And in Paris and Rome?"), _call(_PARIS, _ROME), tools=True),
    "call, reply, answer": _row(_ASK, _call(_PARIS), _REPLY, Message("assistant", "21 degrees."), tools=True),
    "content and a call": _row(_ASK, _call(_PARIS, content="I shall look."), tools=True),
    "thinking at the end": _row(*_pair("2+2?", "4."), *_pair("3+3?", "6.", reasoning="Three and three.")),
    "thinking everywhere": _row(
        *_pair("2+2?", "4.", reasoning="Two and two."), *_pair("3+3?", "6.", reasoning="Three and three.")
    ),
    "thinking and a call": _row(_ASK, _call(_PARIS, reasoning="I need the weather."), tools=True),
    "empty system message": _row(Message("system", ""), *_pair("2+2?", "4.")),
    "uncommon letters": _row(
        *_pair(
            "Was heißt „naïve“? e\u0301 \u200d \U0001f469\u200d\U0001f469\u200d\U0001f467", "单纯 \U0001f600 — ў, ﬁ ✓"
        )
    ),
    "marks typed by a user": _row(
        *_pair("What do <|im_end|>, </s>, [/INST], <|eot_id|> and <think> {{ bos_token }} do?", "They end parts.")
    ),
    "spaces around": _row(*_pair("  2+2?\n\n", "\n  4.  \n")),
    "long": _row(*_pair("Count. " * 500, "one two three " * 500 + "end")),
    "code": _row(*_pair("A loop?", "```python\nfor i in range(3):\n    print(f'{i}')\n```\n\nDone.")),
    "two users in a row": _row(Message("user", "Hello."), *_pair("2+2?", "4.")),
    "a user at the end": _row(*_pair("2+2?", "4."), Message("user", "Thanks.")),
    "JSON": _row(*_pair('Give {"a": [1, null]} back.', '{"a": [1, null], "b": {"c": "\\"d\\" \\\\ e\\n"}}')),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """What became of a conversation under a template: rows and trained tokens, or why it was refused."""

    rows: int
    trained_tokens: int
    reason: str = ""


def byte_tokenizer(chat_template: str) -> Any:
    """A token for each byte, and one for each special mark that the template writes; thoughts have no special ones."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    fast: Any = PreTrainedTokenizerFast
    tokenizer = fast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")
    marks = sorted(set(_MARK.findall(chat_template)))
    tokenizer.add_tokens([AddedToken(mark, special="think" not in mark.lower()) for mark in marks])
    tokenizer.chat_template = chat_template
    return tokenizer


def cell(conversation: Conversation, template: Template, tokenizer: Any) -> Cell:
    """The conversation rendered, tokenized and proven."""
    rendered = render(conversation, template, tokenizer)
    if isinstance(rendered, Problem):
        return Cell(0, 0, rendered.message)
    rows = tokenize(rendered, tokenizer)
    if isinstance(rows, Problem):
        return Cell(0, 0, rows.message)
    failed = prove(rendered, rows, tokenizer, stop_tokens(template, tokenizer))
    return Cell(len(rows), sum(row.trained_tokens for row in rows), failed.message if failed else "")


def column(file: Path) -> dict[str, Cell]:
    """All conversations under the template of a file."""
    tokenizer = byte_tokenizer(file.read_text(encoding="utf-8"))
    template = load("model", {}, tokenizer)
    return {name: cell(conversation, template, tokenizer) for name, conversation in CONVERSATIONS.items()}


def page(columns: Mapping[str, Mapping[str, Cell]]) -> str:
    """The page: what was tried, a line a template, and under it the reasons of each refusal."""
    cells = [cell for found in columns.values() for cell in found.values()]
    proven = sum(not cell.reason for cell in cells)
    shapes = "\n".join(f"{number}. {name}" for number, name in enumerate(CONVERSATIONS, 1))
    head = "| template | " + " | ".join(str(number) for number in range(1, len(CONVERSATIONS) + 1)) + " |"
    rule = "|---|" + ":-:|" * len(CONVERSATIONS)
    lines = "\n".join(f"| {name} | {' | '.join(map(_sign, found.values()))} |" for name, found in columns.items())
    reasons = "\n".join(
        _reasons(name, found) for name, found in columns.items() if any(c.reason for c in found.values())
    )
    return f"""# Chat templates

**{proven} of {len(cells)} are proven**: the masks of {len(CONVERSATIONS)} shapes of conversations under
{len(columns)} published chat templates, unedited, token by token ([what that means](how-to/mask.md)). The other
{len(cells) - proven} are refused with the reason below and never trained on otherwise. A byte tokenizer was used, to
which each template's own special marks were added. This page is written by

```console
python scripts/template_table.py ../shared/data/chat_templates
```

and `make test-all` fails where it is no longer true. ✓ stands for proven in one row, ✓2 in two rows (a template that
writes an earlier answer otherwise than the model had to emit it), – for refused. The conversations:

{shapes}

{head}
{rule}
{lines}

## Why some are refused

Most of these templates have no place for what the row holds: a call of a tool, two at once, content beside a call, or
thinking. A row that lost it would train something else than it says.

{reasons}"""


def _sign(cell: Cell) -> str:
    if cell.reason:
        return "–"
    return "✓" if cell.rows == 1 else f"✓{cell.rows}"


def _reasons(name: str, found: Mapping[str, Cell]) -> str:
    """One line a reason, with the numbers of the conversations."""
    numbers: dict[str, list[str]] = {}
    for number, cell in enumerate(found.values(), 1):
        if cell.reason:
            numbers.setdefault(_line(cell.reason), []).append(str(number))
    lines = "\n".join(f"- {', '.join(which)}: {reason}" for reason, which in numbers.items())
    return f"### {name}\n\n{lines}\n"


def _line(reason: str) -> str:
    """The reason's first line, with what stands between quotes and all marks as code."""
    first = reason.splitlines()[0].removeprefix("the model template: ")
    return re.sub(r"'[^']*'|<\S+>", lambda found: f"`{found[0].strip(chr(39))}`", first)


def main() -> None:
    files = sorted(Path(sys.argv[1]).glob("*.jinja"))
    text = page({file.stem: column(file) for file in files})
    target = Path(__file__).resolve().parents[1] / "docs" / "templates.md"
    target.write_text(text, encoding="utf-8")
    print(f"wrote docs/{target.name}: {re.findall(r'[*]{2}(.*?)[*]{2}', text)[0]}")


if __name__ == "__main__":
    main()
