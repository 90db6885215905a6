"""Prompt tuning: trained embeddings before the tokens of every row."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from luthier.settings.schema import Count, Section, Text, together

SECTION: str | None = "prompt_tuning_config"


class Settings(Section):
    """Prompt tuning: trained embeddings before the tokens of every row."""

    num_virtual_tokens: Count = Field(default=20, description="How many embeddings are trained.")
    init: Literal["auto", "text", "vocabulary", "random"] = Field(
        default="auto", description="What they begin as: a text's embeddings, sampled tokens' embeddings, or noise."
    )
    init_text: Text | None = Field(default=None, description="The text that `init: text` begins with.")

    @model_validator(mode="after")
    def _text_and_init(self) -> Self:
        if self.init == "text" and self.init_text is None:
            raise together("init", "`init: text` has no text to begin with", "write `init_text: ...` beside it")
        if self.init not in ("auto", "text") and self.init_text is not None:
            raise together("init_text", f"`init: {self.init}` does not use it", "write `init: text`, or leave it out")
        return self
