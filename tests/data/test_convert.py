"""Conversion: what a form writes is read back the same, rows that do not fit are named, and no row is lost."""

from __future__ import annotations

import importlib.util
import json
import math
from base64 import b64decode
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from luthier import plugins
from luthier.data import convert as convert_module
from luthier.data.check import load_rows, look
from luthier.data.convert import Converted, convert
from luthier.data.detect import FORMS
from luthier.data.fields import DoesNotFit
from luthier.errors import UserError
from luthier.flow import Conversation, Message, Place, ToolCall

ROOT = Path(__file__).resolve().parents[2]
PLACE = Place("rows.jsonl", 7)
USER = {"role": "user", "content": "hi"}
ANSWER = {"role": "assistant", "content": "hello"}

# ------------------------------------------------------------------------------------------------------ round trips

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(lambda text: not text.isspace())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
CALLS = st.lists(
    st.builds(ToolCall, TEXT, st.dictionaries(TEXT, JSON, max_size=3), st.none() | TEXT), min_size=1, max_size=2
).map(tuple)
NAME = st.none() | TEXT
QUESTION = st.builds(Message, st.just("user"), TEXT, name=NAME)
WEIGHT = st.sampled_from([1.0, 1.0, 0.0, 0.25, 3.0])
SAID = st.builds(
    Message, st.just("assistant"), TEXT, weight=WEIGHT, reasoning=NAME, tool_calls=st.just(()) | CALLS, name=NAME
)
CALLED = st.builds(Message, st.just("assistant"), st.just(""), weight=WEIGHT, reasoning=NAME, tool_calls=CALLS)
REPLY = st.builds(Message, st.just("tool"), st.just("") | TEXT, name=NAME, tool_call_id=NAME)
SYSTEM = st.lists(st.builds(Message, st.just("system"), TEXT), max_size=1)
PLAIN = st.tuples(st.builds(Message, st.just("user"), TEXT), st.builds(Message, st.just("assistant"), TEXT)).map(list)
TURN = st.tuples(QUESTION, st.lists(CALLED | SAID, max_size=1), st.lists(REPLY, max_size=2), SAID | CALLED).map(
    lambda turn: [turn[0], *(turn[1] and [*turn[1], *turn[2]]), turn[3]]
)
TOOLS = st.lists(
    st.dictionaries(TEXT.filter(lambda key: key not in ("type", "name")), JSON, max_size=2).flatmap(
        lambda more: TEXT.map(lambda name: {"type": "function", "function": {"name": name, **more}})
    ),
    max_size=2,
).map(tuple)


@st.composite
def chats(draw: st.DrawFn) -> Conversation:
    turns = draw(st.lists(PLAIN, min_size=1, max_size=1) | st.lists(PLAIN | TURN, min_size=1, max_size=3))
    messages = [*draw(SYSTEM), *(message for turn in turns for message in turn)]
    if not any(message.weight for message in messages if message.role == "assistant"):
        messages[-1] = replace(messages[-1], weight=1.0)
    return Conversation("chat", tuple(messages), PLACE, draw(st.none() | TEXT), draw(TOOLS))


@st.composite
def preferences(draw: st.DrawFn) -> Conversation:
    base = draw(chats())
    prompt = [replace(m, weight=0.0) if m.role == "assistant" else m for m in base.messages]
    prompt += [draw(QUESTION)]
    answers = st.lists(SAID, min_size=1, max_size=1) | st.tuples(CALLED, REPLY, SAID).map(list)
    chosen, rejected = ([*draw(answers)] for _ in range(2))
    for side in (chosen, rejected):
        side[-1] = replace(side[-1], weight=draw(st.sampled_from([1.0, 2.0])))
    if chosen == rejected:
        rejected[-1] = replace(rejected[-1], content=rejected[-1].content + "!")
    return replace(base, form="preference", messages=(*prompt, *chosen), rejected=(*prompt, *rejected))


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    text = Conversation("text", (Message("assistant", draw(TEXT)),), PLACE, draw(st.none() | TEXT))
    return draw(st.just(text) | chats() | preferences())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(conversations(), st.sampled_from(plugins.names(FORMS)))
def test_what_a_form_writes_it_reads_back_the_same_or_it_refuses(conversation: Conversation, form: str) -> None:
    module = plugins.load(FORMS, form)
    try:
        written = module.write(conversation)
    except DoesNotFit:
        assert conversation.form != form
        return
    again = module.parse(json.loads(json.dumps(written)), PLACE)
    assert again.problems == again.unused == ()
    assert replace(again.conversation, form=conversation.form) == conversation


@given(PLAIN, st.none() | TEXT)
def test_a_plain_question_and_answer_goes_everywhere_but_into_text_and_preferences(
    messages: list[Message], category: str | None
) -> None:
    conversation = Conversation("chat", tuple(messages), PLACE, category)
    for form in ("chat", "sharegpt", "instruction", "completion"):
        plugins.load(FORMS, form).write(conversation)
    for form in ("text", "preference"):
        with pytest.raises(DoesNotFit):
            plugins.load(FORMS, form).write(conversation)


def test_the_table_in_the_documentation_is_what_the_code_does() -> None:
    spec = importlib.util.spec_from_file_location("write_conversions", ROOT / "scripts" / "write_conversions.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert set(script.ROWS) == set(plugins.names(FORMS))
    assert script.table() in script.PAGE.read_text(encoding="utf-8"), "type: python scripts/write_conversions.py"


# ------------------------------------------------------------------------------------------------------------ files


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def converted(paths: list[Path], out: Path, form: str | None = None) -> Converted:
    return convert(*look([(path, 1.0) for path in paths]), out, form)


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


MIXED = [
    {"messages": [USER, ANSWER], "category": "x", "id": 4},
    '{"messages": [\n',
    {"messages": [USER, ANSWER, USER, ANSWER], "label": 3},
    {"messages": [{**USER, "content": " "}, ANSWER]},
    "\n",
    "[1]\n",
    {"messages": [USER, ANSWER]},
]


def test_rows_of_the_form_keep_every_field_and_those_left_out_stand_beside_with_line_reason_and_text(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "rows.jsonl", *MIXED)
    done = converted([path], tmp_path / "kept.jsonl")
    assert (done.form, done.rows) == ("chat", 3)
    assert lines(done.path) == [MIXED[0], MIXED[2], MIXED[6]]
    assert done.quarantine == tmp_path / "kept.quarantine.jsonl"
    left_out = lines(done.quarantine)
    assert [row["line"] for row in left_out] == [2, 4, 6]
    assert left_out[0]["raw"] == '{"messages": ['
    assert left_out[1] == {
        "file": str(path),
        "line": 4,
        "reason": "message 1 (user) is empty",
        "raw": json.dumps(MIXED[3]),
    }
    assert left_out[2]["raw"] == "[1]"
    assert done.account.total.read == 6
    assert done.account.total.dropped == {"invalid_json": 1, "empty_message": 1, "row_type": 1}


def test_rows_that_a_form_cannot_hold_are_left_out_counted_and_named(tmp_path: Path) -> None:
    done = converted([write(tmp_path / "rows.jsonl", *MIXED)], tmp_path / "kept.csv", "instruction")
    assert (done.rows, done.account.total.kept, done.account.total.dropped["form"]) == (2, 2, 1)
    assert done.account.categories()["3"].dropped == {"form": 1}
    (misfit,) = [problem for problem in done.problems.listed if problem.check == "form"]
    assert (misfit.place.line, misfit.message) == (3, "an instruction row holds one question and one answer")
    rows = load_rows([(done.path, 1.0)])
    assert [(row.form, row.category) for row in rows.conversations] == [("instruction", "x"), ("instruction", None)]
    assert [row["reason"] for row in lines(tmp_path / "kept.quarantine.jsonl")][1] == misfit.message


ROUGH = [
    "a",
    'say "hi", now',
    "two\nlines",
    "one\rreturn",
    "tab\there",
    " spaces ",
    "a\u2028b",
    "é😀",
    "=1+1",
    "\ufeff",
]


@pytest.mark.parametrize(
    "name", ["t.jsonl", "t.json", "t.csv", "t.tsv", "t.jsonl.gz", "t.json.zst", "t.csv.gz", "t.tsv.zst", "T.CSV"]
)
def test_every_kind_of_file_gives_the_texts_back(tmp_path: Path, name: str) -> None:
    rows = [{"prompt": text, "completion": text, "category": "x" if n % 2 else None} for n, text in enumerate(ROUGH)]
    done = converted([write(tmp_path / "rows.jsonl", *rows)], tmp_path / name)
    assert done.quarantine is None
    again = load_rows([(done.path, 1.0)])
    assert [row.messages[0].content for row in again.conversations] == ROUGH
    assert [row.category for row in again.conversations] == [row["category"] for row in rows]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["rows.jsonl", name])


def test_a_table_leaves_out_rows_that_are_no_texts_and_takes_every_column(tmp_path: Path) -> None:
    rows = [
        {"prompt": "a", "completion": "b", "id": 4},
        {"prompt": "a", "completion": "b", "tags": ["x"]},
        {"prompt": "a\0", "completion": "b"},
        {"prompt": "a", "completion": "b", "ok": True, "rate": 0.5},
    ]
    done = converted([write(tmp_path / "rows.jsonl", *rows)], tmp_path / "t.csv")
    assert done.path.read_text().splitlines() == [
        '"prompt","completion","id","ok","rate"',
        '"a","b","4","",""',
        '"a","b","","true","0.5"',
    ]
    assert [row["reason"] for row in lines(tmp_path / "t.quarantine.jsonl")] == [
        "a cell of a table holds a text, not a list",
        "a cell of a table holds no NUL",
    ]


def test_numbers_that_json_hardly_holds_stay_as_they_are(tmp_path: Path) -> None:
    row = '{"prompt": "a", "completion": "b", "big": 123456789012345678901234567890, "none": NaN}\n'
    (again,) = lines(converted([write(tmp_path / "rows.jsonl", row)], tmp_path / "t.jsonl").path)
    assert again["big"] == 123456789012345678901234567890
    assert math.isnan(again["none"])


def test_the_text_of_a_row_left_out_of_a_table_or_a_document_is_kept(tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    table.write_text('prompt,completion\na,b\nc,"d" e\n"f\ng",h,i\nj,k\n')
    left_out = converted([table], tmp_path / "t.jsonl").quarantine
    assert left_out is not None
    assert [(row["line"], row["raw"]) for row in lines(left_out)] == [(3, 'c,"d" e'), (4, '"f\ng",h,i')]
    document = tmp_path / "rows.json"
    document.write_text('[{"prompt": "a", "completion": "b"},\n 7,\n{"prompt": "c"}, {"prompt": "d"}]')
    left_out = converted([document], tmp_path / "d.jsonl").quarantine
    assert left_out is not None
    assert [(row["line"], row["raw"]) for row in lines(left_out)] == [
        (2, " 7,"),
        (3, '{"prompt": "c"}'),
        (3, '{"prompt": "d"}'),
    ]


def test_a_packed_or_parquet_file_is_converted_too(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "completion": "b"}, {"prompt": "a", "completion": ""}]
    packed = converted([write(tmp_path / "rows.jsonl", rows[0])], tmp_path / "rows.jsonl.gz").path
    assert converted([packed], tmp_path / "t.json").rows == 1
    parquet = tmp_path / "rows.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), parquet)
    done = converted([parquet], tmp_path / "u.json", "chat")
    assert json.loads(done.path.read_text()) == [
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    ]
    assert done.quarantine is not None
    assert [(row["line"], json.loads(row["raw"])) for row in lines(done.quarantine)] == [(2, rows[1])]


def test_bytes_that_are_no_text_are_shown_and_kept_and_a_huge_row_is_cut_with_its_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convert_module, "RAW_LETTERS", 100_000)
    path = write(tmp_path / "rows.jsonl", {"prompt": "a", "completion": "b"}, {"prompt": "x" * 150_000})
    with path.open("ab") as file:
        file.write(b'{"prompt": "caf\xe9", "completion": "b"}\n')
    left_out = lines(converted([path], tmp_path / "t.jsonl").path.with_name("t.quarantine.jsonl"))
    assert (len(left_out[0]["raw"]), left_out[0]["raw_letters"]) == (100_000, 150_014)
    assert left_out[1]["raw"] == '{"prompt": "caf\\xe9", "completion": "b"}'
    assert b64decode(left_out[1]["raw_base64"]) == b'{"prompt": "caf\xe9", "completion": "b"}'


def test_several_files_go_into_one_and_several_forms_only_under_one_name(tmp_path: Path) -> None:
    first = write(tmp_path / "a.jsonl", {"messages": [USER, ANSWER]})
    second = write(tmp_path / "b.jsonl", {"prompt": "a", "completion": "b"})
    with pytest.raises(UserError, match=r"several forms: .*a\.jsonl holds chat rows, .*b\.jsonl holds completion rows"):
        converted([first, second], tmp_path / "t.jsonl")
    done = converted([first, second], tmp_path / "t.jsonl", "sharegpt")
    assert [row["conversations"][0] for row in lines(done.path)] == [
        {"from": "human", "value": "hi"},
        {"from": "human", "value": "a"},
    ]


def test_rows_under_other_names_are_written_under_ours(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", {"q": "hi", "a": "hello", "id": 4})
    entry = {"mine": {"file_name": "rows.jsonl", "columns": {"prompt": "q", "response": "a"}}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(entry))
    done = converted([path], tmp_path / "t.jsonl")
    assert lines(done.path) == [{"id": 4, "instruction": "hi", "output": "hello"}]


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("rows.jsonl", "this is one of the files to read"),
        ("rows.jsonl.gz", "this is one of the files to read"),
        ("t.parquet", "the ending .parquet is not written"),
        ("t", "the name has no ending"),
        ("none/t.jsonl", "does not exist"),
        ("folder.json", "this is a folder"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_a_row_is_read(tmp_path: Path, out: str, said: str) -> None:
    path = write(tmp_path / "rows.jsonl", {"prompt": "a", "completion": "b"})
    (tmp_path / "folder.json").mkdir()
    if out == "rows.jsonl.gz":  # the rows left out would replace what is read
        path = path.rename(tmp_path / "rows.quarantine.jsonl")
    before = {item.name for item in tmp_path.iterdir()}
    with pytest.raises(UserError, match=said):
        converted([path], tmp_path / out)
    assert {item.name for item in tmp_path.iterdir()} == before
    assert lines(path) == [{"prompt": "a", "completion": "b"}]


def test_nothing_is_written_where_no_row_is_left_or_a_file_breaks_off(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", {"prompt": "a", "completion": "b"})
    with pytest.raises(UserError, match=r"a text row holds one text.*\(1 rows\)"):
        converted([path], tmp_path / "t.jsonl", "text")
    broken = write(tmp_path / "cut.json", '[{"prompt": "a", "completion": "b"},\n{"prompt": "c"')
    with pytest.raises(UserError, match=r"cut\.json:2"):
        converted([broken], tmp_path / "t.jsonl")
    assert {item.name for item in tmp_path.iterdir()} == {"rows.jsonl", "cut.json"}


def test_an_older_file_is_replaced_and_its_rows_left_out_go_with_it(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", *MIXED)
    converted([path], tmp_path / "t.jsonl")
    assert (tmp_path / "t.quarantine.jsonl").exists()
    converted([write(path, MIXED[0])], tmp_path / "t.jsonl")
    assert lines(tmp_path / "t.jsonl") == [MIXED[0]]
    assert not (tmp_path / "t.quarantine.jsonl").exists()


@pytest.mark.parametrize("form", ["chat", "sharegpt"])
def test_the_real_tool_calls_go_there_and_back(real_data: Path, tmp_path: Path, form: str) -> None:
    path = real_data / "llama_factory" / "glaive_toolcall_en_demo.json"
    there = converted([path], tmp_path / "there.jsonl", "chat").path
    back = converted([there], tmp_path / "back.json", form).path
    first, last = (load_rows([(file, 1.0)]).conversations for file in (path, back))
    assert len(last) == 300
    assert [(row.messages, row.tools) for row in first] == [(row.messages, row.tools) for row in last]
