"""The README's run on TREC-6, trained and evaluated, with every metric, verdict, forgetting and generalization.

`make bench-trec6`, or `python -m benchmarks.trec6.tour [--smoke] [--out FILE]`

Rows and run file are `prepare.py`'s: the 500 questions with the smallest SHA-1 are the test, the others are trained on.
Training and evaluation go through Luthier's own verbs, each in a process of its own; what they gave is kept in
`benchmarks/results/trec6.json`. Killed while it trains, the run goes on from its last checkpoint when the same is typed
again. At the end the README's table is printed as Markdown; with `--smoke` a few steps and questions show that all of
it works, and measure nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring import DATA, NUMERIC, RESULTS, SCRATCH, Kept, code_of, measure
from luthier.report.numbers import DASH, duration, interval, measured, rate

OWN = ("benchmarks/trec6/tour.py", "benchmarks/trec6/prepare.py", "benchmarks/trec6/run.yaml")
TRAINING = (*NUMERIC, "luthier/data", *OWN)
EVALUATION = (*TRAINING, "luthier/evaluation", "luthier/statistics", "luthier/workflow/evaluate.py")
LIMIT_SECONDS = 7200.0
SHARES = ("accuracy", "macro_f1", "label_scoring", "token_accuracy", "calibration_error")
LINES = ("accuracy", "macro_f1", "label_scoring", "calibration_error", "loss", "perplexity", "forgetting")
"""The metrics in the README's table."""

Result = dict[str, Any]
Measured = Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """One of the two: `what` is train or evaluate, of the run `name` under `folder`. 0 steps, 0 questions: all."""

    what: str
    folder: str
    name: str
    steps: int = 0
    questions: int = 0


# ------------------------------------------------------------------------------------------- in a process of its own


def measured_here(task: Task) -> Result:
    """What the verb gave, in this process."""
    return _trained(task) if task.what == "train" else _evaluated(task)


def _trained(task: Task) -> Result:
    import luthier
    from luthier.runs import Run

    folder, root = Path(task.folder), Path(task.folder) / "runs"
    if (root / task.name / "run.json").is_file():
        made = luthier.train(resume=str(root / task.name))
    else:
        few = [f"training_config.hyperparameters.max_steps={task.steps}"] if task.steps else []
        made = luthier.train(str(folder / "run.yaml"), overrides=few, name=task.name, root=root)
    run = Run.open(root / task.name)
    last = run.evaluations()
    return {
        **{key: value for key, value in asdict(made).items() if key not in ("folder", "run")},
        "learning_rate": run.read_provenance()["training_config.hyperparameters.learning_rate"]["value"],
        "rows": run.read_rows()["kept"],
        "peak_memory_bytes": max(step.memory_bytes for step in run.steps()),
        "validation_losses": [entry.validation_loss for entry in last],
    }


def _evaluated(task: Task) -> Result:
    import luthier

    folder = Path(task.folder)
    test = folder / "test.jsonl"
    if task.questions:
        lines = test.read_text(encoding="utf-8").splitlines(keepends=True)[: task.questions]
        test = folder / f"test-{task.questions}.jsonl"
        test.write_text("".join(lines), encoding="utf-8")
    started = time.perf_counter()
    report = asdict(luthier.evaluate(str(folder / "runs" / task.name), data=str(test)))
    for own in report["categories"].values():
        for found in own.values():
            found.pop("details")  # the whole set's hold all of these
    return report | {"data": test.name, "run": "trec", "seconds": time.perf_counter() - started}


# ----------------------------------------------------------------------------------------------------- the README's


def table(trained: Result, report: Result) -> Iterator[str]:
    """What the README says of the run, line by line."""
    targets = {target["metric"]: target for target in report["targets"]}
    yield f"| {report['rows']} held-back questions | untouched model | tuned | target | verdict |"
    yield "|---|--:|--:|--:|---|"
    for name in LINES:
        found = report["metrics"].get(name)
        if found is None or (found["value"] is None and name not in targets):
            continue
        target = targets.get(name)
        verdict = f"{target['target'].replace('<', '&lt;')} | {_verdict(target)}" if target else " | "
        base = _said(report["base"].get(name), name)
        yield f"| {name.replace('_', ' ').replace(' f1', ' F1')} | {base} | {_said(found, name)} | {verdict} |"
    if people := targets.get("human_eval"):
        yield f"| human eval | {DASH} | {DASH} | {people['target']} | {_verdict(people)} |"
    whole = report["forgetting"]["all"]
    alike = _said(whole["agreement"], "accuracy")
    yield ""
    yield (
        f"On the general set the loss is {_said(whole['rise'], 'rise')} nats a token above base's, both models find "
        f"the same token likeliest in {alike} of places, and the divergence on base's own answers is "
        f"{_said(whole['kl'], 'kl')}. The most it rose in {_worst(report['forgetting'])}."
    )
    yield ""
    yield "| changed without changing the answer | right before | right after | difference, points |"
    yield "|---|--:|--:|--:|"
    for name, change in report["changes"].items():
        sides = [_said(change[part], "accuracy") for part in ("before", "after", "difference")]
        yield f"| {name} | {' | '.join(sides)} |"
    yield ""
    yield "| " + " | ".join(["likeness to the nearest training row", *report["distances"]]) + " |"
    yield "|---" * (1 + len(report["distances"])) + "|"
    yield "| accuracy | " + " | ".join(_said(found, "accuracy") for found in report["distances"].values()) + " |"
    yield ""
    yield "| gaps, nats a token | " + " | ".join(name.replace("_", " ") for name in report["gaps"]) + " |"
    yield "|---" * (1 + len(report["gaps"])) + "|"
    yield "| | " + " | ".join(_said(found, "loss") for found in report["gaps"].values()) + " |"
    yield ""
    yield (
        f"Trained in {duration(trained['seconds'])}, {trained['steps']} steps at a rate of "
        f"{rate(trained['learning_rate'])}; evaluated, both models, in {duration(report['seconds'])}."
    )


def _said(found: Measured | None, name: str) -> str:
    if found is None or found["value"] is None:
        return DASH
    share = name in SHARES
    ends = interval(found["value"], found["low"], found["high"], share)
    return f"{measured(found['value'], share)} {ends}".strip()


def _verdict(target: Measured) -> str:
    more = target.get("rows_needed")
    return f"**{target['verdict'].replace('_', ' ')}**" + (f": {more:,} rows would settle it" if more else "")


def _worst(forgetting: Mapping[str, Measured]) -> str:
    skills = [(name, found["rise"]) for name, found in forgetting.items() if name != "all"]
    worst = sorted(skills, key=lambda one: -(one[1]["value"] or 0.0))[:3]
    return ", ".join(f"{name.replace('_', ' ')} ({_said(rise, 'rise')})" for name, rise in worst)


# ------------------------------------------------------------------------------------------------------------ whole


def main() -> None:
    """Makes what is not kept yet, and prints the table."""
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measured_here(Task(**json.loads(sys.argv[2])))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="3 steps, 6 questions: shows that it works")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    out = asked.out or (SCRATCH / "smoke" if asked.smoke else RESULTS) / "trec6.json"
    source = DATA / "trec6" / "TREC.train"
    if not source.is_file():
        sys.exit(f"the benchmark's rows are absent: {source}")
    folder = SCRATCH / "tour"
    from benchmarks.trec6.prepare import prepare

    prepare(source, folder)
    kept = Kept(out)
    steps, questions = (3, 6) if asked.smoke else (0, 0)
    name = f"trec{'-smoke' if asked.smoke else ''}-{code_of(*TRAINING)}"
    found: dict[str, Result] = {}
    for what, code in (("train", code_of(*TRAINING)), ("evaluate", code_of(*EVALUATION))):
        task = Task(what, str(folder), name, steps, questions)
        key = f"{what}, {steps or 'all'} steps, {questions or 'all'} questions"
        result = kept.result(key, code)
        if result is None:
            if what == "evaluate" and not (folder / "runs" / name / "weights").is_dir():
                print("the tuned weights are gone: trained anew", flush=True)
                measure("benchmarks.trec6.tour", asdict(Task("train", str(folder), name, steps)), LIMIT_SECONDS)
            result = measure("benchmarks.trec6.tour", asdict(task), LIMIT_SECONDS)
            if "stopped_after_seconds" in result:
                sys.exit(f"{key} did not end in {LIMIT_SECONDS:g} s: type the same again to go on")
            kept.keep(key, code, result)
        print(f"{key}: {result['seconds']:.0f} s", flush=True)
        found[what] = result
    verdicts = {target["metric"]: target["verdict"] for target in found["evaluate"]["targets"]}
    kept.summarize("tour", {"verdicts": verdicts, "command": "python -m benchmarks.trec6.tour"})
    print("\n" + "\n".join(table(found["train"], found["evaluate"])) + f"\n\nkept in {out}")


if __name__ == "__main__":
    main()
