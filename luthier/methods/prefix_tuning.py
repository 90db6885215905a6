"""Prefix tuning: trained keys and values before the tokens of every row, in every layer."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from luthier.settings.schema import Count, Section, Text, together

SECTION: str | None = "prefix_tuning_config"


class Settings(Section):
    """Prefix tuning: trained keys and values before the tokens of every row, in every layer."""

    num_virtual_tokens: Count = Field(default=20, description="How many keys and values a layer are trained.")
    init: Literal["auto", "text", "random"] = Field(
        default="auto", description="What they begin as: a text's keys and values, or noise."
    )
    init_text: Text | None = Field(default=None, description="The text that `init: text` begins with.")
    projection: bool = Field(default=False, description="Train them through a small network, which is left out after.")

    @model_validator(mode="after")
    def _text_and_init(self) -> Self:
        if self.init == "text" and self.init_text is None:
            raise together("init", "`init: text` has no text to begin with", "write `init_text: ...` beside it")
        if self.init == "random" and self.init_text is not None:
            raise together("init_text", "`init: random` does not use it", "write `init: text`, or leave it out")
        return self
