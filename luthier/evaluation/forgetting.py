"""Forgetting: what tuning did to the general set, by skill. Base's numbers are remembered, computed once a model.

N passages, P tokens of a passage or an answer, K tokens looked at.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from luthier.engine.forward import Engine, in_order
from luthier.engine.generation import answers
from luthier.engine.outlook import Outlook, outlooks
from luthier.evaluation.general import General, with_answers
from luthier.evaluation.metrics import Sample, loss, token_accuracy
from luthier.flow import Measure, Progress, Question, RowScore

ALL: Final = "all"
KEPT: Final = 64
"""Base's likeliest tokens at each place of its answers: all others count as one in the KL divergence."""
LIMIT: Final = 24
"""Tokens of an answer of base's own."""

_LEAST: Final = 1e-7  # what is left for the other tokens where rounding leaves nothing


@dataclass(frozen=True, slots=True)
class Memory:
    """What base says to a general set: `losses` (N) in nats and `likeliest`, for each passage (P); its own `answers` to
    the questions asked, and for each (P, K) the `tokens` that it found likeliest with their `log_probabilities`."""

    losses: NDArray[np.float64]
    likeliest: tuple[NDArray[np.int64], ...]
    answers: tuple[NDArray[np.int32], ...]
    tokens: tuple[NDArray[np.int64], ...]
    log_probabilities: tuple[NDArray[np.float32], ...]


@dataclass(frozen=True, slots=True)
class Forgotten:
    """`measures` by skill, and for `all`; `passages` holds the numbers of each passage."""

    measures: Mapping[str, Mapping[str, Measure]]
    passages: tuple[Mapping[str, Any], ...]


def remember(base: Engine, general: General) -> Generator[Progress, None, Memory]:
    """Base's numbers, computed: about twice the work of `forgotten`, and the same for every run of a base model."""
    if not general.rows:
        return Memory(np.zeros(0), (), (), (), ())
    found = answers(base, general.asked, lambda tokens: " ".join(map(str, tokens)), general.stops, LIMIT)
    said = yield from in_order(found, "asking base in general", len(general.asked))
    own = tuple(np.array(answer.text.split(), np.int32) for answer in said)
    rows = [*general.rows, *(row for row in with_answers(general, own) if row.trained_tokens)]
    seen = yield from in_order(outlooks(base, rows, KEPT), "scoring base in general", len(rows))
    on_passages, on_answers = seen[: len(general.rows)], iter(seen[len(general.rows) :])
    on_each = [next(on_answers) if len(answer) else _NOTHING for answer in own]
    return Memory(
        np.array([one.losses.sum(dtype=np.float64) for one in on_passages]),
        tuple(one.likeliest for one in on_passages),
        own,
        tuple(one.tokens for one in on_each),
        tuple(one.log_probabilities for one in on_each),
    )


def forgotten(tuned: Engine, general: General, base: Memory, seed: int = 0) -> Generator[Progress, None, Forgotten]:
    """The tuned model beside base on the same tokens.

    `rise` is the loss of `tuned` minus that of `base` in nats a token, each passage compared with itself; `agreement`
    is the share of the passages' tokens at which both find the same token likeliest; `kl` is how far the tuned model's
    expectation is from base's on base's own greedy answers, in nats a token. Intervals resample passages.
    """
    if not general.rows:
        why = "none of the general set's passages goes into the model's context or through its tokenizer"
        return Forgotten({ALL: {"rise": Measure(None, reason=why)}}, ())
    said = list(with_answers(general, base.answers))
    asked = [number for number, row in enumerate(said) if row.trained_tokens]
    rows = [*general.rows, *(said[number] for number in asked)]
    nothing = [np.zeros((row.trained_tokens, 0), np.int64) for row in general.rows]
    looked = outlooks(tuned, rows, given=[*nothing, *(base.tokens[number] for number in asked)])
    seen = yield from in_order(looked, "scoring tuned in general", len(rows))
    sizes = [row.trained_tokens for row in general.rows]
    before = [RowScore(nats, size, 0) for nats, size in zip(base.losses.tolist(), sizes, strict=True)]
    after = [
        RowScore(float(found.losses.sum(dtype=np.float64)), size, int((found.likeliest == known).sum()))
        for found, known, size in zip(seen[: len(sizes)], base.likeliest, sizes, strict=True)
    ]
    far = dict.fromkeys(general.asked_at, RowScore(0.0, 0, 0))
    for number, found in zip(asked, seen[len(sizes) :], strict=True):
        nats = divergence(base.log_probabilities[number], found.log_probabilities)
        far[general.asked_at[number]] = RowScore(float(nats.sum()), len(nats), 0)
    return Forgotten(
        {skill: _measures(general, before, after, far, some, seed) for skill, some in _by_skill(general).items()},
        tuple(_line(general, at, before[at], after[at], far.get(at)) for at in range(len(sizes))),
    )


def quantized(general: General, plain: Memory, packed: Memory, seed: int = 0) -> dict[str, Measure]:
    """What keeping the weights in fewer bits did to the loss on the general set, in nats a token: `rise`, each passage
    compared with itself, of the `plain` model's to the `quantized` one's. Intervals resample passages."""
    sizes = [row.trained_tokens for row in general.rows]

    def sample(side: Memory) -> Sample:
        scores = [RowScore(nats, size, 0) for nats, size in zip(side.losses.tolist(), sizes, strict=True)]
        return _sample(general, scores, range(len(scores)))

    was, now = sample(plain), sample(packed)
    return {
        "rise": loss.difference(now, was, np.random.default_rng(seed)),
        "plain": loss.measure(was, np.random.default_rng(seed)),
        "quantized": loss.measure(now, np.random.default_rng(seed)),
    }


def divergence(before: NDArray[np.float32], after: NDArray[np.float32]) -> NDArray[np.float64]:
    """KL divergence (P) of two expectations whose log-probabilities of the same tokens (P, K) are known, in nats.

    The sum of p log(p / q) over these tokens and over all others taken as one, so it is at most the divergence over the
    whole vocabulary. For p = (1/2, 1/4) and q = (1/4, 1/4) it is 1/2 log 2 + 0 + 1/4 log 1/2 = 0.1733.

    Source: Kullback and Leibler 1951, "On information and sufficiency".
    """
    p, q = (np.exp(side.astype(np.float64)) for side in (before, after))
    rest_p, rest_q = (np.maximum(1 - side.sum(axis=1), _LEAST) for side in (p, q))
    known = (p * (before.astype(np.float64) - after)).sum(axis=1)
    nats: NDArray[np.float64] = np.maximum(known + rest_p * np.log(rest_p / rest_q), 0.0)
    return nats


def _measures(
    general: General,
    before: Sequence[RowScore],
    after: Sequence[RowScore],
    far: Mapping[int, RowScore],
    some: Sequence[int],
    seed: int,
) -> dict[str, Measure]:
    """The measures of some passages. Each starts from the same seed."""

    was, now = _sample(general, before, some), _sample(general, after, some)
    kl = _sample(general, far, [at for at in some if at in far])
    return {
        "rise": loss.difference(now, was, np.random.default_rng(seed)),
        "base": loss.measure(was, np.random.default_rng(seed)),
        "tuned": loss.measure(now, np.random.default_rng(seed)),
        "agreement": token_accuracy.measure(now, np.random.default_rng(seed)),
        "kl": loss.measure(kl, np.random.default_rng(seed))
        if kl.questions
        else Measure(None, reason="base answered no question of this skill"),
    }


def _sample(general: General, scores: Mapping[int, RowScore] | Sequence[RowScore], chosen: Sequence[int]) -> Sample:
    """The scores of some passages, as metrics take them."""
    rows = [general.rows[at] for at in chosen]
    return Sample([Question(row.tokens, "", "", row.place) for row in rows], (), [scores[at] for at in chosen])


def _by_skill(general: General) -> dict[str, list[int]]:
    skills = {ALL: list(range(len(general.passages)))}
    for index, passage in enumerate(general.passages):
        skills.setdefault(passage.skill, []).append(index)
    return skills


def _line(general: General, at: int, before: RowScore, after: RowScore, far: RowScore | None) -> dict[str, Any]:
    passage = general.passages[at]
    return {
        "skill": passage.skill,
        "passage": passage.text or passage.prompt,
        "tokens": before.tokens,
        "base_loss": before.loss,
        "tuned_loss": after.loss,
        "agreeing": after.correct,
        "answer_tokens": far.tokens if far else 0,
        "kl": far.loss if far else None,
    }


_NOTHING = Outlook(
    np.zeros(0, np.float32), np.zeros(0, np.int64), np.zeros((0, KEPT), np.int64), np.zeros((0, KEPT), np.float32)
)
