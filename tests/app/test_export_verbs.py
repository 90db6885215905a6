"""`luthier export` and `luthier selftest` on the command line, and their Python functions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from luthier.export.formats import merged
from luthier.workflow import selftest as workflow
from tests.workflow.conftest import run_file, trained

__all__ = ["run_file", "trained"]

Command = Callable[..., Any]


def test_an_export_gives_the_contract_s_keys(trained: Any, luthier_command: Command, tmp_path: Path) -> None:
    done = luthier_command("export", str(trained.folder), "--format", "merged", "--out", str(tmp_path / "a"), "--json")
    assert done.code == 0, done.err
    assert set(done.json) == {"version", "run", "format", "path", "parity", "verified"}
    assert (done.json["path"], done.json["verified"]) == (str(tmp_path / "a"), True)
    numbers = done.json["parity"]["in_float32"]
    assert {"largest_logit_gap", "relative_logit_gap", "mean_kl", "equal_greedy_tokens", "limits"} <= set(numbers)
    assert set(numbers["equal_greedy_tokens"]) >= {"value", "low", "high", "n"}
    assert set(numbers["limits"]) == {"relative_logit_gap", "mean_kl", "equal_greedy_tokens", "reason"}
    said = json.loads((tmp_path / "a" / "parity.json").read_bytes())
    assert said["in_float32"] == numbers


def test_an_unverified_export_is_code_1_with_the_numbers(
    trained: Any, luthier_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merged, "write", _doubled(merged.write))
    done = luthier_command("export", str(trained.folder), "--format", "merged", "--out", str(tmp_path / "a"))
    assert done.code == 1
    assert "NOT verified: relative_logit_gap in float32 is " in done.err
    assert f"merged export in {tmp_path / 'a-unverified'}: NOT verified" in done.out
    assert "over the largest logit" in done.out


def _doubled(write: Any) -> Any:
    def other(finished: Any, folder: Path) -> None:
        tuned = finished.tuned

        def louder(precision: str) -> Any:
            engine = tuned(precision)
            engine.tuned.model.model.norm.weight.data *= 2
            return engine

        # Written from another model than the one that it is compared with.
        write(
            type(finished)(**{name: getattr(finished, name) for name in finished.__slots__} | {"tuned": louder}), folder
        )

    return other


def test_an_export_without_a_form_is_code_2(trained: Any, luthier_command: Command) -> None:
    done = luthier_command("export", str(trained.folder), "--format", "gguf2", "--json")
    assert done.code == 2
    assert "one of: adapter, merged" in done.json["errors"][0]["remedy"]


def test_selftest_prints_what_was_measured_beside_its_limit(
    luthier_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = [workflow.Claim("one", "one is small", 0.5, lambda: 0.25), workflow.Claim("two", "two is", 1, lambda: 1.5)]
    monkeypatch.setattr(workflow, "CLAIMS", claims)
    done = luthier_command("selftest")
    assert done.code == 1
    lines = [line.split() for line in done.out.splitlines() if line.strip()]
    assert ["holds", "one", "is", "small", "0.25", "0.5"] in lines
    assert ["FAILS", "two", "is", "1.5", "1"] in lines
    assert "1 of 2 claims hold on " in done.out
    found = luthier_command("selftest", "--json").json
    assert found["passed"] is False
    assert {"name": "one", "claim": "one is small", "passed": True, "measured": 0.25, "limit": 0.5}.items() <= (
        found["checks"][0].items()
    )
    monkeypatch.setattr(workflow, "CLAIMS", claims[:1])
    assert luthier_command("selftest").code == 0


def test_export_is_the_verb_and_the_package(trained: Any, tmp_path: Path) -> None:
    import luthier
    import luthier.export.formats.adapter as adapter
    from luthier.export.parity import LIMITS

    verb: Any = luthier.export
    made = verb(str(trained.folder), format="adapter", out=str(tmp_path / "a"))
    assert made.verified
    assert set(LIMITS) == {"float32", "bfloat16"}
    assert adapter.__name__ == "luthier.export.formats.adapter"
