"""Writes the table of docs/how-to/estimate.md from the code: what each method trains of a published model.

The model is Llama-2-7B by its published sizes, so that the page can be written anywhere.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from luthier.models import skeleton
from luthier.settings import load, mission
from luthier.workflow import run_file

PAGE = Path(__file__).resolve().parents[1] / "docs" / "how-to" / "estimate.md"
LLAMA_2_7B = {
    "model_type": "llama",
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        path.write_text(json.dumps(LLAMA_2_7B), encoding="utf-8")
        model = skeleton(path)
    made = {}
    for name in mission.METHODS:
        method, settings = run_file.method(name), load([], overrides=[], sections=run_file.sections()).settings
        made[name] = method.trainable_parameters(run_file.method_settings(settings, method), model)
    text = PAGE.read_text(encoding="utf-8")
    fence = re.compile(r"(<!-- shares -->\n)[^<]*(\n<!-- end -->)")
    text, found = fence.subn(lambda match: match[1] + shares(made) + match[2], text)
    assert found == 1, f"{PAGE}: there is no place for the table"
    PAGE.write_text(text, encoding="utf-8")
    print(f"wrote {PAGE}")


def shares(made: Mapping[mission.TuningMethod, int]) -> str:
    """What each method trains, beside the mission's word for it."""
    lines = ["| method | trained numbers | of all | the mission says |", "|---|--:|--:|---|"]
    for name, trained in made.items():
        share = f"{100 * trained / made['full']:.3g}%" if trained < made["full"] else "all"
        lines.append(f"| `{name}` | {trained:,} | {share} | {mission.METHODS[name].parameters.replace('<', '&lt;')} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
