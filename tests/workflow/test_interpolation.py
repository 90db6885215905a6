"""`interpolation`: the result lies between base and what was learned, and an ended run is taken back for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from luthier.errors import UserError
from luthier.flow import Diagnosis, Finding, Measure, Remedy, Tuned, result_of
from luthier.runs.run import Run
from luthier.workflow import run_file as run_files
from luthier.workflow.opened_run import open_run
from luthier.workflow.remedy import remedy
from luthier.workflow.train import train
from tests.workflow.conftest import worked

HYPER = "training_config.hyperparameters"
LORA = "training_config.lora_config"
INTERPOLATION = f"{HYPER}.interpolation"
SHORT = (f"{HYPER}.max_steps=6", f"{HYPER}.learning_rate=0.02", f"{HYPER}.precision=float32")


def trained(run_file: Path, root: Path, name: str, *words: str) -> Run:
    made, _ = worked(train([str(run_file)], overrides=[*SHORT, *words], name=name, root=root))
    return Run.open(made.folder)


def weights(run: Run) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The weights of the model before tuning, and of the tuned model with its adapter merged in."""
    opened = result_of(open_run(str(run.folder), run.folder.parent))
    before = {name: one.detach().clone() for name, one in opened.open_base().named_parameters()}
    method: Any = run_files.method(opened.settings.tuning_method)
    if method.TRAINS_THE_BASE:
        model = opened.open_base()
        method.load(Tuned(model, None, {}), run.weights)
    else:
        tuned = method.open_adapter(opened.open_base(), run.weights)
        method.merge(tuned)
        model = tuned.model
    return before, {name: one.detach() for name, one in model.named_parameters()}


@pytest.mark.parametrize(
    "words",
    [
        ("tuning_method=full",),
        ("tuning_method=lora", f"{LORA}.use_rslora=true"),
        ("tuning_method=lora", f"{LORA}.init=pissa", f"{LORA}.r=4"),
    ],
    ids=["full", "lora", "pissa"],
)
def test_every_weight_lies_between_base_and_what_was_learned(
    words: tuple[str, ...], run_file: Path, tmp_path: Path
) -> None:
    before, learned = weights(trained(run_file, tmp_path, "learned", *words))
    _, between = weights(trained(run_file, tmp_path, "between", *words, f"{INTERPOLATION}=0.25"))
    moved = 0.0
    for name, base in before.items():
        expected = base + 0.25 * (learned[name] - base)
        torch.testing.assert_close(between[name], expected, rtol=0, atol=2e-6)
        moved = max(moved, float((learned[name] - base).abs().max()))
    assert moved > 1e-3


def test_an_adapter_over_four_bits_is_scaled(run_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="qlora needs bitsandbytes")
    runs = [
        trained(run_file, tmp_path, name, "tuning_method=qlora", f"{INTERPOLATION}={share}")
        for name, share in (("learned", 1), ("between", 0.5))
    ]
    learned, between = (load_file(run.weights / "adapter_model.safetensors") for run in runs)
    for name, own in learned.items():
        torch.testing.assert_close(between[name], own * (0.5 if ".lora_B." in name else 1.0), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("tuning_method=prompt_tuning",), "prompt_tuning"),
        (("tuning_method=prefix_tuning",), "prefix_tuning"),
        (("tuning_method=lora", f"{LORA}.use_dora=true"), "lora"),
    ],
)
def test_what_stands_in_no_weights_is_refused_before_anything_is_written(
    words: tuple[str, ...], named: str, run_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as refused:
        trained(run_file, tmp_path, "none", *words, f"{INTERPOLATION}=0.5")
    assert refused.value.mistakes[0].where == INTERPOLATION
    assert named in refused.value.mistakes[0].message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("method", ["lora", pytest.param("full", marks=pytest.mark.long)])
def test_a_run_taken_back_after_its_end_is_the_run_trained_so(method: str, run_file: Path, tmp_path: Path) -> None:
    """What remedies do without a step is, to the last bit, what the same settings train."""
    words = (f"tuning_method={method}",)
    learned = trained(run_file, tmp_path, "learned", *words)
    again = trained(run_file, tmp_path, "again", *words, f"{INTERPOLATION}=0.5")

    def find(run: Run) -> Diagnosis:
        way = Remedy("part_of_the_way", {INTERPOLATION: 0.5}, "base knew more")
        found = Finding("forgetting", 0.99, "rate", "It forgot. The rate is high.", {"x": Measure(1.0)}, (way,))
        return Diagnosis(run.name, (found,) if run.name == "learned" else ())

    found, _ = worked(remedy(str(learned.folder), at_most="1x", find=find))
    attempt = found.tried[0]
    assert attempt.run is not None
    taken_back = Run.open(Path(attempt.run))
    assert (found.times, attempt.times) == (0, 0)
    assert [step.step for step in taken_back.steps()] == [step.step for step in learned.steps()]
    for file in again.weights.glob("*.safetensors"):
        assert (taken_back.weights / file.name).read_bytes() == file.read_bytes()
        assert (learned.weights / file.name).read_bytes() != file.read_bytes()
    assert {one.name for one in attempt.signs} == {"forgetting"}
    assert attempt.signs[0].how != "not_measured"
