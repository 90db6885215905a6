"""What base makes of rows, computed once and kept beside the models: every run that is judged on them asks it again."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import torch
import transformers

from luthier import engine as engine_package
from luthier.engine.forward import Engine
from luthier.flow import Event, Note, Question, Tokenized
from luthier.models.cache import home

Result = TypeVar("Result")
SAMPLED = 4096
"""Numbers of each of a model's tensors that its fingerprint is made of."""


def once(
    base: Engine,
    what: str,
    asked: Iterable[bytes],
    kind: type[Result],
    make: Callable[[], Generator[Event, None, list[Result]]],
) -> Generator[Event, None, list[Result]]:
    """What `make` gives, each of a `kind` that JSON holds: from the cache, or made and put there.

    It is known by base's weights, by all that is `asked` of it, and by the engine's own code and its libraries, so that
    nothing of another engine counts. `what` names it where it is found, and where the cache cannot be written.
    """
    digest = blake2b(f"{what} {fingerprint(base.tuned.model)} {_code()}".encode(), digest_size=16)
    for part in asked:
        digest.update(len(part).to_bytes(8) + part)
    path = home() / "base" / f"{digest.hexdigest()}.json"
    try:
        found: list[Result] = msgspec.json.decode(path.read_bytes(), type=list[kind])  # type: ignore[valid-type]
    except (OSError, msgspec.DecodeError):
        found = yield from make()
    else:
        yield Note("rows", f"{what}: {len(found):,}, kept since they were asked first")
        return found
    try:
        with written_aside(path) as aside:
            aside.write_bytes(msgspec.json.encode(found))
    except OSError as error:
        yield Note("warning", f"{what} cannot be kept ({error.strerror or error}): {path}")
    return found


def rows_asked(rows: Sequence[Tokenized]) -> Iterable[bytes]:
    """What scoring these rows asks of a model."""
    for row in rows:
        yield row.tokens.tobytes()
        yield row.weights.tobytes()


def questions_asked(questions: Sequence[Question]) -> Iterable[bytes]:
    """What answering these questions asks of a model."""
    for question in questions:
        yield question.prompt.encode()
        yield question.tokens.tobytes()


def fingerprint(model: Any) -> str:
    """A digest of a model's weights as they are in memory: of each tensor its name, kind, shape and evenly spread
    numbers."""
    digest = blake2b(digest_size=16)
    for name, tensor in sorted(model.state_dict(keep_vars=True).items()):
        if not isinstance(tensor, torch.Tensor):
            continue
        flat = tensor.detach().reshape(-1)
        some = flat[:: max(1, len(flat) // SAMPLED)].cpu().contiguous().view(torch.uint8).numpy()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode() + some.tobytes())
    return digest.hexdigest()


@cache
def _code() -> str:
    """A digest of the engine's files, with the versions that it computes by."""
    digest = blake2b(f"{torch.__version__} {transformers.__version__}".encode(), digest_size=16)
    for file in sorted(Path(engine_package.__path__[0]).rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A file of its own to write, renamed to `path` afterwards, so that this is whole or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    os.close(handle)
    aside = Path(name)
    try:
        yield aside
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
