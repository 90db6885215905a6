"""One run on TREC-6: a method trained for some minutes, then asked the test questions.

`python -m benchmarks.trec6.tune --one TASK`, a process of `benchmarks.methods`. Luthier's methods go through a run file
and Luthier's own verb; PEFT's prompt and prefix tuning go as PEFT gives them (random start) through a plain loop of
torch, transformers and PEFT. Both sides take the same rows, 16 a step, the same schedule over as many steps as fit the
minutes, the precision that this machine is fastest at, the last weights, and greedy answers of the same length. No run
is cut by the clock, so a machine that gets busy changes no result.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measuring import MODEL
from benchmarks.rows import Row, chat_row
from benchmarks.sides import peak_bytes

BATCH = 16
VIRTUAL_TOKENS = 20
WARMUP = 0.1
PROBE_STEPS = 6
ROOM = 8
"""Tokens that an answer may have beyond the longest wanted one, as in `luthier evaluate`."""
ANSWERED_AT_ONCE = 32

Result = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """A run: `by` luthier or peft. `steps` 0 is a probe of how many fit. Of the test, `questions` are asked."""

    by: str
    method: str
    seed: int
    minutes: float
    questions: int
    folder: str
    rate: float = 0.0
    steps: int = 0


def tuned_and_asked(task: Task) -> Result:
    """What a run came to; of a probe, how many steps fit the minutes."""
    return _luthier(task) if task.by == "luthier" else _peft(task)


# ------------------------------------------------------------------------------------------------------ Luthier


def run_file(task: Task) -> str:
    """The run file of a run."""
    adapter = "  lora_config: {dropout: 0.0, target_modules: all-linear}\n" if task.method in ("lora", "qlora") else ""
    return (
        f"data: {{train: train.jsonl, validation: 0}}\n"
        f"tuning_method: {task.method}\n"
        f"seed: {task.seed}\n"
        f"training_config:\n"
        f"  hyperparameters: {{batch_size: {BATCH}, epochs: 100, max_steps: {task.steps or PROBE_STEPS}, "
        f"warmup_ratio: {WARMUP}}}\n"
        f"{adapter}"
        f"  evaluation: {{eval_steps: 1000000, save_steps: 1000000, keep: 1}}\n"
    )


def _luthier(task: Task) -> Result:
    import luthier
    from luthier.runs import Run

    folder = Path(task.folder)
    name = f"{task.method}-{task.seed}{'' if task.steps else '-probe'}"
    path = folder / f"{name}.yaml"
    path.write_text(run_file(task), encoding="utf-8")
    shutil.rmtree(folder / "runs" / name, ignore_errors=True)
    trained = luthier.train(str(path), name=name, root=folder / "runs")
    steps = Run.find(name, folder / "runs").steps()
    if not task.steps:
        shutil.rmtree(trained.folder)
        return {"steps": _that_fit(task.minutes, [step.seconds for step in steps])}
    peak = max(step.memory_bytes for step in steps)
    asking = time.perf_counter()
    rate, given = _luthier_answers(name, folder, task.questions)
    result = {
        "run_file": run_file(task),
        "learning_rate": rate,
        "steps": trained.steps,
        "seconds": trained.seconds,
        "answer_seconds": time.perf_counter() - asking,
        "train_loss": trained.train_loss,
        "peak_memory_bytes": peak,
        **_judged(given, _test(folder, task.questions)),
    }
    shutil.rmtree(trained.folder)
    return result


def _luthier_answers(name: str, folder: Path, count: int) -> tuple[float, list[tuple[str, bool]]]:
    """The learning rate of a run, and its answers: each with whether it stopped by itself."""
    from luthier.data.check import load_rows
    from luthier.engine.forward import in_order
    from luthier.engine.generation import answers
    from luthier.flow import result_of
    from luthier.workflow.evaluate import asked_rows
    from luthier.workflow.opened_run import decoder, open_run

    opened = result_of(open_run(name, folder / "runs"))
    asked, rows = asked_rows(load_rows([(folder / "test.jsonl", 1.0)]).conversations, opened)
    limit = max(len(row.tokens) - len(question.tokens) for row, question in zip(rows, asked, strict=True)) + ROOM
    engine = opened.tuned(opened.open_base())
    found = answers(engine, asked[:count], decoder(opened.tokenizer), opened.stops, limit)
    said = result_of(in_order(found, "answering", len(asked[:count])))
    rate = opened.settings.training_config.hyperparameters.learning_rate
    return float(rate), [(answer.text, answer.stopped) for answer in said]


# --------------------------------------------------------------------------------------------------------- PEFT


def _peft(task: Task) -> Result:
    import torch

    from luthier import models
    from luthier.engine.precision import fast_precision

    source = models.resolve(MODEL)
    tokenizer = models.load_tokenizer(source)
    folder = Path(task.folder)
    rows = [_row(one, tokenizer) for one in _lines(folder / "train.jsonl")]
    torch.manual_seed(task.seed)
    base = models.load_model(source, getattr(torch, fast_precision(torch.device("cpu"))[0]))
    model = _with_virtual_tokens(base, task.method)
    seconds, losses = _train(model, rows, task)
    if not task.steps:
        return {"steps": _that_fit(task.minutes, seconds)}
    peak = peak_bytes()
    asking = time.perf_counter()
    tests = [_row(one, tokenizer) for one in _lines(folder / "test.jsonl")]
    limit = max(len(tokens) - prompt for tokens, prompt in tests) + ROOM
    questions = [tokens[:prompt] for tokens, prompt in tests[: task.questions]]
    given = _peft_answers(model, tokenizer, questions, models.generation_stops(source, tokenizer), limit)
    return {
        "learning_rate": task.rate,
        "steps": len(losses),
        "seconds": sum(seconds),
        "answer_seconds": time.perf_counter() - asking,
        "train_loss": losses[-1],
        "peak_memory_bytes": peak,
        **_judged(given, _test(folder, task.questions)),
    }


def _with_virtual_tokens(base: Any, method: str) -> Any:
    """PEFT's model, everything but the number of virtual tokens as it comes."""
    from peft import PrefixTuningConfig, PromptTuningConfig, TaskType, get_peft_model

    kind = {"prompt_tuning": PromptTuningConfig, "prefix_tuning": PrefixTuningConfig}[method]
    return get_peft_model(base, kind(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=VIRTUAL_TOKENS))


def _train(model: Any, rows: Sequence[Row], task: Task) -> tuple[list[float], list[float]]:
    """The seconds and the loss of each step."""
    import torch

    from luthier.training.schedule import learning_rate, rows_of_step

    steps = task.steps or PROBE_STEPS
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=task.rate, weight_decay=0.0)
    model.train()
    seconds: list[float] = []
    losses: list[float] = []
    while len(losses) < steps:
        started = time.perf_counter()
        step = len(losses) + 1
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, task.rate, WARMUP, "cosine")
        batch = [rows[index] for index in rows_of_step(step, len(rows), BATCH, task.seed)]
        longest = max(len(tokens) for tokens, _ in batch)
        tokens = torch.tensor([one + [0] * (longest - len(one)) for one, _ in batch])
        real = torch.tensor([[1] * len(one) + [0] * (longest - len(one)) for one, _ in batch])
        labels = [[-100] * prompt + one[prompt:] + [-100] * (longest - len(one)) for one, prompt in batch]
        loss = model(input_ids=tokens, attention_mask=real, labels=torch.tensor(labels), use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - started)
    return seconds, losses


def _peft_answers(
    model: Any, tokenizer: Any, questions: Sequence[list[int]], stops: Sequence[int], limit: int
) -> list[tuple[str, bool]]:
    """Greedy answers by `generate`; questions of equal length go together, because padding would move positions."""
    import torch

    model.eval()
    said: dict[int, tuple[str, bool]] = {}
    for batch in _of_equal_length(questions):
        tokens = torch.tensor([questions[index] for index in batch])
        with torch.no_grad():
            whole = model.generate(
                input_ids=tokens,
                attention_mask=torch.ones_like(tokens),
                max_new_tokens=limit,
                do_sample=False,
                eos_token_id=list(stops),
                pad_token_id=stops[0],
            )
        for index, answer in zip(batch, whole[:, tokens.shape[1] :].tolist(), strict=True):
            end = next((at for at, token in enumerate(answer) if token in stops), None)
            said[index] = str(tokenizer.decode(answer[:end])), end is not None
    return [said[index] for index in range(len(questions))]


def _of_equal_length(questions: Sequence[list[int]]) -> Iterator[list[int]]:
    lengths: dict[int, list[int]] = {}
    for index, tokens in enumerate(questions):
        lengths.setdefault(len(tokens), []).append(index)
    for group in lengths.values():
        for start in range(0, len(group), ANSWERED_AT_ONCE):
            yield group[start : start + ANSWERED_AT_ONCE]


# --------------------------------------------------------------------------------------------------------- both


def _that_fit(minutes: float, seconds: Sequence[float]) -> int:
    """How many steps fit the minutes, after the first two, which are slower."""
    return max(1, math.floor(60 * minutes / median(seconds[2:] or seconds)))


def _judged(given: Sequence[tuple[str, bool]], wanted: Sequence[str]) -> Result:
    """The answers, and for each whether it is right (1 or 0); one that the limit cut is wrong."""
    from luthier.evaluation.matching import same_answer

    pairs = zip(given, wanted, strict=True)
    right = "".join("1" if stopped and same_answer(text, one) else "0" for (text, stopped), one in pairs)
    return {"answers": [text for text, _ in given], "cut": sum(not stopped for _, stopped in given), "right": right}


def _test(folder: Path, count: int) -> list[str]:
    return [str(one["messages"][-1]["content"]) for one in _lines(folder / "test.jsonl")][:count]


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _row(one: dict[str, Any], tokenizer: Any) -> Row:
    *before, answer = [(message["role"], message["content"]) for message in one["messages"]]
    return chat_row(before, answer[1], tokenizer)


if __name__ == "__main__":
    print(json.dumps(tuned_and_asked(Task(**json.loads(sys.argv[2])))))
