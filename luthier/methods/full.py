"""Full fine-tuning: every weight of the model is trained."""

from __future__ import annotations

from luthier.settings.schema import Section

SECTION: str | None = None


class Settings(Section):
    """Full fine-tuning has no settings of its own."""
