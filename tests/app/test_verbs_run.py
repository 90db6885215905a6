"""The verbs through the command line, on a model of two layers and twelve rows."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from luthier.models import Source

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, tiny_model: Source) -> Iterator[Path]:
    """A folder with 12 rows and a run file, in which the commands run."""
    folder = tmp_path_factory.mktemp("project")
    rows = [
        {
            "messages": [
                {"role": "system", "content": "Sort it."},
                {"role": "user", "content": f"order {number}"},
                {"role": "assistant", "content": ["late", "lost"][number % 2]},
            ],
            "category": ["late", "lost"][number % 2],
        }
        for number in range(12)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "run.yaml").write_text(
        f"model: {tiny_model.folder}\n"
        "data: {train: rows.jsonl, validation: 0.25}\n"
        "training_config: {hyperparameters: {batch_size: 3, epochs: 1}}\n"
        'targets: {accuracy: "> 90%"}\n',
        encoding="utf-8",
    )
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.fixture(scope="module")
def trained(project: Path, luthier_command: Command) -> Any:
    """What `luthier train run.yaml --json` came to."""
    return luthier_command("train", "run.yaml", "--name", "tickets", "--json")


def test_train_gives_the_contract_s_keys_and_says_on_stderr_what_it_resolved(trained: Any, project: Path) -> None:
    # 12 rows, 3 held back, 9 in batches of 3: 3 steps of one epoch
    assert trained.code == 0, trained.err
    assert trained.json["version"] == 1
    assert {"run", "steps", "trained_tokens", "seconds", "train_loss", "validation_loss"} <= set(trained.json)
    assert (trained.json["run"], trained.json["folder"], trained.json["steps"]) == ("tickets", "runs/tickets", 3)
    assert trained.json["trained_tokens"] > 0
    assert "learning_rate" in trained.err
    assert "step 3  validation loss" in trained.err
    assert (project / "runs/tickets/weights").is_dir()


def test_train_for_people_ends_with_what_to_type_next(project: Path, luthier_command: Command) -> None:
    done = luthier_command("train", "run.yaml", "--set", "training_config.hyperparameters.max_steps=1")
    assert done.code == 0, done.err
    assert done.out.startswith("1 step on ")
    assert "  luthier evaluate runs/run-lora-1  " in done.out


def test_a_run_that_exists_is_code_2_with_what_to_type(trained: Any, luthier_command: Command) -> None:
    done = luthier_command("train", "run.yaml", "--name", "tickets", "--json")
    assert done.code == 2
    [error] = done.json["errors"]
    assert "exists" in error["message"]
    assert "--resume" in error["remedy"]


def test_evaluate_misses_its_target_with_code_1_and_gives_base_beside_tuned(
    trained: Any, luthier_command: Command
) -> None:
    done = luthier_command("evaluate", "tickets", "--json")
    assert done.code == 1, done.err
    of_both = set(done.json["metrics"]) - {"forgetting"}  # which is the way from base to tuned
    assert of_both == set(done.json["base"]) >= {"loss", "perplexity", "accuracy", "token_accuracy"}
    assert {"value", "low", "high", "n"} <= set(done.json["metrics"]["loss"])
    [accuracy] = [each for each in done.json["targets"] if each["metric"] == "accuracy"]
    assert {"metric", "target", "value", "low", "high", "n", "verdict"} <= set(accuracy)
    assert (accuracy["verdict"], accuracy["n"]) == ("missed", 3)


def test_evaluate_for_people_ends_with_the_page_and_the_chat(trained: Any, luthier_command: Command) -> None:
    done = luthier_command("evaluate", "runs/tickets", "--data", "rows.jsonl")
    assert done.code == 1, done.err
    assert "12 rows of rows.jsonl" in done.out
    assert "  open runs/tickets/reports/report.html" in done.out


def test_chat_answers_one_prompt_as_json(trained: Any, luthier_command: Command) -> None:
    done = luthier_command("chat", "tickets", "--system", "Sort it.", "--prompt", "order 3", "--json")
    assert done.code == 0, done.err
    assert set(done.json) == {"version", "answer"}
    assert isinstance(done.json["answer"], str)


def test_chat_takes_lines_until_quit_and_prints_an_answer_for_each(
    trained: Any, luthier_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from luthier.workflow.chat import Chat

    said: list[list[str]] = []
    stream = Chat.stream

    def short(self: Chat, messages: Any, limit: int = 4) -> Iterator[str]:
        said.append([message.content for message in messages])
        return stream(self, messages, limit)

    monkeypatch.setattr(Chat, "stream", short)
    monkeypatch.setattr("sys.stdin", io.StringIO("order 1\n\norder 2\n/quit\norder 3\n"))
    done = luthier_command("chat", "tickets", "--system", "Sort it.")
    assert done.code == 0, done.err
    assert [messages[-1] for messages in said] == ["order 1", "order 2"]
    assert said[1][:2] == ["Sort it.", "order 1"]  # then the answer: the model sees what was said before
    assert done.out.split("\n")[0].strip()


@pytest.mark.parametrize(("words", "where"), [(("--json",), "--json"), (("--prompt", " "), "--prompt")])
def test_chat_refuses_what_cannot_be_before_a_model_is_loaded(
    words: tuple[str, ...], where: str, luthier_command: Command
) -> None:
    done = luthier_command("chat", "no-such-run", *words)
    assert done.code == 2
    assert where in done.out + done.err
    assert "no-such-run: " not in done.out + done.err


def test_generate_writes_a_line_a_row(trained: Any, project: Path, luthier_command: Command) -> None:
    words = ("--data", "rows.jsonl", "--out", "answers.jsonl", "--max-tokens", "4", "--json")
    done = luthier_command("generate", "tickets", *words)
    kept = "runs/tickets/answers/generated-answers.jsonl"
    assert (done.code, done.json) == (0, {"version": 1, "rows": 12, "out": "answers.jsonl", "asked": 12, "kept": kept})
    assert len((project / "answers.jsonl").read_text(encoding="utf-8").splitlines()) == 12


def test_check_shows_the_trained_part_of_a_row_between_marks(project: Path, luthier_command: Command) -> None:
    done = luthier_command("check", "run.yaml", "--mask", "1")
    assert done.code == 0, done.err
    shown = done.out.splitlines()
    assert shown[1:3] == ["<|im_start|>system⏎", "Sort it.<|im_end|>⏎"]
    assert shown[6] in ("⟦late<|im_end|>⟧", "⟦lost<|im_end|>⟧")
    assert "12 rows read = 12 kept; 3 held back for validation" in done.out
    [row] = luthier_command("check", "run.yaml", "--mask", "1", "--json").json["mask"]
    assert row[0] == {"text": "<|im_start|>", "trained": False}
    assert row[-1] == {"text": "<|im_end|>", "trained": True}


def test_check_lists_every_bad_row_and_is_code_1(project: Path, luthier_command: Command) -> None:
    lines = ['{"instruction": "a", "response": "b"}', "nope", '{"instruction": "[red]", "response": "c"}']
    (project / "bad.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = luthier_command("check", "bad.jsonl")
    assert done.code == 1
    assert done.out.startswith("bad.jsonl:2: ")
    assert "3 rows read = 2 kept + 1 dropped" in done.out
    assert "luthier train" not in done.out
    document = luthier_command("check", "bad.jsonl", "--json").json
    assert (document["read"], document["kept"], sum(document["dropped"].values())) == (3, 2, 1)
    [problem] = document["problems"]
    assert {key: problem[key] for key in ("severity", "file", "line")} == {
        "severity": "error",
        "file": "bad.jsonl",
        "line": 2,
    }
    assert set(problem) == {"check", "severity", "file", "line", "message", "remedy"}


def test_the_python_functions_give_the_same_typed_results(trained: Any, project: Path) -> None:
    import luthier
    from luthier.flow import Event, Progress

    heard: list[Event] = []
    report = luthier.evaluate("tickets", listen=heard.append)
    assert (report.run, report.rows) == ("tickets", 3)
    assert {target.metric: target.verdict for target in report.targets}["accuracy"] == "missed"
    assert any(isinstance(event, Progress) for event in heard)
    assert luthier.check("rows.jsonl").kept == 12
    assert luthier.train("run.yaml", overrides=["training_config.hyperparameters.max_steps=1"]).steps == 1
