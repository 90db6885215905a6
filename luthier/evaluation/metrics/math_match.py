"""Math match: the share of rows whose generated answer equals the wanted one as mathematics, by math-verify."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from luthier.evaluation.math_answers import same_mathematics
from luthier.evaluation.metrics import Sample
from luthier.evaluation.metrics._rows import Fit, ShareOfRows

direction: Final = "higher"
range: Final = (0.0, 1.0)
needs: Final = "answers"
package: Final = "math_verify"
examples: Final = (r"The half: $\frac{1}{2}$", r"So \boxed{x^2 + 2x + 1}.", r"\(\sqrt{8}\)", r"\[3 \cdot 10^4\]")

_LATEX = re.compile(r"\\boxed|\\frac|\\sqrt|\\\(|\\\[|\$[^$]+\$")


def _right(sample: Sample) -> Sequence[bool]:
    pairs = zip(sample.questions, sample.answers, strict=True)
    return same_mathematics([(question.wanted, answer.text) for question, answer in pairs])


_share = ShareOfRows(_right, Fit(lambda question: bool(_LATEX.search(question.wanted)), "hold a formula in LaTeX"))
measure, difference, rows_needed, unfit = _share.measure, _share.difference, _share.rows_needed, _share.unfit
