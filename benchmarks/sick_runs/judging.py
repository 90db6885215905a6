"""Measures a tuned model by other code than the project's own: is a run sick, whatever its diagnosis may say?

The rows are many, of the true shares, and the run never sees them. Models are loaded by transformers and PEFT, and
each row is scored with the right answer before it: an answer is right where every token of it, and the end mark, is
the likeliest one. Greedy generation then gives exactly that answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.sick_runs.real_rows import Row, Text
from benchmarks.sick_runs.tiny_model import as_read

LONGEST = 192
"""Tokens of a passage that are scored."""


@dataclass(frozen=True)
class Scores:
    """Of R rows: the summed loss in nats, the tokens, whether all tokens of the answer are right, and whether the end
    mark is."""

    loss: np.ndarray
    tokens: np.ndarray
    right: np.ndarray
    ended: np.ndarray

    @property
    def mean(self) -> float:
        """Nats a token."""
        return float(self.loss.sum() / self.tokens.sum())

    @property
    def each(self) -> np.ndarray:
        """Nats a token of each row."""
        return np.asarray(self.loss / self.tokens)

    @property
    def accuracy(self) -> float:
        return float((self.right & self.ended).mean())


class Judge:
    """The model before tuning, and what is asked of it and of what was tuned: `fresh` rows and `english` texts."""

    def __init__(self, folder: Path, fresh: Sequence[Row], english: Sequence[Text]) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self.base: Any = AutoModelForCausalLM.from_pretrained(folder).eval()
        self.fresh = fresh
        self.english = [self._passage(text, number) for number, text in enumerate(english)]
        self.base_fresh = self.scores(self.base, fresh)
        self.base_english = self._scores(self.base, self.english)

    def tuned(self, folder: Path) -> Any:
        """The model of PEFT's adapter files or of a model folder."""
        from copy import deepcopy

        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        if (folder / "adapter_config.json").is_file():
            return PeftModel.from_pretrained(deepcopy(self.base), folder).eval()
        if (folder / "config.json").is_file():
            return AutoModelForCausalLM.from_pretrained(folder).eval()
        from safetensors.torch import load_file

        model = deepcopy(self.base)
        model.load_state_dict(load_file(next(folder.glob("*.safetensors"))), strict=False)
        return model.eval()

    def scores(self, model: Any, rows: Sequence[Row]) -> Scores:
        """Of each row's answer and its end mark."""
        return self._scores(model, [self._row(row) for row in rows])

    def english_scores(self, model: Any) -> Scores:
        return self._scores(model, self.english)

    def _row(self, row: Row) -> tuple[list[int], int]:
        asked = f"### Instruction\n{row['instruction']}\n\n{row['input']}\n\n### Response\n"
        prompt = self.tokenizer(asked, add_special_tokens=False)["input_ids"]
        answer = self.tokenizer(row["output"], add_special_tokens=False)["input_ids"]
        return [*prompt, *answer, self.tokenizer.eos_token_id], len(prompt)

    def _passage(self, text: Text, number: int) -> tuple[list[int], int]:
        tokens = self.tokenizer(as_read(text, number), add_special_tokens=False)["input_ids"]
        return tokens[:LONGEST], 1

    def _scores(self, model: Any, rows: Sequence[tuple[list[int], int]]) -> Scores:
        import torch

        order = sorted(range(len(rows)), key=lambda at: len(rows[at][0]))
        losses, tokens = np.zeros(len(rows)), np.zeros(len(rows), np.int64)
        right, ended = np.zeros(len(rows), np.bool_), np.zeros(len(rows), np.bool_)
        with torch.inference_mode():
            for start in range(0, len(order), 32):
                chosen = order[start : start + 32]
                longest = max(len(rows[at][0]) for at in chosen)
                ids = torch.full((len(chosen), longest), self.tokenizer.eos_token_id)
                mask = torch.zeros_like(ids)
                for line, at in enumerate(chosen):
                    ids[line, : len(rows[at][0])] = torch.tensor(rows[at][0])
                    mask[line, : len(rows[at][0])] = 1
                logits = model(input_ids=ids, attention_mask=mask).logits
                logits = logits[:, -longest:].float().log_softmax(-1)  # a soft prompt stands before these
                for line, at in enumerate(chosen):
                    whole, first = rows[at]
                    said = logits[line, first - 1 : len(whole) - 1]
                    wanted = torch.tensor(whole[first:])
                    losses[at] = -said.gather(1, wanted[:, None]).sum().item()
                    tokens[at] = len(wanted)
                    hit = said.argmax(-1) == wanted
                    right[at], ended[at] = bool(hit[:-1].all()), bool(hit[-1])
        return Scores(losses, tokens, right, ended)


def shares(rows: Sequence[Row], scores: Scores) -> Mapping[str, float]:
    """The share of right answers by label."""
    right = scores.right & scores.ended
    labels = np.array([row["category"] for row in rows])
    return {str(label): float(right[labels == label].mean()) for label in sorted(set(labels.tolist()))}
