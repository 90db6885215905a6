"""What rows.json says of rows that stand there twice: `data.repeats` counts them when a run begins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from luthier.diagnosis.seen import Missing, Seen
from luthier.flow import Place


def repeated(seen: Seen) -> Mapping[str, Any]:
    """The counts of copies, contradictions and leaks. Raises `Missing` for a run that kept none."""
    found = seen.rows.get("repeated")
    if not isinstance(found, dict) or not {"copies", "contradicting", "leaked"} <= found.keys():
        if "rows" in seen.absent:
            raise Missing(seen.absent["rows"])
        raise Missing("the run did not count its copies and contradictions: luthier check RUN/settings.yaml does")
    return found


def places(rows: Iterable[Mapping[str, Any]]) -> tuple[Place, ...]:
    return tuple(Place(row["file"], row["line"], row.get("row_group")) for row in rows)
