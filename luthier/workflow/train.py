"""`luthier train`: settings and rows -> a run directory with the tuned weights."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.errors import Stopped, mistake
from luthier.flow import EvaluationLog, Event, Note, Progress, StepLog
from luthier.runs.environment import describe_environment
from luthier.runs.run import Run
from luthier.settings import mission
from luthier.settings.loading import Loaded, require_rows, resolve, resolve_auto
from luthier.settings.writing import to_data, to_yaml
from luthier.workflow import run_file
from luthier.workflow.prepare import Prepared, prepare, said
from luthier.workflow.signals import caught

if TYPE_CHECKING:
    from luthier.training.loop import Training

Writers = Mapping[str, Callable[[Path], None]]


@dataclass(frozen=True, slots=True)
class Trained:
    """What training gives: `run` is its name, `folder` its directory; losses are in nats a trained token."""

    run: str
    folder: Path
    steps: int
    trained_tokens: int
    seconds: float
    train_loss: float
    validation_loss: float | None


def train(
    files: Sequence[str] = (),
    *,
    data: str | None = None,
    overrides: Sequence[str] = (),
    name: str | None = None,
    resume: str | None = None,
    root: Path = Path("runs"),
) -> Generator[Event, None, Trained]:
    """A new run from run files (or a file of rows), or, with `resume`, an earlier one to its end.

    Ctrl-C and SIGTERM save and raise `Stopped`. Raises `UserError` for all that the user must mend.
    """
    if resume is not None:
        if files or data or overrides or name:
            raise mistake("a run goes on with its own settings", "--resume", f"luthier train --resume {resume}")
        run = Run.find(resume, root)
        loaded = run_file.read([str(run.settings_path)])
        _same_data(run, loaded)
    else:
        named = [f"name={name}"] if name else []
        loaded = run_file.read(files, data, [*overrides, *named])
    require_rows(loaded.settings)
    from luthier.workflow.loaded_model import find, open_base

    model_named = yield from find(loaded.settings.model)
    prepared = yield from prepare(loaded, model_named.tokenizer, model_named.context_length, model_named.eos)
    yield from said(prepared.account, prepared.problems)
    loaded = _method_chosen(prepared.loaded)
    method = run_file.method(loaded.settings.tuning_method)
    loaded = _precision_chosen(loaded, method)
    precision = loaded.settings.training_config.hyperparameters.precision
    longest = max(len(row.tokens) for row in (*prepared.train, *prepared.validation))
    model = open_base(model_named, precision, longest)
    loaded = _targets_resolved(loaded, method, model)
    loaded = _training_resolved(loaded, method, len(prepared.train))
    tuned = method.attach(model, run_file.method_settings(loaded.settings, method), loaded.settings.seed)
    training = _training(loaded, prepared, tuned)

    if resume is None:
        stem = Path(files[0] if files else data or "run").name.partition(".")[0]
        settings = loaded.settings
        if settings.name == "auto":
            run = Run.create_numbered(root, stem, settings.tuning_method)
            loaded = resolve(loaded, "name", run.name, "the file's name, the method and a number", "auto")
        else:
            run = Run.create(root, settings.name)
        run.write_settings(to_yaml(loaded), to_data(loaded.provenance))
        run.write_rows(prepared.account.to_data())
        run.write_environment(describe_environment(sys.argv, run_file.data_files(settings)))
    for path, source in loaded.provenance.items():
        if source.source == "auto" and source.reason:
            yield Note("setting", f"{path} {source.value} ({source.reason})")
    trainable = sum(parameter.numel() for parameter in tuned.trainable.values())
    whole = sum(parameter.numel() for parameter in model.parameters())
    before = whole - (0 if method.TRAINS_THE_BASE else trainable)
    yield Note("setting", f"{trainable:,} parameters are trained: {trainable / before:.3%} of the model's {before:,}")

    def weights() -> Writers:
        method_settings = run_file.method_settings(loaded.settings, method)
        files: Writers = method.files(tuned, method_settings, _base_name(loaded))
        return files

    with run.lock():
        if resume is not None:
            yield from _restore(run, training, method, tuned)
        try:
            yield from _run(run, training, weights)
        except Stopped:
            run.update(state="stopped", last_step=training.step)
            raise
        except BaseException:
            run.update(state="failed", last_step=training.step)
            raise
        if training.stopped_because:
            yield Note("warning", f"stopped at step {training.step} of {training.steps}: {training.stopped_because}")
        _keep_result(run, training, weights(), model_named.tokenizer, prepared)
        run.update(state="done", last_step=training.step, best_step=training.best_step or None)
    steps = run.steps()
    evaluations = run.evaluations()
    best = next((entry for entry in evaluations if entry.step == training.best_step), None)
    yield Note("file", f"the tuned weights are in {run.weights}")
    return Trained(
        run=run.name,
        folder=run.folder,
        steps=training.step,
        trained_tokens=sum(entry.trained_tokens for entry in steps),
        seconds=training.seconds,
        train_loss=steps[-1].train_loss,
        validation_loss=best.validation_loss if best else None,
    )


def _run(run: Run, training: Training, weights: Callable[[], Writers]) -> Generator[Event, None, None]:
    """Every entry to the log and to whoever watches; a checkpoint wherever one is due, or a signal came."""
    from luthier.training.loop import Pause

    keep = training.plan.keep
    run.update(state="running")
    yield Progress("training", training.step, training.steps)
    with caught() as signal, _tensorboard(run) as show:
        for entry in training.run():
            if isinstance(entry, StepLog | EvaluationLog):
                run.append(entry)
                show(entry)
            if not isinstance(entry, Pause):
                yield entry
            asked_to_stop = signal.number and isinstance(entry, Pause | Progress)
            if asked_to_stop or (isinstance(entry, Pause) and entry.save):
                run.save_checkpoint(training.step, {**weights(), **training.files()})
                run.prune_checkpoints(keep, training.best_step or None)
                run.update(last_step=training.step, best_step=training.best_step or None)
            if asked_to_stop:
                raise Stopped(signal.number, f"luthier train --resume {run.folder}")


@contextlib.contextmanager
def _tensorboard(run: Run) -> Any:
    """Gives a function that shows log entries as TensorBoard's curves."""
    from tensorboardX import SummaryWriter

    writer = SummaryWriter(str(run.tensorboard))

    def show(entry: StepLog | EvaluationLog) -> None:
        if isinstance(entry, StepLog):
            curves = {"train/loss": entry.train_loss, "train/learning_rate": entry.learning_rate}
            curves |= {"train/grad_norm": entry.grad_norm, "train/tokens_per_second": entry.row_tokens / entry.seconds}
        else:
            curves = {"validation/loss": entry.validation_loss, "validation/token_accuracy": entry.token_accuracy}
        for name, value in curves.items():
            writer.add_scalar(name, value, entry.step)

    try:
        yield show
    finally:
        writer.close()


def _restore(run: Run, training: Training, method: Any, tuned: Any) -> Generator[Event, None, None]:
    checkpoint, damaged = run.latest_checkpoint()
    for warning in damaged:
        yield Note("warning", warning)
    if checkpoint is None:
        yield Note("warning", "the run has no checkpoint yet: it begins anew")
        run.truncate_log(0)
        return
    method.load(tuned, checkpoint.folder)
    training.restore(checkpoint.folder)
    run.truncate_log(training.step, training.evaluated_step)
    yield Note("file", f"going on after step {training.step} of {training.steps}, from {checkpoint.folder}")


def _keep_result(run: Run, training: Training, weights: Writers, tokenizer: Any, prepared: Prepared) -> None:
    """weights/: the best checkpoint (the last without validation), with the tokenizer and the template."""
    best = training.best_step or training.step
    checkpoint = run.checkpoint(best)

    def write(folder: Path) -> None:
        import shutil

        for name in weights:
            shutil.copyfile(checkpoint.folder / name, folder / name)
        tokenizer.chat_template = prepared.template.text
        tokenizer.save_pretrained(folder)

    run.save_weights(write)


def _same_data(run: Run, loaded: Loaded) -> None:
    """Raises `UserError` where a file of rows is not the one that the run began with."""
    now = {entry["path"]: entry for entry in describe_environment([], run_file.data_files(loaded.settings))["data"]}
    for before in run.read_environment()["data"]:
        if now.get(before["path"]) != before:
            remedy = "put the file back as it was, or start a new run"
            raise mistake("the rows changed since the run began, so it cannot go on", before["path"], remedy)


def _base_name(loaded: Loaded) -> str:
    name = loaded.settings.model
    return str(Path(name).resolve()) if Path(name).exists() else name


def _method_chosen(loaded: Loaded) -> Loaded:
    return resolve_auto(loaded, "tuning_method", mission.DEFAULT_TUNING_METHOD, "the mission's default")


def _precision_chosen(loaded: Loaded, method: Any) -> Loaded:
    import torch

    from luthier.engine.precision import fast_precision

    path = "training_config.hyperparameters.precision"
    if method.TRAINS_THE_BASE:
        return resolve_auto(loaded, path, "float32", "trained weights need float32 to take small steps")
    return resolve_auto(loaded, path, *fast_precision(torch.device("cpu")))


def _targets_resolved(loaded: Loaded, method: Any, model: Any) -> Loaded:
    """LoRA's layers where nobody named them and the model has none of the usual names."""
    if method.SECTION is None:
        return loaded
    before = run_file.method_settings(loaded.settings, method)
    path = f"training_config.{method.SECTION}.target_modules"
    after, reason = method.resolve(before, model, path in loaded.provenance and run_file.written(loaded, path))
    return resolve(loaded, path, after.target_modules, reason, "auto") if reason else loaded


def _training_resolved(loaded: Loaded, method: Any, rows: int) -> Loaded:
    from luthier.training.schedule import count_steps

    settings = loaded.settings
    rate, reason, source = method.learning_rate(run_file.method_settings(settings, method))
    loaded = resolve_auto(loaded, "training_config.hyperparameters.learning_rate", rate, f"{reason}; {source}")
    hyper = settings.training_config.hyperparameters
    steps = count_steps(rows, hyper.batch_size, hyper.epochs, hyper.max_steps)
    for key, most in (("eval_steps", mission.EVALUATION.eval_steps), ("save_steps", mission.EVALUATION.save_steps)):
        value = max(1, min(most, steps // 10))
        loaded = resolve_auto(
            loaded, f"training_config.evaluation.{key}", value, f"a tenth of {steps} steps, at most {most}"
        )
    return loaded


def _training(loaded: Loaded, prepared: Prepared, tuned: Any) -> Training:
    from luthier.engine.forward import Engine
    from luthier.training.loop import Plan, Training

    settings = loaded.settings.training_config
    rate, evaluation = settings.hyperparameters.learning_rate, settings.evaluation
    assert rate != "auto"
    assert evaluation.eval_steps != "auto"
    assert evaluation.save_steps != "auto"
    plan = Plan(
        hyperparameters=settings.hyperparameters,
        learning_rate=rate,
        evaluate_every=evaluation.eval_steps,
        save_every=evaluation.save_steps,
        keep=evaluation.keep,
        metric=evaluation.metric,
        seed=loaded.settings.seed,
    )
    return Training(Engine(tuned), prepared.train, prepared.validation, plan)
