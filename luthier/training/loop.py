"""The training loop: a generator that yields a log entry a step.

No callbacks: logging, saving, early stopping and tests are all `for entry in training.run(): ...`, and at its
`Pause`s `training.files()` and `training.restore(folder)` write and read all that a run needs to go on bit by bit.
"""

from __future__ import annotations

import json
import math
import resource
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from luthier.engine import objectives
from luthier.engine.forward import Engine
from luthier.engine.generation import answers
from luthier.engine.hold import BaseEngine, Hold, distances
from luthier.engine.loss import Computed
from luthier.engine.memory import Passes
from luthier.engine.objectives import preference
from luthier.engine.objectives.preference import PairsOf, RowsOf
from luthier.engine.out_of_memory import let_go, ran_out
from luthier.engine.step import TOKENS_A_PASS
from luthier.engine.tree import Chosen
from luthier.errors import mistake
from luthier.flow import (
    Answer,
    Base,
    EvaluationLog,
    Example,
    Measure,
    Note,
    Progress,
    RowScore,
    StepLog,
    Tokenized,
    Tuned,
)
from luthier.training.answering import Asked, falls
from luthier.training.distribution import World
from luthier.training.schedule import count_steps, learning_rate, rows_of_step
from luthier.training.sick import Health, SickStep

if TYPE_CHECKING:
    from luthier.settings.schema import Hyperparameters

Made = TypeVar("Made")

STATE_FILE = "training.json"
OPTIMIZER_FILE = "optimizer.safetensors"
KEPT = ("step", "seconds", "best", "best_step", "evaluated_step", "evaluations_without_better", "stopped_because")
"""What the state file holds of a `Training`."""
TRAIN_SAMPLE = 32
"""Training rows whose loss is kept at each evaluation, beside the validation rows'."""
NO_WAY_BACK = "does not require grad"
"""What torch says of a loss that no trained weight has a part in."""
NOTHING_TRAINED = "none of its tokens is trained on"
LOWER_RATE = "look at these rows, or take a lower learning rate"
OTHER_MODULES = "take weights that the model's own forward pass goes through"
SMALLER = "end what else uses memory here, or take shorter rows, a smaller model or `tuning_method: qlora`"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does, decided before it starts and kept in it.

    `metric` is what the best checkpoint is chosen by: loss, perplexity, token_accuracy, or a metric of answers, for
    which `Training` is given what is asked. `learning_rate` is the peak, `evaluate_every` and `save_every` count
    optimizer steps; the last step always evaluates and saves. `keep` is how many checkpoints stay beside the best.
    `all_learn`: every trained weight must get a gradient, as an adapter's must; a whole model may have parts that text
    does not reach. `beta` is how strongly pairs pull, for an objective of pairs.
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
    all_learn: bool = True
    beta: float = 0.1
    kl_to_base: float = 0.0


@dataclass(frozen=True, slots=True)
class Pause:
    """Between two steps: the state is whole, so whoever iterates may save it or stop here. `save`: one is due."""

    step: int
    save: bool


class Training:
    """A run in progress: the engine, the rows and the optimizer. `step` is the last finished step.

    `passes` holds, by the first step that they are for, how much goes through the model at once: at 0 what is decided
    before the run, then an entry for each step at which memory ran out. It has to be kept in the run as a whole.
    `asked` is what is answered at each evaluation, `looked_at` the rows of which some are scored there: the training
    rows where none are given. For an objective of pairs all three hold the two rows of each, and `refer` comes before
    `run`, unless what it found is known. `base` is what a plan with `kl_to_base` holds the model near.
    """

    def __init__(
        self,
        engine: Engine,
        rows: Sequence[Tokenized],
        validation: Sequence[Tokenized],
        plan: Plan,
        world: World | None = None,
        asked: Asked | None = None,
        looked_at: Sequence[Tokenized] | None = None,
        base: Base | None = None,
    ) -> None:
        if not rows:
            raise mistake("there are no rows to train on", "data.train")
        settings = plan.hyperparameters
        self.engine, self.plan = engine, plan
        assert base is not None or not plan.kl_to_base
        self.base = BaseEngine(base) if base is not None and plan.kl_to_base else None
        self.objective = objectives.load(plan.objective)
        self._flat = rows, validation, rows if looked_at is None else looked_at
        self.rows: Sequence[Example] = rows
        self.validation: Sequence[Example] = validation
        self.looked_at: Sequence[Example] = self._flat[2]
        if self.objective.PAIRS:
            self.rows, self.validation, self.looked_at = map(PairsOf, self._flat)
        self.reference: Mapping[str, NDArray[np.float64]] | None = None
        self.world, self.asked = world or World(), asked
        own = (engine.checkpointing, engine.tokens_a_scoring_pass, engine.kept_bytes)
        self.passes = {0: Passes(plan.tokens_a_pass, *own)}
        self.health = Health()
        self.steps = count_steps(len(self.rows), settings.batch_size, settings.epochs, settings.max_steps)
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
        self._make_room_for_optimizer()
        torch.manual_seed(plan.seed + self.world.rank)  # so that no two processes draw the same dropout

    def refer(self) -> Generator[Progress, None, dict[str, NDArray[np.float64]]]:
        """What the answers of all pairs that the run looks at are likely under the model before tuning, and the run
        with it: (pairs, 2) log-probabilities for `train` and `validation`, NaN for training pairs that no step takes.

        The model must not have moved yet. Without what its rows stand on it is the one before tuning.
        """
        count, batch_size, seed = len(self.rows), self.plan.hyperparameters.batch_size, self.plan.seed
        taken: Sequence[int] = range(count)
        if self.steps * batch_size < count:
            steps = range(1, self.steps + 1)
            of_steps = chain.from_iterable(rows_of_step(step, count, batch_size, seed) for step in steps)
            taken = sorted({*of_steps, *self._sampled()})
        engine = self._passes_of(self.step).put_on(self.engine)
        if engine.tuned.root is not None:
            engine = replace(engine, tuned=Tuned(engine.tuned.model, None, {}), known_limit=None)
        scores = yield from self._scored(
            engine, "scoring base", (self.rows, taken), (self.validation, range(len(self.validation)))
        )
        found = -np.array([score.loss for score in scores]).reshape(-1, 2)
        train = np.full((count, 2), np.nan)
        train[list(taken)] = found[: len(taken)]
        reference = {"train": train, "validation": found[len(taken) :]}
        self.know(reference)
        return reference

    def know(self, reference: Mapping[str, NDArray[np.float64]]) -> None:
        """Goes by what `refer` found, in this process or in an earlier one of the same run."""
        self.reference = reference
        rows, validation, looked_at = self._flat
        self.rows, self.looked_at = PairsOf(rows, reference["train"]), PairsOf(looked_at, reference["train"])
        self.validation = PairsOf(validation, reference["validation"])

    def run(self) -> Iterator[StepLog | EvaluationLog | Progress | Note | Pause]:
        """Yields a `StepLog` a step, an `EvaluationLog` (after `Progress`) where one is due, and then a `Pause`.

        A `Note` comes before a step for which memory ran out, and after one that is skipped. Raises `SickStep`, after a
        `Pause` with the state before it.
        """
        assert self.reference is not None or not self.objective.PAIRS
        while self.step < self.steps and not self.stopped_because:
            if self.evaluation_is_due:
                yield from self._evaluate()
                yield Pause(self.step, self.save_is_due or self.best_step == self.step)
                continue
            yield from self._train_step()
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
        return minutes is not None and self.world.first(self.seconds >= 60 * minutes)

    def _train_step(self) -> Iterator[StepLog | Note | Pause]:
        started = time.perf_counter()
        settings, step = self.plan.hyperparameters, self.step + 1
        batch = [self.rows[at] for at in rows_of_step(step, len(self.rows), settings.batch_size, self.plan.seed)]
        trained, divisor = sum(row.trained_tokens for row in batch), self.objective.divisor(batch)
        rate = learning_rate(step, self.steps, self.plan.learning_rate, settings.warmup_ratio, settings.schedule)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        before = self._random_states(), replace(self.health)
        computed, norm = Computed(math.nan, 0), math.nan
        if trained:
            computed, norm = yield from self._gradients(step, batch, divisor)
            sums = {name: value / divisor for name, value in computed.sums.items()}
            computed = replace(computed, loss=computed.loss / divisor, sums=sums, kl=computed.kl / trained)
        sick = self._why_stop(step, computed, norm) if trained else None
        skipped = sick.message if sick else self.health.why_skip(computed.loss, norm) if trained else NOTHING_TRAINED
        if not skipped:
            self.health.take(computed.loss, norm)
            self.optimizer.step()
        elif sick is None and self.health.skip(computed.loss):
            sick = SickStep(f"{skipped}; a third step in a row would be skipped", "", LOWER_RATE)
        if step == 1 and not skipped and (idle := self._without_gradient()):
            yield Note("warning", f"{len(idle):,} trained weights get no gradient from these rows, {idle[0]} first")
        self.optimizer.zero_grad()
        rows = ", ".join(str(row.place) for row in batch)
        seconds = time.perf_counter() - started
        if sick is None:
            self.step = step
            self.seconds += seconds
        yield StepLog(
            step=step,
            epoch=step / math.ceil(len(self.rows) / settings.batch_size),
            train_loss=computed.loss,
            learning_rate=rate,
            grad_norm=norm,
            trained_tokens=trained,
            row_tokens=sum(len(row.tokens) for one in batch for row in one.rows),
            computed_tokens=computed.tokens,
            seconds=seconds,
            memory_bytes=peak_memory_bytes(),
            relaid=self._passes_of(step) != self._passes_of(step - 1),
            skipped=f"{skipped}; its rows: {rows}" if skipped else "",
            preference=computed.sums,
            kl_to_base=computed.kl if self.base else None,
        )
        if sick is not None:
            yield from self._stop_before(before)
            raise SickStep(f"step {step} is not taken: {sick.message}", rows, sick.remedy)
        if skipped:
            yield Note("warning", f"step {step} is skipped: {skipped}; its rows: {rows}")

    def _gradients(
        self, step: int, batch: Sequence[Example], divisor: int
    ) -> Generator[Note | Pause, None, tuple[Computed, float]]:
        """What the step came to, with the gradients in place and clipped, and their norm; in smaller passes where
        memory runs out, from the same random state."""
        before = self._random_states(), replace(self.health)
        first = self._passes_of(step)
        while (found := self._tried(step, batch, divisor)) is None:
            self.optimizer.zero_grad()
            let_go()
            self._set_random_states(before[0])
            smaller = self._passes_of(step).smaller(max(len(row.tokens) for one in batch for row in one.rows))
            if smaller is None:
                yield from self._stop_before(before)
                rows = ", ".join(str(row.place) for row in batch)
                raise SickStep(f"step {step} does not fit into memory in the smallest passes", rows, SMALLER)
            self.passes[step] = smaller
        if self._passes_of(step) != first:
            yield Note("warning", f"memory ran out at step {step}: from here on {self._passes_of(step)}")
        return found

    def _tried(self, step: int, batch: Sequence[Example], divisor: int) -> tuple[Computed, float] | None:
        """The same in the step's passes; None where memory runs out."""
        passes = self._passes_of(step)
        own = [batch[index] for index in self.world.share([one.rows[0] for one in batch])]
        hold = None
        if self.base is not None:
            hold = Hold(self.base, self.plan.kl_to_base, sum(one.trained_tokens for one in batch))
        computed: Computed | None = Computed(0.0, 0)
        try:
            self.engine = passes.put_on(self.engine)
            self.engine.tuned.model.train()
            if own:
                computed = self.objective.backward(self.engine, own, divisor, passes.tokens, self.plan.beta, hold)
        except Exception as error:
            if ran_out(error):
                computed = None
            elif step == 1 and NO_WAY_BACK in str(error):  # no trained weight has anything to do with the loss
                computed = Computed(math.nan, 0)
            else:
                raise
        some = computed or Computed(math.nan, 0)
        names = preference.MEASURED if self.objective.PAIRS else ()
        own_sums = [some.sums.get(name, 0.0) for name in names]
        numbers = some.loss, some.tokens, computed is None, some.kl
        loss, tokens, without_room, kl, *sums = self.world.sums(*numbers, *own_sums)
        if without_room:
            return None
        self.world.add_up(self.engine.tuned.trainable.values())
        most = self.plan.hyperparameters.max_grad_norm
        norm = torch.nn.utils.clip_grad_norm_(self.engine.tuned.trainable.values(), math.inf if most is None else most)
        return Computed(loss, int(tokens), dict(zip(names, sums, strict=True)), kl), norm.item()

    def _why_stop(self, step: int, computed: Computed, norm: float) -> SickStep | None:
        """Why the run cannot go on over this step, with its gradients in place."""
        idle = self._without_gradient() if step == 1 else []
        if idle and (self.plan.all_learn or len(idle) == len(self.engine.tuned.trainable)):
            count = f"{len(idle):,} of {len(self.engine.tuned.trainable):,}"
            return SickStep(f"{count} trained weights get no gradient, {idle[0]} first", "", OTHER_MODULES)
        if not (math.isfinite(computed.loss) and math.isfinite(norm)):
            return SickStep(f"its loss is {computed.loss:g} and its gradient's norm {norm:g}", "", LOWER_RATE)
        return None

    def _without_gradient(self) -> list[str]:
        return [name for name, parameter in self.engine.tuned.trainable.items() if parameter.grad is None]

    def _stop_before(self, before: tuple[Mapping[str, torch.Tensor], Health]) -> Iterator[Pause]:
        """Between the last step and one that is not taken: a checkpoint of this is what it would start from again."""
        random_states, self.health = before
        self._set_random_states(random_states)
        self.optimizer.zero_grad()
        yield Pause(self.step, True)

    def _passes_of(self, step: int) -> Passes:
        return self.passes[max(first for first in self.passes if first <= step)]

    def _make_room_for_optimizer(self) -> None:
        """The optimizer's state as it makes it by itself in the first step: so what fits there fits ever after."""
        for parameter in self.engine.tuned.trainable.values():
            self.optimizer.state[parameter] = {
                "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
                "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
            }

    def _random_states(self) -> Mapping[str, torch.Tensor]:
        """Of each generator that dropout draws from."""
        states = {"random_state": torch.get_rng_state()}
        if self.engine.device.type == "cuda":
            states["device_random_state"] = torch.cuda.get_rng_state(self.engine.device)
        return states

    def _set_random_states(self, states: Mapping[str, torch.Tensor]) -> None:
        torch.set_rng_state(states["random_state"])
        if self.engine.device.type == "cuda" and "device_random_state" in states:
            torch.cuda.set_rng_state(states["device_random_state"], self.engine.device)

    def _evaluate(self) -> Iterator[EvaluationLog | Progress]:
        started = time.perf_counter()
        self.engine = self._passes_of(self.step).put_on(self.engine)
        count = len(self.validation)
        whole, sampled = (self.validation, range(count)), (self.looked_at, self._sampled())
        scores = yield from self._scored(self.engine, "validating", whole, sampled)
        # Of pairs, what is said of tokens is said of the better answers.
        held_back = scores[: 2 * count : 2] if self.objective.PAIRS else scores[:count]
        pairs = [(score.loss, score.tokens) for score in scores]
        measures: Mapping[str, Measure] = {}
        if self.objective.PAIRS:
            assert self.reference is not None
            known = np.concatenate([self.reference["validation"], self.reference["train"][self._sampled()]])
            margins = preference.margins(scores, known, self.plan.beta)
            pairs = [(loss, 1) for loss in preference.losses(margins).tolist()]
            measures = preference.measured(margins[:count])
        tokens = sum(score.tokens for score in held_back)
        nats = sum(score.loss for score in held_back) / tokens
        loss = sum(loss for loss, _ in pairs[:count]) / sum(tokens for _, tokens in pairs[:count])
        values = {
            "validation_loss": loss,
            "perplexity": math.exp(min(nats, 700.0)),
            "token_accuracy": sum(score.correct for score in held_back) / tokens,
        }
        now = nats if self.plan.metric == "perplexity" else loss
        if self.plan.metric == "token_accuracy":
            now = -values["token_accuracy"]
        if (measure := measures.get(self.plan.metric)) is not None and measure.value is not None:
            now = -measure.value
        apart = (yield from self._distance(self.base)) if self.base else None
        measured: dict[str, float] = {}
        if self.asked is not None:
            value = self.asked.value((yield from self._answered(self.asked)))
            now = math.inf
            if value is not None:
                measured[self.plan.metric] = value
                now = value if falls(self.plan.metric) else -value
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
        yield EvaluationLog(
            step=self.step,
            **values,
            best=better,
            seconds=seconds,
            row_losses=pairs[:count],
            train_losses=pairs[count:],
            measured=measured,
            preference=measures,
            kl_to_base=apart,
        )

    def _sampled(self) -> list[int]:
        """Which of the rows that are looked at are scored at each evaluation."""
        chosen = np.random.default_rng([self.plan.seed, 1]).permutation(len(self.looked_at))[:TRAIN_SAMPLE]
        return sorted(chosen.tolist())

    def _scored(
        self, engine: Engine, what: str, *several: tuple[Sequence[Example], Sequence[int]]
    ) -> Generator[Progress, None, list[RowScore]]:
        """The scores of the rows of several sequences' examples, those of the given numbers, in order; each process
        goes through a share of the examples. Of pairs they are those of both rows, one after the other."""
        each = 2 if self.objective.PAIRS else 1

        def own_ones() -> Iterator[tuple[int, RowScore]]:
            before = 0
            for examples, numbers in several:
                own = self._own(len(numbers))
                for at, score in engine.scores(RowsOf(examples, [numbers[one] for one in own], each)):
                    yield each * (before + own[at // each]) + at % each, score
                before += len(numbers)

        return (yield from self._of_all(what, each * sum(len(numbers) for _, numbers in several), own_ones()))

    def _distance(self, base: BaseEngine) -> Generator[Progress, None, float]:
        """The mean KL from base over the validation rows' trained tokens; each process goes through a share of them."""
        each, count = 2 if self.objective.PAIRS else 1, len(self.validation)
        own = self._own(count)
        rows = RowsOf(self.validation, own, each)
        found = ((each * own[at // each] + at % each, one) for at, one in distances(self.engine, base, rows))
        every = yield from self._of_all("measuring the distance to base", each * count, found)
        return sum(every) / sum(one.trained_tokens for one in self.validation)

    def _answered(self, asked: Asked) -> Generator[Progress, None, list[Answer]]:
        """The greedy answers to the validation questions, in order; each process gives a share of them."""
        own = self._own(len(asked.questions))
        found = answers(self.engine, Chosen(asked.questions, own), asked.decode, asked.stops, asked.limit)
        own_ones = ((own[at], answer) for at, answer in found)
        return (yield from self._of_all("answering validation rows", len(asked.questions), own_ones))

    def _own(self, count: int) -> range:
        """Which of so many this process goes through."""
        return range(self.world.rank, count, self.world.size)

    def _of_all(self, what: str, total: int, own: Iterable[tuple[int, Made]]) -> Generator[Progress, None, list[Made]]:
        """What all processes make, in order, where each makes its own, which come with their numbers."""
        made: dict[int, Made] = {}
        for at, one in own:
            made[at] = one
            yield Progress(what, min(total, len(made) * self.world.size), total)
        every = dict(chain.from_iterable(some.items() for some in self.world.gathered(made)))
        return [every[at] for at in range(total)]

    def files(self) -> Mapping[str, Callable[[Path], None]]:
        """The state of the run beside the weights: each file's name with what writes it.

        Where several processes train, all of them have to ask for it at the same step.
        """
        random_states = self.world.gathered(self._random_states())

        def write_optimizer(path: Path) -> None:
            from safetensors.torch import save_file

            tensors = {
                _of(rank, name): one for rank, states in enumerate(random_states) for name, one in states.items()
            }
            for name, parameter in self.engine.tuned.trainable.items():
                for key, value in self.optimizer.state[parameter].items():
                    tensors[f"{name}:{key}"] = value.detach().cpu().contiguous()
            save_file(tensors, path)

        def write_state(path: Path) -> None:
            state = {name: getattr(self, name) for name in KEPT} | {"health": asdict(self.health)}
            path.write_text(json.dumps(state) + "\n", encoding="utf-8")

        return {OPTIMIZER_FILE: write_optimizer, STATE_FILE: write_state}

    def restore(self, folder: Path) -> None:
        """Goes on from the state in a checkpoint; the weights are the method's to load."""
        from safetensors.torch import load_file

        tensors = load_file(folder / OPTIMIZER_FILE)
        self.world.check(sum(name.partition("@")[0] == "random_state" for name in tensors), str(folder))
        names = {name: _of(self.world.rank, name) for name in self._random_states()}
        self._set_random_states({name: tensors[saved] for name, saved in names.items() if saved in tensors})
        for name, parameter in self.engine.tuned.trainable.items():
            own = {key.removeprefix(f"{name}:"): value for key, value in tensors.items() if key.startswith(f"{name}:")}
            self.optimizer.state[parameter] = {key: value.to(parameter.device) for key, value in own.items()}
        state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        self.health = Health(**state.pop("health", {}))
        for name, value in state.items():
            setattr(self, name, value)


def _of(rank: int, name: str) -> str:
    """What a process's random state is saved as: the first one's by its name alone."""
    return f"{name}@{rank}" if rank else name


def peak_memory_bytes() -> int:
    """The most memory that this process has held so far (resident, Linux counts it in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
