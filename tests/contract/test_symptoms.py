"""Every symptom fires on its own sick run, is silent on the healthy one, and has remedies that are valid settings."""

from __future__ import annotations

import pytest

from luthier import diagnosis
from luthier.diagnosis.made import healthy
from luthier.settings import load
from luthier.workflow import run_file


@pytest.fixture(params=diagnosis.names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_it_is_found_in_its_sick_run_before_all_others(name: str) -> None:
    found = diagnosis.diagnose(diagnosis.load(name).sick()).findings
    assert [finding.symptom for finding in found][:1] == [name]
    finding = found[0]
    assert diagnosis.SURE <= finding.certainty <= 1
    assert finding.cause in diagnosis.load(name).causes
    assert finding.says.count(". ") >= 1 or finding.says.count(".") >= 2
    assert finding.evidence


def test_an_example_of_a_cause_is_found_with_it(name: str) -> None:
    symptom = diagnosis.load(name)
    for cause in symptom.causes:
        example = getattr(symptom, cause, None)
        if callable(example) and example.__module__ == f"{diagnosis.FOLDER}.{name}":
            first = diagnosis.diagnose(example()).findings[0]
            assert (first.symptom, first.cause) == (name, cause)


def test_the_healthy_run_has_none(name: str) -> None:
    assert diagnosis.diagnose(healthy(), only=[name]).findings == ()


def test_its_remedies_are_valid_settings_and_others_than_the_runs(name: str) -> None:
    seen = diagnosis.load(name).sick()
    finding = diagnosis.load(name).look(seen)
    assert finding is not None
    assert finding.remedies
    assert len({remedy.name for remedy in finding.remedies}) == len(finding.remedies)
    for remedy in finding.remedies:
        assert remedy.settings or remedy.without
        assert all(seen.settings.get(path) != value for path, value in remedy.settings.items())
        overrides = [f"{path}={_written(value)}" for path, value in remedy.settings.items()]
        loaded = load([], overrides=overrides, sections=run_file.sections(), choices=run_file.choices())
        assert all(str(loaded.provenance[path].value) for path in remedy.settings)


def _written(value: object) -> str:
    import json

    return json.dumps(value)


def test_it_says_what_it_is(name: str) -> None:
    symptom = diagnosis.load(name)
    assert symptom.title
    assert symptom.what.endswith(".")
    assert all(text.endswith(".") for text in symptom.causes.values())
    assert set(symptom.explains) <= set(diagnosis.names())


def test_a_run_of_which_nothing_is_known_is_accused_of_nothing(name: str) -> None:
    diagnosed = diagnosis.diagnose(diagnosis.Seen("runs/empty"), only=[name])
    assert diagnosed.findings == ()
    assert diagnosed.unknown[name]
