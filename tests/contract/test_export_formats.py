"""What every export format must keep, with every method: read back by its own tool it answers as the run does, a broken
weight is found, and what has no such form is refused with the form that there is."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from luthier import plugins
from luthier.errors import UserError
from luthier.workflow.export import FORMATS, Exported, export
from luthier.workflow.run_file import METHODS
from tests.export.conftest import finished_run
from tests.workflow.conftest import worked

__all__ = ["finished_run"]

TRAINABLE = [name for name in plugins.names(METHODS) if hasattr(plugins.load(METHODS, name), "attach")]
every_pair = pytest.mark.parametrize(
    ("format", "method"), [(format, method) for format in plugins.names(FORMATS) for method in TRAINABLE]
)


def exported(run: Path, format: str, out: Path) -> Exported | None:
    """The export; None where this method has none, after a look at the refusal."""
    try:
        return worked(export(str(run), format=format, out=str(out)))[0]
    except UserError as error:
        [refused] = error.mistakes
        assert refused.where == f"--format {format}"
        assert refused.remedy.startswith(f"luthier export {run.name} --format ")
        assert not list(out.parent.glob(f"{out.name}*"))
        other = refused.remedy.rpartition(" ")[2]
        assert worked(export(str(run), format=other, out=str(out)))[0].verified, "the remedy does not help"
        return None


@every_pair
def test_read_back_it_is_the_run(format: str, method: str, finished_run: Callable[[str], Path], tmp_path: Path) -> None:
    made = exported(finished_run(method), format, tmp_path / "out")
    if made is None:
        return
    assert made.verified
    assert made.path == str(tmp_path / "out")
    assert made.parity.in_float32.equal_greedy_tokens.value == 1
    assert made.parity.in_float32.equal_greedy_tokens.n >= made.parity.rows == 6
    assert made.parity.in_float32.relative_logit_gap < 1e-5
    said = json.loads((tmp_path / "out" / "parity.json").read_bytes())
    assert said["verified"] is True
    assert said["in_float32"]["mean_kl"] == made.parity.in_float32.mean_kl
    assert set(said["files"]) == {path.name for path in (tmp_path / "out").iterdir()}
    assert "README.md" in said["files"]


@every_pair
def test_a_broken_weight_is_found(
    format: str, method: str, finished_run: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = plugins.load(FORMATS, format)
    write = form.write

    def broken(finished: Any, folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        write(finished, folder)
        [path] = folder.glob("*.safetensors")
        tensors = load_file(path)
        name = max(tensors, key=lambda name: (tensors[name].numel(), name))
        tensors[name] = tensors[name] + 0.05 * torch.ones_like(tensors[name])
        save_file(tensors, path, metadata={"format": "pt"})

    monkeypatch.setattr(form, "write", broken)
    try:
        made, events = worked(export(str(finished_run(method)), format=format, out=str(tmp_path / "out")))
    except UserError:
        return  # looked at above
    assert not made.verified
    assert made.path == str(tmp_path / "out-unverified")
    assert not (tmp_path / "out").exists()
    assert json.loads((tmp_path / "out-unverified" / "parity.json").read_bytes())["verified"] is False
    assert "relative_logit_gap" in made.parity.in_float32.beyond
    assert "NOT verified: relative_logit_gap in float32 is " in str(events[-1])


@every_pair
def test_its_readme_loads_it_and_it_answers(
    format: str,
    method: str,
    finished_run: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from luthier.flow import Message
    from luthier.models.quiet import quiet
    from luthier.workflow.chat import open_chat

    run = finished_run(method)
    if exported(run, format, tmp_path / "out") is None:
        return
    shutil.move(tmp_path / "out", tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    code = Path("README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    # On CPUs with bfloat16 instructions it packs weights anew, which fails for layers as narrow as these.
    monkeypatch.setattr("bitsandbytes.nn.modules.has_avx512bf16", lambda: False)
    with quiet():
        exec(code, names)
    asked = "what colour has the sky, for the 3. time"
    tokens = names["tokenizer"].apply_chat_template(
        [{"role": "user", "content": asked}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    chat = open_chat(str(run))
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # PEFT says that it counts the positions itself
        answer = names["model"].generate(
            **tokens, max_new_tokens=8, do_sample=False, eos_token_id=list(chat.stops), pad_token_id=2
        )
    said = answer[0, tokens["input_ids"].shape[1] :].tolist()
    said = said[:-1] if said[-1] in chat.stops else said
    assert names["tokenizer"].decode(said) == chat.ask([Message("user", asked)], limit=8)
