"""From a comparison of runs to one HTML page that needs nothing outside itself, and the words of its numbers."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from luthier.evaluation import metrics
from luthier.evaluation.compare import LEVEL, Comparison, Method
from luthier.flow import Measure
from luthier.report import bars, numbers
from luthier.report.against_cost import scatters
from luthier.report.page import _HERE as HERE
from luthier.report.page import _digest as digest
from luthier.report.page import _environment as environment
from luthier.report.page import is_share

MOST_METRICS = 4
FORGETTING = "forgetting"


@dataclass(frozen=True, slots=True)
class Cell:
    """A run by one metric: its value and interval in words, and drawn."""

    method: Method
    text: str
    n: int
    strip: bars.Strip | None


@dataclass(frozen=True, slots=True)
class Line:
    """A pair of runs by one metric in words; `apart` where it is more than noise."""

    one: str
    other: str
    difference: str
    probability: str
    corrected: str
    apart: bool


def title(found: Comparison) -> str:
    """`3 runs on the same 500 rows of test.jsonl; in brackets the 95% intervals`."""
    lines, rows = numbers.count(len(found.methods), kind(found)), numbers.count(found.rows, "row")
    seeds = f", {numbers.count(len(found.seeds), 'seed')} each" if len(found.seeds) > 1 else ""
    return f"{lines} on the same {rows} of {found.data}{seeds}; in brackets the 95% intervals"


def kind(found: Comparison) -> str:
    """What a line is: a finished `run`, or a `method` that was trained for the comparison."""
    return "method" if found.seeds else "run"


def circumstances(found: Comparison) -> list[str]:
    """On what methods were compared, each a sentence; nothing for finished runs."""
    if not found.seeds:
        return []
    seeds = ", ".join(str(seed) for seed in found.seeds)
    rows = "" if found.train_rows is None else f" on {numbers.count(found.train_rows, 'training row')}"
    said = [f"model: {found.model}{rows}; budget: {found.budget}; seeds: {seeds}"]
    said += [f"{label} is left out: {why}" for label, why in found.left_out.items()]
    return said


def searched(method: Method) -> str:
    """The learning rates tried: `2e-4 of 6e-5 (loss 0.71), 2e-4 (0.64), 6e-4 (0.66)`."""
    rate = numbers.rate(method.learning_rate)
    if not method.search:
        return rate
    tried = ", ".join(
        f"{numbers.rate(one.learning_rate)} ({numbers.number(one.validation_loss)})" for one in method.search
    )
    return f"{rate}, the best by validation loss of {tried}"


def shown_metrics(found: Comparison) -> list[str]:
    """The metrics of the table: the one that decides, then those of targets, then loss and perplexity."""
    measured = {pair.metric for pair in found.pairs}
    wanted = [found.decided_by]
    wanted += [metrics.OTHER_NAMES.get(t.metric, t.metric) for method in found.methods for t in method.targets]
    wanted += ["loss", "perplexity"]
    shown = [name for name in dict.fromkeys(wanted) if name in measured][:MOST_METRICS]
    forgot = FORGETTING if all(FORGETTING in method.metrics for method in found.methods) else ""
    return [*shown, *([forgot] if forgot and forgot not in shown else [])]


def said(name: str, measure: Measure, between: str, signed: bool = False) -> str:
    """`91.0% [85.1, 94.8]`; as a difference `+3.2 points [0.1, 6.3]`."""
    share = is_share(name)
    value = numbers.measured(measure.value, share)
    if signed and measure.value is not None:
        value = f"{value[:-1]} points" if share else value
        value = f"+{value}" if measure.value > 0 else value
    interval = numbers.interval(measure.value, measure.low, measure.high, share)
    return f"{value}{between}{interval}" if interval else value


def render(found: Comparison) -> str:
    """The whole page. The same comparison gives the same bytes."""
    style = (HERE / "report.css").read_text(encoding="utf-8") + (HERE / "comparison.css").read_text(encoding="utf-8")
    tested = [pair.metric for pair in found.pairs]
    names = list(dict.fromkeys([*(name for name in shown_metrics(found) if name in tested), *tested]))
    page = (
        environment()
        .get_template("comparison.html.j2")
        .render(
            found=found,
            title=title(found),
            style=Markup(style),
            policy="default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
            f"style-src '{digest(style)}'",
            shown=shown_metrics(found),
            kind=kind(found),
            circumstances=circumstances(found),
            scatters=scatters(found),
            searched=searched,
            is_share=is_share,
            cells={name: [_cell(found, method, name) for method in found.methods] for name in names},
            lines={name: _lines(found, name) for name in names},
            level=LEVEL,
        )
    )
    return page.lstrip()


def _cell(found: Comparison, method: Method, name: str) -> Cell:
    measure, share = method.metrics[name], is_share(name)
    drawn = [one.metrics[name] for one in found.methods]
    # One axis for all: the others are drawn too and left out again.
    values = [("tuned", one.value, one.low, one.high) for one in drawn]
    strip = bars.strip(values, share, near=True)
    at = found.methods.index(method)
    alone = strip and bars.Strip((strip.bars[at],), strip.ticks, logarithmic=strip.logarithmic)
    return Cell(method, said(name, measure, " "), measure.n, alone)


def _lines(found: Comparison, name: str) -> list[Line]:
    return [
        Line(
            pair.one,
            pair.other,
            said(name, pair.difference, " ", signed=True),
            "no test" if pair.probability is None else f"{pair.probability:.2g}",
            "no test" if pair.corrected is None else f"{pair.corrected:.2g}",
            pair.corrected is not None and pair.corrected < LEVEL,
        )
        for pair in found.pairs
        if pair.metric == name
    ]
