"""Scoring labels beside lm-eval: banking77's messages against its 77 labels, with the labels in the prompt.

`make bench-score`, or `python -m benchmarks.score_labels [--rows 500] [--peer-rows 5] [--rounds 1] [--smoke]`

lm-eval's HF backend is given each question with each label, in the faster of two batch sizes: 1, which is its default,
and 8, found on one row and 16 labels before all rounds. Ours gets the same tokens of the same rows, and then of many
rows. The figure is seconds a row, the model's loading and a few labels to warm up left out, each side in a process of
its own. Both have to pick the same labels, and to give log-probabilities within 1e-3 of each other, or the command ends
with exit code 1 and its speeds say nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import MODEL, RESULTS, SCRATCH, Kept, code_of, measure, shown, spread
from benchmarks.rows import rows

GOAL = 50.0
CLOSE = 1e-3
PROBED_LABELS = 16
CODE = ("benchmarks/score_labels.py", "benchmarks/rows.py", "luthier/engine", "luthier/models")

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """One side on so many rows and labels; `batch` is lm-eval's."""

    side: str
    rows: int
    labels: int
    batch: int = 0

    def key(self, number: int) -> str:
        words = f"{self.side}, {self.rows} rows, {self.labels} labels"
        return f"{words}, batch {self.batch}, round {number}" if self.batch else f"{words}, round {number}"


def probes(labels: int) -> list[Task]:
    """What finds the faster batch size of lm-eval."""
    return [Task("lm-eval", 1, min(PROBED_LABELS, labels), batch) for batch in (1, 8)]


def tasks(count: int, peer_count: int, labels: int, batch: int) -> list[Task]:
    """The sides of a round, in turn; `batch` is lm-eval's."""
    peer = Task("lm-eval", peer_count, labels, batch)
    return [peer, Task("luthier", peer_count, labels), Task("luthier", count, labels)]


def measured_here(task: Task) -> Result:
    """One side, in this process: its seconds, and each row's log-probabilities in the order of the labels."""
    from luthier import models

    source = models.resolve(MODEL)
    tokenizer = models.load_tokenizer(source)
    made = rows("shared", task.rows, tokenizer)
    prompts = [tokens[:prompt] for tokens, prompt in made]
    labels = _labels(tokenizer)[: task.labels]
    side = _by_lm_eval if task.side == "lm-eval" else _by_luthier
    seconds, found = side(source, prompts, labels, task.batch)
    return {"seconds": seconds, "seconds_a_row": seconds / task.rows, "log_probabilities": np.round(found, 6).tolist()}


def _labels(tokenizer: Any) -> list[list[int]]:
    """The tokens of each label with the end mark."""
    from benchmarks.measuring import DATA

    names = sorted(json.loads((DATA / "banking77" / "categories.json").read_text(encoding="utf-8")))
    return [[*tokenizer(name, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id] for name in names]


def _by_lm_eval(
    source: Any, prompts: Sequence[list[int]], labels: Sequence[list[int]], batch: int
) -> tuple[float, np.ndarray]:
    from lm_eval.models.huggingface import HFLM

    model = HFLM(pretrained=str(source.folder), backend="causal", dtype="float32", device=_device(), batch_size=batch)
    pairs = [(("", ""), prompt, label) for prompt in prompts for label in labels]
    model._loglikelihood_tokens(pairs[: max(2, batch)], disable_tqdm=True)
    started = time.perf_counter()
    found = model._loglikelihood_tokens(pairs, disable_tqdm=True)
    seconds = time.perf_counter() - started
    return seconds, np.array([one for one, _ in found]).reshape(len(prompts), len(labels))


def _by_luthier(
    source: Any, prompts: Sequence[list[int]], labels: Sequence[list[int]], batch: int
) -> tuple[float, np.ndarray]:
    import torch

    from luthier import models
    from luthier.engine.forward import Engine
    from luthier.engine.scoring import label_log_probabilities
    from luthier.flow import Place, Question, Tuned

    model = models.load_model(source, torch.float32).to(_device())
    engine = Engine(Tuned(model.requires_grad_(False).eval(), None, {}))
    asked = [
        Question(np.array(prompt, np.int32), "", "", Place("banking77", row)) for row, prompt in enumerate(prompts)
    ]
    behind = [np.array(label, np.int32) for label in labels]
    dict(label_log_probabilities(engine, asked[:1], behind[:2]))
    started = time.perf_counter()
    found = dict(label_log_probabilities(engine, asked, behind))
    seconds = time.perf_counter() - started
    return seconds, np.array([found[row] for row in range(len(asked))])


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def summary(found: Mapping[Task, Sequence[Result]]) -> Result:
    """How many times as fast ours are as lm-eval's faster batch size, by rounds, and how far the values are apart."""
    fastest = next(task for task in found if task.side == "lm-eval")
    out: Result = {"lm-eval's faster batch": fastest.batch}
    for task, results in found.items():
        if task.side == "lm-eval":
            continue
        ratios = [
            theirs["seconds_a_row"] / ours["seconds_a_row"]
            for theirs, ours in zip(found[fastest], results, strict=True)
        ]
        out[f"speed over lm-eval on {task.rows} rows"] = spread(ratios)
        if task.rows == fastest.rows:
            ours, theirs = (np.array(side[0]["log_probabilities"]) for side in (results, found[fastest]))
            out["furthest log-probability"] = float(np.abs(ours - theirs).max())
            out["equal picks"] = int((ours.argmax(1) == theirs.argmax(1)).sum())
            out["seconds a row"] = {"lm-eval": spread(_a_row(found[fastest])), "luthier": spread(_a_row(results))}
    return out


def _a_row(results: Sequence[Result]) -> list[float]:
    return [result["seconds_a_row"] for result in results]


def main() -> None:
    """All sides of all rounds; with `--one` a single measurement."""
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measured_here(Task(**json.loads(sys.argv[2])))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--peer-rows", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--limit", type=float, default=7200.0, help="seconds after which a measurement is stopped")
    parser.add_argument(
        "--smoke", action="store_true", help="few rows and labels: shows that it works, measures nothing"
    )
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    out = asked.out or (SCRATCH / "smoke" if asked.smoke else RESULTS) / "score_labels.json"
    labels = 5 if asked.smoke else 77
    kept, code = Kept(out), code_of(*CODE)

    def result_of(task: Task, number: int) -> Result:
        result = kept.result(task.key(number), code)
        if result is None:
            result = measure("benchmarks.score_labels", asdict(task), asked.limit)
            if "stopped_after_seconds" in result:
                sys.exit(f"{task.key(number)} did not end in {asked.limit:g} s; --limit gives it longer")
            kept.keep(task.key(number), code, result)
        print(f"{task.key(number)}: {result['seconds_a_row']:.3f} seconds a row", flush=True)
        return result

    probed = {task.batch: result_of(task, 0)["seconds_a_row"] for task in probes(labels)}
    faster = min(probed, key=lambda batch: probed[batch])
    sides = tasks(4, 2, labels, faster) if asked.smoke else tasks(asked.rows, asked.peer_rows, labels, faster)
    found: dict[Task, list[Result]] = {}
    for number in range(1, asked.rounds + 1):
        for task in sides:
            found.setdefault(task, []).append(result_of(task, number))
    came_out = summary(found) | {"seconds a row of the probe, by batch": probed}
    kept.summarize("labels", came_out)
    print("\n| | median (range) | goal |\n|---|--:|--:|")
    for name, value in came_out.items():
        if name.startswith("speed"):
            print(f"| {name} | {shown(value, 1)} | {GOAL:g} |")
    rows_of_peer = sides[0].rows
    print(f"| equal picks of {rows_of_peer} | {came_out['equal picks']} | {rows_of_peer} |")
    print(f"| furthest log-probability | {came_out['furthest log-probability']:.1e} | {CLOSE:.0e} |\n\nkept in {out}")
    if came_out["equal picks"] < rows_of_peer or came_out["furthest log-probability"] > CLOSE:
        sys.exit("the two sides do not agree, so their speeds say nothing")


if __name__ == "__main__":
    main()
