"""One process that computes beside this one, at a lower priority, so that who is waiting here is answered first.

It is a Python of its own that reads what to compute from its standard input, and ends where that ends: with this
process, killed or not. A program that calls us needs no guard for it.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

Result = TypeVar("Result")

NICE: Final = 5
LAST_WORDS_SECONDS: Final = 5


class Beside:
    """`Beside().submit(function, *arguments)` gives a future of what the function of a module gives. It fails with
    `EOFError` or `OSError` where the process ended."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "luthier.jobs.beside"]
        # In a session of its own, so that Ctrl-C in the terminal ends this process first.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        self._thread = ThreadPoolExecutor(1, "beside")

    def submit(self, function: Callable[..., Result], *arguments: Any) -> Future[Result]:
        return self._thread.submit(self._computed, function, *arguments)

    def close(self) -> None:
        """Ends the process, whatever it computes."""
        self._process.terminate()
        self._thread.shutdown(cancel_futures=True)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe and not pipe.closed:
                try:
                    pipe.close()
                except OSError:  # what was still to be written has nowhere to go
                    continue
        self._process.wait(LAST_WORDS_SECONDS)

    def _computed(self, function: Callable[..., Result], *arguments: Any) -> Result:
        assert self._process.stdin
        assert self._process.stdout
        pickle.dump((function, arguments), self._process.stdin)
        self._process.stdin.flush()
        result: Result = pickle.load(self._process.stdout)
        return result


def _serve() -> None:
    os.nice(NICE)
    while True:
        try:
            function, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        pickle.dump(function(*arguments), sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    _serve()
