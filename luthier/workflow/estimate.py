"""`luthier estimate`: what a run would take, of a model and on a machine that need not be here."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.errors import UserError, mistake
from luthier.flow import Event, Note, Progress
from luthier.settings import mission
from luthier.settings.loading import AUTO, Loaded, resolve, resolve_auto
from luthier.settings.schema import Settings
from luthier.workflow import run_file

if TYPE_CHECKING:
    from luthier.advice.estimate import Candidate, Cost, Load
    from luthier.advice.machine import Machine
    from luthier.advice.probe import Probed
    from luthier.models import Source

USUAL_ROW = 512
"""Tokens a row, where nothing says how long rows are."""


@dataclass(frozen=True, slots=True)
class Largest:
    """What would fit at most, all else as it is: the tokens of a row, the method's own size (`r`, virtual tokens), and
    the largest of known models. None where even the smallest does not fit, or where there is no bound."""

    row_tokens: int | None = None
    size: int | None = None
    size_name: str = ""
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Estimated:
    """What was worked out. `cost` is None where a model is counted alone; `why` says so. `seconds` and `money` are of
    the whole run, where its rows and a price are given."""

    model: str
    tuning_method: str
    parameters: int
    trainable_parameters: int | None
    precision: str
    machine: Machine
    processes: int = 1
    cost: Cost | None = None
    why: str = ""
    steps: int | None = None
    seconds: float | None = None
    money: float | None = None
    largest: Largest | None = None
    probed: Probed | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def fits(self) -> bool | None:
        """Whether the machine holds it; None where either is not known."""
        if self.cost is None or self.machine.memory_bytes is None:
            return None
        on_one = self.processes if self.machine.kind == "cpu" else 1
        return on_one * self.cost.peak_bytes <= self.machine.memory_bytes


def estimate(
    files: Sequence[str] = (),
    *,
    model: str | None = None,
    method: str | None = None,
    overrides: Sequence[str] = (),
    row_tokens: int | None = None,
    rows: int | None = None,
    device: str = "cpu",
    processes: int = 1,
    price_per_hour: float | None = None,
    largest: bool | None = False,
    probe: bool = False,
) -> Generator[Event, None, Estimated]:
    """Counts the parameters, and works out memory, computation and time of a run with these settings.

    `model` may be a bare config.json. With `largest` also what would fit at most (None: not
    even where it does not fit), with `probe` after a few real steps
    on this machine. Raises `UserError` for a model that cannot be read, and settings that do not fit it.
    """
    given = [f"model={model}"] if model is not None else []
    given += [f"tuning_method={method}"] if method is not None else []
    loaded = _read(files, [*overrides, *given])
    decided_later = loaded.settings.tuning_method == AUTO
    loaded = resolve_auto(loaded, "tuning_method", mission.DEFAULT_TUNING_METHOD, "the mission's default")
    settings = loaded.settings
    if probe and device.lower() != "cpu":
        raise mistake("a probe runs on this machine's CPU", "--probe", "leave out --device")
    place = yield from _place(settings.model)
    yield Progress("counting parameters", 0, 1)
    from luthier.advice.machine import machine
    from luthier.models import measure, skeleton

    built = skeleton(place)
    chosen = run_file.method(settings.tuning_method)
    loaded = _resolved(loaded, chosen, built)
    settings = loaded.settings
    here = machine(device, settings.tuning_method)
    loaded = _precision(loaded, chosen, here)
    settings = loaded.settings
    precision = settings.training_config.hyperparameters.precision
    own = _own(settings, chosen)
    parameters = sum(parameter.numel() for parameter in built.parameters())
    trainable = chosen.trainable_parameters(own, built)
    known = Estimated(settings.model, settings.tuning_method, parameters, trainable, precision, here, processes)
    if built.config.is_encoder_decoder:
        why = "it reads and writes in two parts: such models are counted, and no method of Luthier trains them"
        return replace(known, why=why)
    shape = measure(built)
    load, notes = _load(settings, shape.context_length, row_tokens, processes)
    if decided_later:
        said = "the mission's default; `luthier train` decides by the rows, `luthier advise` by what base knows of them"
        notes.insert(0, f"tuning_method: auto is {settings.tuning_method} here, {said}")
    candidate = candidate_of(place, settings, chosen)
    return (
        yield from _worked_out(
            replace(known, notes=tuple(notes)), candidate, load, place, settings, rows, price_per_hour, largest, probe
        )
    )


def _worked_out(
    known: Estimated,
    candidate: Candidate,
    load: Load,
    place: Source | Path,
    settings: Settings,
    rows: int | None,
    price_per_hour: float | None,
    largest: bool | None,
    probe: bool,
) -> Generator[Event, None, Estimated]:
    from luthier.advice.estimate import fitting
    from luthier.advice.probe import corrected, kept

    yield Progress("tracing a step", 0, 1)
    cost, probed = fitting(candidate, load, known.machine), None
    if probe:
        probed = yield from _probed(place, settings, cost)
    elif known.machine.kind == "cpu":
        probed = kept(known.model, known.tuning_method, known.precision)
    known = replace(known, cost=corrected(cost, probed), probed=probed)
    if rows is not None:
        known = _whole_run(known, settings, rows, price_per_hour)
    if largest or (largest is False and known.fits is False):
        known = replace(known, largest=(yield from _largest(known, candidate, place, settings)))
    return known


def _probed(place: Source | Path, settings: Settings, expected: Cost) -> Generator[Event, None, Probed]:
    from luthier.advice.probe import keep, probe

    yield Progress("probing: real steps on this machine", 0, 1)
    method = run_file.method(settings.tuning_method)
    own = _own(settings, method)
    section = getattr(settings.training_config, method.SECTION).model_dump(mode="json") if method.SECTION else {}
    request = {
        "place": str(place if isinstance(place, Path) else place.folder),
        "method": settings.tuning_method,
        "settings_of": type(own).__module__.rpartition(".")[2],
        "settings": own.model_dump(mode="json"),
        "section": section,
        "precision": settings.training_config.hyperparameters.precision,
        "row_tokens": expected.load.row_tokens,
        "batch_size": expected.load.batch_size,
        "checkpointing": expected.load.checkpointing,
        "kl_to_base": settings.training_config.preference_config.kl_to_base,
    }
    probed = probe(request, expected)
    yield from (Note("warning", text) for text in probed.said())
    if probed.time_factor is not None:
        keep(settings.model, probed)
    return probed


def _whole_run(known: Estimated, settings: Settings, rows: int, price_per_hour: float | None) -> Estimated:
    """With the steps, the seconds and the money that so many rows take."""
    from luthier.training.schedule import count_steps

    assert known.cost is not None
    hyper = settings.training_config.hyperparameters
    steps = count_steps(rows, hyper.batch_size, hyper.epochs, hyper.max_steps)
    if known.cost.step_seconds is None:
        return replace(known, steps=steps)
    seconds = steps * known.cost.step_seconds
    machines = known.processes if known.machine.kind == "gpu" else 1
    money = None if price_per_hour is None else seconds / 3600 * price_per_hour * machines
    return replace(known, steps=steps, seconds=seconds, money=money)


def candidate_of(place: Source | Path, settings: Settings, method: Any) -> Candidate:
    """A model under the method of these settings, as `advice.estimate` takes it."""
    import torch

    from luthier.advice.estimate import Candidate
    from luthier.models import measure, skeleton

    dtype = getattr(torch, settings.training_config.hyperparameters.precision)
    own, built = _own(settings, method), skeleton(place)
    shape = measure(built)
    plain = shape.parameters * dtype.itemsize
    weights, unpacked = plain, 0
    if hasattr(method, "weight_memory"):
        section = getattr(settings.training_config, method.SECTION)
        weights, unpacked = method.weight_memory(section, built, dtype.itemsize)
    held = settings.training_config.preference_config.kl_to_base > 0
    return Candidate(
        tuned=lambda layers: method.attach(skeleton(place, layers).to(dtype), own, settings.seed, None),
        layers=shape.layers,
        vocabulary=shape.vocabulary,
        parameters=shape.parameters,
        trainable=method.trainable_parameters(own, built),
        weight_bytes=weights,
        unpacked_bytes=unpacked,
        beside=not method.TRAINS_THE_BASE,
        base_of=method.base_of if held else None,
        base_bytes=weights if held and method.TRAINS_THE_BASE else 0,
    )


def _read(files: Sequence[str], overrides: Sequence[str]) -> Loaded:
    """The settings. What has to be installed to train is no mistake here."""
    from luthier.settings.loading import load

    return load(files, overrides=overrides, sections=run_file.sections())


def _place(name: str) -> Generator[Event, None, Source | Path]:
    """Where a model's configuration stands: a file, a folder that may hold nothing else, or what a name means."""
    path = Path(name).expanduser()
    if path.is_file() and path.suffix != ".gguf":
        return path
    if (path / "config.json").is_file() and not any(path.glob("*.safetensors")):
        return path
    if path.suffix == ".json":
        raise mistake("no such file", name, "name a model's config.json, its folder, or a model")
    from luthier.workflow.loaded_model import find

    return (yield from find(name)).source


def _own(settings: Settings, method: Any) -> Any:
    """The method's settings, of the same sizes without a tokenizer."""
    own = run_file.method_settings(settings, method)
    return method.without_tokenizer(own) if hasattr(method, "without_tokenizer") else own


def _resolved(loaded: Loaded, method: Any, built: Any) -> Loaded:
    """What the model decides of the method's settings."""

    def chosen(path: str) -> bool:
        return run_file.written(loaded, f"training_config.{path}")

    for path, value, reason in method.resolve(_own(loaded.settings, method), built, chosen, None):
        if value != AUTO:
            loaded = resolve(loaded, f"training_config.{path}", value, reason, AUTO)
    return loaded


def _precision(loaded: Loaded, method: Any, here: Machine) -> Loaded:
    import torch

    from luthier.engine.precision import fast_precision

    path = "training_config.hyperparameters.precision"
    if method.TRAINS_THE_BASE:
        return resolve_auto(loaded, path, "float32", "trained weights need float32 to take small steps")
    return resolve_auto(loaded, path, *fast_precision(torch.device("cuda" if here.kind == "gpu" else "cpu")))


def _load(settings: Settings, context: int | None, row_tokens: int | None, processes: int) -> tuple[Load, list[str]]:
    """The rows of a step of one process, and what was assumed about them."""
    from luthier.advice.estimate import Load

    notes = ["rows share no beginning: where they do, a step takes less time", "every token is trained on"]
    longest = settings.data.max_length
    if row_tokens is None and longest != "auto":
        row_tokens = longest
    if row_tokens is None:
        row_tokens = min(USUAL_ROW, context or USUAL_ROW)
        notes.insert(0, f"rows of {row_tokens:,} tokens: --row-tokens says how long yours are")
    if context is not None and row_tokens > context:
        remedy = f"write at most {context}"
        raise mistake(f"{row_tokens:,} is more than the model's context of {context:,}", "--row-tokens", remedy)
    each = 1
    if settings.objective == "preference":
        each = 2
        notes.append("a row is two answers, each with its prompt, of so many tokens: both share the prompt's")
        notes.append("before the first step base reads each pair once, which takes about a third of an epoch more")
    if settings.training_config.preference_config.kl_to_base > 0:
        notes.append("base goes through each step's rows as well, because of `kl_to_base`, without a way back")
    batch = -(-settings.training_config.hyperparameters.batch_size // processes)
    return Load(row_tokens, each * batch), notes


def _largest(
    known: Estimated, candidate: Candidate, place: Source | Path, settings: Settings
) -> Generator[Event, None, Largest]:
    """What would fit. Each is a straight line through two costs, of which the one at its end is worked out again."""
    from luthier.advice.largest import largest_fitting, largest_known_model, standing, twice
    from luthier.models import measure, skeleton

    assert known.cost is not None
    here, load = known.machine, known.cost.load
    if here.memory_bytes is None:
        return Largest()
    method = run_file.method(settings.tuning_method)
    bound = here.memory_bytes // (known.processes if here.kind == "cpu" else 1)
    yield Progress("looking for the longest row", 0, 3)
    context = measure(skeleton(place)).context_length
    tokens = largest_fitting(
        lambda count: twice(candidate, replace(load, row_tokens=count), here), load.tokens_a_pass, bound, context
    )
    size, name = None, getattr(method, "GROWS_BY", "")
    if name:
        yield Progress(f"looking for the largest {name}", 1, 3)
        own = _own(settings, method)
        section = getattr(method, "SETTINGS_FROM", method.SECTION)

        def grown(count: int) -> int:
            bigger = settings.training_config.model_copy(update={section: own.model_copy(update={name: count})})
            other = candidate_of(place, settings.model_copy(update={"training_config": bigger}), method)
            return twice(other, load, here)

        widest = _widest(method, own, name, place)
        size = largest_fitting(grown, min(2 * getattr(own, name), widest // 2), bound, widest) if widest > 1 else widest
    yield Progress("looking for the largest model", 2, 3)
    model = largest_known_model(
        lambda path: standing(candidate_of(path, settings, method), here),
        lambda path: twice(candidate_of(path, settings, method), load, here),
        bound,
    )
    return Largest(tokens, size, name, model)


def _widest(method: Any, own: Any, name: str, place: Source | Path) -> int:
    """The largest value that the method takes on this model."""
    from luthier.models import skeleton

    built, least, most = skeleton(place), getattr(own, name), 1 << 20
    while least < most:
        middle = (least + most + 1) // 2
        try:
            method.trainable_parameters(own.model_copy(update={name: middle}), built)
            least = middle
        except UserError:
            most = middle - 1
    return int(least)


def data_of(known: Estimated) -> dict[str, Any]:
    """An estimate as JSON holds it."""
    share = None if known.trainable_parameters is None else known.trainable_parameters / known.parameters
    cost = known.cost
    data: dict[str, Any] = {
        "model": known.model,
        "tuning_method": known.tuning_method,
        "parameters": known.parameters,
        "trainable_parameters": known.trainable_parameters,
        "trainable_share": share,
        "peak_memory_bytes": cost.peak_bytes if cost else None,
        "seconds_per_1k_tokens": cost.seconds_per_1k_tokens if cost else None,
        "why": known.why or known.machine.source,
        "precision": known.precision,
        "machine": asdict(known.machine),
        "processes": known.processes,
        "fits": known.fits,
        "run": {"steps": known.steps, "seconds": known.seconds, "money": known.money},
        "largest": asdict(known.largest) if known.largest else None,
        "probe": known.probed.data() if known.probed else None,
        "assumed": list(known.notes),
    }
    if cost is not None:
        data |= {
            "memory": {"training": asdict(cost.training), "evaluation": asdict(cost.evaluation)},
            "flop_per_token": cost.flop_per_token,
            "seconds_per_step": cost.step_seconds,
            "step": {**asdict(cost.load), "passes": cost.load.passes},
        }
    return data
