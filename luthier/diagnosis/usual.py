"""What a method's learning rate usually is, where that does not depend on the model."""

from __future__ import annotations

from typing import Any

from luthier import plugins
from luthier.diagnosis.seen import Seen

METHODS = "luthier.methods"


def usual_rate(seen: Seen) -> float | None:
    """The rate that the method takes by itself for these settings; None where it would have to look at the model, or
    nothing is known of the run's settings."""
    name = seen.setting("tuning_method", None)
    if name not in plugins.names(METHODS):
        return None
    method: Any = plugins.load(METHODS, name)
    section = getattr(method, "SETTINGS_FROM", method.SECTION)
    prefix = f"training_config.{section}."
    try:
        given = {path.removeprefix(prefix): value for path, value in seen.settings.items() if path.startswith(prefix)}
        of = method if section == method.SECTION else plugins.load(METHODS, section.removesuffix("_config"))
        value, _, _ = method.learning_rate(of.Settings(**given), None)
    except (ValueError, TypeError, AttributeError):  # settings of another version; or the method looks at the model
        return None
    return float(value)
