"""Tasks of EleutherAI's lm-evaluation-harness through our own engine: the same model object, adapter and all.

Needs lm-eval, so it is imported only where that is asked for. The harness cuts contexts and continuations into tokens
and makes the numbers of a task; here they are scored and answered, what contexts share computed once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from lm_eval.api.model import TemplateLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from luthier.engine.forward import Engine
from luthier.engine.generation import answers
from luthier.errors import mistake
from luthier.flow import Place, Question, Tokenized

MOST_TOKENS: Final = 256
"""Tokens of an answer where a task does not say."""


class ThroughEngine(TemplateLM):  # type: ignore[misc]
    """A tuned model as the harness takes one. `cut` counts what was cut at its beginning to fit the context."""

    backend = "causal"

    def __init__(
        self, engine: Engine, tokenizer: Any, stops: Sequence[int], decode: Callable[[Sequence[int]], str], context: int
    ) -> None:
        super().__init__()
        self._engine, self._tokenizer, self._stops, self._decode = engine, tokenizer, tuple(stops), decode
        self._context = context
        self.cut = 0

    @property
    def eot_token_id(self) -> int:
        return self._stops[0]

    @property
    def prefix_token_id(self) -> int:
        """What stands before a text without context: the begin mark, or else the end mark, as the harness does it."""
        begin = self._tokenizer.bos_token_id
        return self.eot_token_id if begin is None else int(begin)

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> list[int]:
        """Text -> its tokens, without marks of the tokenizer's own."""
        tokens: list[int] = self._tokenizer(string, add_special_tokens=False)["input_ids"]
        return tokens

    def _loglikelihood_tokens(self, requests: Sequence[Any], **kwargs: Any) -> list[tuple[float, bool]]:
        """(nats, whether each token is the likeliest) of each request's continuation after its context."""
        rows = [self._row(context, continuation) for _, context, continuation in requests]
        found = dict(self._engine.scores(rows))
        scores = [found[at] for at in range(len(rows))]
        return [(-score.loss, score.correct == score.tokens) for score in scores]

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """The nats of whole texts, in windows of the context where they are longer."""
        windows = [
            [
                make_disjoint_window(window)
                for window in get_rolling_token_windows(
                    self.tok_encode(request.args[0]), self.prefix_token_id, self._context - 1, 1
                )
            ]
            for request in requests
        ]
        scored = iter(self._loglikelihood_tokens([("", *window) for text in windows for window in text]))
        return [sum(next(scored)[0] for _ in text) for text in windows]

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Greedy answers, cut where a task's own stop begins. Raises `UserError` where a task wants to sample."""
        by_limit: dict[int, list[int]] = defaultdict(list)
        for at, request in enumerate(requests):
            options = request.args[1]
            if options.get("do_sample") or float(options.get("temperature") or 0) > 0:
                raise mistake(
                    "the task samples answers, and only greedy ones are given", "--lm-eval", "do_sample: false"
                )
            by_limit[int(options.get("max_gen_toks", MOST_TOKENS))].append(at)
        said: dict[int, str] = {}
        for limit, places in by_limit.items():
            asked = [self._question(requests[at].args[0], limit) for at in places]
            for index, answer in answers(self._engine, asked, self._decode, self._stops, limit):
                said[places[index]] = answer.text
        return [_until(said[at], request.args[1].get("until") or []) for at, request in enumerate(requests)]

    def _row(self, context: Sequence[int], continuation: Sequence[int]) -> Tokenized:
        tokens = [*context, *continuation]
        self.cut += len(tokens) > self._context
        weights = [0.0] * len(context) + [1.0] * len(continuation)
        kept, weighed = np.array(tokens[-self._context :]), np.array(weights[-self._context :])
        weighed[0] = 0.0
        return Tokenized(kept.astype(np.int32), weighed.astype(np.float32), Place("lm-eval", 0))

    def _question(self, context: str, limit: int) -> Question:
        tokens = self.tok_encode(context) or [self.prefix_token_id]
        room = max(1, self._context - limit)
        self.cut += len(tokens) > room
        return Question(np.array(tokens[-room:], dtype=np.int32), context, "", Place("lm-eval", 0))


def _until(text: str, stops: Sequence[str] | str) -> str:
    """A text up to the first of some stops: `_until("4\\n5", ["\\n"])` is `4`."""
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.split(stop)[0] if stop else text
    return text
