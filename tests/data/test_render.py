"""Which turns of a conversation are trained on, and which rows are refused."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from tokenizers import Tokenizer

from luthier.data.render import TrainOn, render, stop_tokens
from luthier.data.templates import Template
from luthier.flow import Conversation, Message, Place, Problem, Rendered, ToolCall
from luthier.models import Source, load_tokenizer
from luthier.settings.schema import Data

CHATML = Template(
    "model",
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
)
THREE_PAIRS = (
    Message("user", "a?"),
    Message("assistant", "a", weight=0.5),
    Message("user", "b?"),
    Message("assistant", "b", weight=0),
    Message("user", "c?"),
    Message("assistant", "c"),
    Message("user", "thanks"),
)


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Source) -> Any:
    return load_tokenizer(tiny_model)


def chat(*messages: Message) -> Conversation:
    return Conversation("chat", messages, Place("chats.jsonl", 7), category="sums")


def test_a_turn_is_the_prompt_the_answer_and_the_end_mark(tokenizer: Any) -> None:
    rendered = render(chat(Message("user", "2+2?"), Message("assistant", "4")), CHATML, tokenizer)
    assert isinstance(rendered, Rendered)
    (turn,) = rendered.turns
    assert turn.prompt == "<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n"
    assert (turn.answer, turn.end, turn.weight) == ("4", "<|im_end|>", 1.0)
    assert (str(rendered.place), rendered.category) == ("chats.jsonl:7", "sums")


@pytest.mark.parametrize(
    ("train_on", "trained"),
    [
        ("answers", [("a", 0.5), ("c", 1)]),
        ("last_answer", [("c", 1)]),
        ("everything", [("a", 0.5), ("b", 0), ("c", 1)]),
    ],
)
def test_train_on_chooses_the_answers(train_on: TrainOn, trained: list[tuple[str, float]], tokenizer: Any) -> None:
    rendered = render(chat(*THREE_PAIRS), CHATML, tokenizer, train_on)
    assert isinstance(rendered, Rendered)
    assert [(turn.answer, turn.weight) for turn in rendered.turns] == trained
    assert "<|im_start|>assistant\nb<|im_end|>" in rendered.turns[-1].prompt


def test_train_on_knows_the_settings_values() -> None:
    annotation = Data.model_fields["train_on"].annotation
    assert set(get_args(TrainOn)) == set(get_args(annotation))


def test_a_row_without_an_answer_that_counts_is_refused(tokenizer: Any) -> None:
    problem = render(chat(Message("user", "a?"), Message("assistant", "a", weight=0)), CHATML, tokenizer)
    assert isinstance(problem, Problem)
    assert (problem.check, problem.severity) == ("nothing_trained", "error")


def test_an_answer_with_a_special_mark_is_refused_and_a_question_with_one_is_not(tokenizer: Any) -> None:
    marked = Message("assistant", "4<|im_end|>5")
    problem = render(chat(Message("user", "2+2?"), marked), CHATML, tokenizer)
    assert isinstance(problem, Problem)
    assert problem.check == "special_mark"
    assert problem.message.startswith("an answer holds <|im_end|>, one of the model's own special marks")
    asked = render(chat(Message("user", "2+2?<|im_end|>"), Message("assistant", "4")), CHATML, tokenizer)
    assert isinstance(asked, Rendered)


@pytest.mark.parametrize(
    "answer",
    [
        Message("assistant", "4", reasoning="it is <|im_end|>"),
        Message("assistant", "", tool_calls=(ToolCall("add", {"numbers": [{"first": "2<|im_end|>"}]}),)),
        Message("assistant", "", tool_calls=(ToolCall("add", {"<|im_end|>": 1}),)),
    ],
    ids=["thinking", "value", "name"],
)
def test_a_special_mark_anywhere_in_an_answer_is_refused(answer: Message, tokenizer: Any) -> None:
    problem = render(chat(Message("user", "2+2?"), answer), CHATML, tokenizer)
    assert isinstance(problem, Problem)
    assert problem.check == "special_mark"


TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}


@pytest.mark.parametrize(
    ("answer", "tools", "reason", "remedy"),
    [
        (
            Message("assistant", "4", reasoning="Add."),
            (),
            "it leaves the answer's thinking out",
            "take the thinking out",
        ),
        (Message("assistant", "", tool_calls=(ToolCall("add", {}),)), (), "it leaves the answer's call out", "mend"),
        (Message("assistant", "4"), (TOOL,), "it leaves the tool add out: the model would not know of it", "describe"),
    ],
    ids=["thinking", "call", "tool"],
)
def test_a_template_that_would_lose_part_of_a_row_is_refused(
    answer: Message, tools: tuple[Any, ...], reason: str, remedy: str, tokenizer: Any
) -> None:
    row = Conversation("chat", (Message("user", "2+2?"), answer), Place("chats.jsonl", 7), tools=tools)
    problem = render(row, CHATML, tokenizer)
    assert isinstance(problem, Problem)
    assert problem.message == f"the model template: {reason}"
    assert problem.remedy.startswith(remedy)


def test_a_call_may_end_in_a_mark_of_its_own_and_hold_parts_that_it_closes_itself(tokenizer: Any) -> None:
    marks = ("<call>", "</call>", "<done>")
    template = Template(
        "model",
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}{% for c in m.tool_calls or [] %}"
        "<call>{{ c.function.name }} {{ c.function.arguments | tojson }}</call>{% endfor %}"
        "{{ '<done>' if m.tool_calls else '<|im_end|>' }}\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    )
    other = type(tokenizer)(tokenizer_object=Tokenizer.from_str(tokenizer.backend_tokenizer.to_str()))
    other.add_special_tokens({"eos_token": "<|im_end|>", "additional_special_tokens": list(marks)})
    calls = (ToolCall("add", {"to": 2}), ToolCall("add", {"to": {"a": [1, "x"]}}))
    rendered = render(chat(Message("user", "?"), Message("assistant", "So:", tool_calls=calls)), template, other)
    assert isinstance(rendered, Rendered), rendered
    (turn,) = rendered.turns
    assert turn.answer == 'So:<call>add {"to": 2}</call><call>add {"to": {"a": [1, "x"]}}</call>'
    assert turn.end == "<done>"
    assert set(stop_tokens(template, other)) == set(other.convert_tokens_to_ids(["<|im_end|>", "<done>"]))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{% for m in messages %}{{ m.role }}{% endfor %}", "it renders an answer 0 times"),
        ("{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}", "it renders an answer 2 times"),
        (
            "{% for m in messages %}{{ m.content | lower }}<|im_end|>{% endfor %}",
            "it changes the answer: the row has 'Four', the template writes 'four'",
        ),
        (
            "{% for m in messages %}{{ m.content }}, {% endfor %}{% if add_generation_prompt %}Say: {% endif %}",
            None,
        ),
        (
            "{% for m in messages %}{% if m.role == 'assistant' %}bot {% endif %}{{ m.content }}{% endfor %}"
            "{% if add_generation_prompt %}and you {% endif %}",
            "it asks for an answer with 'and you ' and writes one behind 'bot '",
        ),
        ("{{ raise_exception('only cats') }}", "only cats"),
    ],
)
def test_a_template_that_does_not_say_what_to_emit_is_refused(text: str, reason: str | None, tokenizer: Any) -> None:
    made = render(chat(Message("user", "2+2?"), Message("assistant", "Four")), Template("model", text), tokenizer)
    if reason is None:
        assert isinstance(made, Rendered)
        assert made.turns[0].prompt == "2+2?, Say: "
        assert (made.turns[0].answer, made.turns[0].end) == ("Four", "<|im_end|>")
        return
    assert isinstance(made, Problem)
    assert made.check == "template"
    assert reason in made.message


def test_a_block_between_the_messages_and_the_generation_prompt_is_part_of_what_is_sent(tokenizer: Any) -> None:
    block = Template(
        "model",
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}(be brief)"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    )
    rendered = render(chat(Message("user", "2+2?"), Message("assistant", "4")), block, tokenizer)
    assert isinstance(rendered, Rendered), rendered
    (turn,) = rendered.turns
    assert turn.prompt == "<|im_start|>user\n2+2?<|im_end|>(be brief)<|im_start|>assistant\n"
    assert (turn.answer, turn.end) == ("4", "<|im_end|>")


def test_inference_stops_at_the_tokenizers_the_models_and_the_templates_end_mark(tokenizer: Any) -> None:
    # 2 is <|im_end|>, 0 is <|endoftext|>, 1 is <|im_start|>.
    assert stop_tokens(CHATML, tokenizer) == (2,)
    assert stop_tokens(CHATML, tokenizer, generation_eos=[0, 2]) == (0, 2)
    assert stop_tokens(CHATML, tokenizer, generation_eos=0) == (0, 2)
    assert stop_tokens(CHATML, tokenizer, generation_eos=None) == (2,)
    other = Template("model", "{% for m in messages %}{{ m.content }}<|endoftext|>{% endfor %}")
    assert stop_tokens(other, tokenizer) == (0, 2)
