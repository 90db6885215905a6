"""What is kept of the battery's runs: logs, settings, reports and answers, an archive a run, and an index of each half.

Weights and checkpoints stay out, and so does the page. Places on the machine that made a run are taken out of its
files, losses of rows are rounded, and of the answers only those to the test rows are kept, so that all runs of all
halves take less than 5 MB.
"""

from __future__ import annotations

import io
import json
import lzma
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from benchmarks.measuring import ROOT, SCRATCH, commit, machine
from luthier.runs.run import Run

FOLDER = Path(__file__).with_name("kept")
UNPACKED = SCRATCH / "sick_runs" / "kept"
FILES = (
    "run.json",
    "settings.yaml",
    "provenance.json",
    "rows.json",
    "mask.json",
    "passes.json",
    "environment.json",
    "log.jsonl",
    "reports/evaluation.json",
    "answers/evaluation.jsonl",
)


def index(half: str) -> dict[str, Any]:
    """The half's index: `runs` by name, each with the expected symptom and what the judge measured; `missing` those
    that could not be made; machine and commit."""
    path = FOLDER / half / "index.json"
    if not path.is_file():
        return {"runs": {}, "missing": {}}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def keep(half: str, name: str, folder: Path, entry: Mapping[str, Any]) -> None:
    """Keeps a run's files as `<name>.tar.xz` and its entry in the index."""
    aside = folder.parent / "aside" / name
    shutil.rmtree(aside, ignore_errors=True)
    for file in FILES:
        if (folder / file).is_file():
            (aside / file).parent.mkdir(parents=True, exist_ok=True)
            (aside / file).write_bytes(_plain(file, (folder / file).read_bytes()))
    Run(aside).seal()
    (FOLDER / half).mkdir(parents=True, exist_ok=True)
    (FOLDER / half / f"{name}.tar.xz").write_bytes(_packed(aside))
    shutil.rmtree(aside)
    found = index(half)
    found["runs"][name] = {**entry, "commit": commit()}
    found["missing"].pop(name, None)
    _write(half, found)


def give_up(half: str, name: str, replaced: Sequence[Mapping[str, Any]]) -> None:
    """Writes down that no seed gave the run as it was meant."""
    found = index(half)
    found["missing"][name] = list(replaced)
    _write(half, found)


def bind(half: str, rules: Mapping[str, str]) -> None:
    """Writes down which rules of diagnosis stood before the half was made. Raises `SystemExit` where it was begun after
    other ones."""
    found = index(half)
    if found.setdefault("rules", dict(rules)) != dict(rules):
        raise SystemExit(f"the half was begun after the rules of {found['rules']}, not {dict(rules)}")
    _write(half, found)


def unpacked(half: str, name: str) -> Path:
    """The folder of a kept run, unpacked where it was not yet."""
    archive, folder = FOLDER / half / f"{name}.tar.xz", UNPACKED / half / name
    if not (folder / "run.json").is_file() or folder.stat().st_mtime < archive.stat().st_mtime:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with tarfile.open(archive, "r:xz") as packed:
            packed.extractall(folder, filter="data")
    return folder


def _write(half: str, found: dict[str, Any]) -> None:
    found = {"machine": machine(), **{name: found[name] for name in ("rules", "runs", "missing") if name in found}}
    path = FOLDER / half / "index.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(".index.json.new")
    aside.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    aside.replace(path)


def _plain(file: str, content: bytes) -> bytes:
    """A file without places on this machine; a log with rounded losses."""
    for place in (SCRATCH / "sick_runs", ROOT, ROOT.parent, Path.home()):
        content = content.replace(str(place).encode(), b".")
    if file == "environment.json":
        environment = orjson.loads(content)
        environment.update(command=["python", "-m", "benchmarks.sick_runs"], executable="python")
        return orjson.dumps(environment, option=orjson.OPT_INDENT_2)
    if file == "log.jsonl":
        return b"".join(_rounded(orjson.loads(line)) for line in content.splitlines())
    return content


def _rounded(entry: dict[str, Any]) -> bytes:
    for name in ("row_losses", "train_losses"):
        if name in entry:
            entry[name] = [[None if loss is None else float(f"{loss:.4g}"), tokens] for loss, tokens in entry[name]]
    for name in ("epoch", "train_loss", "learning_rate", "grad_norm", "seconds"):
        if isinstance(entry.get(name), float):
            entry[name] = float(f"{entry[name]:.6g}")
    return orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE)


def _packed(folder: Path) -> bytes:
    """All files of the folder as a tar.xz, the same bytes for the same files."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as packed:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            fact = tarfile.TarInfo(str(path.relative_to(folder)))
            fact.size, fact.mode = path.stat().st_size, 0o644
            packed.addfile(fact, io.BytesIO(path.read_bytes()))
    return lzma.compress(plain.getvalue(), preset=9)
