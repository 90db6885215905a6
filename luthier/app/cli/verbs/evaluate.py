"""`luthier evaluate`: a run's metrics against its targets, beside the base model's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from luthier.app.cli.job import Job, JsonOption, Outcome, StrictOption

if TYPE_CHECKING:
    from rich.console import Console

    from luthier.evaluation.model_judge import Judged
    from luthier.flow import Event, Report
    from luthier.workflow.harness import Harness


def evaluate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's name or folder.")],
    data: Annotated[str | None, typer.Option(metavar="F", help="Other rows than the run's own test rows.")] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="MODULE:FUNCTION", help="Also measure by a function of your own; may be repeated."),
    ] = None,
    schema: Annotated[str | None, typer.Option(metavar="F", help="A JSON schema that answers must keep.")] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Also have another model compare the answers, at any OpenAI-compatible address. Its key, where it "
            "needs one, is taken from LUTHIER_JUDGE_KEY.",
        ),
    ] = None,
    judge_model: Annotated[str | None, typer.Option(metavar="M", help="The judge's name at that address.")] = None,
    judge_rows: Annotated[int, typer.Option(metavar="N", min=1, help="The most rows that the judge gets.")] = 100,
    lm_eval: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TASK", help="Also run a task of lm-eval: a task file (.yaml), or a name; may be repeated."
        ),
    ] = None,
    lm_eval_limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="The most rows of such a task.")] = None,
    strict: StrictOption = False,
    json: JsonOption = False,
) -> Job:
    """Measure a run beside the untouched model.

    Exit code 1 where a target was missed. Nothing leaves this machine unless --judge names an address.

    \b
        luthier evaluate runs/rows-lora-1
        luthier evaluate runs/rows-lora-1 --data test.jsonl --json
        luthier evaluate runs/rows-lora-1 --metric my_metrics:politeness
        luthier evaluate runs/rows-lora-1 --judge http://localhost:8000/v1 --judge-model qwen3-32b
        luthier evaluate runs/rows-lora-1 --lm-eval tasks/colours.yaml
    """

    def work(listen: Callable[[Event], None]) -> Outcome:
        from luthier.app.cli.evaluation import any_missed
        from luthier.flow import result_of
        from luthier.workflow import harness
        from luthier.workflow.evaluate import evaluate
        from luthier.workflow.judge import judge_answers, require

        require(judge, judge_model)
        harness.require(lm_eval or [])
        report = result_of(evaluate(run, data=data, own_metrics=metric or [], schema=schema), listen)
        judged = None
        if judge and judge_model:
            judged = result_of(judge_answers(run, judge, judge_model, judge_rows), listen)
        asked = result_of(harness.harness(run, lm_eval, limit=lm_eval_limit), listen) if lm_eval else None
        more = {name: asdict(found) for name, found in (("judge", judged), ("lm_eval", asked)) if found}
        return Outcome(
            asdict(report) | more,
            lambda console: _show(run, report, judged, asked, console),
            any_missed(report, strict),
        )

    return Job(work, json)


def _show(run: str, report: Report, judged: Judged | None, asked: Harness | None, console: Console) -> None:
    from luthier.app.cli.evaluation import any_missed, print_evaluation
    from luthier.app.cli.harness import print_harness
    from luthier.app.cli.judgement import print_judgement
    from luthier.app.cli.next_steps import next_steps
    from luthier.runs import Run

    found = Run.find(run)
    print_evaluation(report, console)
    if judged:
        print_judgement(judged, console)
    if asked:
        print_harness(asked, console)
    steps = [(["chat", str(found.folder)], "talk to it")]
    if any_missed(report):
        steps.insert(0, (["diagnose", str(found.folder)], "what may have gone wrong, and what helps"))
    next_steps(console, *steps, page=str(found.page))
