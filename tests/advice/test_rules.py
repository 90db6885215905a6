"""Every rule of advice by itself: the facts at which it speaks, and those beside them at which it is silent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from luthier.advice.advise import advise, choices
from luthier.advice.facts import Evidence, Facts, Option, Prompting
from luthier.advice.rules import fine_tune, method, possible, source_of, values
from luthier.flow import Measure, TargetResult
from luthier.settings import mission

GB = 10**9
EVERY = tuple(mission.METHODS)
ROWS = Facts(
    budget="medium", rows=800, trained_tokens=8_000, labels=4, answer_tokens=2, verdict="ready", memory_bytes=8 * GB
)
RULES = [*fine_tune.RULES, *possible.RULES, *method.RULES, *values.SHAPE, *values.COURSE]


def target(verdict: Any, metric: str = "accuracy") -> TargetResult:
    return TargetResult(metric, "> 90%", 0.95, 0.8, 1.0, 40, verdict, "it is 95%", 138 if verdict == "likely" else None)


def asked(none: Any = "missed", few: Any = "missed", loss: float = 2.0) -> Prompting:
    measures = {"loss": Measure(loss, loss, loss, 40)}
    return Prompting(40, 8, measures, measures, {}, (target(none),), (target(few),))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_rule_says_what_it_holds_and_where_that_is_known_from(rule: Any) -> None:
    assert len(rule.__doc__) > 30
    assert len(source_of(rule)) > 20


# ------------------------------------------------------------------------------------------- whether to fine-tune


@pytest.mark.parametrize(("verdict", "speaks"), [("not ready", True), ("ready with warnings", False), ("ready", False)])
def test_rows_that_the_check_calls_not_ready_are_mended_first(verdict: str, speaks: bool) -> None:
    found = fine_tune.data_not_ready(replace(ROWS, verdict=verdict, changes=("fill the empty answers",)))
    assert (found is not None) == speaks
    if found:
        assert "fill the empty answers" in found.do


def test_rows_of_one_answer_teach_nothing() -> None:
    assert fine_tune.one_answer(ROWS) is None
    assert fine_tune.one_answer(replace(ROWS, same_answer=True)) is not None


@pytest.mark.parametrize(
    ("none", "few", "speaks"),
    [
        ("met", "missed", "The model as it is meets"),
        ("missed", "met", "With 8 examples in the prompt"),
        ("missed", "likely", None),
        ("likely", "missed", None),
        ("not_measured", "not_measured", None),
    ],
)
def test_prompting_is_enough_only_where_whole_intervals_clear_the_targets(
    none: str, few: str, speaks: str | None
) -> None:
    found = fine_tune.prompting_is_enough(replace(ROWS, prompting=asked(none, few)))
    assert (found is None) == (speaks is None)
    if found and speaks:
        assert found.why.startswith(speaks)
        assert found.prompt


def test_a_target_that_is_missed_outweighs_one_that_is_met() -> None:
    both = replace(asked(), few_targets=(target("met"), target("missed", "rouge_l")))
    assert fine_tune.prompting_is_enough(replace(ROWS, prompting=both)) is None


def test_without_a_measurement_prompting_is_never_called_enough() -> None:
    assert fine_tune.prompting_is_enough(ROWS) is None


@pytest.mark.parametrize(("rows", "speaks"), [(9, True), (10, False)])
def test_nine_rows_are_too_few_and_ten_are_not(rows: int, speaks: bool) -> None:
    assert (fine_tune.too_few_rows(replace(ROWS, rows=rows)) is not None) == speaks


# ---------------------------------------------------------------------------------------------------- what is possible


@pytest.mark.parametrize(
    ("budget", "allowed"),
    [
        ("low", {"qlora", "prompt_tuning"}),
        ("medium", {"lora", "qlora", "prompt_tuning", "prefix_tuning"}),
        ("high", set(EVERY)),
    ],
)
def test_a_budget_allows_the_missions_methods(budget: Any, allowed: set[str]) -> None:
    facts = replace(ROWS, budget=budget)
    assert {name for name in EVERY if not possible.budget_allows(facts, name)} == allowed


def test_memory_leaves_out_what_takes_a_byte_more_than_is_free() -> None:
    tight = replace(
        ROWS, options={"lora": Option(peak_memory_bytes=8 * GB + 1), "qlora": Option(peak_memory_bytes=8 * GB)}
    )
    assert possible.memory_holds_it(tight, "lora") == "it takes 8.00 GB and 8.00 GB are free"
    assert possible.memory_holds_it(tight, "qlora") == possible.memory_holds_it(tight, "full") == ""


def test_a_method_that_lacks_its_package_is_left_out_with_the_reason() -> None:
    facts = replace(ROWS, options={"qlora": Option("bitsandbytes is not installed")})
    assert possible.model_and_machine_take_it(facts, "qlora") == "bitsandbytes is not installed"
    assert possible.model_and_machine_take_it(facts, "lora") == ""


# --------------------------------------------------------------------------------------------------------- which method


def test_an_earlier_comparison_outweighs_all_other_rules_while_its_best_is_possible() -> None:
    facts = replace(ROWS, evidence=(Evidence("prefix_tuning", "runs/x/reports/comparison.json"),))
    assert choices(facts, EVERY)[0].tuning_method == "prefix_tuning"
    assert choices(facts, ("lora", "qlora"))[0].tuning_method == "lora"


def test_full_tuning_takes_rows_that_hold_more_bits_than_lora_can() -> None:
    # Rank 64 has 4 times the 1,000,000 numbers of rank 16: 8,000,000 bits. A token at 0.6931 nats teaches one bit.
    facts = replace(ROWS, options={"lora": Option("", 1_000_000)}, prompting=asked(loss=0.693147181))
    assert method.bits_held(facts, 64) == 8_000_000
    assert method.full_where_lora_cannot_hold_the_rows(replace(facts, trained_tokens=7_999_000), EVERY) is None
    found = method.full_where_lora_cannot_hold_the_rows(replace(facts, trained_tokens=8_001_000), EVERY)
    assert found is not None
    assert found.tuning_method == "full"


def test_lora_comes_first_and_what_may_follow_it_in_this_order() -> None:
    assert [one.tuning_method for one in choices(ROWS, EVERY)] == [
        "lora",
        "full",
        "qlora",
        "prefix_tuning",
        "prompt_tuning",
    ]


@pytest.mark.parametrize(
    ("few", "rows", "allowed", "wanted"),
    [
        ("likely", 150, ("qlora", "prompt_tuning"), "prompt_tuning"),
        ("missed", 150, ("qlora", "prompt_tuning"), "qlora"),
        ("likely", 200, ("qlora", "prompt_tuning"), "qlora"),
        ("likely", 150, ("lora", "qlora", "prompt_tuning"), "lora"),
        ("not_measured", 150, ("qlora", "prompt_tuning"), "qlora"),
    ],
)
def test_prompt_tuning_is_taken_where_little_is_missing_and_lora_is_not_possible(
    few: str, rows: int, allowed: Any, wanted: str
) -> None:
    facts = replace(ROWS, rows=rows, prompting=asked(few=few))
    assert choices(facts, allowed)[0].tuning_method == wanted


def test_a_prefix_comes_before_a_soft_prompt_and_says_so_of_texts() -> None:
    texts = replace(ROWS, labels=0, answer_tokens=30)
    [first, second] = choices(texts, ("prompt_tuning", "prefix_tuning"))
    assert (first.tuning_method, second.tuning_method) == ("prefix_tuning", "prompt_tuning")
    assert "answers are texts" in first.why
    assert "answers are texts" not in choices(ROWS, ("prefix_tuning",))[0].why


# ------------------------------------------------------------------------------------------------------------- settings


def given(facts: Facts, name: Any, rules: Any = (*values.SHAPE, *values.COURSE)) -> dict[str, Any]:
    return {one.path.rpartition(".")[2]: one.value for one in values.decided(rules, facts, name)[1]}


def test_lora_sits_on_all_layers_at_the_missions_rank() -> None:
    # 800 rows in steps of 8 are 100 steps an epoch, 300 in 3.
    assert given(ROWS, "lora") == {
        "batch_size": 8,
        "target_modules": "all-linear",
        "r": 16,
        "epochs": 3.0,
        "max_minutes": 120.0,
        "learning_rate": 5e-4,
    }


@pytest.mark.parametrize(("tokens", "rank"), [(2_000_000, 16), (2_010_000, 32), (4_010_000, 64), (90_000_000, 64)])
def test_the_rank_grows_until_two_bits_a_parameter_hold_the_rows(tokens: int, rank: int) -> None:
    facts = replace(
        ROWS, trained_tokens=tokens, options={"lora": Option("", 1_000_000)}, prompting=asked(loss=0.693147)
    )
    assert given(facts, "lora")["r"] == rank


def test_few_rows_go_in_smaller_steps_and_more_epochs_at_a_higher_rate() -> None:
    # 40 rows in steps of 4 are 10 an epoch; 10 epochs are the most: 100 steps. 30 rows: 8 an epoch, 80 steps.
    assert given(replace(ROWS, rows=40), "lora") | {"r": 0} == given(replace(ROWS, rows=40), "qlora") | {"r": 0}
    assert (given(replace(ROWS, rows=40), "lora")["epochs"], given(replace(ROWS, rows=40), "lora")["batch_size"]) == (
        10,
        4,
    )
    assert given(replace(ROWS, rows=40), "lora")["learning_rate"] == 5e-4
    assert given(replace(ROWS, rows=30), "lora")["learning_rate"] == 1e-3


def test_epochs_are_cut_to_what_the_minutes_hold_by_the_estimate() -> None:
    # 100 steps an epoch at 30 s are 50 minutes; four fifths of 120 minutes are 96: 1.92 epochs, 1.9 in tenths.
    slow = replace(ROWS, options={"lora": Option(step_seconds=30)})
    assert given(slow, "lora")["epochs"] == 1.9
    assert given(replace(slow, budget="high"), "lora")["epochs"] == 3
    # 15 minutes hold 0.24 of an epoch.
    assert given(replace(slow, budget="low", options={"qlora": Option(step_seconds=30)}), "qlora")["epochs"] == 0.2
    # What no minute holds is still a tenth of an epoch, so that there is a run at all.
    assert given(replace(slow, options={"lora": Option(step_seconds=9_000)}), "lora")["epochs"] == 0.1


def test_full_tuning_takes_a_tenth_of_loras_rate() -> None:
    assert given(replace(ROWS, budget="high"), "full") == {"batch_size": 8, "epochs": 3.0, "learning_rate": 5e-5}


@pytest.mark.parametrize(("name", "steps"), [("prompt_tuning", 300), ("prefix_tuning", 200)])
def test_virtual_tokens_are_20_and_50_for_many_labels_and_want_more_steps(name: Any, steps: int) -> None:
    # 400 rows are 50 steps an epoch.
    facts = replace(ROWS, rows=400)
    found = given(facts, name)
    assert (found["num_virtual_tokens"], found["epochs"], found["learning_rate"]) == (20, steps / 50, "auto")
    assert given(replace(facts, labels=21), name)["num_virtual_tokens"] == 50


def test_what_the_user_wrote_stays_and_later_rules_go_by_it() -> None:
    facts = replace(ROWS, decided={f"{values.HYPER}.batch_size": 80, f"{values.LORA}.r": 4})
    found = given(facts, "lora")
    assert not {"batch_size", "r"} & set(found)
    assert found["epochs"] == 10  # 10 steps an epoch


# ------------------------------------------------------------------------------------------------------------ together


def test_advice_is_two_sentences_a_runner_up_and_what_would_flip_it() -> None:
    options: Any = {"lora": Option("", 1_000_000, 2 * GB), "qlora": Option("", 1_000_000, GB)}
    found = advise(replace(ROWS, options=options))
    assert found is not None
    assert (found.tuning_method, found.runner_up, found.fine_tune) == ("lora", "qlora", True)
    assert found.why.count(". ") == 1
    assert found.why.endswith(".")
    assert "with --compute-budget low it would be qlora" in found.flips_when
    assert "with less than 2.00 GB of free memory it would be qlora" in found.flips_when
    # 8,000 tokens of a nat are 11,542 bits, rank 64 holds 8,000,000: 693 times as many.
    assert "with 693 times as many rows, and --compute-budget high, it would be full" in found.flips_when
    assert set(found.left_out) == {"full"}


def test_a_low_budget_says_why_lora_is_left_out() -> None:
    found = advise(replace(ROWS, budget="low"))
    assert found is not None
    assert (found.tuning_method, found.runner_up) == ("qlora", "prompt_tuning")
    assert "LoRA is left out: its compute is Low, which --compute-budget low does not allow." in found.why


def test_prompting_that_may_be_enough_names_the_rows_that_would_settle_it() -> None:
    found = advise(replace(ROWS, prompting=asked(few="likely")))
    assert found is not None
    assert "no tuning, if accuracy with examples in the prompt holds on about 138 rows" in found.flips_when


def test_do_not_fine_tune_still_names_the_method_that_it_would_be() -> None:
    found = advise(replace(ROWS, prompting=asked(few="met")))
    assert found is not None
    assert (found.fine_tune, found.tuning_method) == (False, "lora")
    assert "If you train all the same: " in found.why
    assert found.why.count(". ") == 1


def test_nothing_is_advised_where_nothing_fits() -> None:
    assert advise(replace(ROWS, options={name: Option(peak_memory_bytes=9 * GB) for name in EVERY})) is None
