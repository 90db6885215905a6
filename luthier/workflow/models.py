"""`luthier models`: the models that can be named without a path."""

from __future__ import annotations

from luthier.models import KnownModel, cached


def models() -> tuple[KnownModel, ...]:
    """Packaged models, converted .gguf files and the hub's local copies."""
    return tuple(cached())
