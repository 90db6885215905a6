"""Goes through the blocks of files on every core: each process reads all files and works on its own share of blocks.

So no rows travel between processes on the way in, the results come back in the files' order, a slow reader of results
holds the workers up, and a worker whose parent was killed finds that out when it has the next result to tell.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

from luthier.data.read import Block, blocks
from luthier.errors import UserError, mistake

Result = TypeVar("Result")
Work = Callable[[int, Block], Result]

FEW_BYTES = 4 << 20
"""Files of fewer bytes in all are worked on here: other processes would take longer to start."""


def each_block(
    paths: Sequence[Path], work: Work[Result], processes: int | None = None
) -> Iterator[tuple[int, int, Result | UserError]]:
    """For each block, in order: the number of its file, its `end` there, and what `work(number, block)` gives.

    What is wrong with a whole file comes as a `UserError`, and the next file follows; one that `work` raises is raised.
    `processes` is by default 1 for few bytes and else the number of cores; results travel, so they should be small.
    """
    if processes is None:
        processes = 1 if bytes_of(paths)[-1] < FEW_BYTES else cores()
    if processes == 1:
        yield from _here(paths, work)
        return
    before = _states(paths)
    yield from _elsewhere(paths, work, processes)
    for path, state in zip(paths, _states(paths), strict=True):
        if state != before[paths.index(path)]:
            raise mistake("the file changed while it was read", str(path), "wait until it is written, then start again")


def bytes_of(paths: Sequence[Path]) -> list[int]:
    """The bytes of all files before each, and of all in the end: for files of 5 and 7 bytes [0, 5, 12]."""
    return [0, *accumulate(size for size, _ in _states(paths))]


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _here(
    paths: Sequence[Path], work: Work[Result], share: int = 0, shares: int = 1
) -> Iterator[tuple[int, int, Result | UserError]]:
    """Works on the blocks whose number is `share` modulo `shares`; faults of whole files count for the first share."""
    count = 0
    for number, path in enumerate(paths):
        whole = blocks(path)
        while True:
            try:
                block = next(whole, None)
            except UserError as error:
                if share == 0:
                    yield number, 0, error
                break
            if block is None:
                break
            if count % shares == share:
                with _no_collector():
                    result = work(number, block)
                yield number, block.end, result
            count += 1


@contextlib.contextmanager
def _no_collector() -> Iterator[None]:
    """Without the search for garbage in circles: a block makes many objects and no circles, and is done soon."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _elsewhere(
    paths: Sequence[Path], work: Work[Result], processes: int
) -> Iterator[tuple[int, int, Result | UserError]]:
    # Forked, because `work` and the tokenizer in it are here already, and a program that calls us needs no guard.
    context = multiprocessing.get_context("fork")
    pipes, workers = [], []
    gc.freeze()  # a worker's collector would touch, and so copy, every page that it shares with us
    try:
        for share in range(processes):
            ours, theirs = context.Pipe(duplex=False)
            worker = context.Process(target=_serve, args=(theirs, paths, work, share, processes), daemon=True)
            with warnings.catch_warnings():
                # A child that only parses and tokenizes takes none of the locks that other threads may hold.
                warnings.simplefilter("ignore", DeprecationWarning)
                worker.start()
            theirs.close()
            pipes.append(ours)
            workers.append(worker)
        gc.unfreeze()
        yield from _in_turn(pipes)
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()


def _in_turn(pipes: Sequence[Connection]) -> Iterator[tuple[int, int, Result | UserError]]:
    """One block's result from each worker in turn, and the errors between them, until each says that it has no more."""
    working = list(pipes)
    while working:
        for pipe in list(working):
            while True:
                told = _next(pipe)
                if told is None:
                    working.remove(pipe)
                    break
                yield told
                if not isinstance(told[2], UserError):
                    break


def _next(pipe: Connection) -> Any:
    try:
        told = pipe.recv()
    except EOFError:
        raise mistake(
            "a process that read rows was ended from outside, perhaps for want of memory",
            remedy="free some memory and type the same again: what is prepared already is kept",
        ) from None
    if isinstance(told, UserError):
        raise told
    if isinstance(told, str):
        raise RuntimeError(f"a process that read rows failed:\n{told}")
    return told


def _serve(pipe: Connection, paths: Sequence[Path], work: Work[Result], share: int, shares: int) -> None:
    """A worker: tells each result, None at the end, the traceback of a fault of ours."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears of it and ends us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the threads of the tokenizer stayed behind in the parent
    with contextlib.suppress(BrokenPipeError):
        try:
            for told in _here(paths, work, share, shares):
                pipe.send(told)
            pipe.send(None)
        except BrokenPipeError:
            raise
        except UserError as error:
            pipe.send(error)
        except Exception:  # noqa: BLE001 - whatever it is, the parent reports it
            pipe.send(traceback.format_exc())


def _states(paths: Sequence[Path]) -> list[tuple[int, int]]:
    return [(state.st_size, state.st_mtime_ns) if (state := _stat(path)) else (0, 0) for path in paths]


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
