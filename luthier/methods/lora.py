"""LoRA: a product of two thin matrices beside each chosen linear layer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from luthier.settings import mission
from luthier.settings.schema import Names, Section, Share, Text

SECTION: str | None = "lora_config"


class Settings(Section):
    """LoRA: a product of two thin matrices beside each chosen linear layer."""

    r: Annotated[int, Field(ge=1)] = Field(
        default=mission.LORA_CONFIG.r, description="The rank: width of the thin matrices."
    )
    alpha: Annotated[float, Field(gt=0)] = Field(
        default=mission.LORA_CONFIG.alpha,
        description="Scales the update by alpha / r, or by alpha / sqrt(r) with use_rslora.",
    )
    dropout: Share = Field(
        default=mission.LORA_CONFIG.dropout, description="Share of the inputs set to zero while training."
    )
    target_modules: Text | Annotated[Names, Field(min_length=1)] = Field(
        default=mission.LORA_CONFIG.target_modules,
        description="Names of linear layers, a pattern that matches their whole names, or `all-linear`.",
    )
    use_rslora: bool = Field(default=False, description="Scale by alpha / sqrt(r), which keeps high ranks learning.")
    use_dora: bool = Field(default=False, description="Learn the length of each weight row apart from its direction.")
    init: Literal["default", "gaussian"] = Field(
        default="default", description="How the first matrix begins; the second is 0."
    )
