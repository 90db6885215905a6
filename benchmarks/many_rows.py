"""How much memory a run takes as its rows grow: 30 steps on a small random model, a process for each number of rows.

    python benchmarks/many_rows.py --rows 2000 200000

Prints, for each number of rows, the process's peak (resident) and its growth over the first, and the seconds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

STEPS = 30

CHILD = """
import json, resource, sys, time
from pathlib import Path
from luthier.flow import StepLog, result_of
from luthier.workflow.train import train

model, rows, root, steps = sys.argv[1:]
peaks = {}

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

def listen(event):
    if isinstance(event, StepLog):
        peaks.setdefault("before_step_1", event.memory_bytes)
        peaks["after_steps"] = event.memory_bytes

started = time.perf_counter()
sets = {
    "model": model, "data.train": rows, "tuning_method": "lora", "training_config.hyperparameters.max_steps": steps,
    "training_config.evaluation.eval_steps": steps, "training_config.evaluation.save_steps": steps, "name": "run",
}
result_of(train([], overrides=[f"{key}={value}" for key, value in sets.items()], root=Path(root)), listen)
print(json.dumps({**peaks, "peak_bytes": peak(), "seconds": time.perf_counter() - started}))
"""


def write_rows(path: Path, count: int) -> None:
    """Instruction rows of about 25 tokens, none like another."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            row = {"instruction": f"Where is the order {number * 7919 % 10_000_019}?", "output": f"On {number % 97}."}
            file.write(json.dumps(row) + "\n")


def measured(count: int, folder: Path) -> dict[str, float]:
    """What a run over so many rows took."""
    rows, root = folder / f"{count}.jsonl", folder / f"runs-{count}"
    write_rows(rows, count)
    command = [sys.executable, "-c", CHILD, str(folder / "model"), str(rows), str(root), str(STEPS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000, 200_000, 2_000_000])
    asked = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.conftest import write_tiny_model

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tiny_model(folder / "model")
        first = 0.0
        for count in asked.rows:
            found = measured(count, folder)
            first = first or found["peak_bytes"]
            at = ", ".join(
                f"{key} {found[key] / 2**20:,.0f} MiB" for key in ("before_step_1", "after_steps", "peak_bytes")
            )
            print(f"{count:,} rows: {at}, {found['peak_bytes'] / first - 1:+.1%}; {found['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
