"""`luthier remedy RUN`: what was found wrong is put right in new runs, short ones first, and measured again.

The cost of everything is counted in tokens of rows that go through optimizer steps, as a multiple of the original's: it
is the same on a busy machine and on an idle one. Evaluations are not counted; the seconds stand beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from luthier.diagnosis import diagnose, seen
from luthier.errors import UserError, mistake
from luthier.evaluation.metrics import OTHER_NAMES
from luthier.evaluation.remedied import (
    Attempt,
    Change,
    Remedied,
    Side,
    State,
    at_the_end,
    changes,
    forgotten_change,
    helped,
    signs_of,
    target_changes,
)
from luthier.flow import Diagnosis, Event, Note, Place, result_of
from luthier.report import numbers
from luthier.runs.remedies import RemedyFolder
from luthier.runs.run import Run
from luthier.settings.schema import Settings
from luthier.settings.writing import to_data, to_yaml
from luthier.workflow import loaded_model, run_file
from luthier.workflow.added_rows import replayed_tokens
from luthier.workflow.asked_in_general import GENERAL
from luthier.workflow.candidates import Candidate, Facts, Round, decided, overrides, short_settings
from luthier.workflow.compare import evaluated_run
from luthier.workflow.kept_rows import keep_rows
from luthier.workflow.one_method import Job, evaluated, worked
from luthier.workflow.signals import Caught, caught
from luthier.workflow.train import TROUBLE

AT_MOST: Final = "4x"
MOST_ROUNDS: Final = 3
"""Of finding what is wrong, putting it right and looking again."""
OVER: Final = 0.05
"""By so much, in times of the original, may a run go over what was foreseen."""

Find = Callable[[Run], Diagnosis]


def remedy(
    run: str, *, at_most: str = AT_MOST, root: Path = Path("runs"), find: Find | None = None
) -> Generator[Event, None, Remedied]:
    """Tries the remedies of what is wrong with a run, each as a new run, until one helps beyond noise; goes on from
    there while a target is missed and the budget lasts.

    `at_most` (`4x`) is what all of it may take, as a multiple of the original's tokens of rows. `find` says what is
    wrong with a run: diagnosis, where none is given. Typed again after an end before its time, it goes on. Raises
    `UserError` where there is nothing to measure by, `Stopped` after Ctrl-C and SIGTERM, with everything kept.
    """
    times = times_of(at_most)
    original = Run.find(run, root)
    settings = _refuse(original)
    folder = RemedyFolder.find(original)
    with folder.lock(), caught() as signal:
        yield Note(
            "file", f"what is tried is kept in {folder.folder}; stopped, it goes on when the same is typed again"
        )
        work = _Work(folder, original, settings, times, find or _diagnosed, signal)
        found = yield from work.all_rounds()
        from luthier.report.remedy import render

        path, page = folder.write({"version": 1} | asdict(found), render(found))
    yield Note("file", f"what came of it is in {path}, its page is {page}")
    return found


def times_of(text: str) -> float:
    """`4x` is 4. Raises `UserError` for anything else than a number over 0 with an x behind it."""
    if not (number := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*[x×]?\s*", text)) or not float(number[1]):
        raise mistake(f"{text!r} is no multiple of the run's own cost", "--at-most", "write --at-most 4x")
    return float(number[1])


def _diagnosed(run: Run) -> Diagnosis:
    return diagnose(seen.read(run))


def _refuse(run: Run) -> Settings:
    """The run's settings. Raises `UserError` where there is no before that an after could be held against."""
    state = run.status().state
    if state == "running":
        raise mistake(
            "the run is still training", str(run.folder), f"wait until it is done: luthier diagnose {run.folder}"
        )
    if state != "done":
        remedy = f"luthier train --resume {run.folder}; luthier diagnose {run.folder} names the settings to change"
        raise mistake(f"the run is {state}, so there is no before to measure against", str(run.folder), remedy)
    run.require_weights()
    if fault := run.damage():
        message = f"the run is not what it was when it began, so no new run can be held against it: {fault}"
        raise mistake(message, str(run.folder), "put the file back as it was, or train it anew")
    settings = run_file.read([str(run.settings_path)]).settings
    if not settings.data.validation and settings.data.test is None and not evaluated(run):
        remedy = f"evaluate it on rows of your own first: luthier evaluate {run.folder} --data F"
        raise mistake(
            "the run has neither validation nor test rows, so nothing can be measured", str(run.folder), remedy
        )
    return settings


@dataclass(slots=True)
class _Work:
    """Remedies at work on one run, and what they came to so far."""

    folder: RemedyFolder
    original: Run
    settings: Settings
    at_most: float
    find: Find
    signal: Caught
    judged_on: str | None = None
    whole: float = 0.0
    """The tokens of rows that the original took, or, where trouble ended it, was to take: what costs are counted in."""
    replayed: float | None = None
    """The tokens of a row of base's own answers, once a remedy that adds such rows has asked for them."""

    # ---------------------------------------------------------------------------------------------------- the rounds

    def all_rounds(self) -> Generator[Event, None, Remedied]:
        """Round after round, each from the run that the one before it came to."""
        yield from self._evaluated(self.original)
        self.judged_on = self._other_rows()
        self.whole = yield from self._whole()
        current, tried, rounds = self.original, list[Attempt](), list[Round]()
        before = self._side(self.original)
        while len(rounds) < MOST_ROUNDS:
            decided_now = self._decided(len(rounds) + 1, current)
            if decided_now is None:
                break
            rounds.append(decided_now)
            yield from _said(decided_now)
            attempts = yield from self._round(decided_now, current, len(rounds))
            tried += attempts
            better = next((one for one in attempts if one.outcome == "helped"), None)
            if better is None or better.run is None:
                break
            current = Run.open(Path(better.run))
            if not _missed(self._side(current)):
                break
        return self._result(before, current, tried, rounds)

    def _decided(self, number: int, run: Run) -> Round | None:
        """What is tried in a round: kept from before, or decided now; None where nothing is wrong."""
        kept = self.folder.rounds()
        before = Round.of(kept[number - 1]) if len(kept) >= number and kept[number - 1]["run"] == run.name else None
        if before is not None and before.at_most >= self.at_most:
            return before
        found = self.find(run)
        if not found.findings:
            return None
        spent, share = (before.spent, before.share) if before is not None else (self._spent()[0], 0.0)
        made = decided(number, run.name, found, self._facts(run), self.at_most, spent, share)
        self.folder.keep_rounds([*kept[: number - 1], made.to_data()])
        return made

    def _round(self, round: Round, current: Run, number: int) -> Generator[Event, None, list[Attempt]]:
        """The round's candidates: short first, those that do harm are out, the others in full until one helps."""
        attempts: list[Attempt] = []
        ways = []
        for one in round.candidates:
            try:
                ways.append((one, (yield from self._overrides(current, one)), one.without))
            except UserError as error:
                attempts.append(self._attempt(one, "refused", error.mistakes[0].message))
        short: dict[str, Change | None] = dict.fromkeys(one.label for one, _, _ in ways)
        if round.share and sum(not one.only_the_end for one, _, _ in ways) > 1:
            short = yield from self._short_runs(round, current, ways, attempts, number)
        left = _ranked([one for one, _, _ in ways if one.label in short], short)
        for place, one in enumerate(left):
            own = next(way for way in ways if way[0] is one)
            spent = self._spent()[0]
            done = self.folder.run(one.label) is not None
            if not done and spent + one.times > self.at_most + OVER:
                why = (
                    f"in full it would take {one.times:.1f} times the original, and {self.at_most - spent:.1f} are left"
                )
                attempts.append(self._attempt(one, "not_tried", why, short.get(one.label)))
                continue
            attempt = yield from self._in_full(one, own[1], current, short.get(one.label))
            attempts.append(attempt)
            yield Note("rows", f"{_words(one)}: {attempt.why}")
            if attempt.outcome == "helped":
                others = [
                    self._attempt(rest, "not_tried", f"{_words(one)} helped", short.get(rest.label))
                    for rest in left[place + 1 :]
                ]
                attempts += others
                break
        return attempts

    # ----------------------------------------------------------------------------------------------------- the runs

    def _overrides(self, current: Run, one: Candidate) -> Generator[Event, None, tuple[str, ...]]:
        """The settings of a candidate over those of the run, checked. Raises `UserError` for what cannot be."""
        settings = dict(one.settings)
        if one.without:
            folder = self.folder.rows() / one.label
            folder.mkdir(exist_ok=True)
            kept = yield from keep_rows(run_file.read([str(current.settings_path)]).settings, one.without, folder)
            settings |= kept.settings
            yield Note(
                "file", f"{_words(one)}: {numbers.count(kept.left_out, 'row')} left out, the others are in {folder}"
            )
        words = overrides(current.read_provenance(), settings)
        run_file.read([str(current.settings_path)], None, words)
        return words

    def _short_runs(
        self,
        round: Round,
        current: Run,
        ways: Sequence[tuple[Candidate, tuple[str, ...], tuple[Place, ...]]],
        attempts: list[Attempt],
        number: int,
    ) -> Generator[Event, None, dict[str, Change | None]]:
        """Equally many tokens for the settings as they were and for each candidate, and what that changed. Those that
        do harm beyond noise go to `attempts`."""
        facts = self._facts(current)
        general = any("forgetting" in signs_of(one.symptom) for one in round.candidates)

        def run_of(label: str, words: tuple[str, ...], changed: Mapping[str, Any]) -> Generator[Event, None, Run]:
            steps = facts.steps_of(round.share, changed)
            batch = int({**facts.settings, **changed}["training_config.hyperparameters.batch_size"])
            own = short_settings(steps, facts.rows, batch)
            job = self._job(current, (*words, *overrides({}, own)), f"{label}-short", general=general)
            yield from worked({"job": asdict(job)}, f"{label}, short", self.signal, self._again())
            return Run.open(self.folder.folder / job.name)

        reference = yield from run_of(f"{number}-as-it-was", overrides(current.read_provenance(), {}), {})
        found: dict[str, Change | None] = {}
        for one, words, _ in ways:
            try:
                if one.only_the_end:
                    found[one.label] = None
                elif one.only_length:
                    found[one.label] = self._longer(reference, current, one) if one.times > 1 else None
                else:
                    made = yield from run_of(one.label, words, one.settings)
                    found[one.label] = self._shortly(one, reference, made)
            except UserError as error:
                attempts.append(self._attempt(one, "refused", error.mistakes[0].message))
                continue
            change = found[one.label]
            if change is not None:
                yield Note("rows", f"{_words(one)}, short: {_of_change(change)}")
                if change.how == "worse":
                    why = "in a short run it did worse than the settings as they were, beyond noise"
                    attempts.append(self._attempt(one, "worse_when_short", why, change))
        return found

    def _shortly(self, one: Candidate, reference: Run, made: Run) -> Change:
        """What a short run changed against the short run of the settings as they were: by forgetting where that is the
        symptom's sign, else by the loss of the validation rows at the end."""
        if "forgetting" in signs_of(one.symptom):
            return forgotten_change(reference.read_answers(GENERAL), made.read_answers(GENERAL), self.settings.seed)
        return at_the_end(reference.evaluations(), made.evaluations(), self.settings.seed)

    def _longer(self, reference: Run, current: Run, one: Candidate) -> Change:
        """A longer run shows nothing in a short one; what tells is whether the run in full is better than the short
        one of the same settings, because then more of the same may help further."""
        del one
        return at_the_end(reference.evaluations(), current.evaluations(), self.settings.seed)

    def _in_full(
        self, one: Candidate, words: tuple[str, ...], current: Run, short: Change | None
    ) -> Generator[Event, None, Attempt]:
        job = self._job(current, words, one.label, evaluate=True)
        if one.only_the_end:
            self._at_the_end_of(current, one)
        try:
            yield from worked({"job": asdict(job)}, _words(one), self.signal, self._again())
            made = Run.open(self.folder.folder / one.label)
            was, now = self._side(current), self._side(made)
        except UserError as error:
            return self._attempt(one, "refused", error.mistakes[0].message, short)
        signs = changes(signs_of(one.symptom), was, now, self.settings.seed)
        targets = target_changes(was, now, self.settings.seed)
        outcome, why = helped(signs, targets)
        remaining = {finding.symptom: finding.certainty for finding in self.find(made).findings}
        attempt = self._attempt(one, outcome, why, short)
        return replace(attempt, run=str(made.folder), signs=signs, targets=targets, remaining=remaining)

    def _at_the_end_of(self, current: Run, one: Candidate) -> None:
        """A run that stands where another ended, with settings by which another result is made of it."""
        made = Run(self.folder.folder / one.label)
        if (made.folder / "run.json").is_file():
            if not made.damage():
                return
            made.discard()
        words = [f"{path}={value}" for path, value in one.settings.items()]
        loaded = run_file.read([str(current.settings_path)], None, [*words, f"name={one.label}"])
        current.copied(self.folder.folder, one.label, to_yaml(loaded), to_data(loaded.provenance))

    def _job(
        self, current: Run, words: tuple[str, ...], name: str, *, evaluate: bool = False, general: bool = False
    ) -> Job:
        files = (str(current.settings_path),)
        return Job(files, None, words, name, str(self.folder.folder), evaluate, self.judged_on, general)

    def _evaluated(self, run: Run) -> Generator[Event, None, None]:
        """The run evaluated, where it is not yet."""
        if not evaluated(run):
            job = Job((), None, (), run.folder.name, str(run.folder.parent), evaluate=True)
            yield from worked({"job": asdict(job)}, run.name, self.signal, self._again())

    def _other_rows(self) -> str | None:
        """The file that the original was evaluated on, where that is not the run's own: so that all others are too.
        Raises `UserError` where it is gone."""
        data, source = self.settings.data, self.original.read_report().data
        own = data.test or (data.validation if isinstance(data.validation, str) else None)
        if source == "the validation rows" or (own is not None and Path(source).resolve() == Path(own).resolve()):
            return None
        if not Path(source).is_file():
            remedy = f"luthier evaluate {self.original.folder}, on rows that are there"
            raise mistake("the run was evaluated on a file that is not there", source, remedy)
        return source

    def _again(self) -> str:
        return f"luthier remedy {self.original.folder} goes on: what is done is kept in {self.folder.folder}"

    # -------------------------------------------------------------------------------------------------- what they are

    def _whole(self) -> Generator[Event, None, float]:
        taken = row_tokens(self.original)
        if not self.original.status().stopped_because.startswith(TROUBLE):
            return taken
        times = max(1.0, self._facts(self.original, taken).times({}))
        yield Note(
            "rows", f"trouble ended {self.original.name} early; costs are counted in what all its steps were to take"
        )
        return taken * times

    def _facts(self, run: Run, original: float | None = None) -> Facts:
        settings = {path: entry["value"] for path, entry in run.read_provenance().items()}
        rows = run.read_rows()
        steps = [step for step in run.steps() if not step.skipped] or run.steps()
        batch = int(settings["training_config.hyperparameters.batch_size"])
        kept = rows["kept"] - rows["validation"]
        a_row = sum(step.row_tokens for step in steps) / max(1, len(steps)) / min(batch, max(1, kept))
        return Facts(settings, kept, a_row, original or self.whole, self._replayed_tokens)

    def _replayed_tokens(self) -> float:
        if self.replayed is None:
            named = result_of(loaded_model.find(self.settings.model))
            self.replayed = replayed_tokens(named.tokenizer, named.eos, named.context_length)
        return self.replayed

    def _side(self, run: Run) -> Side:
        report, kept = evaluated_run(run)
        return Side(report, kept, run.evaluations(), _answers(run, GENERAL), _answers(run, "changes"), row_tokens(run))

    def _state(self, run: Run, symptoms: Mapping[str, float]) -> State:
        report = run.read_report()
        return State(str(run.folder), symptoms, report.metrics, report.targets, row_tokens(run), seconds_of(run))

    def _spent(self) -> tuple[float, float]:
        """What all runs made so far took: times of the original, and seconds."""
        made = self._trained(path.parent.name for path in sorted(self.folder.folder.glob("*/run.json")))
        return sum(map(row_tokens, made)) / self.whole, sum(map(seconds_of, made))

    def _trained(self, names: Iterable[str]) -> list[Run]:
        """The runs of these names that there are, without those that train nothing anew."""
        rounds = map(Round.of, self.folder.rounds())
        free = {one.label for round in rounds for one in round.candidates if one.only_the_end}
        return [run for name in names if name not in free and (run := self.folder.run(name)) is not None]

    def _attempt(self, one: Candidate, outcome: Any, why: str, short: Change | None = None) -> Attempt:
        made = self._trained((one.label, f"{one.label}-short"))
        return Attempt(
            one.remedy,
            one.symptom,
            one.reason,
            one.source,
            one.settings,
            len(one.without),
            outcome,
            why,
            short,
            times=sum(map(row_tokens, made)) / self.whole,
            seconds=sum(map(seconds_of, made)),
        )

    def _result(self, before: Side, current: Run, tried: list[Attempt], rounds: Sequence[Round]) -> Remedied:
        """Everything said at once: the original beside the run that was come to, or the nearest one."""
        first = rounds[0] if rounds else None
        has_helped = current.folder != self.original.folder
        in_full = [one for one in tried if one.run is not None]
        by_merit = sorted(in_full, key=lambda one: ("helped", "no_help", "harmed").index(one.outcome))
        shown = current if has_helped else Run.open(Path(by_merit[0].run)) if by_merit and by_merit[0].run else None
        symptoms = [one.symptom for one in tried if one.outcome == "helped"] or [one.symptom for one in by_merit[:1]]
        names = [name for symptom in symptoms for name in signs_of(symptom)]
        signs: tuple[Change, ...] = ()
        targets: tuple[Change, ...] = ()
        after = None
        if shown is not None:
            now = self._side(shown)
            signs = changes(names, before, now, self.settings.seed)
            targets = target_changes(before, now, self.settings.seed)
            remaining = next((one.remaining for one in tried if one.run == str(shown.folder)), {})
            after = self._state(shown, remaining)
        left_out = [
            Attempt(name, "", "", "", {}, 0, "not_tried", why)
            for round in rounds
            for name, why in round.left_out.items()
        ]
        times, seconds = self._spent()
        return Remedied(
            original=str(self.original.folder),
            helped=has_helped,
            why=_why(has_helped, tried, first, after),
            run=str(current.folder) if has_helped else None,
            before=self._state(self.original, first.symptoms if first else {}),
            after=after,
            signs=signs,
            targets=targets,
            tried=(*tried, *left_out),
            rows=before.report.rows,
            data=before.report.data,
            at_most=self.at_most,
            times=times,
            seconds=seconds,
            folder=str(self.folder.folder),
            symptom=first.symptom if first else "",
            cause=first.cause if first else "",
            says=first.says if first else "",
            step=first.step if first else None,
            curves=_curves(self.original, shown),
        )


def row_tokens(run: Run) -> int:
    """The tokens of rows that went through a run's steps."""
    return sum(step.row_tokens for step in run.steps())


def seconds_of(run: Run) -> float:
    """The seconds of a run's steps and of its evaluations while training."""
    return sum(step.seconds for step in run.steps()) + sum(entry.seconds for entry in run.evaluations())


def _ranked(candidates: Sequence[Candidate], short: Mapping[str, Change | None]) -> list[Candidate]:
    """Those that were better in a short run first, the clearest before the others; then as diagnosis has them; last
    those that train nothing anew, because a cause may stay behind them. Those that were worse are out."""

    def place(one: Candidate) -> float:
        change = short.get(one.label)
        if change is None or change.how != "better" or change.difference.value is None:
            return 0.0
        return -abs(change.difference.value)

    fine = [one for one in candidates if (change := short.get(one.label)) is None or change.how != "worse"]
    return sorted(fine, key=lambda one: (one.only_the_end, place(one)))


def _missed(side: Side) -> bool:
    return any(one.verdict == "missed" for one in side.report.targets)


def _answers(run: Run, name: str) -> list[dict[str, Any]]:
    try:
        return run.read_answers(name)
    except UserError:
        return []


def _curves(before: Run, after: Run | None) -> dict[str, list[tuple[float, float]]]:
    sides = {"before": before, **({"after": after} if after is not None else {})}
    return {
        name: [(float(entry.step), entry.validation_loss) for entry in run.evaluations()] for name, run in sides.items()
    }


def _said(round: Round) -> Generator[Event, None, None]:
    sure = ", ".join(f"{name.replace('_', ' ')} ({share:.1%} sure)" for name, share in round.symptoms.items())
    yield Note("rows", f"{round.run}: {sure}. {round.says}")
    names = ", ".join(_words(one) for one in round.candidates) or "nothing"
    short = f"short first, at {round.share:.0%} of the original's tokens" if round.share else "in full"
    yield Note("setting", f"tried, {short}: {names}")
    for name, why in round.left_out.items():
        yield Note("setting", f"{name} is not tried: {why}")


def _words(one: Candidate) -> str:
    return one.remedy.replace("_", " ")


def _of_change(change: Change) -> str:
    """`loss at the end 0.52 -> 0.31, better`."""
    name = change.name.replace("_", " ")
    if change.difference.value is None:
        return f"{name}: {change.difference.reason}"
    return f"{name} {numbers.number(change.before.value)} to {numbers.number(change.after.value)}, {change.how}"


def _why(has_helped: bool, tried: Sequence[Attempt], first: Round | None, after: State | None) -> str:
    if first is None:
        return "nothing to remedy: no symptom was found"
    if has_helped:
        names = " and then ".join(one.remedy.replace("_", " ") for one in tried if one.outcome == "helped")
        whys = next(one.why for one in reversed(tried) if one.outcome == "helped")
        missed = (
            [OTHER_NAMES.get(one.metric, one.metric) for one in after.targets if one.verdict == "missed"]
            if after
            else []
        )
        still = f"; still missed: {', '.join(missed)}" if missed else ""
        return f"{names} helped: {whys}{still}"
    if not any(one.run for one in tried):
        reasons = "; ".join(dict.fromkeys(f"{one.remedy.replace('_', ' ')}: {one.why}" for one in tried))
        return f"no remedy was run in full{': ' + reasons if reasons else ''}"
    count = sum(one.run is not None for one in tried)
    which = numbers.count(count, "remedy", "remedies")
    return f"of {which} run in full none helped beyond noise: the original stays the one to use"
