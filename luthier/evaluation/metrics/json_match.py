"""JSON match: how much of the wanted JSON the generated one holds, field by field, and holds nothing else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from luthier.evaluation.matching import is_json, parsed
from luthier.evaluation.metrics import Sample
from luthier.evaluation.metrics._rows import Fit, mean_of_rows

direction: Final = "higher"
range: Final = (0.0, 1.0)
needs: Final = "answers"
examples: Final = ('{"queue": "refund", "days": 3}', '{"a": {"b": [1, 2]}, "c": null}', "[]", '[{"x": true}]')

FIELDS_SHOWN: Final = 50


def same_fields(answer: str, wanted: str) -> float:
    """F1 of the fields, each with its place and its value; 0 where the answer is no JSON.

    Wanted `{"queue": "refund", "days": 3}`, answered `{"queue": "refund", "days": 4}`: 1 of 2 and 1 of 2, so 0.5.
    """
    if not is_json(answer):
        return 0.0
    said, meant = (dict(_fields(parsed(text))) for text in (answer, wanted))
    same = sum(1 for place, value in meant.items() if place in said and said[place] == value)
    return 2 * same / (len(said) + len(meant))


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    """Each innermost value with its place: `{"a": {"b": [1]}}` has `.a.b[0]`. An empty object or array is a value."""
    waiting = [("", value)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, dict) and value:
            waiting += [(f"{place}.{key}", inner) for key, inner in reversed(value.items())]
        elif isinstance(value, list) and value:
            waiting += [(f"{place}[{number}]", inner) for number, inner in reversed([*enumerate(value)])]
        else:
            yield place, value


def _scores(sample: Sample) -> Sequence[float]:
    """A row's F1; 0 where the limit cut the answer."""
    return [
        same_fields(answer.text, question.wanted) if answer.stopped else 0.0
        for question, answer in zip(sample.questions, sample.answers, strict=True)
    ]


def _details(sample: Sample) -> Mapping[str, Any]:
    """The share of answers that are JSON at all, and of each field (of all items of a list) how often it is right."""
    wanted, right = Counter[str](), Counter[str]()
    for question, answer in zip(sample.questions, sample.answers, strict=True):
        said = dict(_fields(parsed(answer.text))) if is_json(answer.text) else {}
        for place, value in _fields(parsed(question.wanted)):
            name = re.sub(r"\[\d+\]", "[]", place)
            wanted[name] += 1
            right[name] += place in said and said[place] == value
    fields = [{"field": name, "wanted": wanted[name], "right": right[name]} for name, _ in wanted.most_common()]
    valid = sum(is_json(answer.text) for answer in sample.answers)
    return {"is_json": valid / len(sample.answers), "fields": fields[:FIELDS_SHOWN]}


_mean = mean_of_rows(_scores, range, Fit(lambda question: is_json(question.wanted), "are JSON"), _details)
measure, difference, rows_needed, unfit = _mean.measure, _mean.difference, _mean.rows_needed, _mean.unfit
