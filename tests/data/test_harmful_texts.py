"""Harmful texts by category, on texts whose generator knows no phrase of the check: what is found, and what is not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest

from luthier.data.checks.harmful_content import NAMES, spans
from tests.data.harmful_texts import HARMFUL, HARMLESS, MANNERS, Half, texts

FLOORS = {"development": 0.9, "test": 0.45}
"""Of what is said outright: below what was found when they were written, so that nothing is lost unseen."""


@dataclass
class Found:
    """Counts: texts and those found by category and manner; categories named and named rightly; look-alikes blamed."""

    of: Counter[tuple[str, str]] = field(default_factory=Counter)
    found: Counter[tuple[str, str]] = field(default_factory=Counter)
    named: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    blamed: Counter[str] = field(default_factory=Counter)

    def share(self, kind: str, manner: str) -> float:
        return self.found[kind, manner] / self.of[kind, manner]

    def precision(self, kind: str) -> float:
        return self.right[kind] / self.named[kind]


def measured(half: Half) -> Found:
    found = Found()
    for text in texts(seed=20261129, half=half, each=200):
        kinds = {span.kind for span in spans(text.content)}
        found.of[text.kind, text.manner] += 1
        found.found[text.kind, text.manner] += text.kind in kinds
        found.named.update(kinds)
        found.right.update(kinds & {text.kind})
        if not text.kind:
            found.blamed[text.manner] += bool(kinds)
    return found


def table(found: Found) -> str:
    """As it stands in docs/how-to/check.md."""
    lines = [f"| category | {' | '.join(MANNERS)} | precision |", "|---|--:|--:|--:|--:|"]
    for kind in NAMES:
        shares = " | ".join(f"{found.share(kind, manner):.0%}" for manner in MANNERS)
        lines.append(f"| {kind.replace('_', '-')} | {shares} | {found.precision(kind):.0%} |")
    return "\n".join(lines)


def test_the_halves_have_no_shape_in_common() -> None:
    for kinds in zip(HARMFUL["development"].values(), HARMFUL["test"].values(), strict=True):
        one, other = ({shape for shapes in kind.values() for shape in shapes} for kind in kinds)
        assert not one & other
    assert not set(sum(HARMLESS["development"].values(), ())) & set(sum(HARMLESS["test"].values(), ()))


@pytest.mark.parametrize("half", ["development", "test"])
def test_categories_are_found_and_look_alikes_are_not(half: Half) -> None:
    found = measured(half)
    print(f"\n{half}: of look-alikes {found.blamed.total()} blamed\n{table(found)}")
    assert found.blamed.total() <= 0.01 * 5 * 5 * 200
    outright = sum(found.share(kind, "outright") for kind in NAMES) / len(NAMES)
    assert outright >= FLOORS[half]
    assert all(found.precision(kind) >= 0.95 for kind in NAMES)
