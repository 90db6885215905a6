"""What training and scoring take, before anything is trained: memory by part, computation, seconds.

    weights      numbers x bytes each; what is trained beside them in float32
    gradients    4 bytes a trained number
    optimizer    8 bytes a trained number: AdamW's two averages
    activations, logits, temporary: what one pass of the engine holds, traced (`trace`)

A pass takes `tokens_a_pass` tokens, or one longer row; gradients of the passes before it are there as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from luthier.advice.machine import Machine
from luthier.advice.trace import Peak, Traced, Work, rows_of, trace
from luthier.engine.forward import TOKENS_A_SCORING_PASS
from luthier.engine.memory import SHARE
from luthier.engine.step import TOKENS_A_PASS
from luthier.flow import Base, Tuned

GRADIENT_BYTES, OPTIMIZER_BYTES, TRAINED_BYTES = 4, 8, 4
"""A trained number's gradient, its two averages, and itself: all in float32."""
UPDATE_BYTES = 40
"""What clipping and an update of AdamW read and write of each trained number."""
FEW, MORE = 2, 3
"""Layers of the two models that are traced; what all have lies on a straight line through them."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a step takes: rows of `row_tokens` each that share nothing, `batch_size` of them, in passes of
    `tokens_a_pass`; with `checkpointing` each layer is computed again on the way back."""

    row_tokens: int
    batch_size: int
    checkpointing: bool = False
    tokens_a_pass: int = TOKENS_A_PASS
    scoring_tokens: int = TOKENS_A_SCORING_PASS

    @property
    def rows_a_pass(self) -> int:
        return max(1, min(self.batch_size, self.tokens_a_pass // self.row_tokens))

    @property
    def passes(self) -> int:
        return ceil(self.batch_size / self.rows_a_pass)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model under a method, without memory.

    `tuned(layers)` gives it with its first `layers` layers alone, used up by a trace. `weight_bytes` are those of the
    model's own weights, `unpacked_bytes` of the largest matrix that is unpacked for a moment. `beside` says whether
    what is trained stands beside the weights. `base_of` gives what a run holds the model near, where it does;
    `base_bytes` are those of weights that stand in memory for that alone.
    """

    tuned: Callable[[int], Tuned]
    layers: int
    vocabulary: int
    parameters: int
    trainable: int
    weight_bytes: int
    unpacked_bytes: int = 0
    beside: bool = True
    base_of: Callable[[Tuned], Base] | None = None
    base_bytes: int = 0

    def traced(self, layers: int, rows: Any, scored: Any, checkpointing: bool) -> tuple[Traced, Traced]:
        """A pass of training and one of scoring with so many layers."""
        tuned = self.tuned(layers)
        return trace(tuned, rows, scored, checkpointing, self.base_of(tuned) if self.base_of else None)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes at the moment when most are in use, by what they are for; `libraries` is what a process has before."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    temporary: int
    libraries: int

    @property
    def total(self) -> int:
        return sum(getattr(self, name) for name in self.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a step costs: memory in training and in scoring, FLOP a token of the rows, seconds a step (None where the
    machine's speed is not known)."""

    load: Load
    training: Memory
    evaluation: Memory
    flop_per_token: float
    step_seconds: float | None

    @property
    def peak_bytes(self) -> int:
        return max(self.training.total, self.evaluation.total)

    @property
    def seconds_per_1k_tokens(self) -> float | None:
        if self.step_seconds is None:
            return None
        return 1000 * self.step_seconds / (self.load.batch_size * self.load.row_tokens)


def cost(candidate: Candidate, load: Load, machine: Machine) -> Cost:
    """What a step of this size costs on this machine."""
    rows = rows_of(load.rows_a_pass, load.row_tokens, candidate.vocabulary)
    few = min(FEW, candidate.layers)
    more = min(MORE, candidate.layers)
    both = [
        candidate.traced(layers, rows, _scored_rows(load, candidate), load.checkpointing)
        for layers in sorted({few, more})
    ]
    traced, scored = [training for training, _ in both], [scoring for _, scoring in both]
    steps = (candidate.layers - few) / (more - few) if more > few else 0.0
    gradients = GRADIENT_BYTES * candidate.trainable
    phases = [replace(peak, gradients=gradients) if load.passes > 1 else peak for peak in _drawn_out(traced, steps)]
    most = max((*phases, Peak(gradients=gradients)), key=lambda peak: peak.total)
    scoring = max(_drawn_out(scored, steps), key=lambda peak: peak.total)
    seconds = None
    if machine.products is not None:
        a_pass = _line([machine.seconds(one.work) for one in traced], steps)
        update = machine.seconds(Work((), 0.0, UPDATE_BYTES * candidate.trainable, 0))
        seconds = load.passes * a_pass + update
    flop = _line([one.work.flop for one in traced], steps) / (load.rows_a_pass * load.row_tokens)
    machine = _heaped(machine, candidate, load)
    training = _memory(candidate, most, machine)
    return Cost(load, training, _after(training, _memory(candidate, scoring, machine), machine), flop, seconds)


def _heaped(machine: Machine, candidate: Candidate, load: Load) -> Machine:
    """The machine with its heap as this step finds it."""
    if load.checkpointing:  # large freed blocks are given back at once then
        return replace(machine, heap=1.0, keeps_heap=False)
    heap = machine.heap if candidate.beside else machine.heap_of_trained
    return replace(machine, heap=heap * (machine.heap_again if load.passes > 1 else 1.0), small_blocks=0)


def fitting(candidate: Candidate, load: Load, machine: Machine) -> Cost:
    """The cost as the engine would lay a step out: with layers computed twice where a step would not fit otherwise."""
    plain = cost(candidate, load, machine)
    if load.checkpointing or machine.memory_bytes is None or plain.peak_bytes <= SHARE * machine.memory_bytes:
        return plain
    twice = cost(candidate, replace(load, checkpointing=True), machine)
    return twice if twice.peak_bytes < plain.peak_bytes else plain


def _scored_rows(load: Load, candidate: Candidate) -> Any:
    return rows_of(max(1, load.scoring_tokens // load.row_tokens), load.row_tokens, candidate.vocabulary)


def _memory(candidate: Candidate, peak: Peak, machine: Machine) -> Memory:
    trained = TRAINED_BYTES * candidate.trainable if candidate.beside else 0
    return Memory(
        weights=candidate.weight_bytes + trained + candidate.base_bytes,
        gradients=round(peak.gradients),
        optimizer=OPTIMIZER_BYTES * candidate.trainable,
        activations=round(machine.heap * peak.activations),
        logits=round(peak.logits),
        temporary=round(machine.heap * peak.temporary) + candidate.unpacked_bytes + machine.small_blocks,
        libraries=machine.library_bytes,
    )


def _after(training: Memory, evaluation: Memory, machine: Machine) -> Memory:
    """An evaluation's memory, with what the heap still holds of the training before it: that has room for the layers,
    not for logits."""
    if not machine.keeps_heap:
        return evaluation
    left = training.activations + training.temporary - evaluation.activations
    return replace(evaluation, temporary=max(evaluation.temporary, left))


def _drawn_out(traced: list[Traced], steps: float) -> list[Peak]:
    """The peak of each phase with all layers."""
    phases = traced[0].peaks.keys() & traced[-1].peaks.keys()
    names = ("activations", "logits", "temporary", "gradients")
    return [
        Peak(**{name: max(0.0, _line([getattr(one.peaks[phase], name) for one in traced], steps)) for name in names})
        for phase in sorted(phases)
    ]


def _line(values: list[float], steps: float) -> float:
    """The first, and so many times what the last has more: 3 and 5 with 2.5 steps are 8."""
    return values[0] + steps * (values[-1] - values[0])
