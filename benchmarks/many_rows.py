"""How much memory a run takes as its rows grow: 30 steps of LoRA, a process for each number of rows.

    python benchmarks/many_rows.py --rows 2000 200000
    python benchmarks/many_rows.py --rows 2000 2000000 --model smollm2-135m-instruct --validation-rows 500

The model is a small random one where none is named; a tenth of the rows is held back where no number of validation
rows is given, which then have a file of their own.

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

model, rows, validation, root, steps = sys.argv[1:]
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
    "data.validation": validation,
    "training_config.evaluation.eval_steps": steps, "training_config.evaluation.save_steps": steps, "name": "run",
}
result_of(train([], overrides=[f"{key}={value}" for key, value in sets.items()], root=Path(root)), listen)
print(json.dumps({**peaks, "peak_bytes": peak(), "seconds": time.perf_counter() - started}))
"""


def write_rows(path: Path, count: int, first: int = 0) -> None:
    """Instruction rows of about 25 tokens, none like another."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(first, first + count):
            row = {"instruction": f"Where is the order {number * 7919 % 10_000_019}?", "output": f"On {number % 97}."}
            file.write(json.dumps(row) + "\n")


def measured(count: int, folder: Path, model: str, validation_rows: int) -> dict[str, float]:
    """What a run over so many rows took."""
    rows, root = folder / f"{count}.jsonl", folder / f"runs-{count}"
    write_rows(rows, count)
    validation = "0.1"
    if validation_rows:
        validation = str(folder / f"validation-{count}.jsonl")
        write_rows(Path(validation), validation_rows, count)
    command = [sys.executable, "-c", CHILD, model, str(rows), validation, str(root), str(STEPS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000, 200_000, 2_000_000])
    parser.add_argument("--model", help="a model by name or folder")
    parser.add_argument("--validation-rows", type=int, default=0, help="in a file of their own")
    asked = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.conftest import write_tiny_model

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = asked.model or str(folder / "model")
        if not asked.model:
            write_tiny_model(folder / "model")
        first = 0.0
        for count in asked.rows:
            found = measured(count, folder, model, asked.validation_rows)
            first = first or found["peak_bytes"]
            at = ", ".join(
                f"{key} {found[key] / 2**20:,.0f} MiB" for key in ("before_step_1", "after_steps", "peak_bytes")
            )
            print(f"{count:,} rows: {at}, {found['peak_bytes'] / first - 1:+.1%}; {found['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
