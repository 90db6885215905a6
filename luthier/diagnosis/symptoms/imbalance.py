"""Imbalance: common classes crowd out rare ones."""

from __future__ import annotations

from collections import Counter
from typing import Final

from scipy.stats import binomtest, fisher_exact

from luthier.diagnosis import remedies
from luthier.diagnosis.answers import kept, made_answers
from luthier.diagnosis.made import falling, made
from luthier.diagnosis.seen import Missing, Seen
from luthier.flow import Finding, Measure
from luthier.statistics import wilson

title: Final = "Imbalance"
what: Final = (
    "The commonest class has five times the training rows of the middle one, and answers to rows of other classes are "
    "wrong more often, for the benefit of the commonest."
)
causes: Final = {
    "rare_classes": "Rare classes hardly count in the loss: the model does best by giving the commonest answer.",
}
watches: Final = False
stops: Final = False
mild: Final = False
explains: Final = ("underfitting", "generalization")

TIMES: Final = 5.0
"""The commonest class has so many times the rows of the middle one, or half of all rows and five times the rarest."""
HALF: Final = 0.5
WORSE: Final = 0.15
"""Of the answers to rare classes: so many more are wrong."""


def look(seen: Seen) -> Finding | None:
    classes = _classes(seen)
    if len(classes) < 2:
        return None
    common, most = classes.most_common(1)[0]
    total = sum(classes.values())
    others = sorted(count for name, count in classes.items() if name != common)
    if most < TIMES * others[len(others) // 2] and not (most >= HALF * total and most >= TIMES * others[0]):
        return None
    answers = kept(seen)
    of_common = [one for one in answers if one.get("category") == common]
    of_rare = [one for one in answers if one.get("category") not in (common, None)]
    if not of_common or not of_rare:
        raise Missing(f"the rows evaluated have none of the class {common!r}, or of no other")
    right = [sum(bool(one["tuned_right"]) for one in some) for some in (of_common, of_rare)]
    shares = right[0] / len(of_common), right[1] / len(of_rare)
    if shares[0] - shares[1] < WORSE:
        return None
    table = [[right[0], len(of_common) - right[0]], [right[1], len(of_rare) - right[1]]]
    chance = float(fisher_exact(table, alternative="greater").pvalue)
    said = Counter(one["wanted"] for one in of_common).most_common(1)[0][0]
    wrong = [one for one in of_rare if not one["tuned_right"]]
    favoured = sum(one["tuned"] == said for one in wrong)
    least = max(1, len(classes) - 1)
    if binomtest(favoured, len(wrong), 1 / least, alternative="greater").pvalue > 0.05 and least > 1:
        return None  # rare classes are wrong, and not in favour of the common one
    ends = wilson(right[1], len(of_rare))
    return Finding(
        symptom="imbalance",
        certainty=1 - chance,
        cause="rare_classes",
        says=f"`{common}` has {most:,} of {total:,} training rows: {shares[0]:.0%} of its answers are right, and "
        f"{shares[1]:.0%} of all others. {causes['rare_classes']}",
        evidence={
            "share_of_commonest": Measure(most / total, n=total),
            "accuracy_of_commonest": Measure(shares[0], n=len(of_common)),
            "accuracy_of_others": Measure(shares[1], ends.low, ends.high, len(of_rare)),
            "wrong_for_commonest": Measure(favoured / max(1, len(wrong)), n=len(wrong)),
        },
        remedies=remedies.those(remedies.balance(seen), remedies.balanced_and_longer(seen), remedies.diversify(seen)),
    )


def _classes(seen: Seen) -> Counter[str]:
    """Training rows by class. Raises `Missing` where the account of the rows is not there."""
    if "categories" not in seen.rows:
        raise Missing(seen.absent.get("rows", "the run's account of its rows names no classes"))
    return Counter(
        {
            str(entry["category"]): int(entry["kept"]) - int(entry.get("validation", 0))
            for entry in seen.rows["categories"]
            if entry.get("category") is not None and entry["kept"]
        }
    )


def sick() -> Seen:
    categories = [
        {"category": name, "kept": count, "validation": 0}
        for name, count in (("billing", 360), ("returns", 25), ("other", 15))
    ]
    answers = made_answers({"billing": (40, 40), "returns": (20, 5), "other": (20, 3)}, wrong="billing")
    return made(falling(2.4, 0.5, 7), falling(2.4, 0.6, 7), rows_json={"categories": categories}, answers=answers)
