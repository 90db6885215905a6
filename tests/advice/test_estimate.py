"""`estimate` as a whole: what it counts, what it refuses, and what it says where something does not fit."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from luthier.advice import largest, machine, probe
from luthier.advice.estimate import Cost, Load, Memory
from luthier.advice.probe import Probed
from luthier.errors import UserError
from luthier.flow import Note, result_of
from luthier.workflow.estimate import Estimated, data_of, estimate

CONFIG = {
    "model_type": "llama",
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}
PARAMETERS = 300 * 64 + 2 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128 + 2 * 64) + 64


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LUTHIER_HOME", str(tmp_path / "home"))
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG), encoding="utf-8")
    return path


def worked_out(config: Path, **options: Any) -> Estimated:
    return result_of(estimate(model=str(config), **{"row_tokens": 64, "device": "H100", **options}))


def test_a_bare_configuration_is_enough_for_what_scripts_hold_on_to(config: Path) -> None:
    known = worked_out(config, method="lora", rows=160, price_per_hour=3.6)
    data = json.loads(json.dumps(data_of(known)))
    assert data["parameters"] == PARAMETERS
    # r = 16 beside q (64 to 64) and v (64 to 32) in 2 layers.
    assert data["trainable_parameters"] == 2 * 16 * (64 + 64 + 64 + 32)
    assert data["trainable_share"] == data["trainable_parameters"] / PARAMETERS
    parts = data["memory"]["training"]
    assert data["peak_memory_bytes"] == max(sum(part.values()) for part in data["memory"].values())
    assert parts["weights"] == 2 * PARAMETERS + 4 * data["trainable_parameters"]  # bfloat16 on a GPU
    assert parts["optimizer"] == 8 * data["trainable_parameters"]
    assert data["fits"] is True
    # 160 rows are 20 steps of 8, three times over; an hour costs 3.6, so a second 0.001.
    assert data["run"]["steps"] == 60
    assert data["run"]["seconds"] == pytest.approx(60 * data["seconds_per_step"])
    assert data["run"]["money"] == pytest.approx(data["run"]["seconds"] / 1000)
    assert data["seconds_per_1k_tokens"] == pytest.approx(data["seconds_per_step"] / 0.512)


def test_four_processes_each_take_a_fourth_of_the_rows_and_cost_four_times_as_much_an_hour(config: Path) -> None:
    one, four = (worked_out(config, processes=many, rows=80, price_per_hour=1.0) for many in (1, 4))
    assert one.cost is not None
    assert four.cost is not None
    assert (one.cost.load.batch_size, four.cost.load.batch_size) == (8, 2)
    assert four.seconds is not None
    assert four.money == pytest.approx(4 * four.seconds / 3600)


def test_weights_of_four_bits_take_less(config: Path) -> None:
    plain, packed = (worked_out(config, method=method).cost for method in ("lora", "qlora"))
    assert plain is not None
    assert packed is not None
    linear = 2 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128)
    saved = plain.training.weights - packed.training.weights
    assert saved == pytest.approx(linear * (2 - 0.5 - 1 / 64 - 1 / 4096), abs=2)


def test_a_size_alone_has_no_speed_and_says_so(config: Path) -> None:
    known = worked_out(config, device="24GiB", rows=8)
    data = data_of(known)
    assert data["seconds_per_1k_tokens"] is None
    assert data["run"] == {"steps": 3, "seconds": None, "money": None}
    assert "no rates are known" in data["why"]
    assert known.machine.memory_bytes == 24 * 2**30


@pytest.mark.long
def test_what_is_larger_than_the_machine_comes_with_what_fits_instead(config: Path) -> None:
    sizes = {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32}
    config.write_text(json.dumps(CONFIG | sizes | {"vocab_size": 32000, "num_key_value_heads": 32}), encoding="utf-8")
    known = worked_out(config, method="lora", device="6GiB", row_tokens=512)
    assert known.fits is False
    assert known.cost is not None
    assert known.cost.load.checkpointing
    assert known.largest is not None
    assert known.largest.row_tokens is None  # its weights alone are more
    assert known.largest.model is not None
    assert list(largest.LADDER).index(known.largest.model) < list(largest.LADDER).index("Mistral-7B")


@pytest.mark.long
@pytest.mark.long
def test_the_longest_row_that_fits_fits_and_a_longer_one_does_not(config: Path) -> None:
    config.write_text(json.dumps(CONFIG | {"max_position_embeddings": 10**6}), encoding="utf-8")
    known = worked_out(config, device="1GiB", largest=True)
    assert known.largest is not None
    tokens = known.largest.row_tokens
    assert tokens is not None
    for share, fits in ((0.97, True), (1.03, False)):
        other = worked_out(config, device="1GiB", row_tokens=int(share * tokens), overrides=[])
        assert other.fits is fits
        assert other.cost is not None
        assert other.cost.load.checkpointing


def test_an_encoder_and_decoder_in_one_is_counted_and_not_trained(config: Path) -> None:
    sizes = {"model_type": "t5", "vocab_size": 100, "d_model": 16, "d_ff": 32, "num_layers": 1, "num_heads": 2}
    config.write_text(json.dumps(sizes | {"d_kv": 8, "is_encoder_decoder": True}), encoding="utf-8")
    known = worked_out(config)
    data = data_of(known)
    assert data["parameters"] > 100 * 16
    assert data["trainable_parameters"] == 16 * 2 * 3 * (16 + 16)  # q and v of the encoder's, and the decoder's two
    assert data["peak_memory_bytes"] is None
    assert "no method of Luthier trains them" in data["why"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "abacus"}, "'abacus' is no machine that is known here"),
        ({"row_tokens": 4000}, "4,000 is more than the model's context of 512"),
        ({"overrides": ["training_config.lora_config.r=99"]}, "the rank 99 is over the width 32"),
        ({"method": "lara"}, "lara"),
        ({"probe": True}, "a probe runs on this machine's CPU"),
    ],
)
def test_what_cannot_be_worked_out_is_refused_with_the_reason(
    config: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        worked_out(config, **options)


def test_a_configuration_that_is_not_there_or_leaves_sizes_out_is_refused(config: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        worked_out(config.with_name("other.json"))
    config.write_text('{"model_type": "llama", "hidden_size": 64}', encoding="utf-8")
    with pytest.raises(UserError, match="does not say vocab_size, num_hidden_layers"):
        worked_out(config)


# ------------------------------------------------------------------------------------------------- what a probe says


def cost_of(**parts: int) -> Cost:
    memory = Memory(**{**dict.fromkeys(Memory.__dataclass_fields__, 0), **parts})
    return Cost(Load(64, 4), memory, memory, 1.0, 2.0)


def test_a_probe_s_steps_but_the_first_correct_time_and_what_moves_in_memory(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = cost_of(weights=100, activations=300, logits=100, libraries=1000)
    lines = [{"seconds": taken, "peak_bytes": 1700, "library_bytes": 1100} for taken in (9.0, 3.0, 5.0, 4.0)]
    found = probe._compared("lora float32", "2026-11-23", lines, expected, False)
    assert (found.step_seconds, found.time_factor, found.memory_factor) == (4.0, 2.0, 1.4)
    probe.keep("a/model", found)
    assert probe.kept("a/model", "lora", "float32") == found
    assert probe.kept("a/model", "full", "float32") is None
    with monkeypatch.context() as patch:  # its factors are of rates that are measured again then
        patch.setattr(machine, "WAY", machine.WAY + 1)
        assert probe.kept("a/model", "lora", "float32") is None
    after = probe.corrected(expected, found)
    # 700 were there beside the libraries instead of 500: the weights stay, the rest grows from 400 to 600.
    assert (after.training.weights, after.training.activations, after.training.logits) == (100, 450, 150)
    assert after.training.total == 1700
    assert after.step_seconds == 4.0
    monkeypatch.setattr(machine, "cpu_name", lambda: "another")
    assert probe.kept("a/model", "lora", "float32") is None


def test_a_probe_without_a_second_step_corrects_nothing() -> None:
    ended = Probed("lora float32", "2026-11-23", 1, None, None, None, None, out_of_memory=True)
    expected = cost_of(activations=5)
    assert probe.corrected(expected, ended) is expected
    assert probe.corrected(expected, None) is expected
    assert "ran out of memory after 1 steps" in next(ended.said())


def request_of(config: Path) -> dict[str, Any]:
    return {
        "place": str(config),
        "method": "lora",
        "settings_of": "lora",
        "settings": {},
        "section": {},
        "precision": "float32",
        "row_tokens": 16,
        "batch_size": 2,
        "checkpointing": False,
        "kl_to_base": 0.0,
        "seconds": 1.0,
    }


def test_a_probe_takes_real_steps(config: Path) -> None:
    lines = list(probe.steps_of(request_of(config)))
    assert 1 <= len(lines) <= probe.STEPS
    assert all(line["seconds"] > 0 and line["peak_bytes"] > line["library_bytes"] > 0 for line in lines)


@pytest.mark.long
def test_a_probe_that_runs_out_of_memory_is_information(config: Path) -> None:
    config.write_text(json.dumps(CONFIG | {"vocab_size": 10**10, "hidden_size": 1024}), encoding="utf-8")
    found = probe.probe(request_of(config), cost_of(activations=5))
    assert found.out_of_memory
    assert found.time_factor is None
    config.write_text(json.dumps(CONFIG | {"num_attention_heads": 7}), encoding="utf-8")
    broken = probe.probe(request_of(config), cost_of(activations=5))
    assert broken.error
    assert not broken.out_of_memory


@pytest.mark.long
def test_an_estimate_after_a_probe_says_what_was_measured(config: Path) -> None:
    events: list[Any] = []
    known = result_of(estimate(model=str(config), row_tokens=64, probe=True), events.append)
    assert not [event for event in events if isinstance(event, Note)]
    assert known.probed is not None
    assert known.cost is not None
    assert known.cost.step_seconds == pytest.approx(known.probed.step_seconds)
    again = result_of(estimate(model=str(config), row_tokens=64))
    assert again.probed == replace(known.probed)


@pytest.mark.parametrize("method", ["full", "lora", "prompt_tuning"])
def test_a_hold_near_base_is_counted(method: str, config: Path) -> None:
    held = ["training_config.preference_config.kl_to_base=0.1"]
    free, near = (worked_out(config, method=method, overrides=of) for of in ((), held))
    assert free.cost is not None
    assert near.cost is not None
    # Only where the weights themselves are trained is base a copy of them.
    copied = 2 if method == "full" else 1
    plain = free.cost.training.weights - (0 if method == "full" else 4 * (free.trainable_parameters or 0))
    assert near.cost.training.weights == free.cost.training.weights + (copied - 1) * plain
    # One forward pass more: 2 FLOP for each number of the products, a token, the head too.
    products = 2 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128) + 300 * 64
    more = near.cost.flop_per_token - free.cost.flop_per_token
    assert more == pytest.approx(2 * products, rel=0.1)
    assert near.cost.training.logits > free.cost.training.logits
    assert near.cost.step_seconds is not None
    assert free.cost.step_seconds is not None
    assert 1.1 < near.cost.step_seconds / free.cost.step_seconds < 1.6
    assert any("kl_to_base" in note for note in near.notes)
    assert not any("kl_to_base" in note for note in free.notes)


def test_an_undecided_method_is_counted_as_the_mission_s_default_and_said(config: Path) -> None:
    undecided, written = worked_out(config, method="auto"), worked_out(config, method="lora")
    assert undecided.tuning_method == written.tuning_method == "lora"
    assert [note for note in undecided.notes if note not in written.notes] == [undecided.notes[0]]
    assert "tuning_method: auto is lora here" in undecided.notes[0]


def test_a_busy_core_does_not_make_a_machine_slow() -> None:
    """A go that waits takes 50 ms by the clock and hardly any of the processor."""
    assert machine._seconds(lambda: time.sleep(0.05), 1.0, 0.1) < 0.01


def test_what_was_kept_of_a_machine_in_another_way_is_measured_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LUTHIER_HOME", str(tmp_path))
    found = dict.fromkeys(machine.MEASURED, 3e9) | {"products": 7e9, "library_bytes": 4e8}
    monkeypatch.setattr(machine, "_measured_afresh", lambda method: dict(found))
    assert machine.this_cpu("lora").products == 7e9
    found["products"] = 8e10
    assert machine.this_cpu("lora").products == 7e9
    monkeypatch.setattr(machine, "WAY", machine.WAY + 1)
    assert machine.this_cpu("lora").products == 8e10
