"""Eight sick runs, each diagnosed, remedied and measured again: what helped, what harmed, what it took.

`make bench-remedies`, or `python -m benchmarks.remedies [--only forgetting] [--at-most 4x]`

A run is trained by `luthier train`, evaluated on 100 test rows that took no part, and handed to `luthier remedy`, which
chooses by itself. A run that was remedied is kept at once: started again, a benchmark that was killed goes on, in the
middle of a remedy too. Nothing is left out of the table: what did not help stands there as it came out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from benchmarks.measuring import NUMERIC, RESULTS, SCRATCH, Kept, code_of, measure
from benchmarks.remedies.sick import SICK, Sick

CODE = (
    *NUMERIC,
    "luthier/diagnosis",
    "luthier/evaluation/remedied.py",
    "luthier/workflow/candidates.py",
    "luthier/workflow/remedy.py",
    "benchmarks/remedies/sick.py",
)
LIMIT_SECONDS = 4 * 3600.0


def one(task: Mapping[str, Any]) -> dict[str, Any]:
    """One sick run from its rows to what remedies came to."""
    import luthier

    sick = next(one for one in SICK if one.name == task["name"])
    folder = Path(task["folder"])
    run_file = sick.write(folder)
    root = folder / "runs"
    run = root / "sick"
    if not (run / "weights").is_dir():
        resume = str(run) if (run / "run.json").is_file() else None
        luthier.train(() if resume else str(run_file), name=None if resume else "sick", resume=resume, root=root)
    if not (run / "reports" / "evaluation.json").is_file():
        luthier.evaluate(str(run), root=root)
    found = luthier.remedy(str(run), at_most=task["at_most"], root=root)
    return summary(sick.issue, found)


def summary(issue: str, found: Any) -> dict[str, Any]:
    """What the table needs; the folders of the runs are left out."""
    return {
        "issue": issue,
        "found": found.symptom,
        "all_found": dict(found.before.symptoms),
        "cause": found.cause,
        "says": found.says,
        "helped": found.helped,
        "why": found.why,
        "by": [attempt.remedy for attempt in found.tried if attempt.outcome == "helped"],
        "tried": [
            {"remedy": attempt.remedy, "outcome": attempt.outcome, "why": attempt.why} for attempt in found.tried
        ],
        "signs": [asdict(change) for change in found.signs],
        "targets": [asdict(change) for change in found.targets],
        "verdicts": {
            side: {target.metric: target.verdict for target in state.targets}
            for side, state in (("before", found.before), ("after", found.after))
            if state is not None
        },
        "seconds": found.before.seconds,
        "times": found.times,
        "remedy_seconds": found.seconds,
    }


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The results as Markdown."""
    lines = [
        "| sick run | seconds | found first | remedy | sign: before, after | targets: before, after | cost | helped |",
        "|---|--:|---|---|---|---|--:|---|",
    ]
    for name, one in results.items():
        signs = "; ".join(_change(change) for change in one["signs"]) or "–"
        targets = "; ".join(_change(change) for change in one["targets"]) or "–"
        found = one["found"] or "nothing"
        remedy = " then ".join(one["by"]) or ", ".join(
            attempt["remedy"] for attempt in one["tried"] if attempt["outcome"] in ("no_help", "harmed")
        )
        cells = (
            name,
            f"{one['seconds']:.0f}",
            found if found == one["issue"] else f"{found} (meant: {one['issue']})",
            remedy.replace("_", " ") or "none",
            signs,
            targets,
            f"{one['times']:.1f}x",
            "yes" if one["helped"] else "no",
        )
        lines.append(f"| {' | '.join(cells)} |")
    helped = sum(one["helped"] for one in results.values())
    harmed = sum(one["helped"] and any(c["how"] == "worse" for c in one["targets"]) for one in results.values())
    lines += ["", f"Better beyond noise in {helped} of {len(results)}; with a target worse beyond noise: {harmed}."]
    return "\n".join(lines)


def _change(change: Mapping[str, Any]) -> str:
    """`loss 0.92 [0.80, 1.05] to 0.31 [0.22, 0.44], better`."""
    from luthier.report.remedy import said_name

    sides = []
    for side in ("before", "after"):
        measured = change[side]
        if measured["value"] is None:
            return f"{said_name(change['name'])} not measured"
        ends = "" if measured["low"] is None else f" [{measured['low']:.3g}, {measured['high']:.3g}]"
        sides.append(f"{measured['value']:.3g}{ends}")
    return f"{said_name(change['name'])} {' to '.join(sides)}, {change['how']}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs what is not kept yet, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--only", default="", help="sick runs whose names begin so")
    parser.add_argument("--at-most", default="4x", help="what the remedies of a run may take: 4x")
    parser.add_argument("--table", action="store_true", help="only print what is kept")
    parser.add_argument("--out", type=Path, default=RESULTS / "remedies.json")
    asked = parser.parse_args(arguments)
    if asked.one:
        print(json.dumps(one(json.loads(asked.one))))
        return
    kept, code = Kept(asked.out), code_of(*CODE)
    results = {}
    for sick in SICK:
        key = f"{sick.name} | {asked.at_most}"
        result = kept.measurements.get(key, {}).get("result") if asked.table else kept.result(key, code)
        if result is None and not asked.table and sick.name.startswith(asked.only):
            result = _measured(sick, asked.at_most, code)
            kept.keep(key, code, result)
            print(f"{sick.name}: {result['why']}", flush=True)
        if result is not None:
            results[sick.name] = result
    if not asked.table:
        helped = [name for name, result in results.items() if result["helped"]]
        kept.summarize("remedies", {"at_most": asked.at_most, "done": list(results), "helped": helped})
    print(f"\n{table(results)}\n\nkept in {asked.out}")


def _measured(sick: Sick, at_most: str, code: str) -> dict[str, Any]:
    folder = SCRATCH / "remedies" / code / sick.name
    task = {"name": sick.name, "folder": str(folder), "at_most": at_most}
    result = measure("benchmarks.remedies", task, LIMIT_SECONDS)
    if "stopped_after_seconds" in result:
        sys.exit(f"{sick.name} did not end in {LIMIT_SECONDS:g} s")
    return result


if __name__ == "__main__":
    main()
