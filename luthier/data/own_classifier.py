"""A classifier of the user's own as a check of harmful content, by its import path: `my_classifier:harm`.

It is a function from texts to one mapping a text, from category to probability, and may hold any local model:

    def harm(texts: list[str]) -> list[dict[str, float]]:
        return [{label: score for ...} for text in texts]

    harm.threshold = 0.8  # 0.5 where it says nothing

Only what a person wrote on the command line names one; rows never do.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from math import isfinite
from pathlib import Path
from typing import Any, Final

import numpy as np

from luthier.data.checks import Check, Hit, Judged, Rows, Threshold, Whole
from luthier.errors import UserError, mistake

THRESHOLD: Final = 0.5
Classify = Callable[[list[str]], Sequence[Mapping[str, float]]]
Scores = list[tuple[int, str, float]]
"""Of a block: the row's place in it, the likeliest category over the threshold, its probability."""


def check_of(name: str) -> Check:
    """The check of `module:function`, looked for in the current folder too. Raises `UserError` where there is none."""
    classify = _function(name)
    threshold = getattr(classify, "threshold", THRESHOLD)
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 < threshold <= 1:
        remedy = f"write {name.partition(':')[2]}.threshold = 0.5, or leave it out"
        raise mistake(f"its threshold is {threshold!r}, not between 0 and 1", f"the classifier {name}", remedy)

    def gather(rows: Rows) -> tuple[int, Scores]:
        return len(rows), _classified(classify, name, [row.text for row in rows], float(threshold))

    return Check(
        name=name,
        criterion="no_harmful_content",
        what=f"Rows that {name} gives a category of at least {threshold:g}.",
        why="You named this classifier.",
        remedy="read the row; leave it out: luthier check FILE --write KEPT",
        thresholds=(Threshold(float(threshold), "is the probability from which on a row counts", f"{name}.threshold"),),
        tolerated=0.0,
        severity="warning",
        leaves_out=True,
        needs=frozenset(),
        package="",
        look=None,
        gather=gather,
        judge=_judge,
        repair=None,
        repair_answer=None,
    )


def _judge(parts: Sequence[tuple[int, Scores]], whole: Whole) -> Judged:
    found: dict[int, tuple[str, float]] = {}
    for start, (_, scores) in zip(whole.starts, parts, strict=True):
        found.update({start + place: (category, score) for place, category, score in scores})
    own = {row: value for row, value in found.items() if not whole.held_out[row]}

    def describe(row: int) -> Hit:
        category, score = own[row]
        return Hit(f"{category} with a probability of {score:.2f}", category)

    categories = Counter(category for category, _ in own.values())
    return Judged(np.array(sorted(own), np.int64), describe, numbers={"categories": dict(categories)})


def _classified(classify: Classify, name: str, texts: list[str], threshold: float) -> Scores:
    try:
        given = list(classify(texts)) if texts else []
    except UserError:
        raise
    except Exception as error:
        remedy = "mend it: it takes a list of texts and gives a list of {category: probability}"
        raise mistake(f"it fails: {type(error).__name__}: {error}", f"the classifier {name}", remedy) from error
    if len(given) != len(texts) or not all(isinstance(one, Mapping) and _are_numbers(one) for one in given):
        what = f"it gives {len(given)} values for {len(texts)} texts, or other values than {{category: probability}}"
        raise mistake(what, f"the classifier {name}", "give one mapping from category to probability a text")
    likeliest = [max(one.items(), key=lambda pair: pair[1], default=("", 0.0)) for one in given]
    return [
        (place, str(category), float(score)) for place, (category, score) in enumerate(likeliest) if score >= threshold
    ]


def _are_numbers(scores: Mapping[str, Any]) -> bool:
    return all(isinstance(score, int | float) and isfinite(score) for score in scores.values())


def _function(name: str) -> Classify:
    module_name, _, function_name = name.partition(":")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        module = import_module(module_name)
    except Exception as error:
        remedy = f"see that `python -c 'import {module_name}'` works in this folder"
        what = f"{module_name!r} cannot be imported: {type(error).__name__}: {error}"
        raise mistake(what, f"the classifier {name}", remedy) from error
    finally:
        sys.path.remove(here)
    function = getattr(module, function_name, None)
    if not callable(function):
        what = f"{module_name!r} has no function {function_name!r}"
        raise mistake(what, f"the classifier {name}", "name it as module:function, such as my_classifier:harm")
    classify: Classify = function
    return classify
