"""A pass traced on tensors without memory, beside what the same pass holds and computes for real."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from luthier.advice.estimate import GRADIENT_BYTES, Candidate, Load, cost
from luthier.advice.machine import Machine
from luthier.advice.trace import Product, Traced, Work, rows_of, trace
from luthier.engine.forward import Engine
from luthier.engine.memory import bytes_a_token
from luthier.flow import Tuned
from luthier.models import load_model, resolve, skeleton
from tests.advice.test_counts import ready
from tests.conftest import write_tiny_model

SIZES: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4}
RATES: dict[str, Any] = {"products": 1e9, "narrow_products": 4e9, "attention": 1e9, "moved": 1e9}
MACHINE = Machine("made up", "cpu", None, 0, **RATES, operation_seconds=0.0)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of 4 layers, with its weights."""
    return write_tiny_model(tmp_path_factory.mktemp("traced"), **SIZES)


def tuned(config: Path, name: str, layers: int | None = None, **settings: Any) -> Tuned:
    method, made = ready(name, settings, skeleton(config))
    found: Tuned = method.attach(skeleton(config, layers), made, 0, None)
    return found


def traced(config: Path, name: str, length: int, layers: int | None = None, again: bool = False) -> Traced:
    return trace(tuned(config, name, layers), rows_of(1, length, 300), rows_of(1, 8, 300), again)[0]


@pytest.mark.parametrize("name", ["full", "lora", "prompt_tuning", "prefix_tuning"])
@pytest.mark.parametrize("again", [False, pytest.param(True, marks=pytest.mark.long)], ids=["kept", "computed twice"])
def test_a_token_keeps_what_the_engine_measures_that_it_keeps(config: Path, name: str, again: bool) -> None:
    method, settings = ready(name, {}, skeleton(config))
    real = method.attach(load_model(resolve(str(config)), torch.float32), settings, 0, None)
    measured = bytes_a_token(Engine(real, checkpointing=again))
    short, long = (traced(config, name, length, again=again).peaks["loss"] for length in (64, 192))
    # The traced bytes are those alive in the loss: a few vectors of the last layer's, kept by nobody, come on top.
    said = (long.activations - short.activations) / 128
    assert measured == pytest.approx(said, rel=0.1, abs=8 * 64 * 4)


def test_full_tuning_takes_six_flop_a_parameter_and_token(config: Path) -> None:
    length = 128
    work = traced(config, "full", length).work
    # q and o 64 x 64, k and v 64 x 32, three of 64 x 128; the head 300 x 64. The last token predicts nothing.
    layers = 4 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128)
    products = 6 * (layers + 300 * 64) * (length - 1)
    assert sum(product.flop for product in work.products) == pytest.approx(products, rel=1e-3)
    # Two products there and five back, of 4 heads of 16 over half of all pairs.
    assert work.attention == pytest.approx(4 * 7 * 2 * 4 * 16 * (length - 1) ** 2 / 2, rel=0.01)


def test_products_of_a_model_in_bfloat16_are_narrow_and_a_float32_one_has_none(config: Path) -> None:
    method, settings = ready("lora", {}, skeleton(config))
    narrow = method.attach(skeleton(config).to(torch.bfloat16), settings, 0, None)
    work = trace(narrow, rows_of(1, 128, 300), rows_of(1, 8, 300))[0].work
    share = sum(product.flop for product in work.products if product.narrow) / sum(one.flop for one in work.products)
    assert 0.8 < share < 1  # the rest are LoRA's own, which stay in float32
    assert not any(product.narrow for product in traced(config, "lora", 128).work.products)


def test_layers_are_a_straight_line(config: Path) -> None:
    whole = traced(config, "lora", 96)
    few, more = (traced(config, "lora", 96, layers) for layers in (2, 3))
    for phase, peak in whole.peaks.items():
        for name in ("activations", "logits", "gradients"):
            first, second = (getattr(one.peaks[phase], name) for one in (few, more))
            assert first + 2 * (second - first) == pytest.approx(getattr(peak, name), rel=0.01, abs=2000)
    assert few.work.flop + 2 * (more.work.flop - few.work.flop) == pytest.approx(whole.work.flop, rel=1e-3)


def test_all_gradients_are_there_at_the_end_of_the_way_back(config: Path) -> None:
    for name in ("full", "lora", "prompt_tuning"):
        method, settings = ready(name, {}, skeleton(config))
        trained = method.trainable_parameters(settings, skeleton(config))
        assert traced(config, name, 32).gradients == GRADIENT_BYTES * trained


def test_scoring_keeps_nothing_of_one_layer_for_the_next(config: Path) -> None:
    rows = rows_of(2, 128, 300)
    short = rows_of(1, 8, 300)
    few, all_four = (trace(tuned(config, "full", layers), short, rows)[1].peaks for layers in (2, 4))
    assert max(peak.total for peak in all_four.values()) == pytest.approx(
        max(peak.total for peak in few.values()), rel=0.05
    )


def test_a_product_takes_as_long_as_its_flop_or_its_bytes() -> None:
    # 2e9 FLOP on few bytes take 2 s, few FLOP on 3e9 bytes 3 s; 1e9 FLOP of attention and 1e9 bytes moved 1 s each.
    products = Product(2e9, 1e6), Product(1e3, 3e9)
    assert MACHINE.seconds(Work(products, 1e9, 1e9, 1000)) == pytest.approx(7.0)
    # The same in 16 bits at four times the rate.
    assert MACHINE.seconds(Work((Product(2e9, 1e6, True),), 0, 0, 1000)) == pytest.approx(0.5)
    assert replace(MACHINE, operation_seconds=1e-3).seconds(Work((), 0, 0, 500)) == pytest.approx(0.5)


def test_a_step_of_several_passes_holds_all_gradients_and_takes_as_many_times_as_long(config: Path) -> None:
    method, settings = ready("full", {}, skeleton(config))
    trained = method.trainable_parameters(settings, skeleton(config))
    candidate = Candidate(
        tuned=lambda layers: tuned(config, "full", layers),
        layers=4,
        vocabulary=300,
        parameters=trained,
        trainable=trained,
        weight_bytes=4 * trained,
        beside=False,
    )
    one = cost(candidate, Load(128, 2, tokens_a_pass=256), MACHINE)
    four = cost(candidate, Load(128, 8, tokens_a_pass=256), MACHINE)
    assert (one.load.passes, four.load.passes) == (1, 4)
    assert four.training.gradients == 4 * trained == four.training.weights
    assert four.training.optimizer == 8 * trained
    assert one.training.gradients < four.training.gradients
    assert four.training.activations == one.training.activations
    assert one.step_seconds is not None
    assert four.step_seconds is not None
    update = 40 * trained / 1e9
    assert four.step_seconds - update == pytest.approx(4 * (one.step_seconds - update))
    assert four.flop_per_token == pytest.approx(one.flop_per_token)
    assert json.dumps(four.training.total)
