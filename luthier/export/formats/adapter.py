"""PEFT's folder: the adapter alone, to be put on the untuned model by PEFT and all that read its files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.errors import Mistake
from luthier.export.reading import load_plain, logits_of
from luthier.models.quiet import quiet

if TYPE_CHECKING:
    import torch

    from luthier.export.finished import Finished
    from luthier.export.parity import Logits

CONFIG_FILE = "adapter_config.json"
README = """\
# {name}

An adapter ({method}) made by Luthier from the run `{name}`, in PEFT's files. In this folder:

```python
from peft import PeftModel
from transformers import {classes}

base = AutoModelForCausalLM.from_pretrained({base!r}, {options})
model = PeftModel.from_pretrained(base, ".")
tokenizer = AutoTokenizer.from_pretrained(".")
```

`tokenizer.apply_chat_template` sends what the run was trained on, and `model.generate(..., eos_token_id={stops})` stops
where its answers end. `parity.json` says how far this is from the run, and on which rows that was measured.
"""


def refuse(finished: Finished) -> Mistake | None:
    """Nothing where the method has an adapter, and the model under it a name."""
    remedy = f"luthier export {finished.name} --format merged"
    if finished.method.TRAINS_THE_BASE:
        message = f"{finished.method_name} tuning trained all weights: there is no adapter"
        return Mistake(message, "--format adapter", remedy)
    if finished.base is None:
        message = "the run went on from another run's adapter: the model under its own stands in no folder"
        return Mistake(message, "--format adapter", remedy)
    return None


def precision(finished: Finished) -> str:
    """Every adapter is trained and kept in float32."""
    del finished
    return "float32"


def write(finished: Finished, folder: Path) -> None:
    """The adapter's files and the tokenizer with the template; the configuration names the model under it."""
    for path in finished.weights.iterdir():
        shutil.copyfile(path, folder / path.name)
    path = folder / CONFIG_FILE
    config = json.loads(path.read_text(encoding="utf-8")) | {"base_model_name_or_path": finished.base}
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    options = [f"dtype={finished.precision!r}"]
    if four_bits := _four_bits(finished, finished.precision):
        given = ", ".join(f"{name}={value!r}" for name, value in four_bits.items())
        options.append(f"quantization_config=BitsAndBytesConfig({given})")
    text = README.format(
        name=finished.name,
        method=finished.method_name,
        base=finished.base,
        classes=", ".join(["AutoModelForCausalLM", "AutoTokenizer", *(["BitsAndBytesConfig"] if four_bits else [])]),
        options=", ".join(options),
        stops=list(finished.stops),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def read(finished: Finished, folder: Path, precision: str, device: torch.device) -> Logits:
    """The untuned model loaded by transformers, the adapter put on it by PEFT."""
    from peft import PeftModel
    from transformers import BitsAndBytesConfig

    options: dict[str, Any] = {}
    if four_bits := _four_bits(finished, precision):
        options["quantization_config"] = BitsAndBytesConfig(**four_bits)
    plain = load_plain(finished.base_folder, precision, device, **options)
    with quiet():
        model: Any = PeftModel.from_pretrained(plain, str(folder)).to(device)
    return logits_of(model.eval(), plain)


def _four_bits(finished: Finished, precision: str) -> dict[str, Any]:
    """What transformers is told where the weights under the adapter have four bits; nothing where they have not."""
    if not hasattr(finished.method, "load_base"):
        return {}
    own = finished.settings
    return {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": own.quant_type,
        "bnb_4bit_use_double_quant": own.double_quant,
        "bnb_4bit_compute_dtype": precision if own.compute_dtype == "auto" else own.compute_dtype,
    }
