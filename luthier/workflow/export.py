"""`luthier export`: a run in a form that other tools load, read back by them and compared with the run."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from luthier import plugins
from luthier.data.render import render_all
from luthier.data.tokenize import tokenize_all
from luthier.engine.forward import Engine
from luthier.errors import UserError, mistake
from luthier.export.finished import Finished
from luthier.export.parity import LIMITS, Comparison, chosen, compare, run_logits
from luthier.export.questions import questions
from luthier.export.reading import differences
from luthier.flow import Event, Note, Place, Rendered, Tokenized
from luthier.runs import whole
from luthier.workflow import run_file
from luthier.workflow.evaluate import asked_rows, rows_to_judge
from luthier.workflow.opened_run import Opened, open_run

FORMATS = "luthier.export.formats"
EXPORTS = "exports"
"""The folder of a run that holds its exports, each under its format's name."""
PARITY_FILE = "parity.json"
UNVERIFIED = "-unverified"
"""Behind an export's name until it is proven, and for good where it is not."""
VERSION = 1


@dataclass(frozen=True, slots=True)
class Parity:
    """How far an export is from its run, measured on `rows` rows of `rows_from`.

    `precision` is the number type of the export's weights. `in_float32` computes both in float32, so that what is left
    of a difference is in the files; `as_used` in the number type that the run's model is computed in. `differences`
    is what stands beside the weights and is not the run's.
    """

    rows_from: str
    rows: int
    precision: str
    in_float32: Comparison
    as_used: Comparison
    differences: tuple[str, ...]

    @property
    def verified(self) -> bool:
        return not (self.in_float32.beyond or self.as_used.beyond or self.differences)


@dataclass(frozen=True, slots=True)
class Exported:
    """An export: `path` is its folder, `parity` how far it is from the run, `verified` whether that is within the
    limits."""

    run: str
    format: str
    path: str
    parity: Parity
    verified: bool


def export(
    run: str, *, format: str, out: str | None = None, root: Path = Path("runs")
) -> Generator[Event, None, Exported]:
    """Writes runs/NAME/exports/FORMAT, or the folder `out`, and proves it.

    An earlier export there is replaced once the new one is proven. One that is beyond a limit stays beside it with
    `-unverified` in its name, and nothing else changes. Raises `UserError` where the run has no such form, or the
    folder holds anything but an earlier export.
    """
    form = plugins.load(FORMATS, format)
    opened = yield from open_run(run, root)
    finished = _finished(opened)
    if refused := form.refuse(finished):
        raise UserError(refused)
    target = Path(out).expanduser() if out else opened.run.folder / EXPORTS / format
    target = target if target.name not in ("", "..") else target.resolve()
    unproven = target.with_name(target.name + UNVERIFIED)
    for folder in (target, unproven):
        _refuse_foreign(folder)
    rows, source = yield from _rows(opened)
    with nullcontext() if out else opened.run.lock():
        yield Note("file", f"writing {unproven}")
        whole.make_folder(target.parent, above=True)
        whole.write_folder(unproven, lambda folder: _write(form, finished, folder))
        parity = yield from _proven(form, finished, unproven, rows, source)
        _record(unproven, finished, format, parity)
        path = target if parity.verified else unproven
        if parity.verified:
            whole.write_folder(target, lambda folder: _move(unproven, folder))
            unproven.rmdir()
    yield Note("file" if parity.verified else "warning", f"{path}: {verdict(parity)}")
    return Exported(finished.name, format, str(path), parity, parity.verified)


def verdict(parity: Parity) -> str:
    """What became of the proof, in one line."""
    if parity.verified:
        share = parity.in_float32.equal_greedy_tokens
        return f"verified, {share.value:.2%} of {share.n:,} greedy tokens are the run's"
    found = list(parity.differences)
    for name, comparison in (("in float32", parity.in_float32), ("as used", parity.as_used)):
        numbers = {
            "relative_logit_gap": comparison.relative_logit_gap,
            "mean_kl": comparison.mean_kl,
            "equal_greedy_tokens": comparison.equal_greedy_tokens.value,
        }
        found += [
            f"{beyond} {name} is {numbers[beyond]:.3g}, the limit {getattr(comparison.limits, beyond):g}"
            for beyond in comparison.beyond
        ]
    return f"NOT verified: {'; '.join(found)}"


def _finished(opened: Opened) -> Finished:
    settings, source = opened.settings, opened.base.source
    method = run_file.method(settings.tuning_method)

    def tuned(precision: str) -> Engine:
        training = settings.training_config
        hyper = training.hyperparameters.model_copy(update={"precision": precision})
        changed = training.model_copy(update={"hyperparameters": hyper})
        other = replace(opened, settings=settings.model_copy(update={"training_config": changed}))
        return other.tuned(other.open_base())

    base = None if source.adapter else source.name if source.kind == "hub" else str(source.folder)
    return Finished(
        name=opened.run.name,
        method_name=settings.tuning_method,
        method=method,
        settings=getattr(settings.training_config, method.SECTION) if method.SECTION else None,
        weights=opened.run.weights,
        base=base,
        base_folder=source.folder,
        precision=settings.training_config.hyperparameters.precision,
        tokenizer=opened.tokenizer,
        stops=opened.stops,
        tuned=tuned,
    )


def _rows(opened: Opened) -> Generator[Event, None, tuple[list[Tokenized], str]]:
    """Rows to compare on, of the run's test or validation rows; where there are none (any more), packaged questions."""
    try:
        judged = yield from rows_to_judge(opened.settings, None)
        conversations, source = judged.conversations, judged.source
        _, rows = asked_rows(conversations, opened)
    except UserError as error:
        reason = error.mistakes[0]
        yield Note("warning", f"compared on packaged questions, because {reason.where}: {reason.message}")
        rows, source = _packaged(opened), "packaged questions"
    return chosen(rows), source


def _packaged(opened: Opened) -> list[Tokenized]:
    """The packaged questions under the run's template, or as plain text where it takes none of them."""
    asked = questions()
    rendered = [row for row in render_all(asked, opened.template, opened.tokenizer) if isinstance(row, Rendered)]
    found = [row[0] for row in tokenize_all(rendered, opened.tokenizer) if isinstance(row, tuple)]
    if found:
        return found
    texts = [" ".join(message.content for message in row.messages) for row in asked]
    tokens = [np.array(opened.tokenizer.encode(text, add_special_tokens=False), dtype=np.int32) for text in texts]
    return [
        Tokenized(own, np.ones(len(own), dtype=np.float32), Place("packaged questions", number))
        for number, own in enumerate(tokens, 1)
    ]


def _write(form: Any, finished: Finished, folder: Path) -> None:
    """The export with a parity.json that says no more yet than which files belong to it."""
    form.write(finished, folder)
    names = sorted([*(path.name for path in folder.iterdir()), PARITY_FILE])
    facts = {"version": VERSION, "run": finished.name, "verified": False, "files": names}
    (folder / PARITY_FILE).write_text(json.dumps(facts), encoding="utf-8")


def _record(folder: Path, finished: Finished, format: str, parity: Parity) -> None:
    """parity.json, which also marks the folder as an export and says what belongs to it."""
    facts = {
        "version": VERSION,
        "run": finished.name,
        "format": format,
        "verified": parity.verified,
        **asdict(parity),
        "files": sorted(path.name for path in folder.iterdir()),
    }
    whole.write_json(folder / PARITY_FILE, facts)


def _proven(
    form: Any, finished: Finished, folder: Path, rows: Sequence[Tokenized], source: str
) -> Generator[Event, None, Parity]:
    """The export read back from its files and compared, in float32 and as it is used."""
    written = form.precision(finished)

    def compared(precision: str, what: str) -> Generator[Event, None, Comparison]:
        engine = finished.tuned(precision)
        device = engine.device
        ours = yield from run_logits(engine, rows, what)
        del engine
        coarsest = "float32" if {precision, written} == {"float32"} else "bfloat16"
        theirs = form.read(finished, folder, precision, device)
        return (yield from compare(rows, ours, theirs, precision, LIMITS[coarsest], what))

    as_used = in_float32 = yield from compared("float32", "comparing in float32")
    if finished.precision != "float32":
        as_used = yield from compared(finished.precision, f"comparing in {finished.precision}")
    found = differences(finished, folder, list(rows))
    return Parity(source, len(rows), written, in_float32, as_used, found)


def _refuse_foreign(folder: Path) -> None:
    """Raises `UserError` where a folder is there that is not an earlier export, or holds more than one wrote."""
    if not (folder.exists() or folder.is_symlink()):
        return
    remedy = "name another folder with --out"
    if folder.is_dir() and not folder.is_symlink():
        names = {path.name for path in folder.iterdir()}
        if not names:
            return
        try:
            known = set(json.loads((folder / PARITY_FILE).read_text(encoding="utf-8"))["files"])
        except (OSError, ValueError, KeyError, TypeError):
            known = set()
        if known and names <= known:
            return
        if known:
            message = f"holds {min(names - known)}, which no export wrote, so the folder is left as it is"
            raise mistake(message, str(folder), f"move that file away, or {remedy}")
    raise mistake("exists and is not an earlier export, so it is left as it is", str(folder), remedy)


def _move(source: Path, folder: Path) -> None:
    for path in source.iterdir():
        path.rename(folder / path.name)
