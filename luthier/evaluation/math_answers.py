"""Whether two texts say the same in mathematics, found out by math-verify in a process of its own.

A short formula may take for ever, or all memory: `9^{9^{9^{9}}}`. So that process has limits, and is replaced when it
meets them; a pair that does is not the same.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import select
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from typing import Final

SECONDS: Final = 5
SECONDS_TO_START: Final = 120
MEMORY_BYTES: Final = 4 * 2**30
LETTERS: Final = 4000
"""Of a text, the end that is looked at: the result stands there."""

_known: dict[tuple[str, str], bool] = {}


def same_mathematics(pairs: Sequence[tuple[str, str]]) -> list[bool]:
    r"""Of each (wanted, answer) whether the answer's last formula or number equals the wanted one's.

    `same_mathematics([(r"$\frac{1}{2}$", "0.5"), (r"\boxed{x+1}", "$1+x$")])` is [True, True].
    """
    left = [pair for pair in dict.fromkeys(pairs) if pair not in _known]
    while left:
        judged = _judged(left)
        _known.update(zip(left, judged, strict=False))
        if len(judged) < len(left):
            _known[left[len(judged)]] = False
        left = left[len(judged) + 1 :]
    return [_known[pair] for pair in pairs]


def _judged(pairs: Sequence[tuple[str, str]]) -> list[bool]:
    """What the process says, up to the pair that it does not survive."""
    process = _process()
    assert process.stdin is not None
    judged: list[bool] = []
    for wanted, answer in pairs:
        try:
            process.stdin.write(json.dumps([wanted[-LETTERS:], answer[-LETTERS:]]).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            break
        # The process gives up by itself after `SECONDS` a step; this is for what it cannot interrupt.
        if not (said := _line(process, 4 * SECONDS)):
            break
        judged.append(said == b"true\n")
    if len(judged) < len(pairs):
        _end(process)
        _process.cache_clear()
    return judged


@cache
def _process() -> subprocess.Popen[bytes]:
    """The process, started: it takes seconds, so it stays for the next metric."""
    command = [sys.executable, "-m", "luthier.evaluation.math_answers"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    atexit.register(_end, process)
    if _line(process, SECONDS_TO_START) != b"ready\n":
        _end(process)
        raise RuntimeError(f"math-verify does not start: {' '.join(command)} says why")
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def _line(process: subprocess.Popen[bytes], seconds: float) -> bytes:
    """The next line; empty where none comes in time, or the process has ended."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    return process.stdout.readline() if ready else b""


def _serve() -> None:
    """A line `[wanted, answer]` in, a line `true` or `false` out, until there is no more."""
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    os.nice(5)
    print("ready", flush=True)
    kinds = [LatexExtractionConfig(), ExprExtractionConfig()]
    for line in sys.stdin:
        meant, said = (parse(text, kinds, parsing_timeout=SECONDS) for text in json.loads(line))
        same = bool(meant and said) and verify(meant, said, timeout_seconds=SECONDS)
        print(json.dumps(bool(same)), flush=True)


if __name__ == "__main__":
    _serve()
