"""Preference tuning beside TRL's DPOTrainer set by hand: seconds, memory, losses and log-probabilities.

`make bench-preference`, or `python -m benchmarks.preference [--work real,short,made] [--rounds 3] [--steps 3]`

- real: LLaMA-Factory's `dpo_en_demo`, real prompts with two answers, all three under 250 words together;
- short: of these the ones under 150 words, in float32, where the losses of both sides must agree;
- made: banking77's messages under one system prompt that lists its labels; the better answer is the message's label,
  the worse one another label, drawn by this script.

SmolLM2-135M-Instruct, LoRA r=16 on q and v, beta 0.1, no dropout, 8 pairs a step, one epoch. Sides:

- luthier: as `luthier train` does it, base's log-probabilities once before the first step;
- trl-in-step: TRL by hand (bfloat16 where the machine is fast at it, no layer computed twice), which asks base in each
  step; a step's pairs in one pass, or in the passes that `--pairs-a-pass` says;
- trl-before: the same with `precompute_ref_log_probs`.

Each side runs in a process of its own, in turn, on the same tokens. Seconds are those of base's log-probabilities and
of the steps together, on the clock and of the processor: the second hold where other work shares the cores.

Losses are judged in float32 alone. In bfloat16 the log-probability of an answer depends by 0.3 nats (standard
deviation; up to 1) on which tokens go through the model beside it, and as much on any change of the weights however
small; beta times that is in every margin, on both sides (docs/log.md). There the losses are printed. The
log-probabilities are compared in float32 by `tests/engine/test_preference_beside_trl.py`.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import DATA, MODEL, NUMERIC, RESULTS, SCRATCH, Kept, code_of, measure, shown, spread
from benchmarks.one_training import Result, Task, attached, write_adapter
from benchmarks.rows import chat_row
from benchmarks.sides import SEED, Watch, hand_settings

WORKS = ("real", "short", "made")
SIDES = ("luthier", "trl-in-step", "trl-before")
CODE = (*NUMERIC, "benchmarks/preference.py", "benchmarks/one_training.py", "benchmarks/rows.py", "benchmarks/sides.py")
BETA, LEARNING_RATE, BATCH = 0.1, 1e-4, 8
MOST_WORDS = {"real": 250, "short": 150}
LOSSES_APART = 0.01

Answers = tuple[list[int], list[int], list[int]]
"""The tokens of a prompt, of its better answer and of its worse one."""


@dataclass(frozen=True)
class One:
    """One measurement."""

    work: str
    side: str
    steps: int
    precision: str
    pairs_a_pass: int

    def key(self, number: int) -> str:
        """What it is kept under."""
        return f"{self.work} | {self.side} | batch {BATCH}, {self.steps} steps | round {number}"


def pairs(work: str, count: int, tokenizer: Any) -> list[Answers]:
    """`count` pairs of a work, as tokens; both answers end with the end mark."""
    found = [
        (better[:prompt], better[prompt:], worse[prompt:])
        for messages, *answers in (_made() if work == "made" else _real(MOST_WORDS[work]))
        for (better, prompt), (worse, _) in [[chat_row(messages, answer, tokenizer) for answer in answers]]
    ]
    if len(found) < count:
        raise SystemExit(f"there are only {len(found)} pairs of the kind {work}, not {count}")
    return found[:count]


def _real(most_words: int) -> Iterator[tuple[list[tuple[str, str]], str, str]]:
    roles = {"system": "system", "human": "user", "gpt": "assistant"}
    for row in json.loads((DATA / "llama_factory" / "dpo_en_demo.json").read_text(encoding="utf-8")):
        messages = [(roles[one["from"]], one["value"]) for one in row["conversations"]]
        answers = row["chosen"]["value"], row["rejected"]["value"]
        words = sum(len(text.split()) for text in [*answers, *(text for _, text in messages)])
        if words < most_words and all(text.strip() for text in answers):
            yield messages, *answers


def _made() -> Iterator[tuple[list[tuple[str, str]], str, str]]:
    with (DATA / "banking77" / "train.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    labels = sorted({row["category"] for row in found})
    system = f"Classify the customer's message. Answer with one of these labels: {', '.join(labels)}"
    chance = np.random.default_rng(SEED)
    found.sort(key=lambda row: hashlib.sha1(row["text"].encode()).hexdigest())
    for row in found:
        others = [label for label in labels if label != row["category"]]
        yield [("system", system), ("user", row["text"])], row["category"], str(chance.choice(others))


# ------------------------------------------------------------------------------------------------ the sides


def train_luthier(tuned: Any, made: Sequence[Answers]) -> Result:
    """The pairs once through Luthier's own loop, base's log-probabilities first."""
    from luthier.engine.forward import Engine
    from luthier.engine.memory import available_bytes, choose_passes
    from luthier.flow import Place, StepLog, Tokenized
    from luthier.settings.schema import Hyperparameters
    from luthier.training.loop import Plan, Training

    rows = [
        Tokenized(
            np.array([*prompt, *answer], dtype=np.int32),
            np.array([0.0] * len(prompt) + [1.0] * len(answer), dtype=np.float32),
            Place("pairs", number),
        )
        for number, (prompt, better, worse) in enumerate(made, 1)
        for answer in (better, worse)
    ]
    hyper = Hyperparameters(batch_size=BATCH, epochs=1, warmup_ratio=0.0, schedule="constant", max_grad_norm=1.0)
    plan = Plan(
        hyper,
        LEARNING_RATE,
        evaluate_every=10**6,
        save_every=10**6,
        keep=1,
        metric="loss",
        seed=SEED,
        objective="preference",
        beta=BETA,
    )
    engine = Engine(tuned)
    training = Training(engine, rows, [], plan)
    longest, free = max(len(row.tokens) for row in rows), available_bytes(engine.device)
    training.passes[0], _ = choose_passes(engine, longest, 2 * BATCH, free, plan.tokens_a_pass, 2)
    begun = _now()
    for _ in training.refer():
        pass
    before = _since(begun)
    watch, logs = Watch(engine.device), []
    for entry in training.run():
        if isinstance(entry, StepLog):
            watch.step()
            logs.append(entry)
    return {
        "losses": [entry.train_loss for entry in logs],
        "margins": [entry.preference["preference_margin"] for entry in logs],
        **_with_before(watch, before, begun),
        "row_tokens": sum(entry.row_tokens for entry in logs),
        "computed_tokens": sum(entry.computed_tokens for entry in logs),
    }


def train_trl(model: Any, tokenizer: Any, made: Sequence[Answers], one: One) -> Result:
    """The pairs once through TRL's DPOTrainer, in the order that Luthier's loop takes them."""
    import datasets
    from transformers import TrainerCallback
    from trl import DPOConfig, DPOTrainer

    from luthier.training.schedule import rows_of_step

    steps = len(made) // BATCH
    ordered = [made[index] for step in range(steps) for index in rows_of_step(step + 1, len(made), BATCH, SEED)]
    columns = zip(*ordered, strict=True)
    data = datasets.Dataset.from_dict(dict(zip(("prompt_ids", "chosen_ids", "rejected_ids"), columns, strict=True)))
    losses: list[float] = []
    margins: list[float] = []
    watches: list[Watch] = []
    before: list[float] = []
    begun: list[tuple[float, float]] = []

    class Timed(DPOTrainer):  # type: ignore[misc]
        """The rows are tokens already."""

        def _prepare_dataset(self, dataset: Any, *args: Any, **options: Any) -> Any:
            return dataset

        def _precompute_ref_logps(self, *args: Any, **options: Any) -> Any:
            begun.append(_now())
            found = super()._precompute_ref_logps(*args, **options)
            before.append(_since(begun[0]))
            return found

    class Watching(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *args: Any, **options: Any) -> None:
            begun.append(_now())
            watches.append(Watch(next(model.parameters()).device))

        def on_step_end(self, *args: Any, **options: Any) -> None:
            watches[0].step()

        def on_log(self, *args: Any, logs: dict[str, float] | None = None, **options: Any) -> None:
            if logs and "loss" in logs:
                losses.append(logs["loss"])
                margins.append(logs["rewards/margins"])

    with tempfile.TemporaryDirectory() as folder:
        config = DPOConfig(
            output_dir=folder,
            per_device_train_batch_size=one.pairs_a_pass,
            gradient_accumulation_steps=BATCH // one.pairs_a_pass,
            max_steps=steps,
            train_sampling_strategy="sequential",
            learning_rate=LEARNING_RATE,
            lr_scheduler_type="constant",
            beta=BETA,
            precompute_ref_log_probs=one.side == "trl-before",
            logging_steps=1,
            logging_nan_inf_filter=False,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            max_length=None,
            use_cpu=True,
            **hand_settings(one.precision),
        )
        trainer = Timed(
            model=model, args=config, train_dataset=data, processing_class=tokenizer, callbacks=[Watching()]
        )
        trainer.train()
    return {
        "losses": losses,
        "margins": margins,
        **_with_before(watches[0], sum(before), begun[0]),
        "row_tokens": sum(2 * len(prompt) + len(better) + len(worse) for prompt, better, worse in ordered),
    }


def _now() -> tuple[float, float]:
    """Seconds on the clock, and of the processor."""
    return time.perf_counter(), time.process_time()


def _since(begun: tuple[float, float]) -> float:
    return time.perf_counter() - begun[0]


def _with_before(watch: Watch, before: float, begun: tuple[float, float]) -> Result:
    """What a side took from `begun` on, with the seconds that it spent before the steps."""
    found, processor = watch.found(), time.process_time() - begun[1]
    return {**found, "before_seconds": before, "seconds": found["seconds"] + before, "processor_seconds": processor}


def measured_here(one: One, adapter: Path) -> Result:
    """The figures of one measurement, in this process."""
    import torch

    from luthier import models

    source = models.resolve(MODEL)
    tokenizer = models.load_tokenizer(source)
    made = pairs(one.work, BATCH * one.steps, tokenizer)
    if one.side == "luthier":
        return train_luthier(attached(Task("", "luthier", precision=one.precision), adapter), made)
    from peft import PeftModel

    tokenizer.pad_token = "<|endoftext|>"
    base = models.load_model(source, getattr(torch, one.precision))
    return train_trl(PeftModel.from_pretrained(base, str(adapter), is_trainable=True), tokenizer, made, one)


# ------------------------------------------------------------------------------------------------ what came out


def beside(ours: Sequence[Result], theirs: Sequence[Result], precision: str) -> Result:
    """Speed, memory and losses against a peer, round by round. A peer that was stopped counts as just that slow."""
    both = list(zip(ours, theirs, strict=True))
    stopped = any("stopped_after_seconds" in peer for peer in theirs)
    speeds = [peer.get("stopped_after_seconds", peer.get("seconds", 0.0)) / mine["seconds"] for mine, peer in both]
    found: Result = {"speed": spread(speeds), "speed_is_a_lower_bound": stopped}
    if not stopped:
        ratios = [peer["processor_seconds"] / mine["processor_seconds"] for mine, peer in both]
        found["processor_speed"] = spread(ratios)
        found["memory"] = spread([mine["peak_memory_bytes"] / peer["peak_memory_bytes"] for mine, peer in both])
        found["losses_apart"] = max(
            abs(one - other) / abs(other)
            for mine, peer in both
            for one, other in zip(mine["losses"], peer["losses"], strict=True)
        )
        if precision == "float32":
            found["losses_agree"] = found["losses_apart"] <= LOSSES_APART
    return found


def main() -> None:
    """Runs the works; `--one` is a measurement in a process of its own."""
    if sys.argv[1:2] == ["--one"]:
        task = json.loads(sys.argv[2])
        adapter = Path(task.pop("adapter"))
        print(json.dumps(measured_here(One(**task), adapter) if task else write_adapter(adapter)))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", default=",".join(WORKS), help="which, with commas between them")
    parser.add_argument("--sides", default=",".join(SIDES), help="beside which of TRL's, with commas between them")
    parser.add_argument("--rounds", type=int, help="3, or 1 with --smoke")
    parser.add_argument("--steps", type=int, help="optimizer steps a measurement: 3, or 1 with --smoke")
    parser.add_argument("--pairs-a-pass", type=int, default=BATCH, help="pairs that TRL takes at once")
    parser.add_argument("--limit", type=float, default=2400.0, help="seconds after which a measurement is stopped")
    parser.add_argument("--smoke", action="store_true", help="one round of one step: shows that it works")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    wanted = asked.work.split(",")
    if unknown := [work for work in wanted if work not in WORKS]:
        parser.error(f"--work: {', '.join(unknown)} is none of {', '.join(WORKS)}")
    out = asked.out or (SCRATCH / "smoke" / "preference.json" if asked.smoke else RESULTS / "preference.json")
    rounds, steps = asked.rounds or (1 if asked.smoke else 3), asked.steps or (1 if asked.smoke else 3)
    sides = ["luthier", *(side for side in SIDES[1:] if side in asked.sides.split(","))]
    if not run(wanted, sides, rounds, steps, asked.pairs_a_pass, asked.limit, out):
        sys.exit("losses differ by more than 1%: the sides did not train the same, so their speeds say nothing")


def run(
    wanted: Sequence[str], sides: Sequence[str], rounds: int, steps: int, pairs_a_pass: int, limit: float, out: Path
) -> bool:
    """All works, what is kept already left out. Whether the losses of all sides agree where they are judged."""
    import os

    import torch

    from luthier.engine.precision import fast_precision

    fast, reason = fast_precision(torch.device("cpu"))
    kept, code = Kept(out), code_of(*CODE)
    lines: list[str] = []
    agree = True
    with tempfile.TemporaryDirectory() as folder:
        adapter = Path(folder) / "adapter"
        for work in wanted:
            precision = "float32" if work == "short" else fast
            found: dict[str, list[Result]] = {side: [] for side in sides}
            for number in range(1, rounds + 1):
                for side, results in found.items():
                    one = One(work, side, steps, precision, pairs_a_pass)
                    result = kept.result(one.key(number), code)
                    if result is None:
                        if not adapter.is_dir():
                            measure("benchmarks.preference", {"adapter": str(adapter)}, limit)
                        load = os.getloadavg()[0]
                        result = measure("benchmarks.preference", {**asdict(one), "adapter": str(adapter)}, limit)
                        result |= {"load_before": load, "load_after": os.getloadavg()[0]}
                        kept.keep(one.key(number), code, result)
                    results.append(result)
                    print(f"{one.key(number)}: {_line(result)}", flush=True)
            came_out = {f"luthier / {side}": beside(found["luthier"], found[side], precision) for side in sides[1:]}
            kept.summarize(work, {"rounds": rounds, "precision": precision, **came_out})
            for name, versus in came_out.items():
                lines += _lines(work, name, versus)
                agree = agree and versus.get("losses_agree", True)
    print(f"\n{reason}\n\n| | median (range) | goal |\n|---|--:|--:|", *lines, f"\nkept in {out}", sep="\n")
    return agree


def _lines(work: str, name: str, versus: Mapping[str, Any]) -> Iterator[str]:
    peer, least = name.removeprefix("luthier / "), "at least " if versus["speed_is_a_lower_bound"] else ""
    yield f"| {work} pairs: speed over {peer} | {least}{shown(versus['speed'])} | 2x |"
    if "memory" in versus:
        yield f"| {work} pairs: the same by the processor's seconds | {shown(versus['processor_speed'])} | 2x |"
        yield f"| {work} pairs: peak memory over {peer}'s | {shown(versus['memory'])} | |"
        goal = "at most 1%" if "losses_agree" in versus else ""
        yield f"| {work} pairs: losses from {peer}'s | {versus['losses_apart']:.2%} | {goal} |"


def _line(result: Mapping[str, Any]) -> str:
    if "stopped_after_seconds" in result:
        return f"stopped after {result['stopped_after_seconds']:g} s"
    losses = ", ".join(f"{loss:.4f}" for loss in result["losses"])
    before, peak = result["before_seconds"], result["peak_memory_bytes"] / 1e9
    seconds = f"{result['seconds']:.1f} s ({result['processor_seconds']:.1f} of the processor)"
    return f"{seconds}, {before:.1f} of them before the steps; {peak:.2f} GB; losses {losses}"


if __name__ == "__main__":
    main()
