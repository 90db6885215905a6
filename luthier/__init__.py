"""Luthier fine-tunes and prompt-tunes language models, from the data to a verified result."""

from __future__ import annotations

__version__ = "0.1.0"
