"""The training loop: a generator that yields a log entry a step.

No callbacks: logging, saving, early stopping and tests are all `for entry in training.run(): ...`, and at its
`Pause`s `training.files()` and `training.restore(folder)` write and read all that a run needs to go on bit by bit.
"""

from __future__ import annotations

import json
import math
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from luthier.engine import objectives
from luthier.engine.forward import Engine, in_order
from luthier.engine.step import TOKENS_A_PASS
from luthier.errors import mistake
from luthier.flow import EvaluationLog, Progress, StepLog, Tokenized
from luthier.training.schedule import count_steps, learning_rate, rows_of_step

if TYPE_CHECKING:
    from luthier.settings.schema import Hyperparameters

STATE_FILE = "training.json"
OPTIMIZER_FILE = "optimizer.safetensors"
KEPT = ("step", "seconds", "best", "best_step", "evaluated_step", "evaluations_without_better", "stopped_because")
"""What the state file holds of a `Training`."""
TRAIN_SAMPLE = 32
"""Training rows whose loss is kept at each evaluation, beside the validation rows'."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does, decided before it starts and kept in it.

    `metric` is what the best checkpoint is chosen by: loss, perplexity or token_accuracy. `learning_rate` is the peak,
    `evaluate_every` and `save_every` count optimizer steps; the last step always evaluates and saves. `keep` is how
    many checkpoints stay beside the best.
    """

    hyperparameters: Hyperparameters
    learning_rate: float
    evaluate_every: int
    save_every: int
    keep: int
    metric: str
    seed: int
    tokens_a_pass: int = TOKENS_A_PASS
    objective: str = "supervised"


@dataclass(frozen=True, slots=True)
class Pause:
    """Between two steps: the state is whole, so whoever iterates may save it or stop here. `save`: one is due."""

    step: int
    save: bool


class Training:
    """A run in progress: the engine, the rows and the optimizer. `step` is the last finished step."""

    def __init__(self, engine: Engine, rows: Sequence[Tokenized], validation: Sequence[Tokenized], plan: Plan) -> None:
        if not rows:
            raise mistake("there are no rows to train on", "data.train")
        settings = plan.hyperparameters
        self.engine, self.rows, self.validation, self.plan = engine, rows, validation, plan
        self.steps = count_steps(len(rows), settings.batch_size, settings.epochs, settings.max_steps)
        self.step = 0
        self.seconds = 0.0
        self.best: float | None = None
        self.best_step = 0
        self.evaluated_step = 0
        self.evaluations_without_better = 0
        self.stopped_because = ""
        self.optimizer = torch.optim.AdamW(
            engine.tuned.trainable.values(),
            lr=plan.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        torch.manual_seed(plan.seed)

    def run(self) -> Iterator[StepLog | EvaluationLog | Progress | Pause]:
        """Yields a `StepLog` a step, an `EvaluationLog` (after `Progress`) where one is due, and then a `Pause`."""
        while self.step < self.steps and not self.stopped_because:
            if self.evaluation_is_due:
                yield from self._evaluate()
                yield Pause(self.step, self.save_is_due or self.best_step == self.step)
                continue
            yield self._train_step()
            if self._out_of_time() and self.step < self.steps:
                self.stopped_because = f"max_minutes: {self.plan.hyperparameters.max_minutes:g} are over"
            if not self.evaluation_is_due:
                yield Pause(self.step, self.save_is_due)
        if self.evaluation_is_due:
            yield from self._evaluate()
            yield Pause(self.step, True)

    @property
    def evaluation_is_due(self) -> bool:
        """Whether the step just finished is to be evaluated and was not yet: every so often, and the last."""
        due = self.step % self.plan.evaluate_every == 0 or self.step == self.steps or bool(self.stopped_because)
        return bool(self.validation) and due and 0 < self.step != self.evaluated_step

    @property
    def save_is_due(self) -> bool:
        """Whether a checkpoint belongs to the step just finished: every so often, and the last."""
        return self.step % self.plan.save_every == 0 or self.step == self.steps or bool(self.stopped_because)

    def _out_of_time(self) -> bool:
        minutes = self.plan.hyperparameters.max_minutes
        return minutes is not None and self.seconds >= 60 * minutes

    def _train_step(self) -> StepLog:
        started = time.perf_counter()
        settings = self.plan.hyperparameters
        self.step += 1
        chosen = rows_of_step(self.step, len(self.rows), settings.batch_size, self.plan.seed)
        batch = [self.rows[index] for index in chosen]
        trained = sum(row.trained_tokens for row in batch)
        rate = learning_rate(self.step, self.steps, self.plan.learning_rate, settings.warmup_ratio, settings.schedule)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.engine.tuned.model.train()
        objective = objectives.load(self.plan.objective)
        computed = objective.backward(self.engine, batch, trained, self.plan.tokens_a_pass)
        loss = computed.loss
        most = math.inf if settings.max_grad_norm is None else settings.max_grad_norm
        norm = torch.nn.utils.clip_grad_norm_(self.engine.tuned.trainable.values(), most).item()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self.optimizer.zero_grad()
            raise mistake(
                f"the loss is {loss / trained:g} and the gradient's norm {norm:g} at step {self.step}",
                ", ".join(str(row.place) for row in batch[:8]),
                "lower the learning rate, or look at these rows; `luthier train --resume` goes on from the checkpoint",
            )
        self.optimizer.step()
        self.optimizer.zero_grad()
        seconds = time.perf_counter() - started
        self.seconds += seconds
        return StepLog(
            step=self.step,
            epoch=self.step / math.ceil(len(self.rows) / settings.batch_size),
            train_loss=loss / trained,
            learning_rate=rate,
            grad_norm=norm,
            trained_tokens=trained,
            row_tokens=sum(len(row.tokens) for row in batch),
            computed_tokens=computed.tokens,
            seconds=seconds,
            memory_bytes=peak_memory_bytes(),
        )

    def _evaluate(self) -> Iterator[EvaluationLog | Progress]:
        started = time.perf_counter()
        chosen = np.random.default_rng([self.plan.seed, 1]).permutation(len(self.rows))[:TRAIN_SAMPLE]
        sample = [self.rows[int(index)] for index in sorted(chosen)]
        every = [*self.validation, *sample]
        scores = yield from in_order(self.engine.scores(every), "validating", len(every))
        held_back = scores[: len(self.validation)]
        tokens = sum(score.tokens for score in held_back)
        loss = sum(score.loss for score in held_back) / tokens
        values = {
            "validation_loss": loss,
            "perplexity": math.exp(min(loss, 700.0)),
            "token_accuracy": sum(score.correct for score in held_back) / tokens,
        }
        now = -values["token_accuracy"] if self.plan.metric == "token_accuracy" else loss
        better = self.best is None or now < self.best
        if better:
            self.best, self.best_step, self.evaluations_without_better = now, self.step, 0
        else:
            self.evaluations_without_better += 1
        patience = self.plan.hyperparameters.early_stopping
        if patience and self.evaluations_without_better >= patience and self.step < self.steps:
            self.stopped_because = f"early_stopping: {patience} evaluations without a better {self.plan.metric}"
        self.evaluated_step = self.step
        seconds = time.perf_counter() - started
        self.seconds += seconds
        pairs = [(score.loss, score.tokens) for score in scores]
        yield EvaluationLog(
            step=self.step,
            **values,
            best=better,
            seconds=seconds,
            row_losses=pairs[: len(held_back)],
            train_losses=pairs[len(held_back) :],
        )

    def files(self) -> Mapping[str, Callable[[Path], None]]:
        """The state of the run beside the weights: each file's name with what writes it."""

        def write_optimizer(path: Path) -> None:
            from safetensors.torch import save_file

            tensors = {"random_state": torch.get_rng_state()}
            for name, parameter in self.engine.tuned.trainable.items():
                for key, value in self.optimizer.state[parameter].items():
                    tensors[f"{name}:{key}"] = value.detach().cpu().contiguous()
            save_file(tensors, path)

        def write_state(path: Path) -> None:
            path.write_text(json.dumps({name: getattr(self, name) for name in KEPT}) + "\n", encoding="utf-8")

        return {OPTIMIZER_FILE: write_optimizer, STATE_FILE: write_state}

    def restore(self, folder: Path) -> None:
        """Goes on from the state in a checkpoint; the weights are the method's to load."""
        from safetensors.torch import load_file

        tensors = load_file(folder / OPTIMIZER_FILE)
        torch.set_rng_state(tensors["random_state"])
        for name, parameter in self.engine.tuned.trainable.items():
            own = {key.removeprefix(f"{name}:"): value for key, value in tensors.items() if key.startswith(f"{name}:")}
            self.optimizer.state[parameter] = {
                key: value if key == "step" else value.to(parameter.device) for key, value in own.items()
            }
        for name, value in json.loads((folder / STATE_FILE).read_text(encoding="utf-8")).items():
            setattr(self, name, value)


def peak_memory_bytes() -> int:
    """The most memory that this process has held so far (resident, Linux counts it in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
