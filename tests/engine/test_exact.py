"""The engine finds out how long a row may be for a tree to be exact, and what it does not serve goes padded."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from luthier.engine import exact
from luthier.engine.exact import Limit
from luthier.engine.forward import Engine
from luthier.flow import Root, Tuned
from tests.engine.families import FAMILIES, PADDED, small_model


def limit(family: str, root: Root | None = None, **changes: Any) -> Limit:
    return Engine(Tuned(small_model(family, **changes), root, {})).limit


@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in PADDED])
def test_a_tree_serves_the_families_with_plain_attention(family: str) -> None:
    windows = {"mistral": 4096, "gemma3": 4096, "phi3": 2047}
    assert limit(family).tokens == windows.get(family)


@pytest.mark.parametrize(
    ("family", "why"),
    [
        ("gemma2", "its attention takes softcap, which attention over a tree has not"),
        ("gpt_oss", "its attention takes s_aux, which attention over a tree has not"),
        ("granite", "its logits by a tree are 300.0% off"),
        ("qwen3_next", "its logits by a tree are "),
        ("mamba", "its logits by a tree are "),
    ],
)
def test_no_tree_serves_what_attends_or_counts_otherwise(family: str, why: str) -> None:
    found = limit(family)
    assert found.tokens == 0
    assert found.why.startswith(why)


@pytest.mark.parametrize("family", ["granite", "qwen3_next", "mamba"])
def test_what_no_tree_serves_is_off_whichever_rows_are_tried_in_bfloat16_too(family: str) -> None:
    assert Engine(Tuned(small_model(family).to(torch.bfloat16), None, {})).limit.tokens == 0


@pytest.mark.parametrize(("off", "served"), [((0.06, 0.053, 0.02), True), ((0.06,) * exact.PROBES, False)])
def test_rounding_that_puts_a_pair_of_rows_off_is_no_reason_against_a_tree(
    off: tuple[float, ...], served: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(Tuned(small_model("llama"), None, {}))
    own = torch.ones(2, 4, 8, dtype=torch.float64)
    pairs = {seed: ((own * (1 - share)).to(torch.bfloat16), own) for seed, share in enumerate(off)}
    monkeypatch.setattr(exact, "_both_ways", lambda engine, length, seed: pairs[seed])
    assert exact.limit_of(engine) == (Limit(None) if served else Limit(0, "its logits by a tree are 5.9% off"))


def test_soft_capped_logits_are_no_tree_s() -> None:
    found = limit("gemma2", attn_logit_softcapping=None, final_logit_softcapping=2.0)
    assert found.tokens == 0
    assert found.why.startswith("its logits by a tree are ")


def test_a_window_is_the_longest_row() -> None:
    assert limit("mistral", sliding_window=16) == Limit(16, "its attention sees 16 tokens at most")
    assert limit("gemma3", sliding_window=9, layer_types=["full_attention", "sliding_attention"]).tokens == 9
    assert limit("gemma3", sliding_window=9, layer_types=["full_attention", "full_attention"]).tokens is None
    assert limit("mistral", sliding_window=3).tokens == 0


def test_virtual_tokens_count_into_the_longest_row() -> None:
    weight = torch.randn(5, 32)
    root = Root(5, embeddings=lambda: weight)
    engine = Engine(Tuned(small_model("mistral", sliding_window=16), root, {}))
    assert engine.by_limit([11, 12]) == ([0], [1])
    assert engine.why_padded(11) is None
    assert engine.why_padded(12) == (
        "rows of more than 11 tokens go through the model on plain padded batches, sharing nothing: "
        "its attention sees 16 tokens at most"
    )


def test_positions_that_long_rows_change_end_where_they_do() -> None:
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    assert limit("llama", rope_parameters=rope, max_position_embeddings=64).tokens == 64


def test_what_is_not_done_as_the_model_says_is_said() -> None:
    engine = Engine(Tuned(small_model("gpt2", attn_pdrop=0.1), None, {}))
    assert engine.notes(100) == ["the model's own dropout of attention (0.1) is left out; its other dropout is not"]
    assert Engine(Tuned(small_model("llama"), None, {})).notes(100) == []
    (why,) = Engine(Tuned(small_model("gemma2", attention_dropout=0.1), None, {})).notes(100)
    assert why.startswith("rows go through the model on plain padded batches, sharing nothing: its attention takes")
