"""How long `luthier check` takes for a million varied chat rows, and how much memory: everything but `--deep`.

`make bench-check`, or `python -m benchmarks.check_rows [--rows 100000 1000000] [--workers 2] [--out FILE]`

The check is a process of its own with `--workers` worker processes (with 1 it reads by itself), on the cores that this
benchmark may use: `cores_used` in the record. Seconds are from its start to its end, imports and report too; those of
the processors, of all its processes, say what it takes where other work runs beside it. The peak is of all its
processes together, shared pages counted once; bytes a row are what each further row adds to it.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import varied_rows
from benchmarks.measuring import RESULTS, ROOT, SCRATCH, Kept, code_of, measure
from benchmarks.prepare import proportional

GOAL_SECONDS, GOAL_BYTES, GOAL_BYTES_A_ROW = 300, 3e9, 1024
LIMIT_SECONDS = 1_800
EVERY_SECONDS = 1.0
CODE = ("benchmarks/check_rows.py", "benchmarks/varied_rows.py", "luthier/data", "luthier/workflow/check.py")
START = """
import sys
from luthier.data import parallel
workers = int(sys.argv[1])
parallel.cores = lambda: workers
sys.argv[:] = ["luthier", *sys.argv[2:]]
from luthier.app.cli import main
main()
"""

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """A check of so many rows by so many worker processes."""

    rows: int
    workers: int

    @property
    def key(self) -> str:
        return f"{self.rows:,} rows, {self.workers} {'worker' if self.workers == 1 else 'workers'}"


def measured_here(task: Task) -> Result:
    """Writes the rows where they are absent, and checks them."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    path = SCRATCH / f"varied-{code_of('benchmarks/varied_rows.py')}-{task.rows}.jsonl"
    if not path.is_file():
        aside = path.with_suffix(".new")
        varied_rows.write(aside, task.rows)
        aside.replace(path)
    with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as said:
        command = [sys.executable, "-c", START, str(task.workers), "check", str(path), "--json"]
        before = _processor_seconds()
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=told, stderr=said, cwd=ROOT)
        try:
            peak = _peak(process)
        finally:
            process.kill()
            process.wait()
        seconds, used = time.perf_counter() - started, _processor_seconds() - before
        told.seek(0)
        said.seek(0)
        if process.returncode not in (0, 1):
            message = (told.read()[:4000] + said.read()[-4000:]).decode()
            raise SystemExit(f"luthier check failed ({process.returncode}):\n{message}")
        report = json.load(told)
    return {
        "seconds": seconds,
        "processor_seconds": used,
        "rows_a_second": task.rows / seconds,
        "peak_memory_bytes": peak,
        "file_bytes": path.stat().st_size,
        "read": report["read"],
        "found": _found(report),
    }


def _processor_seconds() -> float:
    """What the processes that this one has started and seen end took, with their own."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _peak(process: subprocess.Popen[bytes]) -> int:
    """The most memory that a process and its children had together until it ended."""
    peak = 0
    while process.poll() is None:
        try:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
        except OSError:
            children = []
        peak = max(peak, sum(proportional(one) for one in (str(process.pid), *children)))
        time.sleep(EVERY_SECONDS)
    return peak


def _found(report: Mapping[str, Any]) -> dict[str, int]:
    """The rows with a hit by check, where there are any: the same for the same code and rows."""
    checks = (named for criterion in report["criteria"].values() for named in criterion["checks"].items())
    return {name: check["rows"] for name, check in checks if check["rows"]}


def summary(found: Mapping[Task, Result]) -> Result:
    """The figures of the largest number of rows beside the goals, and what a row adds to the memory."""
    tasks = sorted(found, key=lambda task: task.rows)
    least, most = found[tasks[0]], found[tasks[-1]]
    out: Result = {
        "rows": tasks[-1].rows,
        "workers": tasks[-1].workers,
        "seconds": most["seconds"],
        "processor_seconds": most["processor_seconds"],
        "rows_a_second": most["rows_a_second"],
        "peak_memory_bytes": most["peak_memory_bytes"],
        "goals": {"seconds": GOAL_SECONDS, "memory_bytes": GOAL_BYTES, "bytes_a_row": GOAL_BYTES_A_ROW},
    }
    if len(tasks) > 1:
        more = most["peak_memory_bytes"] - least["peak_memory_bytes"]
        out["bytes_a_row"] = more / (tasks[-1].rows - tasks[0].rows)
    return out


def main() -> None:
    """Checks each number of rows, or one where `--one` says so."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS / "check.json")
    parser.add_argument("--one")
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measured_here(Task(**json.loads(asked.one)))))
        return
    kept, code = Kept(asked.out), code_of(*CODE)
    found: dict[Task, Result] = {}
    for task in (Task(rows, asked.workers) for rows in asked.rows):
        result = kept.result(task.key, code)
        if result is None:
            result = measure("benchmarks.check_rows", asdict(task), LIMIT_SECONDS)
            kept.keep(task.key, code, result)
        if "seconds" not in result:
            raise SystemExit(f"{task.key}: stopped after {LIMIT_SECONDS} seconds")
        found[task] = result
        print(
            f"{task.key}: {result['seconds']:.1f} s, {result['rows_a_second']:,.0f} rows/s, "
            f"{result['peak_memory_bytes'] / 1e6:,.0f} MB",
            flush=True,
        )
    whole = summary(found)
    kept.summarize(f"{whole['workers']} workers on {kept.machine['cores_used']} cores", whole)
    print(json.dumps(whole, indent=1))
    print(f"kept in {asked.out}")


if __name__ == "__main__":
    main()
