"""JSON schema: the share of answers that are JSON and keep the schema given with `--schema`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from luthier.evaluation.metrics import Sample
from luthier.evaluation.metrics._rows import ShareOfRows

direction: Final = "higher"
range: Final = (0.0, 1.0)
needs: Final = "answers"
package: Final = "jsonschema"
examples: Final = ('{"queue": "refund"}', '{"queue": "billing"}')
schema: Final = {"type": "object", "properties": {"queue": {"type": "string"}}, "required": ["queue"]}


def unfit(sample: Sample) -> str:
    """Why there is nothing to check answers by; empty where there is."""
    return "" if sample.schema is not None else "no schema was given (`luthier evaluate RUN --schema schema.json`)"


def _right(sample: Sample) -> Sequence[bool]:
    from jsonschema.validators import validator_for

    assert sample.schema is not None
    validator = validator_for(sample.schema)(sample.schema)
    return [_is_valid(answer.text, validator) for answer in sample.answers]


def _is_valid(text: str, validator: Any) -> bool:
    try:
        return bool(validator.is_valid(json.loads(text)))
    except (ValueError, RecursionError):
        return False


_share = ShareOfRows(_right)
measure, difference, rows_needed = _share.measure, _share.difference, _share.rows_needed
