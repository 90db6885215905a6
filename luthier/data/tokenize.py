"""Turns rendered conversations into tokens and weights, proves each row against inference, and fits rows to a length.

A row's tokens are what inference sends, then what the model must emit: the prompt is tokenized as `chat` does it, the
answer by itself and its end mark as one token. So a merge that would reach over the boundary cannot happen, and where
prompt and answer meet is known without searching.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, Literal
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from luthier.data.render import TrainOn, added_marks, render, token_number
from luthier.data.templates import RenderError, Template, send, special_marks
from luthier.data.words import words_of
from luthier.errors import mistake
from luthier.flow import Conversation, Marked, Message, Place, Problem, Question, Rendered, Tokenized, Turn

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
    for row, pieces in _in_pieces(rendered, tokenizer):
        yield _rows(row, pieces, tokenizer, train_on)


def proven_all(
    rendered: Iterable[Rendered],
    tokenizer: PreTrainedTokenizerBase,
    stops: Iterable[int],
    train_on: TrainOn = "answers",
) -> Iterator[tuple[Tokenized, ...] | Problem]:
    """`tokenize_all` with the rows proven, as `prove` does it, at little more than the cost of tokenizing: what
    inference sends is tokenized once. Under `everything` the tokens are proven and not which of them are trained on."""
    stop_set = frozenset(stops)
    for row, pieces in _in_pieces(rendered, tokenizer):
        rows = _rows(row, pieces, tokenizer, train_on)
        if isinstance(rows, Problem):
            yield rows
        else:
            yield _proof(row, pieces, rows, tokenizer, stop_set, weighed=train_on != "everything") or rows


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


def question_in(row: Tokenized, decode: Callable[[Sequence[int]], str], stops: Iterable[int]) -> Question | None:
    """`question` for the last trained answer of a row of tokens; None where no question stands before it (`everything`
    is trained on), or its end is cut off.

    For tokens [1, 29, 43, 29, 61, 33, 2] with the weights [0, 0, 0, 0, 0, 1, 1] and the stop 2: the first five tokens
    ask, and 33 is wanted.
    """
    trained = np.flatnonzero(row.weights)
    if not len(trained):
        return None
    gaps = np.flatnonzero(np.diff(trained) > 1)
    start = int(trained[gaps[-1] + 1] if len(gaps) else trained[0])
    ends = np.flatnonzero(np.isin(row.tokens[start : trained[-1] + 1], list(stops)))
    if start <= 1 or not len(ends):
        return None
    sent = row.tokens[:start]
    wanted = row.tokens[start : start + int(ends[0])].tolist()
    return Question(sent, decode(sent.tolist()), decode(wanted), row.place, row.category)


def prompt_tokens(
    messages: Sequence[Message],
    template: Template,
    tokenizer: PreTrainedTokenizerBase,
    tools: Sequence[Mapping[str, Any]] = (),
) -> tuple[str, NDArray[np.int32]]:
    """The text and the tokens (T, int32) that inference sends to have these messages answered.

    Raises `UserError` with the template's reason where it takes no such messages.
    """
    try:
        text = send(messages, template, tokenizer, tools)
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
    prompts = _ids([turn.prompt for turn in rendered.turns], tokenizer)
    answers = _answer_ids(rendered.turns, prompts, tokenizer)
    pieces = [_Pieces(*piece, False) for piece in zip(rendered.turns, prompts, answers, strict=True)]
    return _proof(rendered, pieces, rows, tokenizer, frozenset(stops))


def paired(
    better: tuple[Tokenized, ...] | Problem, worse: tuple[Tokenized, ...] | Problem
) -> tuple[Tokenized, ...] | Problem:
    """The two rows of a preference, the better answer's first, from what `tokenize` made of each side; or why it has
    none. Both must send the same prompt before what is trained on."""
    if isinstance(better, Problem):
        return better
    if isinstance(worse, Problem):
        return replace(worse, message=f"in the worse answer: {worse.message}")
    place = better[0].place
    if len(better) > 1 or len(worse) > 1:
        message = "an answer of several turns, of which this template rewrites the earlier ones"
        return _problem("pair", place, message, "write both answers as one message each")
    (one,), (other,) = better, worse
    first, second = (int(np.argmax(row.weights > 0)) for row in (one, other))
    if not np.array_equal(one.tokens[:first], other.tokens[:second]):
        message = "the two answers do not stand behind the same prompt"
        return _problem("pair", place, message, "begin both with the same messages, and write `data.train_on: answers`")
    if np.array_equal(one.tokens, other.tokens):
        message = "the two answers are the same tokens"
        return _problem("same_answer", place, message, "write a worse answer, or take the row out")
    return one, other


TooLong = Literal["stop", "drop", "cut_start", "cut_end", "split"]


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
    tokenized: Iterable[tuple[Tokenized, ...]],
    max_length: int,
    too_long: TooLong,
    begin_mark: int | None = None,
    pairs: bool = False,
) -> Fitted:
    """Rows of at most `max_length` tokens, by the setting `data.too_long`; a tuple holds what `tokenize` made of a row
    of the data, and stays or goes as a whole.

    `cut_start` keeps the end of a row and, where the row begins with `begin_mark` (the tokenizer's `bos_token_id`),
    that mark; a row of which it would leave no prompt is a problem. `cut_end` keeps the beginning; a row of which it
    would leave no trained token is a problem. `split` makes several rows of one that is trained on as a whole, as text
    rows are: each begins with the last token of the one before, so that none is left untrained; a row with a prompt is
    a problem. Of `pairs`, both rows of one prompt, `cut_start` takes the same tokens from both, as many as the longer
    one has too many, so that they still have one prompt.
    """
    kept: list[Tokenized] = []
    dropped, problems, cuts = [], [], []
    for rows in tokenized:
        longest = max(len(row.tokens) for row in rows)
        if longest <= max_length:
            kept += rows
            continue
        if too_long == "split" and max_length > 1 and all(bool((row.weights[1:] > 0).all()) for row in rows):
            kept += [piece for row in rows for piece in _split(row, max_length)]
            continue
        lengths = [len(row.tokens) - (longest - max_length) if pairs else max_length for row in rows]
        cut = zip(rows, lengths, strict=True)
        fitting = [_cut(row, length, too_long, begin_mark) for row, length in cut] if too_long in _LOST else [None]
        if pairs and longest - max_length + 1 >= int(np.argmax(rows[0].weights > 0)):
            fitting = [None]
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


def shown(tokenized: Tokenized, tokenizer: PreTrainedTokenizerBase) -> Marked:
    """A row to look at. `sent` is empty where no prompt can be told from the row: text rows, `train_on: everything`."""
    trained = tokenized.weights > 0
    starts = np.flatnonzero(trained[1:] & ~trained[:-1]) + 1
    # A row that is trained from its second token on has no prompt.
    last = int(starts[-1]) if len(starts) and starts[0] > 1 else 0
    sent = _text(tokenized.tokens[:last].tolist(), tokenizer)
    tokens = tuple(marked(tokenized, tokenizer))
    marks = special_marks(tokenizer).intersection(text for text, _ in tokens)
    return Marked(tokens, tuple(sorted(marks)), sent, tokenized.place)


def shown_first(rows: Sequence[Tokenized], count: int, pairs: bool, tokenizer: PreTrainedTokenizerBase) -> list[Marked]:
    """The first `count` rows to look at; of `pairs` as many, each with both answers."""
    if not pairs:
        return [shown(row, tokenizer) for row in rows[:count]]
    sides = ("chosen", "rejected")
    return [replace(shown(row, tokenizer), side=sides[at % 2]) for at, row in enumerate(rows[: 2 * count])]


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


@dataclass(frozen=True, slots=True)
class _Pieces:
    """A turn with its prompt's and its answer's tokens. `reads` where the answer's tokens are known to read as the
    answer behind any prompt; else that is to be found out."""

    turn: Turn
    prompt: list[int]
    answer: list[int]
    reads: bool


def _in_pieces(
    rendered: Iterable[Rendered], tokenizer: PreTrainedTokenizerBase
) -> Iterator[tuple[Rendered, list[_Pieces]]]:
    """Each conversation with its turns tokenized, a batch at a time."""
    stream = iter(rendered)
    while batch := list(islice(stream, BATCH_ROWS)):
        turns = [turn for row in batch for turn in row.turns]
        prompts = _ids([turn.prompt for turn in turns], tokenizer)
        answers = _answer_ids(turns, prompts, tokenizer)
        joins, texts = _joins(tokenizer), words_of(tokenizer).texts(answers)
        reads = [joins and text == turn.answer for text, turn in zip(texts, turns, strict=True)]
        pieces = map(_Pieces, turns, prompts, answers, reads)
        for row in batch:
            yield row, list(islice(pieces, len(row.turns)))


def _proof(
    rendered: Rendered,
    pieces: Sequence[_Pieces],
    rows: Sequence[Tokenized],
    tokenizer: PreTrainedTokenizerBase,
    stops: frozenset[int],
    weighed: bool = True,
) -> Problem | None:
    """`prove`, where the tokens that inference sends and the answers' own are known; `weighed` where the weights are to
    be proven too."""
    expected = [np.zeros(len(row.tokens), dtype=np.float32) for row in rows]
    tokens = [row.tokens.tolist() for row in rows]
    current = 0
    for piece in pieces:
        turn, sent = piece.turn, piece.prompt
        end = token_number(turn.end, tokenizer)
        found = next((number for number in range(current, len(rows)) if tokens[number][: len(sent)] == sent), None)
        if found is None:
            reason = "inference sends other tokens than the row has"
            nothing = Tokenized(np.empty(0, np.int32), np.empty(0, np.float32), rendered.place)
            return _failed(rendered.place, reason, sent, rows[current] if rows else nothing, tokenizer)
        current, row = found, rows[found]
        emitted = tokens[found][len(sent) :]
        length = len(piece.answer)
        said = emitted[: length + 1] == [*piece.answer, end] and end in stops and stops.isdisjoint(piece.answer)
        if not (said and piece.reads):
            length = next((number for number, token in enumerate(emitted) if token in stops), len(emitted))
            fault = _fault(piece, emitted, length, tokenizer, stops)
            if fault:
                reason, wanted, place = fault
                return _failed(rendered.place, reason, [*sent, *wanted], row, tokenizer, place)
        expected[current][len(sent) : len(sent) + length + 1] = turn.weight
    for row, weights in zip(rows, expected, strict=True):
        weights[:1] = 0.0
        if weighed and not np.array_equal(row.weights, weights):
            place = int(np.flatnonzero(row.weights != weights)[0])
            reason = f"token {place} has the weight {row.weights[place]:g} and should have {weights[place]:g}"
            return _failed(rendered.place, reason, row.tokens.tolist(), row, tokenizer, place)
        if _begins_twice(row.tokens, tokenizer):
            return _two_begin_marks(rendered.place, tokenizer)
    return None


def _fault(
    piece: _Pieces, emitted: list[int], length: int, tokenizer: PreTrainedTokenizerBase, stops: frozenset[int]
) -> tuple[str, list[int], int | None] | None:
    """What is wrong with the tokens behind a prompt, of which inference takes `length` before it stops, the tokens that
    should stand there, and the place to look at if it is not the first that differs; None where they are the answer and
    its end mark."""
    turn, end = piece.turn, token_number(piece.turn.end, tokenizer)
    early = next((place for place, token in enumerate(piece.answer) if token in stops), None)
    if early is not None:
        mark = _text([piece.answer[early]], tokenizer)
        reason = f"inference would stop at {mark} in the middle of the answer"
        return reason, piece.answer[: early + 1], len(piece.prompt) + early
    if emitted[length : length + 1] != [end]:
        return f"inference would not stop at the answer's end mark {turn.end}", [*emitted[:length], end], None
    if not _reads(piece.prompt, emitted[:length], turn.answer, tokenizer):
        return "the trained tokens do not read as the answer", [*piece.answer, end], None
    return None


def _rows(
    row: Rendered, pieces: Sequence[_Pieces], tokenizer: PreTrainedTokenizerBase, train_on: TrainOn
) -> tuple[Tokenized, ...] | Problem:
    """The rows of a conversation from the tokens of its turns, or why it has none."""
    if letters := "".join(_lost(piece, tokenizer) for piece in pieces if not piece.reads):
        return _unwritable(row.place, letters)
    between = 1.0 if train_on == "everything" else 0.0
    rows = []
    tokens: list[int] = []
    weights: list[float] = []
    for piece in pieces:
        turn, prompt, answer = piece.turn, piece.prompt, piece.answer
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
    """The tokens of each text as it stands, marks typed in it included.

    A text is cut before each mark, and each piece tokenized once a call: the marks keep their surroundings apart, so
    the tokens are the whole text's, and what texts have in common (a system message, the earlier turns) costs once.
    """
    marks = _splitting(tokenizer)
    if marks is None:
        return words_of(tokenizer).ids(texts)
    cut = [_cut_before(marks, text) for text in texts]
    pieces = list(dict.fromkeys(piece for found in cut for piece in found))
    known = dict(zip(pieces, words_of(tokenizer).ids(pieces), strict=True))
    return [[token for piece in found for token in known[piece]] for found in cut]


def _cut_before(marks: re.Pattern[str], text: str) -> list[str]:
    places = [0, *(mark.start() for mark in marks.finditer(text) if mark.start()), len(text)]
    return [text[start:end] for start, end in pairwise(places)]


@lru_cache(maxsize=16)
def _splitting(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str] | None:
    """Finds marks before which a text may be cut; None for a tokenizer whose marks touch what stands before them."""
    if not tokenizer.is_fast:
        return None
    added = tokenizer.added_tokens_decoder.values()
    normalizes = tokenizer.backend_tokenizer.normalizer is not None
    if not added or any(token.lstrip or token.single_word or (token.normalized and normalizes) for token in added):
        return None
    return added_marks(tokenizer)


def _answer_ids(
    turns: Sequence[Turn], prompts: Sequence[list[int]], tokenizer: PreTrainedTokenizerBase
) -> list[list[int]]:
    """The tokens of each answer as they stand behind its prompt.

    That is as in the middle of a text, without the space that some tokenizers put before a text's first word; where
    the prompt is nothing or marks alone, it is as in the whole text.
    """
    lead = _lead(tokenizer)
    if not lead:
        return _ids([turn.answer for turn in turns], tokenizer)
    marks = added_marks(tokenizer)
    leads = [turn.prompt if not marks.sub("", turn.prompt) else lead for turn in turns]
    before = _ids(leads, tokenizer)
    led = _ids([start + turn.answer for start, turn in zip(leads, turns, strict=True)], tokenizer)
    return [
        ids[len(start) :] if ids[: len(start)] == start else _ids([turn.answer], tokenizer)[0]
        for ids, start, turn in zip(led, before, turns, strict=True)
    ]


@lru_cache(maxsize=16)
def _joins(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether tokens read the same behind any others, as bytes do: then an answer can be read by itself."""
    from tokenizers.decoders import ByteLevel

    return tokenizer.is_fast and type(tokenizer.backend_tokenizer.decoder) is ByteLevel


def _lost(piece: _Pieces, tokenizer: PreTrainedTokenizerBase) -> str:
    """The letters of an answer for which the vocabulary has no tokens: it leaves them out without a word, or writes
    one mark for them all. SmolLM2's lacks 21 of the 256 bytes, and with them some rare letters."""
    answer, text = piece.turn.answer, words_of(tokenizer).texts([piece.answer])[0]
    if text == answer:
        return ""
    return "".join(sorted(set(normalize("NFKC", answer)) - set(normalize("NFKC", text)) - {" "}))


def _unwritable(place: Place, letters: str) -> Problem:
    message = f"the model's vocabulary has no tokens for {letters!r}, which stands in an answer"
    return _problem("unknown_letter", place, message, "write the answer without, or take another model")


@lru_cache(maxsize=16)
def _lead(tokenizer: PreTrainedTokenizerBase) -> str:
    """A line break for tokenizers that put a space before a text's first word (SentencePiece's), else nothing."""
    letter, lead, both = words_of(tokenizer).ids(["a", "\n", "\na"])
    return "" if both == lead + letter else "\n"


@lru_cache(maxsize=16)
def _faithful(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the tokenizer gives back spaces and line breaks as they were."""
    text = "a\nb  c"
    return text in _text(_ids([text], tokenizer)[0], tokenizer)


def _reads(sent: list[int], emitted: list[int], answer: str, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a user who sent the first tokens and got the others reads the answer. Letters that the tokenizer writes
    in another Unicode form count as the same, spaces do where it does not keep them, and so do those before a text's
    first word for a tokenizer that puts one there."""
    before, whole = _text(sent, tokenizer), _text([*sent, *emitted], tokenizer)
    if not whole.startswith(before):
        return False
    got, wanted = normalize("NFKC", whole[len(before) :]), normalize("NFKC", answer)
    if len(sent) <= 1 and _lead(tokenizer):
        got, wanted = got.lstrip(" "), wanted.lstrip(" ")
    return got == wanted if _faithful(tokenizer) else "".join(got.split()) == "".join(wanted.split())


def _text(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))


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
    if too_long == "split":
        whole = f"{excess}, and `split` is for text rows, which have no prompt"
        return _problem("too_long", place, whole, f"{longer}, or `data.too_long: drop`, `cut_start` or `cut_end`")
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


def _split(row: Tokenized, max_length: int) -> Iterator[Tokenized]:
    """Rows of at most the length that together train each token but the first once."""
    for start in range(0, len(row.tokens) - 1, max_length - 1):
        tokens, weights = row.tokens[start : start + max_length], row.weights[start : start + max_length].copy()
        weights[0] = 0.0
        yield Tokenized(tokens, weights, row.place, row.category)


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
