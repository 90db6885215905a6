"""A plain model folder: the tuned weights in one piece, as transformers and all that read its folders load them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.errors import Mistake
from luthier.export.reading import load_plain, logits_of
from luthier.models.quiet import quiet

if TYPE_CHECKING:
    import torch

    from luthier.export.finished import Finished
    from luthier.export.parity import Logits

README = """\
# {name}

A model folder made by Luthier from the run `{name}` ({method}). Weights: {precision}. In this folder:

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained(".")
tokenizer = AutoTokenizer.from_pretrained(".")
```

`tokenizer.apply_chat_template` sends what the run was trained on, and `generate` stops where its answers end.
`parity.json` says how far the model is from the run, and on which rows that was measured.
"""


def refuse(finished: Finished) -> Mistake | None:
    """Nothing where all weights were trained, or the method can be merged into them."""
    if finished.method.TRAINS_THE_BASE or hasattr(finished.method, "merge"):
        return None
    return Mistake(
        f"{finished.method_name} stands before the tokens of a row: no weights of a plain model do the same",
        "--format merged",
        f"luthier export {finished.name} --format adapter",
    )


def precision(finished: Finished) -> str:
    """The one that the run's model is computed in."""
    return finished.precision


def write(finished: Finished, folder: Path) -> None:
    """The model's files, the tokenizer with the template, generation settings with the tokens that end an answer."""
    from transformers import GenerationConfig

    tuned = finished.tuned(finished.precision).tuned
    if not finished.method.TRAINS_THE_BASE:
        finished.method.merge(tuned)
    model: Any = tuned.model
    generation = model.generation_config
    model.generation_config = GenerationConfig()  # saved below: transformers refuses to save what some models carry
    with quiet():
        model.save_pretrained(folder)
        finished.tokenizer.save_pretrained(folder)
    generation.eos_token_id = list(finished.stops)
    (folder / "generation_config.json").write_text(generation.to_json_string(), encoding="utf-8")
    text = README.format(name=finished.name, method=finished.method_name, precision=finished.precision)
    (folder / "README.md").write_text(text, encoding="utf-8")


def read(finished: Finished, folder: Path, precision: str, device: torch.device) -> Logits:
    """The folder loaded by transformers."""
    del finished
    model = load_plain(folder, precision, device)
    return logits_of(model, model)
