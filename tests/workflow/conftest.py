"""A small run on the 2-layer model, made once, and how to work a verb to its end."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from luthier.flow import Event
from luthier.models import Source
from luthier.workflow.train import Trained, train

Result = TypeVar("Result")

COLOURS = {"sky": "blue", "grass": "green", "snow": "white", "coal": "black"}


def write_rows(path: Path, count: int) -> Path:
    """Chat rows with a shared system message: `what colour has the sky, for the 3. time` -> `blue`."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            thing, colour = list(COLOURS.items())[number % len(COLOURS)]
            messages = [
                {"role": "system", "content": "Name the colour of the thing that you are asked about, in one word."},
                {"role": "user", "content": f"what colour has the {thing}, for the {number}. time"},
                {"role": "assistant", "content": colour},
            ]
            file.write(json.dumps({"messages": messages, "category": thing}) + "\n")
    return path


def worked(verb: Generator[Event, None, Result]) -> tuple[Result, list[Event]]:
    """A verb's result, and the events on the way."""
    events: list[Event] = []
    while True:
        try:
            events.append(next(verb))
        except StopIteration as end:
            return end.value, events


@pytest.fixture(scope="session")
def run_file(tmp_path_factory: pytest.TempPathFactory, tiny_model: Source) -> Path:
    """A run file for 40 rows on the 2-layer model: 36 to train on in batches of 4, 3 epochs, 27 steps."""
    folder = tmp_path_factory.mktemp("tickets")
    write_rows(folder / "rows.jsonl", 40)
    write_rows(folder / "test.jsonl", 52)
    lines = (folder / "test.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "test.jsonl").write_text("".join(lines[40:]), encoding="utf-8")
    (folder / "run.yaml").write_text(
        f"model: {tiny_model.folder}\n"
        "data: {train: rows.jsonl, test: test.jsonl}\n"
        "training_config:\n"
        "  hyperparameters: {learning_rate: 0.02, batch_size: 4, epochs: 3, precision: float32}\n"
        "  lora_config: {r: 4, alpha: 8, target_modules: all-linear}\n",
        encoding="utf-8",
    )
    return folder / "run.yaml"


@pytest.fixture(scope="session")
def trained(run_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """That run, trained. Tests only read it."""
    root = tmp_path_factory.mktemp("runs")
    return worked(train([str(run_file)], root=root))[0]


@pytest.fixture
def refusing_network(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Any attempt to open a connection fails the test."""
    import socket

    def refuse(*args: Any, **options: Any) -> Any:
        raise AssertionError(f"a network call: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return refuse
