"""The verbs on a 2-layer model: train, evaluate, generate, chat, check, and what a user may do wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from luthier.errors import UserError
from luthier.evaluation.kept import from_lines
from luthier.flow import EvaluationLog, Message, Note, StepLog
from luthier.models import Source
from luthier.runs.run import Run
from luthier.settings.loading import load
from luthier.workflow import run_file as run_files
from luthier.workflow.chat import open_chat
from luthier.workflow.check import check
from luthier.workflow.evaluate import KEPT, evaluate
from luthier.workflow.generate import generate
from luthier.workflow.train import Trained, train
from tests.workflow.conftest import worked, write_rows


def test_a_run_leaves_everything_that_the_contract_names(trained: Trained) -> None:
    made = {path.name for path in trained.folder.iterdir()}
    assert {
        *("run.json", "settings.yaml", "provenance.json", "rows.json", "log.jsonl", "environment.json"),
        *("checkpoints", "weights", "tensorboard"),
    } <= made
    weights = {path.name for path in (trained.folder / "weights").iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "chat_template.jinja"} <= weights
    run = Run.open(trained.folder)
    assert run.status().state == "done"
    assert (trained.steps, run.status().last_step) == (27, 27)
    assert [entry.step for entry in run.steps()] == list(range(1, 28))
    assert run.evaluations()[-1].step == 27
    assert trained.trained_tokens == sum(entry.trained_tokens for entry in run.steps())


def test_the_loss_falls_and_shared_beginnings_are_computed_once(trained: Trained) -> None:
    steps = Run.open(trained.folder).steps()
    assert steps[-1].train_loss < steps[0].train_loss / 2
    assert all(step.computed_tokens < step.row_tokens for step in steps)


def test_the_rows_are_accounted_for(trained: Trained) -> None:
    account = Run.open(trained.folder).read_rows()
    assert (account["read"], account["kept"], account["dropped"], account["validation"]) == (40, 40, {}, 4)
    assert {row["category"]: row["read"] for row in account["categories"]} == dict.fromkeys(
        ("sky", "grass", "snow", "coal"), 10
    )


def test_the_settings_of_a_run_repeat_it(trained: Trained) -> None:
    run = Run.open(trained.folder)
    again = load([str(run.settings_path)], sections=run_files.sections()).settings
    assert again.training_config.hyperparameters.learning_rate == 0.02
    assert again.training_config.evaluation.eval_steps == 2
    assert (
        run.read_provenance()["training_config.evaluation.eval_steps"]["reason"] == "a tenth of 27 steps, at most 100"
    )


def test_evaluate_puts_base_beside_tuned_with_intervals_and_verdicts(
    trained: Trained, refusing_network: Callable[..., Any]
) -> None:
    report, _ = worked(evaluate(str(trained.folder)))
    assert report.rows == 12
    accuracy, before = report.metrics["accuracy"], report.base["accuracy"]
    assert (before.value, accuracy.value) != (None, None)
    loss, base_loss = report.metrics["loss"], report.base["loss"]
    assert loss.low is not None
    assert loss.high is not None
    assert loss.value is not None
    assert loss.low < loss.value < loss.high
    assert base_loss.value is not None
    assert loss.value < base_loss.value / 2
    verdicts = {target.metric: target.verdict for target in report.targets}
    assert (verdicts["loss"], verdicts["human_eval"]) == ("met", "not_measured")
    run = Run.open(trained.folder)
    assert run.read_report() == report
    answers = run.read_answers("evaluation")
    assert len(answers) == 12
    assert sum(answer["tuned_right"] for answer in answers) == round(12 * (accuracy.value or 0))
    kept = from_lines(run.read_answers(KEPT))
    assert [question.wanted for question in kept.questions] == [answer["wanted"] for answer in answers]
    assert [answer.text for answer in kept.base.answers if answer] == [answer["base"] for answer in answers]
    scores = kept.tuned.row_scores
    assert sum(score.loss for score in scores) / sum(score.tokens for score in scores) == pytest.approx(loss.value)
    assert run.page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_validation_rows_are_named_from_the_current_folder(
    run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run_file.parent)
    overrides = ["data.test=null", "training_config.hyperparameters.max_steps=2"]
    run, _ = worked(train([str(run_file)], overrides=overrides, root=tmp_path))
    report, _ = worked(evaluate(str(run.folder)))
    assert (report.data, report.rows) == ("the validation rows", 4)
    assert {answer["file"] for answer in Run.open(run.folder).read_answers("evaluation")} == {"rows.jsonl"}


def test_chat_gives_the_answer_that_evaluation_measured(trained: Trained) -> None:
    worked(evaluate(str(trained.folder)))
    answer = Run.open(trained.folder).read_answers("evaluation")[0]
    chat = open_chat(str(trained.folder))
    row = json.loads(Path(answer["file"]).read_text(encoding="utf-8").splitlines()[answer["line"] - 1])
    messages = [Message(message["role"], message["content"]) for message in row["messages"][:-1]]
    measured = answer["tuned"].rstrip("\ufffd")
    assert measured
    assert chat.ask(messages, limit=64).startswith(measured)


def test_chat_talks_to_a_plain_model_too(tiny_model: Source) -> None:
    assert isinstance(open_chat(str(tiny_model.folder)).ask([Message("user", "hello")], limit=5), str)


def test_generate_answers_each_row_in_order_with_and_without_answers_there(trained: Trained, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in write_rows(tmp_path / "all.jsonl", 6).read_text().splitlines()]
    with_answers = json.dumps(rows[0])
    without = json.dumps({"messages": rows[1]["messages"][:2]})
    (tmp_path / "ask.jsonl").write_text(f"{with_answers}\n{without}\n", encoding="utf-8")
    out = tmp_path / "answers.jsonl"
    run = shutil.copytree(trained.folder, tmp_path / trained.run)
    made, _ = worked(generate(str(run), data=str(tmp_path / "ask.jsonl"), out=str(out)))
    assert made.rows == 2
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [line["line"] for line in lines] == [1, 2]
    assert lines[0]["prompt"].endswith("<|im_start|>assistant\n")
    assert "blue" not in lines[0]["prompt"]
    with pytest.raises(UserError, match="the file exists"):
        worked(generate(str(trained.folder), data=str(tmp_path / "ask.jsonl"), out=str(out)))


def test_check_of_a_run_file_shows_the_masks(run_file: Path) -> None:
    checked, events = worked(check([str(run_file)], mask=2))
    assert (checked.read, checked.kept, len(checked.mask)) == (40, 40, 2)
    for row in checked.mask:
        trained_text = "".join(text for text, trained in row.tokens if trained)
        assert trained_text.removesuffix("<|im_end|>") in ("blue", "green", "white", "black")
        assert "".join(text for text, _ in row.tokens) == row.sent + trained_text
        assert row.sent.count("<|im_start|>system") == 1
    assert any("max_length" in note.text for note in events if isinstance(note, Note))


def test_a_resumed_run_ends_like_the_uninterrupted_one(run_file: Path, trained: Trained, tmp_path: Path) -> None:
    verb = train([str(run_file)], root=tmp_path, name="broken")
    for event in verb:
        if isinstance(event, StepLog) and event.step == 11:
            verb.close()
            break
    run = Run.open(tmp_path / "broken")
    assert run.status().state == "failed"
    result, events = worked(train(resume=str(run.folder)))
    assert any("going on after step 10 of 27" in note.text for note in events if isinstance(note, Note))
    assert result.steps == 27
    ours, theirs = run.log(), Run.open(trained.folder).log()
    assert [entry.step for entry in ours] == [entry.step for entry in theirs]
    for one, other in zip(ours, theirs, strict=True):
        if isinstance(one, StepLog) and isinstance(other, StepLog):
            assert (one.train_loss, one.grad_norm) == (other.train_loss, other.grad_norm)
        if isinstance(one, EvaluationLog) and isinstance(other, EvaluationLog):
            assert one.row_losses == other.row_losses
    adapter = "adapter_model.safetensors"
    assert (run.weights / adapter).read_bytes() == (trained.folder / "weights" / adapter).read_bytes()


def test_a_run_goes_on_from_another_run_s_result(run_file: Path, trained: Trained, tmp_path: Path) -> None:
    overrides = [f"model={trained.folder}", "training_config.hyperparameters.max_steps=2"]
    second, _ = worked(train([str(run_file)], overrides=overrides, root=tmp_path))
    first_loss = Run.open(second.folder).steps()[0].train_loss
    assert first_loss < Run.open(trained.folder).steps()[0].train_loss / 2
    report, _ = worked(evaluate(str(second.folder)))
    base = report.base["loss"].value
    assert base is not None
    assert base == pytest.approx(worked(evaluate(str(trained.folder)))[0].metrics["loss"].value, rel=1e-4)


def test_full_tuning_trains_every_weight_and_is_saved_as_a_model_folder(run_file: Path, tmp_path: Path) -> None:
    overrides = ["tuning_method=full", "training_config.hyperparameters.learning_rate=0.005"]
    run, _ = worked(train([str(run_file)], overrides=overrides, root=tmp_path))
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= {
        path.name for path in (run.folder / "weights").iterdir()
    }
    report, _ = worked(evaluate(str(run.folder)))
    assert report.metrics["loss"].value < report.base["loss"].value / 2  # type: ignore[operator]
    assert open_chat(str(run.folder / "weights")).stops == open_chat(str(run.folder)).stops


def test_instruction_and_completion_rows_train_under_their_own_templates(run_file: Path, tmp_path: Path) -> None:
    forms = {
        "instruction": {"instruction": "Name the colour of {}.", "response": "blue"},
        "completion": {"input": "The colour of {} is", "output": " blue"},
    }
    for form, row in forms.items():
        rows = [{key: value.format(number) for key, value in row.items()} for number in range(12)]
        path = tmp_path / f"{form}.jsonl"
        path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
        model = load([str(run_file)], sections=run_files.sections()).settings.model
        overrides = [f"model={model}", "training_config.hyperparameters.max_steps=2"]
        run, _ = worked(train([str(path)], overrides=overrides, root=tmp_path))
        assert run.run == f"{form}-lora-1"
        report, _ = worked(evaluate(str(run.folder)))
        assert report.rows == 1
        prompt = Run.open(run.folder).read_answers("evaluation")[0]["prompt"]
        assert prompt.endswith("### Response\n" if form == "instruction" else " is")


# ----------------------------------------------------------------------------------------------- a user's mistakes


def refused(files: list[str], tmp_path: Path, **options: Any) -> str:
    before = sorted(tmp_path.glob("runs/*"))
    with pytest.raises(UserError) as error:
        worked(train(files, root=tmp_path / "runs", **options))
    assert sorted(tmp_path.glob("runs/*")) == before, "a refused run left something behind"
    return str(error.value)


def test_a_run_that_exists_is_refused_and_left_as_it_is(run_file: Path, trained: Trained) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained.folder.rglob("*")}
    with pytest.raises(UserError, match="a run of this name exists"):
        worked(train([str(run_file)], root=trained.folder.parent, name=trained.folder.name))
    assert {path: path.stat().st_mtime_ns for path in trained.folder.rglob("*")} == before


def test_rows_too_long_stop_with_their_lines(run_file: Path, tmp_path: Path) -> None:
    text = refused([str(run_file)], tmp_path, overrides=["data.max_length=20"])
    assert "rows.jsonl:1: " in text
    assert "40 rows too long; 20 more problems are not listed here\n  write `data.too_long: drop`" in text


def test_a_model_whose_weights_are_cut_is_refused(run_file: Path, tiny_model: Source, tmp_path: Path) -> None:
    broken = shutil.copytree(tiny_model.folder, tmp_path / "broken")
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert "model.safetensors" in refused([str(run_file)], tmp_path, overrides=[f"model={broken}"])


def test_an_unknown_model_is_refused(run_file: Path, tmp_path: Path) -> None:
    assert "smollm2-135m-instruct" in refused([str(run_file)], tmp_path, overrides=["model=smollm2-135m-instuct"])


def test_rows_that_changed_since_are_not_gone_on_with(run_file: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(run_file.parent, tmp_path / "data")
    overrides = ["training_config.hyperparameters.max_steps=2"]
    run, _ = worked(train([str(folder / "run.yaml")], overrides=overrides, root=tmp_path / "runs"))
    with (folder / "rows.jsonl").open("a", encoding="utf-8") as file:
        file.write("\n")
    with pytest.raises(UserError, match="the rows changed since the run began"):
        worked(train(resume=str(run.folder)))


def test_resume_with_other_settings_is_refused(trained: Trained, run_file: Path) -> None:
    with pytest.raises(UserError, match="goes on with its own settings"):
        worked(train([str(run_file)], resume=str(trained.folder)))


def test_a_run_without_weights_cannot_be_evaluated(run_file: Path, tmp_path: Path) -> None:
    verb = train([str(run_file)], root=tmp_path, name="young")
    for event in verb:
        if isinstance(event, StepLog):
            verb.close()
            break
    with pytest.raises(UserError, match="no tuned weights yet"):
        worked(evaluate(str(tmp_path / "young")))
