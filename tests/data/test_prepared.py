"""Prepared rows: equal to rows made one by one, whatever the number of processes, kills, caches and cuts."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luthier.data.check import load_rows, look
from luthier.data.parallel import each_block
from luthier.data.prepared import (
    Fit,
    Recipe,
    Shard,
    Table,
    _Opened,
    arrays_of,
    fit_rows,
    prepare_block,
    sweep,
    write_arrays,
)
from luthier.data.render import render, stop_tokens
from luthier.data.templates import load
from luthier.data.tokenize import fit, tokenize
from luthier.errors import UserError
from luthier.flow import Conversation, Message, Place, Problem, Rendered, Tokenized
from luthier.models import Source, load_tokenizer

ENDLESS = 10**6


@pytest.fixture(scope="module")
def recipe(tiny_model: Source) -> Recipe:
    tokenizer = load_tokenizer(tiny_model)
    template = load("model", {}, tokenizer)
    return Recipe(template, tokenizer, "answers", stop_tokens(template, tokenizer))


def write(path: Path, count: int, long: int = 0) -> Path:
    """Rows of one or two questions, classes a to c; every tenth is broken JSON, every fifteenth has an empty answer."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(1, count + 1):
            answer = " " if number % 15 == 0 else f"answer {number} " + "word " * (number % 7 + long)
            asked = [{"role": "user", "content": f"what about {number}?"}, {"role": "assistant", "content": answer}]
            row = {"messages": asked * (1 + number % 2), "category": "abc"[number % 3]}
            file.write('{"messages": [\n' if number % 10 == 0 else json.dumps(row) + "\n")
    return path


def prepared(paths: list[Path], recipe: Recipe, folder: Path, processes: int | None = 1) -> tuple[Table, list[Shard]]:
    sources, mistakes = look([(path, 1.0) for path in paths])
    assert not mistakes
    shards, numbered = [], []
    for number, _, found in each_block(
        paths, lambda number, block: prepare_block(block, sources[number], recipe, folder), processes
    ):
        assert isinstance(found, Shard)
        shards.append(found)
        numbered.append((number, found.path))
    return Table([source.name for source in sources], numbered), shards


def one_by_one(paths: list[Path], recipe: Recipe) -> list[tuple[Tokenized, ...]]:
    rows = []
    for conversation in load_rows([(path, 1.0) for path in paths], bad_rows="drop").conversations:
        rendered = render(conversation, recipe.template, recipe.tokenizer)
        assert isinstance(rendered, Rendered)
        made = tokenize(rendered, recipe.tokenizer)
        assert not isinstance(made, Problem)
        rows.append(made)
    return rows


def same(one: Tokenized, other: Tokenized) -> bool:
    return (
        bool((one.tokens == other.tokens).all() and (one.weights == other.weights).all())
        and (one.place, one.category) == (other.place, other.category)
        and (one.tokens.dtype.name, one.weights.dtype.name) == ("int32", "float32")
    )


@pytest.fixture
def two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """About ten blocks: blocks are made small."""
    monkeypatch.setattr("luthier.data.text.RUN_BYTES", 20_000)
    return [write(tmp_path / "one.jsonl", 700), write(tmp_path / "two.jsonl", 333)]


def test_three_processes_and_one_give_the_rows_that_come_one_by_one(
    two_files: list[Path], recipe: Recipe, tmp_path: Path
) -> None:
    wanted = one_by_one(two_files, recipe)
    for processes in (1, 3):
        table, shards = prepared(two_files, recipe, tmp_path / f"kept{processes}", processes)
        assert len(shards) > 8
        rows = fit_rows(table, np.arange(len(table)), Fit(ENDLESS, "stop", None)).rows
        assert len(rows) == sum(len(group) for group in wanted)
        assert all(
            same(one, other) for one, other in zip(rows, [row for group in wanted for row in group], strict=True)
        )
        counts = Counter[str]()
        for shard in shards:
            for _, reason, count in shard.checked.counts:
                counts[reason] += count
        # Of 1,033 rows 70 + 33 are broken; of the rest those that 15 but not 10 divides are empty: 23 + 11.
        assert counts == {"": 896, "invalid_json": 103, "empty_answer": 34}
        assert sum(len(shard.checked.problems) for shard in shards) >= 137


def test_a_second_time_only_what_is_new_is_made(two_files: list[Path], recipe: Recipe, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    _, before = prepared(two_files, recipe, kept)
    made = {path: path.stat().st_ino for path in kept.rglob("*.safetensors")}
    with two_files[1].open("a", encoding="utf-8") as file:
        file.write('{"messages": [{"role": "user", "content": "new"}, {"role": "assistant", "content": "row"}]}\n')
    table, after = prepared(two_files, recipe, kept)
    assert after[:-1] == before[:-1]
    assert {path: path.stat().st_ino for path in kept.rglob("*.safetensors") if path in made} == made
    assert len(list(kept.rglob("*.safetensors"))) == len(made) + 1
    assert table.on_disk.rows(len(table) - 1)[0].place == Place(str(two_files[1]), 334)


@pytest.mark.parametrize("change", ["template", "train_on", "stops"])
def test_another_recipe_never_finds_these_rows(recipe: Recipe, change: str) -> None:
    from dataclasses import replace

    template = replace(recipe.template, text=recipe.template.text + "{# #}")
    other = {"template": template, "train_on": "last_answer", "stops": (1, 2, 3)}[change]
    assert replace(recipe, **{change: other}).fingerprint != recipe.fingerprint  # type: ignore[arg-type]


def test_a_template_that_says_the_date_is_another_recipe_tomorrow(recipe: Recipe, monkeypatch: Any) -> None:
    from dataclasses import replace
    from datetime import datetime

    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime(2031, 1, 1)

    dated = replace(recipe.template, text="{{ strftime_now('%d') }}" + recipe.template.text)
    today = [replace(recipe, template=template).fingerprint for template in (recipe.template, dated)]
    monkeypatch.setattr("luthier.data.prepared.datetime", Tomorrow)
    then = [replace(recipe, template=template).fingerprint for template in (recipe.template, dated)]
    assert today[0] == then[0]
    assert today[1] != then[1]


def test_preparation_goes_on_where_it_was_killed(two_files: list[Path], recipe: Recipe, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    child = multiprocessing.get_context("fork").Process(target=prepared, args=(two_files, recipe, kept, 2))
    child.start()
    assert child.pid is not None
    while len(list(kept.glob("*/*.safetensors"))) < 3:
        time.sleep(0.001)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    time.sleep(0.3)  # its workers find out at their next result
    done = {path: path.stat().st_ino for path in kept.glob("*/*.safetensors")}
    table, shards = prepared(two_files, recipe, kept)
    assert {path: path.stat().st_ino for path in done} == done
    assert len(table) == 896
    assert len(shards) == len(list(kept.glob("*/*.safetensors")))


def test_a_file_cut_short_on_the_disk_is_made_anew(two_files: list[Path], recipe: Recipe, tmp_path: Path) -> None:
    table, shards = prepared(two_files, recipe, tmp_path / "kept")
    path = shards[0].path
    whole = path.read_bytes()
    for broken in (b"", whole[:100], whole[: len(whole) // 2]):
        path.write_bytes(broken)
        again, _ = prepared(two_files, recipe, tmp_path / "kept")
        assert path.read_bytes() == whole
        assert len(again) == len(table)


def test_a_long_row_is_cut_or_dropped_as_it_is_in_memory(recipe: Recipe, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", 40, long=3)
    wanted = one_by_one([path], recipe)
    table, _ = prepared([path], recipe, tmp_path / "kept")
    limit = int(np.median(table.lengths))
    assert table.longest().tolist() == [max(len(row.tokens) for row in group) for group in wanted]
    for too_long in ("drop", "cut_start", "cut_end"):
        expected = fit(wanted, limit, too_long, 1)
        found = fit_rows(table, np.arange(len(table)), Fit(limit, too_long, 1))
        assert all(same(one, other) for one, other in zip(found.rows, expected.kept, strict=True))
        assert (len(found.dropped), len(found.cut)) == (len(expected.dropped), len(expected.cuts))
        assert found.tokens.sum() == sum(len(row.tokens) for row in expected.kept)
        assert found.trained.sum() == sum(row.trained_tokens for row in expected.kept)
        assert found.rows.longest == max(len(row.tokens) for row in expected.kept)
        assert found.problems.listed == list(expected.problems)


@given(
    st.lists(st.lists(st.lists(st.sampled_from([0.0, 1.0, 0.3, 2.5]), min_size=1, max_size=6), max_size=3), max_size=6),
    st.sampled_from([300, 70_000]),
)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_tokens_and_weights_come_back_from_the_disk(
    tmp_path: Path, groups: list[list[list[float]]], vocabulary: int
) -> None:
    random = np.random.default_rng(len(groups))
    conversations, rows = [], []
    for number, group in enumerate(groups, 1):
        place, category = Place("r.jsonl", number), "x" if number % 2 else None
        conversations.append(Conversation("chat", (Message("user", str(number)),), place, category))
        rows.append(
            tuple(
                Tokenized(
                    random.integers(0, vocabulary, len(w)).astype(np.int32), np.array(w, np.float32), place, category
                )
                for w in group
            )
        )
    write_arrays(tmp_path / "shard" / "s.safetensors", arrays_of(conversations, rows))
    opened = _Opened(tmp_path / "shard" / "s.safetensors")
    for number, (conversation, wanted) in enumerate(zip(conversations, rows, strict=True)):
        found = opened.rows(number, "r.jsonl", conversation.category or "")
        assert all(same(one, other) for one, other in zip(found, wanted, strict=True))


def test_the_oldest_kept_files_go_first_and_used_ones_never(tmp_path: Path) -> None:
    (tmp_path / "aa").mkdir()
    paths = [tmp_path / "aa" / f"{number}.safetensors" for number in range(4)]
    for number, path in enumerate(paths):
        path.write_bytes(b"x" * 100)
        os.utime(path, (1000 + number, 1000 + number))
    sweep(tmp_path, [paths[0]], most_bytes=250)
    assert [path.exists() for path in paths] == [True, False, False, True]


def test_a_file_that_breaks_off_is_one_error_beside_the_rows_before_it(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("luthier.data.read.BLOCK_ROWS", 50)
    broken, fine = tmp_path / "broken.json", write(tmp_path / "fine.jsonl", 20)
    row = json.dumps({"instruction": "say", "response": "x"})
    broken.write_text("[" + ",\n".join([row] * 500) + ",\n{oops", encoding="utf-8")
    for processes in (1, 3):
        found = list(each_block([broken, fine], lambda number, block: len(list(block.rows())), processes))
        errors = [error for *_, error in found if isinstance(error, UserError)]
        assert [error.mistakes[0].where for error in errors] == [f"{broken}:501"]
        assert sum(count for number, _, count in found if number == 0 and isinstance(count, int)) == 500
        assert sum(count for number, _, count in found if number == 1 and isinstance(count, int)) == 20


def test_a_fault_in_a_worker_is_told_with_its_traceback(two_files: list[Path]) -> None:
    def fail(number: int, block: Any) -> int:
        raise ZeroDivisionError("in the worker")

    with pytest.raises(RuntimeError, match="in the worker"):
        list(each_block(two_files, fail, 2))


def test_a_worker_that_is_killed_is_a_user_s_error(two_files: list[Path]) -> None:
    def die(number: int, block: Any) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    with pytest.raises(UserError, match="ended from outside"):
        list(each_block(two_files, die, 2))


def test_a_file_that_grows_while_it_is_read_is_refused(two_files: list[Path]) -> None:
    work = each_block(two_files, lambda number, block: block.first_line, 2)
    next(work)
    with two_files[0].open("a", encoding="utf-8") as file:
        file.write("{}\n")
    with pytest.raises(UserError, match="changed while it was read"):
        list(work)
