"""Which methods are left out: each rule gives the reason, or nothing (empty) where a method may stay."""

from __future__ import annotations

from luthier.advice.facts import Facts
from luthier.advice.rules import rule
from luthier.settings import mission
from luthier.settings.mission import TuningMethod


@rule(
    "the mission's table of methods, its column Compute; the contract: low allows Minimal and Very Low, medium also Low"
)
def budget_allows(facts: Facts, method: TuningMethod) -> str:
    """A compute budget allows the methods whose compute it covers."""
    if method in mission.allowed_methods(facts.budget):
        return ""
    return f"its compute is {mission.METHODS[method].compute}, which --compute-budget {facts.budget} does not allow"


@rule("the method's own file: the packages that it needs, the layers that it can take")
def model_and_machine_take_it(facts: Facts, method: TuningMethod) -> str:
    """A method needs its packages, and layers that it can sit on."""
    return facts.option(method).refused


@rule("`luthier estimate`: docs/how-to/estimate.md")
def memory_holds_it(facts: Facts, method: TuningMethod) -> str:
    """A method's peak memory has to fit into the machine's free memory."""
    peak = facts.option(method).peak_memory_bytes
    if peak is None or facts.memory_bytes is None or peak <= facts.memory_bytes:
        return ""
    return f"it takes {_size(peak)} and {_size(facts.memory_bytes)} are free"


def _size(memory_bytes: int) -> str:
    return f"{memory_bytes / 1e9:,.2f} GB"


RULES = (budget_allows, model_and_machine_take_it, memory_holds_it)
