"""A conversation as one question and one answer, for the forms that hold no more than that."""

from __future__ import annotations

from collections.abc import Sequence

from luthier.data.fields import DoesNotFit
from luthier.flow import Conversation, Message


def question_and_answer(conversation: Conversation, messages: Sequence[Message], row: str) -> tuple[str, str]:
    """The two texts of the messages. Raises `DoesNotFit` for whatever they hold beyond that; `row` names the form."""
    if conversation.rejected:
        raise DoesNotFit(f"{row} holds no worse answer")
    if conversation.tools or any(message.tool_calls or message.role == "tool" for message in messages):
        raise DoesNotFit(f"{row} holds no tools")
    if any(message.role == "system" for message in messages):
        raise DoesNotFit(f"{row} holds no system message")
    roles = [message.role for message in messages]
    if "user" not in roles:
        raise DoesNotFit(f"{row} needs a question before its answer")
    if roles != ["user", "assistant"]:
        raise DoesNotFit(f"{row} holds one question and one answer")
    question, answer = messages
    if answer.reasoning is not None:
        raise DoesNotFit(f"{row} holds no reasoning beside its answer")
    if answer.weight != 1:
        raise DoesNotFit(f"{row} holds no weight")
    if question.name is not None or answer.name is not None:
        raise DoesNotFit(f"{row} holds no names")
    return question.content, answer.content
