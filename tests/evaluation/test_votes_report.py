"""The report of a review from its votes: every count by hand, nobody left out unsaid, and the verdict on human_eval."""

from __future__ import annotations

from dataclasses import replace

import evalica
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.evaluation.ballots import CHOICES, Ballot, Shown, counted, one_side
from luthier.evaluation.course import always, course
from luthier.evaluation.votes_report import Meeting, VotesReport, human_eval, preferred, votes_report
from luthier.statistics import clopper_pearson


def vote(
    item: int, choice: Shown, rater: str = "ann", left: str = "run", right: str = "base", **more: object
) -> Ballot:
    return Ballot(str(item), rater, left, right, choice, **more)  # type: ignore[arg-type]


def votes(wins: int, losses: int = 0, ties: int = 0, rater: str = "ann") -> list[Ballot]:
    """Each on an item of its own, the run now left and now right, so that neither side is chosen more."""
    wanted = ["win"] * wins + ["loss"] * losses + ["both_good"] * ties
    found = []
    for item, outcome in enumerate(wanted):
        left, right = ("run", "base") if item % 2 else ("base", "run")
        choice = {"win": "left" if left == "run" else "right", "loss": "right" if left == "run" else "left"}
        found.append(vote(item, choice.get(outcome, "both_good"), rater, left, right))  # type: ignore[arg-type]
    return found


def clear(report: VotesReport) -> tuple[str, str]:
    assert report.target is not None
    return report.target.verdict, report.target.reason


def test_wins_losses_and_ties_are_counted_from_whichever_side_the_run_stood_on() -> None:
    report = votes_report(
        [
            vote(1, "left"),
            vote(2, "right", left="base", right="run"),
            vote(3, "right"),
            vote(4, "left", left="base", right="run"),
            vote(5, "both_good"),
            vote(6, "both_bad"),
            vote(7, "left"),
        ],
        "run",
    )
    assert (report.wins, report.losses, report.ties, report.both_good, report.both_bad) == (3, 2, 2, 1, 1)
    assert (report.votes, report.items, report.raters, report.against) == (7, 7, 1, ("base",))
    exact = clopper_pearson(3, 5)
    assert (report.preferred.value, report.preferred.n) == (0.6, 5)
    assert (report.preferred.low, report.preferred.high) == pytest.approx((exact.low, exact.high), abs=1e-12)
    assert report.ties_half.value == pytest.approx(4 / 7)  # 3 + 2 * 0.5 of 7
    assert report.ties_against.value == pytest.approx(3 / 7)
    assert report.tie_share.value == pytest.approx(2 / 7)
    assert report.left.value == pytest.approx(3 / 5)  # items 1, 4 and 7


def test_of_a_rater_the_last_vote_on_an_item_counts() -> None:
    report = votes_report(
        [vote(1, "right"), vote(2, "left"), vote(1, "left", left="run"), vote(1, "left", "bob")], "run"
    )
    assert (report.wins, report.losses, report.replaced, report.raters) == (3, 0, 1, 2)
    turned = votes_report([vote(1, "right"), vote(1, "right", left="base", right="run")], "run")
    assert (turned.wins, turned.losses, turned.replaced) == (1, 0, 1)


def test_attention_checks_are_no_votes_and_who_fails_them_is_shown_with_and_without() -> None:
    shown: dict[str, list[Shown]] = {"ann": ["left", "left", "both_bad", "right"], "bob": ["right", "left"]}
    checks = [
        vote(100 + number, choice, rater, right_choices=("left", "both_bad"))
        for rater, choices in shown.items()
        for number, choice in enumerate(choices)
    ]
    report = votes_report([*votes(9, 1), *votes(1, 9, rater="bob"), *checks], "run")
    assert (report.wins, report.losses, report.votes, report.checks) == (10, 10, 20, 6)
    ann, bob = report.by_rater
    assert (ann.checks, ann.checks_right, ann.failed) == (4, 3, False)
    assert (bob.checks, bob.checks_right, bob.failed) == (2, 1, True)
    assert report.failed == ("bob",)
    assert report.preferred.value == 0.5
    assert report.without_failed is not None
    assert (report.without_failed.value, report.without_failed.n) == (0.9, 10)
    assert "without the votes of 1 who failed attention checks it is 90%" in clear(report)[1]
    assert votes_report(votes(9, 1), "run").without_failed is None


def test_a_rater_who_only_saw_checks_is_listed_with_no_votes() -> None:
    report = votes_report([*votes(3), vote(9, "right", "eve", right_choices=("left",))], "run")
    assert [(rater.name, rater.votes, rater.failed) for rater in report.by_rater] == [
        ("ann", 3, False),
        ("eve", 0, True),
    ]
    assert report.by_rater[1].preferred.value is None
    assert report.raters == 1
    assert report.without_failed == report.preferred


def test_votes_on_one_item_count_for_less_than_votes_on_many() -> None:
    many = votes_report(votes(45, 5), "run")
    crowd = [vote(item, "left" if item < 9 else "right", f"r{rater}") for item in range(10) for rater in range(5)]
    few = votes_report(crowd, "run")
    assert (few.wins, few.losses) == (many.wins, many.losses) == (45, 5)
    assert few.preferred.low is not None
    assert many.preferred.low is not None
    assert few.preferred.low < many.preferred.low - 0.1
    assert few.preferred.details["clusters"] == 10


def test_the_majority_of_an_item_can_say_more_than_its_votes() -> None:
    ballots = [vote(item, "left" if rater < 2 else "right", f"r{rater}") for item in range(10) for rater in range(3)]
    report = votes_report([*ballots, vote(11, "both_good")], "run")
    assert report.preferred.value == pytest.approx(2 / 3)
    assert (report.majority.value, report.majority.n) == (1.0, 10)


def test_one_rater_says_nothing_of_others_and_several_are_a_cluster_each() -> None:
    alone = votes_report(votes(9, 1), "run").over_raters
    assert (alone.value, alone.low) == (0.9, None)
    assert "one rater" in alone.reason
    both = votes_report([*votes(10, 0), *votes(2, 8, rater="bob")], "run").over_raters
    assert both.low is not None
    assert both.high is not None
    assert (both.low < 0.1, both.high > 0.95) == (True, True)


@pytest.mark.parametrize(
    ("ballots", "target", "verdict"),
    [
        ([], "> 80%", "not_measured"),
        (votes(0, 0, 5), "> 80%", "not_measured"),
        (votes(40), "> 80%", "met"),
        (votes(9, 1), "> 80%", "likely"),
        (votes(8, 2), "> 80%", "missed"),
        (votes(8, 2), ">= 80%", "likely"),
        (votes(10, 30), "< 50%", "met"),
        (votes(40, 10), ">= base", "met"),
        (votes(6, 4), ">= base", "likely"),
        (votes(4, 6), ">= base", "missed"),
        (votes(100, 100), "not worse than base by 0.1", "met"),
    ],
)
def test_the_verdict_is_that_of_the_target(ballots: list[Ballot], target: str, verdict: str) -> None:
    assert clear(votes_report(ballots, "run", target))[0] == verdict


def test_why_nothing_is_measured_is_said() -> None:
    assert clear(votes_report([], "run"))[1] == "no votes yet"
    assert clear(votes_report(votes(0, 0, 5), "run"))[1] == "every vote is a tie"
    against = votes_report([vote(item, "left", right="other") for item in range(5)], "run", ">= base")
    assert "the votes are against other" in clear(against)[1]


def test_the_number_of_votes_that_would_settle_it_is_said_in_votes() -> None:
    report = votes_report(votes(10), "run")
    assert report.target is not None
    assert report.target.rows_needed == 17  # 0.025 ** (1 / 16) = 0.794, ** (1 / 17) = 0.805
    assert "about 17 votes would settle it" in report.target.reason


def test_before_all_votes_are_in_the_interval_is_the_one_that_holds_at_all_times() -> None:
    half, whole = votes_report(votes(20), "run", planned=40), votes_report(votes(20), "run", planned=20)
    assert clear(whole)[0] == "met"
    verdict, reason = clear(half)
    assert verdict == "likely"
    assert "20 of 40 votes are in" in reason
    assert half.target is not None
    assert half.target.low == half.always.low < 0.8
    early = votes_report(votes(40), "run", planned=400)
    assert clear(early)[0] == "met"
    assert (early.always.settled, early.always.items) == ("above", 40)


def test_a_settled_review_says_on_which_side() -> None:
    assert votes_report(votes(10, 40), "run").always.settled == "below"
    assert votes_report(votes(60, 2), "run").always.settled == "above"
    assert votes_report(votes(8, 2), "run").always.settled == ""
    assert votes_report(votes(60, 2), "run", None).always.evidence_above is None
    assert votes_report(votes(60, 2), "run", ">= base").always.settled == "above"
    assert votes_report(votes(60, 2), "run", "> 100%").always.settled == ""


def test_only_items_with_all_their_votes_enter_the_bets_and_with_no_more() -> None:
    ballots = [vote(item, "left", f"r{rater}") for rater in range(3) for item in range(6)][:14]  # two items have 3
    mine = one_side(ballots, "run")
    assert [always(mine, 0.8, each).items for each in (1, 2, 3, 4)] == [6, 6, 2, 0]
    assert always(mine, 0.8, 4).low == 0.0
    first_two = one_side(ballots[:12], "run")
    assert always(mine, 0.8, 2) == always(first_two, 0.8, 2)
    with pytest.raises(ValueError, match="0 votes an item"):
        always(mine, 0.8, 0)


def test_the_course_ends_where_the_report_stands_and_begins_with_the_first_choice() -> None:
    ballots = [vote(99, "both_bad"), *votes(30, 10)]
    report = votes_report(ballots, "run")
    assert [seen.votes for seen in report.course] == list(range(2, 42))
    last = report.course[-1]
    assert (last.value, last.low, last.high) == (report.preferred.value, report.preferred.low, report.preferred.high)
    assert (last.always_low, last.always_high) == (report.always.low, report.always.high)
    assert report.course[0].value == 1.0
    assert report.course[0].low == pytest.approx(0.025)
    for before, after in zip(report.course, report.course[1:], strict=False):
        assert before.always_low <= after.always_low <= after.always_high <= before.always_high
    assert len(course(one_side(ballots, "run"), points=7)) == 6  # the first of seven is the tie


def test_a_point_of_the_course_is_what_the_votes_up_to_there_said() -> None:
    ballots = [vote(item, "left", f"r{rater}") for item in range(12) for rater in range(2)]
    for seen in votes_report(ballots, "run", votes_per_item=2).course:
        held = always(one_side(ballots[: seen.votes], "run"), None, 2)
        assert (seen.always_low, seen.always_high) == (held.low, held.high)


def test_agreement_needs_two_raters_and_sees_through_the_sides() -> None:
    assert votes_report(votes(9, 1), "run").agreement.reason == "no item has the votes of two raters"
    ann = [vote(item, "left" if item % 2 else "right") for item in range(20)]
    bob = [vote(item, "right" if item % 2 else "left", "bob", left="base", right="run") for item in range(20)]
    same = votes_report([*ann, *bob], "run")
    assert same.agreement.value == 1.0
    assert [(kappa.one, kappa.other, kappa.kappa.value) for kappa in same.kappas] == [("ann", "bob", 1.0)]
    alike = votes_report([vote(1, "left"), vote(1, "left", "bob")], "run")
    assert alike.agreement.value is None
    assert alike.kappas == ()


def test_left_and_longer_answers_are_told_apart_from_the_run() -> None:
    ballots = [
        vote(item, "left", left="run" if item % 2 else "base", right="base" if item % 2 else "run", left_length=9)
        for item in range(20)
    ]
    report = votes_report(ballots, "run")
    assert report.preferred.value == 0.5
    assert (report.left.value, report.left.n) == (1.0, 20)
    assert report.left.details["probability"] == pytest.approx(2 / 2**20)
    assert report.longer.value == 1.0
    assert {name: measure.value for name, measure in report.lengths.items()} == {"shorter": 0.0, "longer": 1.0}
    assert votes_report(votes(3), "run").lengths == {}
    assert votes_report(votes(3), "run").longer.value is None


def test_categories_are_told_apart_where_there_are_any() -> None:
    ballots = [replace(each, category="code" if int(each.item) < 4 else None) for each in votes(3, 3)]
    found = votes_report(ballots, "run").categories
    assert {name: (measure.value, measure.n) for name, measure in found.items()} == {
        "code": (0.75, 4),
        "(no category)": (0.0, 2),
    }
    assert votes_report(votes(3), "run").categories == {}


def test_three_systems_are_ranked_and_two_are_not() -> None:
    beats = {("run", "base"): 18, ("run", "other"): 20, ("other", "base"): 14}
    ballots = [
        vote(item, "left" if item < won else "right", left=one, right=other)
        for (one, other), won in beats.items()
        for item in range(20)
    ]
    report = votes_report(ballots, "run")
    assert [ranked.system for ranked in report.ranking] == ["run", "other", "base"]
    assert [(ranked.votes, ranked.wins) for ranked in report.ranking] == [(40, 38.0), (40, 14.0), (40, 8.0)]
    assert sum(ranked.strength.value or 0.0 for ranked in report.ranking) == pytest.approx(0.0, abs=1e-9)
    assert (report.against, report.votes) == (("base", "other"), 40)
    assert {name: measure.value for name, measure in report.opponents.items()} == {"base": 0.9, "other": 1.0}
    assert votes_report(votes(9, 1), "run").ranking == ()


def test_votes_of_a_script_are_called_so() -> None:
    report = votes_report([replace(each, scripted=True) for each in votes(40)], "run")
    assert report.scripted == 40
    assert "40 of 40 votes are scripted, no person's" in clear(report)[1]
    assert "scripted" not in clear(votes_report(votes(40), "run"))[1]


def test_a_vote_that_is_none_is_refused_with_its_number() -> None:
    with pytest.raises(ValueError, match="vote 2 is 'best', which is none of left, right, both_good, both_bad"):
        counted([vote(1, "left"), vote(2, "best")])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="vote 1 is between 'run' and itself"):
        counted([vote(1, "left", right="run")])


BALLOTS = st.lists(
    st.builds(
        Ballot,
        item=st.sampled_from("abcd"),
        rater=st.sampled_from(["ann", "bob", "cyd"]),
        left=st.just("run"),
        right=st.sampled_from(["base", "other"]),
        choice=st.sampled_from(CHOICES),
        category=st.sampled_from([None, "x"]),
        left_length=st.integers(0, 3),
        right_length=st.integers(0, 3),
        right_choices=st.sampled_from([(), (), ("left",)]),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(BALLOTS)
def test_any_votes_give_a_report_in_which_every_vote_is_accounted_for(ballots: list[Ballot]) -> None:
    report = votes_report(ballots, "run")
    assert report.votes == report.wins + report.losses + report.both_good + report.both_bad
    assert report.votes + report.checks + report.replaced == len(ballots)
    assert report.votes == sum(rater.votes for rater in report.by_rater)
    assert report.preferred.n == report.wins + report.losses == sum(part.n for part in report.opponents.values())
    if report.lengths:
        assert sum(part.n for part in report.lengths.values()) == report.preferred.n
    for measure in (report.preferred, report.ties_half, report.ties_against, report.tie_share, report.longer):
        if measure.value is not None:
            assert measure.low is not None
            assert measure.high is not None
            assert 0 <= measure.low <= measure.value + 1e-12
            assert measure.value - 1e-12 <= measure.high <= 1
    if report.votes:
        assert report.ties_against.value is not None
        assert report.ties_half.value is not None
        assert report.ties_against.value <= report.ties_half.value + 1e-12
    assert votes_report(ballots, "run") == report


@settings(max_examples=40, deadline=None)
@given(BALLOTS)
def test_which_answer_stood_left_changes_nothing_but_the_share_of_left(ballots: list[Ballot]) -> None:
    def turned(one: Ballot) -> Ballot:
        other: dict[str, Shown] = {"left": "right", "right": "left"}
        return replace(
            one,
            left=one.right,
            right=one.left,
            left_length=one.right_length,
            right_length=one.left_length,
            choice=other.get(one.choice, one.choice),
        )

    one, other = votes_report(ballots, "run"), votes_report([turned(each) for each in ballots], "run")
    assert (one.preferred, one.always, one.agreement, one.lengths, one.course, one.longer) == (
        other.preferred,
        other.always,
        other.agreement,
        other.lengths,
        other.course,
        other.longer,
    )
    assert [ranked.system for ranked in one.ranking] == [ranked.system for ranked in other.ranking]


def test_the_share_of_the_report_is_the_metric() -> None:
    report = votes_report(votes(9, 1), "run")
    assert replace(human_eval(report), reason="") == report.preferred
    assert preferred(one_side(votes(9, 1), "run")) == report.preferred


def test_whole_reviews_of_several_raters_stop_falsely_seldom() -> None:
    """The run is preferred in exactly 80%, votes on an item hang together, and everyone looks after every item."""
    generator, wrong = np.random.default_rng(0), 0
    for _ in range(120):
        chances = generator.beta(0.8 * 2, 0.2 * 2, 50)
        ballots = [
            vote(item, "left" if generator.random() < chances[item] else "right", f"r{rater}")
            for item in range(50)
            for rater in range(3)
        ]
        wrong += always(one_side(ballots, "run"), 0.8, 3).settled != ""
    assert wrong / 120 <= 0.05 + 2 * (0.05 * 0.95 / 120) ** 0.5


MEETINGS = (
    Meeting("run", "base", 20, 0),
    Meeting("run", "other", 20, 0),
    Meeting("base", "other", 20, 0),
)


def three(beats: dict[tuple[str, str], int], ties: int = 0) -> list[Ballot]:
    """Twenty rows with a vote on each pair; the first of a pair wins so many, and the last so many are ties."""
    return [
        vote(row, "both_good" if row >= 20 - ties else "left" if row < won else "right", left=one, right=other)
        for (one, other), won in beats.items()
        for row in range(20)
    ]


def test_of_several_systems_the_target_and_its_rule_are_of_the_votes_with_base_alone() -> None:
    beats = {("run", "base"): 15, ("run", "other"): 20, ("base", "other"): 18}
    report = votes_report(three(beats), "run", planned=20, votes_per_item=1, meetings=MEETINGS)
    alone = votes_report(three({("run", "base"): 15}), "run", planned=20, votes_per_item=1)
    for name in ("votes", "wins", "losses", "ties", "preferred", "always", "target", "course", "majority", "items"):
        assert getattr(report, name) == getattr(alone, name)
    assert (report.against, report.wins, report.losses) == (("base",), 15, 5)
    assert {name: share.value for name, share in report.opponents.items()} == {"base": 0.75, "other": 1.0}
    assert report.several is not None
    assert (report.several.votes, report.several.rows, report.several.by_rater) == (60, 20, {"ann": 60})
    assert [(met.one, met.other, met.wins, met.losses) for met in report.several.met] == [
        ("run", "base", 15, 5),
        ("run", "other", 20, 0),
        ("base", "other", 18, 2),
    ]
    assert report.left.n == 60
    assert human_eval(report) == human_eval(alone)


def test_the_strengths_are_evalicas_of_the_wins_with_ties_as_halves_and_the_prior() -> None:
    ballots = three({("run", "base"): 12, ("run", "other"): 14, ("base", "other"): 9}, ties=4)
    report = votes_report(ballots, "run", meetings=MEETINGS)
    assert report.several is not None
    won: dict[tuple[str, str], float] = {}
    for met in report.several.met:
        ties = met.both_good + met.both_bad
        assert ties == 4
        won[met.one, met.other] = met.wins + ties / 2 + 1 / 3
        won[met.other, met.one] = met.losses + ties / 2 + 1 / 3
    found = evalica.bradley_terry(
        [one for one, _ in won],
        [other for _, other in won],
        [evalica.Winner.X] * len(won),
        weights=list(won.values()),
        tolerance=1e-15,
        limit=1_000_000,
    )
    logs = np.log(found.scores)
    expected = (logs - logs.mean()).to_dict()
    assert {one.system: one.strength.value for one in report.ranking} == pytest.approx(expected, abs=1e-9)
    assert [one.system for one in report.ranking] == sorted(expected, key=expected.__getitem__, reverse=True)
    assert {one.ties for one in report.ranking} == {8}
    for one in report.ranking:
        assert one.decided.n == one.votes - 8
        assert one.decided.value is not None
        assert one.strength.value is not None
        assert abs(one.decided.value) > abs(one.strength.value) or abs(one.strength.value) < 0.1
    for met in report.several.met:
        assert met.expected == pytest.approx(1 / (1 + np.exp(expected[met.other] - expected[met.one])), abs=1e-9)


def test_a_vote_on_an_answer_that_two_systems_gave_is_one_vote_and_counts_for_both() -> None:
    shared = [
        vote(row, "left" if row < 7 else "right", also=(("other", "base"),), left_length=row) for row in range(10)
    ]
    again = [
        vote(row, "left" if row < 7 else "right", "bob", "base", "run", also=(("base", "other"),)) for row in range(10)
    ]
    report = votes_report([*shared, *again], "run", meetings=MEETINGS, votes_per_item=2)
    assert report.several is not None
    assert (report.several.votes, report.votes, report.left.n) == (20, 20, 20)
    assert [(met.votes, met.wins, met.losses) for met in report.several.met] == [(20, 10, 10), (0, 0, 0), (20, 10, 10)]
    assert [met.preferred.value for met in report.several.met] == [0.5, None, 0.5]
    assert report.agreement.n == 10
    assert report.kappas[0].kappa.n == 10
    ranked = {one.system: (one.strength.value, one.strength.low, one.votes) for one in report.ranking}
    assert ranked["run"] == pytest.approx(ranked["other"])


def test_several_systems_without_a_vote_are_no_ranking_and_one_that_nobody_met_stands_in_the_middle() -> None:
    empty = votes_report([], "run", meetings=MEETINGS)
    assert empty.several is not None
    assert (empty.ranking, empty.several.votes, len(empty.several.met)) == ((), 0, 3)
    assert empty.several.met[0].expected is None
    some = votes_report(three({("run", "base"): 15}), "run", meetings=MEETINGS)
    assert [one.system for one in some.ranking] == ["run", "other", "base"]
    assert some.ranking[1].votes == 0
    tied = votes_report(three({("run", "base"): 20}, ties=20), "run", meetings=MEETINGS)
    assert {one.strength.value for one in tied.ranking} == {0.0}
    assert tied.ranking[0].decided.value is None


def test_without_base_the_report_is_of_the_first_two_and_a_target_of_base_is_not_measured() -> None:
    without = (Meeting("run", "b", 20, 0), Meeting("run", "c", 20, 0), Meeting("b", "c", 20, 0))
    beats = {("run", "b"): 20, ("run", "c"): 5, ("b", "c"): 5}
    report = votes_report(three(beats), "run", ">= base", meetings=without)
    assert (report.against, report.wins) == (("b",), 20)
    assert clear(report)[0] == "not_measured"
    assert "the votes are against b" in clear(report)[1]


@settings(max_examples=30, deadline=None)
@given(BALLOTS)
def test_any_votes_on_several_systems_are_accounted_for_pair_by_pair(ballots: list[Ballot]) -> None:
    report = votes_report(ballots, "run", meetings=MEETINGS)
    assert report.several is not None
    assert report.several.votes == sum(met.votes for met in report.several.met)
    assert report.several.votes + report.checks + report.replaced == len(ballots)
    assert report.votes == report.several.met[0].votes
    assert sum(one.votes for one in report.ranking) == 2 * report.several.votes
    assert sum(report.several.by_rater.values()) == report.several.votes
