"""The process that computes beside this one: what it gives, and that it ends with the one that began it."""

from __future__ import annotations

import operator
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from luthier.jobs.beside import Beside

ROOT = Path(__file__).resolve().parents[2]


def test_it_gives_what_functions_give_one_after_another() -> None:
    with closing(Beside()) as beside:
        futures = [beside.submit(operator.mul, number, 3) for number in range(4)]
        assert [future.result(60) for future in futures] == [0, 3, 6, 9]


def test_where_it_was_ended_from_outside_the_future_says_so() -> None:
    with closing(Beside()) as beside:
        assert beside.submit(operator.neg, 1).result(60) == -1
        os.kill(beside._process.pid, signal.SIGKILL)
        beside._process.wait()
        with pytest.raises((EOFError, OSError)):
            beside.submit(operator.neg, 1).result(60)


def test_it_ends_with_a_process_that_is_killed() -> None:
    script = (
        "import operator, time\n"
        "from luthier.jobs.beside import Beside\n"
        "beside = Beside()\n"
        "assert beside.submit(operator.neg, 1).result(60) == -1\n"
        "print(beside._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for _ in range(200):
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return
        if stat.rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("it lives on")
