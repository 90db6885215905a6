"""From the files that people bring to a run: text, preferences, mixed files, and what is refused in which words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from luthier.errors import UserError
from luthier.flow import Note
from luthier.models import Source, load_tokenizer
from luthier.workflow import run_file
from luthier.workflow.prepare import Prepared, prepare
from luthier.workflow.train import train
from tests.workflow.conftest import worked

CHAT = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}
PREFERENCE = {"prompt": "hi", "chosen": "hello there", "rejected": "what"}
SHAREGPT = {"conversations": [{"from": "human", "value": "hi you"}, {"from": "gpt", "value": "hello"}]}


def prepared(tiny_model: Source, data: list[Path], **settings: Any) -> tuple[Prepared, list[str]]:
    overrides = [f"{key}={json.dumps(value)}" for key, value in settings.items()]
    files = json.dumps([str(path) for path in data])
    loaded = run_file.read([], None, [f"model={tiny_model.folder}", f"data.train={files}", *overrides])
    found, events = worked(prepare(loaded, load_tokenizer(tiny_model), 512, (2,)))
    return found, [event.text for event in events if isinstance(event, Note)]


def rows(path: Path, row: dict[str, Any], count: int = 3) -> Path:
    path.write_text((json.dumps(row) + "\n") * count, encoding="utf-8")
    return path


def test_a_text_file_is_trained_whole_line_by_line_and_long_lines_in_pieces(tiny_model: Source, tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    lines = ["first line of the book", "x" * 300, "the last line"]
    path.write_text("\n".join(lines), encoding="utf-8")
    found, notes = prepared(
        tiny_model, [path], **{"data.validation": 0, "data.max_length": 64, "data.too_long": "split"}
    )
    assert found.loaded.settings.objective == "text"
    assert any("text rows" in note for note in notes)
    tokenizer = load_tokenizer(tiny_model)
    assert all(len(row.tokens) <= 64 for row in found.train)
    assert all((row.weights[1:] == 1).all() for row in found.train)
    read = "".join(tokenizer.decode(row.tokens.tolist()) for row in found.train)
    assert [line for line in lines if line in read.replace("<|im_start|>", "").replace("<|im_end|>", "")] == lines
    total = found.account.total
    assert (total.read, total.kept, total.dropped) == (3, 3, {})
    assert total.tokens == sum(len(row.tokens) for row in found.train)


def test_a_text_file_can_be_trained_on_and_the_loss_falls(tiny_model: Source, tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text("".join(f"the order {number} has not arrived\n" for number in range(40)), encoding="utf-8")
    overrides = [f"model={tiny_model.folder}", "tuning_method=full", "data.validation=0"]
    overrides += ["training_config.hyperparameters.learning_rate=0.01"]
    run, _ = worked(train([], data=str(path), overrides=overrides, root=tmp_path / "runs"))
    losses = [json.loads(line)["train_loss"] for line in (run.folder / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize(
    ("answers", "contradicting"),
    [(("red", "blue"), 2), ((f"It is {'very ' * 20}red.", f"Some call it {'dark ' * 20}crimson."), 0)],
    ids=["labels", "references"],
)
def test_labels_of_one_question_contradict_each_other_and_free_answers_do_not(
    tiny_model: Source, tmp_path: Path, answers: tuple[str, str], contradicting: int
) -> None:
    path = tmp_path / "rows.jsonl"
    both = [{"instruction": "What colour is it?", "output": answer} for answer in answers]
    path.write_text("".join(json.dumps(row) + "\n" for row in both), encoding="utf-8")
    found, _ = prepared(tiny_model, [path], **{"data.validation": 0})
    assert found.repeated["contradicting"] == contradicting


def test_preferences_are_pairs_and_trained_on_their_better_answer_alone_when_asked_for(
    tiny_model: Source, tmp_path: Path
) -> None:
    path = rows(tmp_path / "rows.jsonl", PREFERENCE)
    both, _ = prepared(tiny_model, [path])
    assert both.loaded.settings.objective == "preference"
    texts = [load_tokenizer(tiny_model).decode(row.tokens.tolist()) for row in both.train[:2]]
    assert ["hello there" in text for text in texts] == [True, False]
    assert ["what" in text for text in texts] == [False, True]
    found, _ = prepared(tiny_model, [path], objective="supervised")
    text = load_tokenizer(tiny_model).decode(found.train[0].tokens.tolist())
    assert "hello there" in text
    assert "what" not in text


def test_files_of_several_forms_and_packings_go_together_under_one_template(tiny_model: Source, tmp_path: Path) -> None:
    import gzip

    first, second = rows(tmp_path / "a.jsonl", CHAT), tmp_path / "b.json.gz"
    second.write_bytes(gzip.compress(json.dumps([SHAREGPT] * 4).encode()))
    found, _ = prepared(tiny_model, [first, second], **{"data.validation": 0})
    assert len(found.train) == 7
    assert {source: tally.kept for source, tally in found.account.sources().items()} == {str(first): 3, str(second): 4}


@pytest.mark.parametrize(
    ("texts", "settings", "said"),
    [
        (["text", "chat"], {}, "train on them in two runs"),
        (["text"], {"objective": "supervised"}, "write `objective: text`"),
        (["chat"], {"objective": "text"}, "write `data.train_on: everything`"),
        (["chat", "instruction"], {}, "the rows ask for 2 templates"),
    ],
)
def test_rows_of_another_kind_than_asked_are_refused(
    tiny_model: Source, tmp_path: Path, texts: list[str], settings: dict[str, Any], said: str
) -> None:
    kinds: dict[str, dict[str, Any]] = {
        "text": {"text": "a b c"},
        "chat": CHAT,
        "instruction": {"instruction": "say", "response": "x"},
    }
    files = [rows(tmp_path / f"{kind}.jsonl", kinds[kind]) for kind in texts]
    with pytest.raises(UserError) as error:
        prepared(tiny_model, files, **settings)
    assert said in str(error.value)


def test_a_cache_that_may_not_be_written_is_said_and_done_without(
    tiny_model: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").write_text("a file where the folder should be", encoding="utf-8")
    monkeypatch.setenv("LUTHIER_HOME", str(tmp_path / "home"))
    found, notes = prepared(tiny_model, [rows(tmp_path / "rows.jsonl", CHAT)])
    assert len(found.train) == 3
    assert any("may not be written" in note and "LUTHIER_HOME" in note for note in notes)
