"""The mission's words stand in the code as the mission has them: read from docs/mission.md, and from the design."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from luthier.methods import full, lora, prefix_tuning, prompt_tuning, qlora
from luthier.settings import load, mission, parse_target
from luthier.settings.schema import run_file

ROOT = Path(__file__).parents[2]
DESIGN = ROOT.parent / "shared" / "design" / "contract.md"
SECTIONS = {str(method.SECTION): method.Settings for method in (lora, qlora, prompt_tuning, prefix_tuning)}


def _section(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path == DESIGN:
        text = text.partition("## 1. The mission's own words\n")[2].partition("\n## 2.")[0]
    return text.partition("# The mission's own words\n")[2].strip() if "# The mission's" in text else text.strip()


@pytest.fixture(params=["docs/mission.md", "the design"])
def words(request: pytest.FixtureRequest) -> str:
    """Section 1 as text."""
    if request.param == "the design":
        if not DESIGN.exists():
            pytest.skip("the design does not stand beside this checkout")
        return _section(DESIGN)
    return _section(ROOT / "docs" / "mission.md")


def _blocks(words: str) -> list[dict[str, Any]]:
    found = re.findall(r"```yaml\n(.*?)```", words, re.DOTALL)
    return [YAML(typ="safe", pure=True).load(block) for block in found]


def _table(words: str, heading: str) -> list[list[str]]:
    """The rows of the table that has this line as its heading."""
    lines = words.partition(f"{heading}\n")[2].splitlines()[1:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    assert rows, heading
    return rows


def test_the_projects_copy_is_the_designs_section() -> None:
    if not DESIGN.exists():
        pytest.skip("the design does not stand beside this checkout")
    assert _section(ROOT / "docs" / "mission.md") == _section(DESIGN)


def test_enums_and_their_defaults(words: str) -> None:
    parameters = _blocks(words)[0]["parameters"]
    settings = run_file(SECTIONS)()
    assert list(mission.METHODS) == parameters["tuning_method"]["values"]
    assert settings.tuning_method == parameters["tuning_method"]["default"]
    assert parameters["dataset_size"]["values"] == [mission.dataset_size(rows) for rows in (0, 1000, 10_001)]
    assert "default" not in parameters["dataset_size"]
    assert settings.dataset_size == "auto"
    assert run_file(SECTIONS).model_fields["dataset_size"].description == (
        f"{parameters['dataset_size']['description']}. auto: counted."
    )
    assert list(mission.BUDGETS) == parameters["compute_budget"]["values"]
    assert settings.compute_budget == parameters["compute_budget"]["default"]


@pytest.mark.parametrize("name", ["tuning_method", "dataset_size", "compute_budget"])
def test_each_enum_value_can_be_written(words: str, name: str) -> None:
    for value in _blocks(words)[0]["parameters"][name]["values"]:
        assert getattr(load([], overrides=[f"{name}={value}"], sections=SECTIONS).settings, name) == value


def test_the_table_of_methods(words: str) -> None:
    rows = _table(words, "| Method | Parameters | Compute | Quality | Best For |")
    ours = [[m.title, m.parameters, m.compute, m.quality, m.best_for] for m in mission.METHODS.values()]
    assert ours == rows


def test_templates(words: str) -> None:
    formats = _blocks(words)[1]["formats"]
    settings = run_file(SECTIONS)()
    assert {name: {"template": text} for name, text in mission.FORMATS.items()} == formats
    assert settings.formats.model_dump() == formats


def test_training_defaults_and_the_words_behind_auto(words: str) -> None:
    wanted = _blocks(words)[2]["training_config"]
    config = run_file(SECTIONS)().training_config
    auto = {"hyperparameters.learning_rate", "evaluation.eval_steps", "evaluation.save_steps"}
    for section, values in wanted.items():
        for name, value in values.items():
            default = getattr(getattr(config, section), name)
            if f"{section}.{name}" in auto:
                assert default == "auto", name
                default = getattr(getattr(mission, section.upper()), name)
            assert (list(default) if isinstance(default, tuple) else default) == value, name


def test_targets(words: str) -> None:
    rows = _table(words, "| Metric | Purpose | Target |")
    assert [[metric.title, metric.purpose, metric.target] for metric in mission.METRICS.values()] == rows
    settings = run_file(SECTIONS)()
    for metric, (_, _, target) in zip(mission.METRICS, rows, strict=True):
        written = settings.targets[metric]
        assert written is not None
        assert written.replace(" ", "") == target.removeprefix("Preferred ").lower()
        assert parse_target(written)


def test_causes_and_remedies(words: str) -> None:
    rows = _table(words, "| Issue | Cause | Solution |")
    assert [[trouble.issue, trouble.cause, trouble.solution] for trouble in mission.TROUBLES.values()] == rows


def test_the_quality_checklist(words: str) -> None:
    checklist = re.search(r"Quality checklist: (.*)", words)
    assert checklist
    assert [f"{words}." for words in mission.CRITERIA.values()] == re.findall(r"[A-Z][^.]*\.", checklist[1])
    assert list(mission.CRITERIA) == [
        re.sub(r"\W", "_", words.lower().rstrip(".")) for words in re.findall(r"[A-Z][^.]*\.", checklist[1])
    ]


def test_sizes_and_budgets(words: str) -> None:
    notes = words.partition("Notes.")[2]
    assert "small is under 1,000 rows, medium 1,000 to 10,000, large over 10,000" in notes
    assert [mission.dataset_size(rows) for rows in (999, 1000, 10_000, 10_001)] == [
        "small",
        "medium",
        "medium",
        "large",
    ]
    assert "low allows the methods of Minimal\nand Very Low compute and runs up to 15 minutes" in notes
    assert mission.allowed_methods("low") == ("qlora", "prompt_tuning")
    assert "medium also Low, up to 2 hours; high everything" in notes
    assert mission.allowed_methods("medium") == ("lora", "qlora", "prompt_tuning", "prefix_tuning")
    assert mission.allowed_methods("high") == tuple(mission.METHODS)
    assert [mission.BUDGETS[budget].minutes for budget in ("low", "medium", "high")] == [15, 120, None]


def test_shares_hold_at_the_scale_that_the_table_means(words: str) -> None:
    # Llama-2-7B: 32 layers, width 4,096, 6,738,415,616 parameters
    parameters = {
        "lora": 32 * 2 * 16 * (4096 + 4096),
        "prompt_tuning": 20 * 4096,
        "prefix_tuning": 20 * 2 * 32 * 4096,
    }
    shares = {"lora": "0.124%", "prompt_tuning": "0.0012%", "prefix_tuning": "0.078%"}
    for method, count in parameters.items():
        share = 100 * count / 6_738_415_616
        digits = len(shares[method].partition(".")[2]) - 1
        assert f"{share:.{digits}f}%" == shares[method]
        assert re.search(rf"{count:,} = {shares[method]}", words)
        bound = float(mission.METHODS[method].parameters.strip("~<%"))  # type: ignore[index]
        assert share < bound if "<" in mission.METHODS[method].parameters else share == pytest.approx(bound, abs=0.05)  # type: ignore[index]
    assert mission.METHODS["full"].parameters == "All"


def test_each_method_has_a_file_with_its_settings() -> None:
    for name, method in zip(mission.METHODS, (full, lora, qlora, prompt_tuning, prefix_tuning), strict=True):
        assert method.__name__ == f"luthier.methods.{name}"
        assert method.Settings().model_dump() is not None
        assert method.SECTION in (None, f"{name}_config")
