"""The run file's JSON schema for editors. After a change of settings: LUTHIER_REGENERATE=1 pytest tests/settings."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from luthier import plugins
from luthier.settings import json_schema
from luthier.settings.json_schema import known_paths
from luthier.settings.names import NOTES, OTHER_KEYS, OTHER_VALUES
from luthier.workflow.run_file import choices

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "luthier" / "settings" / "run_file.schema.json"
CONTRACT = ROOT.parent / "shared" / "design" / "contract.md"

METHODS = [plugins.load("luthier.methods", name) for name in plugins.names("luthier.methods")]
SECTIONS = {method.SECTION: method.Settings for method in METHODS if method.SECTION}

EXAMPLE = """
name: auto
model: smollm2-135m-instruct
objective: auto
data: {train: [a.jsonl, {path: b.jsonl, weight: 2}], validation: 0.1, columns: {input: question}, limit: null}
tuning_method: lora
dataset_size: auto
compute_budget: medium
formats: {completion: {template: "{input}{output}"}}
training_config:
  hyperparameters: {learning_rate: 2e-5, batch_size: 8, epochs: 3, warmup_ratio: 0.1, max_steps: null, precision: auto}
  lora_config: {r: 16, alpha: 32, dropout: 0.05, target_modules: all-linear, use_rslora: false, init: default}
  qlora_config: {quant_type: nf4, double_quant: true, compute_dtype: auto}
  evaluation: {eval_steps: 100, save_steps: 500, metric: loss}
targets: {loss: decreasing, accuracy: "> 90%"}
seed: 0
"""


def accepts(text: str) -> bool:
    """Whether the schema takes a run file."""
    validator = jsonschema.Draft202012Validator(json_schema(SECTIONS))
    return bool(validator.is_valid(YAML(typ="safe", pure=True).load(text)))


def test_the_kept_schema_is_up_to_date() -> None:
    text = json.dumps(json_schema(SECTIONS, choices()), indent=2, ensure_ascii=False) + "\n"
    if os.environ.get("LUTHIER_REGENERATE"):
        KEPT.write_text(text, encoding="utf-8")
    assert KEPT.read_text(encoding="utf-8") == text
    jsonschema.Draft202012Validator.check_schema(json.loads(text))


def test_it_accepts_an_example() -> None:
    assert accepts(EXAMPLE)


def test_it_accepts_the_contracts_example() -> None:
    if not CONTRACT.exists():
        pytest.skip("the design does not stand beside this checkout")
    block = CONTRACT.read_text(encoding="utf-8").partition("## 2. The run file")[2].partition("```yaml\n")[2]
    assert accepts(block.partition("```")[0].replace("formats: {...}", "formats: {}"))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("epochs: 3", "epoch: 3"),
        ("r: 16", "rank: 16"),
        ("epochs: 3", "epochs: 0"),
        ("weight: 2", "wieght: 2"),
        ("learning_rate: 2e-5", "learning_rate: high"),
        ("tuning_method: lora", "tuning_method: lore"),
        ("metric: loss", "metric: los"),
        ("accuracy:", "acuracy:"),
        ("{input: question}", "{inputs: question}"),
        ("seed: 0", "seeds: 0"),
    ],
)
def test_it_refuses_what_is_misspelt_or_out_of_range(right: str, wrong: str) -> None:
    assert right in EXAMPLE
    assert not accepts(EXAMPLE.replace(right, wrong, 1))


def test_every_setting_has_a_description() -> None:
    schema = json_schema(SECTIONS)

    def bare(place: Any, path: str) -> Iterator[str]:
        for name, inner in place.get("properties", {}).items():
            section = schema["$defs"].get(inner.get("$ref", "").rpartition("/")[2], {})
            if not inner.get("description", section.get("description")):
                yield f"{path}.{name}"

    places = {"": schema, **schema["$defs"]}
    assert [name for path, place in places.items() for name in bare(place, path)] == []


def test_names_of_other_tools_lead_to_settings_that_exist() -> None:
    known = set(known_paths(json_schema(SECTIONS)))
    assert {path for path in OTHER_KEYS.values() if path not in known} == set()
    assert {path for path, _ in NOTES.values() if path and path not in known} == set()
    assert {path for path, _ in OTHER_VALUES if path not in known} == set()
    assert set(OTHER_KEYS) & set(NOTES) == set()
