"""The cache of converted models: made once, by one process, and never seen half-made."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest

from luthier.errors import UserError
from luthier.models import cache

MAKER = """
import sys, time
from pathlib import Path
from luthier.models import cache

def make(folder):
    (folder / "half").write_text("x")
    with open(sys.argv[1], "a") as count:
        count.write("made\\n")
    print("making", flush=True)
    time.sleep(float(sys.argv[2]))
    (folder / "whole").write_text("y")

print(cache.keep("model", make), flush=True)
"""


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LUTHIER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def write(text: str, folder: Path) -> None:
    (folder / "weights").write_text(text)


def start(counter: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MAKER, str(counter), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": os.getcwd()})


def test_two_processes_at_once_make_it_once(own_home: Path, tmp_path: Path) -> None:
    both = [start(tmp_path / "count", 0.5) for _ in range(2)]
    said = [process.communicate()[0].split("\n")[-2] for process in both]
    assert said == [str(own_home / "models" / "model")] * 2
    assert (tmp_path / "count").read_text() == "made\n"


def test_what_a_killed_process_left_does_not_count(own_home: Path, tmp_path: Path) -> None:
    with start(tmp_path / "count", 60) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "making\n"
        process.send_signal(signal.SIGKILL)
    assert (own_home / "models" / ".model.making" / "half").exists()
    assert cache.entry("model") is None

    def make(folder: Path) -> None:
        assert list(folder.iterdir()) == []
        (folder / "whole").write_text("z")

    folder = cache.keep("model", make)
    assert {path.name for path in folder.iterdir()} == {"whole", "manifest.json"}
    assert {path.name for path in folder.parent.iterdir()} == {"model", ".model.lock"}


def test_the_manifest_names_sizes_and_hashes() -> None:
    folder = cache.keep("model", partial(write, "abc"))
    content = json.loads((folder / "manifest.json").read_text())
    assert content["files"] == {"weights": {"bytes": 3, "sha256": sha256(b"abc").hexdigest()}}


def test_a_file_of_another_size_is_made_again() -> None:
    make = partial(write, "abc")
    folder = cache.keep("model", make)
    write("ab", folder)
    assert cache.entry("model") is None
    assert (cache.keep("model", make) / "weights").read_text() == "abc"


def test_a_maker_that_fails_leaves_nothing(own_home: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.keep("model", make)
    assert {path.name for path in (own_home / "models").iterdir()} <= {".model.lock"}


def test_a_full_disk_says_where_else_to_keep_models(own_home: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(UserError) as error:
            cache.keep("model", partial(write, "x" * 2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    (found,) = error.value.mistakes
    assert found.message == "the model cannot be kept: the disk is full"
    assert found.where == str(own_home / "models")
    assert "LUTHIER_HOME" in found.remedy
    assert cache.entry("model") is None


def test_a_home_that_may_not_be_written_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTHIER_HOME", "/sys/luthier")
    with pytest.raises(UserError, match="it may not be written"):
        cache.keep("model", lambda folder: None)


def test_without_a_chosen_home_it_is_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LUTHIER_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere/cache")
    assert cache.home() == Path("/somewhere/cache/luthier")
