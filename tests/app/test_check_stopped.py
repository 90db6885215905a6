"""Ctrl-C in a terminal while `luthier check` reads: every process ends, and the report is of the rows so far."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

ROWS = 24_000
PATIENCE_SECONDS = 120
START = """
from luthier.data import parallel
parallel.cores = lambda: 2  # worker processes on one core too
from luthier.app.cli import main
main()
"""


def test_ctrl_c_ends_the_reading_with_the_report_of_the_rows_so_far(tmp_path: Path) -> None:
    """The file is long enough for worker processes, which Ctrl-C reaches too; the line on the terminal says how long it
    still takes."""
    path = tmp_path / "rows.jsonl"
    write_rows(path)
    terminal, its_end = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", START, "check", str(path), "--json"],
        stdout=subprocess.PIPE,
        stderr=its_end,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(its_end)
    said = Said(terminal)
    try:
        said.wait_for("checking rows", "left", process)
        os.killpg(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE_SECONDS)
        said.join(PATIENCE_SECONDS)
    finally:
        process.kill()
    assert process.returncode == 130, said.text
    report = json.loads(out)
    assert report["complete"] is False
    assert 0 < report["read"] < ROWS
    assert f"stopped: the report is of the first {report['read']:,} rows" in said.text
    assert report["criteria"]["no_harmful_content"]["checks"]["harmful_content"]["rows"] > 0
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)  # no worker is left


def write_rows(path: Path) -> None:
    """Rows of 350 bytes, of which each 100th has an insult."""
    chance = random.Random(0)
    words = [f"{chance.choice('bdfgklmnprst')}{chance.choice('aeiou')}{number:x}" for number in range(3_000)]
    with path.open("w", encoding="utf-8") as file:
        for number in range(ROWS):
            asked, told = (" ".join(chance.choices(words, k=25)) for _ in range(2))
            insult = " You are a worthless idiot." if number % 100 == 0 else ""
            row = {"instruction": f"{asked}?", "response": f"{told}.{insult}"}
            file.write(json.dumps(row) + "\n")


class Said(threading.Thread):
    """What a terminal is told, read as it comes: a process that tells it more than it holds would wait for a reader."""

    def __init__(self, terminal: int) -> None:
        super().__init__(daemon=True)
        self.terminal, self.text = terminal, ""
        self.start()

    def run(self) -> None:
        """Until the other end is closed, which Linux tells by an error."""
        with contextlib.suppress(OSError):
            while told := os.read(self.terminal, 4096):
                self.text += told.decode("utf-8", "replace")
        os.close(self.terminal)

    def wait_for(self, first: str, then: str, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while then not in self.text.partition(first)[2]:
            assert process.poll() is None, self.text
            assert time.monotonic() < end, self.text
            time.sleep(0.02)
