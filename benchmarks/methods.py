"""How well the five methods do on TREC-6 in the same minutes, beside PEFT's prompt and prefix tuning as they come.

`make bench-methods`, or `python -m benchmarks.methods [--minutes 4] [--seeds 0,1,2] [--smoke]`

The 500 questions with the smallest SHA-1 are the test; a run is trained for 4 minutes on the others and answers them.
PEFT's methods start at random with 20 virtual tokens and are run at two rates; the better one counts, by the test's own
answers, which favours PEFT. One run is one measurement, kept at once: started again, a benchmark that was killed goes
on. How many steps fit the minutes is found by a probe of 6 steps, once a method and before
all runs; a run then takes that many, however long they last.

Differences are of the share of right answers, each question with itself, averaged over the seeds; their intervals draw
whole questions. The exact McNemar test runs over the answers of all seeds together.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import DATA, NUMERIC, RESULTS, ROOT, SCRATCH, Kept, code_of, measure
from benchmarks.trec6.tune import Result, Task
from luthier.statistics import mcnemar, mean_interval

METHODS = ("full", "lora", "qlora", "prompt_tuning", "prefix_tuning")
PEFT_METHODS = ("prompt_tuning", "prefix_tuning")
PEFT_RATES = (1e-4, 1e-3)
OWN = ("benchmarks/trec6/tune.py", "benchmarks/trec6/prepare.py", "benchmarks/rows.py")
CODE = {"luthier": (*NUMERIC, "luthier/data", *OWN), "peft": OWN}
LIMIT_SECONDS = 3600.0


@dataclass(frozen=True)
class Entry:
    """A line of the table."""

    by: str
    method: str
    rate: float = 0.0

    @property
    def name(self) -> str:
        if self.by == "luthier":
            return self.method
        return f"PEFT's {self.method}, rate {self.rate:g}"


ENTRIES = (
    *(Entry("luthier", method) for method in METHODS),
    *(Entry("peft", method, rate) for method in PEFT_METHODS for rate in PEFT_RATES),
)


def right(results: Sequence[Result]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Whether each answer is right, (seeds, questions)."""
    return np.array([[float(mark) for mark in result["right"]] for result in results])


def difference(first: Sequence[Result], second: Sequence[Result]) -> dict[str, Any]:
    """First minus second: the share of right answers with its interval, and the exact McNemar test."""
    one, other = right(first), right(second)
    by_question = (one - other).mean(axis=0)
    ends = mean_interval(by_question, np.random.default_rng(0))
    only_first, only_second = int(((one - other) > 0).sum()), int(((one - other) < 0).sum())
    return {
        "value": float(by_question.mean()),
        "low": ends.low if ends else None,
        "high": ends.high if ends else None,
        "only_first": only_first,
        "only_second": only_second,
        "answers": int(one.size),
        "p": mcnemar(only_first, only_second),
    }


def summary(found: Mapping[Entry, Sequence[Result]]) -> dict[str, Any]:
    """The table's lines, and the differences that are asked for."""
    lines = {}
    for entry, results in found.items():
        marks = right(results)
        ends = mean_interval(marks.mean(axis=0), np.random.default_rng(0))
        lines[entry.name] = {
            "accuracy": float(marks.mean()),
            "low": ends.low if ends else None,
            "high": ends.high if ends else None,
            "by_seed": marks.mean(axis=1).tolist(),
            "learning_rate": results[0]["learning_rate"],
            "steps": [result["steps"] for result in results],
            "cut": [result["cut"] for result in results],
            "peak_memory_bytes": max(result["peak_memory_bytes"] for result in results),
        }
    by_method = {entry.method: entry for entry in found if entry.by == "luthier"}
    pairs = [(by_method[method], _better(method, found)) for method in PEFT_METHODS]
    pairs += [(by_method[method], by_method["lora"]) for method in METHODS if method != "lora"]
    differences = {f"{one.name} - {other.name}": difference(found[one], found[other]) for one, other in pairs}
    return {"methods": lines, "differences": differences}


def _better(method: str, found: Mapping[Entry, Sequence[Result]]) -> Entry:
    peft = [entry for entry in found if (entry.by, entry.method) == ("peft", method)]
    return max(peft, key=lambda entry: right(found[entry]).mean())


def table(came_out: Mapping[str, Any]) -> str:
    """The summary as Markdown."""
    lines = ["| method | rate | accuracy, 95% interval | by seed | steps | peak memory |", "|---|--:|--:|--:|--:|--:|"]
    for name, one in came_out["methods"].items():
        seeds = ", ".join(f"{100 * share:.1f}" for share in one["by_seed"])
        steps = ", ".join(str(count) for count in one["steps"])
        memory = one["peak_memory_bytes"] / 1e9
        lines.append(
            f"| {name} | {one['learning_rate']:g} | {_percent(one, 'accuracy')} | {seeds} | {steps} | {memory:.1f} GB |"
        )
    lines += ["", "| difference | points, 95% interval | only the first right | only the second | exact McNemar |"]
    lines.append("|---|--:|--:|--:|--:|")
    for name, one in came_out["differences"].items():
        only = f"{one['only_first']} of {one['answers']} | {one['only_second']}"
        lines.append(f"| {name} | {_percent(one, 'value')} | {only} | p = {one['p']:.2g} |")
    return "\n".join(lines)


def _percent(one: Mapping[str, Any], name: str) -> str:
    ends = "" if one["low"] is None else f" [{100 * one['low']:.1f}, {100 * one['high']:.1f}]"
    return f"{100 * one[name]:.1f}{ends}"


def main() -> None:
    """Runs what is not kept yet, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, help="of training a run: 4, or a twentieth with --smoke")
    parser.add_argument("--seeds", help="with commas between them: 0,1,2, or 0 with --smoke")
    parser.add_argument("--smoke", action="store_true", help="seconds instead of minutes, 4 questions")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    minutes = asked.minutes or (0.05 if asked.smoke else 4.0)
    seeds = [int(seed) for seed in (asked.seeds or ("0" if asked.smoke else "0,1,2")).split(",")]
    out = asked.out or (SCRATCH / "smoke" / "methods.json" if asked.smoke else RESULTS / "methods.json")
    folder = SCRATCH / "trec6"
    _prepare(folder)
    kept = Kept(out)
    found: dict[Entry, list[Result]] = {entry: [] for entry in ENTRIES}
    steps = {entry: _steps(kept, entry, minutes, folder) for entry in ENTRIES}
    for seed in seeds:  # one seed of every method after another, so that a slow hour hits all alike
        for entry, results in found.items():
            count = 4 if asked.smoke else 500
            task = Task(entry.by, entry.method, seed, minutes, count, str(folder), entry.rate, steps[entry])
            result = _result(kept, f"{entry.name} | {minutes:g} minutes | seed {seed}", task)
            results.append(result)
            share = result["right"].count("1") / len(result["right"])
            times = (
                f"{result['steps']} steps in {result['seconds']:.0f} s, answered in {result['answer_seconds']:.0f} s"
            )
            print(f"seed {seed}  {entry.name:32} {100 * share:5.1f}%  {times}", flush=True)
    came_out = summary(found)
    kept.summarize("methods", {"minutes": minutes, "seeds": seeds, **came_out})
    print(f"\n{table(came_out)}\n\nkept in {out}")


def _steps(kept: Kept, entry: Entry, minutes: float, folder: Path) -> int:
    """How many steps of an entry fit the minutes."""
    task = Task(entry.by, entry.method, 0, minutes, 0, str(folder), entry.rate)
    return int(_result(kept, f"steps that fit | {minutes:g} minutes | {entry.by} | {entry.method}", task)["steps"])


def _result(kept: Kept, key: str, task: Task) -> Result:
    code = code_of(*CODE[task.by])
    result = kept.result(key, code)
    if result is None:
        result = measure("benchmarks.trec6.tune", asdict(task), LIMIT_SECONDS)
        if "stopped_after_seconds" in result:
            sys.exit(f"{key} did not end in {LIMIT_SECONDS:g} s")
        kept.keep(key, code, result)
    return result


def _prepare(folder: Path) -> None:
    source = DATA / "trec6" / "TREC.train"
    if not source.is_file():
        sys.exit(f"the benchmark's rows are absent: {source}")
    script = ROOT / "benchmarks" / "trec6" / "prepare.py"
    subprocess.run([sys.executable, str(script), str(source), str(folder)], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
