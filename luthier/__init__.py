"""Luthier fine-tunes and prompt-tunes language models, from the data to a verified result.

The verbs of the command line as functions. Each works to its end and gives the typed result behind the verb's JSON;
`listen` is given every event on the way (`luthier.flow.Event`). What the user must mend is raised as
`luthier.errors.UserError`. Nothing heavy is loaded before a verb is called.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from luthier.app.reviewing import Review
    from luthier.evaluation.compare import Comparison
    from luthier.evaluation.remedied import Remedied
    from luthier.flow import Diagnosis, Event, Report
    from luthier.workflow.advise import Advised
    from luthier.workflow.chat import Chat
    from luthier.workflow.check import Checked
    from luthier.workflow.demo import Demo
    from luthier.workflow.estimate import Estimated
    from luthier.workflow.export import Exported
    from luthier.workflow.generate import Generated
    from luthier.workflow.selftest import Selftest
    from luthier.workflow.train import Trained

    Listen = Callable[[Event], None]

# Read by OpenMP when torch is first loaded: how often a waiting thread looks before it sleeps. With the usual 300,000,
# threads stand in each other's way as soon as anything else runs on the machine (docs/log.md).
os.environ.setdefault("GOMP_SPINCOUNT", "3000")

__version__ = "0.1.0"
__all__ = [
    "advise",
    "chat",
    "check",
    "compare",
    "demo",
    "diagnose",
    "estimate",
    "evaluate",
    "export",
    "generate",
    "models",
    "remedy",
    "review",
    "selftest",
    "train",
]

_RUNS = Path("runs")


def demo(*, root: Path = _RUNS, listen: Listen | None = None) -> Demo:
    """The whole way on the packaged model and example data; the run stands under `root`."""
    from luthier.flow import result_of
    from luthier.workflow.demo import demo

    return result_of(demo(root=root), listen)


def advise(
    files: str | Sequence[str] = (),
    *,
    data: str | None = None,
    model: str | None = None,
    compute_budget: str | None = None,
    overrides: Sequence[str] = (),
    write: str | None = None,
    quick: bool = False,
    device: str = "cpu",
    root: Path = _RUNS,
    listen: Listen | None = None,
) -> Advised:
    """Which method for these rows, why, with which settings, or that prompting is enough:
    `luthier.advise(data="rows.jsonl", compute_budget="low").advice.tuning_method`. `quick` asks the untouched model
    nothing; comparisons under `root` count as evidence."""
    from luthier.flow import result_of
    from luthier.workflow.advise import advise

    work = advise(
        _listed(files),
        data=data,
        model=model,
        compute_budget=compute_budget,
        overrides=overrides,
        write=write,
        quick=quick,
        device=device,
        root=root,
    )
    return result_of(work, listen)


def train(
    files: str | Sequence[str] = (),
    *,
    data: str | None = None,
    overrides: Sequence[str] = (),
    name: str | None = None,
    resume: str | None = None,
    on_trouble: str = "say",
    root: Path = _RUNS,
    listen: Listen | None = None,
) -> Trained:
    """Tunes a model: `luthier.train("rows.jsonl", overrides=["seed=1"])`. Makes `root/name`, or goes on with `resume`.
    With `on_trouble="stop"` a run that goes wrong ends there, evaluated and saved; with `"remedy"` what `remedy` does
    comes then, into `Trained.remedied`.

    Raises `luthier.errors.Stopped` after Ctrl-C or SIGTERM, with everything saved.
    """
    from luthier.flow import result_of
    from luthier.workflow.remedied_training import trained_and_remedied

    work = trained_and_remedied(
        _listed(files), data=data, overrides=overrides, name=name, resume=resume, on_trouble=on_trouble, root=root
    )
    return result_of(work, listen)


def evaluate(
    run: str,
    *,
    data: str | None = None,
    metric: Sequence[str] = (),
    schema: str | None = None,
    judge: str | None = None,
    judge_model: str | None = None,
    judge_rows: int = 100,
    lm_eval: Sequence[str] = (),
    lm_eval_limit: int | None = None,
    root: Path = _RUNS,
    listen: Listen | None = None,
) -> Report:
    """Measures a run's model beside the untouched one, on the run's test rows or on those of `data`.

    `metric=["my_metrics:politeness"]` also measures by functions of your own; `schema` is a file with a JSON
    schema that answers must keep. With `judge`, an OpenAI-compatible address, `judge_model` compares the answers there
    too, into the run's reports/judge.json; its key is taken from `LUTHIER_JUDGE_KEY`. Tasks of `lm_eval` go into
    reports/lm_eval.json.
    """
    from luthier.flow import result_of
    from luthier.workflow import harness
    from luthier.workflow.evaluate import evaluate
    from luthier.workflow.judge import judge_answers, require

    require(judge, judge_model)
    harness.require(lm_eval)
    report = result_of(evaluate(run, data=data, own_metrics=metric, schema=schema, root=root), listen)
    if judge and judge_model:
        result_of(judge_answers(run, judge, judge_model, judge_rows, root=root), listen)
    if lm_eval:
        result_of(harness.harness(run, lm_eval, limit=lm_eval_limit, root=root), listen)
    return report


def generate(
    run: str, *, data: str, out: str, max_tokens: int = 512, root: Path = _RUNS, listen: Listen | None = None
) -> Generated:
    """Writes a run's answers to the rows of `data` into `out`, one JSON line a row; what an earlier start had answered
    is not asked again."""
    from luthier.flow import result_of
    from luthier.workflow.generate import generate

    return result_of(generate(run, data=data, out=out, max_tokens=max_tokens, root=root), listen)


def compare(
    what: str | Sequence[str] = (),
    *,
    methods: Sequence[str] = (),
    variants: Sequence[str] = (),
    seeds: Sequence[int] = (),
    minutes: float | None = None,
    tokens: int | None = None,
    rates: Sequence[float] = (),
    data: str | None = None,
    overrides: Sequence[str] = (),
    name: str | None = None,
    root: Path = _RUNS,
    listen: Listen | None = None,
) -> Comparison:
    """Methods on the same rows: `luthier.compare("rows.jsonl", methods=["lora", "full"], minutes=5)`, each trained with
    every seed in the same budget of minutes of steps, or of trained tokens, at a learning rate of its own (its usual
    one times the best of `rates`). Or finished runs as they are: `luthier.compare(["one", "other"])`. Every pair is
    tested row by row.

    Raises `luthier.errors.Stopped` after Ctrl-C or SIGTERM, with everything kept; called again, it goes on.
    """
    from luthier.flow import result_of
    from luthier.workflow.comparison import comparison

    work = comparison(
        _listed(what),
        methods=methods,
        variants=variants,
        seeds=seeds,
        minutes=minutes,
        tokens=tokens,
        rates=rates,
        data=data,
        overrides=overrides,
        name=name,
        root=root,
    )
    return result_of(work, listen)


def review(
    run: str,
    *,
    against: str | Sequence[str] | None = None,
    data: str | None = None,
    rows: int = 100,
    raters: int | None = None,
    each_by: int = 1,
    checks: int | None = None,
    max_tokens: int = 512,
    new: bool = False,
    scripted: bool = False,
    export: str | None = None,
    form: str = "trl",
    port: int | None = None,
    host: str = "127.0.0.1",
    browser: bool = True,
    root: Path = _RUNS,
    listen: Listen | None = None,
) -> Review:
    """Has people choose blind between a run's answers and those of `against`, and gives what their votes say:
    `luthier.review("runs/a", against=["base", "runs/b"])` compares three systems pair by pair.

    Opens the pages and works until the owner ends the review there, or Ctrl-C; `listen` is given the links. With
    `export` no page is opened: the votes there are go into that file. `scripted` says that a script votes.
    """
    from luthier.app.reviewing import review
    from luthier.flow import result_of

    work = review(
        run,
        against=against,
        data=data,
        rows=rows,
        raters=raters,
        each_by=each_by,
        checks=checks,
        max_tokens=max_tokens,
        new=new,
        scripted=scripted,
        export=export,
        form=form,
        port=port,
        host=host,
        browser=browser,
        root=root,
    )
    return result_of(work, listen)


def remedy(run: str, *, at_most: str = "4x", root: Path = _RUNS, listen: Listen | None = None) -> Remedied:
    """Puts right what is wrong with a run, in new runs beside it: `luthier.remedy("rows-lora-1").helped`. `at_most` is
    what all of them may take, as a multiple of the tokens of rows that the run itself took.

    Raises `luthier.errors.Stopped` after Ctrl-C or SIGTERM, with everything kept; called again, it goes on.
    """
    from luthier.flow import result_of
    from luthier.workflow.remedy import remedy

    return result_of(remedy(run, at_most=at_most, root=root), listen)


def check(
    files: str | Sequence[str],
    *,
    mask: int = 0,
    data: str | None = None,
    overrides: Sequence[str] = (),
    write: str | None = None,
    format: str | None = None,
    skip: Sequence[str] = (),
    held_out: Sequence[str] = (),
    benchmark: Sequence[str] = (),
    redact: Sequence[str] = (),
    classifier: Sequence[str] = (),
    page: str | None = None,
    openai: bool = False,
    deep: bool = False,
    model: str | None = None,
    listen: Listen | None = None,
) -> Checked:
    """What would be read, kept and trained on, and how the rows do by the six criteria; with `mask`, the tokens of that
    many rows, each trained or not; with `write`, the rows that can be used and that no check leaves out are written
    into that file, in the form `format` or their own. `skip` names checks to leave out, `held_out` test files,
    `benchmark` files of which no 13 words may stand in the rows, `redact` what placeholders are written for,
    `classifier` functions of your own (`module:function`), `page` a file for the page; `openai`: by their guide too;
    `deep` also looks for names and addresses of people, for rows of the same meaning, and for answers that do not fit
    their prompts, by the losses of `model` (the packaged one where none is named)."""
    from luthier.flow import result_of
    from luthier.workflow.check import check

    return result_of(
        check(
            _listed(files),
            mask=mask,
            data=data,
            overrides=overrides,
            write=write,
            format=format,
            skip=skip,
            held_out=_listed(held_out),
            benchmark=_listed(benchmark),
            redact=_listed(redact),
            classifier=_listed(classifier),
            page=page,
            openai=openai,
            deep=deep,
            model=model,
        ),
        listen,
    )


def estimate(
    files: str | Sequence[str] = (),
    *,
    model: str | None = None,
    method: str | None = None,
    overrides: Sequence[str] = (),
    row_tokens: int | None = None,
    rows: int | None = None,
    device: str = "cpu",
    processes: int = 1,
    price_per_hour: float | None = None,
    largest: bool = False,
    probe: bool = False,
    listen: Listen | None = None,
) -> Estimated:
    """What a run would take: `luthier.estimate(model="config.json", method="lora", device="24GiB")`. With `largest`
    also what would fit at most, with `probe` after a few real steps on this machine."""
    from luthier.flow import result_of
    from luthier.workflow.estimate import estimate

    work = estimate(
        _listed(files),
        model=model,
        method=method,
        overrides=overrides,
        row_tokens=row_tokens,
        rows=rows,
        device=device,
        processes=processes,
        price_per_hour=price_per_hour,
        largest=largest,
        probe=probe,
    )
    return result_of(work, listen)


def chat(run: str, *, root: Path = _RUNS) -> Chat:
    """A run's model, or any other, loaded to talk to: `luthier.chat("runs/x").ask([Message("user", "Hello")])`."""
    from luthier.workflow.chat import open_chat

    return open_chat(run, root)


def selftest(*, listen: Listen | None = None) -> Selftest:
    """Proves the claims of exactness on this machine, each measured beside its limit."""
    from luthier.flow import result_of
    from luthier.workflow.selftest import selftest

    return result_of(selftest(), listen)


def diagnose(run: str, *, root: Path = _RUNS, listen: Listen | None = None) -> Diagnosis:
    """What is wrong with a run, from its directory alone, the first thing to mend first:
    `luthier.diagnose("runs/x").findings[0].says`. A healthy run has no findings."""
    from luthier.flow import result_of
    from luthier.workflow.diagnose import diagnose

    return result_of(diagnose(run, root=root), listen)


class _Export(ModuleType):
    """`luthier.export(...)` is the verb, although the package of export formats has the name as well."""

    def __call__(
        self, run: str, *, format: str, out: str | None = None, root: Path = _RUNS, listen: Listen | None = None
    ) -> Exported:
        """Writes a run as `adapter` (PEFT's files) or `merged` (a model folder) and proves that it answers the same."""
        from luthier.flow import result_of
        from luthier.workflow.export import export

        return result_of(export(run, format=format, out=out, root=root), listen)


import_module("luthier.export").__class__ = _Export


def __getattr__(name: str) -> Any:
    """`luthier.models`, loaded when asked for: the package of that name, which is the verb too when it is called."""
    if name == "models":
        return import_module("luthier.models")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def _listed(files: str | Sequence[str]) -> Sequence[str]:
    return [files] if isinstance(files, str) else files
