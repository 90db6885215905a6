"""Which remedies of a diagnosis are tried on a run, in which order, at what cost, and how short first."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from luthier.flow import Diagnosis, Place, Remedy
from luthier.settings.loading import AUTO

HYPER: Final = "training_config.hyperparameters"
EVALUATION: Final = "training_config.evaluation"
LENGTH: Final = frozenset(f"{HYPER}.{name}" for name in ("epochs", "max_steps", "max_minutes", "early_stopping"))
"""Settings that say how long a run is, and nothing else: in equally short runs they show nothing."""
AT_THE_END: Final = frozenset((f"{HYPER}.interpolation",))
"""Settings that say what is made of the weights after the last step: a run of others begins where this one ended."""
KEPT_AS_RESOLVED: Final = frozenset(("name", "data.date", "tuning_method", "objective"))
MOST_SHORT: Final = 0.5
"""Of the original's tokens, for each short run."""
LEAST_SHORT: Final = 0.1
"""Shorter runs say nothing."""
FEWEST_STEPS: Final = 5


@dataclass(frozen=True, slots=True)
class Candidate:
    """A remedy to try: `label` names its runs, `symptom` is what it is for. `without` are the rows that it leaves out,
    `times` what it costs in full, as a multiple of the original's tokens of rows."""

    label: str
    remedy: str
    symptom: str
    reason: str
    source: str
    settings: Mapping[str, Any]
    without: tuple[Place, ...] = ()
    times: float = 1.0

    @property
    def only_length(self) -> bool:
        """Whether it changes nothing but how long the run is."""
        return not self.without and set(self.settings) <= LENGTH

    @property
    def only_the_end(self) -> bool:
        """Whether it trains nothing anew."""
        return _trains_nothing(self.settings, len(self.without))


@dataclass(frozen=True, slots=True)
class Round:
    """What is tried on one run (`run`, its folder's name), decided once: `share` is the length of the short runs, as a
    part of the original's tokens, or 0 where none are made. It was decided with `at_most` times the original's cost in
    all, of which `spent` were gone. `symptoms` were found, with their certainty; `left_out` names remedies that are not
    tried, each with why."""

    run: str
    candidates: tuple[Candidate, ...]
    share: float
    at_most: float
    spent: float
    symptoms: Mapping[str, float]
    left_out: Mapping[str, str] = field(default_factory=dict)
    symptom: str = ""
    cause: str = ""
    says: str = ""
    step: int | None = None

    def to_data(self) -> dict[str, Any]:
        """The round as JSON holds it."""
        made = [
            {**asdict(one), "without": [[row.file, row.line, row.row_group] for row in one.without]}
            for one in self.candidates
        ]
        return {**asdict(self), "candidates": made}

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Round:
        """What `to_data` gave, read back from JSON."""
        made = [
            Candidate(**{**one, "without": tuple(Place(*place) for place in one["without"])})
            for one in data["candidates"]
        ]
        return cls(**{**data, "candidates": tuple(made)})


@dataclass(frozen=True, slots=True)
class Facts:
    """What costs are worked out by: the run's settings by path, its training rows, of which it took `row_tokens` a row
    and step, and the tokens of rows that costs are multiples of: the original's, all its steps counted. A row that
    `data.replay` adds has `replayed_tokens` at most, on average: asked only where one adds some."""

    settings: Mapping[str, Any]
    rows: int
    row_tokens: float
    original: float
    replayed_tokens: Callable[[], float] = float

    def times(self, candidate_settings: Mapping[str, Any], without: int = 0) -> float:
        """What a run with other settings costs, as a multiple of the original. What early stopping, a limit of minutes
        or rows too long take away is not foreseen."""
        from luthier.training.schedule import count_steps

        if _trains_nothing(candidate_settings, without):
            return 0.0
        both = {**self.settings, **candidate_settings}
        rows = (self.rows - without) * _share(both) / _share(self.settings)
        batch = int(both[f"{HYPER}.batch_size"])
        steps = count_steps(max(1, round(rows)), batch, float(both[f"{HYPER}.epochs"]), both.get(f"{HYPER}.max_steps"))
        return steps * min(batch, rows) * self._tokens_a_row(both) / self.original

    def steps_of(self, times: float, candidate_settings: Mapping[str, Any]) -> int:
        """The steps that cost so many times the original."""
        both = {**self.settings, **candidate_settings}
        batch = int(both[f"{HYPER}.batch_size"])
        return max(FEWEST_STEPS, round(times * self.original / (batch * self._tokens_a_row(both))))

    def _tokens_a_row(self, settings: Mapping[str, Any]) -> float:
        """Of rows with other settings: those that replay adds are longer or shorter than the run's own."""
        more = float(settings.get("data.replay") or 0.0) - float(self.settings.get("data.replay") or 0.0)
        return self.row_tokens if more <= 0 else self.row_tokens + more * (self.replayed_tokens() - self.row_tokens)


def decided(
    number: int, run: str, found: Diagnosis, facts: Facts, at_most: float, spent: float, share: float = 0.0
) -> Round:
    """What is tried on a run for what was found in it, with `at_most` times the original's cost in all, of which
    `spent` are gone.

    Findings stand surest first and remedies in their order; the first remedies of the first findings are taken, the
    ways of two findings mixed. So many are taken that a short run of each leaves room for one in full, and those that
    train nothing anew besides. One alone is not run short; nor is one that only changes how long a run is, or what is
    made of the weights at its end. `share` is the length of short runs that were made already, for less in all.
    """
    room = at_most - spent
    taken: list[Candidate] = []
    left_out: dict[str, str] = {}
    most = max(1, int(room) - 1)
    for symptom, remedy in _ordered(found):
        name = remedy.name.replace("_", " ")
        if not remedy.settings and not remedy.without:
            left_out.setdefault(name, f"nothing that Luthier can do by itself: {remedy.why}")
            continue
        if any((one.settings, one.without) == (remedy.settings, remedy.without) for one in taken):
            continue
        times = facts.times(remedy.settings, len(remedy.without))
        if times > room + 0.05:
            left_out.setdefault(name, f"it would take {times:.1f} times the original, over the {room:.1f} there are")
            continue
        if times and sum(one.times > 0 for one in taken) == most:
            left_out.setdefault(name, f"{most} are tried in this budget: type a larger --at-most")
            continue
        label = f"{number}-{_slug(remedy.name)}"
        label += "" if all(one.label != label for one in taken) else f"-{len(taken) + 1}"
        taken.append(
            Candidate(
                label, remedy.name, symptom, remedy.why, remedy.source, remedy.settings, remedy.without, round(times, 3)
            )
        )
    first = found.findings[0]
    return Round(
        run,
        tuple(taken),
        share or _short(taken, room),
        at_most,
        spent,
        {one.symptom: one.certainty for one in found.findings},
        {name: why for name, why in left_out.items() if all(name != one.remedy.replace("_", " ") for one in taken)},
        first.symptom,
        first.cause,
        first.says,
        first.step,
    )


def overrides(provenance: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[str, ...]:
    """A run's settings with others over them, for what is laid over its settings.yaml: what it had resolved by itself
    is resolved anew, because it may hang together with what changes."""
    again = [
        path
        for path, entry in provenance.items()
        if entry["source"] == AUTO and entry["reason"] and path not in KEPT_AS_RESOLVED
    ]
    both = {**dict.fromkeys(again, AUTO), **settings}
    return tuple(f"{path}={_yaml(value)}" for path, value in both.items())


def short_settings(steps: int, rows: int, batch_size: int) -> dict[str, Any]:
    """A run of so many steps that is evaluated and saved at its end alone."""
    return {
        f"{HYPER}.max_steps": steps,
        f"{HYPER}.epochs": -(-steps // max(1, -(-rows // batch_size))),
        f"{HYPER}.early_stopping": None,
        f"{EVALUATION}.eval_steps": steps,
        f"{EVALUATION}.save_steps": steps,
        f"{EVALUATION}.keep": 1,
    }


def _ordered(found: Diagnosis) -> list[tuple[str, Remedy]]:
    every = [
        (rank + place, rank, finding.symptom, remedy)
        for rank, finding in enumerate(found.findings)
        for place, remedy in enumerate(finding.remedies)
    ]
    return [(symptom, remedy) for _, _, symptom, remedy in sorted(every, key=lambda one: one[:2])]


def _trains_nothing(settings: Mapping[str, Any], without: int) -> bool:
    """Whether a run that ended can be made another by these settings alone, without a step."""
    return bool(settings) and not without and set(settings) <= AT_THE_END


def _short(taken: Sequence[Candidate], room: float) -> float:
    """How long each short run is: the settings as they were are run so short too."""
    if sum(not one.only_the_end for one in taken) < 2:
        return 0.0
    runs = 1 + sum(not one.only_length and not one.only_the_end for one in taken)
    share = min(MOST_SHORT, (room - max(one.times for one in taken)) / runs)
    return round(share, 3) if share >= LEAST_SHORT else 0.0


def _share(settings: Mapping[str, Any]) -> float:
    """The rows that are trained on, for each row that was read."""
    return (1 + len(settings.get("data.augment") or ())) / (1 - float(settings.get("data.replay") or 0.0))


def _slug(name: str) -> str:
    return re.sub(r"[^\w.+]+", "-", name.replace("_", "-")).strip("-_.+").lower() or "remedy"


def _yaml(value: Any) -> str:
    """JSON is YAML too; a target begins with its sign and is read as it stands."""
    if isinstance(value, str) and value.startswith(">"):
        return value
    return json.dumps(list(value) if isinstance(value, tuple) else value, default=dict)
