"""What environment.json says, and what it must not."""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

import pytest

from luthier.runs import describe_environment, without_secrets


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["train", "a.yaml", "--seed", "3"], ["train", "a.yaml", "--seed", "3"]),
        (["--token", "abc", "--name", "x"], ["--token", "***", "--name", "x"]),
        (["--api-key", "--token", "x"], ["--api-key", "***", "x"]),
        (["--hf_token=abc"], ["--hf_token=***"]),
        (["HF_TOKEN=hf_abcdefghij", "luthier"], ["HF_TOKEN=***", "luthier"]),
        (["chat", "--prompt", "my key is sk-proj-abcdefgh12"], ["chat", "--prompt", "my key is ***"]),
        (["https://me:word@example.org/a"], ["https://***@example.org/a"]),
        (["--set", "data.train=monkey.jsonl"], ["--set", "data.train=monkey.jsonl"]),
        (["--max-tokens", "20"], ["--max-tokens", "20"]),
        (["--set", "serve.api_key=abc"], ["--set", "serve.api_key=***"]),
    ],
)
def test_secrets_are_replaced_and_nothing_else(command: list[str], shown: list[str]) -> None:
    assert without_secrets(command) == shown


def test_the_environment_names_versions_machine_data_and_command(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(b"{}\n")
    found = describe_environment(["luthier", "train", "--token", "abc"], [rows])
    assert found["versions"]["python"] == sys.version.split()[0]
    assert all(found["versions"][name] for name in ("luthier", "torch", "transformers", "peft"))
    assert found["machine"]["cores"] >= 1
    assert found["machine"]["memory_bytes"] > 1_000_000_000
    assert found["data"] == [{"path": str(rows), "bytes": 3, "sha256": sha256(b"{}\n").hexdigest()}]
    assert found["command"] == ["luthier", "train", "--token", "***"]


def test_the_run_folder_needs_no_torch() -> None:
    import subprocess

    code = (
        "import sys; from luthier.runs import Run, describe_environment; describe_environment([], [])\n"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
