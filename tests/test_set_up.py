"""The set-up of `.venv`: it goes on where it stopped, starts afresh after a kill, and deletes nobody else's work."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "set_up.py"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that needs nothing, and whose own installation fails: its build backend is not there."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(SCRIPT, tmp_path / "scripts")
    for name in ("requirements-torch.txt", "requirements.lock"):
        (tmp_path / name).write_text("# nothing\n")
    (tmp_path / "pyproject.toml").write_text('[build-system]\nrequires = []\nbuild-backend = "nowhere"\n')
    return tmp_path


def set_up(project: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "scripts/set_up.py"], cwd=project, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


def test_a_virtual_environment_that_set_up_did_not_make_is_left_alone(project: Path) -> None:
    (project / ".venv").mkdir()
    (project / ".venv" / "mine.txt").write_text("kept")
    code, said = set_up(project)
    assert code == 2
    assert ".venv is there and was not made by this set-up; move it away or delete it, then run make again" in said
    assert (project / ".venv" / "mine.txt").read_text() == "kept"


@pytest.mark.long
def test_a_failed_stage_is_told_with_its_output_and_the_next_set_up_goes_on_with_it(project: Path) -> None:
    code, said = set_up(project)
    assert code == 2
    assert "set-up 1/4" in said
    assert "the luthier stage failed (exit code" in said
    assert "nowhere" in said, "the end of pip's own output"
    code, said = set_up(project)
    assert code == 2
    assert "set-up 1/4" not in said
    assert "set-up 4/4" in said


@pytest.mark.long
def test_a_set_up_that_was_killed_is_started_afresh_and_an_edited_lock_repeats_its_stage(project: Path) -> None:
    set_up(project)
    (project / ".venv" / "stamps" / "started").write_text("locked")
    (project / ".venv" / "half-written").write_text("")
    _, said = set_up(project)
    assert "the last set-up was cut short (locked): .venv is made anew" in said
    assert "set-up 1/4" in said
    assert not (project / ".venv" / "half-written").exists()
    (project / "requirements.lock").write_text("# edited\n")
    _, said = set_up(project)
    assert [number for number in (1, 2, 3, 4) if f"set-up {number}/4" in said] == [3, 4]


@pytest.mark.long
def test_packages_must_agree_but_for_those_of_the_benchmarks(project: Path) -> None:
    set_up(project)
    [packages] = (project / ".venv" / "lib").glob("python*/site-packages")
    lacking = packages / "lacking-1.0.dist-info"
    lacking.mkdir()
    (lacking / "METADATA").write_text("Metadata-Version: 2.1\nName: lacking\nVersion: 1.0\nRequires-Dist: absent\n")
    (project / "requirements.lock").write_text("# edited\n")
    _, said = set_up(project)
    assert "lacking 1.0 requires absent, which is not installed" in said
    (project / ".venv" / "stamps" / "bench").write_text("")
    _, said = set_up(project)
    assert "set-up 4/4" in said
