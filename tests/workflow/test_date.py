"""A template that prints the day: what was trained on stays what is sent, on every later day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from luthier.data.tokenize import prompt_tokens
from luthier.errors import UserError
from luthier.flow import Message, Note, StepLog
from luthier.runs.run import Run
from luthier.workflow import prepare
from luthier.workflow.chat import open_chat
from luthier.workflow.opened_run import open_run
from luthier.workflow.train import train
from tests.conftest import CHATML
from tests.workflow.conftest import worked

FEW = ["training_config.hyperparameters.max_steps=4", "training_config.evaluation.save_steps=2"]


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets it be another day, for whoever asks what day it is when a run begins."""

    def change(day: str) -> None:
        class Then(date):
            @classmethod
            def today(cls) -> Any:
                return date.fromisoformat(day)

        monkeypatch.setattr(prepare, "date", Then)

    return change


@pytest.fixture
def dated(run_file: Path, tmp_path: Path, tiny_model_writer: Callable[..., Path]) -> list[str]:
    folder = tiny_model_writer(tmp_path / "dated")
    text = "{{ '<|im_start|>system\n' + strftime_now('%d %b %Y') + '<|im_end|>\n' }}" + CHATML
    (folder / "chat_template.jinja").write_text(text, encoding="utf-8")
    return [f"model={folder}", *FEW]


def test_a_run_that_goes_on_another_day_prints_the_day_of_its_beginning(
    run_file: Path, tmp_path: Path, dated: list[str], on: Callable[[str], None]
) -> None:
    on("2026-11-23")
    whole, events = worked(train([str(run_file)], overrides=dated, root=tmp_path, name="whole"))
    assert any("data.date 2026-11-23 (the template prints the day" in str(event) for event in events)
    verb = train([str(run_file)], overrides=dated, root=tmp_path, name="cut")
    for event in verb:
        if isinstance(event, StepLog) and event.step == 3:
            verb.close()
            break
    on("2027-01-01")
    worked(train(resume=str(tmp_path / "cut")))
    losses = [[entry.train_loss for entry in Run.open(tmp_path / name).steps()] for name in ("whole", "cut")]
    assert losses[0] == losses[1]
    another, _ = worked(train([str(run_file)], overrides=dated, root=tmp_path, name="another"))
    assert another.train_loss != whole.train_loss

    for name, day in (("cut", "23 Nov 2026"), ("another", "01 Jan 2027")):
        opened, _ = worked(open_run(str(tmp_path / name), tmp_path))
        for template in (opened.template, open_chat(str(tmp_path / name)).template):
            assert prompt_tokens([Message("user", "hello")], template, opened.tokenizer)[0].count(day) == 1


def test_a_day_is_written_as_a_day_and_said_where_it_does_nothing(run_file: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"`data\.date: today` is no day\n  write a day as 2026-11-23, or auto"):
        worked(train([str(run_file)], overrides=["data.date=today"], root=tmp_path))
    overrides = ["data.date=2026-11-23", "training_config.hyperparameters.max_steps=1"]
    _, events = worked(train([str(run_file)], overrides=overrides, root=tmp_path))
    assert any("data.date does nothing here" in event.text for event in events if isinstance(event, Note))
