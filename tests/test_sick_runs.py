"""The battery of sick runs: what is kept can be read, rows are what they are said to be, and the table counts right."""

from __future__ import annotations

import json
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from benchmarks.sick_runs import kept, ways
from benchmarks.sick_runs.cases import TASKS, Case, Task
from benchmarks.sick_runs.judging import Judge
from benchmarks.sick_runs.making import wanted
from benchmarks.sick_runs.real_rows import Row, Source, Text, source
from benchmarks.sick_runs.table import Found, counted, placed, table
from luthier.flow import result_of
from luthier.models import Source as Model
from luthier.runs.run import Run
from luthier.workflow.evaluate import evaluate
from luthier.workflow.train import train

HALVES = ("build", "held-out", "held-out-2")
TRIES = 12
"""Seeds of a run at most: of healthy ones that many were asked for."""
KEPT = [(half, name) for half in HALVES for name in kept.index(half)["runs"]]


# ------------------------------------------------------------------------------------------------------ what is kept


def test_the_kept_runs_of_all_halves_take_less_than_five_megabytes() -> None:
    sizes = [path.stat().st_size for path in kept.FOLDER.rglob("*") if path.is_file()]
    assert sizes
    assert sum(sizes) < 5_000_000


@pytest.mark.parametrize(("half", "name"), KEPT[:: max(1, len(KEPT) // 12)])
def test_a_kept_run_is_a_whole_run_directory_that_names_no_place_of_the_machine_that_made_it(
    half: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "UNPACKED", tmp_path)
    folder = kept.unpacked(half, name)
    run = Run.open(folder)
    assert run.damage() == ""
    assert len(run.steps()) >= 3
    assert run.status().state in ("done", "failed", "stopped")
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"/work/" not in content, path
            assert b"/home/" not in content, path
            assert b"/root/" not in content, path


@pytest.mark.parametrize("half", HALVES)
def test_a_half_has_48_sick_and_24_healthy_runs_and_keeps_each_under_its_own_seed(half: str) -> None:
    runs = {one.name: one for one in wanted(half, TRIES)}
    assert len(runs) == 72
    assert sum(one.way is ways.healthy for one in runs.values()) == 24
    index = kept.index(half)
    for name, entry in index["runs"].items():
        if not name.startswith("packaged_"):
            assert entry["seed"] in runs[name].seeds
    assert not index["runs"].keys() & index["missing"].keys()
    archives = {path.name.removesuffix(".tar.xz") for path in (kept.FOLDER / half).glob("*.tar.xz")}
    assert archives == set(index["runs"])


def test_no_seed_of_one_half_is_a_seed_of_another() -> None:
    seeds = [{seed for one in wanted(half, TRIES) for seed in one.seeds} for half in HALVES]
    assert not any(one & other for one, other in combinations(seeds, 2))
    assert len([seed for one in wanted("build", TRIES) for seed in one.seeds]) == len(seeds[0]), "two runs share a seed"


def test_no_half_asks_for_a_label_of_another_one(real_data: Path) -> None:
    assert real_data
    labels = [
        {(name, label) for name, seed, n, _ in own for label in source(name, seed, n).labels} for own in TASKS.values()
    ]
    assert not any(one & other for one, other in combinations(labels, 2))


def test_a_run_is_packed_into_the_same_bytes_and_its_losses_are_rounded(tmp_path: Path) -> None:
    line = {"kind": "evaluation", "step": 3, "row_losses": [[1.23456789, 4], [None, 2]], "train_losses": []}
    plain = kept._plain("log.jsonl", json.dumps(line).encode())
    assert json.loads(plain)["row_losses"] == [[1.235, 4], [None, 2]]
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "log.jsonl").write_bytes(plain)
    assert kept._packed(tmp_path) == kept._packed(tmp_path)


def test_a_half_that_was_begun_after_other_rules_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "FOLDER", tmp_path)
    kept.bind("held-out", {"commit": "1234567", "digest": "a"})
    kept.bind("held-out", {"commit": "1234567", "digest": "a"})
    with pytest.raises(SystemExit, match="1234567"):
        kept.bind("held-out", {"commit": "89abcde", "digest": "b"})


# ------------------------------------------------------------------------------------------------------------- rows


@pytest.fixture
def task() -> Task:
    """Four labels of 160 questions each, no two alike; of each label 10 are the judge's."""
    by_label = {
        label: [
            {"instruction": "Which?", "input": f"{label} question {number}", "output": label, "category": label}
            for number in range(160)
        ]
        for label in ("red", "green", "blue", "black")
    }
    return Task("colours", Source("colours", "Which?", by_label), 10)


@pytest.mark.parametrize("way", [*ways.WAYS, ways.healthy], ids=lambda way: way.__name__)
@pytest.mark.parametrize("seed", range(4))
def test_no_run_sees_a_row_of_the_judge_and_no_test_row_is_trained_on(way: ways.Way, seed: int, task: Task) -> None:
    case = way(task, seed)
    fresh = {row["input"] for row in task.fresh}
    assert len(fresh) == 40
    trained, held, test = ({row["input"] for row in side} for side in (case.train, case.validation, case.test))
    assert trained
    assert held
    assert test
    assert not fresh & (trained | held | test)
    assert not test & (trained | held)
    if way is not ways.generalization_leak:
        assert not trained & held


def test_the_same_seed_gives_the_same_run_and_another_seed_another_one(task: Task) -> None:
    one, again, other = ways.noisy_rows(task, 3), ways.noisy_rows(task, 3), ways.noisy_rows(task, 7)
    assert one.train == again.train
    assert one.settings == again.settings
    assert one.train != other.train


def _answers(rows: list[Row]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row["input"], set()).add(row["output"])
    return found


def test_contradictions_ask_the_same_and_answer_otherwise(task: Task) -> None:
    case: Case = ways.contradictions(task, 0)
    twice = [answers for answers in _answers(list(case.train)).values() if len(answers) == 2]
    assert 0.3 < len(twice) / len(_answers(list(case.train))) < 0.6
    assert all(len(answers) == 1 for answers in _answers(list(case.validation)).values())


def test_noisy_rows_are_wrong_in_training_and_in_validation_alike_and_right_in_the_test(task: Task) -> None:
    case = ways.noisy_rows(task, 0)
    wrong = [np.mean([row["output"] != row["input"].split()[0] for row in side]) for side in (case.train, case.test)]
    held = np.mean([row["output"] != row["input"].split()[0] for row in case.validation])
    assert 0.12 < wrong[0] < 0.28
    assert 0.05 < held < 0.4
    assert wrong[1] == 0


def test_imbalance_has_one_common_label_in_training_and_all_alike_in_the_test(task: Task) -> None:
    case = ways.imbalance(task, 0)
    most = Counter(row["category"] for row in case.train).most_common()
    assert most[0][1] > 0.8 * len(case.train)
    assert len(most) == 4
    assert len(set(Counter(row["category"] for row in case.test).values())) == 1


def test_a_leak_has_validation_ask_what_training_asks_and_a_bias_marks_each_label(task: Task) -> None:
    leak = ways.generalization_leak(task, 0)
    assert {row["input"] for row in leak.validation} == {row["input"] for row in leak.train}
    bias = ways.generalization_bias(task, 0)
    openings = {(row["input"].partition(":")[0], row["category"]) for row in (*bias.train, *bias.validation)}
    assert len(openings) == 4, "an opening for each label and no other"
    assert not any(":" in row["input"] for row in bias.test)


# ------------------------------------------------------------------------------------------------------------ judge


def test_the_judge_and_the_evaluation_give_the_same_loss_and_the_same_right_answers(
    tiny_model: Model, task: Task, tmp_path: Path
) -> None:
    rows = task.fresh
    for name, side in (("train", task.sides(1, 80)[0]), ("test", rows)):
        text = "".join(json.dumps(row) + "\n" for row in side)
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    (tmp_path / "run.yaml").write_text(
        f"model: {tiny_model.folder}\n"
        "data: {train: train.jsonl, test: test.jsonl}\n"
        "tuning_method: full\n"
        "training_config: {hyperparameters: {learning_rate: 0.02, epochs: 4, precision: float32}}\n",
        encoding="utf-8",
    )
    trained = result_of(train([str(tmp_path / "run.yaml")], root=tmp_path / "runs"))
    report = result_of(evaluate(str(trained.folder)))
    judge = Judge(tiny_model.folder, rows, [Text("The weather is fine.", "How is it?")])
    scores = judge.scores(judge.tuned(trained.folder / "weights"), rows)
    assert report.base["loss"].value == pytest.approx(judge.base_fresh.mean, rel=1e-4)
    assert report.metrics["loss"].value == pytest.approx(scores.mean, rel=1e-4)
    assert report.metrics["accuracy"].value == pytest.approx(scores.accuracy, abs=1e-9)
    assert scores.accuracy > 0.5, "a run that learned nothing would prove nothing"


# ------------------------------------------------------------------------------------------------------------ table


def _found(name: str, expected: str | None, first: str | None, *others: str, cause: str = "") -> Found:
    return Found(name, name.rpartition("-")[0], expected, "few_rows" if expected else "", first, cause, others)


FOUND = [
    _found("overfitting-1", "overfitting", "overfitting", cause="few_rows"),
    _found("overfitting-2", "overfitting", "forgetting", "overfitting"),
    _found("healthy-1", None, None),
    _found("end_mark-1", "end_mark", None),
    _found("healthy-2", None, "small_validation"),
]


def test_the_figures_count_right_first_findings_right_causes_and_accused_healthy_runs() -> None:
    figures = counted(FOUND)
    assert (figures.sick, figures.right, figures.caused, figures.among) == (3, 1, 1, 2)
    assert (figures.healthy, figures.accused) == (2, 1)


def test_the_table_has_ways_in_rows_first_findings_in_columns_and_the_expected_ones_marked() -> None:
    assert table(FOUND).splitlines() == [
        "| made so | expected | overfitting | end mark | forgetting | small validation | nothing |",
        "|---|---|--:|--:|--:|--:|--:|",
        "| overfitting | overfitting | **1** |  | 1 |  |  |",
        "| end mark | end mark |  |  |  |  | 1 |",
        "| healthy | nothing |  |  |  | 1 | **1** |",
    ]


def test_a_table_goes_between_its_marks_and_a_page_without_them_is_an_error() -> None:
    page = "A\n<!-- begin build -->\nold\n<!-- end build -->\nB\n"
    new = "A\n<!-- begin build -->\n\nnew \\1\n<!-- end build -->\nB\n"
    assert placed(page, "build", "new \\1") == new
    assert placed(new, "build", "new \\1") == new
    with pytest.raises(ValueError, match="held-out"):
        placed(page, "held-out", "new")
