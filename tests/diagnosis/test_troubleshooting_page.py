"""The page of troubleshooting is what the symptoms say, the mission's four first and in its words."""

from __future__ import annotations

import re

from luthier import diagnosis
from luthier.settings import mission
from scripts.write_troubleshooting import PAGE, page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python scripts/write_troubleshooting.py"


def test_the_missions_four_stand_first_with_its_cause_and_solution() -> None:
    titles = re.findall(r"^## (.*)$", page(), re.M)
    assert titles[:4] == [trouble.issue for trouble in mission.TROUBLES.values()]
    assert list(diagnosis.MISSIONS) == list(mission.TROUBLES)
    for trouble in mission.TROUBLES.values():
        assert f"Cause: {trouble.cause}. Solution: {trouble.solution}." in page()


def test_every_symptom_has_its_place() -> None:
    assert page().count("\n## ") == len(diagnosis.names())
