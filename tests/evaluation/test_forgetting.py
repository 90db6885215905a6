"""Forgetting: none where nothing was tuned, the plain difference where something was, known again from the cache."""

from __future__ import annotations

from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from luthier.evaluation.forgetting import ALL, divergence, forgotten, remember
from luthier.evaluation.general import General, general, sampled
from luthier.flow import Tuned, result_of
from luthier.models import Source, load_model, load_tokenizer
from luthier.workflow import forgetting as kept
from luthier.workflow.loaded_model import engine_of
from luthier.workflow.once import fingerprint


@pytest.fixture(scope="module")
def asked(tiny_model: Source) -> General:
    return general(load_tokenizer(tiny_model), chosen=sampled(7))


def model_of(source: Source, shaken: float = 0.0) -> Any:
    """The 2-layer model, each weight moved by chance."""
    model = load_model(source, torch.float32)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight += shaken * torch.randn(weight.shape, generator=generator)
    return model


def test_the_divergence_is_the_one_worked_out_by_hand() -> None:
    before, after = np.log([[0.5, 0.25]], dtype=np.float32), np.log([[0.25, 0.25]], dtype=np.float32)
    assert divergence(before, after) == pytest.approx([0.5 * log(2) + 0.25 * log(0.25 / 0.5)], abs=1e-6)
    assert divergence(before, before) == pytest.approx([0.0], abs=1e-6)


def test_over_the_whole_vocabulary_it_is_scipys_and_over_less_it_is_less() -> None:
    from scipy.special import rel_entr

    chance = np.random.default_rng(0)
    p, q = (chance.dirichlet(np.ones(40), 6) for _ in range(2))
    whole = rel_entr(p, q).sum(axis=1)
    assert divergence(np.log(p[:, :-1]).astype(np.float32), np.log(q[:, :-1]).astype(np.float32)) == pytest.approx(
        whole, abs=1e-4
    )
    assert (divergence(np.log(p[:, :9]).astype(np.float32), np.log(q[:, :9]).astype(np.float32)) < whole).all()


def test_a_model_that_was_not_tuned_forgot_nothing(tiny_model: Source, asked: General) -> None:
    engine = engine_of(Tuned(model_of(tiny_model), None, {}))
    found = result_of(forgotten(engine, asked, result_of(remember(engine, asked))))
    assert set(found.measures) == {ALL, *(passage.skill for passage in asked.passages)}
    for measures in found.measures.values():
        assert measures["rise"].value == pytest.approx(0, abs=1e-6)
        assert measures["agreement"].value == 1
        assert measures["kl"].value == pytest.approx(0, abs=1e-6)
        assert measures["base"].value == pytest.approx(measures["tuned"].value)
    assert found.measures[ALL]["rise"].n == len(asked.passages)


def test_the_rise_is_the_difference_of_the_losses_row_by_row(tiny_model: Source, asked: General) -> None:
    base, tuned = (engine_of(Tuned(model_of(tiny_model, shaken), None, {})) for shaken in (0.0, 0.1))
    memory = result_of(remember(base, asked))
    found = result_of(forgotten(tuned, asked, memory))
    sides = [[score for _, score in sorted(engine.scores(asked.rows))] for engine in (base, tuned)]
    tokens = sum(score.tokens for score in sides[0])
    before, after = (sum(score.loss for score in side) / tokens for side in sides)
    measures = found.measures[ALL]
    assert measures["rise"].value == pytest.approx(after - before, abs=1e-4)
    assert measures["base"].value == pytest.approx(before, abs=1e-4)
    assert measures["tuned"].value == pytest.approx(after, abs=1e-4)
    assert measures["rise"].low is not None
    assert measures["rise"].high is not None
    assert measures["rise"].low <= after - before <= measures["rise"].high
    assert 0 < (measures["agreement"].value or 0) < 1
    assert (measures["kl"].value or 0) > 0.01
    skill = asked.passages[0].skill
    lines = [line for line in found.passages if line["skill"] == skill]
    rise = sum(line["tuned_loss"] - line["base_loss"] for line in lines) / sum(line["tokens"] for line in lines)
    assert found.measures[skill]["rise"].value == pytest.approx(rise, abs=1e-6)


def test_base_is_asked_once_and_other_weights_are_another_base(
    tiny_model: Source, asked: General, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUTHIER_HOME", str(tmp_path))
    base, other = (engine_of(Tuned(model_of(tiny_model, shaken), None, {})) for shaken in (0.0, 1e-3))
    first = result_of(kept.remembered(base, asked))
    events: list[Any] = []
    again = result_of(kept.remembered(base, asked), events.append)
    assert not events  # nothing was computed
    assert again.losses.tolist() == first.losses.tolist()
    for name in ("likeliest", "answers", "tokens", "log_probabilities"):
        for one, two in zip(getattr(first, name), getattr(again, name), strict=True):
            assert np.array_equal(one, two)
    assert fingerprint(base.tuned.model) != fingerprint(other.tuned.model)
    result_of(kept.remembered(other, asked), events.append)
    assert events
    assert len(list((tmp_path / "general").glob("*.safetensors"))) == 2


def test_a_broken_file_of_the_cache_is_made_anew(
    tiny_model: Source, asked: General, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUTHIER_HOME", str(tmp_path))
    base = engine_of(Tuned(model_of(tiny_model), None, {}))
    first = result_of(kept.remembered(base, asked))
    (path,) = (tmp_path / "general").iterdir()
    path.write_bytes(path.read_bytes()[:100])
    assert result_of(kept.remembered(base, asked)).losses.tolist() == first.losses.tolist()


def test_a_context_without_room_for_any_passage_leaves_it_unmeasured(tiny_model: Source) -> None:
    tokenizer = load_tokenizer(tiny_model)
    none = general(tokenizer, context=70)
    assert not none.rows
    engine = engine_of(Tuned(model_of(tiny_model), None, {}))
    found = result_of(forgotten(engine, none, result_of(kept.remembered(engine, none))))
    assert found.measures[ALL]["rise"].value is None
    assert "context" in found.measures[ALL]["rise"].reason
    assert not found.passages


def test_a_template_that_takes_no_chat_leaves_the_questions_out(tiny_model: Source) -> None:
    tokenizer = load_tokenizer(tiny_model)
    tokenizer.chat_template = "{{ raise_exception('only tools') }}"
    made = general(tokenizer, chosen=sampled(7))
    assert made.rows
    assert not made.asked
    assert all(passage.text for passage in made.passages)
    engine = engine_of(Tuned(model_of(tiny_model), None, {}))
    found = result_of(forgotten(engine, made, result_of(remember(engine, made))))
    assert found.measures[ALL]["rise"].value == pytest.approx(0, abs=1e-6)
    assert found.measures[ALL]["kl"].value is None
