"""One pass of the engine over tensors without memory: what is alive at its peak, and what is computed on the way.

The engine itself runs, on a model whose weights have shapes alone, so there is no second description of it to go out of
date. Layers repeat, so a pass is traced with few of them and drawn out to all: bytes and time are straight lines in
their number.

Sizes: V vocabulary.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.nn import Parameter
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

from luthier.engine.divergence import each_distance
from luthier.engine.forward import Engine
from luthier.engine.hold import BaseEngine, Expected, Hold
from luthier.engine.loss import losses
from luthier.engine.padded import logits_padded
from luthier.engine.step import backward
from luthier.flow import Base, Place, Root, Tokenized, Tuned

KINDS = ("activations", "logits", "temporary")
"""What is alive beside weights and their gradients: made on the way forward; wide as the vocabulary; made on the way
back."""
_FLASH = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_FLASH_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


@dataclass(frozen=True, slots=True)
class Peak:
    """Bytes alive at one moment."""

    activations: float = 0.0
    logits: float = 0.0
    temporary: float = 0.0
    gradients: float = 0.0

    @property
    def total(self) -> float:
        return self.activations + self.logits + self.temporary + self.gradients


class Product(NamedTuple):
    """A product of matrices: its FLOP, the bytes that it reads and writes, and whether its numbers have 16 bits."""

    flop: float
    moved: float
    narrow: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """What was computed: each of the `products`, `attention` in FLOP, `moved` in bytes that all else read and wrote.

    `operations` counts those that touch numbers; views are none.
    """

    products: tuple[Product, ...]
    attention: float
    moved: float
    operations: int

    @property
    def flop(self) -> float:
        return sum(product.flop for product in self.products) + self.attention


@dataclass(frozen=True, slots=True)
class Traced:
    """One pass: the `peaks` of its phases (forward, loss, back), the bytes that gradients have at its end, its work."""

    peaks: Mapping[str, Peak]
    gradients: float
    work: Work


def rows_of(count: int, length: int, vocabulary: int) -> list[Tokenized]:
    """Rows of one length that share nothing, every token but the first trained on."""
    tokens = np.random.default_rng(0).integers(0, vocabulary, (count, length)).astype(np.int32)
    tokens[:, 0] = np.arange(count) % vocabulary
    weights = np.array([0, *[1] * (length - 1)], dtype=np.float32)
    return [Tokenized(row, weights, Place("estimate", number + 1)) for number, row in enumerate(tokens)]


def trace(
    tuned: Tuned,
    rows: Sequence[Tokenized],
    scored: Sequence[Tokenized],
    checkpointing: bool = False,
    base: Base | None = None,
) -> tuple[Traced, Traced]:
    """One pass over `rows` with the way back, and one over `scored` without it, as validation makes it; both held near
    a `base` where one is given.

    `tuned` stands on a model without memory (`models.skeleton`), and is used up.
    """
    with FakeTensorMode(allow_non_fake_inputs=True):
        fake, before = _on_cpu(tuned), None
        if base is not None:
            other = fake if base.tuned.model is fake.model else _on_cpu(base.tuned)
            before = Base(Tuned(other.model, None, {}), base.within)
        models = [fake.model, *([] if before is None else [before.tuned.model])]
        weights = [tensor for model in models for tensor in (*model.parameters(), *model.buffers())]
        weights += fake.trainable.values()
        # The few values that are asked for are 0, so the engine finds that a tree serves the model, if it takes one.
        with _Trace(fake, weights):
            engine = Engine(fake, checkpointing=checkpointing)
            hold = None if before is None else Hold(BaseEngine(before), 1.0, 1.0)
        with _Trace(fake, weights) as trace, torch.no_grad():
            fake.model.eval()
            _score(engine, scored, hold)
            scoring = trace.finish()
        with _Trace(fake, weights) as trace:
            fake.model.train()
            backward(engine, rows, 1.0, sum(len(row.tokens) for row in rows), hold)
            return trace.finish(), scoring


def _score(engine: Engine, rows: Sequence[Tokenized], hold: Hold | None) -> None:
    if hold is not None:
        _distance(engine, rows, hold.base)
    near, far = engine.by_limit([len(row.tokens) for row in rows])
    if far:
        logits_padded(engine, rows[far[0]], len(rows[far[0]].tokens) - 1)
        return
    tree = engine.lay_out([rows[index] for index in near])
    (walked,) = engine.walk(tree, len(tree.tokens))
    sources, targets = engine.predictions(tree, walked.part)
    losses(walked.states.index_select(0, sources), engine.head, targets)


def _distance(engine: Engine, rows: Sequence[Tokenized], base: BaseEngine) -> None:
    if base.by_limit(engine, [len(row.tokens) for row in rows])[1]:
        with base.asked() as other:
            logits_padded(other, rows[0], len(rows[0].tokens) - 1)
        return
    tree = engine.lay_out(rows)
    expected = Expected(base, rows, len(tree.tokens))
    (walked,) = engine.walk(tree, len(tree.tokens))
    sources, _ = engine.predictions(tree, walked.part)
    states = expected.at(walked.part.predictions)
    each_distance(walked.states.index_select(0, sources), engine.head, states, expected.head)


def _on_cpu(tuned: Tuned) -> Tuned:
    """The same with every tensor a fake one that says it stands on the CPU."""
    made: dict[int, Any] = {}

    def like(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in made:
            fake: torch.Tensor = torch.empty(tensor.shape, dtype=tensor.dtype)
            if isinstance(tensor, Parameter) or tensor.requires_grad:
                fake = Parameter(fake, requires_grad=tensor.requires_grad)
            made[id(tensor)] = (fake, tensor)  # the tensor too, so that its id is no other's
        found: torch.Tensor = made[id(tensor)][0]
        return found

    for module in tuned.model.modules():
        for own in (module._parameters, module._buffers, module.__dict__):
            for name, tensor in list(own.items()):
                if isinstance(tensor, torch.Tensor):
                    own[name] = like(tensor)  # type: ignore[assignment]
    root = tuned.root
    trainable = {name: like(tensor) for name, tensor in tuned.trainable.items() if id(tensor) in made}
    if root is not None and root.embeddings is not None:
        embeddings = like(_leaf(root.embeddings()))
        trainable, root = {"embeddings": embeddings}, Root(root.length, embeddings=lambda: embeddings)
    elif root is not None and root.keys_and_values is not None:
        pairs = [(like(_leaf(key)), like(_leaf(value))) for key, value in root.keys_and_values()]
        trainable = {f"{layer}.{part}": pair[part] for layer, pair in enumerate(pairs) for part in (0, 1)}
        root = Root(root.length, keys_and_values=lambda: pairs)
    return Tuned(tuned.model, root, trainable)  # type: ignore[arg-type]


def _leaf(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().requires_grad_()


@dataclass(slots=True)
class _Alive:
    kind: str
    size: int


class _Trace(TorchDispatchMode):
    """Counts the bytes of every storage from its making to its end, and the work between."""

    def __init__(self, tuned: Tuned, weights: Sequence[torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.vocabulary: int = tuned.model.get_input_embeddings().weight.shape[0]  # type: ignore[operator]
        self.alive: dict[int, _Alive] = {}
        self.now = dict.fromkeys((*KINDS, "gradients"), 0)
        self.peaks: dict[str, Peak] = {}
        self.products: list[Product] = []
        self.attention = self.moved = 0.0
        self.operations = 0
        self.known = {_key(tensor) for tensor in weights}
        self.hooks = [
            tensor.register_post_accumulate_grad_hook(self._accumulated) for tensor in tuned.trainable.values()
        ]

    def finish(self) -> Traced:
        for hook in self.hooks:
            hook.remove()
        work = Work(tuple(self.products), self.attention, self.moved, self.operations)
        return Traced(dict(self.peaks), self.now["gradients"], work)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        inputs = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
        fake = any(isinstance(one, FakeTensor) for one in inputs)
        if func is torch.ops.aten._local_scalar_dense.default and fake:
            return 0.0 if inputs[0].is_floating_point() else 0
        if inputs and not fake:  # where tokens stand: their values are known, and decide the way
            with _disable_current_modes():
                return func(*args, **kwargs)
        output = func(*args, **kwargs)
        outputs = [one for one in tree_leaves(output) if isinstance(one, FakeTensor)]
        for one in outputs:
            self._see(one)
        if func._overloadpacket is torch.ops.aten.logsumexp:  # its kernel holds the exponentials beside its input
            exponentials = torch.empty_like(inputs[0])
            self._see(exponentials)
            del exponentials
        self._work(func, args, kwargs, inputs, outputs, output)
        return output

    def _work(self, func: Any, args: Any, kwargs: Any, inputs: list[Any], outputs: list[Any], output: Any) -> None:
        if func.is_view:
            return
        self.operations += 1
        size = sum(_bytes(one) for one in (*inputs, *outputs))
        if func._overloadpacket is _FLASH:
            self.attention += sdpa_flop_count(*(one.shape for one in args[:3])) / (
                2 if _argument(func, args, kwargs, "is_causal") else 1
            )
        elif func._overloadpacket is _FLASH_BACKWARD:
            causal = _argument(func, args, kwargs, "is_causal")
            self.attention += sdpa_backward_flop_count(*(one.shape for one in args[:4])) / (2 if causal else 1)
        elif func._overloadpacket in flop_registry:
            flop = float(flop_registry[func._overloadpacket](*args, **kwargs, out_val=output))
            self.products.append(Product(flop, size, outputs[0].element_size() == 2))
        else:
            self.moved += size

    def _see(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.alive or key in self.known:
            return
        back = torch._C._current_graph_task_id() != -1
        kind = "logits" if self.vocabulary in tensor.shape else "temporary" if back else "activations"
        self.alive[key] = _Alive(kind, storage.nbytes())
        self.now[kind] += storage.nbytes()
        weakref.finalize(storage, self._gone, key)
        phase = "back" if back else "loss" if self.now["logits"] else "forward"
        if phase not in self.peaks or sum(self.now.values()) > self.peaks[phase].total:
            self.peaks[phase] = Peak(**self.now)

    def _gone(self, key: int) -> None:
        if (found := self.alive.pop(key, None)) is not None:
            self.now[found.kind] -= found.size

    def _accumulated(self, parameter: torch.Tensor) -> None:
        if parameter.grad is not None and (found := self.alive.get(_key(parameter.grad))):
            self.now[found.kind] -= found.size
            found.kind = "gradients"
            self.now[found.kind] += found.size


def _key(tensor: torch.Tensor) -> int:
    found: int = tensor.untyped_storage()._cdata
    return found


def _bytes(tensor: torch.Tensor) -> float:
    return float(tensor.numel() * tensor.element_size())


def _argument(func: Any, args: Any, kwargs: Any, name: str) -> Any:
    """What an operation is given under a name, or None."""
    names = [argument.name for argument in func._schema.arguments]
    return kwargs.get(name, dict(zip(names, args, strict=False)).get(name))
