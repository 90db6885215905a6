"""`luthier export`: where it writes, what it replaces and what it leaves alone, and what it says."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from luthier.errors import UserError
from luthier.export.formats import merged
from luthier.flow import Note
from luthier.models import Source
from luthier.runs.run import Run
from luthier.workflow.export import export
from luthier.workflow.train import Trained, train
from tests.workflow.conftest import worked, write_rows


@pytest.fixture
def run(trained: Trained, tmp_path: Path) -> Run:
    """The trained run, in a copy that may be written."""
    return Run.open(shutil.copytree(trained.folder, tmp_path / "runs" / "tickets"))


def mistake_of(error: pytest.ExceptionInfo[UserError]) -> tuple[str, str, str]:
    [found] = error.value.mistakes
    return found.where, found.message, found.remedy


def test_it_stands_in_the_run_under_the_format_s_name_and_luthier_opens_it(run: Run) -> None:
    made, events = worked(export(str(run.folder), format="merged"))
    folder = run.folder / "exports" / "merged"
    assert (made.run, made.format, made.path, made.verified) == ("tickets", "merged", str(folder), True)
    assert [path.name for path in folder.parent.iterdir()] == ["merged"]
    assert {"model.safetensors", "config.json", "generation_config.json", "tokenizer.json", "chat_template.jinja"} <= {
        path.name for path in folder.iterdir()
    }
    assert made.parity.rows == 12
    assert made.parity.rows_from.endswith("test.jsonl")
    assert str(events[-1]).count("verified, 100.00% of") == 1
    from luthier.flow import Message
    from luthier.workflow.chat import open_chat

    asked = [Message("user", "what colour has the sky, for the 3. time")]
    assert open_chat(str(folder)).ask(asked, 8) == open_chat(str(run.folder)).ask(asked, 8)


def test_an_earlier_export_is_replaced_and_anything_else_is_left_alone(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    worked(export(str(run.folder), format="merged", out=str(out)))
    worked(export(str(run.folder), format="adapter", out=str(out)))
    assert (out / "adapter_config.json").is_file()
    assert not (out / "config.json").exists()
    (out / "notes.txt").write_text("mine")
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    with pytest.raises(UserError) as error:
        worked(export(str(run.folder), format="adapter", out=str(out)))
    assert mistake_of(error) == (
        str(out),
        "holds notes.txt, which no export wrote, so the folder is left as it is",
        "move that file away, or name another folder with --out",
    )
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


@pytest.mark.parametrize("kind", ["a model folder", "a file", "a link", "the run's own weights", "beside it"])
def test_what_is_no_export_is_never_written_over(kind: str, run: Run, tiny_model: Source, tmp_path: Path) -> None:
    out = tmp_path / "out"
    if kind == "a model folder":
        shutil.copytree(tiny_model.folder, out)
    elif kind == "a file":
        out.write_text("mine")
    elif kind == "a link":
        out.symlink_to(tiny_model.folder)
    elif kind == "beside it":
        shutil.copytree(tiny_model.folder, tmp_path / "out-unverified")
    else:
        out = run.weights
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with pytest.raises(UserError, match="is not an earlier export, so it is left as it is"):
        worked(export(str(run.folder), format="merged", out=str(out)))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_an_unverified_export_leaves_the_verified_one_before_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    worked(export(str(run.folder), format="merged"))
    folder = run.folder / "exports" / "merged"
    before = (folder / "model.safetensors").read_bytes()
    write = merged.write

    def other_stops(finished: Any, folder: Path) -> None:
        write(finished, folder)
        settings = json.loads((folder / "generation_config.json").read_bytes())
        (folder / "generation_config.json").write_text(json.dumps(settings | {"eos_token_id": 5}))
        (folder / "chat_template.jinja").write_text("{{ messages }}")

    monkeypatch.setattr(merged, "write", other_stops)
    made, events = worked(export(str(run.folder), format="merged"))
    assert not made.verified
    assert made.path == f"{folder}-unverified"
    assert made.parity.differences == ("the chat template is not the run's", "an answer ends at other tokens")
    assert made.parity.in_float32.beyond == ()
    assert "NOT verified: the chat template is not the run's; an answer ends at other tokens" in str(events[-1])
    assert (folder / "model.safetensors").read_bytes() == before
    monkeypatch.undo()
    assert worked(export(str(run.folder), format="merged"))[0].verified
    assert [path.name for path in folder.parent.iterdir()] == ["merged"]


def test_rows_that_are_gone_are_replaced_by_packaged_questions_and_that_is_said(
    run_file: Path, tiny_model: Source, tmp_path: Path
) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", 8)
    overrides = [f"model={tiny_model.folder}", "training_config.hyperparameters.max_steps=1"]
    made, _ = worked(train([str(rows)], overrides=overrides, root=tmp_path / "runs"))
    rows.unlink()
    given, events = worked(export(str(made.folder), format="adapter"))
    assert (given.parity.rows_from, given.parity.rows, given.verified) == ("packaged questions", 16, True)
    [warning] = [event.text for event in events if isinstance(event, Note) and event.kind == "warning"]
    assert warning.startswith("compared on packaged questions, because ")
    assert "rows.jsonl" in warning


def test_a_bfloat16_run_is_compared_in_float32_and_in_its_own_type(run: Run, tmp_path: Path) -> None:
    text = run.settings_path.read_text(encoding="utf-8")
    changed = "".join(
        "    precision: bfloat16\n" if line.strip().startswith("precision:") else line for line in text.splitlines(True)
    )
    run.settings_path.write_text(changed, encoding="utf-8")
    for format, precision in (("adapter", "float32"), ("merged", "bfloat16")):
        made, _ = worked(export(str(run.folder), format=format, out=str(tmp_path / format)))
        assert made.verified
        assert made.parity.precision == precision
        assert (made.parity.in_float32.precision, made.parity.as_used.precision) == ("float32", "bfloat16")
        rounded = made.parity.in_float32.relative_logit_gap > 1e-4
        assert rounded == (format == "merged")
    assert json.loads((tmp_path / "merged" / "config.json").read_bytes())["dtype"] == "bfloat16"


def test_the_adapter_of_a_run_on_another_run_s_adapter_is_refused_and_the_merged_model_stands_alone(
    run_file: Path, trained: Trained, tmp_path: Path
) -> None:
    overrides = [f"model={trained.folder}", "training_config.hyperparameters.max_steps=2"]
    second, _ = worked(train([str(run_file)], overrides=overrides, root=tmp_path, name="second"))
    with pytest.raises(UserError) as error:
        worked(export(str(second.folder), format="adapter"))
    assert mistake_of(error) == (
        "--format adapter",
        "the run went on from another run's adapter: the model under its own stands in no folder",
        "luthier export second --format merged",
    )
    assert not (second.folder / "exports").exists()
    assert worked(export(str(second.folder), format="merged"))[0].verified


def test_generation_settings_that_transformers_would_not_save_are_kept(
    tiny_model_writer: Callable[..., Path], tmp_path: Path
) -> None:
    model = tiny_model_writer(tmp_path / "warm")
    path = model / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"temperature": 0.6, "do_sample": False}))
    rows = write_rows(tmp_path / "rows.jsonl", 8)
    overrides = [f"model={model}", "training_config.hyperparameters.max_steps=1"]
    run, _ = worked(train([str(rows)], overrides=overrides, root=tmp_path / "runs"))
    made, _ = worked(export(str(run.folder), format="merged"))
    assert made.verified
    assert json.loads((Path(made.path) / "generation_config.json").read_bytes())["temperature"] == 0.6


def test_four_bits_of_bfloat16_weights_are_the_same_for_peft(
    tiny_model_writer: Callable[..., Path], tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    model = tiny_model_writer(tmp_path / "half")
    tensors = {name: one.to(torch.bfloat16) for name, one in load_file(model / "model.safetensors").items()}
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((model / "config.json").read_bytes())
    (model / "config.json").write_text(json.dumps(config | {"dtype": "bfloat16"}))
    rows = write_rows(tmp_path / "rows.jsonl", 8)
    overrides = [f"model={model}", "tuning_method=qlora", "training_config.hyperparameters.max_steps=2"]
    overrides.append("training_config.hyperparameters.precision=float32")
    run, _ = worked(train([str(rows)], overrides=overrides, root=tmp_path / "runs"))
    for format in ("adapter", "merged"):
        made, _ = worked(export(str(run.folder), format=format))
        assert made.verified
        assert made.parity.in_float32.relative_logit_gap < 1e-5


def test_a_format_that_does_not_exist_names_those_that_do(trained: Trained) -> None:
    with pytest.raises(UserError, match=r"'onnx' is none of the formats\n  one of: .*adapter, .*merged"):
        worked(export(str(trained.folder), format="onnx"))


def test_a_full_disk_is_said_and_leaves_nothing(run: Run, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(UserError) as error:
            worked(export(str(run.folder), format="merged", out=str(tmp_path / "out")))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert mistake_of(error)[1] == "the disk is full"
    assert not list(tmp_path.glob("*out*"))


def test_a_folder_that_may_not_be_written_is_said(trained: Trained) -> None:
    with pytest.raises(UserError, match="this folder may not be written"):
        worked(export(str(trained.folder), format="adapter", out="/sys/out"))
