"""A finished run as the export formats see it: its method, its files, and its model in memory when asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from luthier.engine.forward import Engine


@dataclass(frozen=True, slots=True)
class Finished:
    """A run with tuned weights.

    `method` is its method's module, `settings` what stands in that one's section of the run file, `weights` the folder
    of the run's result, `base_folder` the untuned model's. `base` is the name that other tools load the untuned model
    by: a hub id or a folder; None where the run went on from another run's adapter, which stands nowhere as a model.
    `precision` is the number type that the run's model is computed in, `stops` are the tokens that end an answer.
    `tuned(precision)` loads the tuned model as `luthier chat` uses it, in this number type.
    """

    name: str
    method_name: str
    method: Any
    settings: Any
    weights: Path
    base: str | None
    base_folder: Path
    precision: str
    tokenizer: Any
    stops: tuple[int, ...]
    tuned: Callable[[str], Engine]
