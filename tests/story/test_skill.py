"""The skill for agents: the mission's words exactly, and every command in it run as it stands."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from luthier.app.cli import app, run
from luthier.models import Source
from tests.story.test_circle_page import longer, opens, reviewing

ROOT = Path(__file__).parents[2]
SKILL = (files("luthier") / "skill" / "SKILL.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line)[1:]
    for block in re.findall(r"^```console\n(.*?)^```", SKILL, re.M | re.S)
    for line in block.splitlines()
]


def head() -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe", pure=True).load(SKILL.split("---\n")[1])
    return found


def test_its_name_its_description_and_its_parameters_are_the_missions() -> None:
    words = (ROOT / "docs" / "mission.md").read_text(encoding="utf-8")
    [parameters] = re.findall(r"```yaml\n(parameters:.*?)```", words, re.S)
    assert f'The skill\'s name is `{head()["name"]}`, its description "{head()["description"]}"' in words
    assert head()["parameters"] == YAML(typ="safe", pure=True).load(parameters)["parameters"]
    assert set(head()) == {"name", "description", "parameters"}


def test_it_names_verbs_and_options_that_exist_in_its_text_too() -> None:
    inline = [shlex.split(code)[1:] for code in re.findall(r"`(luthier [^`]+)`", SKILL)]
    assert len(COMMANDS) >= 9
    for words in (*COMMANDS, *inline):
        shown = CliRunner().invoke(app, [words[0], "--help"], prog_name="luthier")
        assert shown.exit_code == 0, words
        known = set(re.findall(r"--[a-z-]+", shown.output))
        assert {word for word in words if word.startswith("--")} <= known, words


@pytest.mark.long
def test_every_command_in_it_runs_in_its_order(
    tiny_model: Source, tmp_path: Path, capsysbinary: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_model.folder, "model")
    for name, numbers in (("rows.jsonl", range(40)), ("test.jsonl", range(40, 52))):
        rows = [{"instruction": f"order {number}", "response": ["late", "lost"][number % 2]} for number in numbers]
        Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    said: dict[str, Any] = {}
    for words in COMMANDS:
        if opens(words):  # a page, and a script votes on it
            assert reviewing(words, longer, monkeypatch) == 130
            said["reviewed"] = json.loads(capsysbinary.readouterr().out)
            continue
        code = run(words)
        out, err = capsysbinary.readouterr()
        assert code in (0, 1 if words[0] in ("check", "evaluate") else 0), (words, out, err[-2000:])
        said.setdefault(words[0], json.loads(out))
    assert said["advise"]["parameters"] == {
        "tuning_method": "lora",
        "dataset_size": "small",
        "compute_budget": "medium",
    }
    assert said["train"]["run"] == "tuned"
    assert {"prompting", "instead", "left_out", "data_verdict", "flips_when"} <= set(said["advise"])
    assert {"metrics", "base", "difference"} <= set(said["evaluate"])
    assert (said["reviewed"]["kind"], said["reviewed"]["against"]) == ("scripted", "base")
    assert {"preferred", "always", "ranking"} <= set(said["reviewed"])
    assert said["review"]["export"]["rows"] == said["reviewed"]["wins"] + said["reviewed"]["losses"] > 0
    assert {"findings", "unknown"} <= set(said["diagnose"])
    assert "helped" in said["remedy"]
    assert len(Path("answers.jsonl").read_text(encoding="utf-8").splitlines()) == 12
