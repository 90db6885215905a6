"""Rows that a run makes for itself: changed rows, even classes, base's own answers; on the training side alone."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from luthier.data.augment import augmented
from luthier.data.check import load_rows
from luthier.engine.forward import Engine
from luthier.errors import UserError
from luthier.evaluation.general import sampled, unscored
from luthier.flow import Event, Note, StepLog, Tokenized
from luthier.models import Source, load_model, load_tokenizer
from luthier.runs.run import Run
from luthier.workflow import run_file
from luthier.workflow.added_rows import REPLAY
from luthier.workflow.loaded_model import engine_of
from luthier.workflow.prepare import Prepared, prepare
from luthier.workflow.train import train
from tests.workflow.conftest import worked, write_rows


def notes(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Note)]


def prepared(model: Source, data: Path, *overrides: str) -> tuple[Prepared, list[str]]:
    loaded = run_file.read([], None, [f"model={model.folder}", f"data.train={data}", *overrides])
    found, events = worked(prepare(loaded, load_tokenizer(model), 512, (2,)))
    return found, notes(events)


def texts(rows: Any, model: Source) -> list[str]:
    tokenizer = load_tokenizer(model)
    return [tokenizer.decode(row.tokens.tolist()) for row in rows]


def asked(text: str) -> str:
    return text.split("<|im_start|>user\n")[1].split("<|im_end|>")[0]


# ------------------------------------------------------------------------------------------------ changed rows


def test_training_rows_alone_are_trained_on_changed_with_their_answers(tiny_model: Source, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "rows.jsonl", 40)
    plain, _ = prepared(tiny_model, data)
    found, said = prepared(tiny_model, data, "data.augment=[case, typos]")
    before, after = texts(plain.train, tiny_model), texts(found.train, tiny_model)
    assert after[: len(before)] == before
    assert texts(found.validation, tiny_model) == texts(plain.validation, tiny_model)
    rows = {row.place.line: row for row in load_rows([(data, 1.0)]).conversations}
    wanted = []
    for name in ("case", "typos"):
        for row in plain.train:
            changed = augmented(rows[row.place.line], name, seed=0)
            if changed is not None:
                wanted.append((changed.messages[1].content, changed.messages[2].content, changed.category))
    made = [found.train[at] for at in range(len(before), len(after))]
    ours = [
        (asked(text), text.rsplit("assistant\n")[1].removesuffix("<|im_end|>"), row.category)
        for text, row in zip(after[len(before) :], made, strict=True)
    ]
    assert ours == wanted
    assert len(wanted) > 36
    assert {row.place.file for row in made} == {f"case of {data}", f"typos of {data}"}
    held = {asked(text).casefold() for text in texts(found.validation, tiny_model)}
    assert held.isdisjoint(asked(text).casefold() for text in after)
    assert any("data.augment case: it applies to 36 of 36 training rows" in text for text in said)


def test_changed_rows_are_counted_by_their_source_and_add_up(tiny_model: Source, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "rows.jsonl", 40)
    found, _ = prepared(tiny_model, data, "data.augment=[case]")
    account = found.account.to_data()
    assert account["sources"][f"case of {data}"]["made"] == account["sources"][f"case of {data}"]["kept"] == 36
    assert account["sources"][str(data)]["made"] == 0
    assert (account["read"], account["kept"], account["made"], account["validation"]) == (76, 76, 36, 4)
    assert account["tokens"] == sum(len(row.tokens) for row in found.train)
    assert Counter(row.category for row in found.train) == {
        entry["category"]: entry["kept"] - entry["validation"] for entry in account["categories"]
    }
    assert "40 rows" in found.loaded.provenance["dataset_size"].reason


def test_another_seed_makes_other_typos_and_the_same_seed_the_same(tiny_model: Source, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "rows.jsonl", 40)
    options = ("data.augment=[typos]", "data.validation=0")
    first, again = (texts(prepared(tiny_model, data, *options)[0].train, tiny_model) for _ in range(2))
    other = texts(prepared(tiny_model, data, *options, "seed=1")[0].train, tiny_model)
    assert first == again
    assert first[:40] == other[:40]
    assert first[40:] != other[40:]


def test_a_change_that_applies_to_no_row_is_said_and_an_unknown_one_is_refused(
    tiny_model: Source, tmp_path: Path
) -> None:
    data = write_rows(tmp_path / "rows.jsonl", 40)
    found, said = prepared(tiny_model, data, "data.augment=[example_order]")
    assert any("example_order: it applies to 0 of 36 training rows" in text and "nothing" in text for text in said)
    assert found.account.total.made == 0
    with pytest.raises(UserError, match=r"`data\.augment.*tipos` is not a known name"):
        prepared(tiny_model, data, "data.augment=[tipos]")


# ------------------------------------------------------------------------------------------------ even classes


def uneven(path: Path) -> Path:
    """12 rows of `sky`, 4 of `coal`, 2 without a category."""
    rows = []
    for at in range(18):
        thing, colour = ("sky", "blue") if at < 12 else ("coal", "black")
        messages = [{"role": "user", "content": f"{thing} {at}"}, {"role": "assistant", "content": colour}]
        rows.append({"messages": messages} | ({"category": thing} if at < 16 else {}))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_each_category_has_the_same_total_weight_and_that_is_said(tiny_model: Source, tmp_path: Path) -> None:
    data = uneven(tmp_path / "rows.jsonl")
    found, said = prepared(tiny_model, data, "data.balance=true", "data.validation=0")
    weights = {row.category: float(row.weights.max()) for row in found.train}
    assert weights == {"sky": pytest.approx(16 / (2 * 12)), "coal": pytest.approx(16 / (2 * 4)), None: 1.0}
    plain, _ = prepared(tiny_model, data, "data.validation=0")
    for row, unweighed in zip(found.train, plain.train, strict=True):
        assert row.weights == pytest.approx(unweighed.weights * weights[row.category])
    assert any(
        "each of 2 categories weighs as 8.0 rows, from 0.667 a row (sky, 12 rows) to 2 (coal, 4 rows); "
        "2 rows without a category keep theirs" in text
        for text in said
    )


def test_rows_without_categories_cannot_be_weighed_by_them(tiny_model: Source, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"instruction": "Say yes.", "response": "yes"}\n' * 3, encoding="utf-8")
    with pytest.raises(UserError, match=r"no training row has a category.*\n.*columns: \{category: FIELD\}"):
        prepared(tiny_model, path, "data.balance=true")


def test_the_losses_of_the_sample_of_training_rows_are_not_weighed(tiny_model: Source, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", 38)
    options = [f"model={tiny_model.folder}", "tuning_method=full", "training_config.hyperparameters.batch_size=4"]
    options += ["training_config.hyperparameters.max_steps=1", "training_config.hyperparameters.learning_rate=1e-9"]
    plain, even = (
        worked(train([str(tmp_path / "rows.jsonl")], overrides=[*options, *more], root=tmp_path / "runs"))[0]
        for more in ([], ["data.balance=true"])
    )
    ours, theirs = (Run.open(made.folder) for made in (even, plain))
    assert ours.steps()[0].train_loss != theirs.steps()[0].train_loss
    losses = [[loss for loss, _ in run.evaluations()[0].train_losses] for run in (ours, theirs)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


# ---------------------------------------------------------------------------------------- base's own answers

REPLAYED = ["data.replay=0.25", "training_config.hyperparameters.max_steps=4"]


@pytest.fixture(scope="module")
def replaying(run_file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[str]]:
    """4 steps on 36 rows and 12 of base's own answers."""
    made, events = worked(train([str(run_file)], overrides=REPLAYED, root=tmp_path_factory.mktemp("runs")))
    return Run.open(made.folder), notes(events)


def test_base_s_own_greedy_answers_are_mixed_in_and_kept_and_counted(
    replaying: tuple[Run, list[str]], tiny_model: Source
) -> None:
    run, said = replaying
    lines = run.read_replay()
    assert lines is not None
    assert len(lines) == 12  # a quarter of 48 rows
    assert len({line["skill"] for line in lines}) == 12
    assert {line["prompt"] for line in lines} <= {passage.prompt for passage in unscored()}
    assert {line["prompt"] for line in lines}.isdisjoint(passage.prompt for passage in sampled())
    account = run.read_rows()
    assert account["sources"][REPLAY]["made"] == account["sources"][REPLAY]["kept"] == 12
    assert any(text.startswith("data.replay: 12 rows of base's own answers mixed in, to 12 questions") for text in said)
    assert first_tokens(lines, tiny_model) == likeliest(lines, tiny_model)


def first_tokens(lines: list[dict[str, Any]], model: Source) -> list[int]:
    tokenizer = load_tokenizer(model)
    return [tokenizer.encode(line["answer"])[0] for line in lines if line["answer"].isascii()]


def likeliest(lines: list[dict[str, Any]], model: Source) -> list[int]:
    """The likeliest first token of base behind each prompt, by transformers alone."""
    tokenizer, base = load_tokenizer(model), load_model(model, torch.float32)
    found = []
    for line in lines:
        if not line["answer"].isascii():
            continue
        prompt = f"<|im_start|>user\n{line['prompt']}<|im_end|>\n<|im_start|>assistant\n"
        tokens = torch.tensor([tokenizer.encode(prompt)])
        found.append(int(base(tokens).logits[0, -1].argmax()))
    return found


def test_a_run_that_goes_on_asks_base_nothing_and_ends_like_the_uninterrupted_one(
    replaying: tuple[Run, list[str]], run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = replaying
    verb = train([str(run_file)], overrides=REPLAYED, root=tmp_path, name="broken")
    for event in verb:
        if isinstance(event, StepLog) and event.step == 3:
            verb.close()
            break

    def no_more(*given: Any) -> Any:
        raise AssertionError("base was asked again")

    monkeypatch.setattr("luthier.workflow.train.answered", no_more)
    worked(train(resume=str(tmp_path / "broken")))
    run = Run.open(tmp_path / "broken")
    assert run.read_replay() == whole.read_replay()
    assert [entry.train_loss for entry in run.steps()] == [entry.train_loss for entry in whole.steps()]
    adapter = "adapter_model.safetensors"
    assert (run.weights / adapter).read_bytes() == (whole.weights / adapter).read_bytes()


def test_changed_answers_of_base_are_not_gone_on_with(run_file: Path, tmp_path: Path) -> None:
    made, _ = worked(train([str(run_file)], overrides=REPLAYED, root=tmp_path))
    path = made.folder / "answers" / "replay.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"answer":"', b'"answer":"not ', 1))
    with pytest.raises(UserError, match=r"replay\.jsonl"):
        worked(train(resume=str(made.folder)))


def test_more_rows_than_questions_take_some_several_times(run_file: Path, tmp_path: Path) -> None:
    overrides = ["data.replay=0.8", "training_config.hyperparameters.max_steps=1"]
    made, events = worked(train([str(run_file)], overrides=overrides, root=tmp_path))
    run = Run.open(made.folder)
    assert len(run.read_replay() or []) == 108  # all questions of the other half; 0.8 of 180 rows are 144
    assert run.read_rows()["sources"][REPLAY]["kept"] == 144
    said = next(text for text in notes(events) if text.startswith("data.replay: 144 rows of base's own answers"))
    questions, times = re.search(r"to (\d+) questions of .*, each ([\d.]+) times", said).groups()  # type: ignore[union-attr]
    unusable = re.search(r"(\d+) answers? cannot be used", said)  # marks of the template that a random model says
    assert int(questions) + int(unusable[1] if unusable else 0) == 108
    assert float(times) == pytest.approx(144 / int(questions), abs=0.01)


def test_rows_too_short_for_any_answer_are_refused(tiny_model: Source, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"instruction": "a", "response": "b"}\n' * 3, encoding="utf-8")
    with pytest.raises(UserError, match=r"base's answers need rows longer than data\.max_length, 30"):
        prepared(tiny_model, path, "data.replay=0.1", "data.max_length=30")


def test_a_cut_answer_is_trained_on_without_an_end(replaying: tuple[Run, list[str]], tiny_model: Source) -> None:
    from luthier.data.account import Account
    from luthier.workflow.added_rows import Replay, replayed

    lines = [{"prompt": "Is it?", "answer": "it is", "stopped": stopped} for stopped in (True, False)]
    plan = Replay((), (), (2,), 2, 8)
    (whole, cut), _ = worked(replayed(lines, plan, load_tokenizer(tiny_model), Account({})))[0]
    assert whole.tokens[-1] == 2
    assert cut.tokens.tolist() == whole.tokens[:-1].tolist()
    assert cut.trained_tokens == whole.trained_tokens - 1 > 0


def test_the_engine_scores_a_weighed_row_by_its_weight(tiny_model: Source, tmp_path: Path) -> None:
    data = uneven(tmp_path / "rows.jsonl")
    found, _ = prepared(tiny_model, data, "data.balance=true", "data.validation=0")
    from luthier.flow import Tuned

    engine: Engine = engine_of(Tuned(load_model(tiny_model, torch.float32), None, {}))
    rows: list[Tokenized] = [found.train[0], found.train.rows[0]]
    weighed, plain = (score.loss for _, score in sorted(engine.scores(rows), key=lambda one: one[0]))
    assert weighed == pytest.approx(plain * 2 / 3, rel=1e-5)
