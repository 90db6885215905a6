"""Metrics of generated answers and of scored labels, at numbers worked by hand or by the library that they name."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from math import exp, log
from pathlib import Path

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from luthier.errors import UserError
from luthier.evaluation import metrics
from luthier.evaluation.labels import labels_of, nearest, not_labels
from luthier.evaluation.math_answers import same_mathematics
from luthier.evaluation.metrics import Sample
from luthier.evaluation.metrics.json_match import same_fields
from luthier.evaluation.metrics.numeric_match import given_number, wanted_number
from luthier.evaluation.metrics.tool_calls import calls
from luthier.flow import Answer, LabelScores, Measure, Place, Question, RowScore
from luthier.statistics import wilson

SAID = [
    "The order arrived late and the customer asks for money.",
    "we have sent a new card to you today",
    "Nothing at all matches",
    "",
    "Please send the parcel to the new address in the city, north side.",
] * 3
WANTED = [
    "The order has not arrived, and the customer asks for the money back.",
    "We have sent you a new card today; it takes three days.",
    "An address is changed by mail or by telephone.",
    "There is no answer to this question yet.",
    "Please send the package to the new address in the north of the city.",
] * 3


def sample(
    said: Sequence[str], wanted: Sequence[str], stopped: bool = True, labels: Sequence[LabelScores] = ()
) -> Sample:
    return Sample(
        [Question(np.zeros(1, np.int32), "", text, Place("rows.jsonl", row)) for row, text in enumerate(wanted, 1)],
        [Answer(text, len(text.split()) + 1, stopped) for text in said],
        [RowScore(2.0, len(text.split()) + 1, 0) for text in wanted],
        labels,
    )


def measure(name: str, of: Sample) -> Measure:
    return metrics.load(name).measure(of, np.random.default_rng(0))


def unfit(name: str, of: Sample) -> str:
    return str(metrics.load(name).unfit(of))  # type: ignore[attr-defined]


# ------------------------------------------------------------------------------------------------------------- texts


@pytest.mark.parametrize("rows", [range(15), [0, 0], [2, 3], [1], [4, 2, 0]])
def test_bleu_and_chrf_are_sacrebleus_with_its_signature(rows: Sequence[int]) -> None:
    said, wanted = ([texts[row] for row in rows] for texts in (SAID, WANTED))
    for name, reference in (("bleu", BLEU()), ("chrf", CHRF())):
        found = measure(name, sample(said, wanted))
        assert found.value == pytest.approx(reference.corpus_score(said, [wanted]).score, abs=1e-9)
        assert found.details["signature"] == str(reference.get_signature())


def test_rouge_is_the_librarys_mean() -> None:
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
    found = measure("rouge_l", sample(SAID, WANTED))
    scores = [scorer.score(wanted, said) for wanted, said in zip(WANTED, SAID, strict=True)]
    assert found.value == pytest.approx(np.mean([score["rougeL"].fmeasure for score in scores]), abs=1e-9)
    assert found.details == {
        name: pytest.approx(np.mean([score[kind].fmeasure for score in scores]), abs=1e-9)
        for name, kind in (("rouge_1", "rouge1"), ("rouge_2", "rouge2"))
    }


def test_short_answers_are_no_texts_and_a_few_of_them_are_left_out() -> None:
    reason = "0 of 3 wanted answers are texts of 4 words or more, which is under half"
    assert unfit("bleu", sample(["a"] * 3, ["billing"] * 3)) == reason
    found = measure("chrf", sample([*SAID, "yes"], [*WANTED, "yes"]))
    assert found.n == 15
    assert found.value == measure("chrf", sample(SAID, WANTED)).value
    assert "only the 15 of 16 rows count whose wanted answers are texts" in found.reason


def test_the_length_ratio_is_tokens_said_over_tokens_wanted() -> None:
    # said 2 + 1 and 4 + 1 tokens with the end marks, wanted 1 + 1 and 2 + 1
    assert measure("length_ratio", sample(["a b", "a b c d"], ["a", "a b"])).value == pytest.approx(8 / 5)


def test_bytes_are_shared_the_loss_of_the_end_mark_too() -> None:
    # 2 rows of 2 nats over the 7 bytes of `billing` and the 4 of `ça ` (ç takes two)
    found = measure("byte_perplexity", sample(["", ""], ["billing", "ça "]))
    assert found.value == pytest.approx(exp(4 / 11))
    assert found.details["bits_per_byte"] == pytest.approx(4 / 11 / log(2))
    assert unfit("byte_perplexity", sample(["", ""], ["", ""])) == "every wanted answer is empty"


def test_an_answer_that_never_ends_is_counted() -> None:
    endless, ended = sample(["la " * 999], ["la"], stopped=False), sample(["la"], ["la"])
    assert (measure("stops", endless).value, measure("stops", ended).value) == (0.0, 1.0)
    assert measure("exact_match", sample(["la"], ["la"], stopped=False)).value == 0.0
    assert measure("exact_match", sample(["La"], ["la"])).value == 0.0


# ------------------------------------------------------------------------------------------------------------ values


@pytest.mark.parametrize(
    ("wanted", "number"),
    [("42", 42), ("$1,250.50", "1250.5"), ("−3", -3), ("6 * 7 is so\n#### 42", 42), ("12 %", 12), (" .5", "0.5")]
    + [(text, None) for text in ("6 * 7 = 42", "", "12 km", "1,25", "#### none", "x42")],
)
def test_a_wanted_number_stands_alone_or_behind_the_mark(wanted: str, number: int | str | None) -> None:
    assert wanted_number(wanted) == (None if number is None else Decimal(number))


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ("6 * 7 is 42.", 42),
        ("first 3, then #### 42 of 50", 42),
        ("it costs $1,250.50, which is much", "1250.5"),
        ("1,25 0", 0),
        ("none", None),
        ("", None),
        ("#### ", None),
        ("between 3-5", 5),
        ("-7", -7),
    ],
)
def test_a_given_number_is_the_last_or_stands_behind_the_mark(answer: str, number: int | str | None) -> None:
    assert given_number(answer) == (None if number is None else Decimal(number))


def test_numbers_match_however_they_are_written() -> None:
    found = measure("numeric_match", sample(["it is 42.0", "42", "forty two", "1e3"], ["42", "#### 42", "42", "1,000"]))
    assert found.value == 3 / 4


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ('{"days": 3, "queue": "refund"}', 1.0),
        ('{"queue": "refund", "days": 4}', 0.5),  # 1 of 2 said, 1 of 2 wanted
        ('{"queue": "refund"}', 2 / 3),  # 1 of 1 said, 1 of 2 wanted
        ('{"queue": "refund", "days": 3, "x": 1, "y": 2}', 2 * 2 / 6),
        ('{"queue": "refund", "days": true}', 0.5),
        ('["refund", 3]', 0.0),
        ("refund", 0.0),
        ("", 0.0),
        ("[" * 100_000, 0.0),
    ],
)
def test_json_is_compared_field_by_field(answer: str, score: float) -> None:
    assert same_fields(answer, '{"queue": "refund", "days": 3.0}') == pytest.approx(score)


def test_each_field_says_how_often_it_is_right() -> None:
    wanted = ['{"a": [1, 2], "b": {"c": null}}'] * 2
    found = measure("json_match", sample([wanted[0], '{"a": [1, 3]}'], wanted))
    assert found.details["fields"] == [
        {"field": ".a[]", "wanted": 4, "right": 3},
        {"field": ".b.c", "wanted": 2, "right": 1},
    ]
    assert measure("json_match", sample(["no", wanted[0]], wanted)).details["is_json"] == 0.5


def test_answers_are_held_to_a_schema() -> None:
    schema = {"type": "object", "required": ["queue"], "properties": {"queue": {"enum": ["refund"]}}}
    of = sample(['{"queue": "refund"}', '{"queue": "tea"}', "{}", "no"], ["x"] * 4)
    assert "--schema" in unfit("json_schema", of)
    with_schema = Sample(of.questions, of.answers, of.row_scores, schema=schema)
    assert measure("json_schema", with_schema).value == 1 / 4


def test_calls_are_found_as_the_usual_templates_write_them() -> None:
    wanted = [("refund", {"order": ("number", Decimal(17))})]
    for text in (
        '<tool_call>\n{"name": "refund", "arguments": {"order": 17}}\n</tool_call>',
        'Let me see {this}. [TOOL_CALLS][{"name": "refund", "arguments": {"order": 17.0}}]',
        '{"name": "refund", "parameters": {"order": 17}}',
        '{"type": "function", "function": {"name": "refund", "arguments": "{\\"order\\": 17}"}}',
        '{"tool_calls": [{"function": {"name": "refund", "arguments": {"order": 17}}}]}',
    ):
        assert calls(text) == wanted, text
    assert calls('refund(17) {"name": 3} {"name": "x"} {{{') == []


def test_a_call_counts_with_its_arguments_and_no_other_beside_it() -> None:
    call, other = '{"name": "refund", "arguments": {"order": 17}}', '{"name": "refund", "arguments": {"order": 18}}'
    found = measure("tool_calls", sample([call, other, call + call, "no", f"Yes: {call}"], [call] * 5))
    assert found.value == 2 / 5
    assert found.details["right_tools"] == 3 / 5


def test_mathematics_is_compared_as_mathematics_and_can_not_hang() -> None:
    pairs = [
        (r"$\frac{1}{2}$", "0.5"),
        (r"\boxed{x+1}", r"so it is \boxed{1+x}"),
        (r"$\frac12$", "1/3"),
        (r"\boxed{9}", r"\boxed{9^{9^{9^{9}}}}"),
        (r"$\sqrt{8}$", r"$2\sqrt{2}$"),
        (r"\boxed{2}", ""),
        (r"\boxed{2}", "import os; os.remove('x')"),
    ]
    assert same_mathematics(pairs) == [True, True, False, False, True, False, False]


# ------------------------------------------------------------------------------------------------------------ labels


def test_labels_are_the_distinct_wanted_answers() -> None:
    assert labels_of(["Billing", "refund.", "billing", "Billing"]) == ("Billing", "refund.")
    assert nearest(" BILLING. ", ("Billing", "refund.")) == 0
    assert nearest("tea", ("Billing", "refund.")) == 2


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ([], "there are no rows"),
        (["a", "A."], "there is only one label, 'a'"),
        (["a", "b", "c"], "3 different wanted answers in 3 rows are no fixed labels"),
        (["[1]", "[2]"] * 4, "JSON"),
        ([str(number) for number in range(257)] * 2, "257 labels are more than 256"),
        (["a", "b"] * 2, ""),
    ],
)
def test_not_all_wanted_answers_are_labels(wanted: list[str], words: str) -> None:
    assert words in not_labels(wanted)
    assert bool(not_labels(wanted)) == bool(words)


def test_macro_f1_counts_a_rare_label_as_much_as_a_frequent_one() -> None:
    wanted, said = ["a"] * 8 + ["b"] * 2, ["a"] * 7 + ["b"] + ["b", "tea"]
    # a: 7 right of 8 wanted and 7 said; b: 1 right of 2 wanted and 2 said
    found = measure("macro_f1", sample(said, wanted))
    assert found.value == pytest.approx((2 * 7 / 15 + 2 * 1 / 4) / 2)
    assert found.details == {"labels": ["a", "b"], "said": ["a", "b", "(other)"], "counts": [[7, 1, 0], [0, 1, 1]]}


def test_a_label_that_the_limit_cut_is_no_label() -> None:
    found = measure("macro_f1", sample(["a", "b"] * 2, ["a", "b"] * 2, stopped=False))
    assert (found.value, found.details["counts"]) == (0.0, [[0, 0, 2], [0, 0, 2]])


def test_two_models_that_no_row_tells_apart_are_said_to_be_so() -> None:
    of = sample(["a", "b"] * 10, ["a", "a", "b", "b"] * 5)
    found = metrics.load("macro_f1").difference(of, of, np.random.default_rng(0))
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)
    assert found.reason == "no row tells the two apart, so the interval says little"


def scored(*log_probabilities: float, tokens: Sequence[int] = (1, 1)) -> LabelScores:
    return LabelScores(("a", "b"), np.array(log_probabilities), np.array(tokens))


def test_the_likeliest_label_counts_and_by_the_mean_of_its_tokens_beside_it() -> None:
    # b is the likeliest in the second row by the sum (-2 over -3) and a by the mean (-3 / 3 over -2 / 1)
    labels = [scored(-1.0, -2.0), scored(-3.0, -2.0, tokens=(3, 1)), scored(-1.0, -1.5)]
    found = measure("label_scoring", sample(["", "", ""], ["a", "b", "b"], labels=labels))
    assert (found.value, found.details["length_normalized"]) == (2 / 3, 1 / 3)
    assert (found.low, found.high) == (wilson(2, 3).low, wilson(2, 3).high)


def test_a_label_that_was_never_scored_is_wrong() -> None:
    of = sample(["", ""], ["tea", "a"], labels=[scored(-1.0, -2.0)] * 2)
    assert measure("label_scoring", of).value == 0.5


def test_calibration_error_is_the_gap_between_certainty_and_truth() -> None:
    # three rows at 0.8 of which one is right, and one at 0.5 that is right: (3 * 0.8 - 1 + |0.5 - 1|) / 4
    sure, unsure = scored(log(0.8), log(0.2)), scored(log(0.5), log(0.5))
    of = sample([""] * 4, ["a", "b", "b", "a"], labels=[sure, sure, sure, unsure])
    found = measure("calibration_error", of)
    assert found.value == pytest.approx((3 * 0.8 - 1 + 0.5) / 4)
    assert [entry["rows"] for entry in found.details["bins"]] == [1, 3]


# ----------------------------------------------------------------------------------------------- the user's own


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_metrics.py").write_text(
        "def polite(answer, wanted):\n    return 'please' in answer\n"
        "def shorter(*, answer, wanted):\n    return len(answer) / len(wanted)\n"
        "shorter.direction = 'lower'\n"
        "def broken(answer, wanted):\n    return 1 / 0\n"
        "def words(answer, wanted):\n    return 'many'\n"
        "NUMBER = 3\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)


def test_a_function_of_the_users_own_is_measured(own: None) -> None:
    of = sample(["please", "now", "please do"], ["abc"] * 3)
    polite, shorter = metrics.load("own_metrics:polite"), metrics.load("own_metrics:shorter")
    found = polite.measure(of, np.random.default_rng(0))
    assert (found.value, found.low, found.high) == (2 / 3, wilson(2, 3).low, wilson(2, 3).high)
    mean = shorter.measure(of, np.random.default_rng(0))
    assert mean.value == pytest.approx((6 + 3 + 9) / 9)
    assert [shorter.direction, polite.direction] == ["lower", "higher"]
    assert mean.low is not None
    assert polite.difference(of, of, np.random.default_rng(0)).reason.startswith("only the tuned model is right on 0")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_such_module:x", "'no_such_module' cannot be imported: ModuleNotFoundError"),
        ("own_metrics:absent", "'own_metrics' has no function 'absent'"),
        ("own_metrics:NUMBER", "has no function 'NUMBER'"),
        ("own_metrics:broken", "own_metrics:broken fails: ZeroDivisionError: division by zero"),
        ("own_metrics:words", "own_metrics:words fails: TypeError"),
        ("os:system", "os:system fails: TypeError"),
    ],
)
def test_a_function_that_can_not_be_used_is_said_with_the_row(own: None, name: str, words: str) -> None:
    with pytest.raises(UserError) as failure:
        metrics.load(name).measure(sample(["a"], ["b"]), np.random.default_rng(0))
    assert words in str(failure.value)
    if "fails" in words:
        assert "rows.jsonl:1" in str(failure.value)
