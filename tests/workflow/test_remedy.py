"""`remedy RUN`: what is refused, what helps, what harms, what goes on after a kill, and what it may cost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from luthier.data.sides import sides
from luthier.errors import UserError
from luthier.flow import Diagnosis, Finding, Measure, Place, Remedy, result_of
from luthier.runs.run import Run
from luthier.workflow.candidates import Facts, Round, decided, overrides
from luthier.workflow.kept_rows import keep_rows
from luthier.workflow.remedy import remedy, row_tokens, times_of
from luthier.workflow.run_file import read
from luthier.workflow.train import train
from tests.workflow.conftest import worked

ROOT = Path(__file__).resolve().parents[2]
HYPER = "training_config.hyperparameters"
RATE = f"{HYPER}.learning_rate"


def finding(*remedies: Remedy, symptom: str = "underfitting", certainty: float = 0.999) -> Finding:
    return Finding(
        symptom, certainty, "rate_too_low", "The loss hardly moved. The rate is low.", {"x": Measure(1.0)}, remedies
    )


def diagnosed(*found: Finding, only: str | None = None) -> Any:
    """A diagnosis that finds the same in the run of the name `only`, or in every run, and nothing in others."""

    def find(run: Run) -> Diagnosis:
        return Diagnosis(run.name, found if only in (None, run.name) else ())

    return find


HIGHER = Remedy("higher_rate", {RATE: 0.05}, "the loss hardly moved", "somewhere")
LOWER = Remedy("lower_rate", {RATE: 1e-7}, "by mistake")


@pytest.fixture(scope="module")
def slow_run(run_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run at a rate of 1e-5, at which a tiny model learns nothing: 27 steps of 4 rows. Tests only read it."""
    root = tmp_path_factory.mktemp("slow")
    words = [f"{RATE}=1e-5"]
    made, _ = worked(train([str(run_file)], overrides=words, name="slow", root=root))
    return Run.open(made.folder)


@pytest.mark.parametrize(("text", "times"), [("4x", 4.0), ("2.5x", 2.5), (" 3 ", 3.0), ("10×", 10.0)])
def test_at_most_is_any_multiple(text: str, times: float) -> None:
    assert times_of(text) == times


@pytest.mark.parametrize("text", ["", "x", "-2x", "0x", "four", "4 minutes"])
def test_at_most_refuses_what_is_no_multiple(text: str) -> None:
    with pytest.raises(UserError, match="no multiple"):
        times_of(text)


def test_a_running_a_stopped_and_an_edited_run_are_refused_with_what_to_type(slow_run: Run, tmp_path: Path) -> None:
    for state, said in (("running", "still training"), ("stopped", "the run is stopped")):
        copy = Run(tmp_path / state)
        shutil.copytree(slow_run.folder, copy.folder)
        copy.update(state=state)  # type: ignore[arg-type]
        with pytest.raises(UserError, match=said):
            worked(remedy(str(copy.folder), find=diagnosed(finding(HIGHER))))
    edited = Run(tmp_path / "edited")
    shutil.copytree(slow_run.folder, edited.folder)
    edited.settings_path.write_text(edited.settings_path.read_text().replace("seed: 0", "seed: 5"))
    with pytest.raises(UserError, match="not what it was"):
        worked(remedy(str(edited.folder), find=diagnosed(finding(HIGHER))))
    assert not list(tmp_path.glob("*-remedy"))
    with pytest.raises(UserError, match="not a run"):
        worked(remedy("nowhere", root=tmp_path))


def test_a_run_that_nothing_can_measure_is_refused(run_file: Path, tmp_path: Path) -> None:
    words = ["data.validation=0.0", "data.test=null", f"{HYPER}.max_steps=2"]
    made, _ = worked(train([str(run_file)], overrides=words, name="blind", root=tmp_path))
    with pytest.raises(UserError, match="neither validation nor test rows"):
        worked(remedy(str(made.folder), find=diagnosed(finding(HIGHER))))


def test_a_healthy_run_has_nothing_to_remedy(slow_run: Run) -> None:
    found, _ = worked(remedy(str(slow_run.folder), find=diagnosed()))
    assert (found.helped, found.run, found.after, found.tried) == (False, None, None, ())
    assert found.why == "nothing to remedy: no symptom was found"
    assert found.before.metrics["loss"].value is not None
    page = Path(found.folder) / "reports" / "remedy.html"
    assert "Nothing to remedy" in page.read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------- what is decided

FACTS = Facts(
    {
        f"{HYPER}.batch_size": 4,
        f"{HYPER}.epochs": 3,
        f"{HYPER}.max_steps": None,
        "data.augment": (),
        "data.replay": 0.0,
    },
    rows=40,
    row_tokens=10.0,
    original=1200,
    replayed_tokens=lambda: 10.0,
)


def test_what_a_candidate_costs_is_worked_out_by_its_steps() -> None:
    # 40 rows of 10 tokens, 3 times: 1,200 tokens. 6 epochs are twice that, a change per row doubles the rows, a fifth
    # of replay makes 40 rows 50, 20 rows less halve it.
    assert FACTS.times({}) == pytest.approx(1.0)
    assert FACTS.times({f"{HYPER}.epochs": 6}) == pytest.approx(2.0)
    assert FACTS.times({"data.augment": ["typos"]}) == pytest.approx(2.0)
    assert FACTS.times({"data.replay": 0.2}) == pytest.approx(39 * 4 / 120)
    assert FACTS.times({}, without=20) == pytest.approx(0.5)
    # base's answers in rows of 30 tokens, a fifth of all: 14 tokens a row instead of 10
    longer = replace(FACTS, replayed_tokens=lambda: 30.0)
    assert longer.times({"data.replay": 0.2}) == pytest.approx(39 * 4 / 120 * 1.4)
    assert longer.steps_of(0.5, {"data.replay": 0.2}) == round(15 / 1.4)
    assert longer.times({}) == pytest.approx(1.0)
    assert FACTS.steps_of(0.5, {}) == 15
    assert FACTS.steps_of(0.5, {f"{HYPER}.batch_size": 8}) == 8


def test_the_surest_findings_first_remedies_are_taken_and_fit_the_budget() -> None:
    twice = Remedy("more_epochs", {f"{HYPER}.epochs": 6}, "still falling")
    words = Remedy("more_rows", {}, "write more rows")
    vast = Remedy("far_more_epochs", {f"{HYPER}.epochs": 30}, "still falling")
    first = finding(vast, HIGHER, twice, words)
    second = finding(HIGHER, LOWER, symptom="generalization", certainty=0.995)
    made = decided(1, "slow", Diagnosis("slow", (first, second)), FACTS, 4.0, 0.0)
    assert [one.label for one in made.candidates] == ["1-higher-rate", "1-more-epochs", "1-lower-rate"]
    assert [one.symptom for one in made.candidates] == ["underfitting", "underfitting", "generalization"]
    assert [one.times for one in made.candidates] == [1.0, 2.0, 1.0]
    # two are run short, and the settings as they were: (4 - 2) / 3 would be more than half
    assert made.share == 0.5
    assert "10.0 times" in made.left_out["far more epochs"]
    assert "write more rows" in made.left_out["more rows"]
    assert Round.of(json.loads(json.dumps(made.to_data()))) == replace(
        made, candidates=tuple(replace(one, settings=dict(one.settings)) for one in made.candidates)
    )
    # asked for more later, the same ones come first under the same names, in short runs of the same length
    more = decided(1, "slow", Diagnosis("slow", (first, second)), FACTS, 11.0, 0.0, made.share)
    assert more.share == made.share
    assert {one.label for one in made.candidates} < {one.label for one in more.candidates}
    small = decided(1, "slow", Diagnosis("slow", (first, second)), FACTS, 1.0, 0.0)
    assert ([one.remedy for one in small.candidates], small.share) == (["higher_rate"], 0.0)


def test_what_a_run_resolved_by_itself_is_resolved_anew_and_what_was_written_stays() -> None:
    provenance = {
        RATE: {"value": 2e-4, "source": "auto", "reason": "rank 4"},
        "seed": {"value": 3, "source": "run.yaml:4", "reason": ""},
        "tuning_method": {"value": "lora", "source": "auto", "reason": "few rows"},
    }
    assert overrides(provenance, {"data.augment": ("typos",), "targets.accuracy": "> 90%"}) == (
        f'{RATE}="auto"',
        'data.augment=["typos"]',
        "targets.accuracy=> 90%",
    )


# ------------------------------------------------------------------------------------------------------ whole ways


def test_one_remedy_is_run_in_full_at_once_and_measured(slow_run: Run) -> None:
    find = diagnosed(finding(Remedy("far_higher_rate", {RATE: 0.03}, "it hardly moved")), only="slow")
    copy = slow_run.folder.parent / "copied" / "slow"
    shutil.copytree(slow_run.folder, copy)
    found, _ = worked(remedy(str(copy), find=find, at_most="1x"))
    assert found.helped, found.why
    assert [path.parent.name for path in Path(found.folder).glob("*/run.json")] == ["1-far-higher-rate"]
    assert found.times == pytest.approx(1.0)
    assert {one.name: one.how for one in found.targets}["loss"] == "better"


@pytest.mark.long
def test_what_harms_when_short_is_out_and_what_helps_is_run_in_full(slow_run: Run) -> None:
    find = diagnosed(finding(LOWER, HIGHER), only="slow")
    found, events = worked(remedy(str(slow_run.folder), find=find, at_most="5x"))
    assert found.helped, found.why
    assert found.run is not None
    assert Path(found.run).name == "1-higher-rate"
    after = Run.open(Path(found.run))
    assert row_tokens(after) == row_tokens(slow_run)
    names = {path.parent.name for path in Path(found.folder).glob("*/run.json")}
    assert names >= {"1-as-it-was-short", "1-higher-rate-short", "1-lower-rate-short", "1-higher-rate"}
    short = [Run(Path(found.folder) / f"1-{name}-short") for name in ("as-it-was", "higher-rate", "lower-rate")]
    assert len({row_tokens(run) for run in short}) == 1
    assert {name: one.how for one in found.signs for name in [one.name]}["loss"] == "better"
    before, now = (side.metrics["loss"] for side in (found.before, found.after) if side is not None)
    assert now.value is not None
    assert before.value is not None
    assert now.value < before.value
    assert found.times <= 5.05
    assert found.before.symptoms == {"underfitting": 0.999}
    page = (Path(found.folder) / "reports" / "remedy.html").read_text(encoding="utf-8")
    assert "Remedied" in page
    assert "The loss hardly moved" in page
    kept = json.loads((Path(found.folder) / "reports" / "remedy.json").read_text(encoding="utf-8"))
    assert {"before", "after", "run", "helped", "tried"} <= set(kept)

    again, _ = worked(remedy(str(slow_run.folder), find=find, at_most="5x"))
    assert again == found
    assert {path.parent.name for path in Path(found.folder).glob("*/run.json")} == names
    assert any("1-higher-rate" in str(event) or "higher rate" in str(event) for event in events)


@pytest.mark.long
def test_a_cure_that_harms_a_target_is_seen_and_none_is_called_a_help(slow_run: Run) -> None:
    """With the tokens of rows as the sign, one epoch in place of three is better, and what it did not learn is seen in
    the loss, on which a target stands; a higher rate takes as many tokens, so the sign does not move."""
    once = Remedy("one_epoch", {f"{HYPER}.epochs": 1}, "cheaper")
    find = diagnosed(finding(once, HIGHER, symptom="wasted_compute"), only="slow")
    copy = slow_run.folder.parent / "wasteful" / "slow"
    shutil.copytree(slow_run.folder, copy)  # what was decided on a run is kept beside it
    found, _ = worked(remedy(str(copy), find=find, at_most="4x"))
    by_name = {one.remedy: one for one in found.tried}
    assert by_name["one_epoch"].outcome == "harmed"
    assert [one.how for one in by_name["one_epoch"].signs] == ["better"]
    assert {one.name: one.how for one in by_name["one_epoch"].targets}["loss"] == "worse"
    assert by_name["higher_rate"].outcome == "no_help"
    assert by_name["higher_rate"].short is not None
    assert by_name["higher_rate"].short.how == "better"
    assert not found.helped
    assert found.run is None
    assert found.after is not None
    assert found.after.run.endswith("1-higher-rate")
    assert "none helped beyond noise" in found.why
    page = (Path(found.folder) / "reports" / "remedy.html").read_text(encoding="utf-8")
    assert "No remedy helped" in page


def test_rows_left_out_are_the_only_change_and_validation_stays(run_file: Path, tmp_path: Path) -> None:
    settings = read([str(run_file)]).settings
    [file] = settings.data.train or ()
    held = result_of(sides([(file.path, 1.0)], "auto", {}, None, 0.1, settings.seed)).held_back
    lines = Path(file.path).read_text(encoding="utf-8").splitlines()
    held_lines = [row.place.line for row in held]
    gone = [number for number in range(1, 41) if number not in held_lines][:3]
    without = [Place(file.path, number) for number in (*gone, held_lines[0])]
    kept, _ = worked(keep_rows(settings, without, tmp_path))
    assert kept.left_out == 3
    [train_file] = kept.settings["data.train"]
    written = [json.loads(line) for line in Path(train_file["path"]).read_text(encoding="utf-8").splitlines()]
    stays = [number for number in range(1, 41) if number not in (*gone, *held_lines)]
    assert written == [json.loads(lines[number - 1]) for number in stays]
    validation = Path(kept.settings["data.validation"]).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in validation] == [json.loads(lines[number - 1]) for number in held_lines]
    with pytest.raises(UserError, match="none of the rows"):
        worked(keep_rows(settings, [Place(file.path, 99)], tmp_path))
    with pytest.raises(UserError, match="a limit draws them"):
        worked(keep_rows(read([str(run_file)], None, ["data.limit=20"]).settings, without, tmp_path))


@pytest.mark.long
def test_rows_left_out_are_trained_without_and_a_missing_file_is_a_reason(run_file: Path, tmp_path: Path) -> None:
    words = ["data.test=null", f"{HYPER}.epochs=1", "data.validation=0.3"]
    made, _ = worked(train([str(run_file)], overrides=words, name="whole", root=tmp_path))
    run = Run.open(made.folder)
    rows = run.read_environment()["data"][0]["path"]
    out = tuple(Place(rows, number) for number in range(1, 11))
    leave = Remedy("leave_out", {}, "they contradict others", without=out)
    found, _ = worked(remedy(str(run.folder), find=diagnosed(finding(leave), only="whole"), at_most="1x"))
    [attempt] = found.tried
    assert attempt.run is not None
    account = Run.open(Path(attempt.run)).read_rows()
    before = run.read_rows()
    assert account["validation"] == before["validation"] == 12
    assert before["kept"] - account["kept"] == found.tried[0].without - sum(line <= 10 for line in _held_lines(run))
    assert [one.difference.n for one in attempt.signs if one.name == "loss"] == [12]

    gone = tmp_path / "gone.jsonl"
    gone.write_bytes(Path(rows).read_bytes())
    other, _ = worked(train([str(run_file)], data=str(gone), overrides=words, name="gone", root=tmp_path))
    evaluated = result_of(remedy(str(other.folder), find=diagnosed()))
    assert evaluated.tried == ()
    gone.unlink()
    elsewhere = Remedy("leave_out", {}, "why", without=(Place(str(gone), 1),))
    missing = result_of(remedy(str(other.folder), find=diagnosed(finding(elsewhere), only="gone"), at_most="1x"))
    assert [(one.outcome, "not there any more" in one.why) for one in missing.tried] == [("refused", True)]


@pytest.mark.long
def test_a_killed_remedy_goes_on_and_comes_out_as_if_it_had_not_been(slow_run: Run, tmp_path: Path) -> None:
    """Through the command line, with the real diagnosis: SIGTERM while a run trains, then the same typed again."""
    shutil.copytree(slow_run.folder, tmp_path / "runs" / "slow")
    command = [sys.executable, "-m", "luthier", "remedy", "slow", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    folder = tmp_path / "runs" / "slow-remedy"
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        while process.poll() is None and not list(folder.glob("1-*/log.jsonl")):
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 143
    decided_once = json.loads((folder / "rounds.json").read_bytes())["rounds"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    decided_now = json.loads((folder / "rounds.json").read_bytes())["rounds"]
    assert decided_once
    assert decided_now[: len(decided_once)] == decided_once
    said = json.loads(done.stdout)
    kept = json.loads((folder / "reports" / "remedy.json").read_text(encoding="utf-8"))
    assert {name: said[name] for name in ("helped", "run", "times")} == {
        name: kept[name] for name in ("helped", "run", "times")
    }
    assert said["version"] == 1
    assert said["before"]["symptoms"]
    assert said["times"] <= 4.05
    again = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert json.loads(again.stdout) == said


def _held_lines(run: Run) -> list[int]:
    data = read([str(run.settings_path)]).settings.data
    assert not isinstance(data.validation, str)
    files = [(file.path, file.weight) for file in data.train or ()]
    held = result_of(sides(files, data.format, data.columns, None, data.validation, 0)).held_back
    return [row.place.line for row in held]
