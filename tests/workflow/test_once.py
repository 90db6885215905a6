"""What base makes of rows is computed once: kept by its weights, what is asked and the engine, and said where it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from luthier.engine.forward import Engine, in_order
from luthier.flow import Event, Note, Place, Progress, RowScore, Tokenized, Tuned
from luthier.models import Source, load_model
from luthier.workflow import once as module
from luthier.workflow.evaluate import evaluate
from luthier.workflow.loaded_model import engine_of
from luthier.workflow.once import once, rows_asked
from luthier.workflow.train import Trained
from tests.workflow.conftest import worked


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LUTHIER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def base(tiny_model: Source, shaken: float = 0.0) -> Engine:
    import torch

    model = load_model(tiny_model, torch.float32)
    next(model.parameters()).data.add_(shaken)
    return engine_of(Tuned(model, None, {}))


def rows(first: int = 5) -> list[Tokenized]:
    weights = np.array([0, 1, 1, 1], np.float32)
    return [Tokenized(np.array([first, 7, 9, last], np.int32), weights, Place("rows", last)) for last in (3, 4, 8)]


def asked(engine: Engine, asked_rows: list[Tokenized]) -> tuple[list[RowScore], list[Event]]:
    def make() -> Generator[Event, None, list[RowScore]]:
        return in_order(engine.scores(asked_rows), "scoring base", len(asked_rows))

    return worked(once(engine, "base's scores", rows_asked(asked_rows), RowScore, make))


def computed(events: list[Event]) -> bool:
    return any(isinstance(event, Progress) for event in events)


def test_the_same_rows_are_scored_once_and_that_is_said(tiny_model: Source) -> None:
    first, events = asked(base(tiny_model), rows())
    assert computed(events)
    again, events = asked(base(tiny_model), rows())
    assert again == first
    assert [event.text for event in events if isinstance(event, Note)] == [
        "base's scores: 3, kept since they were asked first"
    ]
    assert not computed(events)


def test_other_rows_other_weights_and_another_engine_are_asked_anew(
    tiny_model: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = asked(base(tiny_model), rows())
    others = rows(6), [dataclasses.replace(row, weights=row.weights[::-1].copy()) for row in rows()], rows()[:2]
    for other in others:
        found, events = asked(base(tiny_model), other)
        assert computed(events)
        assert found != first
    assert computed(asked(base(tiny_model, 1e-3), rows())[1])
    monkeypatch.setattr(module, "_code", lambda: "another engine")
    assert computed(asked(base(tiny_model), rows())[1])


def test_a_damaged_file_is_made_anew_and_a_cache_that_cannot_be_written_is_said(tiny_model: Source, home: Path) -> None:
    first, _ = asked(base(tiny_model), rows())
    (path,) = (home / "base").iterdir()
    path.write_bytes(path.read_bytes()[:20])
    found, events = asked(base(tiny_model), rows())
    assert found == first
    assert computed(events)
    path.unlink()
    (home / "base").rmdir()
    (home / "base").write_text("in the way", encoding="utf-8")
    found, events = asked(base(tiny_model), rows())
    assert found == first
    (warning,) = (event for event in events if isinstance(event, Note))
    assert warning.kind == "warning"
    assert "cannot be kept" in warning.text


def test_a_second_evaluation_asks_base_nothing_and_says_the_same(trained: Trained) -> None:
    first, events = worked(evaluate(str(trained.folder)))
    whose = {event.what for event in events if isinstance(event, Progress)}
    assert {"scoring base", "answering base", "scoring labels, base"} <= whose
    again, events = worked(evaluate(str(trained.folder)))
    whose = {event.what for event in events if isinstance(event, Progress)}
    assert {"scoring tuned", "answering tuned", "scoring labels, tuned"} <= whose
    assert not {"scoring base", "answering base", "scoring labels, base"} & whose
    timeless: Any = dataclasses.asdict(first), dataclasses.asdict(again)
    for report in timeless:
        report.pop("seconds")
    assert str(timeless[0]) == str(timeless[1])
