"""`luthier check --deep`: losses that agree with a plain forward pass, a cap, a stop, and what a user may do wrong."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from luthier.data import checks
from luthier.data.check import Gathered, look
from luthier.data.quality import measure
from luthier.errors import UserError
from luthier.flow import Event, Note, Progress, result_of
from luthier.models import Source, load_model, load_tokenizer
from luthier.workflow import answer_losses as reading
from luthier.workflow.check import Checked, check
from tests.workflow.conftest import worked

ROWS = [
    {
        "messages": [
            *([{"role": "system", "content": "Be kind."}] if number % 2 else []),
            {"role": "user", "content": f"Where is order {number}?"},
            {"role": "assistant", "content": f"Order {number} is on its way to you."},
        ]
    }
    for number in range(30)
]
OTHERS = ("same_meaning", "names_and_addresses", "near_duplicates", "exact_duplicates")


@pytest.fixture
def rows(tmp_path: Path) -> str:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS), encoding="utf-8")
    return str(path)


def checked(rows: str, model: Source) -> tuple[Checked, list[Event]]:
    return worked(check([rows], deep=True, model=str(model.folder), skip=OTHERS))


def test_losses_with_and_without_the_prompt_are_those_of_a_plain_pass(rows: str, tiny_model: Source) -> None:
    import torch

    work = lambda whole: reading.answer_losses(whole, str(tiny_model.folder), lambda: False)  # noqa: E731
    whole = result_of(measure(Gathered(*look([(rows, 1.0)])), [checks.load("hard_answers")], fill=work)).whole
    tokenizer, model = load_tokenizer(tiny_model), load_model(tiny_model, torch.float32).eval()
    for number in (0, 1, 7):
        messages: list[dict[str, Any]] = ROWS[number]["messages"]
        *before, answer = messages
        empty = [*before[:-1], {"role": "user", "content": ""}]
        for name, prompt in (("answer_loss", before), ("answer_loss_alone", empty)):
            text = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
            asked = tokenizer(text, add_special_tokens=False).input_ids
            said = [*tokenizer(answer["content"], add_special_tokens=False).input_ids, tokenizer.eos_token_id]
            said = said[: reading.ANSWER]
            with torch.no_grad():
                logits = model(torch.tensor([asked + said])).logits[0, len(asked) - 1 : -1]
            loss = torch.nn.functional.cross_entropy(logits, torch.tensor(said)).item()
            assert whole.columns[name][number] == pytest.approx(loss, rel=1e-4)
            assert whole.columns["answer_tokens"][number] == len(said)


def test_a_stated_number_of_rows_is_read_evenly_spread(
    rows: str, tiny_model: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "ROWS", 4)
    found, events = checked(rows, tiny_model)
    assert found.quality is not None
    assert np.flatnonzero(found.quality.whole.columns["answer_tokens"]).tolist() == [0, 10, 19, 29]
    assert any("4 of 30 rows, evenly spread" in event.text for event in events if isinstance(event, Note))
    [result] = [result for result in found.quality.results if result.check.name == "hard_answers"]
    assert result.reason == "4 answers of 8 tokens and more are too few to judge by a model"


def test_ctrl_c_while_a_model_reads_gives_the_report_so_far(
    rows: str, tiny_model: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "AT_ONCE", 4)
    verb = check([rows], deep=True, model=str(tiny_model.folder), skip=OTHERS)
    events: list[Event] = []
    while True:
        try:
            events.append(next(verb))
        except StopIteration as end:
            found: Checked = end.value
            break
        if isinstance(events[-1], Progress) and events[-1].what == "reading answers" and events[-1].done == 8:
            os.kill(os.getpid(), signal.SIGINT)
    assert found.stopped_by == signal.SIGINT
    assert found.read == 30
    assert found.quality is not None
    assert not found.quality.complete
    assert 8 <= np.isfinite(found.quality.whole.columns["answer_loss"]).sum() < 12


def test_a_model_without_deep_is_a_mistake(rows: str) -> None:
    with pytest.raises(UserError, match="--deep alone"):
        worked(check([rows], model="smollm2-135m-instruct"))


def test_rows_of_text_have_no_prompt_to_judge_by(tmp_path: Path, tiny_model: Source) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": f"Story {number}."}) + "\n" for number in range(3)), encoding="utf-8")
    found, events = checked(str(path), tiny_model)
    assert any("no row has an answer to a prompt" in event.text for event in events if isinstance(event, Note))
    assert found.kept == 3
