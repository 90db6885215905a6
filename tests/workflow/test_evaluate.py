"""`evaluate` with labels, functions of the user's own, a schema, and rows that leave little to measure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from luthier.engine.exact import Limit
from luthier.engine.forward import Engine
from luthier.errors import UserError
from luthier.flow import Note
from luthier.workflow.evaluate import evaluate
from luthier.workflow.opened_run import Opened
from luthier.workflow.train import Trained
from tests.workflow.conftest import COLOURS, worked


def write(path: Path, rows: Sequence[tuple[str, str, str | None]]) -> str:
    """Chat rows of (question, answer, category)."""
    lines = [
        {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]}
        | ({"category": category} if category else {})
        for asked, answer, category in rows
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return str(path)


def test_labels_are_scored_and_their_answers_counted_by_label(trained: Trained) -> None:
    report, _ = worked(evaluate(str(trained.folder)))
    scoring, f1 = report.metrics["label_scoring"], report.metrics["macro_f1"]
    assert (scoring.n, scoring.details["labels"]) == (12, 4)
    assert f1.details["labels"] == sorted(COLOURS.values())
    assert sum(map(sum, f1.details["counts"])) == 12
    assert report.metrics["calibration_error"].value is not None
    assert report.difference["label_scoring"].n == 12
    assert report.categories["sky"]["label_scoring"].n == 3
    # Only what is measured over all rows is measured by category.
    assert {"accuracy", "loss", "label_scoring"} <= set(report.categories["sky"])
    assert all(report.metrics[name].value is not None for name in report.categories["sky"])
    assert "under half" in report.metrics["bleu"].reason


def test_labels_of_training_rows_are_scored_too_where_the_category_is_the_label(
    trained: Trained, tmp_path: Path
) -> None:
    # The run's categories are sky, grass, snow and coal: two of them are asked here, a fifth was never seen.
    rows = [("it is above", "sky", "sky"), ("cows eat it", "grass", "grass"), ("strange", "tea", "tea")] * 2
    report, _ = worked(evaluate(str(trained.folder), data=write(tmp_path / "rows.jsonl", rows)))
    assert report.metrics["label_scoring"].details["labels"] == 5
    assert report.metrics["macro_f1"].details["labels"] == ["grass", "sky", "tea"]


def test_a_function_of_the_users_own_and_a_schema_are_measured(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "manners.py").write_text("def short(answer, wanted):\n    return len(answer) < 9\n", encoding="utf-8")
    (tmp_path / "schema.json").write_text('{"type": "object"}', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    report, events = worked(evaluate(str(trained.folder), own_metrics=["manners:short"], schema="schema.json"))
    assert report.metrics["manners:short"].n == 12
    assert report.metrics["json_schema"].value == 0.0
    assert any(isinstance(event, Note) and "manners.py" in event.text for event in events)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"own_metrics": ["no_such:thing"]}, "'no_such' cannot be imported"),
        ({"own_metrics": ["accuracy"]}, "'accuracy' is no function"),
        ({"schema": "absent.json"}, "cannot be read"),
        ({"schema": "broken.json"}, "is no JSON schema"),
        ({"schema": "wrong.json"}, "is no JSON schema"),
        ({"data": "empty.jsonl"}, "rows"),
    ],
)
def test_what_can_not_be_measured_is_said_before_any_work(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, object], words: str
) -> None:
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    (tmp_path / "wrong.json").write_text('{"type": "thing"}', encoding="utf-8")
    (tmp_path / "empty.jsonl").write_text("", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=words):
        worked(evaluate(str(trained.folder), **options))  # type: ignore[arg-type]


def test_one_row_gives_values_without_intervals_and_no_verdict_by_chance(trained: Trained, tmp_path: Path) -> None:
    data = write(tmp_path / "one.jsonl", [("what colour has the sky", "blue", "sky")])
    report, _ = worked(evaluate(str(trained.folder), data=data))
    assert report.metrics["loss"].n == 1
    assert (report.metrics["loss"].low, report.metrics["loss"].reason) == (None, "one row gives no interval")
    assert report.metrics["label_scoring"].reason == "there is only one label, 'blue'"
    assert {target.verdict for target in report.targets} <= {"likely", "missed", "not_measured"}
    assert report.categories["sky"]["loss"].n == 1


def test_of_long_free_answers_some_are_answered_and_read_as_texts(trained: Trained, tmp_path: Path) -> None:
    long = "the order has not arrived and the customer asks for the money back " * 2
    rows = [(f"say it for the {number}. time", long + str(number), None) for number in range(150)]
    report, _ = worked(evaluate(str(trained.folder), data=write(tmp_path / "long.jsonl", rows)))
    assert (report.rows, report.metrics["loss"].n) == (150, 150)
    assert report.metrics["chrf"].n == report.metrics["stops"].n == 75
    assert "long free answers" in report.metrics["accuracy"].reason
    assert report.difference["rouge_l"].n == 75


def test_a_tuned_model_that_no_tree_serves_is_said_to_go_padded(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine_of_tuned = Opened.tuned

    def padded(opened: Opened, model: object) -> Engine:
        engine = engine_of_tuned(opened, model)
        return Engine(engine.tuned, known_limit=Limit(0, "its logits by a tree are 9.0% off"))

    monkeypatch.setattr(Opened, "tuned", padded)
    _, events = worked(evaluate(str(trained.folder)))
    said = [event.text for event in events if isinstance(event, Note) and event.kind == "warning"]
    assert [text for text in said if "9.0% off" in text] == [
        "the tuned model: rows go through the model on plain padded batches, sharing nothing: "
        "its logits by a tree are 9.0% off"
    ]
