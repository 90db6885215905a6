"""`luthier train`: settings and rows -> a run directory with the tuned weights."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.data.tokenize import shown_first
from luthier.diagnosis.seen import Seen
from luthier.diagnosis.watching import Watch, stops
from luthier.errors import Stopped, UserError, mistake
from luthier.evaluation import metrics
from luthier.flow import EvaluationLog, Event, Note, Progress, StepLog, result_of
from luthier.runs.environment import describe_environment
from luthier.runs.run import Run
from luthier.settings import mission
from luthier.settings.loading import Loaded, require_rows, resolve, resolve_auto
from luthier.settings.schema import Settings
from luthier.settings.writing import to_data, to_yaml
from luthier.training.distribution import World, joined
from luthier.workflow import run_file
from luthier.workflow.added_rows import answered, replayed
from luthier.workflow.answering import asked_while_training
from luthier.workflow.auto_method import method_chosen, method_of_the_first
from luthier.workflow.curves import curves
from luthier.workflow.prepare import Prepared, prepare, said
from luthier.workflow.signals import Caught, caught

if TYPE_CHECKING:
    from luthier.evaluation.remedied import Remedied
    from luthier.flow import Base, Tuned
    from luthier.training.loop import Plan, Training
    from luthier.workflow.loaded_model import Named

Writers = Mapping[str, Callable[[Path], None]]
Lines = Sequence[Mapping[str, Any]]
Asked = Callable[[], tuple[Run | None, Loaded]]
"""Gives the earlier run that goes on, or none, and the settings."""
ON_TROUBLE = ("say", "stop", "remedy")
TROUBLE = "on_trouble: "
"""What a run that trouble ended says before the symptom."""
MASKS_KEPT = 3
"""Rows whose trained tokens the report shows."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What training gives: `run` is its name, `folder` its directory; losses are in nats a trained token. `trouble` is
    the symptom that ended it before its time, if one did, `remedied` what remedies came to, where they were to act."""

    run: str
    folder: Path
    steps: int
    trained_tokens: int
    seconds: float
    train_loss: float
    validation_loss: float | None
    trouble: str = ""
    remedied: Remedied | None = None


@dataclass(frozen=True, slots=True)
class _Ready:
    """All that training takes, in memory: the settings with every `auto` resolved, rows, the model under its method,
    and what base said, where that is trained on."""

    loaded: Loaded
    prepared: Prepared
    base: Named
    method: Any
    tuned: Tuned
    training: Training
    replay: Lines | None = None

    def weights(self) -> Writers:
        """The files of the weights as they are now: each name with what writes it."""
        settings = self.loaded.settings
        base = str(Path(settings.model).resolve()) if Path(settings.model).exists() else settings.model
        files: Writers = self.method.files(self.tuned, run_file.method_settings(settings, self.method), base)
        return files


def train(
    files: Sequence[str] = (),
    *,
    data: str | None = None,
    overrides: Sequence[str] = (),
    name: str | None = None,
    resume: str | None = None,
    on_trouble: str = "say",
    root: Path = Path("runs"),
) -> Generator[Event, None, Trained]:
    """A new run from run files (or a file of rows), or, with `resume`, an earlier one to its end.

    What goes wrong while it trains is said; with `on_trouble="stop"` the run also ends there, evaluated and saved. With
    `remedy` it does too: who asks for that is `workflow/remedied_training.py`.

    Ctrl-C and SIGTERM save and raise `Stopped`. Raises `UserError` for all that the user must mend.
    """
    if resume is not None and (files or data or overrides or name):
        raise mistake("a run goes on with its own settings", "--resume", f"luthier train --resume {resume}")
    stopping = _stopping(on_trouble)
    stem = Path(files[0] if files else data or "run").name.partition(".")[0]

    def asked() -> tuple[Run | None, Loaded]:
        if resume is not None:
            earlier = Run.find(resume, root, to_mend=True)
            return earlier, _settings_of(earlier)
        return None, run_file.read(files, data, [*overrides, *([f"name={name}"] if name else [])])

    with joined() as world:
        if world.leads:
            return (yield from _lead(world, asked, root, stem, stopping))
        return _follow(world, asked, stopping)


def _stopping(on_trouble: str) -> bool:
    """Whether trouble ends a run. Raises `UserError` for what cannot be done about trouble."""
    if on_trouble not in ON_TROUBLE:
        raise mistake(
            f"{on_trouble!r} is nothing to do about trouble", "--on-trouble", f"one of: {', '.join(ON_TROUBLE)}"
        )
    return on_trouble != "say"


def _lead(world: World, asked: Asked, root: Path, stem: str, stopping: bool) -> Generator[Event, None, Trained]:
    """What the first process does, which is mostly the only one: the run from its beginning to its end."""
    earlier, loaded = asked()
    if earlier:
        with earlier.lock():  # refused before a second model is loaded beside the first one's
            pass
    ready = yield from _get_ready(loaded, world, earlier)
    run, ready = (earlier, ready) if earlier else _begin(ready, root, stem)
    world.first(run.folder)
    yield from _settings_said(ready)
    with run.lock(), caught() as signal:
        yield from (Note("warning", text) for text in run.mend())
        run.update(state="running")
        with run.beating():
            world.first(ready.training.passes)
            yield from _referred(run, ready, signal)
            if earlier:
                yield from _restore(run, ready)
            yield from _work(run, ready, signal, stopping)
            yield from _finish(run, ready)
    world.first(None)
    yield Note("file", f"the tuned weights are in {run.weights}")
    return _result(run, ready.training)


def _follow(world: World, asked: Asked, stopping: bool) -> Trained:
    """What every other process does: the same steps, saying and writing nothing. It begins when the first has made the
    run, and so finds all rows prepared; what follows goes in step with `_lead`."""
    from luthier.training.sick import SickStep

    folder = world.first(Path())
    earlier, loaded = asked()
    loaded = method_of_the_first(loaded, run_file.read([str(Run(folder).settings_path)]).settings)
    ready = result_of(_get_ready(loaded, world, replay=Run(folder).read_replay()))
    training = ready.training
    with caught() as signal:
        training.passes = world.first(training.passes)
        if training.objective.PAIRS:
            kept = world.first(training.reference)
            if kept is None:
                result_of(training.refer())
            else:
                training.know(kept)
        if earlier and (checkpoint := world.first(folder)) is not None:
            ready.method.load(ready.tuned, checkpoint)
            training.restore(checkpoint)
            training.best, training.best_step, training.evaluations_without_better = world.first((None, 0, 0))
        try:
            for entry in training.run():
                if isinstance(entry, StepLog | EvaluationLog):
                    _stop_for(training, "", stopping)
                save, number = _due(entry, signal, world)
                if save:
                    training.files()
                if number:
                    raise Stopped(number, f"luthier train --resume {folder}")
        except SickStep as sick:
            raise mistake(sick.message, sick.rows, sick.remedy) from sick
    world.first(None)
    return _result(Run(folder), training)


def _settings_of(run: Run) -> Loaded:
    """An earlier run's settings. Raises `UserError` where they, or a file of rows, are not what the run began with."""
    if fault := run.damage():
        remedy = "put the file back as it was, or delete the folder and start again: luthier train FILE"
        raise mistake(f"the run cannot go on: {fault}", str(run.folder), remedy)
    loaded = run_file.read([str(run.settings_path)])
    now = {entry["path"]: entry for entry in describe_environment([], run_file.data_files(loaded.settings))["data"]}
    for before in run.read_environment()["data"]:
        if now.get(before["path"]) != before:
            remedy = "put the file back as it was, or start a new run"
            raise mistake("the rows changed since the run began, so it cannot go on", before["path"], remedy)
    return loaded


def _get_ready(
    loaded: Loaded, world: World, earlier: Run | None = None, replay: Lines | None = None
) -> Generator[Event, None, _Ready]:
    """Finds the model, prepares the rows, resolves every `auto` on the way and puts the method on the model.

    Nothing is written yet, so that what the user must mend leaves nothing behind. `earlier` is a run that goes on;
    `replay` is what base said, where that is known.
    """
    kept = earlier.read_passes() if earlier else None
    replay = earlier.read_replay() if earlier else replay
    require_rows(loaded.settings)
    from luthier.engine.forward import Engine
    from luthier.engine.memory import Passes, available_bytes, choose_passes
    from luthier.engine.tree import Chosen
    from luthier.training.loop import Training
    from luthier.workflow.loaded_model import find, open_base

    base = yield from find(loaded.settings.model)
    prepared = yield from prepare(loaded, base.tokenizer, base.context_length, base.eos)
    yield from said(prepared.account, prepared.problems)
    each = 2 if prepared.pairs else 1
    trained = prepared.account.total.trained_tokens
    loaded = method_chosen(prepared.loaded, trained, len(prepared.train) // each, base.parameters)
    method = run_file.method(loaded.settings.tuning_method)
    _refuse_without_room(base, prepared.longest, loaded.settings, method)
    _refuse_interpolation(loaded.settings, method)
    loaded = _precision_chosen(loaded, method)
    model = open_base(base, loaded.settings)
    if prepared.replay:
        replay = replay or (yield from answered(model, prepared.replay, base.tokenizer))
        rows, account = yield from replayed(replay, prepared.replay, base.tokenizer, prepared.account)
        prepared = prepared.with_replay(rows, account)
    loaded = _method_resolved(loaded, method, model, base.tokenizer)
    loaded = _training_resolved(loaded, method, model, len(prepared.train) // each)
    settings = loaded.settings
    tuned = method.attach(model, run_file.method_settings(settings, method), settings.seed, base.tokenizer)
    before = _held_near(settings, method, tuned)
    engine = Engine(tuned)
    for text in engine.notes(prepared.longest):
        yield Note("warning", text)
    batch_size, metric = settings.training_config.hyperparameters.batch_size, settings.training_config.evaluation.metric
    _refuse_metric(metric, settings.objective)
    answers = Chosen(prepared.validation, range(0, len(prepared.validation), each))  # of pairs the better ones
    asked = yield from asked_while_training(metric, answers, prepared.template, base.tokenizer, base.eos)
    of_files = prepared.train.rows  # each weighed as it stands, without what was added
    plan = _plan(settings, method)
    training = Training(engine, prepared.train, prepared.validation, plan, world, asked, of_files, before)
    if kept is None:
        free, most = available_bytes(engine.device), training.passes[0].tokens
        training.passes[0], why = choose_passes(engine, prepared.longest, each * batch_size, free, most, each)
        if why:
            yield Note("setting", why)
    else:
        training.passes = {entry.pop("from_step"): Passes(**entry) for entry in kept["passes"]}
    return _Ready(loaded, prepared, base, method, tuned, training, replay)


def _refuse_without_room(base: Named, longest: int, settings: Settings, method: Any) -> None:
    """Raises `UserError` where the longest row and the virtual tokens before it are more than the model's context."""
    virtual = method.virtual_tokens(run_file.method_settings(settings, method))
    context = base.context_length
    if context is None or virtual + longest <= context:
        return
    ways = [f"`num_virtual_tokens: {context - longest}` or less"] if longest < context else []
    if virtual + 2 <= context:
        ways.append(f"`data.max_length: {context - virtual}` with `data.too_long: cut_start`")
    raise mistake(
        f"{virtual} virtual tokens before a row of {longest} are more than the model's context of {context}",
        f"training_config.{method.SECTION}.num_virtual_tokens",
        f"write {', or '.join(ways)}",
    )


def _refuse_interpolation(settings: Settings, method: Any) -> None:
    """Raises `UserError` where there is nothing between base and the method's result."""
    if settings.training_config.hyperparameters.interpolation == 1:
        return
    if not hasattr(method, "interpolate") or not method.interpolates(run_file.method_settings(settings, method)):
        message = f"what {settings.tuning_method} learns here is no change of weights that could be made in part"
        where = "training_config.hyperparameters.interpolation"
        raise mistake(message, where, "leave it at 1; full, lora without `use_dora` and qlora can go part of the way")


def _precision_chosen(loaded: Loaded, method: Any) -> Loaded:
    import torch

    from luthier.engine.precision import fast_precision

    path = "training_config.hyperparameters.precision"
    if method.TRAINS_THE_BASE:
        return resolve_auto(loaded, path, "float32", "trained weights need float32 to take small steps")
    return resolve_auto(loaded, path, *fast_precision(torch.device("cpu")))


def _method_resolved(loaded: Loaded, method: Any, model: Any, tokenizer: Any) -> Loaded:
    """What the model decides of the method's settings."""

    def chosen(path: str) -> bool:
        return run_file.written(loaded, f"training_config.{path}")

    own = run_file.method_settings(loaded.settings, method)
    for path, value, reason in method.resolve(own, model, chosen, tokenizer):
        loaded = resolve(loaded, f"training_config.{path}", value, reason, "auto")
    return loaded


def _training_resolved(loaded: Loaded, method: Any, model: Any, rows: int) -> Loaded:
    from luthier.engine import objectives
    from luthier.training.schedule import count_steps

    settings = loaded.settings
    rate, reason, source = method.learning_rate(run_file.method_settings(settings, method), model)
    objective = objectives.load(settings.objective)
    if objective.PAIRS:
        share, why, where = objective.LEARNING_RATE
        rate, reason, source = float(f"{rate * share:.2g}"), f"{why}; {reason}", f"{where}; {source}"
    loaded = resolve_auto(loaded, "training_config.hyperparameters.learning_rate", rate, f"{reason}; {source}")
    hyper = settings.training_config.hyperparameters
    steps = count_steps(rows, hyper.batch_size, hyper.epochs, hyper.max_steps)
    for key, most in (("eval_steps", mission.EVALUATION.eval_steps), ("save_steps", mission.EVALUATION.save_steps)):
        value = max(1, min(most, steps // 10))
        loaded = resolve_auto(
            loaded, f"training_config.evaluation.{key}", value, f"a tenth of {steps} steps, at most {most}"
        )
    return loaded


def _plan(settings: Settings, method: Any) -> Plan:
    from luthier.training.loop import Plan

    training = settings.training_config
    rate, evaluation = training.hyperparameters.learning_rate, training.evaluation
    assert rate != "auto"
    assert evaluation.eval_steps != "auto"
    assert evaluation.save_steps != "auto"
    return Plan(
        hyperparameters=training.hyperparameters,
        learning_rate=rate,
        evaluate_every=evaluation.eval_steps,
        save_every=evaluation.save_steps,
        keep=evaluation.keep,
        metric=evaluation.metric,
        seed=settings.seed,
        objective=settings.objective,
        all_learn=not method.TRAINS_THE_BASE,
        beta=training.preference_config.beta,
        kl_to_base=training.preference_config.kl_to_base,
    )


def _held_near(settings: Settings, method: Any, tuned: Tuned) -> Base | None:
    """The model before tuning, where the run is to stay near it: while it is still there.

    Raises `UserError` where the method cannot say what that is.
    """
    if not settings.training_config.preference_config.kl_to_base:
        return None
    if not hasattr(method, "base_of"):
        message = f"{settings.tuning_method} does not say what the model before tuning is"
        raise mistake(message, "training_config.preference_config.kl_to_base", "leave it at 0")
    base: Base = method.base_of(tuned)
    return base


def _refuse_metric(metric: str, objective: str) -> None:
    """Raises `UserError` where the best checkpoint is to go by preferences and the run learns none."""
    if metrics.load(metric).needs == "preferences" and objective != "preference":
        message = f"{metric} is measured on preference rows, and the objective is {objective}"
        raise mistake(message, "training_config.evaluation.metric", "write `metric: loss`")


def _begin(ready: _Ready, root: Path, stem: str) -> tuple[Run, _Ready]:
    """A new run directory with all that is known before the first step; `name: auto` is resolved by it."""
    settings = ready.loaded.settings
    if settings.name == "auto":
        run = Run.create_numbered(root, stem, settings.tuning_method)
        loaded = resolve(ready.loaded, "name", run.name, "the file's name, the method and a number", "auto")
        ready = replace(ready, loaded=loaded)
    else:
        run = Run.create(root, settings.name)
    try:
        run.write_settings(to_yaml(ready.loaded), to_data(ready.loaded.provenance))
        run.write_rows(ready.prepared.account.to_data() | {"repeated": ready.prepared.repeated})
        run.write_mask(shown_first(ready.prepared.train, MASKS_KEPT, ready.prepared.pairs, ready.base.tokenizer))
        run.write_environment(describe_environment(sys.argv, run_file.data_files(settings)) | _threads())
        _write_passes(run, ready.training)
        if ready.replay:
            run.write_replay(ready.replay)
        run.seal()
    except BaseException:
        run.discard()
        raise
    return run, ready


def _write_passes(run: Run, training: Training) -> None:
    run.write_passes({"passes": [{"from_step": step, **asdict(one)} for step, one in training.passes.items()]})


def _settings_said(ready: _Ready) -> Generator[Event, None, None]:
    """Every `auto` that was resolved, and the share of the model that is trained."""
    for path, source in ready.loaded.provenance.items():
        if source.source == "auto" and source.reason:
            yield Note("setting", f"{path} {source.value} ({source.reason})")
    trainable, whole = sum(one.numel() for one in ready.tuned.trainable.values()), ready.base.parameters
    yield Note("setting", f"{trainable:,} parameters are trained: {trainable / whole:.3%} of the model's {whole:,}")


def _threads() -> dict[str, int]:
    """How many threads torch computes with: another number adds up in another order."""
    import torch

    return {"threads": torch.get_num_threads()}


def _elsewhere(run: Run) -> Generator[Event, None, None]:
    """A warning where the run goes on on another machine, or under other versions or threads, than it began."""
    before, now = run.read_environment(), describe_environment([], []) | _threads()
    pairs = {name: (before["versions"].get(name), version) for name, version in now["versions"].items()}
    pairs |= {name: (before["machine"].get(name), now["machine"][name]) for name in ("processor", "cores")}
    pairs["threads"] = (before.get("threads"), now["threads"])
    changed = ", ".join(f"{name} {old} -> {new}" for name, (old, new) in pairs.items() if old != new)
    if changed:
        text = f"the run began elsewhere ({changed}): from here on its numbers may differ in their last digits"
        yield Note("warning", text)


def _referred(run: Run, ready: _Ready, signal: Caught) -> Generator[Event, None, None]:
    """What base finds the answers of preference rows likely, kept in the run: computed once, before the first step, so
    that base is not needed again and a run that goes on goes by the same numbers."""
    training = ready.training
    if not training.objective.PAIRS:
        return
    kept = run.read_reference()
    if kept is not None and kept["train"].shape == (len(training.rows), 2):
        training.know(training.world.first(kept))
        return
    training.world.first(None)
    work = training.refer()
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            run.write_reference(end.value)
            run.seal()
            return
        yield event
        if signal.number and training.world.size == 1:
            run.update(state="stopped")
            raise Stopped(signal.number, f"luthier train --resume {run.folder}")


def _restore(run: Run, ready: _Ready) -> Generator[Event, None, None]:
    """The state of the newest whole checkpoint, and the log cut back to it."""
    training = ready.training
    yield from _elsewhere(run)
    checkpoint, damaged = run.latest_checkpoint()
    for warning in damaged:
        yield Note("warning", warning)
    training.world.first(checkpoint and checkpoint.folder)
    if checkpoint is None:
        yield Note("warning", "the run has no checkpoint yet: it begins anew")
        run.truncate_log(0)
        return
    ready.method.load(ready.tuned, checkpoint.folder)
    training.restore(checkpoint.folder)
    run.truncate_log(training.step, training.evaluated_step)
    if training.best_step:
        try:
            run.checkpoint(training.best_step)
        except UserError as error:
            yield Note("warning", f"{error.mistakes[0].message}; the best of what comes is taken")
            training.best, training.best_step, training.evaluations_without_better = None, 0, 0
    training.world.first((training.best, training.best_step, training.evaluations_without_better))
    yield Note("file", f"going on after step {training.step} of {training.steps}, from {checkpoint.folder}")


def _work(run: Run, ready: _Ready, signal: Caught, stopping: bool) -> Generator[Event, None, None]:
    """Trains to the end; where that is not reached, the run's state says why."""
    from luthier.training.sick import SickStep

    try:
        yield from _logged(run, ready, signal, stopping)
    except SickStep as sick:
        run.update(state="failed", last_step=ready.training.step)
        again = f"a new run with the same settings but for one: {_same_again(run, ready)}"
        raise mistake(sick.message, sick.rows, f"{sick.remedy}; {again}") from sick
    except BaseException as error:
        with suppress(UserError):  # a full disk cannot take this either
            run.update(state="stopped" if isinstance(error, Stopped) else "failed", last_step=ready.training.step)
        raise


def _same_again(run: Run, ready: _Ready) -> str:
    """What to type for the run once more, at a third of its learning rate."""
    rate = f"training_config.hyperparameters.learning_rate={ready.training.plan.learning_rate / 3:.2g}"
    return f"luthier train {run.settings_path} --name {run.name}-2 --set {rate}"


def _logged(run: Run, ready: _Ready, signal: Caught, stopping: bool) -> Generator[Event, None, None]:
    """Every entry to the log and to whoever watches; a checkpoint wherever one is due, or a signal came."""
    from luthier.training.loop import Pause

    training = ready.training
    yield Progress("training", training.step, training.steps)
    watch = _watch(run, ready)
    with curves(run.tensorboard, training.step) as show:
        for entry in training.run():
            if isinstance(entry, StepLog) and entry.relaid:
                _write_passes(run, training)
            if isinstance(entry, StepLog | EvaluationLog):
                run.append(entry)
                show(entry)
            if not isinstance(entry, Pause):
                yield entry
            if isinstance(entry, StepLog | EvaluationLog):
                found = watch.add(entry)
                for finding in found:
                    yield Note("warning", f"{finding.symptom.replace('_', ' ')} at step {entry.step}: {finding.says}")
                _stop_for(training, next((one.symptom for one in found if stops(one)), ""), stopping)
            save, number = _due(entry, signal, training.world)
            if save:
                run.save_checkpoint(training.step, {**ready.weights(), **training.files()})
                run.prune_checkpoints(training.step, training.plan.keep, training.best_step or None)
                run.update(last_step=training.step, best_step=training.best_step or None)
            if number:
                raise Stopped(number, f"luthier train --resume {run.folder}")


def _watch(run: Run, ready: _Ready) -> Watch:
    """Who looks at the log as it grows; of a run that goes on, at what it had too."""
    settings = {path: source.value for path, source in ready.loaded.provenance.items()}
    rows = ready.prepared.account.to_data() | {"repeated": ready.prepared.repeated}
    return Watch(Seen(str(run.folder), settings=settings, rows=rows), run.readable_log()[0])


def _stop_for(training: Training, trouble: str, stopping: bool) -> None:
    """Where trouble ends the run, all processes end it together: the step is evaluated and saved as the last one is."""
    if stopping:
        found = training.world.first(trouble)
        if found and training.step < training.steps and not training.stopped_because:
            training.stopped_because = f"{TROUBLE}{found.replace('_', ' ')}"


def _due(entry: Any, signal: Caught, world: World) -> tuple[bool, int]:
    """Whether a checkpoint is due here, and the signal that ends the run here, or 0. Several processes stop together,
    between two steps; one alone may stop in an evaluation too."""
    from luthier.training.loop import Pause

    if isinstance(entry, Pause):
        number = world.most(signal.number)
        return entry.save or number > 0, number
    number = signal.number if isinstance(entry, Progress) and world.size == 1 else 0
    return number > 0, number


def _finish(run: Run, ready: _Ready) -> Generator[Event, None, None]:
    """weights/: the best checkpoint's (the last one's without validation), or what lies between base and these,
    with the tokenizer and the template."""
    training = ready.training
    if training.stopped_because:
        yield Note("warning", f"stopped at step {training.step} of {training.steps}: {training.stopped_because}")
    checkpoint = run.checkpoint(training.best_step or training.step)
    settings = ready.loaded.settings
    share = settings.training_config.hyperparameters.interpolation
    if share < 1:
        from luthier.workflow.loaded_model import open_base

        ready.method.load(ready.tuned, checkpoint.folder)
        ready.method.interpolate(ready.tuned, share, lambda: open_base(ready.base, settings))
        yield Note("setting", f"the result goes {share:.0%} of the way from base to what was learned (interpolation)")

    def write(folder: Path) -> None:
        weights = ready.weights()
        for name in weights.keys() - set(getattr(ready.method, "ONLY_TO_RESUME", ())):
            if share < 1:
                weights[name](folder / name)
            else:
                shutil.copyfile(checkpoint.folder / name, folder / name)
        ready.base.tokenizer.chat_template = ready.prepared.template.text
        ready.base.tokenizer.save_pretrained(folder)

    run.save_weights(write)
    run.prune_checkpoints(training.step, training.plan.keep, training.best_step or None)
    run.update(
        state="done",
        last_step=training.step,
        best_step=training.best_step or None,
        stopped_because=training.stopped_because,
    )


def _result(run: Run, training: Training) -> Trained:
    steps = run.steps()
    best = next((entry for entry in run.evaluations() if entry.step == training.best_step), None)
    return Trained(
        run=run.name,
        folder=run.folder,
        steps=training.step,
        trained_tokens=sum(entry.trained_tokens for entry in steps if not entry.skipped),
        seconds=training.seconds,
        train_loss=next((entry.train_loss for entry in reversed(steps) if not entry.skipped), nan),
        validation_loss=best.validation_loss if best else None,
        trouble=training.stopped_because.partition(TROUBLE)[2].replace(" ", "_"),
    )
