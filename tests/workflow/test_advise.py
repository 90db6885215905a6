"""`advise` on a model of 2 layers: what it reads, asks and writes, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from luthier.errors import UserError
from luthier.flow import Conversation, Message, Note, Place, ToolCall, result_of
from luthier.models import Source
from luthier.runs import Run, describe_environment
from luthier.runs.comparison import ComparisonFolder
from luthier.settings.writing import to_data, to_yaml
from luthier.workflow import run_file
from luthier.workflow.advise import Advised, advise, data_of_advice, same_answer
from luthier.workflow.auto_method import method_chosen, method_of_the_first
from luthier.workflow.evidence import evidence
from luthier.workflow.train import train

COLOURS = {"sky": "blue", "grass": "green", "snow": "white", "coal": "black"}
GPU = "H100"  # of which the rates are known: this machine's own would have to be measured first


def write(
    path: Path, count: int, answer: Callable[[int], str] = lambda number: list(COLOURS.values())[number % 4]
) -> Path:
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"{list(COLOURS)[number % 4]} {number}"},
                {"role": "assistant", "content": answer(number)},
            ]
        }
        for number in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def advised(rows: Path, model: Source | str, **options: Any) -> Advised:
    name = str(model.folder) if isinstance(model, Source) else model
    return result_of(advise(data=str(rows), model=name, **{"device": GPU, "compute_budget": "low", **options}))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, tiny_model: Source) -> Advised:
    """Advice on 60 rows, measured, with its run file beside the rows."""
    folder = tmp_path_factory.mktemp("advice")
    rows = write(folder / "rows.jsonl", 60)
    return advised(rows, tiny_model, write=str(folder / "run.yaml"), root=folder / "runs")


def test_the_json_has_the_contracts_keys_and_the_missions_parameters(found: Advised) -> None:
    data = json.loads(json.dumps(data_of_advice(found)))
    assert {"tuning_method", "why", "runner_up", "flips_when", "settings", "estimate", "fine_tune"} <= set(data)
    assert data["parameters"] == {"tuning_method": "qlora", "dataset_size": "small", "compute_budget": "low"}
    assert (data["fine_tune"], data["runner_up"], data["instead"]) == (True, "prompt_tuning", None)
    assert data["why"].count(". ") == 1
    assert all({"value", "reason", "source"} == set(setting) for setting in data["settings"].values())
    assert data["estimate"]["peak_memory_bytes"] > 0
    assert data["estimate"]["run"]["steps"] == 8 * 14  # 54 rows in steps of 4; 7 epochs are not 100 steps


def test_the_rows_are_counted_and_looked_at(found: Advised) -> None:
    rows = found.rows
    assert (rows.read, rows.kept, rows.train, rows.validation) == (60, 60, 54, 6)
    assert (rows.form, rows.labels, rows.dataset_size) == ("chat", 4, "small")
    assert 0 < rows.distinct_tokens <= rows.mean_tokens <= rows.longest_tokens
    assert found.quality.verdict.startswith("ready")


def test_the_untouched_model_is_asked_rows_that_no_example_shows(found: Advised) -> None:
    asked = found.prompted.measured
    assert asked is not None
    assert (asked.shown, asked.rows >= 20) == (8, True)
    assert asked.none["accuracy"].n == asked.few["accuracy"].n == asked.rows
    assert {target.metric for target in asked.few_targets} == {"accuracy"}
    assert asked.difference["loss"].low is not None
    messages = found.prompted.messages
    assert messages[0].content == "Answer with one of: black, blue, green, white"
    assert [message.role for message in messages[1:]] == ["user", "assistant"] * 8
    # Two of each: examples go round the labels.
    assert sorted(message.content for message in messages[2::2]) == sorted([*COLOURS.values()] * 2)


def test_the_run_file_says_why_and_trains_unchanged(found: Advised, tmp_path: Path) -> None:
    assert found.written is not None
    text = found.written.read_text(encoding="utf-8")
    assert "train: rows.jsonl  # --data" in text
    assert "QLoRA (2023)" in text
    settings = run_file.read([str(found.written)]).settings
    assert (settings.tuning_method, settings.compute_budget) == ("qlora", "low")
    for one in found.settings:
        value: Any = settings
        for name in one.path.split("."):
            value = getattr(value, name)
        assert value == one.value
    done = result_of(
        train([str(found.written)], overrides=["training_config.hyperparameters.max_steps=1"], root=tmp_path)
    )
    assert (done.run, done.steps) == ("run-qlora-1", 1)


def test_a_file_that_exists_is_left_as_it_is(found: Advised, tiny_model: Source) -> None:
    assert found.written is not None
    before = found.written.read_bytes()
    with pytest.raises(UserError, match="exists, and is left as it is"):
        advised(found.written.parent / "rows.jsonl", tiny_model, write=str(found.written))
    assert found.written.read_bytes() == before


def test_where_the_model_meets_the_targets_the_answer_is_not_to_tune(tmp_path: Path, tiny_model: Source) -> None:
    # No share is under 0%: whatever the model answers, this target is met.
    answer = advised(write(tmp_path / "rows.jsonl", 60), tiny_model, overrides=["targets.accuracy=>= 0%"])
    data = data_of_advice(answer)
    # And if trained all the same: little is missing, the budget is low and the rows are few.
    assert (data["fine_tune"], data["tuning_method"]) == (False, "prompt_tuning")
    assert data["why"].startswith("The model as it is meets the targets on ")
    assert [message["role"] for message in data["instead"]["messages"]][:3] == ["system", "user", "assistant"]


def test_rows_of_one_answer_are_no_reason_to_train(tmp_path: Path, tiny_model: Source) -> None:
    answer = advised(write(tmp_path / "rows.jsonl", 30, lambda number: "yes"), tiny_model)
    assert not answer.fine_tune
    assert answer.advice.why.startswith("Every row wants the same answer")


def test_calls_of_tools_are_answers_although_their_text_is_empty() -> None:
    calls = [Message("assistant", "", tool_calls=(ToolCall("find", {"order": number % 2}),)) for number in range(4)]
    rows = [Conversation("chat", (Message("user", "?"), call), Place("rows.jsonl", 1)) for call in calls]
    assert same_answer(rows) is False
    assert same_answer(rows[::2]) is True


def test_targets_that_nothing_can_measure_are_said_with_one_to_set(tmp_path: Path, tiny_model: Source) -> None:
    long = write(tmp_path / "rows.jsonl", 30, lambda number: f"{number} " + "the order has not arrived, and the " * 6)
    answer = advised(long, tiny_model)
    assert answer.fine_tune
    [note] = [note for note in answer.notes if "no target can be measured" in note]
    assert "long free answers" in note
    assert "targets.rouge_l" in note


def test_rows_that_cannot_be_used_are_left_out_in_the_run_file_too(tmp_path: Path, tiny_model: Source) -> None:
    rows = write(tmp_path / "rows.jsonl", 40)
    rows.write_text(rows.read_text(encoding="utf-8") + "{broken\n", encoding="utf-8")
    answer = advised(rows, tiny_model, quick=True, write=str(tmp_path / "run.yaml"))
    assert answer.rows.dropped == {"invalid_json": 1}
    assert "bad_rows: drop  # advise: 1 row of 41 cannot be used" in (tmp_path / "run.yaml").read_text(encoding="utf-8")


def test_leaks_between_training_and_test_rows_make_the_data_not_ready(tmp_path: Path, tiny_model: Source) -> None:
    rows = write(tmp_path / "rows.jsonl", 40)
    test = write(tmp_path / "test.jsonl", 20)
    answer = advised(rows, tiny_model, quick=True, overrides=[f"data.test={test}"])
    assert not answer.fine_tune
    assert answer.advice.why.startswith("The rows are not ready")
    assert any("luthier check" in line for line in answer.advice.instead.do)  # type: ignore[union-attr]


def test_what_is_written_is_commented_on_and_not_overruled(tmp_path: Path, tiny_model: Source) -> None:
    overrides = ["tuning_method=prompt_tuning", "dataset_size=large", "training_config.hyperparameters.epochs=2"]
    written = tmp_path / "run.yaml"
    answer = advised(
        write(tmp_path / "rows.jsonl", 40), tiny_model, quick=True, overrides=overrides, write=str(written)
    )
    assert answer.advice.tuning_method == "qlora"
    assert any("tuning_method: prompt_tuning is written and stays" in note for note in answer.notes)
    assert any("dataset_size: large is written, and 40 rows are small" in note for note in answer.notes)
    settings = run_file.read([str(written)]).settings
    assert (settings.tuning_method, settings.training_config.hyperparameters.epochs) == ("prompt_tuning", 2)


@pytest.mark.parametrize(
    ("changes", "message", "remedy"),
    [
        ({"data": None}, "there are no rows to train on", "--data F"),
        ({"compute_budget": "0"}, "compute_budget: 0", "low"),
        ({"model": "no-such-model"}, "no such model", "smollm2-135m-instruct"),
        ({"overrides": ["targets.acuracy=> 90%"]}, "is not a known name", "accuracy"),
        ({"overrides": ["training_config.hyperparameters.max_minutes=0"]}, "max_minutes: 0", "above 0"),
    ],
)
def test_what_cannot_be_used_is_said_with_what_to_type(
    changes: dict[str, Any], message: str, remedy: str, tmp_path: Path, tiny_model: Source
) -> None:
    rows = write(tmp_path / "rows.jsonl", 12)
    options = {"data": str(rows), "model": str(tiny_model.folder), "quick": True, "device": GPU, **changes}
    with pytest.raises(UserError) as caught:
        result_of(advise(**options))
    text = " ".join(f"{one.message} {one.remedy}" for one in caught.value.mistakes)
    assert message in text
    assert remedy in text


def test_an_empty_file_is_said(tmp_path: Path, tiny_model: Source) -> None:
    (tmp_path / "rows.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="rows"):
        advised(tmp_path / "rows.jsonl", tiny_model, quick=True)


@pytest.mark.parametrize("fault", ["type", "field"])
def test_a_configuration_that_is_no_use_is_said(fault: str, tmp_path: Path, tiny_model_writer: Any) -> None:
    folder = tiny_model_writer(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if fault == "type":
        config["model_type"] = "quokka"
    else:
        del config["hidden_size"]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        advised(write(tmp_path / "rows.jsonl", 12), str(folder), quick=True)
    assert ("quokka" if fault == "type" else "hidden_size") in str(caught.value)


@pytest.mark.long
def test_a_model_that_no_method_fits_is_refused_with_what_fits(tmp_path: Path, tiny_model: Source) -> None:
    with pytest.raises(UserError) as caught:
        advised(write(tmp_path / "rows.jsonl", 12), tiny_model, quick=True, device="0.0001GB")
    found = caught.value.mistakes
    assert [one.message.split(":")[0] for one in found] == ["qlora is not possible", "prompt_tuning is not possible"]
    assert "are free" in found[0].message
    assert "--model smollm2-135m-instruct" in found[0].remedy


# ------------------------------------------------------------------------------------------------------- evidence, auto


def settings_of(rows: Path, model: Source, *overrides: str) -> Any:
    return run_file.read([], str(rows), [f"model={model.folder}", *overrides])


def compared(root: Path, loaded: Any, content: dict[str, Any]) -> None:
    run = Run.create(root, "earlier")
    run.write_settings(to_yaml(loaded), to_data(loaded.provenance))
    run.write_environment(describe_environment([], run_file.data_files(loaded.settings)))
    run.write_comparison(content, "<p>")


METHODS = [{"tuning_method": "lora", "run": "a"}, {"tuning_method": "prefix_tuning", "run": "b"}]


@pytest.mark.parametrize("best", ["prefix_tuning", "b"])
def test_a_comparison_with_this_model_on_these_rows_is_evidence(best: str, tmp_path: Path, tiny_model: Source) -> None:
    loaded = settings_of(write(tmp_path / "rows.jsonl", 12), tiny_model)
    compared(tmp_path / "runs", loaded, {"methods": METHODS, "best": best})
    [found] = evidence(loaded.settings, tmp_path / "runs")
    assert found.best == "prefix_tuning"
    assert found.report.endswith("earlier/reports/comparison.json")


def test_a_comparison_of_methods_is_evidence_by_the_runs_in_its_folder(tmp_path: Path, tiny_model: Source) -> None:
    loaded = settings_of(write(tmp_path / "rows.jsonl", 12), tiny_model)
    place = ComparisonFolder.find(tmp_path / "runs", "rows", {})
    run = Run.create(place.folder, "lora-seed-0")
    run.write_settings(to_yaml(loaded), to_data(loaded.provenance))
    run.write_environment(describe_environment([], run_file.data_files(loaded.settings)))
    place.write({"methods": [{"tuning_method": "lora", "run": "lora", "runs": [str(run.folder)]}], "best": "lora"}, "")
    [found] = evidence(loaded.settings, tmp_path / "runs")
    assert (found.best, found.report) == ("lora", str(place.folder / "reports" / "comparison.json"))


@pytest.mark.parametrize("other", ["rows", "model", "best", "shape", "text"])
def test_other_rows_another_model_and_no_best_are_none(other: str, tmp_path: Path, tiny_model: Source) -> None:
    rows = write(tmp_path / "rows.jsonl", 12)
    loaded = settings_of(rows, tiny_model)
    content: dict[str, Any] = {"methods": METHODS, "best": None if other == "best" else "prefix_tuning"}
    compared(tmp_path / "runs", loaded, {"methods": 3, "best": []} if other == "shape" else content)
    settings = loaded.settings
    if other == "rows":
        write(rows, 13)
    if other == "model":
        settings = settings.model_copy(update={"model": "another"})
    if other == "text":
        (tmp_path / "runs/earlier/reports/comparison.json").write_text("{", encoding="utf-8")
    assert evidence(settings, tmp_path / "runs") == ()


@pytest.mark.parametrize(
    ("budget", "method", "minutes"), [("low", "qlora", 15), ("medium", "lora", 120), ("high", "lora", None)]
)
def test_auto_goes_by_the_same_rules_and_the_budgets_minutes(
    budget: str, method: str, minutes: int | None, tmp_path: Path, tiny_model: Source
) -> None:
    rows = write(tmp_path / "rows.jsonl", 40)
    loaded = settings_of(rows, tiny_model, "tuning_method=auto", f"compute_budget={budget}")
    chosen = method_chosen(loaded, 400, 36, 28_192)
    assert chosen.settings.tuning_method == method
    assert chosen.settings.training_config.hyperparameters.max_minutes == minutes
    assert "luthier advise" in chosen.provenance["tuning_method"].reason
    assert method_of_the_first(loaded, chosen.settings).settings == chosen.settings
    written = settings_of(rows, tiny_model, "tuning_method=full", f"compute_budget={budget}")
    assert method_chosen(written, 400, 36, 28_192) is written


def test_auto_refuses_a_model_that_is_larger_than_the_machine(tmp_path: Path, tiny_model: Source) -> None:
    loaded = settings_of(write(tmp_path / "rows.jsonl", 40), tiny_model, "tuning_method=auto")
    with pytest.raises(UserError, match="qlora is not possible: it takes"):
        method_chosen(loaded, 400, 36, 10**15)


def test_a_run_with_auto_says_which_method_and_why(tmp_path: Path, tiny_model: Source) -> None:
    overrides = [f"model={tiny_model.folder}", "tuning_method=auto", "training_config.hyperparameters.max_steps=1"]
    notes: list[str] = []
    work = train([str(write(tmp_path / "rows.jsonl", 40))], overrides=overrides, root=tmp_path / "runs")
    done = result_of(work, lambda event: notes.append(event.text) if isinstance(event, Note) else None)
    assert done.run.startswith("rows-lora-")
    assert any(note.startswith("tuning_method lora (LoRA on all linear layers learns 36 rows") for note in notes)


@pytest.mark.long
def test_the_packaged_model_is_asked_few_real_rows(packaged_model: Source, tmp_path: Path) -> None:
    del packaged_model
    found = advised(write(tmp_path / "rows.jsonl", 48), "smollm2-135m-instruct", compute_budget="medium")
    asked = found.prompted.measured
    assert found.advice.tuning_method == "lora"
    assert asked is not None
    # Told the four words and shown two of each, it is far nearer to them than without.
    assert asked.difference["loss"].high is not None
    assert asked.difference["loss"].high < -1
    assert replace(found.facts, prompting=None).prompting is None
