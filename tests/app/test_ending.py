"""How a verb ends: the stream, the text and the exit code of each kind of ending."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from luthier.app.cli import ending
from luthier.app.cli.job import Job, Outcome
from luthier.errors import Mistake, Stopped, UserError

Ending = Callable[..., Any]


@pytest.fixture
def ended(capture: Callable[..., Any]) -> Ending:
    """`ended(what work raises or gives, json=False)`: what the verb comes to."""

    def end(what: BaseException | Outcome, json: bool = False, command: tuple[str, ...] = ("models",)) -> Any:
        def work(listen: Any) -> Outcome:
            print("a library says hello")
            if isinstance(what, BaseException):
                raise what
            return what

        return capture(lambda: ending.run(Job(work, json), command))

    return end


def outcome(missed: bool = False, **data: Any) -> Outcome:
    return Outcome(data, lambda console: console.print("[red]done[/red] :smile:"), missed)


def test_a_result_is_text_on_stdout_as_it_is_and_code_0(ended: Ending) -> None:
    done = ended(outcome())
    assert (done.code, done.out.splitlines()[-1]) == (0, "[red]done[/red] :smile:")


def test_a_missed_target_is_code_1_with_the_result_shown(ended: Ending) -> None:
    done = ended(outcome(missed=True, rows=3), json=True)
    assert (done.code, done.json) == (1, {"version": 1, "rows": 3})


def test_json_is_the_one_thing_on_stdout_and_what_a_library_prints_goes_to_stderr(ended: Ending) -> None:
    done = ended(outcome(answer="größer", folder=Path("runs/x"), pairs=((1, 2),)), json=True)
    assert done.out == '{"version": 1, "answer": "größer", "folder": "runs/x", "pairs": [[1, 2]]}\n'
    assert "a library says hello" in done.err


def test_json_stays_json_with_nan_infinity_and_half_a_pair(ended: Ending) -> None:
    def refuse(word: str) -> NoReturn:
        raise AssertionError(f"{word} is no JSON")

    done = ended(outcome(loss=float("nan"), most=[float("inf")], text="half \ud83d"), json=True)
    found = json.loads(done.out, parse_constant=refuse)
    assert found == {"version": 1, "loss": None, "most": [None], "text": "half \ud83d"}


MISTAKES = UserError(
    [
        Mistake("the answer is empty", "rows.jsonl:17", "write a response"),
        Mistake("two\nlines [bold]\x1b[31m", "", "first\nthen"),
    ]
)


def test_each_mistake_is_where_what_and_remedy_on_stderr_and_code_2(ended: Ending) -> None:
    done = ended(MISTAKES)
    assert done.code == 2
    assert done.err == (
        "rows.jsonl:17: the answer is empty\n  → write a response\ntwo\nlines [bold]␛[31m\n  → first\n  → then\n"
    )
    assert done.out == "a library says hello\n"


def test_mistakes_as_json_have_their_three_parts(ended: Ending) -> None:
    done = ended(MISTAKES, json=True)
    assert done.code == 2
    assert done.json["version"] == 1
    assert done.json["errors"][0] == {
        "message": "the answer is empty",
        "where": "rows.jsonl:17",
        "remedy": "write a response",
    }
    assert len(done.json["errors"]) == 2


def test_a_flood_of_mistakes_is_counted_and_whole_as_json(ended: Ending) -> None:
    flood = UserError(Mistake("bad", f"rows.jsonl:{line}") for line in range(1, 1061))
    lines = ended(flood).err.splitlines()
    assert lines[49:] == ["rows.jsonl:50: bad", "and 1,010 more: --json lists them all"]
    assert len(ended(flood, json=True).json["errors"]) == 1060


@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 143)])
def test_work_that_was_stopped_and_saved_says_how_to_go_on(ended: Ending, number: int, code: int) -> None:
    done = ended(Stopped(number, "luthier train --resume runs/x"))
    assert done.code == code
    assert done.err.endswith("saved\n  → luthier train --resume runs/x\n")


@pytest.mark.parametrize(("end", "code"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143)])
def test_ctrl_c_and_sigterm_elsewhere_end_without_a_traceback(ended: Ending, end: BaseException, code: int) -> None:
    done = ended(end)
    assert (done.code, done.err) == (code, "stopped, as asked\n")
    assert ended(end, json=True).json["errors"][0]["message"] == "stopped, as asked"


def test_a_fault_of_ours_leaves_a_report_without_secrets_and_code_3(
    ended: Ending, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUTHIER_HOME", str(tmp_path))
    secret = "hf_abcdefghijklmnop"
    done = ended(ValueError(f"bad {secret}\nsecond line"), command=("train", "--set", "x=1", f"TOKEN={secret}"))
    [report] = (tmp_path / "faults").iterdir()
    assert done.code == 3
    assert done.err.splitlines()[0] == f"{report}: a fault of Luthier's own: ValueError: bad ***"
    text = report.read_text(encoding="utf-8")
    assert text.startswith("$ luthier train --set x=1 TOKEN=***\n")
    assert "raise what" in text
    assert secret not in text + done.err


def test_a_report_that_cannot_be_kept_is_printed(
    ended: Ending, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LUTHIER_HOME", str(tmp_path / "file"))
    done = ended(ValueError("bad"))
    assert done.code == 3
    assert "raise what" in done.err
    assert "the report is above: it could not be kept" in done.err
