"""`luthier selftest`: the claims of exactness, each measured on small random models on this machine.

A check is a function that gives one number, the smaller the better, under `@claim(name, what is claimed, limit)`. To
add one, write such a function; it must raise nothing, leave nothing behind and take a few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from luthier.flow import Event, Message, Place, Progress, StepLog, Tokenized, Tuned
from luthier.models import Source

if TYPE_CHECKING:
    import torch

    from luthier.engine.forward import Engine
    from luthier.training.loop import Training

VOCABULARY = 50
METHODS = ("full", "lora", "qlora", "prompt_tuning", "prefix_tuning")


@dataclass(frozen=True, slots=True)
class Claim:
    """What is claimed, and how it is measured: it holds where `measure()` is at most `limit`."""

    name: str
    claim: str
    limit: float
    measure: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Checked:
    """A claim with what was measured; `measured` is None where measuring failed, and `reason` then says how."""

    name: str
    claim: str
    passed: bool
    measured: float | None
    limit: float
    seconds: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Selftest:
    """All claims, `passed` where every one holds; `machine` says on what."""

    passed: bool
    checks: tuple[Checked, ...]
    seconds: float
    machine: str


CLAIMS: list[Claim] = []
"""Every claim, in the order in which they stand below."""


def claim(name: str, text: str, limit: float) -> Callable[[Callable[[], float]], Callable[[], float]]:
    """Adds a function to the claims."""

    def add(measure: Callable[[], float]) -> Callable[[], float]:
        CLAIMS.append(Claim(name, text, limit, measure))
        return measure

    return add


def selftest(claims: Sequence[Claim] | None = None) -> Generator[Event, None, Selftest]:
    """Measures each claim. Leaves the random state and the threads of the process as they were."""
    import torch

    from luthier.models.quiet import quiet

    claims = CLAIMS if claims is None else claims
    started = time.perf_counter()
    checks: list[Checked] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on a model this small a second thread only waits
    try:
        for one in claims:
            yield Progress("proving", len(checks), len(claims))
            with quiet():
                checks.append(_measured(one))
    finally:
        torch.set_num_threads(threads)
    yield Progress("proving", len(checks), len(claims))
    passed = all(check.passed for check in checks)
    return Selftest(passed, tuple(checks), time.perf_counter() - started, _machine())


def _measured(one: Claim) -> Checked:
    import torch

    started = time.perf_counter()
    measured, reason = None, ""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        try:
            measured = one.measure()
        except Exception as error:  # noqa: BLE001 - a claim that cannot be measured here does not hold here
            reason = f"{type(error).__name__}: {error}"
    passed = measured is not None and measured <= one.limit
    return Checked(one.name, one.claim, passed, measured, one.limit, time.perf_counter() - started, reason)


def _machine() -> str:
    from luthier.runs.environment import describe_environment

    found = describe_environment([], [])
    versions = found["versions"]
    named = ", ".join(f"{name} {versions[name]}" for name in ("torch", "transformers", "peft"))
    return f"{found['machine']['processor']} ({named})"


# ------------------------------------------------------------------------------------------------ models and rows


def small_model(seed: int = 0, double: bool = False) -> Any:
    """A random Llama of 2 layers with 4 heads over 2 key heads; float64 where `double`."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.2,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    model = LlamaForCausalLM(config).eval()
    return model.double() if double else model


def random_rows(seed: int) -> list[Tokenized]:
    """Rows on three levels of shared beginnings, rows apart, a duplicate, a row that ends inside another; loss is
    anywhere, on shared tokens too."""
    random = np.random.default_rng(seed)

    def some(least: int, most: int) -> Any:
        return random.integers(0, VOCABULARY, random.integers(least, most))

    root, branches = some(25, 40), [some(25, 40), some(25, 40)]
    twigs = [[root, branch, some(25, 40)] for branch in branches for _ in range(2)]
    parts = [[*twig, some(2, 20)] for twig in twigs for _ in range(2)]
    parts += [[root, some(2, 20)], [some(2, 30)], [some(2, 30)], parts[0], [root, branches[0]]]
    rows = []
    for number, part in enumerate(parts, 1):
        tokens = np.concatenate(part).astype(np.int32)
        weights = (random.random(len(tokens)) < 0.5) * random.choice([0.5, 1.0, 2.0])
        weights[0], weights[-1] = 0, 1
        rows.append(Tokenized(tokens, weights.astype(np.float32), Place("random rows", number)))
    return rows


def attached(name: str, seed: int = 0, *, double: bool = False, dropout: float = 0.0) -> Tuned:
    """A random model under a method, moved from where that begins."""
    import torch

    module, settings = _method(name, dropout)
    with TemporaryDirectory() as folder:
        model: Any = small_model(seed, double)
        if hasattr(module, "load_base"):
            model.save_pretrained(folder)
            source = Source("random", "folder", Path(folder))
            model = module.load_base(source, torch.float32, module.Settings())
    tuned: Tuned = module.attach(model, settings, 0)
    with torch.no_grad():
        for parameter in () if module.TRAINS_THE_BASE else tuned.trainable.values():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.eval()
    return tuned


def _method(name: str, dropout: float = 0.0) -> tuple[Any, Any]:
    """A method's module, and small settings of it."""
    from luthier.methods import lora
    from luthier.workflow import run_file

    module = run_file.method(name)
    if getattr(module, "SETTINGS_FROM", module.SECTION) == lora.SECTION:
        return module, lora.Settings(r=4, alpha=8, dropout=dropout, target_modules="all-linear")
    virtual = (
        {"num_virtual_tokens": 5, "init": "random"} if "num_virtual_tokens" in module.Settings.model_fields else {}
    )
    return module, module.Settings(**virtual)


def _engine(tuned: Tuned, checkpointing: bool = False) -> Engine:
    """The engine, which must take this model as a tree: on padded batches there would be nothing to prove."""
    from luthier.engine.forward import Engine

    engine = Engine(tuned, checkpointing)
    if reason := engine.why_padded(10_000):
        raise RuntimeError(reason)
    return engine


def _loss_alone(model: Any, row: Tokenized) -> torch.Tensor:
    """A row's weighted loss by transformers alone (nats)."""
    import torch

    tokens = torch.from_numpy(row.tokens).long().to(model.device)
    # In PEFT the virtual tokens of a prompt have logits too, before the row's own.
    likely = model(input_ids=tokens[None]).logits[0, -len(tokens) : -1].log_softmax(-1)
    own = likely.gather(1, tokens[1:, None])[:, 0]
    loss: torch.Tensor = -(own * torch.from_numpy(row.weights[1:]).to(own)).sum()
    return loss


def _apart(ours: Mapping[str, torch.Tensor], theirs: Mapping[str, torch.Tensor]) -> float:
    """The largest difference of a tensor, relative to its norm; 1 where we have none."""
    return max(
        float((ours[name] - one.view_as(ours[name])).norm() / one.norm()) if name in ours else 1.0
        for name, one in theirs.items()
    )


def _logits(model: Any, row: Tokenized) -> torch.Tensor:
    import torch

    with torch.no_grad():
        found: torch.Tensor = model(input_ids=torch.from_numpy(row.tokens).long()[None].to(model.device)).logits[0]
    return found


def _written(tuned: Tuned, method: str, folder: Path) -> None:
    module, settings = _method(method)
    for name, write in module.files(tuned, settings, "base").items():
        write(folder / name)


# ------------------------------------------------------------------------------------------------------ the engine


def _steps_apart(method: str, seeds: int) -> tuple[float, float]:
    """How far loss and gradients of training steps are from the same rows one by one by transformers alone: relative,
    the worst of some random trees, each in one pass and in many."""
    found = [_two_steps_apart(method, seed, tokens) for seed in range(seeds) for tokens in (100, 100_000)]
    return max(loss for loss, _ in found), max(gradient for _, gradient in found)


def _two_steps_apart(method: str, seed: int, tokens_a_pass: int, *, checkpointing: bool = False) -> tuple[float, float]:
    """Two steps on all rows. The reference is taken at each from the weights as they then are, so that what was kept
    from the step before would show. Beside PEFT in float64: PEFT's float32 is further from that than the limit."""
    import torch

    module, settings = _method(method)
    training = _training(
        method,
        seed,
        batch_size=len(random_rows(seed)),
        tokens_a_pass=tokens_a_pass,
        checkpointing=checkpointing,
        double=module.virtual_tokens(settings) > 0,
    )
    tuned, rows = training.engine.tuned, [row for example in training.rows for row in example.rows]
    trained = sum(row.trained_tokens for row in rows)
    expected, apart = [], []

    def look(*_: Any) -> None:
        model, parameters = _without_the_engine(method, seed, tuned)
        alone = [_loss_alone(model, row) / trained for row in rows]
        reference = torch.autograd.grad(sum(alone[1:], alone[0]), list(parameters.values()))
        ours = {name: one.grad for name, one in tuned.trainable.items() if one.grad is not None}
        apart.append(_apart(ours, dict(zip(parameters, reference, strict=True))))
        expected.append(sum(one.item() for one in alone))

    training.optimizer.register_step_pre_hook(look)
    losses = [entry.train_loss for entry in training.run() if isinstance(entry, StepLog)]
    return max(abs(ours / theirs - 1) for ours, theirs in zip(losses, expected, strict=True)), max(apart)


def _without_the_engine(method: str, seed: int, tuned: Tuned) -> tuple[Any, Mapping[str, torch.Tensor]]:
    """The model as transformers computes it, with its trained parameters: PEFT's where rows stand on virtual tokens."""
    if tuned.root is None:
        return tuned.model, tuned.trainable
    from peft import PeftModel

    with TemporaryDirectory() as name:
        _written(tuned, method, Path(name))
        theirs: Any = PeftModel.from_pretrained(small_model(seed, double=True), name)
    [(name, own)] = tuned.trainable.items()
    parameter = theirs.prompt_encoder["default"].embedding.weight
    parameter.data = own.detach().clone().view_as(parameter).requires_grad_()  # their file has 32 of 64 bits
    return theirs, {name: parameter}


@claim("tree_loss", "a step's loss is that of its rows one by one, weighted and summed over all its passes", 1e-6)
def tree_loss() -> float:
    """Relative, in full and LoRA runs."""
    return max(_steps_apart("full", 1)[0], _steps_apart("lora", 1)[0])


@claim("tree_gradients_full", "full: every gradient of a step is that of its rows one by one", 1e-5)
def tree_gradients_full() -> float:
    """Relative to the norm, the worst of every weight."""
    return _steps_apart("full", 2)[1]


@claim("tree_gradients_lora", "lora: every gradient of a step is that of its rows one by one", 1e-5)
def tree_gradients_lora() -> float:
    """Relative to the norm, the worst of every matrix."""
    return _steps_apart("lora", 2)[1]


@claim("tree_gradients_qlora", "qlora: every gradient of a step is that of its rows one by one", 1e-5)
def tree_gradients_qlora() -> float:
    """Relative to the norm, the worst of every matrix."""
    return _steps_apart("qlora", 1)[1]


@claim("tree_gradients_prompt_tuning", "prompt tuning: every gradient is PEFT's on rows one by one (float64)", 1e-6)
def tree_gradients_prompt_tuning() -> float:
    """Relative to the norm."""
    return _steps_apart("prompt_tuning", 1)[1]


@claim("tree_gradients_prefix_tuning", "prefix tuning: every gradient is PEFT's on rows one by one (float64)", 1e-6)
def tree_gradients_prefix_tuning() -> float:
    """Relative to the norm."""
    return _steps_apart("prefix_tuning", 1)[1]


@claim("checkpointing", "layers computed again on the way back change no gradient", 1e-5)
def checkpointing() -> float:
    """Relative to the norm, the worst of every matrix of a random adapter."""
    return _two_steps_apart("lora", 0, 100, checkpointing=True)[1]


@claim("processes", "the gradients of two processes' rows add up to those of one process with all rows", 1e-5)
def processes() -> float:
    """Relative to the norm, the worst of every matrix. The processes are played one after another."""
    from luthier.engine.step import backward
    from luthier.training.distribution import World

    rows = random_rows(0)
    divisor = float(sum(row.trained_tokens for row in rows))

    def gradients(worlds: Sequence[World]) -> Mapping[str, torch.Tensor]:
        engine = _engine(attached("lora"))
        for world in worlds:
            backward(engine, [rows[index] for index in world.share(rows)], divisor, 100)
        return {name: one.grad for name, one in engine.tuned.trainable.items() if one.grad is not None}

    return _apart(gradients([World(0, 2), World(1, 2)]), gradients([World()]))


@claim("no_leak", "what stands in one row changes nothing in the rows beside it", 1e-6)
def no_leak() -> float:
    """The largest relative change of a row's loss when all rows beside it get other tokens."""
    worst = 0.0
    for seed in range(4):
        engine, rows = _engine(Tuned(small_model(seed), None, {})), random_rows(seed)
        first, second = (dict(engine.scores([rows[0], *others])) for others in (rows[1:], random_rows(seed + 100)))
        worst = max(worst, abs(first[0].loss / second[0].loss - 1))
    return worst


@claim("distinct_tokens", "a tree holds every row, and no beginning of rows twice", 0)
def distinct_tokens() -> float:
    """Rows that a tree does not give back token by token, and tokens that stand in it more than once."""
    from luthier.engine.tree import lay_out

    wrong = 0
    for seed in range(10):
        rows = random_rows(seed)
        tree = lay_out(rows, 0)
        wrong += sum(
            tree.tokens[path].tolist() != row.tokens.tolist() for path, row in zip(tree.paths, rows, strict=True)
        )
        beginnings = {row.tokens[: end + 1].tobytes() for row in rows for end in range(len(row.tokens))}
        wrong += abs(len(tree.tokens) - len(beginnings))
        wrong += abs(float(tree.weights.sum()) - sum(float(row.weights.sum()) for row in rows)) > 1e-3
    return wrong


@claim("scores", "validation and scoring give the loss that training has", 1e-6)
def scores() -> float:
    """The largest relative difference of a row's score from its loss by transformers alone."""
    worst = 0.0
    for seed in range(4):
        tuned, rows = attached("lora", seed), random_rows(seed)
        for index, score in _engine(tuned).scores(rows, tokens_a_pass=120):
            worst = max(worst, abs(score.loss / _loss_alone(tuned.model, rows[index]).item() - 1))
    return worst


@claim("generation", "an answer is the same alone, beside others, and by transformers", 0)
def generation() -> float:
    """Answers of 8 tokens that differ, of 13 questions on each of two random models."""
    import torch

    from luthier.engine.generation import answers
    from luthier.flow import Question

    wrong, length = 0, 8
    for seed in range(2):
        model = small_model(seed)
        engine = _engine(Tuned(model, None, {}))
        asked = [Question(row.tokens, "", "", row.place) for row in random_rows(seed)]

        def text(tokens: Sequence[int]) -> str:
            return " ".join(map(str, tokens))

        together = dict(answers(engine, asked, text, [], length))
        for index, question in enumerate(asked):
            [(_, alone)] = answers(engine, [question], text, [], length)
            tokens = torch.from_numpy(question.tokens).long()[None].to(model.device)
            with torch.no_grad():
                for _ in range(length):
                    chosen = model(input_ids=tokens).logits[:, -1].argmax(-1, keepdim=True)
                    tokens = torch.cat([tokens, chosen], 1)
            expected = text(tokens[0, -length:].tolist())
            wrong += (alone.text != expected) + (together[index].text != expected)
    return wrong


# -------------------------------------------------------------------------------------------------------- training


def _training(
    method: str,
    seed: int = 0,
    *,
    tokens_a_pass: int = 100,
    batch_size: int,
    dropout: float = 0.0,
    checkpointing: bool = False,
    double: bool = False,
) -> Training:
    """Two epochs on random rows."""
    from luthier.settings.schema import Hyperparameters
    from luthier.training.loop import Plan, Training

    tuned = attached(method, seed, double=double, dropout=dropout)
    hyper = Hyperparameters(batch_size=batch_size, epochs=2, max_grad_norm=None, warmup_ratio=0.0)
    plan = Plan(
        hyperparameters=hyper,
        learning_rate=5e-3,
        evaluate_every=3,
        save_every=2,
        keep=3,
        metric="loss",
        seed=0,
        tokens_a_pass=tokens_a_pass,
    )
    return Training(_engine(tuned, checkpointing), random_rows(seed), random_rows(seed + 1)[:4], plan)


@claim("resume", "a run stopped after any step and resumed ends bit by bit like one that never stopped", 0)
def resume() -> float:
    """Numbers of the weights and of the logged losses that differ, over every step of runs with each method."""
    from luthier.training.loop import Pause

    def begun(method: str) -> Training:
        return _training(method, batch_size=7, dropout=0.1)

    def ended(training: Training) -> tuple[list[float], list[torch.Tensor]]:
        losses = [entry.train_loss for entry in training.run() if isinstance(entry, StepLog)]
        return losses, [one.detach() for one in training.engine.tuned.trainable.values()]

    wrong = 0
    for method in METHODS:
        module, _ = _method(method)
        whole = begun(method)
        losses, weights = ended(whole)
        for stop in range(1, whole.steps):
            first = begun(method)
            next(entry for entry in first.run() if isinstance(entry, Pause) and entry.step == stop)
            with TemporaryDirectory() as name:
                _written(first.engine.tuned, method, Path(name))
                for file, write in first.files().items():
                    write(Path(name) / file)
                second = begun(method)
                module.load(second.engine.tuned, Path(name))
                second.restore(Path(name))
            later, found = ended(second)
            wrong += sum(ours != theirs for ours, theirs in zip(later, losses[stop:], strict=True))
            wrong += sum(int((ours != theirs).sum()) for ours, theirs in zip(found, weights, strict=True))
    return wrong


@claim("masks", "a row trains on the answer and its end mark alone, and a wrong mask is found", 0)
def masks() -> float:
    """Turns whose tokens or weights are not those of prompt, answer and end mark, rows that the proof refuses, and
    wrong masks (the prompt's last token in, the end mark out, a begin mark more) that it does not find."""
    from luthier.data import templates
    from luthier.data.render import render_all, stop_tokens
    from luthier.data.tokenize import prove, tokenize
    from luthier.flow import Conversation, Rendered
    from luthier.settings.schema import Settings

    tokenizer: Any = _tokenizer()
    formats = Settings().formats
    texts = {form: getattr(formats, form).template for form in ("instruction", "chat", "completion")}
    wrong = 0
    for name in ("model", "instruction", "chat", "completion"):
        form: Any = "chat" if name == "model" else name
        template = templates.load(name, texts, tokenizer)
        pairs = [(Message("user", f"Add {n}."), Message("assistant", f"{n} and 1")) for n in range(5)]
        many = name in ("model", "chat")
        messages = [sum(pairs, ())] if many else pairs
        rows = [Conversation(form, row, Place(name, n)) for n, row in enumerate(messages, 1)]
        stops = stop_tokens(template, tokenizer, ())
        for rendered in render_all(rows, template, tokenizer):
            if not isinstance(rendered, Rendered):
                wrong += 1
                continue
            made = tokenize(rendered, tokenizer)
            if not isinstance(made, tuple) or prove(rendered, made, tokenizer, stops):
                wrong += 1
                continue
            trained = sum(len(tokenizer.encode(turn.answer, add_special_tokens=False)) + 1 for turn in rendered.turns)
            wrong += sum(row.trained_tokens for row in made) != trained
            wrong += sum(prove(rendered, harmed, tokenizer, stops) is None for harmed in _harmed(made, tokenizer))
    return wrong


def _harmed(rows: tuple[Tokenized, ...], tokenizer: Any) -> list[tuple[Tokenized, ...]]:
    """The last row with the mistakes that other tools made."""
    row = rows[-1]
    first = int(np.flatnonzero(row.weights)[0])
    prompt_in, end_out = row.weights.copy(), row.weights.copy()
    prompt_in[first - 1], end_out[-1] = 1, 0
    begun = np.insert(row.tokens, 0, tokenizer.bos_token_id).astype(np.int32)
    harmed = (
        Tokenized(row.tokens, prompt_in, row.place),
        Tokenized(row.tokens, end_out, row.place),
        Tokenized(begun, np.insert(row.weights, 0, 0).astype(np.float32), row.place),
    )
    return [(*rows[:-1], one) for one in harmed]


def _tokenizer() -> Any:
    """Bytes as tokens, with a begin mark, an end mark and a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    marks = ["<|begin|>", "<|end|>"]
    backend = Tokenizer(models.BPE({text: number for number, text in enumerate(marks + letters)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    fast: Any = PreTrainedTokenizerFast
    tokenizer = fast(tokenizer_object=backend, bos_token=marks[0], eos_token=marks[1])
    tokenizer.chat_template = (
        "{{ bos_token }}{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}{{ eos_token }}\n"
        "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
    )
    return tokenizer


# ----------------------------------------------------------------------------------------------------------- files


@claim(
    "adapter_is_pefts", "PEFT itself loads the files of each method's adapter and gives the same logits (float64)", 1e-6
)
def adapter_is_pefts() -> float:
    """Over the largest logit: the adapter in memory, and as it is opened here, beside PEFT's. QLoRA's are LoRA's."""
    from peft import PeftModel

    worst = 0.0
    for method in ("lora", "prompt_tuning", "prefix_tuning"):
        module, _ = _method(method)
        tuned = attached(method, double=True)
        with TemporaryDirectory() as name:
            _written(tuned, method, Path(name))
            theirs: Any = PeftModel.from_pretrained(small_model(double=True), name)
            opened = module.open_adapter(small_model(double=True), Path(name))
        for engine in (_engine(tuned), _engine(opened)):
            for row in random_rows(0):
                wanted = _logits(theirs, row)[-len(row.tokens) :]
                found = engine.logits(row, len(row.tokens))
                worst = max(worst, float((found - wanted).abs().max() / wanted.abs().max()))
    return worst


@claim("saved_is_loaded", "weights that were saved and loaded are those in memory, bit by bit", 0)
def saved_is_loaded() -> float:
    """Numbers that differ, of every method."""
    wrong = 0
    for method in METHODS:
        module, _ = _method(method)
        tuned, again = attached(method), attached(method, seed=1)
        with TemporaryDirectory() as name:
            _written(tuned, method, Path(name))
            module.load(again, Path(name))
        wrong += sum(int((again.trainable[name] != one).sum()) for name, one in tuned.trainable.items())
    return wrong


@claim("merged_is_adapter", "weights with the adapter merged in give the adapter's logits, of lora and qlora", 1e-5)
def merged_is_adapter() -> float:
    """Over the largest logit, in float32."""
    import torch

    worst = 0.0
    for method in ("lora", "qlora"):
        module, _ = _method(method)
        tuned, merged = attached(method, 3), attached(method, 3)
        with torch.no_grad():
            for name, one in tuned.trainable.items():
                merged.trainable[name].copy_(one)
        module.merge(merged)
        pairs = [(_logits(merged.model, row), _logits(tuned.model, row)) for row in random_rows(0)]
        largest = max(float(wanted.abs().max()) for _, wanted in pairs)
        worst = max(worst, *(float((found - wanted).abs().max()) / largest for found, wanted in pairs))
    return worst
