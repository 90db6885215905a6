"""How many votes a review takes until they settle it, and how often it is settled falsely: simulated, by a script.

`python -m benchmarks.votes_to_settle [--reviews 1000]` prints two tables and writes `votes_to_settle.json`.

Each review looks after every item and stops where the bets of `luthier.statistics.betting` are enough, at 2,000 items
at the latest. Beside it stands the number of votes that somebody who must choose it beforehand would need, for a chance
of 80% that Clopper and Pearson's interval clears the target. No person voted.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from benchmarks.measuring import RESULTS, Kept, code_of
from luthier.statistics import clopper_pearson, enough, evidence

MOST_ITEMS: Final = 2_000
FIRST_LOOK: Final = 125
CODE: Final = ("benchmarks/votes_to_settle.py", "luthier/statistics/betting.py")
SHARES: Final = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)


@dataclass(frozen=True, slots=True)
class Case:
    """Reviews of a run that is preferred in `share` of the votes that are no ties, against the target `bound`.
    `likeness` is the correlation of two votes on one item, `raters` how many vote on each."""

    share: float
    bound: float = 0.8
    raters: int = 1
    likeness: float = 0.0
    ties: float = 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """Votes (items times raters) at which half, and nine of ten, of all reviews had stopped; None where fewer did.
    `fixed` is the number of votes chosen beforehand, without ties and one on an item."""

    case: Case
    reviews: int
    settled: float
    falsely: float
    median: int | None
    nine_of_ten: int | None
    fixed: int | None


def simulate(case: Case, reviews: int, seed: int = 0) -> Found:
    """Stops of so many reviews."""
    generator = np.random.default_rng(seed)
    stops = np.zeros(reviews, dtype=np.int64)
    above = np.zeros(reviews, dtype=np.bool_)
    for review in range(reviews):
        chances = np.full(MOST_ITEMS, case.share)
        if case.likeness and 0 < case.share < 1:
            size = (1 - case.likeness) / case.likeness
            chances = generator.beta(case.share * size, (1 - case.share) * size, MOST_ITEMS)
        decided = generator.binomial(case.raters, 1 - case.ties, MOST_ITEMS)
        stops[review], above[review] = stop(generator.binomial(decided, chances), decided, case)
    took = np.sort(np.where(stops > 0, stops * case.raters, np.iinfo(np.int64).max))
    over, settled = case.share > case.bound, stops > 0
    wrong = settled if case.share == case.bound else settled & (above != over)
    return Found(
        case,
        reviews,
        float(settled.mean()),
        float(wrong.mean()),
        reached(took, 0.5),
        reached(took, 0.9),
        fixed_beforehand(case.share, case.bound),
    )


def stop(wins: NDArray[np.int64], decided: NDArray[np.int64], case: Case) -> tuple[int, bool]:
    """The item at which a review is settled (0: never), and whether above. Looks further only where it has to."""
    upto = FIRST_LOOK
    while True:
        upto = min(2 * upto, len(wins))
        found = evidence(wins[:upto], decided[:upto], case.bound, case.raters)
        over = np.maximum(found.above, found.below) >= enough()
        if over[-1]:
            place = int(over.argmax())
            return place + 1, bool(found.above[place] >= enough())
        if upto == len(wins):
            return 0, False


def reached(took: NDArray[np.int64], share: float) -> int | None:
    """How many votes that share of the reviews took at most."""
    found = int(took[int(np.ceil(share * len(took))) - 1])
    return None if found == np.iinfo(np.int64).max else found


def fixed_beforehand(share: float, bound: float, power: float = 0.8) -> int | None:
    """The fewest votes, chosen beforehand, of which the exact interval clears the bound with a chance of `power`, and
    with more votes too (the chance goes up and down with the number)."""
    if share == bound:
        return None
    good = 0
    for votes in range(1, MOST_ITEMS + 1):
        wins = np.arange(votes + 1)
        low_enough = _threshold(votes, bound, above=share > bound)
        clears = wins >= low_enough if share > bound else wins <= low_enough
        chance = float(binom.pmf(wins, votes, share)[clears].sum())
        good = (good or votes) if chance >= power else 0
        if good and votes >= 1.2 * good + 10:
            return good
    return None


def _threshold(votes: int, bound: float, above: bool) -> int:
    """The fewest (the most) wins of which the interval lies above (below) the bound."""
    low, high = 0, votes + 1
    while low < high:
        middle = (low + high) // 2
        ends = clopper_pearson(min(middle, votes), votes)
        clears = middle <= votes and ends.low > bound if above else middle > votes or ends.high >= bound
        low, high = (low, middle) if clears else (middle + 1, high)
    return low if above else low - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reviews", type=int, default=1_000)
    parser.add_argument("--out", type=Path, default=RESULTS / "votes_to_settle.json")
    given = parser.parse_args()
    cases = [
        *(Case(share) for share in SHARES),
        *(Case(share, ties=0.3) for share in (0.6, 0.9, 0.95)),
        *(Case(share, raters=3, likeness=0.3) for share in (0.6, 0.8, 0.9, 0.95)),
        *(Case(share, bound=0.5) for share in (0.5, 0.6, 0.7, 0.8, 0.9)),
    ]
    kept, code = Kept(given.out), code_of(*CODE)
    print("| target | truly | ties | votes an item | settled | falsely | half by | nine of ten by | beforehand |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for case in cases:
        one = simulate(case, given.reviews)
        kept.keep(f"{given.reviews} reviews, {case}", code, {"made by": "a script, no person voted"} | asdict(one))
        numbers = [f"{number:,}" if number else "" for number in (one.median, one.nine_of_ten, one.fixed)]
        each = f"{case.raters}" if case.raters == 1 else f"{case.raters}, alike {case.likeness}"
        shares = [f"{100 * share:.3g}%" for share in (case.bound, case.share, case.ties)]
        print(f"| {' | '.join([*shares, each, f'{one.settled:.1%}', f'{one.falsely:.1%}', *numbers])} |", flush=True)


if __name__ == "__main__":
    main()
