"""Turns rendered conversations into tokens and weights, proves each row against inference, and fits rows to a length.

A row's tokens are what inference sends, then what the model must emit: the prompt is tokenized as `chat` does it, the
answer by itself and its end mark as one token. So a merge that would reach over the boundary cannot happen, and where
prompt and answer meet is known without searching.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Literal
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from luthier.data.render import TrainOn, render, token_number
from luthier.data.templates import RenderError, Template, send
from luthier.errors import mistake
from luthier.flow import Conversation, Message, Place, Problem, Question, Rendered, Tokenized, Turn

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BATCH_ROWS = 1000
"""Rows that go to the tokenizer in one call: its own threads want many, memory wants few."""


def tokenize(
    rendered: Rendered, tokenizer: PreTrainedTokenizerBase, train_on: TrainOn = "answers"
) -> tuple[Tokenized, ...] | Problem:
    r"""The rows of one rendered conversation, or why it has none.

    All turns stand in one row as long as each prompt begins with the tokens so far; where a template rewrites earlier
    turns, a new row begins with that turn's prompt. With `everything` the tokens outside of answers weigh 1, a
    beginning that an earlier row had already excepted.

    SmolLM2's template on system `Add.`, user `2+2?`, assistant `4`, in its real tokens:

        <|im_start|> system \n  Add  .  <|im_end|> \n   1 9690 198  7684 30  2 198
        <|im_start|> user \n  2 + 2 ?  <|im_end|> \n   1 4093 198  34 27 34 47  2 198
        <|im_start|> ass istant \n                     1 520 9531 198
        4 <|im_end|>                                   36 2   with the weights 1 1, all before have 0
    """
    return next(tokenize_all((rendered,), tokenizer, train_on))


def tokenize_all(
    rendered: Iterable[Rendered], tokenizer: PreTrainedTokenizerBase, train_on: TrainOn = "answers"
) -> Iterator[tuple[Tokenized, ...] | Problem]:
    """`tokenize` for each, in order, as a stream: what it holds at a time is a batch."""
    stream = iter(rendered)
    while batch := list(islice(stream, BATCH_ROWS)):
        turns = [turn for row in batch for turn in row.turns]
        prompts = iter(_ids([turn.prompt for turn in turns], tokenizer))
        answers = _answer_ids([turn.answer for turn in turns], tokenizer)
        lost = iter(_lost([turn.answer for turn in turns], answers, tokenizer))
        pieces = zip(turns, prompts, answers, strict=True)
        for row in batch:
            letters = "".join(next(lost) for _ in row.turns)
            pairs = list(islice(pieces, len(row.turns)))
            yield _unwritable(row.place, letters) if letters else _rows(row, pairs, tokenizer, train_on)


def question(conversation: Conversation, template: Template, tokenizer: PreTrainedTokenizerBase) -> Question | Problem:
    """What evaluation asks for the last answer of a conversation: the tokens that `chat` sends, and the answer that the
    model must emit before its end mark."""
    return next(questions((conversation,), template, tokenizer))


def questions(
    conversations: Iterable[Conversation], template: Template, tokenizer: PreTrainedTokenizerBase
) -> Iterator[Question | Problem]:
    """`question` for each, in order, as a stream."""
    stream = iter(conversations)
    while batch := list(islice(stream, BATCH_ROWS)):
        rendered = [render(conversation, template, tokenizer, "last_answer") for conversation in batch]
        asked = [row.turns[-1].prompt for row in rendered if isinstance(row, Rendered)]
        prompts = iter(_ids(asked, tokenizer))
        for row in rendered:
            if isinstance(row, Problem):
                yield row
                continue
            turn = row.turns[-1]
            tokens = np.array(next(prompts), dtype=np.int32)
            yield Question(tokens, turn.prompt, turn.answer, row.place, row.category)


def prompt_tokens(
    messages: Sequence[Message], template: Template, tokenizer: PreTrainedTokenizerBase
) -> tuple[str, NDArray[np.int32]]:
    """The text and the tokens (T, int32) that inference sends to have these messages answered.

    Raises `UserError` with the template's reason where it takes no such messages.
    """
    try:
        text = send(messages, template, tokenizer)
    except RenderError as refusal:
        raise mistake(f"the {template.name} template: {refusal}", "messages", "change the messages") from None
    return text, np.array(_ids([text], tokenizer)[0], dtype=np.int32)


def prove(
    rendered: Rendered, rows: Sequence[Tokenized], tokenizer: PreTrainedTokenizerBase, stops: Iterable[int]
) -> Problem | None:
    """Checks rows against what inference does with the same text; None where they agree.

    For each turn: the row has exactly the tokens that inference sends; a model that emits what the row trains is
    stopped at the turn's end mark and not before (`stops`); the text shown to the user is then the turn's answer. Of
    the rest nothing is trained, and a row begins with one begin mark at most. For rows made with `answers` or
    `last_answer`.
    """
    stop_set = frozenset(stops)
    expected = [np.zeros(len(row.tokens), dtype=np.float32) for row in rows]
    current = 0
    for turn in rendered.turns:
        sent = list(tokenizer(turn.prompt, add_special_tokens=False)["input_ids"])
        end = token_number(turn.end, tokenizer)
        found = next((number for number in range(current, len(rows)) if _begins(rows[number], sent)), None)
        if found is None:
            reason = "inference sends other tokens than the row has"
            nothing = Tokenized(np.empty(0, np.int32), np.empty(0, np.float32), rendered.place)
            return _failed(rendered.place, reason, sent, rows[current] if rows else nothing, tokenizer)
        current, row = found, rows[found]
        emitted = row.tokens[len(sent) :].tolist()
        length = next((number for number, token in enumerate(emitted) if token in stop_set), None)
        if length is None or emitted[length] != end:
            reason = f"inference would not stop at the answer's end mark {turn.end}"
            return _failed(rendered.place, reason, [*sent, *emitted[: length or 0], end], row, tokenizer)
        if not _reads(sent, emitted[:length], turn.answer, tokenizer):
            wanted = [*sent, *_answer_ids([turn.answer], tokenizer)[0], end]
            return _failed(rendered.place, "the trained tokens do not read as the answer", wanted, row, tokenizer)
        expected[current][len(sent) : len(sent) + length + 1] = turn.weight
    for row, weights in zip(rows, expected, strict=True):
        if not np.array_equal(row.weights, weights):
            place = int(np.flatnonzero(row.weights != weights)[0])
            reason = f"token {place} has the weight {row.weights[place]:g} and should have {weights[place]:g}"
            return _failed(rendered.place, reason, row.tokens.tolist(), row, tokenizer, place)
        if _begins_twice(row.tokens, tokenizer):
            return _two_begin_marks(rendered.place, tokenizer)
    return None


TooLong = Literal["stop", "drop", "cut_start", "cut_end"]


@dataclass(frozen=True, slots=True)
class Cut:
    """A row of the data made shorter: `tokens` and `trained_tokens` are how many of each it lost."""

    place: Place
    category: str | None
    tokens: int
    trained_tokens: int


@dataclass(frozen=True, slots=True)
class Fitted:
    """Rows after `fit`. Each row of the data went into `kept`, there perhaps also into `cuts`, or into `dropped`, there
    by its first tokenized row and with a problem: a warning under `drop`, else an error."""

    kept: tuple[Tokenized, ...]
    dropped: tuple[Tokenized, ...]
    problems: tuple[Problem, ...]
    cuts: tuple[Cut, ...]


def fit(
    tokenized: Iterable[tuple[Tokenized, ...]], max_length: int, too_long: TooLong, begin_mark: int | None = None
) -> Fitted:
    """Rows of at most `max_length` tokens, by the setting `data.too_long`; a tuple holds what `tokenize` made of a row
    of the data, and stays or goes as a whole.

    `cut_start` keeps the end of a row and, where the row begins with `begin_mark` (the tokenizer's `bos_token_id`),
    that mark; a row of which it would leave no prompt is a problem. `cut_end` keeps the beginning; a row of which it
    would leave no trained token is a problem.
    """
    kept: list[Tokenized] = []
    dropped, problems, cuts = [], [], []
    for rows in tokenized:
        longest = max(len(row.tokens) for row in rows)
        if longest <= max_length:
            kept += rows
            continue
        fitting = [_cut(row, max_length, too_long, begin_mark) for row in rows] if too_long in _LOST else [None]
        whole = [row for row in fitting if row is not None]
        if len(whole) < len(fitting):
            dropped.append(rows[0])
            problems.append(_too_long(rows[0].place, longest, max_length, too_long))
            continue
        kept += whole
        tokens = sum(len(row.tokens) for row in rows) - sum(len(row.tokens) for row in whole)
        trained = sum(row.trained_tokens for row in rows) - sum(row.trained_tokens for row in whole)
        cuts.append(Cut(rows[0].place, rows[0].category, tokens, trained))
    return Fitted(tuple(kept), tuple(dropped), tuple(problems), tuple(cuts))


def marked(tokenized: Tokenized, tokenizer: PreTrainedTokenizerBase) -> list[tuple[str, bool]]:
    """Each token's text, special marks included, and whether it is trained on. The texts joined are the row's text.

    Where a letter needs several tokens, its text stands at the last of them and the ones before have none.
    """
    ids = tokenized.tokens.tolist()
    context = start = 0
    texts = []
    for number in range(len(ids)):
        known = _text(ids[context:start], tokenizer)
        text = _text(ids[context : number + 1], tokenizer)
        if text.endswith("\ufffd") and number + 1 < len(ids):
            texts.append("")
            continue
        texts.append(text[len(known) :])
        context, start = start, number + 1
    return list(zip(texts, (tokenized.weights > 0).tolist(), strict=True))


def _rows(
    row: Rendered,
    pairs: Sequence[tuple[Turn, list[int], list[int]]],
    tokenizer: PreTrainedTokenizerBase,
    train_on: TrainOn,
) -> tuple[Tokenized, ...] | Problem:
    """The rows of a conversation from each turn with its prompt's and its answer's tokens."""
    between = 1.0 if train_on == "everything" else 0.0
    rows = []
    tokens: list[int] = []
    weights: list[float] = []
    for turn, prompt, answer in pairs:
        if not prompt:
            return _problem("empty_prompt", row.place, "nothing stands before the answer", "give the row an input")
        if prompt[: len(tokens)] != tokens:
            rows.append(_row(row, tokens, weights))
            seen = next((n for n, (a, b) in enumerate(zip(tokens, prompt, strict=False)) if a != b), len(prompt))
            tokens, weights = prompt[:seen], [0.0] * seen
        weights += [between] * (len(prompt) - len(tokens)) + [turn.weight] * (len(answer) + 1)
        tokens = [*prompt, *answer, token_number(turn.end, tokenizer)]
        weights[0] = 0.0
    rows.append(_row(row, tokens, weights))
    if any(_begins_twice(made.tokens, tokenizer) for made in rows):
        return _two_begin_marks(row.place, tokenizer)
    return tuple(rows)


def _row(row: Rendered, tokens: Sequence[int], weights: Sequence[float]) -> Tokenized:
    return Tokenized(np.array(tokens, np.int32), np.array(weights, np.float32), row.place, row.category)


def _ids(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """The tokens of each text as it stands, marks typed in it included."""
    if not texts:
        return []
    if tokenizer.is_fast:
        # The tokenizer without transformers' wrapping, which takes as long again for short texts.
        backend = tokenizer.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        return [encoding.ids for encoding in backend.encode_batch_fast(list(texts), add_special_tokens=False)]
    # verbose=False: a text longer than the model's context is counted and said by `fit`.
    return list(tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"])


def _answer_ids(answers: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """The tokens of each answer as they stand in the middle of a text: without the space that some tokenizers put
    before a text's first word."""
    lead = _lead(tokenizer)
    if not lead:
        return _ids(answers, tokenizer)
    (before,) = _ids([lead], tokenizer)
    led = _ids([lead + answer for answer in answers], tokenizer)
    return [
        ids[len(before) :] if ids[: len(before)] == before else _ids([answer], tokenizer)[0]
        for ids, answer in zip(led, answers, strict=True)
    ]


def _lost(answers: Sequence[str], ids: Sequence[list[int]], tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The letters of each answer for which the vocabulary has no tokens: it leaves them out without a word, or writes
    one mark for them all. SmolLM2's lacks 21 of the 256 bytes, and with them some rare letters."""
    if tokenizer.is_fast:
        read = tokenizer.backend_tokenizer.decode_batch(list(ids), skip_special_tokens=False)
    else:
        read = tokenizer.batch_decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return [
        "" if text == answer else "".join(sorted(set(normalize("NFKC", answer)) - set(normalize("NFKC", text)) - {" "}))
        for text, answer in zip(read, answers, strict=True)
    ]


def _unwritable(place: Place, letters: str) -> Problem:
    message = f"the model's vocabulary has no tokens for {letters!r}, which stands in an answer"
    return _problem("unknown_letter", place, message, "write the answer without, or take another model")


@lru_cache(maxsize=16)
def _lead(tokenizer: PreTrainedTokenizerBase) -> str:
    """A line break for tokenizers that put a space before a text's first word (SentencePiece's), else nothing."""
    letter, lead, both = _ids(["a", "\n", "\na"], tokenizer)
    return "" if both == lead + letter else "\n"


@lru_cache(maxsize=16)
def _faithful(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the tokenizer gives back spaces and line breaks as they were."""
    text = "a\nb  c"
    return text in _text(_ids([text], tokenizer)[0], tokenizer)


def _reads(sent: list[int], emitted: list[int], answer: str, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a user who sent the first tokens and got the others reads the answer. Letters that the tokenizer writes
    in another Unicode form count as the same, and spaces do where it does not keep them."""
    before, whole = _text(sent, tokenizer), _text([*sent, *emitted], tokenizer)
    if not whole.startswith(before):
        return False
    got, wanted = normalize("NFKC", whole[len(before) :]), normalize("NFKC", answer)
    return got == wanted if _faithful(tokenizer) else "".join(got.split()) == "".join(wanted.split())


def _text(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))


def _begins(row: Tokenized, sent: Sequence[int]) -> bool:
    return len(row.tokens) > len(sent) and row.tokens[: len(sent)].tolist() == list(sent)


def _begins_twice(tokens: NDArray[np.int32], tokenizer: PreTrainedTokenizerBase) -> bool:
    return len(tokens) > 1 and tokens[0] == tokens[1] == tokenizer.bos_token_id


def _two_begin_marks(place: Place, tokenizer: PreTrainedTokenizerBase) -> Problem:
    message = f"the row begins with two begin marks {tokenizer.bos_token}"
    return _problem("begin_mark", place, message, "take the mark out of the row's text, or out of the template")


_LOST = {"cut_start": "its prompt", "cut_end": "its whole answer"}
"""What a row must not lose by a cut."""


def _too_long(place: Place, length: int, max_length: int, too_long: TooLong) -> Problem:
    excess = f"the row has {length} tokens, data.max_length is {max_length}"
    longer = f"write `data.max_length: {length}` if the model can read as much"
    if too_long == "drop":
        return Problem("too_long", "warning", place, f"{excess}: left out", longer)
    if too_long == "stop":
        return _problem("too_long", place, excess, f"{longer}, or `data.too_long: drop`, `cut_start` or `cut_end`")
    lost = f"{excess}, and `{too_long}` would cut {_LOST[too_long]} away"
    return _problem("too_long", place, lost, f"{longer}, or `data.too_long: drop`")


def _cut(row: Tokenized, max_length: int, too_long: TooLong, begin_mark: int | None) -> Tokenized | None:
    """The row cut to the length; None where nothing would be left to learn."""
    if len(row.tokens) <= max_length:
        return row
    begin = 1 if too_long == "cut_start" and row.tokens[0] == begin_mark else 0
    start = len(row.tokens) - (max_length - begin) if too_long == "cut_start" else 0
    places = np.r_[0:begin, start : start + max_length - begin]
    tokens, weights = row.tokens[places], row.weights[places]
    had_prompt = bool((row.weights[1:] == 0).any())
    useless = not weights[1:].any() or (too_long == "cut_start" and had_prompt and bool((weights[begin:] > 0).all()))
    weights[0] = 0.0
    return None if useless else Tokenized(tokens, weights, row.place, row.category)


def _failed(
    place: Place,
    reason: str,
    sent: Sequence[int],
    row: Tokenized,
    tokenizer: PreTrainedTokenizerBase,
    first: int | None = None,
) -> Problem:
    """The proof's failure, with inference's tokens and the row's side by side around token `first`, by default the
    first one that differs."""
    had = row.tokens.tolist()
    if first is None:
        differing = (n for n, (a, b) in enumerate(zip(sent, had, strict=False)) if a != b)
        first = next(differing, min(len(sent), len(had)))
    lines = [reason, f"{'token':>7}  {'inference':<28}the row, with its weight"]
    for number in range(max(0, first - 3), min(first + 4, max(len(sent), len(had)))):
        weight = f"  {row.weights[number]:g}" if number < len(had) else ""
        arrow = ">" if number == first else " "
        expected, found = (_shown(ids, number, tokenizer) for ids in (sent, had))
        lines.append(f"{arrow}{number:>6}  {expected:<28}{found}{weight}")
    remedy = "leave the row out, or choose another template with data.template"
    return _problem("mask", place, "\n".join(lines), remedy)


def _shown(ids: Sequence[int], number: int, tokenizer: PreTrainedTokenizerBase) -> str:
    return f"{ids[number]} {_text([ids[number]], tokenizer)!r}" if number < len(ids) else "-"


def _problem(check: str, place: Place, message: str, remedy: str) -> Problem:
    return Problem(check, "error", place, message, remedy)
