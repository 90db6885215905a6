"""`python -m luthier` is `luthier`."""

from __future__ import annotations

from luthier.app.cli import main

main()
