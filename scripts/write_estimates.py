"""Writes the tables of docs/how-to/estimate.md from the code: what each method trains of a published model, and takes.

The model is Llama-2-7B by its published sizes, so that the page can be written anywhere.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

from luthier.flow import result_of
from luthier.report import numbers
from luthier.settings import mission
from luthier.workflow.estimate import Estimated, estimate

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
ROW_TOKENS = 1024


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        path.write_text(json.dumps(LLAMA_2_7B), encoding="utf-8")
        made = {
            name: result_of(estimate(model=str(path), method=name, device="H100", row_tokens=ROW_TOKENS))
            for name in mission.METHODS
        }
    text = PAGE.read_text(encoding="utf-8")
    for name, table in (("shares", shares(made)), ("memory", memory(made))):
        fence = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- end -->)", re.S)
        text, found = fence.subn(lambda match, table=table: match[1] + table + match[2], text)  # type: ignore[misc]
        assert found == 1, f"{PAGE}: there is no place for {name}"
    PAGE.write_text(text, encoding="utf-8")
    print(f"wrote {PAGE}")


def shares(made: dict[mission.TuningMethod, Estimated]) -> str:
    """What each method trains, beside the mission's word for it."""
    lines = ["| method | trained numbers | of all | the mission says |", "|---|--:|--:|---|"]
    for name, known in made.items():
        trained = known.trainable_parameters
        assert trained is not None
        share = f"{100 * trained / known.parameters:.2g}%" if trained < known.parameters else "all"
        lines.append(f"| `{name}` | {trained:,} | {share} | {mission.METHODS[name].parameters.replace('<', '&lt;')} |")
    return "\n".join(lines)


def memory(made: dict[mission.TuningMethod, Estimated]) -> str:
    """Peak memory by part, in training."""
    parts = ("weights", "gradients", "optimizer", "activations", "logits", "temporary", "total")
    lines = [f"| method | {' | '.join(parts)} |", f"|---|{'--:|' * len(parts)}"]
    for name, known in made.items():
        assert known.cost is not None
        sizes = (numbers.size(getattr(known.cost.training, part)) for part in parts)
        lines.append(f"| `{name}` | {' | '.join(sizes)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
