"""What people's votes say, as a terminal shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from luthier.app.cli.text import one_line
from luthier.evaluation.review import BASE
from luthier.flow import Measure
from luthier.report import numbers

if TYPE_CHECKING:
    from rich.console import Console

    from luthier.app.reviewing import Review


def any_missed(found: Review, strict: bool) -> bool:
    """Whether the exit code is 1: the target was missed, or with `strict` not met. Votes of a script miss nothing."""
    target = found.reviewed.report.target
    if target is None or found.reviewed.asked.kind == "scripted":
        return False
    return target.verdict == "missed" or (strict and target.verdict != "met")


def print_review(run: str, found: Review, console: Console) -> None:
    """The preferred share and the verdict, the votes by choice, the raters, and what to type next."""
    from luthier.app.cli.next_steps import next_steps
    from luthier.runs import Run

    report, asked = found.reviewed.report, found.reviewed.asked
    scripted = ", scripted: made by a script, no person's" if asked.kind == "scripted" else ""
    votes = (
        f"{numbers.count(report.votes, 'vote')} of {report.planned}, {numbers.count(report.raters, 'rater')}{scripted}"
    )
    others = ", ".join(one_line(name) for name in asked.systems[1:] or (asked.against,))
    if report.several:
        console.print(Text(f"{one_line(asked.run)} against {others}{scripted}", "bold"))
        _print_systems(found, votes, console)
    else:
        console.print(Text(f"{one_line(asked.run)} against {others}: {votes}", "bold"))
    console.print(f"  preferred: {_said(report.preferred)}")
    if target := report.target:
        colour = {"met": "green", "likely": "yellow", "missed": "red"}.get(target.verdict, "dim")
        console.print(
            Text(f"  target {target.target}: ")
            .append(target.verdict.replace("_", " "), colour)
            .append(f", {one_line(target.reason)}" if target.reason else ""),
            soft_wrap=True,
        )
    counts = (
        (report.wins, "for the run"),
        (report.losses, "against it"),
        (report.both_good, "both good"),
        (report.both_bad, "both bad"),
    )
    console.print("  votes: " + ", ".join(f"{many:,} {what}" for many, what in counts))
    alpha = report.agreement
    said = numbers.number(alpha.value) if alpha.value is not None else alpha.reason
    console.print(Text(f"  agreement (Krippendorff's alpha): {said}", "dim"))
    for rater in report.by_rater:
        checks = f", {rater.checks_right} of {rater.checks} attention checks passed" if rater.checks else ""
        name = f"{one_line(rater.name)}: {numbers.count(rater.votes, 'vote')}"
        console.print(Text(f"  {name}, preferred {_said(rater.preferred)}{checks}", "dim"))
    folder = str(Run.find(run).folder)
    next_steps(
        console,
        (["review", folder, "--export", "preferences.jsonl"], "preference rows that train"),
        page=str(Run.find(run).page),
    )


def _print_systems(found: Review, votes: str, console: Console) -> None:
    """The systems by strength, each pair, and what the lines after it are of, with how many votes."""
    report, asked = found.reviewed.report, found.reviewed.asked
    assert report.several
    planned = asked.whole * asked.each_by
    cast = f"{numbers.count(report.several.votes, 'vote')} of {planned:,}"
    console.print(f"  {len(asked.systems)} systems, {cast} on {numbers.count(report.several.rows, 'row')}")
    for one in report.ranking:
        strength = numbers.log_odds(one.strength.value, one.strength.low, one.strength.high)
        ties = f"{numbers.count(one.ties, 'tie')} in {numbers.count(one.votes, 'vote')}"
        console.print(Text(f"    {one_line(one.system)}: strength {strength}, {ties}"), soft_wrap=True)
    for met in report.several.met:
        ties = f"{numbers.count(met.both_good + met.both_bad, 'tie')}, {numbers.count(met.same, 'row')} alike"
        pair = f"{one_line(met.one)} over {one_line(met.other)}: {_said(met.preferred)}"
        console.print(Text(f"    {pair}; {ties}", "dim"), soft_wrap=True)
    of = "" if asked.against == BASE else "; base is not among the systems, so this fills no target of the evaluation"
    pair = f"{one_line(asked.run)} against {one_line(asked.against)} alone"
    console.print(Text(f"  {pair}, {votes}{of}:"), soft_wrap=True)


def _said(measure: Measure) -> str:
    if measure.value is None:
        return measure.reason
    ends = numbers.interval(measure.value, measure.low, measure.high, share=True)
    return f"{numbers.percent(measure.value)} {ends}, n = {measure.n:,}"
