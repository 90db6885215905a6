"""QLoRA: LoRA on frozen weights of four bits. Its settings stand beside `lora_config`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from luthier.settings.schema import Section

SECTION: str | None = "qlora_config"


class Settings(Section):
    """QLoRA: how the frozen weights are kept in four bits."""

    quant_type: Literal["nf4", "fp4"] = Field(default="nf4", description="The sixteen values that a weight may take.")
    double_quant: bool = Field(default=True, description="Keep the blocks' scales in eight bits too.")
    compute_dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="What weights are unpacked to. auto: as hyperparameters.precision."
    )
