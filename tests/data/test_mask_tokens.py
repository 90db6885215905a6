"""The tokens and weights of rows, with the numbers of real tokenizers, and the proof that finds each fault."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from luthier.data.render import TrainOn, render, stop_tokens
from luthier.data.templates import Template, load, special_marks
from luthier.data.tokenize import (
    Cut,
    fit,
    marked,
    prompt_tokens,
    prove,
    proven_all,
    question,
    questions,
    shown,
    tokenize,
    tokenize_all,
)
from luthier.errors import UserError
from luthier.flow import Conversation, Form, Message, Place, Problem, Question, Rendered, Tokenized
from luthier.models import Source, load_tokenizer
from luthier.settings.mission import FORMATS

PLACE = Place("rows.jsonl", 3)
QWEN_LIKE = Template(
    "model",
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and loop.last %}(ok) {% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
)


@pytest.fixture(scope="module")
def smollm2(packaged_model: Source) -> Any:
    return load_tokenizer(packaged_model)


@pytest.fixture(scope="module")
def tiny(tiny_model: Source) -> Any:
    return load_tokenizer(tiny_model)


@pytest.fixture(scope="module")
def gpt2(real_data: Path) -> Any:
    fast: Any = PreTrainedTokenizerFast
    file = real_data / "tokenizers" / "gpt2" / "tokenizer.json"
    return fast(tokenizer_file=str(file), bos_token="<|endoftext|>", eos_token="<|endoftext|>")


@pytest.fixture(scope="module")
def sentencepiece() -> Any:
    """As Llama 2's: words carry the space before them, a text's first word gets one too, `<s>` is put in front, and
    letters never seen are written as bytes."""
    backend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))],
        show_progress=False,
    )
    backend.train_from_iterator(["the cat sat on the mat", "### Instruction Response four plus two"], trainer)
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    fast: Any = PreTrainedTokenizerFast
    return fast(tokenizer_object=backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>")


@pytest.fixture(scope="module")
def unigram() -> Any:
    """As T5's and Gemma's: pieces with scores, ▁ for the space before a word (a text's first one too), and bytes for
    letters never seen."""
    words = ["▁the", "▁cat", "▁sat", "▁two", "▁plus", "four", "at", "us", "er", "re", "on"]
    scores = {
        "▁": -3.0,
        **dict.fromkeys("abcdefghijklmnopqrstuvwxyz.?!:#0123456789\n", -5.0),
        **dict.fromkeys(words, -4.0),
    }
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), *((f"<0x{byte:02X}>", -20.0) for byte in range(256))]
    backend = Tokenizer(models.Unigram([*pieces, *scores.items()], unk_id=0, byte_fallback=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    fast: Any = PreTrainedTokenizerFast
    return fast(tokenizer_object=backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>")


@pytest.fixture(params=["smollm2", "tiny", "gpt2", "sentencepiece", "unigram"])
def any_tokenizer(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def conversation(form: Form, *texts: str, system: str = "") -> Conversation:
    """A user's and an assistant's message in turn."""
    roles = ("user", "assistant")
    messages = tuple(Message(roles[number % 2], text) for number, text in enumerate(texts))  # type: ignore[arg-type]
    first = (Message("system", system),) if system else ()
    return Conversation(form, (*first, *messages), PLACE)


def rows_of(
    source: Conversation, template: Template, tokenizer: Any, train_on: TrainOn = "answers"
) -> tuple[Rendered, tuple[Tokenized, ...]]:
    rendered = render(source, template, tokenizer, train_on)
    assert isinstance(rendered, Rendered), rendered
    rows = tokenize(rendered, tokenizer, train_on)
    assert isinstance(rows, tuple), rows
    return rendered, rows


def row(tokens: list[int], weights: list[float], line: int = 3) -> Tokenized:
    return Tokenized(np.array(tokens, np.int32), np.array(weights, np.float32), Place("rows.jsonl", line))


# ------------------------------------------------------------------------------------------------- real tokens


def test_the_packaged_models_row_is_the_docstrings_example(smollm2: Any) -> None:
    template = load("model", FORMATS, smollm2)
    _, (made,) = rows_of(conversation("chat", "2+2?", "4", system="Add."), template, smollm2)
    lines = ["1 9690 198  7684 30  2 198", "1 4093 198  34 27 34 47  2 198", "1 520 9531 198", "36 2"]
    assert made.tokens.tolist() == [int(number) for number in " ".join(lines).split()]
    assert made.weights.tolist() == [0] * 20 + [1, 1]
    assert all(f"  {line}\n" in f"{tokenize.__doc__}\n".replace("   with", "\n") for line in lines)


def test_the_packaged_models_own_system_prompt_is_part_of_the_row(smollm2: Any) -> None:
    template = load("model", FORMATS, smollm2)
    _, (made,) = rows_of(conversation("chat", "2+2?", "4"), template, smollm2)
    assert "".join(text for text, _ in marked(made, smollm2)) == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n4<|im_end|>"
    )


def test_the_missions_instruction_under_gpt2(gpt2: Any) -> None:
    _, (made,) = rows_of(conversation("instruction", "2+2", "4"), load("instruction", FORMATS, gpt2), gpt2)
    assert made.tokens.tolist() == [21017, 46486, 198, 17, 10, 17, 198, 198, 21017, 18261, 198, 19, 50256]
    assert made.weights.tolist() == [0] * 11 + [1, 1]


def test_a_boundary_inside_a_merge_stays_where_inference_has_it(gpt2: Any) -> None:
    assert gpt2("The cats")["input_ids"] == [464, 11875]
    rendered, rows = rows_of(conversation("completion", "The cat", "s"), load("completion", FORMATS, gpt2), gpt2)
    assert rows[0].tokens.tolist() == [464, 3797, 82, 50256]
    assert rows[0].weights.tolist() == [0, 0, 1, 1]
    assert prove(rendered, rows, gpt2, [50256]) is None


def test_a_merge_over_an_earlier_answer_begins_a_new_row_with_what_inference_sends_there(gpt2: Any) -> None:
    """Behind `The cat` the model must emit `s`; shown as history the two are one token."""
    template = Template("model", "{% for m in messages %}{{ m.content + eos_token * (m.role != 'user') }}{% endfor %}")
    rendered, rows = rows_of(conversation("chat", "The cat", "s", " sat", "."), template, gpt2)
    assert [row.tokens.tolist() for row in rows] == [
        [464, 3797, 82, 50256],
        [464, 11875, 50256, 3332, 13, 50256],
    ]
    assert [row.weights.tolist() for row in rows] == [[0, 0, 1, 1], [0, 0, 0, 0, 1, 1]]
    assert prove(rendered, rows, gpt2, [50256]) is None


def test_a_tokenizer_that_puts_a_space_before_a_text_puts_none_before_an_answer(sentencepiece: Any) -> None:
    template = load("instruction", FORMATS, sentencepiece)
    rendered, rows = rows_of(conversation("instruction", "two plus two", "four"), template, sentencepiece)
    (made,) = rows
    assert made.tokens[0] == 1
    assert 1 not in made.tokens[1:]
    assert sentencepiece.decode(made.tokens) == "<s> ### Instruction\ntwo plus two\n\n### Response\nfour</s>"
    assert prove(rendered, rows, sentencepiece, [2]) is None


def test_an_answer_with_letters_that_the_tokenizer_lacks_is_refused() -> None:
    letters = {letter: number for number, letter in enumerate(["<unk>", "<s>", "</s>", "a", "b"])}
    fast: Any = PreTrainedTokenizerFast
    backend = Tokenizer(models.BPE(letters, [], unk_token="<unk>"))
    tokenizer = fast(tokenizer_object=backend, unk_token="<unk>", eos_token="</s>")
    rendered = render(conversation("completion", "a", "bé"), load("completion", FORMATS, tokenizer), tokenizer)
    assert isinstance(rendered, Rendered)
    problem = tokenize(rendered, tokenizer)
    assert isinstance(problem, Problem)
    assert problem.check == "unknown_letter"
    assert problem.message == "the model's vocabulary has no tokens for 'é', which stands in an answer"


def test_an_answer_with_bytes_that_the_packaged_model_lacks_is_refused(smollm2: Any) -> None:
    assert smollm2.decode(smollm2("a\U00040000b")["input_ids"]) != "a\U00040000b"
    rendered = render(conversation("completion", "a", "a\U00040000b"), load("completion", FORMATS, smollm2), smollm2)
    assert isinstance(rendered, Rendered)
    problem = tokenize(rendered, smollm2)
    assert isinstance(problem, Problem)
    assert problem.check == "unknown_letter"


# ------------------------------------------------------------------------------------------------- several turns


def test_all_pairs_stand_in_one_row_where_the_template_only_appends(smollm2: Any) -> None:
    template = load("model", FORMATS, smollm2)
    rendered, rows = rows_of(conversation("chat", "a", "one", "b", "two", system="S"), template, smollm2)
    assert len(rows) == 1
    assert [text for text, trained in marked(rows[0], smollm2) if trained] == ["one", "<|im_end|>", "two", "<|im_end|>"]
    assert prove(rendered, rows, smollm2, [2]) is None


def test_each_pair_has_its_own_row_where_the_template_rewrites_earlier_ones(tiny: Any) -> None:
    rendered, rows = rows_of(conversation("chat", "a?", "one", "b?", "two"), QWEN_LIKE, tiny)
    texts = ["".join(text for text, _ in marked(made, tiny)) for made in rows]
    assert texts == [
        "<|im_start|>user\na?<|im_end|>\n<|im_start|>assistant\n(ok) one<|im_end|>",
        "<|im_start|>user\na?<|im_end|>\n<|im_start|>assistant\none<|im_end|>\n"
        "<|im_start|>user\nb?<|im_end|>\n<|im_start|>assistant\n(ok) two<|im_end|>",
    ]
    trained = ["".join(text for text, trained in marked(made, tiny) if trained) for made in rows]
    assert trained == ["(ok) one<|im_end|>", "(ok) two<|im_end|>"]
    assert prove(rendered, rows, tiny, [2]) is None


def test_a_weight_of_zero_leaves_an_answer_in_the_prompt_alone(tiny: Any) -> None:
    messages = (
        Message("user", "a?"),
        Message("assistant", "one", weight=0),
        Message("user", "b?"),
        Message("assistant", "two", weight=0.5),
    )
    template = load("model", FORMATS, tiny)
    _, (made,) = rows_of(Conversation("chat", messages, PLACE), template, tiny)
    assert "".join(text for text, trained in marked(made, tiny) if trained) == "two<|im_end|>"
    assert set(made.weights.tolist()) == {0.0, 0.5}


def test_everything_trains_all_but_the_first_token_and_answers_of_weight_zero(tiny: Any) -> None:
    messages = (
        Message("user", "a?"),
        Message("assistant", "one", weight=0),
        Message("user", "b?"),
        Message("assistant", "two"),
    )
    template = load("model", FORMATS, tiny)
    _, (made,) = rows_of(Conversation("chat", messages, PLACE), template, tiny, "everything")
    assert "".join(text for text, trained in marked(made, tiny) if not trained) == "<|im_start|>one<|im_end|>"


def test_everything_trains_no_token_of_a_rewritten_conversation_twice(tiny: Any) -> None:
    _, rows = rows_of(conversation("chat", "a?", "one", "b?", "two"), QWEN_LIKE, tiny, "everything")
    trained = ["".join(text for text, trained in marked(made, tiny) if trained) for made in rows]
    assert trained == [
        "user\na?<|im_end|>\n<|im_start|>assistant\n(ok) one<|im_end|>",
        "one<|im_end|>\n<|im_start|>user\nb?<|im_end|>\n<|im_start|>assistant\n(ok) two<|im_end|>",
    ]


# ----------------------------------------------------------------------------------------------------- the proof


def test_the_proof_finds_each_fault_and_shows_the_tokens_side_by_side(gpt2: Any) -> None:
    template = load("completion", FORMATS, gpt2)
    rendered, (good,) = rows_of(conversation("completion", "The cat", "s"), template, gpt2)

    def fault(tokens: list[int], weights: list[float]) -> str:
        problem = prove(rendered, (row(tokens, weights),), gpt2, [50256])
        assert problem is not None
        assert (problem.check, problem.severity, problem.place) == ("mask", "error", PLACE)
        return problem.message

    assert prove(rendered, (good,), gpt2, [50256]) is None
    assert fault([464, 11875, 50256], [0, 1, 1]).splitlines() == [
        "inference sends other tokens than the row has",
        "  token  inference                   the row, with its weight",
        "      0  464 'The'                   464 'The'  0",
        ">     1  3797 ' cat'                 11875 ' cats'  1",
        "      2  -                           50256 '<|endoftext|>'  1",
    ]
    assert fault([464, 3797, 82], [0, 0, 1]).startswith("inference would not stop at the answer's end mark")
    assert fault([464, 3797, 82, 50256, 82], [0, 0, 1, 1, 1]).startswith("token 4 has the weight 1 and should have 0")
    assert fault([464, 3797, 82, 50256], [0, 1, 1, 1]).startswith("token 1 has the weight 1 and should have 0")
    assert fault([464, 3797, 82, 50256], [0, 0, 1, 0]).startswith("token 3 has the weight 0 and should have 1")
    assert fault([464, 3797, 83, 50256], [0, 0, 1, 1]).startswith("the trained tokens do not read as the answer")
    assert fault([464, 3797, 50256], [0, 0, 1]).startswith("the trained tokens do not read as the answer")


def test_the_proof_of_many_finds_what_the_proof_of_one_finds(gpt2: Any) -> None:
    template = load("completion", FORMATS, gpt2)
    rendered = [render(conversation("completion", "The cat", answer), template, gpt2) for answer in ("s", " sat")]
    fine = [row for row in rendered if isinstance(row, Rendered)]
    made = list(proven_all(fine, gpt2, [50256]))
    alone = [tokenize(row, gpt2) for row in fine]
    for rows, others in zip(made, alone, strict=True):
        assert isinstance(rows, tuple)
        assert isinstance(others, tuple)
        assert [row.tokens.tolist() for row in rows] == [row.tokens.tolist() for row in others]
    # 82 is `s`: inference would stop inside the first answer. 1 stops nothing: the end mark is none to inference.
    for train_on in get_args(TrainOn):
        first, second = proven_all(fine, gpt2, [82, 50256], train_on)
        assert isinstance(first, Problem)
        assert first.message.splitlines()[0] == "inference would stop at s in the middle of the answer"
        assert isinstance(second, tuple)
        for problem in proven_all(fine, gpt2, [1], train_on):
            assert isinstance(problem, Problem)
            assert problem.message.startswith("inference would not stop at the answer's end mark <|endoftext|>")


def test_an_end_mark_of_number_0_is_found_in_the_middle_of_an_answer(tiny: Any) -> None:
    rendered, _ = rows_of(conversation("chat", "a?", "one"), load("model", FORMATS, tiny), tiny)
    answer = replace(rendered.turns[0], answer="one<|endoftext|>two")
    changed = replace(rendered, turns=(answer,))
    (made,) = proven_all([changed], tiny, [0, 2])
    assert isinstance(made, Problem)
    assert "inference would stop at <|endoftext|>" in made.message


def test_the_proof_wants_a_row_for_each_turn(tiny: Any) -> None:
    rendered, rows = rows_of(conversation("chat", "a?", "one", "b?", "two"), QWEN_LIKE, tiny)
    assert prove(rendered, rows, tiny, [2]) is None
    assert prove(rendered, rows[:1], tiny, [2]) is not None
    assert prove(rendered, rows[1:], tiny, [2]) is not None
    assert prove(rendered, (), tiny, [2]) is not None


def test_two_begin_marks_are_refused(sentencepiece: Any) -> None:
    template = Template("model", "<s>{% for m in messages %}{{ m.content }}{% endfor %}{{ eos_token }}")
    rendered = render(conversation("chat", "<s>two", "four"), template, sentencepiece)
    assert isinstance(rendered, Rendered)
    problem = tokenize(rendered, sentencepiece)
    assert isinstance(problem, Problem)
    assert (problem.check, problem.message) == ("begin_mark", "the row begins with two begin marks <s>")


def test_an_empty_prompt_is_refused(gpt2: Any) -> None:
    problem = render(conversation("completion", "", "s"), load("completion", FORMATS, gpt2), gpt2)
    assert isinstance(problem, Problem)
    assert problem.check == "empty_prompt"


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(str.strip)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TEXT, min_size=2, max_size=6).filter(lambda texts: len(texts) % 2 == 0))
def test_random_conversations_read_back_exactly(texts: list[str], any_tokenizer: Any) -> None:
    template = load("chat", FORMATS, any_tokenizer)
    rendered = render(conversation("chat", *texts), template, any_tokenizer)
    assert isinstance(rendered, Rendered)
    rows = tokenize(rendered, any_tokenizer)
    if isinstance(rows, Problem):
        assert rows.check == "unknown_letter"
        assert any(any_tokenizer.decode(any_tokenizer(text)["input_ids"]).count(text) == 0 for text in texts[1::2])
        return
    assert prove(rendered, rows, any_tokenizer, stop_tokens(template, any_tokenizer)) is None
    trained = "".join(text for made in rows for text, trained in marked(made, any_tokenizer) if trained)
    assert trained == "".join(f"{text}{any_tokenizer.eos_token}" for text in texts[1::2])


# ---------------------------------------------------------------------------------------- questions and batches


def test_a_question_is_what_chat_sends_and_the_answer_wanted(smollm2: Any) -> None:
    template = load("model", FORMATS, smollm2)
    source = conversation("chat", "a", "one", "b", "two", system="S")
    asked = question(source, template, smollm2)
    assert isinstance(asked, Question)
    assert asked.wanted == "two"
    text, tokens = prompt_tokens(source.messages[:-1], template, smollm2)
    assert asked.prompt == text
    assert asked.tokens.tolist() == tokens.tolist()
    plain = [{"role": message.role, "content": message.content} for message in source.messages[:-1]]
    theirs = smollm2.apply_chat_template(plain, add_generation_prompt=True, return_dict=False)
    assert tokens.tolist() == theirs


def test_what_a_template_refuses_cannot_be_asked(tiny: Any) -> None:
    template = load("completion", FORMATS, tiny)
    with pytest.raises(UserError, match="no place for a system message"):
        prompt_tokens((Message("system", "S"), Message("user", "a")), template, tiny)
    assert isinstance(question(conversation("completion", "a", "b", system="S"), template, tiny), Problem)


def test_many_rows_at_once_are_the_same_as_one_by_one_and_in_order(tiny: Any) -> None:
    template = load("model", FORMATS, tiny)
    sources = [conversation("chat", f"number {n}?", str(n), *(["more", "no"] * (n % 3))) for n in range(2500)]
    rendered = [render(source, template, tiny) for source in sources]
    together = list(tokenize_all((made for made in rendered if isinstance(made, Rendered)), tiny))
    assert len(together) == 2500
    for number in (0, 1, 2, 999, 1000, 1001, 2499):
        _, alone = rows_of(sources[number], template, tiny)
        rows = together[number]
        assert isinstance(rows, tuple)
        assert [made.tokens.tolist() for made in rows] == [made.tokens.tolist() for made in alone]
    asked = list(questions(sources, template, tiny))
    assert [made.wanted for made in asked[:4] if isinstance(made, Question)] == ["0", "no", "no", "3"]


def test_marked_gives_a_letter_of_several_tokens_to_the_last_of_them(gpt2: Any) -> None:
    _, (made,) = rows_of(conversation("completion", "x", "😀!"), load("completion", FORMATS, gpt2), gpt2)
    shown = marked(made, gpt2)
    assert len(shown) == len(made.tokens)
    assert shown[0] == ("x", False)
    assert shown[-3:] == [("😀", True), ("!", True), ("<|endoftext|>", True)]
    assert all(entry == ("", True) for entry in shown[1:-3])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.sampled_from(["<s>", "</s>", "<|im_end|>", " ", "  ", "\n", "the cat", "é", "😀"]) | TEXT))
def test_a_text_cut_at_its_marks_has_the_tokens_of_the_whole(parts: list[str], any_tokenizer: Any) -> None:
    text = "".join(["x", *parts])
    whole = any_tokenizer(text, add_special_tokens=False)["input_ids"]
    _, tokens = prompt_tokens((Message("user", text),), CONTENT_ALONE, any_tokenizer)
    assert tokens.tolist() == whole


def test_marks_that_take_in_what_stands_before_them_are_not_cut_at(gpt2: Any) -> None:
    greedy = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(gpt2.backend_tokenizer.to_str()))
    greedy.add_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    text = "a  <mask> b"
    _, tokens = prompt_tokens((Message("user", text),), CONTENT_ALONE, greedy)
    assert tokens.tolist() == greedy(text)["input_ids"] == [64, 50257, 275]


CONTENT_ALONE = Template("model", "{% for m in messages %}{{ m.content }}{% endfor %}")


# ----------------------------------------------------------------------------------------------------- text rows


def text_row(text: str) -> Conversation:
    return Conversation("text", (Message("assistant", text),), PLACE)


def test_all_of_a_text_is_trained_on_but_a_first_token_that_nothing_stands_before(gpt2: Any) -> None:
    template = load("text", FORMATS, gpt2)
    rendered, (made,) = rows_of(text_row("The cats sat."), template, gpt2)
    assert made.tokens.tolist() == [464, 11875, 3332, 13, 50256]
    assert made.weights.tolist() == [0, 1, 1, 1, 1]
    assert prove(rendered, (made,), gpt2, [50256]) is None
    assert shown(made, gpt2).sent == ""


@pytest.mark.parametrize("name", ["sentencepiece", "unigram"])
def test_a_text_follows_the_tokenizers_own_begin_mark_as_the_tokenizer_writes_it(
    name: str, request: pytest.FixtureRequest
) -> None:
    tokenizer = request.getfixturevalue(name)
    template = load("text", FORMATS, tokenizer)
    rendered, (made,) = rows_of(text_row("the cat sat"), template, tokenizer)
    whole = tokenizer("<s>the cat sat", add_special_tokens=False)["input_ids"]
    assert made.tokens.tolist() == [*whole, 2]
    assert made.weights.tolist() == [0, *([1] * len(whole))]
    assert prove(rendered, (made,), tokenizer, [2]) is None
    # What `chat` sends to have the text gone on with is the row without its end mark.
    _, sent = prompt_tokens((Message("user", "the cat sat"),), template, tokenizer)
    assert made.tokens[:-1].tolist() == sent.tolist()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXT)
@example(text="<s>")
def test_random_texts_read_back_exactly(text: str, any_tokenizer: Any) -> None:
    template = load("text", FORMATS, any_tokenizer)
    rendered = render(text_row(text), template, any_tokenizer)
    if any(mark in text for mark in special_marks(any_tokenizer)):
        assert isinstance(rendered, Problem)
        assert rendered.check == "special_mark"
        return
    assert isinstance(rendered, Rendered)
    (made,) = proven_all([rendered], any_tokenizer, stop_tokens(template, any_tokenizer))
    if isinstance(made, Problem):
        assert made.check == "unknown_letter"
        return
    read = "".join(text for text, _ in marked(made[0], any_tokenizer))
    begin, whole = rendered.turns[0].prompt, f"{text}{any_tokenizer.eos_token}"
    # Llama 2's puts a space behind the begin mark.
    assert read in (f"{begin}{whole}", f"<s> {whole}")


def test_a_row_to_look_at_has_its_marks_and_what_inference_sends_before_the_last_answer(smollm2: Any) -> None:
    template = load("model", FORMATS, smollm2)
    source = conversation("chat", "a", "one", "b", "two", system="S")
    _, (made,) = rows_of(source, template, smollm2)
    row = shown(made, smollm2)
    assert row.sent == prompt_tokens(source.messages[:-1], template, smollm2)[0]
    assert row.marks == ("<|im_end|>", "<|im_start|>")
    assert row.tokens == tuple(marked(made, smollm2))
    assert (row.trained_tokens, row.place) == (4, PLACE)
    _, (everything,) = rows_of(source, template, smollm2, "everything")
    assert shown(everything, smollm2).sent == ""


# ------------------------------------------------------------------------------------------------ rows too long

LONG = row([1, 5, 6, 7, 8, 9, 2], [0, 0, 0, 0, 1, 1, 1], line=17)
SHORT = row([1, 5, 2], [0, 0, 1], line=18)


def test_stop_lists_each_row_that_is_too_long_with_its_length_and_what_to_write() -> None:
    fitted = fit([(LONG,), (SHORT,)], 5, "stop")
    (problem,) = fitted.problems
    assert f"{problem.place}: {problem.message}" == "rows.jsonl:17: the row has 7 tokens, data.max_length is 5"
    assert problem.severity == "error"
    assert problem.remedy == (
        "write `data.max_length: 7` if the model can read as much, or `data.too_long: drop`, `cut_start` or `cut_end`"
    )
    assert (fitted.kept, fitted.dropped, fitted.cuts) == ((SHORT,), (LONG,), ())


def test_drop_leaves_a_whole_row_of_the_data_out_and_counts_it_once() -> None:
    fitted = fit([(replace(SHORT, place=LONG.place), LONG), (SHORT,)], 5, "drop")
    assert fitted.kept == (SHORT,)
    assert [made.place.line for made in fitted.dropped] == [17]
    assert [problem.severity for problem in fitted.problems] == ["warning"]


def test_cut_start_keeps_the_begin_mark_and_the_answer() -> None:
    fitted = fit([(LONG,)], 5, "cut_start", begin_mark=1)
    (kept,) = fitted.kept
    assert kept.tokens.tolist() == [1, 7, 8, 9, 2]
    assert kept.weights.tolist() == [0, 0, 1, 1, 1]
    assert fitted.cuts == (Cut(LONG.place, None, tokens=2, trained_tokens=0),)
    (unmarked,) = fit([(LONG,)], 5, "cut_start").kept
    assert unmarked.tokens.tolist() == [6, 7, 8, 9, 2]


def test_a_cut_that_leaves_no_prompt_is_a_problem() -> None:
    fitted = fit([(LONG,)], 4, "cut_start", begin_mark=1)
    assert (fitted.kept, fitted.dropped) == ((), (LONG,))
    assert "`cut_start` would cut its prompt away" in fitted.problems[0].message


def test_a_text_without_a_prompt_may_lose_its_start() -> None:
    text = row([1, 5, 6, 7], [0, 1, 1, 1])
    (kept,) = fit([(text,)], 3, "cut_start").kept
    assert kept.tokens.tolist() == [5, 6, 7]
    assert kept.weights.tolist() == [0, 1, 1]


def test_cut_end_keeps_the_beginning_and_counts_the_answer_lost() -> None:
    fitted = fit([(LONG,)], 6, "cut_end")
    (kept,) = fitted.kept
    assert kept.tokens.tolist() == [1, 5, 6, 7, 8, 9]
    assert kept.weights.tolist() == [0, 0, 0, 0, 1, 1]
    assert fitted.cuts == (Cut(LONG.place, None, tokens=1, trained_tokens=1),)


def test_a_cut_that_leaves_no_answer_is_a_problem() -> None:
    fitted = fit([(LONG,)], 4, "cut_end")
    assert (fitted.kept, fitted.dropped) == ((), (LONG,))
    assert "`cut_end` would cut its whole answer away" in fitted.problems[0].message
    assert LONG.tokens.tolist() == [1, 5, 6, 7, 8, 9, 2]


def test_split_makes_pieces_that_train_every_token_but_the_first_once() -> None:
    text = row([1, 5, 6, 7, 8, 9, 2], [0, 1, 1, 1, 1, 1, 1], line=17)
    fitted = fit([(text,), (SHORT,)], 3, "split")
    assert [piece.tokens.tolist() for piece in fitted.kept] == [[1, 5, 6], [6, 7, 8], [8, 9, 2], [1, 5, 2]]
    assert [piece.weights.tolist() for piece in fitted.kept[:3]] == [[0, 1, 1]] * 3
    assert {str(piece.place) for piece in fitted.kept[:3]} == {"rows.jsonl:17"}
    assert (fitted.dropped, fitted.cuts, fitted.problems) == ((), (), ())
    assert text.weights.tolist() == [0, 1, 1, 1, 1, 1, 1]


@settings(max_examples=100, deadline=None)
@given(length=st.integers(2, 40), max_length=st.integers(2, 12))
def test_split_loses_nothing_of_any_text(length: int, max_length: int) -> None:
    text = row(list(range(length)), [0.0, *([1.0] * (length - 1))])
    pieces = fit([(text,)], max_length, "split").kept
    assert all(len(piece.tokens) <= max_length for piece in pieces)
    trained = [token for piece in pieces for token in piece.tokens[piece.weights > 0].tolist()]
    assert trained == list(range(1, length))


def test_split_refuses_a_row_with_a_prompt() -> None:
    fitted = fit([(LONG,)], 5, "split")
    assert (fitted.kept, fitted.dropped) == ((), (LONG,))
    assert "`split` is for text rows, which have no prompt" in fitted.problems[0].message
    assert fitted.problems[0].severity == "error"
