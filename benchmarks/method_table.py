"""The mission's table of the five methods, measured: two tasks, three seeds, `luthier compare` on both.

`python -m benchmarks.method_table [--minutes 4] [--seeds 0,1,2] [--write] [--smoke]`

`--write` puts the table into docs/methods.md, between its two marks. Killed, it goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring import RESULTS, ROOT, SCRATCH, Kept, code_of
from benchmarks.six_tasks import COMPARED, without_places
from benchmarks.tasks import TASKS, Task, write
from luthier.report import numbers
from luthier.settings.mission import METHODS

PAGE = ROOT / "docs" / "methods.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
TWO = ("trec6", "e2e_nlg")


def main() -> None:
    """Runs what is not kept yet, and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, help="of optimizer steps a run: 4, or a twentieth with --smoke")
    parser.add_argument("--seeds", help="with commas between them: 0,1,2, or 0 with --smoke")
    parser.add_argument("--methods", help="of the five; left out: all")
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--smoke", action="store_true", help="seconds instead of minutes, 6 rows, one task")
    parser.add_argument("--write", action="store_true", help="put the table into docs/methods.md")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    minutes = asked.minutes or (0.05 if asked.smoke else 4.0)
    seeds = [int(seed) for seed in (asked.seeds or ("0" if asked.smoke else "0,1,2")).split(",")]
    kept = Kept(
        asked.out or (SCRATCH / "smoke" / "method_table.json" if asked.smoke else RESULTS / "method_table.json")
    )
    methods = asked.methods.split(",") if asked.methods else []
    parts = []
    for task in [task for task in TASKS if task.name in (TWO[:1] if asked.smoke else TWO)]:
        folder = SCRATCH / ("smoke" if asked.smoke else "method_table") / task.name
        run_file = write(task, folder, *((6, 60, 20) if asked.smoke else ()))
        parts.append(part(task, _compared(kept, task, run_file, asked.model, minutes, seeds, methods)))
        print(f"\n{parts[-1]}\n", flush=True)
    made = next(iter(kept.measurements.values()))
    command = f"python -m benchmarks.method_table --minutes {minutes:g} --seeds {','.join(map(str, seeds))} --write"
    where = f"{made['machine']['processor']}, {made['machine']['cores_used']} cores, commit {made['commit'][:8]}"
    text = "\n\n".join([f"`{command}`, {asked.model}; {where}.", *parts])
    if asked.write:
        _put(text)
    print(f"kept in {kept.path}")


def part(task: Task, found: Mapping[str, Any]) -> str:
    """A task's table as Markdown: the mission's words beside what was measured."""
    head = f"**{task.what.capitalize()}** ({task.name}): {found['train_rows']:,} training rows, {found['rows']} scored."
    lines = [
        f"| method | parameters | measured | compute | peak memory | time | quality | {task.metric}, 95% interval | "
        "forgetting | learning rate |",
        "|---|---|--:|---|--:|--:|---|--:|--:|--:|",
    ]
    for one in found["methods"]:
        words = METHODS[one["tuning_method"]]
        share = one["trainable_share"]
        forgot = one["metrics"].get("forgetting", {}).get("value")
        cells = [
            words.title,
            words.parameters,
            "–" if share is None else f"{share:.4%}",
            words.compute,
            numbers.size(one["peak_memory_bytes"]),
            numbers.duration(one["seconds"]),
            words.quality,
            _measured(one["metrics"][task.metric], task.metric == "accuracy"),
            numbers.number(forgot),
            numbers.rate(one["learning_rate"]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    good_for = [f"- {METHODS[one['tuning_method']].title}: {one['best_for']}" for one in found["methods"]]
    return "\n".join([head, "", *lines, "", f"Best: {found['why']}. Best for:", "", *good_for])


def _measured(measure: Mapping[str, Any], share: bool) -> str:
    ends = numbers.interval(measure["value"], measure["low"], measure["high"], share)
    return f"{numbers.measured(measure['value'], share)} {ends}"


def _compared(
    kept: Kept, task: Task, run_file: Path, model: str, minutes: float, seeds: Sequence[int], methods: Sequence[str]
) -> dict[str, Any]:
    import luthier

    key, code = f"{task.name} | {model} | {minutes:g} minutes | seeds {seeds}", code_of(*COMPARED)
    result = kept.result(key, code)
    if result is None:
        found = luthier.compare(
            str(run_file),
            methods=methods,
            seeds=seeds,
            minutes=minutes,
            overrides=[f"model={model}"],
            name=f"table-{code}-{minutes:g}-{len(seeds)}",
            root=run_file.parent / "runs",
            listen=lambda event: print(f"  {event.text}", flush=True) if hasattr(event, "text") else None,
        )
        result = without_places(found, details=("seeds",))
        kept.keep(key, code, result)
    return result


def _put(text: str) -> None:
    """Puts the text between the page's marks."""
    page = PAGE.read_text(encoding="utf-8")
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{PAGE} has lost its marks {BEGIN} and {END}")
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
