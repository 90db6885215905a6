"""Every tuning method from one key of the run file: resumed, evaluated, talked to, gone on from, and refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from luthier.errors import UserError
from luthier.flow import EvaluationLog, Message, Note, StepLog
from luthier.models import Source, load_model
from luthier.runs.run import Run
from luthier.workflow.chat import open_chat
from luthier.workflow.evaluate import evaluate
from luthier.workflow.train import Trained, train
from tests.workflow.conftest import worked

CONFIG = "training_config"
METHODS: dict[str, list[str]] = {
    "full": [],
    "lora": [f"{CONFIG}.lora_config.init=pissa"],
    "qlora": [],
    "prompt_tuning": [],
    "prefix_tuning": [f"{CONFIG}.prefix_tuning_config.projection=true"],
}
FEW = [
    f"{CONFIG}.hyperparameters.max_steps=6",
    f"{CONFIG}.evaluation.save_steps=2",
    f"{CONFIG}.evaluation.eval_steps=3",
]


def overrides(method: str, *more: str) -> list[str]:
    return [f"tuning_method={method}", *METHODS[method], *FEW, *more]


@pytest.fixture(scope="session")
def runs(run_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    """A short run of each method. Tests only read them."""
    root = tmp_path_factory.mktemp("methods")
    return {
        method: worked(train([str(run_file)], overrides=overrides(method), root=root, name=method))[0]
        for method in METHODS
    }


def timeless(entry: StepLog | EvaluationLog) -> StepLog | EvaluationLog:
    entry = replace(entry, seconds=0.0)
    return replace(entry, memory_bytes=0) if isinstance(entry, StepLog) else entry


@pytest.mark.parametrize("method", METHODS)
def test_a_resumed_run_is_the_uninterrupted_one_bit_by_bit(
    method: str, run_file: Path, runs: dict[str, Trained], tmp_path: Path
) -> None:
    verb = train([str(run_file)], overrides=overrides(method), root=tmp_path, name="cut")
    for event in verb:
        if isinstance(event, StepLog) and event.step == 5:
            verb.close()
            break
    result, events = worked(train(resume=str(tmp_path / "cut")))
    assert any("going on after step 4 of 6" in event.text for event in events if isinstance(event, Note))
    ours, whole = Run.open(result.folder), Run.open(runs[method].folder)
    assert [timeless(entry) for entry in ours.log()] == [timeless(entry) for entry in whole.log()]
    names = sorted(path.name for path in whole.weights.glob("*.safetensors"))
    assert names == sorted(path.name for path in ours.weights.glob("*.safetensors"))
    for name in names:
        assert (ours.weights / name).read_bytes() == (whole.weights / name).read_bytes()


@pytest.mark.parametrize("method", METHODS)
def test_evaluation_chat_and_the_last_validation_agree(method: str, runs: dict[str, Trained]) -> None:
    run = Run.open(runs[method].folder)
    report, _ = worked(evaluate(str(run.folder)))
    loss, before = report.metrics["loss"].value, report.base["loss"].value
    assert loss is not None
    assert before is not None
    assert abs(loss - before) > 1e-3
    measured = run.read_answers("evaluation")[0]
    row = json.loads(Path(measured["file"]).read_text(encoding="utf-8").splitlines()[measured["line"] - 1])
    messages = [Message(message["role"], message["content"]) for message in row["messages"][:-1]]
    assert open_chat(str(run.folder)).ask(messages, 64).startswith(measured["tuned"].rstrip("\ufffd"))


def test_a_result_without_its_run_opens_by_its_folder_on_what_it_was_trained_on(
    runs: dict[str, Trained], tmp_path: Path
) -> None:
    for method in METHODS:
        folder = shutil.copytree(runs[method].folder / "weights", tmp_path / method)
        asked = [Message("user", "what colour has the sky, for the 0. time")]
        assert open_chat(str(folder)).ask(asked, 8) == open_chat(str(runs[method].folder)).ask(asked, 8)


def test_what_only_resuming_needs_is_not_in_the_result(runs: dict[str, Trained]) -> None:
    run = Run.open(runs["prefix_tuning"].folder)
    assert (run.folder / "checkpoints" / "step-6" / "prefix_projection.safetensors").is_file()
    assert not (run.weights / "prefix_projection.safetensors").exists()
    # 20 tokens; 2 layers, key and value, 2 key heads of width 8
    assert load_file(run.weights / "adapter_model.safetensors")["prompt_embeddings"].shape == (20, 2 * 2 * 2 * 8)


def test_every_auto_of_a_method_is_said_with_its_reason(run_file: Path, tmp_path: Path) -> None:
    auto = [f"{CONFIG}.hyperparameters.learning_rate=auto", f"{CONFIG}.hyperparameters.max_steps=1"]
    said = {}
    for method in ("qlora", "prompt_tuning", "prefix_tuning"):
        _, events = worked(train([str(run_file)], overrides=[f"tuning_method={method}", *auto], root=tmp_path))
        said[method] = "\n".join(event.text for event in events if isinstance(event, Note))
    assert f"{CONFIG}.prompt_tuning_config.init vocabulary (34.3% on GSM8K" in said["prompt_tuning"]
    assert "(0.15 of the embeddings' spread; docs/log.md)" in said["prompt_tuning"]
    # 20 embeddings of width 32
    assert "640 parameters are trained: 2.270% of the model's 28,192" in said["prompt_tuning"]
    assert f"{CONFIG}.prefix_tuning_config.init text (its keys and values" in said["prefix_tuning"]
    assert f"{CONFIG}.prefix_tuning_config.init_text Read what" in said["prefix_tuning"]
    assert f"{CONFIG}.hyperparameters.learning_rate 0.005 (" in said["prefix_tuning"]
    assert f"{CONFIG}.qlora_config.compute_dtype auto (" in said["qlora"]
    assert "of the model's 28,192" in said["qlora"]


def test_settings_of_a_finished_run_name_the_text_it_began_with(runs: dict[str, Trained]) -> None:
    text = Run.open(runs["prefix_tuning"].folder).settings_path.read_text(encoding="utf-8")
    assert 'init_text: "Read what' in text or "init_text: Read what" in text


# ------------------------------------------------------------------------------------------------- going on from a run


def test_a_run_goes_on_from_a_qlora_run_s_result_in_plain_weights(
    run_file: Path, runs: dict[str, Trained], tmp_path: Path
) -> None:
    second, _ = worked(
        train([str(run_file)], overrides=overrides("lora", f"model={runs['qlora'].folder}"), root=tmp_path)
    )
    report, _ = worked(evaluate(str(second.folder)))
    before, _ = worked(evaluate(str(runs["qlora"].folder)))
    assert report.base["loss"].value == pytest.approx(before.metrics["loss"].value, rel=1e-4)


def test_every_method_goes_on_from_a_full_run_s_result(
    run_file: Path, runs: dict[str, Trained], tmp_path: Path
) -> None:
    for method in METHODS:
        more = [f"model={runs['full'].folder}", f"{CONFIG}.hyperparameters.max_steps=1"]
        second, _ = worked(train([str(run_file)], overrides=overrides(method, *more), root=tmp_path))
        assert second.steps == 1


# -------------------------------------------------------------------------------------------------- a user's mistakes


def refused(run_file: Path, tmp_path: Path, *written: str) -> str:
    with pytest.raises(UserError) as error:
        worked(train([str(run_file)], overrides=list(written), root=tmp_path / "runs"))
    assert not list(tmp_path.glob("runs/*")), "a refused run left something behind"
    return str(error.value)


@pytest.mark.parametrize("method", ["prompt_tuning", "prefix_tuning"])
def test_no_run_goes_on_from_what_stands_before_the_rows(
    method: str, run_file: Path, runs: dict[str, Trained], tmp_path: Path, tiny_model: Source
) -> None:
    text = refused(run_file, tmp_path, f"model={runs[method].folder}")
    assert f"model: {runs[method].folder}: its result stands before the rows and in no weights" in text
    assert f"write `model: {tiny_model.folder}`, the model that it was made for" in text


def test_qlora_begins_at_files_and_not_at_an_adapter(run_file: Path, runs: dict[str, Trained], tmp_path: Path) -> None:
    text = refused(run_file, tmp_path, "tuning_method=qlora", f"model={runs['lora'].folder}")
    assert "an adapter is merged before a run begins at it, and qlora wants files to load" in text
    assert f"luthier export {runs['lora'].folder} --format merged" in text


@pytest.mark.parametrize("method", ["prompt_tuning", "prefix_tuning"])
def test_more_virtual_tokens_than_the_context_has_room_for(method: str, run_file: Path, tmp_path: Path) -> None:
    place = f"{CONFIG}.{method}_config.num_virtual_tokens"
    text = refused(run_file, tmp_path, f"tuning_method={method}", f"{place}=500")
    assert f"{place}: 500 virtual tokens before a row of " in text
    assert "are more than the model's context of 512" in text
    assert "or `data.max_length: 12` with `data.too_long: cut_start`" in text
    room = int(text.split("`num_virtual_tokens: ")[1].split("`")[0])
    fits = [f"tuning_method={method}", f"{place}={room}", f"{CONFIG}.hyperparameters.max_steps=1"]
    assert worked(train([str(run_file)], overrides=fits, root=tmp_path))[0].steps == 1


@pytest.mark.parametrize("method", ["prompt_tuning", "prefix_tuning"])
def test_a_start_text_that_is_empty_or_longer_than_the_virtual_tokens(
    method: str, run_file: Path, tmp_path: Path
) -> None:
    section = f"{CONFIG}.{method}_config"
    few = [f"tuning_method={method}", f"{section}.num_virtual_tokens=2", f"{CONFIG}.hyperparameters.max_steps=1"]
    text = refused(run_file, tmp_path, *few, f"{section}.init_text=the order has not arrived")
    assert f"{section}.init_text: the text has " in text
    assert "tokens, and there are 2 virtual tokens\n  write a shorter text, or `num_virtual_tokens: " in text
    enough = int(text.rsplit(": ", 1)[1].rstrip("`"))
    assert enough > 2
    more = [*few, f"{section}.init_text=the order has not arrived", f"{section}.num_virtual_tokens={enough}"]
    assert worked(train([str(run_file)], overrides=more, root=tmp_path))[0].steps == 1
    assert "the text is empty" in refused(run_file, tmp_path / "empty", *few, f"{section}.init_text='  '")


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_layers_and_ranks_that_do_not_fit_are_said_all_at_once(method: str, run_file: Path, tmp_path: Path) -> None:
    section = f"{CONFIG}.lora_config"
    wrong = [f"{section}.target_modules=[k_proj, c_attn, embed_tokens]", f"{section}.r=17"]
    text = refused(run_file, tmp_path, f"tuning_method={method}", *wrong)
    assert f"{section}.target_modules: the model has no linear layer named c_attn" in text
    assert f"{section}.target_modules: no linear layer of those that LoRA stands beside: embed_tokens" in text
    assert "it has q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj" in text
    # keys: 32 -> 2 heads of width 8
    assert f"{section}.r: the rank 17 is over the width 16 of model.layers.0.self_attn.k_proj" in text
    assert "write at most 16" in text


def test_pissa_on_four_bits(run_file: Path, tmp_path: Path) -> None:
    text = refused(run_file, tmp_path, "tuning_method=qlora", f"{CONFIG}.lora_config.init=pissa")
    assert "needs whole weights, and these have four bits" in text


def test_qlora_where_bitsandbytes_is_missing(run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # An empty search path has no package's metadata on it: as on a machine without them.
    from importlib import metadata

    monkeypatch.setattr(metadata, "distributions", lambda **_: iter(()))
    monkeypatch.setattr(metadata.Distribution, "discover", classmethod(lambda cls, **_: iter(())))
    text = refused(run_file, tmp_path, "tuning_method=qlora")
    assert "tuning_method: qlora needs bitsandbytes>=0.46.1, which is not installed" in text
    assert "python -m pip install 'bitsandbytes>=0.46.1'" in text


@pytest.mark.parametrize("method", METHODS)
def test_damaged_weights_are_refused_by_name(method: str, runs: dict[str, Trained], tmp_path: Path) -> None:
    folder = shutil.copytree(runs[method].folder, tmp_path / "runs" / method)
    weights = next(path for path in (folder / "weights").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-50])
    with pytest.raises(UserError, match=f"the tuned weights are damaged: {weights.name} has") as error:
        worked(evaluate(str(folder)))
    assert str(folder) in str(error.value)
    assert "luthier train --resume" in str(error.value)


@pytest.mark.parametrize("method", ["lora", "qlora", "prompt_tuning", "prefix_tuning"])
def test_an_adapter_of_another_model_is_refused(
    method: str, runs: dict[str, Trained], tmp_path: Path, tiny_model_writer: Any
) -> None:
    other = tiny_model_writer(tmp_path / "other", hidden_size=64, num_key_value_heads=4)
    folder = shutil.copytree(runs[method].folder / "weights", tmp_path / "adapter")
    config = json.loads((folder / "adapter_config.json").read_text()) | {"base_model_name_or_path": str(other)}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="the adapter does not fit the model"):
        open_chat(str(folder))


def test_an_adapter_of_no_known_kind_is_refused(runs: dict[str, Trained], tmp_path: Path) -> None:
    folder = shutil.copytree(runs["lora"].folder / "weights", tmp_path / "adapter")
    config = json.loads((folder / "adapter_config.json").read_text()) | {"peft_type": "IA3"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="an adapter of the kind IA3 cannot be opened"):
        open_chat(str(folder))


def test_a_plain_model_is_left_as_it_is_by_a_run(tiny_model: Source, runs: dict[str, Trained]) -> None:
    assert set(runs) == set(METHODS)
    again = load_model(tiny_model, torch.float32).state_dict()
    with_tied = load_file(tiny_model.folder / "model.safetensors")
    assert all(torch.equal(again[name], tensor) for name, tensor in with_tied.items())
