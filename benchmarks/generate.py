"""How fast answers are generated on the CPU, beside transformers' own `model.generate`, and whether they are the same.

`make bench-generate`, or `python -m benchmarks.generate [--work mixed,shared] [--rounds 3] [--every-batch] [--smoke]`

- mixed: 200 real instructions of many lengths, which share nothing but the template's system message;
- shared: 200 of banking77's messages under one system prompt that lists its 77 labels.

Every side answers the same questions greedily with up to 64 tokens, in float32, from the same weights: Luthier;
`model.generate` in a loop, one question at a time; and in left-padded batches of questions of like length. Which of 8,
16, 32 and 64 is the fastest batch is found on the first 64 questions before all rounds, unless `--every-batch` has each
of them answer all 200. Each side runs in a process of its own, in turn, so that a busy machine slows all.
Loading the model is not counted, two answers to warm up neither. Every measurement is kept at once: started again, a
benchmark that was killed goes on.

Where an answer differs, both models' choice at the first other token is looked at: a choice between two logits nearer
than 0.002 is decided by rounding, which depends on a batch's size; anything else is a wrong answer, and ends with 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.measuring import MODEL, RESULTS, SCRATCH, Kept, code_of, measure, shown, spread

WORKS = ("mixed", "shared")
CODE = ("luthier/engine", "luthier/models", "benchmarks/generate.py", "benchmarks/rows.py")
GOALS = {"one at a time": "at least 3", "the best padded batch": "at least 1.3"}
ROUNDING = 2e-3

Result = dict[str, Any]


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    questions: int = 200
    most_tokens: int = 64
    batches: tuple[int, ...] = (8, 16, 32, 64)
    probed: int = 64


SMOKE = Sizes(questions=3, most_tokens=4, batches=(2, 3), probed=2)


@dataclass(frozen=True)
class Task:
    """One measurement. `batch` is of transformers' side, 0 is Luthier's; with `against` nothing is timed, and answers
    are compared: `file` has one side's, `against` the other's."""

    work: str
    questions: int
    most_tokens: int
    batch: int = 0
    file: str = ""
    against: str = ""

    @property
    def side(self) -> str:
        """`luthier`, `one at a time`, `batches of 8`."""
        if not self.batch:
            return "luthier"
        return "one at a time" if self.batch == 1 else f"batches of {self.batch}"

    def key(self, number: int) -> str:
        """What it is kept under."""
        what = "answers beside luthier's" if self.against else f"{self.questions} of {self.most_tokens} tokens"
        if not number:
            return " | ".join([self.work, self.side, what, "probe"])
        return " | ".join([self.work, self.side, what, f"round {number}"])


# ------------------------------------------------------------------------------------------- in a process of its own


def measured_here(task: Task) -> Result:
    """The figures of a task, in this process."""
    import torch

    from benchmarks.rows import rows
    from luthier import models

    source = models.resolve(MODEL)
    tokenizer = models.load_tokenizer(source)
    prompts = [tokens[:prompt] for tokens, prompt in rows(task.work, task.questions, tokenizer)]
    model = models.load_model(source, torch.float32).eval()
    if task.against:
        return _apart(model, prompts, *(json.loads(Path(name).read_text()) for name in (task.file, task.against)))
    stops = list(models.generation_stops(source, tokenizer))
    ask = _by_transformers if task.batch else _by_luthier
    ask(model, prompts[:2], stops, task)
    started = time.perf_counter()
    answers = ask(model, prompts, stops, task)
    seconds = time.perf_counter() - started
    Path(task.file).parent.mkdir(parents=True, exist_ok=True)
    Path(task.file).write_text(json.dumps(answers))
    return {"seconds": seconds, "tokens": sum(map(len, answers)), "prompt_tokens": sum(map(len, prompts))}


def _by_luthier(model: Any, prompts: Sequence[list[int]], stops: list[int], task: Task) -> list[list[int]]:
    import numpy as np

    from luthier.engine.forward import Engine
    from luthier.engine.generation import answers
    from luthier.flow import Place, Question, Tuned

    asked = [Question(np.array(one, dtype=np.int32), "", "", Place("rows", at)) for at, one in enumerate(prompts, 1)]
    found = answers(Engine(Tuned(model, None, {})), asked, json.dumps, stops, task.most_tokens)
    said = dict(found)
    return [json.loads(said[at].text) for at in range(len(prompts))]


def _by_transformers(model: Any, prompts: Sequence[list[int]], stops: list[int], task: Task) -> list[list[int]]:
    import torch

    order = sorted(range(len(prompts)), key=lambda at: len(prompts[at]))
    said: dict[int, list[int]] = {}
    for start in range(0, len(order), task.batch):
        batch = order[start : start + task.batch]
        longest = max(len(prompts[at]) for at in batch)
        missing = [longest - len(prompts[at]) for at in batch]
        tokens = torch.tensor([[stops[0]] * left + prompts[at] for at, left in zip(batch, missing, strict=True)])
        seen = torch.tensor([[0] * left + [1] * (longest - left) for left in missing])
        with torch.inference_mode():
            made = model.generate(
                tokens,
                attention_mask=seen,
                max_new_tokens=task.most_tokens,
                do_sample=False,
                eos_token_id=stops,
                pad_token_id=stops[0],
            )
        for at, answer in zip(batch, made[:, longest:].tolist(), strict=True):
            end = next((place for place, token in enumerate(answer) if token in stops), len(answer))
            said[at] = answer[:end]
    return [said[at] for at in range(len(prompts))]


def _apart(model: Any, prompts: Sequence[list[int]], ours: list[list[int]], theirs: list[list[int]]) -> Result:
    """How many answers are equal, how many part ways where rounding decides, and how many elsewhere."""
    import torch

    found = {"equal": 0, "by_rounding": 0, "otherwise": 0}
    for prompt, mine, other in zip(prompts, ours, theirs, strict=True):
        if mine == other:
            found["equal"] += 1
            continue
        same = next((at for at, (a, b) in enumerate(zip(mine, other, strict=False)) if a != b), None)
        at = min(len(mine), len(other)) if same is None else same
        with torch.inference_mode():
            best = model(torch.tensor([[*prompt, *mine[:at]]])).logits[0, -1].topk(2).values
        found["by_rounding" if best[0] - best[1] < ROUNDING else "otherwise"] += 1
    return found


# ------------------------------------------------------------------------------------------------ what came out


def summary(found: Mapping[Task, list[Result]]) -> Result:
    """Luthier's speed over each way of transformers, by rounds of the same seconds' machine, and equal answers."""
    timed = {task.side: results for task, results in found.items() if not task.against}
    ours = timed.pop("luthier")

    def over(theirs: list[Result]) -> Result:
        return spread([peer["seconds"] / mine["seconds"] for mine, peer in zip(ours, theirs, strict=True)])

    batches = {side: over(results) for side, results in timed.items() if side != "one at a time"}
    best = min(batches, key=lambda side: batches[side]["median"])
    return {
        "speed over one at a time": over(timed["one at a time"]),
        "speed over the best padded batch": batches[best],
        "the best padded batch": best,
        "speed over batches": batches,
        "tokens_a_second": spread([one["tokens"] / one["seconds"] for one in ours]),
        "answers": {task.side: results[0] for task, results in found.items() if task.against},
    }


def tasks(work: str, sizes: Sizes, folder: Path) -> list[Task]:
    """A round of a work, in the order in which it is measured."""
    return [_task(work, sizes, batch, sizes.questions, folder) for batch in (0, 1, *sizes.batches)]


def probes(work: str, sizes: Sizes, folder: Path) -> list[Task]:
    """What finds the fastest batch."""
    return [_task(work, sizes, batch, sizes.probed, folder) for batch in sizes.batches]


def _task(work: str, sizes: Sizes, batch: int, questions: int, folder: Path) -> Task:
    name = str(folder / f"{work}-{batch}-{questions}-{sizes.most_tokens}.json")
    return Task(work, questions, sizes.most_tokens, batch, name)


def compared(work: str, sizes: Sizes, folder: Path) -> Iterator[Task]:
    """What compares the answers of a round's sides with Luthier's."""
    ours, *theirs = tasks(work, sizes, folder)
    for peer in theirs:
        yield Task(**{**asdict(peer), "file": ours.file, "against": peer.file})


def main() -> None:
    """Runs the works; with `--one` a single measurement."""
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measured_here(Task(**json.loads(sys.argv[2])))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", default=",".join(WORKS), help="which, with commas between them")
    parser.add_argument("--rounds", type=int, help="3, or 1 with --smoke")
    parser.add_argument("--every-batch", action="store_true", help="all batch sizes answer all questions in each round")
    parser.add_argument("--limit", type=float, default=3600.0, help="seconds after which a measurement is stopped")
    parser.add_argument(
        "--smoke", action="store_true", help="the smallest sizes: shows that it works, measures nothing"
    )
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if unknown := [work for work in asked.work.split(",") if work not in WORKS]:
        parser.error(f"--work: {', '.join(unknown)} is none of {', '.join(WORKS)}")
    out = asked.out or (SCRATCH / "smoke" / "generate.json" if asked.smoke else RESULTS / "generate.json")
    rounds = asked.rounds or (1 if asked.smoke else 3)
    sizes = SMOKE if asked.smoke else Sizes()
    if not run(asked.work.split(","), rounds, sizes, asked.limit, out, probing=not asked.every_batch):
        sys.exit("some answers differ where rounding does not decide: one side is wrong, so speeds say nothing")


def run(works: Sequence[str], rounds: int, every: Sizes, limit: float, out: Path, probing: bool) -> bool:
    """All works, what is kept already left out. Whether all answers are equal but for rounding."""
    kept, code, folder = Kept(out), code_of(*CODE), SCRATCH / "answers"
    lines, equal = [], True

    def result_of(task: Task, number: int) -> Result:
        result = kept.result(task.key(number), code)
        # The first round's answers are compared, so that they must be there unless they were.
        if result is None or not (task.against or number != 1 or Path(task.file).is_file()):
            result = measure("benchmarks.generate", asdict(task), limit)
            if "stopped_after_seconds" in result:
                sys.exit(f"{task.key(number)} did not end in {limit:g} s; --limit gives it longer")
            kept.keep(task.key(number), code, result)
        print(f"{task.key(number)}: {json.dumps(result)}", flush=True)
        return result

    for work in works:
        sizes, probed = every, dict[int, float]()
        if probing:
            probed = {task.batch: result_of(task, 0)["seconds"] for task in probes(work, every, folder)}
            sizes = replace(every, batches=(min(probed, key=lambda batch: probed[batch]),))
        found: dict[Task, list[Result]] = {}
        for number in range(1, rounds + 1):
            alike = compared(work, sizes, folder) if number == 1 else ()
            for task in [*tasks(work, sizes, folder), *alike]:
                found.setdefault(task, []).append(result_of(task, number))
        came_out = summary(found) | {"seconds of the probe, by batch": probed}
        kept.summarize(work, {"rounds": rounds, **asdict(sizes), **came_out})
        equal = equal and not any(one["otherwise"] for one in came_out["answers"].values())
        for peer, goal in GOALS.items():
            lines.append((f"{work}: speed over {peer}", shown(came_out[f"speed over {peer}"]), goal))
        for side, one in came_out["answers"].items():
            lines.append((f"{work}: answers equal to those of {side}", f"{one['equal']} of {sizes.questions}", ""))
            lines.append((f"{work}: others that rounding decides, that it does not", _others(one), "none of the last"))
    print("\n| | median (range) | goal |\n|---|--:|--:|")
    for what, value, goal in lines:
        print(f"| {what} | {value} | {goal} |")
    print(f"\nkept in {out}")
    return equal


def _others(one: Result) -> str:
    return f"{one['by_rounding']}, {one['otherwise']}"


if __name__ == "__main__":
    main()
