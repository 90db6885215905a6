"""`remedy RUN`: what is refused, what helps, what harms, what goes on after a kill, and what it may cost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from luthier.errors import UserError
from luthier.flow import Diagnosis, Finding, Measure, Remedy
from luthier.runs.run import Run
from luthier.workflow.candidates import Facts, Round, decided, overrides
from luthier.workflow.remedy import remedy, row_tokens, times_of
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
    import shutil

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
)


def test_what_a_candidate_costs_is_worked_out_by_its_steps() -> None:
    # 40 rows of 10 tokens, 3 times: 1,200 tokens. 6 epochs are twice that, a change per row doubles the rows, a fifth
    # of replay makes 40 rows 50, 20 rows less halve it.
    assert FACTS.times({}) == pytest.approx(1.0)
    assert FACTS.times({f"{HYPER}.epochs": 6}) == pytest.approx(2.0)
    assert FACTS.times({"data.augment": ["typos"]}) == pytest.approx(2.0)
    assert FACTS.times({"data.replay": 0.2}) == pytest.approx(39 * 4 / 120)
    assert FACTS.times({}, without=20) == pytest.approx(0.5)
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
