"""Does `luthier advise` name a method that no other beats? The five methods and the advice on six small tasks.

`make bench-advice`, or `python -m benchmarks.six_tasks [--seconds 75] [--tasks trec6,sst2] [--smoke]`

Each task is compared by `luthier compare`: every method for 75 seconds of optimizer steps, the search for its learning
rate taken from them, 400 scored rows, seed 0. Before that `luthier advise` is asked, in a folder of its own in which no
comparison can be found; its compute budget is high, so that every method may be named. The advised method passes where
the paired test against the best by the task's metric has a probability of 5% or more. Killed, it goes on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.measuring import NUMERIC, RESULTS, SCRATCH, Kept, code_of
from benchmarks.tasks import TASKS, Task, write

COMPARED = (*NUMERIC, "luthier/data", "luthier/evaluation", "luthier/workflow/one_method.py", "benchmarks/tasks.py")
ADVISED = ("luthier/advice", "luthier/workflow", "benchmarks/tasks.py")
WANTED = 5
LEVEL = 0.05


def main() -> None:
    """Runs what is not kept yet, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, help="of optimizer steps a method: 75, or 3 with --smoke")
    parser.add_argument("--tasks", help=f"of {','.join(task.name for task in TASKS)}")
    parser.add_argument("--methods", help="of the five; left out: all")
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--compute-budget", default="high")
    parser.add_argument("--smoke", action="store_true", help="seconds instead of minutes, 6 rows, one task")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    seconds = asked.seconds or (3.0 if asked.smoke else 75.0)
    names = (asked.tasks or ("trec6" if asked.smoke else ",".join(task.name for task in TASKS))).split(",")
    methods = (asked.methods or "").split(",") if asked.methods else []
    kept = Kept(asked.out or (SCRATCH / "smoke" / "six_tasks.json" if asked.smoke else RESULTS / "six_tasks.json"))
    lines = {}
    for task in [task for task in TASKS if task.name in names]:
        folder = SCRATCH / ("smoke" if asked.smoke else "six_tasks") / task.name
        run_file = write(task, folder, *((6, 60, 20) if asked.smoke else ()))
        key = f"{task.name} | {asked.model} | {seconds:g} s"
        advice = advised(kept, f"{key} | advice, {asked.compute_budget}", folder, asked.model, asked.compute_budget)
        found = compared(kept, key, run_file, asked.model, seconds, methods)
        lines[task.name] = line(task, found, advice)
        print(json.dumps({task.name: lines[task.name]}), flush=True)
    passed = sum(one["passed"] for one in lines.values())
    kept.summarize(
        "six_tasks", {"seconds": seconds, "passed": passed, "of": len(lines), "wanted": WANTED, "tasks": lines}
    )
    print(f"\n{table(lines)}\n\n{passed} of {len(lines)} pass; kept in {kept.path}")


def compared(
    kept: Kept, key: str, run_file: Path, model: str, seconds: float, methods: Sequence[str]
) -> dict[str, Any]:
    """What `luthier compare` says of the task: its methods, without details, and its pairs."""
    import luthier
    from luthier.flow import Event, Note

    def listen(event: Event) -> None:
        if isinstance(event, Note):
            print(f"  {event.text}", flush=True)

    code = code_of(*COMPARED)
    result = kept.result(key, code)
    if result is None:
        found = luthier.compare(
            str(run_file),
            methods=methods,
            minutes=seconds / 60,
            overrides=[f"model={model}"],
            name=f"compared-{code}-{seconds:g}",
            root=run_file.parent / "runs",
            listen=listen,
        )
        result = without_places(found)
        kept.keep(key, code, result)
    return result


def without_places(found: Any, details: Sequence[str] = ()) -> dict[str, Any]:
    """A comparison as it is kept: without the folders of its runs, and of each metric's details these alone."""
    result = asdict(found)
    for method in result["methods"]:
        del method["runs"]
        for measure in method["metrics"].values():
            measure["details"] = {name: measure["details"][name] for name in details if name in measure["details"]}
    return result


def advised(kept: Kept, key: str, folder: Path, model: str, budget: str) -> Mapping[str, Any]:
    """What `luthier advise` says of the task's training rows; `error` where it says nothing."""
    code = code_of(*ADVISED)
    result = kept.result(key, code)
    if result is None:
        alone = folder / "advice"
        alone.mkdir(exist_ok=True)
        words = [
            "advise",
            "--data",
            str(folder / "train.jsonl"),
            "--model",
            model,
            "--compute-budget",
            budget,
            "--json",
        ]
        done = subprocess.run(
            [sys.executable, "-m", "luthier", *words], cwd=alone, capture_output=True, text=True, check=False
        )
        try:
            said = json.loads(done.stdout)
        except ValueError:
            said = {"errors": [{"message": done.stderr[-500:]}]}
        if "errors" in said:
            return {"error": said["errors"][0]["message"]}
        result = {name: said.get(name) for name in ("tuning_method", "why", "runner_up", "fine_tune")}
        kept.keep(key, code, result)
    return result


def line(task: Task, found: Mapping[str, Any], advice: Mapping[str, Any]) -> dict[str, Any]:
    """The task's line: each method's value, the best, the advised one and the test between them."""
    values = {one["run"]: one["metrics"][task.metric]["value"] for one in found["methods"]}
    best = (max if task.metric == "accuracy" else min)(values, key=lambda name: values[name])
    named = advice.get("tuning_method")
    probability = 1.0 if named == best else None
    for pair in found["pairs"]:
        if pair["metric"] == task.metric and {pair["one"], pair["other"]} == {named, best}:
            probability = pair["probability"]
    return {
        "what": task.what,
        "metric": task.metric,
        "values": values,
        "best": best,
        "advised": named,
        "fine_tune": advice.get("fine_tune"),
        "probability": probability,
        "passed": probability is not None and probability >= LEVEL,
        "error": advice.get("error", ""),
    }


def table(lines: Mapping[str, Mapping[str, Any]]) -> str:
    """The lines as Markdown."""
    methods = list(next(iter(lines.values()))["values"]) if lines else []
    head = ["task", "metric", *(method.replace("_", " ") for method in methods), "best", "advised", "p", "passes"]
    rows = [f"| {' | '.join(head)} |", f"|---|---|{'--:|' * len(methods)}---|---|--:|---|"]
    for name, one in lines.items():
        share = one["metric"] == "accuracy"
        values = [one["values"].get(method) for method in methods]
        shown = ["–" if value is None else f"{100 * value:.1f}%" if share else f"{value:.3f}" for value in values]
        chance = "–" if one["probability"] is None else f"{one['probability']:.2g}"
        cells = [
            name,
            one["metric"],
            *shown,
            one["best"],
            one["advised"] or "–",
            chance,
            "yes" if one["passed"] else "no",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
