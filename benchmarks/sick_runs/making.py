"""Makes one half of the battery: trains each run, has it judged, and keeps what it left behind.

Killed, it goes on. A run that is not what it was meant to be is replaced by that of the next seed, and both are
written down.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import SCRATCH
from benchmarks.sick_runs import kept, packaged
from benchmarks.sick_runs.cases import HYPER, Case, Facts, Task, few_labels, tasks
from benchmarks.sick_runs.judging import Judge, Scores, shares
from benchmarks.sick_runs.real_rows import Row, Text, english
from benchmarks.sick_runs.tiny_model import RECIPES, as_read, tiny_model
from benchmarks.sick_runs.ways import WAYS, Way, full, healthy
from luthier.errors import UserError
from luthier.runs.run import Run

PLACE = SCRATCH / "sick_runs"
EACH = 4
HEALTHY = 24
TRIES = 5
"""Seeds of one run; where all fail their check the battery says so and has a run less, unless more are asked for."""
FIRST_SEED = {"build": 1000, "held-out": 5000, "held-out-2": 9000}

LORA_RATE = {"held-out-2": 2.0}
"""Times the rates of LoRA that fit the first half's model, for one that learns more slowly by them: by the judge's
measure on clean rows, before any run was made."""


@dataclass(frozen=True)
class Wanted:
    """A run to make: `name` is its folder's, `seeds` those to try."""

    name: str
    way: Way
    seeds: Sequence[int]


def wanted(half: str, tries: int = TRIES) -> list[Wanted]:
    """The half's runs, in an order in which every beginning holds some of all."""
    found = []
    for number in range(EACH):
        found += [_one(half, way, at, number, tries) for at, way in enumerate(WAYS)]
        first = number * HEALTHY // EACH
        found += [_one(half, healthy, len(WAYS), first + at, tries) for at in range(HEALTHY // EACH)]
    return found


def wanted_of_the_packaged(half: str, tries: int = TRIES) -> list[Wanted]:
    """The half's runs with the packaged model: two of them are healthy."""
    ways = enumerate(packaged.RUNS)
    return [_one(half, way, 80 + at, int(at == len(packaged.RUNS) - 1), tries) for at, way in ways]


def _one(half: str, way: Way, at: int, number: int, tries: int) -> Wanted:
    first = FIRST_SEED[half] + 100 * at + number
    step = 37 if way is healthy else EACH  # another task; a seed's remainder by 4 chooses the settings of a sick run
    return Wanted(f"{way.__name__}-{number + 1}", way, [first + step * attempt for attempt in range(tries)])


class Half:
    """One half of the battery, as far as it is made: its models, tasks and judges."""

    def __init__(self, name: str, model: str = "") -> None:
        """`model` is a folder; left out, it is the half's own tiny model."""
        self.name = name
        self.model = Path(model) if model else tiny_model(RECIPES[name], PLACE)
        self.named = model
        learned, held_back = english()
        self.english = held_back[:: 36 if model else 12]
        self.tasks = few_labels(name) if model else tasks(name)
        self.judges = {task.name: Judge(self.model, task.fresh, self.english) for task in self.tasks}
        judge = self.judges[self.tasks[0].name]
        self.commonness = _commonness(judge, learned, self.english)
        self.references: dict[str, Scores] = {}

    def task(self, seed: int) -> Task:
        """The task of a seed: each in turn."""
        return self.tasks[(seed // 4 + seed) % len(self.tasks)]

    def reference(self, task: Task) -> Scores:
        """A good run of the task, with as many clean rows as any run has."""
        if task.name not in self.references:
            train, validation, test = task.sides(1, packaged.ROWS if self.named else 280)
            settings = packaged.usual(1e-3, 3) if self.named else full(3e-4, 7)
            case = Case(None, "", train, validation, test, settings, lambda facts: "")
            folder = PLACE / self.name / f"reference-{task.name}-{self.model.name}"
            if not (folder / "weights").is_dir():
                shutil.rmtree(folder, ignore_errors=True)
                _trained(case, folder, self.model, 1)
            judge = self.judges[task.name]
            self.references[task.name] = judge.scores(judge.tuned(folder / "weights"), task.fresh)
        return self.references[task.name]

    def make(self, wanted: Wanted) -> None:
        """The run of the first seed that passes its check, kept; those before it are written down, and not tried
        again."""
        replaced: list[dict[str, Any]] = list(kept.index(self.name)["missing"].get(wanted.name, ()))
        tried = {one["seed"] for one in replaced}
        for seed in wanted.seeds:
            if seed in tried:
                continue
            task = self.task(seed)
            case = self._fitted(wanted.way(task, seed))
            folder = PLACE / self.name / wanted.name
            shutil.rmtree(folder, ignore_errors=True)
            started = time.perf_counter(), time.process_time()
            said = _trained(case, folder, self.model, seed)
            if said == "":
                _evaluated(folder)
            seconds = time.perf_counter() - started[0], time.process_time() - started[1]
            facts = self._facts(task, case, folder)
            why = case.check(facts) if facts else ("" if case.symptom == "rate_too_high" else said)
            print(f"{wanted.name}, seed {seed}, {task.name}: {seconds[0]:.0f} s; {why or 'as meant'}", flush=True)
            if why:
                replaced.append({"seed": seed, "task": task.name, "why": why})
                continue
            entry = {
                "symptom": case.symptom,
                "cause": case.cause,
                "task": task.name,
                "model": self.model.name,
                "seed": seed,
                "seconds": round(seconds[0], 1),
                "processor_seconds": round(seconds[1], 1),
                "stopped_because": said,
                "facts": _rounded(asdict(facts)) if facts else {},
                "replaced": replaced,
            }
            kept.keep(self.name, wanted.name, folder, entry)
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)
            return
        kept.give_up(self.name, wanted.name, replaced)

    def _fitted(self, case: Case) -> Case:
        """The case at rates that fit the half's model."""
        if case.settings["tuning_method"] != "lora" or self.named:
            return case
        path = f"{HYPER}.learning_rate"
        return replace(case, settings={**case.settings, path: case.settings[path] * LORA_RATE.get(self.name, 1.0)})

    def _facts(self, task: Task, case: Case, folder: Path) -> Facts | None:
        """What the judge measures; None where the run left no weights."""
        run = Run.open(folder)
        evaluations, steps = run.evaluations(), run.steps()
        if not run.weights.is_dir() or not evaluations:
            return None
        judge, reference = self.judges[task.name], self.reference(task)
        tuned = judge.tuned(run.weights)
        scores, read = judge.scores(tuned, task.fresh), judge.english_scores(tuned)
        held = judge.scores(tuned, case.validation)
        step = max(run.checkpoint_steps())
        best = next((one for one in reversed(evaluations) if one.best), evaluations[-1])
        last = scores if step == best.step else judge.scores(judge.tuned(_weights_of(run, step)), task.fresh)
        by_label = shares(task.fresh, scores)
        losses = [one.train_loss for one in steps]
        tenth = max(1, len(losses) // 10)
        smooth = np.convolve(losses, np.ones(tenth) / tenth, "valid")
        english_base = judge.base_english.mean
        return Facts(
            base_loss=judge.base_fresh.mean,
            reference_loss=reference.mean,
            reference_accuracy=reference.accuracy,
            loss=scores.mean,
            accuracy=scores.accuracy,
            begins_right=float(scores.right.mean()),
            ended=float(scores.ended.mean()),
            worst_label=min(by_label.values()),
            best_label=max(by_label.values()),
            by_label=by_label,
            last_loss=last.mean,
            last_rise_low=_low(last.each - scores.each),
            english_base=english_base,
            english=read.mean,
            english_lost=(read.mean - english_base) / (self.commonness - english_base),
            validation_loss=best.validation_loss,
            validation_accuracy=held.accuracy,
            training_loss=_mean(best.train_losses),
            first_training_loss=float(smooth[0]),
            last_training_loss=_mean(evaluations[-1].train_losses),
            climb=float((smooth / np.minimum.accumulate(smooth)).max()),
        )


def _trained(case: Case, folder: Path, model: Path, seed: int) -> str:
    """Trains the case into the folder; says why the run stopped before its end, if it did."""
    import luthier

    rows = folder.parent / "rows" / folder.name
    rows.mkdir(parents=True, exist_ok=True)
    data = dict(case.data)
    sides: dict[str, Sequence[Row]] = {"train": case.train, "validation": case.validation, "test": case.test}
    if data.get("data.max_length") == "cut":
        data["data.max_length"], sides = _cut(sides, model)
    for name, side in sides.items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in side)
        (rows / f"{name}.jsonl").write_text(text, encoding="utf-8")
    precision = "float32" if model.is_relative_to(PLACE) else "auto"
    (rows / "run.yaml").write_text(
        f"model: {json.dumps(str(model))}\n"
        "data: {train: train.jsonl, validation: validation.jsonl, test: test.jsonl}\n"
        f"seed: {seed}\n"
        f"training_config: {{hyperparameters: {{precision: {precision}}}}}\n",
        encoding="utf-8",
    )
    written = [f"{path}={json.dumps(value)}" for path, value in {**case.settings, **data}.items()]
    try:
        luthier.train(str(rows / "run.yaml"), overrides=written, name=folder.name, root=folder.parent)
    except UserError as error:
        if not (folder / "run.json").is_file():
            raise
        return str(error).splitlines()[0]
    return ""


def _cut(sides: Mapping[str, Sequence[Row]], model: Path) -> tuple[int, dict[str, Sequence[Row]]]:
    """A limit that cuts every row of training and validation behind its label; rows whose label it would cut go."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)

    def length(row: Row, answer: str) -> int:
        text = f"### Instruction\n{row['instruction']}\n\n{row['input']}\n\n### Response\n{answer}"
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    both = [*sides["train"], *sides["validation"]]
    limit = min(length(row, row["output"]) for row in both) - 1
    fitting = {
        name: side if name == "test" else [row for row in side if length(row, row["category"]) + 2 <= limit]
        for name, side in sides.items()
    }
    return limit, fitting


def _evaluated(folder: Path) -> None:
    import luthier

    luthier.evaluate(str(folder))


def _weights_of(run: Run, step: int) -> Path:
    return run.checkpoint(step).folder


def _commonness(judge: Judge, learned: Sequence[Text], asked: Sequence[Text]) -> float:
    """Nats a token of one who knows only how often each token comes."""
    counts = np.ones(len(judge.tokenizer))
    for number, text in enumerate(learned[::5]):
        ids = judge.tokenizer(as_read(text, number), add_special_tokens=False)["input_ids"]
        np.add.at(counts, ids, 1)
    surprise = -np.log(counts / counts.sum())
    tokens = [token for whole, first in judge.english for token in whole[first:]]
    assert len(judge.english) == len(asked)
    return float(surprise[tokens].mean())


def _low(differences: Any) -> float:
    """The lower end of a 95% interval of the mean, by the normal distribution."""
    return float(differences.mean() - 1.96 * differences.std(ddof=1) / np.sqrt(len(differences)))


def _mean(losses: Sequence[tuple[float, int]]) -> float:
    return sum(loss for loss, _ in losses) / max(1, sum(tokens for _, tokens in losses))


def _rounded(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {label: round(share, 3) for label, share in value.items()} if isinstance(value, dict) else round(value, 4)
        for name, value in facts.items()
    }


def make(
    half: str, only: str | None = None, most: int | None = None, model: str = "", tries: int = TRIES
) -> Iterator[str]:
    """Makes what is not kept yet, the name of each as it is done; with the packaged model in the folder `model`, its
    runs. Each has so many `tries`."""
    there, battery = kept.index(half)["runs"], None
    asked = wanted_of_the_packaged(half, tries) if model else wanted(half, tries)
    missing = [one for one in asked if one.name not in there and (only is None or one.name.startswith(only))]
    for one in missing[:most]:
        battery = battery or Half(half, model)
        battery.make(one)
        yield one.name
