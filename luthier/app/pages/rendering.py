"""From a template and data to a page: every text is escaped, and shows all that it holds."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from luthier.evaluation.votes_report import chance as measure_of_odds
from luthier.flow import Measure
from luthier.report import numbers

HERE: Final = Path(__file__).parent
HTMX: Final = "htmx-4.0.1.min.js"
_PICTURES: Final = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {127: 0x2421}


def page(template: str, status: int = 200, **data: Any) -> HTMLResponse:
    """A template with its data. Text from rows, models and raters is never markup."""
    html = _environment().get_template(template).render(**data).lstrip()
    return HTMLResponse(html.encode("utf-8", "backslashreplace"), status)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
        auto_reload=False,
    )
    environment.globals["htmx"] = HTMX
    environment.filters.update(
        percent=numbers.percent,
        number=numbers.number,
        count=numbers.count,
        share=_share,
        log_odds=_log_odds,
        halves=numbers.halves,
        chance=_chance,
        words=lambda name: str(name).replace("_", " "),
        as_json=lambda value: orjson.dumps(value, option=orjson.OPT_INDENT_2).decode(),
    )
    return environment


def _share(measure: Measure) -> str:
    """`81.2% [68.1, 90.4]`; a dash where there is no value."""
    ends = numbers.interval(measure.value, measure.low, measure.high, share=True)
    return f"{numbers.percent(measure.value)} {ends}".rstrip()


def _log_odds(measure: Measure) -> str:
    """`+0.82 [0.31, 1.33]`."""
    return numbers.log_odds(measure.value, measure.low, measure.high)


def _chance(measure: Measure) -> str:
    """Log-odds as a share: `0` is 50.0%."""
    return _share(measure_of_odds(measure))


def _visible(value: Any) -> Any:
    """Control characters as their pictures, so that text from data shows all that it holds."""
    return value.translate(_PICTURES) if isinstance(value, str) and not isinstance(value, Markup) else value
