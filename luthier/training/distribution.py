"""Several processes that train one model together: each takes a share of a step's rows, and gradients are added up.

`torchrun --nproc-per-node 2 -m luthier train run.yaml` starts them. Each holds the whole model; a step's loss is
divided by the trained tokens of all its rows, wherever they are, so the gradients are those of one process. Only the
first process writes and speaks.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from luthier.errors import mistake
from luthier.flow import Tokenized

if TYPE_CHECKING:
    import torch

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class World:
    """The processes of a run: `rank` is this one's number, `size` how many there are. Alone it costs nothing."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    def check(self, processes: int, where: str) -> None:
        """Raises `UserError` where a checkpoint in `where` is of another number of processes: they draw dropout apart,
        so it would not go on bit by bit."""
        if processes == self.size:
            return
        again = f"torchrun --nproc-per-node {processes} -m luthier" if processes > 1 else "luthier"
        raise mistake(
            f"processes that trained this run: {processes}; that would go on with it: {self.size}",
            where,
            f"{again} train --resume RUN",
        )

    def share(self, rows: Sequence[Tokenized]) -> list[int]:
        """The rows of a step that this process takes, by index: about as many tokens as the others take.

        Rows that begin alike stay together, so that few shared tokens go through more than one process. Every process
        finds the same shares.
        """
        if self.size == 1:
            return list(range(len(rows)))
        order = sorted(range(len(rows)), key=lambda index: rows[index].tokens.tolist())
        whole = sum(len(row.tokens) for row in rows)
        shares: list[list[int]] = [[] for _ in range(self.size)]
        before = 0
        for index in order:
            length = len(rows[index].tokens)
            shares[min(self.size - 1, (2 * before + length) * self.size // (2 * whole))].append(index)
            before += length
        return sorted(shares[self.rank])

    def add_up(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Each parameter's gradient becomes the sum of all processes' gradients; none stays none."""
        if self.size == 1:
            return
        import torch
        from torch import distributed

        every = list(parameters)
        some_have = self.sums(*(parameter.grad is not None for parameter in every))
        for parameter, any_has in zip(every, some_have, strict=True):
            if any_has:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                with _all_there():
                    distributed.all_reduce(parameter.grad)

    def sums(self, *numbers: float) -> list[float]:
        """The sum of each number over all processes."""
        if self.size == 1:
            return list(numbers)
        import torch
        from torch import distributed

        tensor = torch.tensor(numbers, dtype=torch.float64, device=_device())
        with _all_there():
            distributed.all_reduce(tensor)
        summed: list[float] = tensor.tolist()
        return summed

    def gathered(self, value: Value) -> list[Value]:
        """What each process has, in the order of their numbers."""
        if self.size == 1:
            return [value]
        from torch import distributed

        found: list[Any] = [None] * self.size
        with _all_there():
            distributed.all_gather_object(found, value)
        return found

    def most(self, number: int) -> int:
        """The greatest of the processes' numbers."""
        return max(self.gathered(number))

    def first(self, value: Value) -> Value:
        """What the first process has."""
        if self.size == 1:
            return value
        from torch import distributed

        found: list[Any] = [value]
        with _all_there():
            distributed.broadcast_object_list(found)
        shared: Value = found[0]
        return shared


@contextmanager
def joined() -> Iterator[World]:
    """Within, this process stands in line with the others that torchrun started; alone where it started none."""
    size = processes()
    if size == 1:
        yield World()
        return
    import torch
    from torch import distributed

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # The first process prepares the rows while the others wait, however many there are.
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=timedelta(days=7))
    try:
        yield World(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def processes() -> int:
    """How many processes train together, as torchrun says; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _device() -> torch.device:
    import torch
    from torch import distributed

    return torch.device("cuda" if distributed.get_backend() == "nccl" else "cpu")


@contextmanager
def _all_there() -> Iterator[None]:
    """A process that ended leaves the others waiting: they stop with words."""
    try:
        yield
    except RuntimeError as error:
        remedy = "look at the other processes' messages, then go on: the same command with `train --resume RUN`"
        raise mistake("another process of this run has ended", f"rank {os.environ.get('RANK')}", remedy) from error
