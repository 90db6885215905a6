"""`luthier selftest`: every claim holds here, and fails when the code that it is about is broken on purpose."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from luthier.flow import Progress, RowScore
from luthier.workflow import selftest as module
from luthier.workflow.selftest import CLAIMS, Checked, Claim, selftest
from tests.workflow.conftest import worked

Patch = pytest.MonkeyPatch
BY_NAME = {claim.name: claim for claim in CLAIMS}


def measured(name: str) -> Checked:
    [check] = worked(selftest([BY_NAME[name]]))[0].checks
    return check


def test_every_claim_holds_and_the_way_there_is_told() -> None:
    before = torch.get_rng_state()
    done, events = worked(selftest())
    assert {check.name: check.measured for check in done.checks if not check.passed} == {}
    assert done.passed
    assert [check.name for check in done.checks] == [claim.name for claim in CLAIMS]
    assert events == [Progress("proving", number, len(CLAIMS)) for number in range(len(CLAIMS) + 1)]
    assert "torch" in done.machine
    assert torch.equal(torch.get_rng_state(), before)


def test_a_claim_over_its_limit_or_one_that_cannot_be_measured_fails() -> None:
    def fails() -> float:
        raise ZeroDivisionError("no rows")

    claims = [Claim("a", "", 1.0, lambda: 1.0), Claim("b", "", 1.0, lambda: 1.1), Claim("c", "", 1.0, fails)]
    claims.append(Claim("d", "", 1.0, lambda: float("nan")))
    done, _ = worked(selftest(claims))
    assert [check.passed for check in done.checks] == [True, False, False, False]
    assert not done.passed
    assert (done.checks[2].measured, done.checks[2].reason) == (None, "ZeroDivisionError: no rows")


def test_names_are_claimed_once() -> None:
    assert len(BY_NAME) == len(CLAIMS) >= 13


# ------------------------------------------------------------------------------------------------ broken on purpose


def without_the_fall_back(patch: Patch) -> None:
    """Whatever is wrong with trees, rows go through the model as one."""
    from luthier.engine import exact

    patch.setattr(exact, "_wrong", lambda engine, length: "")


def a_wrong_position(patch: Patch) -> None:
    from luthier.engine import forward
    from luthier.engine.tree import lay_out

    def counted_through(*given: Any, **named: Any) -> Any:
        tree = lay_out(*given, **named)
        return replace(tree, positions=np.arange(len(tree.tokens)))

    without_the_fall_back(patch)
    patch.setattr(forward, "lay_out", counted_through)


def rows_that_see_each_other(patch: Patch) -> None:
    from luthier.engine import attention

    def over_all(query: Any, key: Any, value: Any, plan: Any, scale: float) -> Any:
        one, two, three = (part.transpose(0, 1)[None] for part in (query, key, value))
        sees = torch.ones(len(query), len(key), dtype=torch.bool).tril(len(key) - len(query))
        found = scaled_dot_product_attention(one, two, three, attn_mask=sees, scale=scale, enable_gqa=True)
        return found[0].transpose(0, 1)

    without_the_fall_back(patch)
    patch.setattr(attention, "attend", over_all)


def a_mean_of_the_passes(patch: Patch) -> None:
    from luthier.engine import step

    loss = step._loss

    def mean(engine: Any, tree: Any, part: Any, states: Any, held: Any) -> Any:
        return tuple(one / max(1, len(part.predictions)) for one in loss(engine, tree, part, states, held))

    patch.setattr(step, "_loss", mean)


def a_stale_shared_node(patch: Patch) -> None:
    """From the second time on, passes look at the keys and values that the first time left behind."""
    from luthier.engine import step

    collecting, kept, turn = step.collecting, {}, itertools.count()  # type: ignore[var-annotated]

    def stale(now: Any) -> Any:
        found = collecting(now)
        first = kept.setdefault((next(turn) % 4, found.shape), found.detach().clone())
        found.data.copy_(first)
        return found

    patch.setattr(step, "collecting", stale)


def gradients_that_stop_at_the_trunk(patch: Patch) -> None:
    from luthier.engine import step

    patch.setattr(step, "backward_above", lambda above, shared, losses: None)


def a_tree_that_drops_a_row(patch: Patch) -> None:
    from luthier.engine import tree

    lay_out = tree.lay_out
    patch.setattr(tree, "lay_out", lambda rows, *given, **named: lay_out([*rows[:-1], rows[0]], *given, **named))


def models_that_no_tree_serves(patch: Patch) -> None:
    from luthier.engine import exact

    patch.setattr(exact, "_wrong", lambda engine, length: "its logits are 9% off")


def layers_computed_otherwise_on_the_way_back(patch: Patch) -> None:
    from luthier.engine import attention
    from luthier.engine.ranges import attend

    turn = itertools.count()
    patch.setattr(attention, "attend", lambda *given: attend(*given) * (1 + 1e-3 * (next(turn) % 5)))
    without_the_fall_back(patch)


def an_answer_on_another_s_past(patch: Patch) -> None:
    from luthier.engine.generation import Growing

    attend = Growing.attend

    def shifted(self: Any, query: Any, key: Any, value: Any, scale: float, layer: int) -> Any:
        if len(self.lengths) > 1:
            self.kept[layer] = (self.kept[layer][0].roll(1, 0), self.kept[layer][1])
        return attend(self, query, key, value, scale, layer)

    patch.setattr(Growing, "attend", shifted)


def scores_of_the_mean_loss(patch: Patch) -> None:
    from luthier.engine import scoring

    patch.setattr(scoring, "RowScore", lambda loss, tokens, correct: RowScore(loss / tokens, tokens, correct))


def a_resumed_optimizer_without_its_past(patch: Patch) -> None:
    from luthier.training.loop import Training

    restore = Training.restore

    def half(self: Any, folder: Path) -> None:
        restore(self, folder)
        self.optimizer.state.clear()

    patch.setattr(Training, "restore", half)


def a_resumed_run_with_other_dropout(patch: Patch) -> None:
    from luthier.training.loop import Training

    restore = Training.restore

    def otherwise(self: Any, folder: Path) -> None:
        restore(self, folder)
        torch.manual_seed(99)

    patch.setattr(Training, "restore", otherwise)


def a_missing_end_mark(patch: Patch) -> None:
    from luthier.data import tokenize as data

    tokenize = data.tokenize

    def endless(*given: Any) -> Any:
        rows = tokenize(*given)
        assert isinstance(rows, tuple)
        for row in rows:
            row.weights[-1] = 0
        return rows

    patch.setattr(data, "tokenize", endless)


def processes_that_all_take_the_last_row(patch: Patch) -> None:
    from luthier.training.distribution import World

    share = World.share
    patch.setattr(World, "share", lambda world, rows: sorted({*share(world, rows), len(rows) - 1}))


def a_proof_that_sees_nothing(patch: Patch) -> None:
    from luthier.data import tokenize as data

    patch.setattr(data, "prove", lambda *given: None)


def an_adapter_scaled_otherwise(patch: Patch) -> None:
    from luthier.methods import lora

    files = lora.files

    def other(tuned: Any, settings: Any, base: str) -> Any:
        return files(tuned, settings.model_copy(update={"alpha": settings.alpha * 1.01}), base)

    patch.setattr(lora, "files", other)


def weights_saved_in_half_precision(patch: Patch) -> None:
    from luthier.methods import full

    load = full.load

    def rounded(tuned: Any, folder: Path) -> None:
        load(tuned, folder)
        for parameter in tuned.trainable.values():
            parameter.data = parameter.data.bfloat16().float()

    patch.setattr(full, "load", rounded)


def a_merge_that_forgets_a_layer(patch: Patch) -> None:
    from luthier.methods import lora

    merge = lora.merge

    def nearly(tuned: Any) -> None:
        next(one for name, one in tuned.model.named_parameters() if "lora_B" in name).data.zero_()
        merge(tuned)

    patch.setattr(lora, "merge", nearly)


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("tree_loss", a_wrong_position),
        ("tree_loss", a_mean_of_the_passes),
        ("tree_loss", models_that_no_tree_serves),
        ("tree_gradients_full", a_stale_shared_node),
        ("tree_gradients_lora", gradients_that_stop_at_the_trunk),
        ("tree_gradients_qlora", a_mean_of_the_passes),
        ("tree_gradients_prompt_tuning", a_wrong_position),
        ("tree_gradients_prefix_tuning", gradients_that_stop_at_the_trunk),
        ("checkpointing", layers_computed_otherwise_on_the_way_back),
        ("processes", processes_that_all_take_the_last_row),
        ("no_leak", rows_that_see_each_other),
        ("distinct_tokens", a_tree_that_drops_a_row),
        ("scores", scores_of_the_mean_loss),
        ("generation", an_answer_on_another_s_past),
        ("resume", a_resumed_optimizer_without_its_past),
        ("resume", a_resumed_run_with_other_dropout),
        ("masks", a_missing_end_mark),
        ("masks", a_proof_that_sees_nothing),
        ("adapter_is_pefts", an_adapter_scaled_otherwise),
        ("saved_is_loaded", weights_saved_in_half_precision),
        ("merged_is_adapter", a_merge_that_forgets_a_layer),
    ],
)
def test_a_claim_fails_when_its_code_is_broken(
    name: str, broken: Callable[[Patch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "METHODS", ("full", "lora"))  # where several are gone through, two are enough
    broken(monkeypatch)
    check = measured(name)
    assert not check.passed
    stopped = "get no gradient" in check.reason  # training itself does not go on like that
    assert check.measured is not None or stopped or broken is models_that_no_tree_serves, check.reason


def test_every_claim_is_broken_once() -> None:
    marks = test_a_claim_fails_when_its_code_is_broken.pytestmark  # type: ignore[attr-defined]
    assert {name for name, _ in marks[0].args[1]} == set(BY_NAME)
