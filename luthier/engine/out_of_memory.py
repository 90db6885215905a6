"""When memory runs out all the same: it is told from other errors, and what is left goes on in smaller passes."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from luthier.errors import mistake

SAID_SO = (
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "alloc_failed",
)
"""What stands in the message of a RuntimeError where an allocation failed: the CPU's, the operating system's, CUDA's,
C++'s and cuBLAS's words, in lower case."""
FEWEST_TOKENS = 16
"""Passes of fewer tokens are not tried: the nodes of a tree are hardly smaller."""

Result = TypeVar("Result")


def ran_out(error: BaseException) -> bool:
    """Whether an error says that there was no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in SAID_SO)


def let_go() -> None:
    """Gives back what a failed pass still holds. Only outside of the `except`, whose error holds the pass itself."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def in_smaller_passes(
    work: Callable[[Sequence[int], int], Iterator[tuple[int, Result]]], count: int, tokens_a_pass: int
) -> Iterator[tuple[int, Result]]:
    """What `work` finds of each of `count` things, with its index: where memory runs out, those left in passes of half
    as many tokens.

    `work(left, tokens_a_pass)` gives what it finds as (place in `left`, result). Raises `UserError` where there is no
    room for the smallest passes either.
    """
    left: Sequence[int] = range(count)
    while left:
        done: set[int] = set()
        too_large = False
        try:
            for at, result in work(left, tokens_a_pass):
                done.add(at)
                yield left[at], result
        except Exception as error:
            if not ran_out(error):
                raise
            too_large = True
        if not too_large:
            return
        let_go()
        left = [index for at, index in enumerate(left) if at not in done]
        tokens_a_pass //= 2
        if tokens_a_pass < FEWEST_TOKENS:
            raise mistake(
                "memory ran out, though the rows went through the model in the smallest passes",
                remedy="end what else uses memory here, or write a shorter `data.max_length`, and type the same again",
            )
