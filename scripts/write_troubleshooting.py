"""Writes docs/troubleshooting.md from the symptoms: python scripts/write_troubleshooting.py"""

from __future__ import annotations

from pathlib import Path

from luthier import diagnosis
from luthier.settings import mission

PAGE = Path(__file__).resolve().parents[1] / "docs" / "troubleshooting.md"

HEAD = (
    "# Troubleshooting\n\n"
    "Every trouble that `luthier diagnose RUN` looks for: what shows it, what may stand behind it, and what helps. The "
    "first four are the mission's, with its own words for cause and solution. Written from the symptoms themselves by "
    "`scripts/write_troubleshooting.py`; how to use it: [Find out what went wrong](how-to/diagnose.md).\n\n"
    "A finding's certainty is 1 − p, where p is the probability of evidence at least so clear in a run without the "
    "symptom, corrected for every place that was looked at; under {sure:.0%} nothing is said. Each symptom must also "
    "be large enough to matter, so that a healthy run has no findings. What is counted and not estimated (copies, "
    "steps that were not taken) has a certainty of 1. Where one finding explains another, it stands before it.\n\n"
    "| symptom | found while training | ends a run with `--on-trouble stop` |\n|---|---|---|\n"
)


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(PAGE.parents[1])}")


def page() -> str:
    """The whole page."""
    names = diagnosis.names()
    parts = [HEAD.format(sure=diagnosis.SURE)]
    for name in names:
        symptom = diagnosis.load(name)
        words = ("yes" if symptom.watches else "no", "yes" if symptom.stops else "no")
        parts.append(f"| [{symptom.title}](#{_anchor(symptom.title)}) | {words[0]} | {words[1]} |\n")
    return "".join([*parts, *(_section(name) for name in names)])


def _section(name: str) -> str:
    symptom = diagnosis.load(name)
    finding = symptom.look(symptom.sick())
    assert finding is not None, f"{name} is not found in its own sick run"
    trouble = mission.TROUBLES.get(name)
    lines = [f"\n## {symptom.title}\n", f"`{name}` in JSON.\n"]
    if trouble:
        lines.append(f"Cause: {trouble.cause}. Solution: {trouble.solution}.\n")
    lines.append(f"**What shows it.** {symptom.what}\n")
    lines.append("| cause | |\n|---|---|")
    lines += [f"| `{cause}` | {text} |" for cause, text in symptom.causes.items()]
    later = [diagnosis.load(other).title for other in symptom.explains]
    if later:
        lines.append(f"\nIt stands before {_listed(later)}, which it may bring along.")
    lines.append(f"\n**In a made-up run** it reads: *{finding.says}*\n")
    lines.append(f"What helps there (`{finding.cause}`), in this order:\n")
    for number, remedy in enumerate(finding.remedies, 1):
        changes = [f"`{path}: {value}`" for path, value in remedy.settings.items()]
        if remedy.without:
            changes.append(f"{len(remedy.without)} rows left out")
        source = f" ({remedy.source})" if remedy.source else ""
        lines.append(f"{number}. {', '.join(changes)}: {remedy.why}{source}.")
    return "\n".join(lines) + "\n"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-").replace(",", "")


if __name__ == "__main__":
    main()
