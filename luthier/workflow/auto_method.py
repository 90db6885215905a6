"""What `tuning_method: auto` means in a run file: the rules of `luthier advise`, without measuring anything."""

from __future__ import annotations

import torch

from luthier.advice.advise import advise, left_out
from luthier.advice.facts import Facts, Option
from luthier.advice.rules.values import HYPER, max_minutes
from luthier.engine.memory import available_bytes
from luthier.engine.precision import fast_precision
from luthier.errors import Mistake, UserError
from luthier.settings import mission
from luthier.settings.loading import AUTO, Loaded, resolve, resolve_auto
from luthier.settings.mission import TuningMethod
from luthier.settings.schema import Settings
from luthier.workflow import run_file

FULL_BYTES, PACKED_BYTES = 16, 1
"""A parameter at least: in full tuning itself, its gradient and two averages in float32; in four bits, with the parts
that stay whole. What is traced needs `luthier estimate`."""


def method_chosen(loaded: Loaded, trained_tokens: int, rows: int, parameters: int) -> Loaded:
    """The settings with `tuning_method: auto` decided, and the minutes that the compute budget then allows. A method
    that is written stays, whatever the budget. Raises `UserError` where the budget leaves no method that fits."""
    settings = loaded.settings
    if settings.tuning_method != AUTO:
        return loaded
    device = torch.device("cpu")
    number = getattr(torch, fast_precision(device)[0]).itemsize
    facts = Facts(
        budget=settings.compute_budget,
        rows=rows,
        trained_tokens=trained_tokens,
        memory_bytes=available_bytes(device),
        options={name: _option(name, parameters, number) for name in mission.METHODS},
    )
    advice = advise(facts)
    if advice is None:
        where = f"model: {settings.model}"
        remedy = "write a smaller model, or say what it would take: luthier estimate --model M --largest"
        allowed = mission.allowed_methods(facts.budget)
        raise UserError(
            Mistake(f"{name} is not possible: {reason}", where, remedy)
            for name, reason in left_out(facts).items()
            if name in allowed
        )
    reason = f"{advice.why} Nothing was measured for this: luthier advise does; {advice.source}"
    loaded = resolve_auto(loaded, "tuning_method", advice.tuning_method, reason)
    path = f"{HYPER}.max_minutes"
    if (bound := max_minutes(facts, advice.tuning_method)) and not run_file.written(loaded, path):
        loaded = resolve(loaded, path, bound[1], f"{bound[2]}, because tuning_method is auto", AUTO)
    return loaded


def method_of_the_first(loaded: Loaded, settings: Settings) -> Loaded:
    """What `method_chosen` decided in the process that began the run: another one may find other memory free."""
    if loaded.settings.tuning_method != AUTO:
        return loaded
    loaded = resolve_auto(loaded, "tuning_method", settings.tuning_method, "as the first process")
    path, minutes = f"{HYPER}.max_minutes", settings.training_config.hyperparameters.max_minutes
    if minutes is None or run_file.written(loaded, path):
        return loaded
    return resolve(loaded, path, minutes, "as the first process", AUTO)


def _option(name: TuningMethod, parameters: int, number_bytes: int) -> Option:
    """The least that a method holds: the weights, and what full tuning needs of each."""
    method = run_file.method(name)
    refused = lacking.message if (lacking := run_file.lacking(method)) else ""
    each = FULL_BYTES if method.TRAINS_THE_BASE else PACKED_BYTES if hasattr(method, "load_base") else number_bytes
    return Option(refused, peak_memory_bytes=each * parameters)
