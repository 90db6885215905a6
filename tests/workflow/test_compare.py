"""`compare` on two real runs: the JSON that scripts read, the page, and what it refuses."""

from __future__ import annotations

import json
import shutil
from html import escape
from pathlib import Path

import pytest

from luthier.errors import UserError
from luthier.evaluation.compare import Comparison
from luthier.flow import Note
from luthier.runs.run import Run
from luthier.workflow.compare import compare
from luthier.workflow.evaluate import KEPT, evaluate
from luthier.workflow.train import Trained, train
from tests.workflow.conftest import worked


@pytest.fixture(scope="module")
def runs(run_file: Path, trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The run of the other tests, and one that was stopped after a step: both evaluated on the test rows."""
    root = tmp_path_factory.mktemp("compared")
    shutil.copytree(trained.folder, root / "trained")
    overrides = ["training_config.hyperparameters.max_steps=1"]
    worked(train([str(run_file)], overrides=overrides, name="young", root=root))
    names = [str(root / "trained"), str(root / "young")]
    for name in names:
        worked(evaluate(name))
    return names


@pytest.fixture(scope="module")
def compared(runs: list[str]) -> Comparison:
    found, events = worked(compare(runs))
    assert any("comparison.json" in event.text for event in events if isinstance(event, Note))
    return found


def test_two_runs_are_compared_row_by_row_and_kept_in_the_first(runs: list[str], compared: Comparison) -> None:
    assert compared.rows == 12
    first, second = compared.methods
    assert (first.run, first.tuning_method, second.run) == ("trained", "lora", "young")
    # r = 4 on both layers' seven matrices: (32 + 32) q, o; (32 + 16) k, v; (32 + 64) gate, up, down
    assert first.trainable_share == pytest.approx(2 * 4 * (2 * 64 + 2 * 48 + 3 * 96) / 28_192, rel=0.01)
    pair = next(pair for pair in compared.pairs if pair.metric == "loss")
    one, other = (method.metrics["loss"].value for method in compared.methods)
    assert one is not None
    assert other is not None
    assert pair.difference.value == pytest.approx(one - other)
    assert pair.corrected is not None
    assert pair.corrected < 0.05
    kept = json.loads((Path(runs[0]) / "reports" / "comparison.json").read_text(encoding="utf-8"))
    assert set(kept["methods"][0]) >= {"tuning_method", "trainable_share", "peak_memory_bytes", "seconds", "metrics"}
    assert kept["best"] == compared.best


def test_the_page_is_whole_and_fetches_nothing(runs: list[str], compared: Comparison) -> None:
    page = (Path(runs[0]) / "reports" / "comparison.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "http" not in page.replace("http-equiv", "")
    assert escape(compared.why[1:]) in page


def test_runs_on_other_rows_are_refused_with_what_to_type(runs: list[str], tmp_path: Path) -> None:
    other = Run.open(Path(shutil.copytree(runs[1], tmp_path / "other")))
    other.write_answers(KEPT, other.read_answers(KEPT)[:-1])
    with pytest.raises(
        UserError, match=r"12 rows and 11 rows, of which 11 are the same(.|\n)*luthier evaluate .* --data F"
    ):
        worked(compare([runs[0], str(other.folder)]))


def test_one_run_a_file_and_a_run_without_evaluation_are_refused(
    runs: list[str], run_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="two runs or more"):
        worked(compare([runs[0], runs[0]]))
    young = Path(shutil.copytree(runs[1], tmp_path / "young"))
    shutil.rmtree(young / "reports")
    with pytest.raises(UserError, match="the run was not evaluated yet"):
        worked(compare([runs[0], str(young)]))
