"""Preference rows from the file to the report: trained on by every method, gone on with, evaluated, and refused."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from luthier.errors import Stopped, UserError
from luthier.flow import EvaluationLog, Measure, Progress, StepLog
from luthier.models import Source
from luthier.runs.run import Run
from luthier.workflow.check import check
from luthier.workflow.evaluate import evaluate
from luthier.workflow.train import Trained, train
from tests.workflow.conftest import COLOURS, worked
from tests.workflow.test_methods import METHODS as ALL
from tests.workflow.test_methods import timeless

CONFIG = "training_config"
# Without dropout, which would move an adapter that does not begin at 0 in the first step already.
METHODS = ALL | {"lora": [*ALL["lora"], f"{CONFIG}.lora_config.dropout=0"]}
LONG = ("full", "qlora", "prompt_tuning")
FEWER = [pytest.param(method, marks=pytest.mark.long) if method in LONG else method for method in METHODS]


def pair(number: int) -> dict[str, Any]:
    """The right colour is preferred to the next one."""
    things, colours = list(COLOURS), list(COLOURS.values())
    return {
        "prompt": [
            {"role": "system", "content": "Name the colour of the thing that you are asked about, in one word."},
            {"role": "user", "content": f"what colour has the {things[number % 4]}, for the {number}. time"},
        ],
        "chosen": colours[number % 4],
        "rejected": colours[(number + 1) % 4],
    }


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def pair_file(tmp_path_factory: pytest.TempPathFactory, tiny_model: Source) -> Path:
    """A run file for 40 pairs on the 2-layer model: 36 to train on in batches of 4, 2 epochs, 18 steps."""
    folder = tmp_path_factory.mktemp("pairs")
    write(folder / "pairs.jsonl", [pair(number) for number in range(40)])
    (folder / "run.yaml").write_text(
        f"model: {tiny_model.folder}\n"
        "data: {train: pairs.jsonl}\n"
        "training_config:\n"
        "  hyperparameters: {learning_rate: 0.005, batch_size: 4, epochs: 2, precision: float32}\n"
        "  lora_config: {r: 4, alpha: 8, target_modules: all-linear}\n"
        "  preference_config: {beta: 0.5}\n"
        "  evaluation: {eval_steps: 6, save_steps: 4}\n",
        encoding="utf-8",
    )
    return folder / "run.yaml"


@pytest.fixture(scope="session")
def preferring(pair_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    """A run of each method. Tests only read them."""
    root = tmp_path_factory.mktemp("preferring")
    return {
        method: worked(train([str(pair_file)], overrides=[f"tuning_method={method}", *more], root=root, name=method))[0]
        for method, more in METHODS.items()
    }


def logs(run: Trained) -> tuple[list[StepLog], list[EvaluationLog]]:
    return Run.open(run.folder).steps(), Run.open(run.folder).evaluations()


def value(measure: Measure) -> float:
    assert measure.value is not None
    return measure.value


@pytest.mark.parametrize("method", METHODS)
def test_each_method_learns_what_is_preferred(method: str, preferring: dict[str, Trained]) -> None:
    steps, evaluations = logs(preferring[method])
    first, last = evaluations[0], evaluations[-1]
    if method in ("full", "lora", "qlora"):
        assert steps[0].train_loss == pytest.approx(np.log(2), abs=1e-3)
        assert last.validation_loss < np.log(2)
    assert last.validation_loss < first.validation_loss
    accuracy, margin = last.preference["preference_accuracy"], last.preference["preference_margin"]
    assert accuracy.n == margin.n == 4
    assert accuracy.low is not None
    assert margin.low is not None
    assert value(margin) > value(first.preference["preference_margin"])
    # A pair is one row: its loss counts once, and their mean is the loss of the validation.
    assert [tokens for _, tokens in last.row_losses] == [1] * 4
    assert last.validation_loss == pytest.approx(np.mean([loss for loss, _ in last.row_losses]))
    assert len(last.train_losses) == 32
    assert steps[-1].preference.keys() == {"preference_accuracy", "preference_margin"}
    margins = [step.preference["preference_margin"] for step in steps]
    assert sum(margins[9:]) > sum(margins[:9])


def test_a_prompt_s_tokens_go_through_the_model_once_for_both_answers(preferring: dict[str, Trained]) -> None:
    steps, _ = logs(preferring["lora"])
    assert all(step.computed_tokens < step.row_tokens / 2 for step in steps)


def test_the_account_counts_a_pair_as_a_row_and_the_tokens_of_both_answers(preferring: dict[str, Trained]) -> None:
    run = Run.open(preferring["lora"].folder)
    rows = json.loads((run.folder / "rows.json").read_text(encoding="utf-8"))
    assert (rows["read"], rows["kept"], rows["validation"]) == (40, 40, 4)
    steps, _ = logs(preferring["lora"])
    assert sum(step.trained_tokens for step in steps) == 2 * rows["trained_tokens"]
    assert sum(step.row_tokens for step in steps) == 2 * rows["tokens"]


@pytest.mark.parametrize("method", FEWER)
def test_a_resumed_run_is_the_uninterrupted_one_bit_by_bit(
    method: str, pair_file: Path, preferring: dict[str, Trained], tmp_path: Path
) -> None:
    overrides = [f"tuning_method={method}", *METHODS[method]]
    verb = train([str(pair_file)], overrides=overrides, root=tmp_path, name="cut")
    for event in verb:
        if isinstance(event, StepLog) and event.step == 10:
            verb.close()
            break
    result, events = worked(train(resume=str(tmp_path / "cut")))
    assert not any(isinstance(event, Progress) and event.what == "scoring base" for event in events)
    ours, whole = Run.open(result.folder), Run.open(preferring[method].folder)
    assert [timeless(entry) for entry in ours.log()] == [timeless(entry) for entry in whole.log()]
    for path in whole.weights.glob("*.safetensors"):
        assert (ours.weights / path.name).read_bytes() == path.read_bytes()


def test_a_run_that_was_stopped_while_base_was_scored_begins_anew(
    pair_file: Path, preferring: dict[str, Trained], tmp_path: Path
) -> None:
    overrides = ["tuning_method=lora", *METHODS["lora"]]
    verb = train([str(pair_file)], overrides=overrides, root=tmp_path, name="cut")
    while True:
        event = next(verb)
        if isinstance(event, Progress) and event.what == "scoring base":
            break
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Stopped):
        worked(verb)
    assert Run.open(tmp_path / "cut").status().state == "stopped"
    result, _ = worked(train(resume=str(tmp_path / "cut")))
    ours, whole = Run.open(result.folder), Run.open(preferring["lora"].folder)
    assert [timeless(entry) for entry in ours.log()] == [timeless(entry) for entry in whole.log()]


@pytest.mark.parametrize("method", FEWER)
def test_evaluation_measures_what_the_last_validation_did(method: str, preferring: dict[str, Trained]) -> None:
    run = Run.open(preferring[method].folder)
    report, _ = worked(evaluate(str(run.folder)))
    best = next(entry for entry in run.evaluations() if entry.step == run.status().best_step)
    for name, measure in best.preference.items():
        assert report.metrics[name].n == measure.n
        assert value(report.metrics[name]) == pytest.approx(value(measure), abs=1e-4)
    assert report.base["preference_margin"].value is None
    assert "measured against" in report.base["preference_margin"].reason


def test_a_short_run_scores_the_pairs_that_its_steps_take_and_no_others(pair_file: Path, tmp_path: Path) -> None:
    overrides = [f"{CONFIG}.hyperparameters.max_steps=1", "tuning_method=full"]
    result, _ = worked(train([str(pair_file)], overrides=overrides, root=tmp_path))
    reference = Run.open(result.folder).read_reference()
    assert reference is not None
    known = ~np.isnan(reference["train"]).any(1)
    assert 32 <= known.sum() < 36
    assert not np.isnan(reference["validation"]).any()


def test_a_run_goes_on_from_an_answer_s_run_whose_result_is_then_the_reference(
    run_file: Path, pair_file: Path, tmp_path: Path
) -> None:
    few = [f"{CONFIG}.hyperparameters.max_steps=5"]
    before, _ = worked(train([str(run_file)], overrides=few, root=tmp_path, name="answers"))
    overrides = [f"model={before.folder}", *few]
    after, _ = worked(train([str(pair_file)], overrides=overrides, root=tmp_path, name="preferences"))
    steps, _ = logs(after)
    assert steps[0].train_loss == pytest.approx(np.log(2), abs=1e-3)
    report, _ = worked(evaluate(str(after.folder)))
    assert report.metrics["preference_margin"].value is not None


def test_the_best_checkpoint_can_go_by_preferences(pair_file: Path, run_file: Path, tmp_path: Path) -> None:
    by = f"{CONFIG}.evaluation.metric=preference_accuracy"
    result, _ = worked(train([str(pair_file)], overrides=[by], root=tmp_path))
    _, evaluations = logs(result)
    best = max(value(entry.preference["preference_accuracy"]) for entry in evaluations)
    chosen = Run.open(result.folder).status().best_step
    first = next(one for one in evaluations if one.preference["preference_accuracy"].value == best)
    assert chosen == first.step
    with pytest.raises(UserError, match="measured on preference rows, and the objective is supervised"):
        worked(train([str(run_file)], overrides=[by], root=tmp_path))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("data.train_on=everything", "write `train_on: answers`"),
        ("data.too_long=cut_end", "`cut_end` would cut the two answers"),
        ("data.replay=0.1", "no worse answer beside them"),
        ("data.augment=[typos]", "changed rows have one answer"),
        ("objective=text", "write `data.train_on: everything`"),
    ],
)
def test_what_pairs_cannot_do_is_refused_with_what_to_write(
    override: str, said: str, pair_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as error:
        worked(train([str(pair_file)], overrides=[override], root=tmp_path))
    assert said in str(error.value)
    assert not list(tmp_path.iterdir())


def test_rows_that_are_no_pair_stop_the_run_or_are_dropped_and_counted(tiny_model: Source, tmp_path: Path) -> None:
    good = [pair(number) for number in range(8)]
    bad = [
        pair(8) | {"rejected": pair(8)["chosen"]},
        {key: text for key, text in pair(9).items() if key != "rejected"},
        {
            "chosen": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
            "rejected": [{"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}],
        },
    ]
    path = write(tmp_path / "pairs.jsonl", [*good, *bad])
    overrides = [f"model={tiny_model.folder}", f"{CONFIG}.hyperparameters.max_steps=1", "data.format=preference"]
    with pytest.raises(UserError) as error:
        worked(train([], data=str(path), overrides=overrides, root=tmp_path / "runs"))
    text = str(error.value)
    assert "`chosen` and `rejected` are the same" in text
    assert "pairs.jsonl:10" in text
    assert "do not begin with the same question" in text
    result, _ = worked(train([], data=str(path), overrides=[*overrides, "data.bad_rows=drop"], root=tmp_path / "runs"))
    rows = json.loads((result.folder / "rows.json").read_text(encoding="utf-8"))
    assert (rows["read"], rows["kept"]) == (11, 8)
    assert rows["dropped"] == {"missing_field": 1, "prompt": 1, "same_answer": 1}


def test_a_pair_that_is_too_long_loses_the_same_tokens_of_its_prompt_on_both_sides(
    tiny_model: Source, tmp_path: Path
) -> None:
    long = pair(0) | {"rejected": "the sky has many colours and all of them are nice to look at"}
    path = write(tmp_path / "pairs.jsonl", [long, *[pair(number) for number in range(1, 8)]])
    run = ["data.max_length=120", "data.too_long=cut_start", f"model={tiny_model.folder}", "data.validation=0"]
    found, _ = worked(check([str(path)], overrides=run, mask=8))
    assert found.account.total.cut > 0
    better, worse = ("".join(text for text, _ in mask.tokens) for mask in found.mask[:2])
    assert better.split("blue")[0] == worse.split("the sky has many")[0]
    assert max(len(mask.tokens) for mask in found.mask) <= 120
    assert min(len(mask.tokens) for mask in found.mask[:2]) < 120


def test_check_shows_both_answers_of_each_pair(pair_file: Path) -> None:
    found, _ = worked(check([str(pair_file)], mask=2))
    assert [mask.side for mask in found.mask] == ["chosen", "rejected"] * 2
    trained = ["".join(text for text, is_trained in mask.tokens if is_trained) for mask in found.mask]
    assert all(text.endswith("<|im_end|>") for text in trained)
    assert trained[0] != trained[1]
    assert found.mask[0].sent == found.mask[1].sent


@pytest.mark.long
def test_the_packaged_model_takes_real_preferences(packaged_model: Source, real_data: Path, tmp_path: Path) -> None:
    """A few steps on 24 of LLaMA-Factory's pairs, the short ones: the margins rise on what is trained on."""
    rows = json.loads((real_data / "llama_factory" / "dpo_en_demo.json").read_text(encoding="utf-8"))
    short = [row for row in rows if len(json.dumps(row)) < 1400][:24]
    assert len(short) == 24
    path = write(tmp_path / "pairs.jsonl", short)
    overrides = [f"model={packaged_model.folder}", "data.validation=0.2", f"{CONFIG}.hyperparameters.batch_size=5"]
    overrides += [f"{CONFIG}.hyperparameters.epochs=2", f"{CONFIG}.lora_config.dropout=0"]
    overrides += [f"{CONFIG}.hyperparameters.learning_rate=3e-4", f"{CONFIG}.hyperparameters.warmup_ratio=0"]
    result, _ = worked(train([], data=str(path), overrides=overrides, root=tmp_path / "runs"))
    steps, evaluations = logs(result)
    assert steps[0].train_loss == pytest.approx(np.log(2), abs=0.05)
    half = len(steps) // 2
    assert np.mean([step.train_loss for step in steps[half:]]) < np.mean([step.train_loss for step in steps[:half]])
    assert steps[-1].preference["preference_margin"] > 0
    assert evaluations[-1].preference["preference_margin"].n > 0
