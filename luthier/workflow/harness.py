"""`luthier evaluate RUN --lm-eval TASK`: a task of the lm-evaluation-harness for the tuned model and for base."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from luthier.engine.forward import Engine
from luthier.errors import mistake
from luthier.flow import Event, Note, Place, Tokenized, Tuned
from luthier.workflow.loaded_model import engine_of
from luthier.workflow.opened_run import Opened, decoder, open_run

INSTALL = "python -m pip install 'luthier[lm-eval]'"


@dataclass(frozen=True, slots=True)
class Harness:
    """What lm-eval found: by task and metric, of `base` and `tuned`, with the errors that it gives.

    `largest_logit_difference` is between the two models after one probe text: 0 would mean that the tuned weights are
    not in use. `cut` counts texts cut to fit the context.
    """

    version: str
    tasks: tuple[str, ...]
    limit: int | None
    base: Mapping[str, Mapping[str, Any]]
    tuned: Mapping[str, Mapping[str, Any]]
    largest_logit_difference: float
    cut: int


def require(tasks: Sequence[str]) -> None:
    """Raises `UserError` where lm-eval is not installed, before anything long begins."""
    if tasks and find_spec("lm_eval") is None:
        raise mistake("lm-eval is not installed", "--lm-eval", INSTALL)


def harness(
    run: str, tasks: Sequence[str], *, limit: int | None = None, root: Path = Path("runs")
) -> Generator[Event, None, Harness]:
    """Runs tasks with both models; keeps reports/lm_eval.json in the run.

    A task is a YAML file of the harness's form, or the name of one of its own, whose data must be on this machine. A
    task file may name Python functions beside it, which are run: take files that you trust.
    """
    require(tasks)
    import lm_eval

    opened = yield from open_run(run, root)
    model = opened.open_base()
    engine = engine_of(Tuned(model, None, {}))
    before = _probe(engine, opened)
    yield Note("file", f"lm-eval {lm_eval.__version__} asks base: {', '.join(tasks)}")
    base, _ = _results(engine, opened, tasks, limit)
    engine = opened.tuned(model)
    apart = float((_probe(engine, opened) - before).abs().max())
    if apart == 0.0:
        yield Note("warning", "the tuned model's logits are base's own: its weights change nothing")
    yield Note("file", "lm-eval asks the tuned model")
    tuned, cut = _results(engine, opened, tasks, limit)
    found = Harness(lm_eval.__version__, tuple(tasks), limit, base, tuned, apart, cut)
    path = opened.run.write_other_report("lm_eval", {"version": 1, "lm_eval": asdict(found)})
    yield Note("file", f"what lm-eval found is in {path}")
    return found


def _probe(engine: Engine, opened: Opened) -> Any:
    """The logits after a text."""
    tokens = opened.tokenizer("The quick brown fox jumps over the lazy dog", add_special_tokens=False)["input_ids"]
    weights = np.ones(len(tokens), dtype=np.float32)
    return engine.logits(Tokenized(np.array(tokens, dtype=np.int32), weights, Place("probe", 0)), 1).float()


def _results(
    engine: Engine, opened: Opened, tasks: Sequence[str], limit: int | None
) -> tuple[dict[str, dict[str, Any]], int]:
    """Each task's metrics, and how many texts were cut. Raises `UserError` where the harness cannot do a task."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    from luthier.evaluation.harness import ThroughEngine

    config: Any = engine.tuned.model.config
    virtual = engine.tuned.root.length if engine.tuned.root else 0
    context = int(getattr(config, "max_position_embeddings", 2048)) - virtual
    model = ThroughEngine(engine, opened.tokenizer, opened.stops, decoder(opened.tokenizer), context)
    folders = sorted({str(Path(task).parent) for task in tasks if Path(task).is_file()})
    try:
        manager = TaskManager(include_path=folders or None, include_defaults=not all(Path(t).is_file() for t in tasks))
        found = simple_evaluate(model, tasks=list(tasks), limit=limit, task_manager=manager, log_samples=False)
    except (KeyError, ValueError, OSError, ConnectionError) as error:
        message = f"lm-eval cannot do it: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        remedy = "name a task file (.yaml) with its data beside it, or a task whose data is on this machine"
        raise mistake(message, ", ".join(tasks), remedy) from error
    assert found is not None
    results = {
        task: {name.removesuffix(",none"): value for name, value in metrics.items() if isinstance(value, int | float)}
        for task, metrics in found["results"].items()
    }
    return results, model.cut
