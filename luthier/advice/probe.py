"""A few real steps on this machine, in a process of their own, and what they correct in later estimates.

A process of its own starts afresh, so its high-water mark is a run's; and where memory runs out, it alone ends, which
is as much worth knowing as a measurement.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from luthier.advice.estimate import Cost
from luthier.advice.machine import machine_key, versions
from luthier.models.cache import home

SECONDS = 30.0
"""What a probe may take, loading left out; two steps are taken in any case, and one that has begun is finished."""
STEPS = 6
"""More steps than these say nothing new."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What a probe measured beside what was estimated. `time_factor` and `memory_factor` are measured over estimated,
    the libraries' memory left out; None where it did not come to a second step. `out_of_memory` says that it was ended
    for want of memory. `of` is the method and number type that was probed."""

    of: str
    day: str
    steps: int
    step_seconds: float | None
    peak_bytes: int | None
    time_factor: float | None
    memory_factor: float | None
    out_of_memory: bool = False
    error: str = ""

    def data(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    def said(self) -> Iterator[str]:
        """What went wrong, if anything did."""
        if self.out_of_memory:
            yield f"the probe ran out of memory after {self.steps} steps: a run of this size would, too"
        elif self.error:
            yield f"the probe measured nothing: {self.error}"


def probe(request: Mapping[str, Any], expected: Cost, seconds: float = SECONDS) -> Probed:
    """Runs real steps of what `request` names (see `child`) and compares them with what was expected."""
    of = f"{request['method']} {request['precision']}"
    day = time.strftime("%Y-%m-%d")
    command = [sys.executable, "-c", "from luthier.advice.probe import child; child()"]
    allowed = 10 * seconds + 120
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            said, complaint = process.communicate(json.dumps({**request, "seconds": seconds}), timeout=allowed)
        except subprocess.TimeoutExpired:
            process.kill()
            said, complaint = process.communicate()
            return Probed(of, day, 0, None, None, None, None, error=f"it did not end within {allowed:.0f} s")
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    steps = [line for line in lines if "seconds" in line]
    ran_out = process.returncode == -signal.SIGKILL or any(line.get("out_of_memory") for line in lines)
    if len(steps) < 2:
        error = "" if ran_out else complaint.strip().rpartition("\n")[2] or f"it ended with {process.returncode}"
        return Probed(of, day, len(steps), None, None, None, None, ran_out, error)
    return _compared(of, day, steps, expected, ran_out)


def _compared(of: str, day: str, steps: list[dict[str, Any]], expected: Cost, ran_out: bool) -> Probed:
    """The median of all steps but the first, in which libraries set themselves up."""
    taken = sorted(line["seconds"] for line in steps[1:])
    median = taken[len(taken) // 2]
    peak, libraries = steps[-1]["peak_bytes"], expected.training.libraries
    own = expected.training.total - libraries
    by_time = median / expected.step_seconds if expected.step_seconds else None
    return Probed(of, day, len(steps), median, peak, by_time, max(0, peak - libraries) / own if own else None, ran_out)


def corrected(expected: Cost, probed: Probed | None) -> Cost:
    """The cost with what a probe measured: every part of memory but the libraries' and the weights' is scaled, seconds
    too. The same where nothing was measured."""
    if probed is None or probed.time_factor is None or probed.memory_factor is None:
        return expected
    seconds = None if expected.step_seconds is None else expected.step_seconds * probed.time_factor
    factor = probed.memory_factor
    both = []
    for memory in (expected.training, expected.evaluation):
        own = memory.total - memory.libraries
        moving = memory.activations + memory.logits + memory.temporary
        scale = max(0.0, 1 + (factor - 1) * own / moving) if moving else 1.0
        parts = {name: round(scale * getattr(memory, name)) for name in ("activations", "logits", "temporary")}
        both.append(replace(memory, **parts))
    return replace(expected, training=both[0], evaluation=both[1], step_seconds=seconds)


def keep(model: str, probed: Probed) -> None:
    """Keeps what was measured by machine, model, method and type; where that may not be written, it is for once."""
    path = _path(model, probed.of)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(f".{os.getpid()}")
        aside.write_text(json.dumps(probed.data()), encoding="utf-8")
        aside.rename(path)
    except OSError:
        pass


def kept(model: str, method: str, precision: str) -> Probed | None:
    """What an earlier probe on this machine measured of the same, if there was one."""
    try:
        return Probed(**json.loads(_path(model, f"{method} {precision}").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _path(model: str, of: str) -> Path:
    """By the versions too, because a factor is of the rates that were measured with them."""
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", f"{model} {of} {versions()}").strip("-")
    return home() / "machines" / machine_key() / f"{plain}.json"


def child() -> None:
    """The probing process: reads a request from stdin, writes a line for each step.

    A request: `place` (a folder or a configuration), `method`, `precision`, the `settings` and in which method's file
    they stand (`settings_of`), those of the method's `section`, `row_tokens`, `batch_size`, `checkpointing`,
    `kl_to_base`, `seconds`. Weights are the model's own where the folder has them, else random ones.
    """
    request = json.loads(sys.stdin.read())
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="utf-8") as file:
            file.write("1000")  # so that no other process is ended in its place
    except OSError:
        pass
    from luthier.engine.out_of_memory import ran_out

    try:
        for line in steps_of(request):
            print(json.dumps(line), flush=True)
    except Exception as error:
        if not ran_out(error):
            raise
        print(json.dumps({"out_of_memory": True}), flush=True)


def steps_of(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The seconds and the memory of each step of a request."""
    import torch

    from luthier import plugins
    from luthier.advice.machine import resident_bytes
    from luthier.advice.trace import rows_of
    from luthier.engine.forward import Engine
    from luthier.flow import StepLog
    from luthier.settings.schema import Hyperparameters
    from luthier.training.loop import Plan, Training, peak_memory_bytes

    method = plugins.load("luthier.methods", request["method"])
    of = plugins.load("luthier.methods", request["settings_of"])
    settings = of.Settings.model_validate_json(json.dumps(request["settings"]))
    before = resident_bytes()
    tuned = method.attach(_model(request, method), settings, 0, None)
    hold: float = request["kl_to_base"]
    base = method.base_of(tuned) if hold else None
    engine = Engine(tuned, checkpointing=request["checkpointing"])
    rows = rows_of(request["batch_size"] * STEPS, request["row_tokens"], len(engine.head.weight))
    hyper = Hyperparameters(batch_size=request["batch_size"], epochs=1.0)
    plan = Plan(hyper, 1e-5, STEPS + 1, STEPS + 1, 1, "loss", 0, kl_to_base=hold)
    end = time.perf_counter() + request["seconds"]
    torch.manual_seed(0)
    taken = 0
    for entry in Training(engine, rows, [], plan, base=base).run():
        if isinstance(entry, StepLog):
            yield {"seconds": entry.seconds, "peak_bytes": peak_memory_bytes(), "library_bytes": before}
            taken += 1
        if taken >= 2 and time.perf_counter() > end:
            return


def _model(request: Mapping[str, Any], method: Any) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    from luthier.models import Source
    from luthier.models.loading import load_config, load_model

    dtype, place = getattr(torch, request["precision"]), Path(request["place"])
    source = Source(str(place), "folder", place)
    if place.is_dir() and any(place.glob("*.safetensors")):
        if hasattr(method, "load_base"):
            return method.load_base(source, dtype, method.Settings.model_validate_json(json.dumps(request["section"])))
        return load_model(source, dtype)
    causal: Any = AutoModelForCausalLM
    return causal.from_config(load_config(place)).to(dtype)
