"""What flows through Luthier, in order: read this file first.

    file --read--> Record --check--> Conversation --template--> Rendered --tokenize--> Tokenized --lay out--> Batch
                      |                                                                                        |
                      +--> Problem                                                method + engine + training --+
                                                                                        |
    Finding, Remedy <--diagnosis--+                                                     |
                                  |                                                     |
    Report <--evaluation-- run directory <-- StepLog, EvaluationLog <-------------------+

Each state of the data has its own frozen type. Raw, checked, rendered and tokenized data never share one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Form = Literal["instruction", "chat", "completion", "text", "preference"]
Verdict = Literal["met", "likely", "missed", "not_measured"]


# ---------------------------------------------------------------------------------------------------- raw rows
# The types of which there is one a row or a message are msgspec's: made ten times faster than frozen dataclasses.


class Place(Struct, frozen=True):
    """Where a row stands: `str(Place("rows.jsonl", 17))` is `rows.jsonl:17`. Lines count from 1.

    In a Parquet file `line` is the row's number in the file and `row_group` its group, both from 1:
    `rows.parquet, row 17 (row group 2)`.
    """

    file: str
    line: int
    row_group: int | None = None

    def __str__(self) -> str:
        if self.row_group is None:
            return f"{self.file}:{self.line}"
        return f"{self.file}, row {self.line} (row group {self.row_group})"


class Record(Struct, frozen=True):
    """A row as a reader gives it: a mapping, not checked yet."""

    values: Mapping[str, Any]
    place: Place


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a row. `check` names the rule (`json`, `role`, `empty_answer`, ...)."""

    check: str
    severity: Literal["error", "warning"]
    place: Place
    message: str
    remedy: str


# ------------------------------------------------------------------------------------------------ checked rows


class ToolCall(Struct, frozen=True):
    """An assistant's call of a tool: its name, its arguments by name, and the identifier that the reply names."""

    name: str
    arguments: Mapping[str, Any]
    id: str | None = None


class Message(Struct, frozen=True):
    """One message. `weight` scales the loss of an assistant's message; 0 means that it is only read.

    An assistant's message may hold the thinking before its content (`reasoning`) and calls of tools behind it; then its
    content may be empty. A `tool` message is a tool's reply: `name` is the tool's, `tool_call_id` the call's.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    weight: float = 1.0
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    name: str | None = None
    tool_call_id: str | None = None


class Conversation(Struct, frozen=True):
    """A checked row of any form: at least one assistant message stands in it, and an answer follows something.

    An instruction row is a user message (`instruction`, an empty line, `input`) and an assistant message; a completion
    row likewise (`input`, `output`); a text row is one assistant message. `form` remembers which, because the template
    goes by it. `tools` are descriptions of tools, as JSON schemas. A preference row holds the conversation with the
    better answer in `messages`, and with the worse one, from its beginning too, in `rejected`.
    """

    form: Form
    messages: tuple[Message, ...]
    place: Place
    category: str | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    rejected: tuple[Message, ...] = ()


# ------------------------------------------------------------------------------------ rendered and tokenized rows


@dataclass(frozen=True, slots=True)
class Turn:
    """One trained answer: `prompt` is all the text that inference sends before it (from the start of the
    conversation), `answer` what the model must emit, `end` the mark that it stops at."""

    prompt: str
    answer: str
    end: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation under a template: its trained turns in order."""

    turns: tuple[Turn, ...]
    place: Place
    category: str | None = None


@dataclass(frozen=True, slots=True)
class Tokenized:
    """One row for the model.

    `tokens` (T, int32) begins with at most one begin mark; `weights` (T, float32) is how much the prediction *of* that
    token counts in the loss: 0 on the prompt, the turn's weight on its answer and on its end mark. `weights[0]` is 0.

    For `<s>2+2=` -> `4</s>`: tokens [1, 29, 43, 29, 61, 33, 2], weights [0, 0, 0, 0, 0, 1, 1].
    """

    tokens: NDArray[np.int32]
    weights: NDArray[np.float32]
    place: Place
    category: str | None = None

    @property
    def trained_tokens(self) -> int:
        return int(np.count_nonzero(self.weights))

    @property
    def rows(self) -> tuple[Tokenized, ...]:
        """The rows of tokens that an example has: this one."""
        return (self,)


@dataclass(frozen=True, slots=True)
class Pair:
    """A preference for the model: the same prompt with the better answer in `chosen` and the worse one in `rejected`.

    `weight` is how much the pair counts in the loss; the weights of its rows are shares of that, 1 at most. `reference`
    holds the log-probabilities of both answers (nats, each token's times its weight) under the model before tuning,
    where they are known.
    """

    chosen: Tokenized
    rejected: Tokenized
    weight: float = 1.0
    reference: tuple[float, float] | None = None

    @property
    def place(self) -> Place:
        return self.chosen.place

    @property
    def trained_tokens(self) -> int:
        return self.chosen.trained_tokens + self.rejected.trained_tokens

    @property
    def rows(self) -> tuple[Tokenized, ...]:
        """The rows of tokens that an example has: both answers."""
        return self.chosen, self.rejected


Example = Tokenized | Pair
"""What a step counts: a row, or a pair of them."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A row to look at: the text of each token and whether it is trained on, and the text that inference sends before
    the row's last trained answer. The tokens' texts joined are the row's; `marks` are those of them that belong to the
    model alone, such as `<|im_end|>`. `side` says of a preference which answer this is: `chosen` or `rejected`."""

    tokens: tuple[tuple[str, bool], ...]
    marks: tuple[str, ...]
    sent: str
    place: Place
    side: str = ""

    @property
    def trained_tokens(self) -> int:
        return sum(trained for _, trained in self.tokens)


@dataclass(frozen=True, slots=True)
class Question:
    """What evaluation asks: the prompt's tokens exactly as `chat` would send them, and the wanted answer."""

    tokens: NDArray[np.int32]
    prompt: str
    wanted: str
    place: Place
    category: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said to a `Question`: `stopped` is false where the limit of tokens cut it."""

    text: str
    tokens: int
    stopped: bool


# --------------------------------------------------------------------------------------------------- training


@dataclass(frozen=True, slots=True)
class Root:
    """What every row stands on: `length` virtual tokens before its first token, which so takes position `length`.

    One of two is given, as a function that is called again wherever weights may have changed, so that it may compute a
    projection; gradients flow into whatever it gives. `embeddings()` (length, C) enters the first layer (prompt
    tuning). `keys_and_values()` holds for each layer a key and a value, (K, length, D) each, the keys as they stand
    after rotation (prefix tuning).
    """

    length: int
    embeddings: Callable[[], torch.Tensor] | None = None
    keys_and_values: Callable[[], Sequence[tuple[torch.Tensor, torch.Tensor]]] | None = None

    def __post_init__(self) -> None:
        assert (self.embeddings is None) != (self.keys_and_values is None), "a root is one of the two"


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a method makes of a model and the engine takes.

    `root` is what every row stands on, or nothing. `trainable` maps a parameter's name to the parameter, the root's
    too; nothing else gets a gradient.
    """

    model: torch.nn.Module
    root: Root | None
    trainable: Mapping[str, torch.nn.Parameter]


@dataclass(frozen=True, slots=True)
class Base:
    """The model before tuning while another is made of it: `tuned` is it, for scoring alone, inside of `within()`."""

    tuned: Tuned
    within: Callable[[], AbstractContextManager[None]] = nullcontext


@dataclass(frozen=True, slots=True)
class RowScore:
    """The loss of one row: `loss` is summed over its trained tokens (nats), `tokens` counts them, `correct` those that
    the model would have chosen."""

    loss: float
    tokens: int
    correct: int


@dataclass(frozen=True, slots=True)
class LabelScores:
    """How likely a model finds each of L labels as the answer to one question.

    `log_probabilities` (L, float64) are nats, summed over a label's tokens and its end mark; `tokens` (L) counts those.
    """

    labels: tuple[str, ...]
    log_probabilities: NDArray[np.float64]
    tokens: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class StepLog:
    """One optimizer step, a line of log.jsonl.

    `row_tokens` is the rows' length as if each stood alone, `computed_tokens` what went through the model,
    `memory_bytes` the process's peak so far. `relaid` is true where memory ran out and the step was laid out again in
    smaller passes. `skipped` says why the weights stayed as they were, and with which rows: then `train_loss` and
    `grad_norm` are those of the step that was not taken. `preference` holds what a step over pairs comes to, as in
    `EvaluationLog`, without intervals. `kl_to_base` is the mean KL from base to the model over the trained tokens
    (nats), where the run holds the model near base; it is no part of `train_loss`.
    """

    step: int
    epoch: float
    train_loss: float
    learning_rate: float
    grad_norm: float
    trained_tokens: int
    row_tokens: int
    computed_tokens: int
    seconds: float
    memory_bytes: int
    relaid: bool = False
    skipped: str = ""
    preference: Mapping[str, float] = field(default_factory=dict)
    kl_to_base: float | None = None


@dataclass(frozen=True, slots=True)
class EvaluationLog:
    """One evaluation while training, a line of log.jsonl. `best` is true when the metric improved.

    `row_losses` holds (summed loss, trained tokens) of every validation row, in order; `train_losses` the same of a
    fixed sample of training rows. `measured` holds the metric of generated answers that the run goes by, if it does.

    Of pairs `validation_loss` is the mean of their losses and a row's loss its pair's, of 1 "token"; `perplexity` and
    `token_accuracy` are of the better answers. `preference` then holds `preference_accuracy`, the share of pairs whose
    better answer gained more over the model before tuning than the worse one did, and `preference_margin`, how much
    more, times beta (nats). `kl_to_base` is that of `StepLog`, over the trained tokens of the validation rows.
    """

    step: int
    validation_loss: float
    perplexity: float
    token_accuracy: float
    best: bool
    seconds: float
    row_losses: list[tuple[float, int]]
    train_losses: list[tuple[float, int]]
    measured: Mapping[str, float] = field(default_factory=dict)
    preference: Mapping[str, Measure] = field(default_factory=dict)
    kl_to_base: float | None = None


# --------------------------------------------------------------------------------------------------- evaluation


@dataclass(frozen=True, slots=True)
class Measure:
    """A number with its uncertainty: a 95% interval from `low` to `high` over `n` rows.

    `value` is None where it could not be measured; `reason` then says why. `details` is what stands behind the number,
    as JSON would hold it: a confusion matrix, a signature, the parts of a score.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TargetResult:
    """A target's verdict. `rows_needed` says how many rows would settle a `likely`."""

    metric: str
    target: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    verdict: Verdict
    reason: str = ""
    rows_needed: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The evaluation of a run: `metrics` of the tuned model, `base` of the model before tuning, on the same rows.

    `difference` is tuned minus base, each row compared with itself; `categories` holds the tuned model's metrics for
    each class of rows.

    `forgetting`: by skill of the general set, and for `all`, what tuning did to it (`rise` of the loss, `base`,
    `tuned`, `agreement`, `kl`). `gaps`: the losses of training, validation and test rows. `changes`: for each change
    that must not matter, the accuracy `before`, `after` and its `difference`. `distances`: the accuracy by likeness to
    the nearest training row. `quantization`, where base's weights are kept in fewer bits than its files have: what that
    did to the loss on the general set (`rise`, `plain`, `quantized`).
    """

    run: str
    data: str
    rows: int
    metrics: Mapping[str, Measure]
    base: Mapping[str, Measure]
    targets: tuple[TargetResult, ...]
    difference: Mapping[str, Measure] = field(default_factory=dict)
    categories: Mapping[str, Mapping[str, Measure]] = field(default_factory=dict)
    seconds: float = 0.0
    forgetting: Mapping[str, Mapping[str, Measure]] = field(default_factory=dict)
    gaps: Mapping[str, Measure] = field(default_factory=dict)
    changes: Mapping[str, Mapping[str, Measure]] = field(default_factory=dict)
    distances: Mapping[str, Measure] = field(default_factory=dict)
    quantization: Mapping[str, Measure] = field(default_factory=dict)


# ------------------------------------------------------------------------------------------------------ review

Side = Literal["run", "against"]
Choice = Literal["run", "against", "both_good", "both_bad"]


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """What people compare: the answers of the run and of `against` to the same messages.

    `check` is set where the answer is known, to see whether a rater reads: `same` holds the run's answer twice,
    `broken` the run's answer against its own words in disorder. Such items are no votes on the run.

    Where more than two systems are compared, `run` and `against` are the answers of the first and of the second system
    of each of `pairs`: numbers of systems, 0 for the run itself. There are several pairs where systems gave the same
    answer. `row` then numbers the row, which other items ask about too; both are empty where an item is a row.
    """

    number: int
    place: Place
    category: str | None
    asked: tuple[Message, ...]
    run: str
    against: str
    run_stopped: bool = True
    against_stopped: bool = True
    check: Literal["", "same", "broken"] = ""
    tools: tuple[Mapping[str, Any], ...] = ()
    row: int = 0
    pairs: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Vote:
    """One rater's choice on one item. `left` stood on the left; `order` counts the votes of all raters as they came;
    `at` is the time in UTC, as ISO 8601 has it, `seconds` how long the item had been asked. `kind` says who chose: a
    person, or a script (`scripted`)."""

    item: int
    rater: str
    kind: Literal["person", "scripted"]
    left: Side
    choice: Choice
    note: str
    at: str
    order: int
    seconds: float | None = None


# --------------------------------------------------------------------------------------------------- diagnosis


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change that may cure a finding. `settings` maps a setting's path in the run file (`training_config.evaluation.
    metric`) to its new value; `without` names the training rows to leave out. `why` says in a sentence why it may help,
    `source` where that is known from."""

    name: str
    settings: Mapping[str, Any]
    why: str
    source: str = ""
    without: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a run: `symptom` is its file's name in diagnosis/symptoms, `certainty` (0 to 1) the
    probability that the evidence is no chance, `evidence` its numbers by name.

    `cause` names the likely cause, told apart from the others by the evidence; `says` is the finding in two sentences
    for a person; `remedies` are to be tried in this order. `step` is the moment where it began to show, if it has one;
    `curves` are what to look at: points (step, value) by name.
    """

    symptom: str
    certainty: float
    cause: str
    says: str
    evidence: Mapping[str, Measure]
    remedies: tuple[Remedy, ...]
    step: int | None = None
    curves: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The findings of a run, the surest first; a healthy run has none. `unknown` maps a symptom that could not be
    looked for to what is missing for it."""

    run: str
    findings: tuple[Finding, ...]
    unknown: Mapping[str, str] = field(default_factory=dict)


# ------------------------------------------------------------------------------------------------------ events


@dataclass(frozen=True, slots=True)
class Note:
    """Something the user should know, in one line: a value resolved, rows left out, a file written.

    `kind` says which: `setting` (an `auto` resolved), `rows`, `file`, `warning`, `next` (what to type next).
    """

    kind: Literal["setting", "rows", "file", "warning", "next"]
    text: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far work has come: `done` of `total` units of `what` (`scoring base`, `answering tuned`), for a bar."""

    what: str
    done: int
    total: int


Event = Note | Progress | StepLog | EvaluationLog
"""What a verb yields while it works. Its result is what its generator returns; faces only show what comes by."""

Result = TypeVar("Result")


def result_of(work: Generator[Event, None, Result], listen: Callable[[Event], None] | None = None) -> Result:
    """Lets a verb work to its end: what it returns. `listen` is given each event as it comes."""
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            result: Result = end.value
            return result
        if listen is not None:
            listen(event)
