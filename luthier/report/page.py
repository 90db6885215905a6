"""From a view to one HTML page that needs nothing outside itself: data is always escaped, nothing is fetched."""

from __future__ import annotations

import json
import shlex
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import chain
from math import isnan
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from luthier.data.account import Tally
from luthier.evaluation import metrics
from luthier.flow import Measure, Report, TargetResult
from luthier.report import bars, beyond, numbers
from luthier.report.curves import Curves, curves
from luthier.report.findings import finding_lines, missing_lines
from luthier.report.mask import stretches
from luthier.report.measured import names_measured, not_measured
from luthier.report.people import people
from luthier.report.view import Pair, Setting, View
from luthier.settings.loading import AUTO, DEFAULT
from luthier.settings.mission import METHODS
from luthier.settings.targets import Target, parse_target
from luthier.statistics import wilson

PAIRS_SHOWN: Final = 10
WRONG_SHOWN: Final = 4
_HERE: Final = Path(__file__).parent
_NONE: Final = Measure(None)

_MEANING: Final = {
    "accuracy": "answers that are the wanted one",
    "forgetting": "nats a token that the loss on general passages rose",
    "loss": "nats a trained token",
    "perplexity": "how unsure the model is of the wanted answer; 1 is certain",
    "token_accuracy": "tokens of the wanted answer that the model would have chosen",
}
_OWN_SPELLING: Final = {
    "bleu": "BLEU",
    "chrf": "chrF",
    "json_match": "JSON match",
    "json_schema": "JSON schema",
    "macro_f1": "Macro F1",
    "rouge_l": "ROUGE-L",
}


_SECTIONS: Final = {
    "diagnosis": "Diagnosis",
    "targets": "Targets",
    "people": "Blind review",
    "metrics": "Base beside tuned",
    "forgetting": "Forgetting",
    "quantization": "Quantization",
    "generalization": "Generalization",
    "answers": "Answers",
    "worst": "Worst rows",
    "confusions": "Confusions",
    "categories": "By category",
    "training": "Training",
    "rows": "Rows",
    "mask": "What is trained on",
    "settings": "Settings",
    "environment": "Environment",
    "next": "What next",
}


@dataclass(frozen=True, slots=True)
class TargetLine:
    """A target with its verdict, drawn."""

    result: TargetResult
    share: bool
    strip: bars.Strip | None


@dataclass(frozen=True, slots=True)
class MetricLine:
    """A metric, or one category of it: base beside tuned."""

    name: str
    meaning: str
    share: bool
    base: Measure
    tuned: Measure
    difference: Measure
    strip: bars.Strip | None


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a whole: `start` and `width` in per cent."""

    key: str
    name: str
    count: int
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class Command:
    """What to type, and what for."""

    text: str
    purpose: str


def render(view: View) -> str:
    """The whole page. The same view gives the same bytes."""
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    drawn = curves(view.steps, view.evaluations)
    report, pairs, commands = view.report, _judged(view), _commands(view)
    chosen, worst = choose(pairs), beyond.worst_rows(pairs)
    skills = beyond.skill_lines(report) if report else []
    found = people(view.review) if view.review else None
    confused = beyond.confusion(report) if report else None
    sections = {
        "diagnosis": view.diagnosis,
        "targets": report and report.targets,
        "people": found,
        "metrics": report,
        "forgetting": skills,
        "quantization": report and report.quantization,
        "generalization": report and (report.gaps or report.changes or report.distances),
        "answers": chosen,
        "worst": worst,
        "confusions": confused,
        "categories": report and report.categories,
        "training": True,
        "rows": view.rows,
        "mask": view.marked,
        "settings": view.settings,
        "environment": view.environment,
        "next": commands,
    }
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            view=view,
            style=Markup(style),
            script=Markup(script),
            policy=f"default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
            f"style-src '{_digest(style)}'; script-src '{_digest(script)}'",
            name=Path(view.run).name,
            what=_what(view),
            facts=_facts(view),
            targets=[_target_line(result, report) for result in report.targets] if report else [],
            verdicts=Counter(result.verdict for result in report.targets) if report else Counter(),
            metrics=_metric_lines(report) if report else [],
            not_measured=not_measured(report) if report else [],
            categories=_category_lines(report, pairs) if report else [],
            outcomes=_outcomes(pairs),
            people=found,
            findings=finding_lines(view.diagnosis) if view.diagnosis else [],
            missing=missing_lines(view.diagnosis) if view.diagnosis else [],
            skills=skills,
            gaps=report.gaps if report else {},
            changes=beyond.change_lines(report) if report else [],
            bands=beyond.band_lines(report) if report else [],
            confused=confused,
            worst=worst,
            chosen=chosen,
            wrong=sum(pair.tuned_right is False for pair in pairs),
            wrong_shown=sum(pair.tuned_right is False for pair in chosen),
            shared=shared(view.pairs),
            curves=drawn,
            moments=_moments(drawn) if drawn else "",
            parts=_row_parts(view.rows.total) if view.rows else [],
            settings=_settings(view.settings),
            environment=[(key, _lines(key, value)) for key, value in view.environment.items() if key != "version"],
            commands=commands,
            resume=_resume(view),
            sections=[(name, _SECTIONS[name]) for name, there in sections.items() if there],
        )
    )
    return page.lstrip().encode("utf-8", "backslashreplace").decode("utf-8")


def _judged(view: View) -> Sequence[Pair]:
    """The pairs, without right and wrong where accuracy was not measured: equality then says little."""
    if view.report and view.report.metrics.get("accuracy", _NONE).value is None:
        return [replace(pair, base_right=None, tuned_right=None) for pair in view.pairs]
    return view.pairs


def choose(pairs: Sequence[Pair]) -> list[Pair]:
    """`PAIRS_SHOWN` pairs in the data's order: up to `WRONG_SHOWN` that the tuned model has wrong, spread over all of
    those, the rest spread over the others."""
    wrong = [i for i, pair in enumerate(pairs) if pair.tuned_right is False]
    others = [i for i, pair in enumerate(pairs) if pair.tuned_right is not False]
    first = max(min(WRONG_SHOWN, len(wrong)), PAIRS_SHOWN - len(others))
    taken = _spread(wrong, first)
    return [pairs[i] for i in sorted(taken + _spread(others, PAIRS_SHOWN - len(taken)))]


def _spread(items: Sequence[int], many: int) -> list[int]:
    many = min(many, len(items))
    return [items[i * len(items) // many] for i in range(many)]


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.filters.update(
        number=numbers.number,
        rate=numbers.rate,
        duration=numbers.duration,
        size=numbers.size,
        count=numbers.count,
        interval=lambda measure, share: numbers.interval(measure.value, measure.low, measure.high, share),
        measured=lambda measure, share: numbers.measured(measure.value, share),
        words=lambda name: str(name).replace("_", " "),
        heading=lambda name: _OWN_SPELLING.get(str(name)) or str(name).replace("_", " ").capitalize(),
        of_metric=lambda value, name: numbers.measured(value, is_share(name)),
        sentence=lambda text: text[:1].upper() + text[1:],
        percent=numbers.percent,
        halves=numbers.halves,
        log_odds=lambda measure: numbers.log_odds(measure.value, measure.low, measure.high),
        signed=_signed,
        fold=_fold,
        setting=_setting_text,
        path=_path,
        stretches=stretches,
    )
    return environment


_PICTURES: Final = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {127: 0x2421}


def _visible(value: Any) -> Any:
    """Control characters as their pictures, so that text from data shows all that it holds."""
    return value.translate(_PICTURES) if isinstance(value, str) and not isinstance(value, Markup) else value


def _fold(text: str, long: int) -> str | None:
    """The beginning of a text over `long` characters, up to a space where one is near; None where it is shown whole."""
    lines = text.split("\n")
    if len(text) <= long and len(lines) <= 8:
        return None
    head = "\n".join(lines[:5])[: long * 3 // 4]
    words = head[:-24] + head[-24:].rpartition(" ")[0] if " " in head[-24:] else head
    return words.rstrip()


def _path(path: str) -> Markup:
    """A setting's path that may break after its dots."""
    return Markup(".<wbr>").join(_visible(path).split("."))


def _signed(difference: Measure, share: bool) -> str:
    """`+74.2 points` for shares, `−3.10` for other measures."""
    assert difference.value is not None
    text = f"{100 * difference.value:.1f} points" if share else numbers.number(difference.value)
    return f"+{text}" if difference.value > 0 else text.replace("-", "−")


def _digest(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _value(view: View, path: str) -> Any:
    return next((setting.value for setting in view.settings if setting.path == path), None)


def _method(view: View) -> str:
    name = str(_value(view, "tuning_method") or "")
    return METHODS[name].title if name in METHODS else name


def _what(view: View) -> str:
    """One sentence on what this run is."""
    model, method = _value(view, "model"), _method(view)
    return f"{model}, tuned with {method}" if model and method else str(model or method or "")


def _facts(view: View) -> list[tuple[str, str]]:
    facts = []
    if view.rows:
        facts.append(("Rows trained on", f"{view.rows.total.kept - view.rows.total.validation:,}"))
    if view.steps:
        trained, seconds = sum(step.trained_tokens for step in view.steps), sum(step.seconds for step in view.steps)
        row_tokens = sum(step.row_tokens for step in view.steps)
        evaluating = sum(entry.seconds for entry in view.evaluations)
        facts += [
            ("Steps", f"{view.steps[-1].step:,}"),
            ("Trained tokens", f"{trained:,}"),
            ("Time in steps", numbers.duration(seconds)),
            *([("Time in evaluations", numbers.duration(evaluating))] if evaluating else []),
            *([("Speed", f"{row_tokens / seconds:,.0f} tokens/s")] if seconds > 0 else []),
            ("Peak memory", numbers.size(max(step.memory_bytes for step in view.steps))),
        ]
    if view.report:
        facts.append(("Test rows", f"{view.report.rows:,}"))
    return facts


def is_share(name: str, target: str = "") -> bool:
    """Whether a metric is a share and reads as a percentage; of one that no file measures, its target tells."""
    known = metrics.OTHER_NAMES.get(name, name)
    measured = known in metrics.names() or known in metrics.ON_OTHER_ROWS
    return metrics.load(known).range == (0.0, 1.0) if measured else "%" in target


def _target_line(result: TargetResult, report: Report) -> TargetLine:
    share = is_share(result.metric, result.target)
    values = [("tuned", result.value, result.low, result.high)]
    line = _line(parse_target(result.target), result.metric, report)
    return TargetLine(result, share, bars.strip(values, share, line, near=True))


def _line(target: Target, name: str, report: Report) -> bars.Line | None:
    """Where a target stands on the metric's scale; relative to base's value where it speaks of base or of a trend."""
    if target.kind == "value" and target.bound is not None:
        return bars.Line(target.bound, target.comparison in (">", ">="))
    known = metrics.OTHER_NAMES.get(name, name)
    base = report.base.get(known, _NONE).value
    if base is None or known not in metrics.names():
        return None
    higher = metrics.load(known).direction == "higher"
    if target.kind == "tolerance" and target.bound is not None:
        return bars.Line(base - target.bound if higher else base + target.bound, higher)
    return bars.Line(base, target.comparison in (">", ">=") if target.comparison else False)


def _ends(key: str, measure: Measure) -> bars.Values:
    return key, measure.value, measure.low, measure.high


def _metric_lines(report: Report) -> list[MetricLine]:
    """Accuracy, the metric that says most, comes first; then those with targets. What was not measured stands below."""
    lines = []
    for name in names_measured(report):
        if name not in report.metrics and name not in report.base:
            continue
        tuned, base = report.metrics.get(name, _NONE), report.base.get(name, _NONE)
        target = next((t for t in report.targets if metrics.OTHER_NAMES.get(t.metric, t.metric) == name), None)
        share = is_share(name, target.target if target else "")
        line = _line(parse_target(target.target), name, report) if target else None
        if target and parse_target(target.target).kind != "value":
            line = None
        strip = bars.strip([_ends("base", base), _ends("tuned", tuned)], share, line)
        difference = report.difference.get(name, _NONE)
        lines.append(MetricLine(name, _meaning(name), share, base, tuned, difference, strip))
    return lines


def _meaning(name: str) -> str:
    """What a metric is, in a few words: the page's own, or those that its file opens with."""
    if name in _MEANING or name not in metrics.names():
        return _MEANING.get(name, "")
    first = (metrics.load(name).__doc__ or "").partition("\n")[0]
    return first.partition(": ")[2].rstrip(".")


def _category_lines(report: Report, pairs: Sequence[Pair]) -> list[MetricLine]:
    """Accuracy by category, the lowest first; loss where no accuracy was measured. Base is counted from the answers."""
    by_accuracy = any(found.get("accuracy", _NONE).value is not None for found in report.categories.values())
    name = "accuracy" if by_accuracy else "loss"
    lines = []
    for category, found in report.categories.items():
        tuned, base = found.get(name, _NONE), _NONE
        right = [
            p.base_right for p in pairs if p.base_right is not None and (p.category or "(no category)") == category
        ]
        if by_accuracy and right:
            ends = wilson(sum(right), len(right))
            base = Measure(sum(right) / len(right), ends.low, ends.high, len(right))
        strip = bars.strip([_ends("base", base), _ends("tuned", tuned)], by_accuracy)
        lines.append(MetricLine(category, name, by_accuracy, base, tuned, _NONE, strip))
    return sorted(lines, key=lambda line: (line.tuned.value is None, line.tuned.value or 0.0, line.name))


def _parts(counts: Sequence[tuple[str, str, int]]) -> list[Part]:
    whole, parts, start = sum(count for *_, count in counts) or 1, [], 0.0
    for key, name, count in counts:
        parts.append(Part(key, name, count, round(start, 2), round(100 * count / whole, 2)))
        start += 100 * count / whole
    return parts


def _outcomes(pairs: Sequence[Pair]) -> list[Part]:
    """How many rows base and tuned have right; empty where right and wrong were not judged for both."""
    judged = Counter((p.base_right, p.tuned_right) for p in pairs if None not in (p.base_right, p.tuned_right))
    names = (
        ("mended", "only the tuned model is right", (False, True)),
        ("both", "both are right", (True, True)),
        ("neither", "neither is right", (False, False)),
        ("broken", "only base is right", (True, False)),
    )
    return _parts([(key, name, judged[pair]) for key, name, pair in names]) if judged else []


def shared(pairs: Sequence[Pair]) -> tuple[str, str]:
    """The beginning and the end that all prompts share (a system message, the template's marks), in whole lines or
    marks; they are shown once instead of in every pair."""
    prompts = {pair.prompt for pair in pairs}
    if len(prompts) < 2:
        return "", ""
    least, greatest = min(prompts), max(prompts)
    same = next((i for i, (a, b) in enumerate(zip(least, greatest, strict=False)) if a != b), len(least))
    before = least[:same][: least[:same].rfind("\n") + 1]
    turned = [prompt[len(before) :][::-1] for prompt in prompts]
    least, greatest = min(turned), max(turned)
    same = next((i for i, (a, b) in enumerate(zip(least, greatest, strict=False)) if a != b), len(least))
    after = least[:same][::-1]
    begins = [place for mark in "\n<[" if (place := after.find(mark)) >= 0]
    return before, after[min(begins) :] if begins else ""


def _moments(drawn: Curves) -> Markup:
    """What hovering shows, as JSON that cannot end its script element: numbers and our own words alone."""
    keys = sorted(set(chain.from_iterable(moment.words for moment in drawn.moments)))
    heights = sorted(set(chain.from_iterable(moment.heights for moment in drawn.moments)))
    data = {
        "x": [moment.x for moment in drawn.moments],
        "words": {key: [moment.words.get(key, numbers.DASH) for moment in drawn.moments] for key in keys},
        "heights": {key: [moment.heights.get(key) for moment in drawn.moments] for key in heights},
    }
    return Markup(json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"))


def _row_parts(total: Tally) -> list[Part]:
    dropped = sorted(total.dropped.items(), key=lambda item: -item[1])
    return _parts(
        [
            ("trained", "trained on", total.kept - total.validation),
            ("validation", "held back for validation", total.validation),
            *(("dropped", f"dropped: {reason}", count) for reason, count in dropped),
        ]
    )


def _settings(settings: Sequence[Setting]) -> list[tuple[str, list[Setting]]]:
    """Settings under their headings: resolved ones first, then written ones, then defaults and what this run does not
    use, which stays `auto`."""
    groups: dict[str, list[Setting]] = {"Chosen for this run": [], "Written": [], "Defaults": []}
    for setting in settings:
        if setting.reason or (setting.source == AUTO and setting.value != AUTO):
            heading = "Chosen for this run"
        else:
            heading = "Defaults" if setting.source in (AUTO, DEFAULT) else "Written"
        groups[heading].append(setting)
    return [(heading, group) for heading, group in groups.items() if group]


def _setting_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and isnan(value):
        return "not a number"
    return json.dumps(value, ensure_ascii=False, default=str)


def _lines(name: str, value: Any) -> list[tuple[str, str]]:
    """A value of environment.json as lines of a name (empty where it has none) and a text."""
    if name == "command":
        return [("", shlex.join(value))]
    if isinstance(value, Mapping):
        return [(key.removesuffix("_bytes"), _sized(key, inner)) for key, inner in value.items()]
    if isinstance(value, list):
        return [
            (
                "",
                ", ".join(_sized(*pair) for pair in item.items()) if isinstance(item, Mapping) else _setting_text(item),
            )
            for item in value
        ]
    return [("", _sized(name, value))]


def _sized(name: str, value: Any) -> str:
    return numbers.size(value) if name.endswith("bytes") and isinstance(value, int) else _setting_text(value)


def _resume(view: View) -> str:
    return f"luthier train --resume {shlex.quote(view.run)}"


def _commands(view: View) -> list[Command]:
    run = shlex.quote(view.run)
    commands = []
    if view.state in ("stopped", "failed", "dead"):
        commands.append(Command(_resume(view), "goes on from the last checkpoint"))
    if view.state == "running":
        return [Command(f"luthier evaluate {run}", "once it is done: metrics against targets, beside base")]
    if not view.report and view.steps:
        commands.append(Command(f"luthier evaluate {run}", "metrics against targets, beside base"))
    if view.steps:
        commands.append(Command(f"luthier chat {run}", "talk to the tuned model"))
        commands.append(Command(f"luthier generate {run} --data rows.jsonl --out answers.jsonl", "answers for a file"))
    if view.diagnosis and view.diagnosis.findings:
        commands.insert(
            0, Command(f"luthier remedy {run}", "tries the remedies as new runs, and measures before and after")
        )
    elif view.steps and not view.diagnosis:
        commands.append(Command(f"luthier diagnose {run}", "what may be wrong with it, and what helps"))
    if view.report:
        commands.append(Command(f"luthier evaluate {run} --data rows.jsonl", "the same measures on other rows"))
        if not view.review:
            commands.append(Command(f"luthier review {run}", "people choose between its answers and base's"))
    return commands
