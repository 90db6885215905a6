"""Run directories as they are found: whole, killed half-way, without validation, edited, broken, still running."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from luthier import diagnosis
from luthier.diagnosis import seen as directory
from luthier.diagnosis.made import healthy
from luthier.diagnosis.seen import Seen
from luthier.diagnosis.symptoms import overfitting, rate_too_high
from luthier.flow import EvaluationLog, StepLog
from luthier.runs import Run


def written(root: Path, made: Seen, *, evaluations: bool = True, state: str = "done") -> Run:
    """A run directory that holds what a made-up run tells."""
    run = Run.create(root, "made")
    entries: list[StepLog | EvaluationLog] = [*made.steps, *(made.evaluations if evaluations else ())]
    for entry in sorted(entries, key=lambda one: one.step):
        run.append(entry)
    provenance = {path: {"value": value, "source": "run.yaml:1", "reason": ""} for path, value in made.settings.items()}
    run.write_settings("name: made\n", provenance)
    run.write_rows(made.rows)
    run.write_environment({"version": 1, "data": []})
    run.seal()
    run.update(state=state)  # type: ignore[arg-type]
    return run


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    made = overfitting.sick()
    seen = directory.read(written(tmp_path, made))
    assert list(seen.steps) == list(made.steps)
    assert [one.step for one in seen.evaluations] == [one.step for one in made.evaluations]
    assert seen.settings == made.settings
    assert seen.notes == []
    assert diagnosis.diagnose(seen).findings[0].symptom == "overfitting"
    assert diagnosis.diagnose(seen).unknown["forgetting"].endswith(f"luthier evaluate {seen.run}")


def test_a_run_killed_half_way_is_judged_by_what_it_left(tmp_path: Path) -> None:
    made = overfitting.sick()
    run = written(tmp_path, made, state="running")
    log = (run.folder / "log.jsonl").read_bytes()
    (run.folder / "log.jsonl").write_bytes(log[: int(len(log) * 0.8)])  # ends in half a line
    status = orjson.loads((run.folder / "run.json").read_bytes())
    (run.folder / "run.json").write_bytes(orjson.dumps(status | {"heartbeat": time.time() - 600}))
    seen = directory.read(run)
    assert seen.status is not None
    assert seen.status.state == "dead"
    assert not seen.running
    assert 0 < len(seen.evaluations) < len(made.evaluations)
    assert [one.symptom for one in diagnosis.diagnose(seen).findings] == ["overfitting"]


def test_a_run_that_goes_on_says_so(tmp_path: Path) -> None:
    assert directory.read(written(tmp_path, healthy(), state="running")).running


def test_without_validation_the_training_loss_still_speaks(tmp_path: Path) -> None:
    made = rate_too_high.sick()
    settings = {**made.settings, "data.validation": 0}
    rows = {**made.rows, "validation": 0}
    diagnosed = diagnosis.diagnose(
        directory.read(written(tmp_path, replace(made, settings=settings, rows=rows), evaluations=False))
    )
    assert diagnosed.findings[0].symptom == "rate_too_high"
    assert "holds no validation rows back" in diagnosed.unknown["overfitting"]


def test_a_line_that_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    run = written(tmp_path, overfitting.sick())
    lines = (run.folder / "log.jsonl").read_bytes().split(b"\n")
    lines[3] = b'{"kind": "step", "of a later version": 1}'
    (run.folder / "log.jsonl").write_bytes(b"\n".join(lines))
    seen = directory.read(run)
    assert len(seen.notes) == 1
    assert "log.jsonl:4" in seen.notes[0]
    assert diagnosis.diagnose(seen).findings[0].symptom == "overfitting"


def test_a_log_of_another_version_is_no_fault_and_accuses_of_nothing(tmp_path: Path) -> None:
    run = written(tmp_path, overfitting.sick())
    (run.folder / "log.jsonl").write_bytes(b'{"kind": "epoch", "loss": 1}\n' * 5)
    (run.folder / "run.json").write_bytes(b'{"version": 99}')
    diagnosed = diagnosis.diagnose(directory.read(run))
    assert diagnosed.findings == ()
    assert "log.jsonl:1" in diagnosed.unknown["overfitting"]


def test_an_edited_settings_file_is_named(tmp_path: Path) -> None:
    run = written(tmp_path, healthy())
    with run.settings_path.open("a", encoding="utf-8") as file:
        file.write("seed: 2\n")
    seen = directory.read(run)
    assert len(seen.notes) == 1
    assert "is not what it was when the run began" in seen.notes[0]


@pytest.mark.parametrize("file", ["rows.json", "provenance.json", "log.jsonl", "run.json", "settings.yaml"])
@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'"text"', b'{"version": 1}', b"\xff\xfe"])
def test_no_missing_or_broken_file_is_a_fault(tmp_path: Path, file: str, content: bytes | None) -> None:
    run = written(tmp_path, healthy())
    if content is None:
        (run.folder / file).unlink()
    else:
        (run.folder / file).write_bytes(content)
    diagnosed = diagnosis.diagnose(directory.read(run))
    assert diagnosed.findings == ()


def test_reports_of_any_shape_are_no_fault(tmp_path: Path) -> None:
    run = written(tmp_path, healthy())
    (run.folder / "reports").mkdir()
    (run.folder / "answers").mkdir()
    for content in (b"{}", b"[]", b"null", b'{"metrics": 3}'):
        (run.folder / "reports" / "evaluation.json").write_bytes(content)
        (run.folder / "answers" / "evaluation.jsonl").write_bytes(content + b"\n")
        assert diagnosis.diagnose(directory.read(run)).findings == ()


def test_the_diagnosis_kept_in_the_run_reads_back_the_same(tmp_path: Path) -> None:
    from dataclasses import asdict

    run = written(tmp_path, overfitting.sick())
    diagnosed = diagnosis.diagnose(directory.read(run))
    run.write_diagnosis(asdict(diagnosed))
    assert run.read_diagnosis() == diagnosed


def test_diagnosis_loads_no_torch() -> None:
    import subprocess
    import sys

    script = (
        "import sys\nfrom luthier import diagnosis\nfrom luthier.diagnosis.made import healthy\n"
        "diagnosis.diagnose(healthy())\nassert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
