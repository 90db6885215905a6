"""Training speed, loss and memory, beside TRL where there is something to compare with.

`make bench-train`, or `python -m benchmarks.train [--work mixed,shared,matrix,qlora,growth] [--rounds 3] [--smoke]`

- mixed: chat rows of mixed length, beside TRL set by hand and TRL as it comes;
- shared: rows under one system prompt of about 560 tokens, beside TRL by hand, which accumulates passes of 8 rows;
- matrix: the rate of matrix products alone, and the share of it that training reaches;
- qlora: QLoRA beside LoRA at 2,048 tokens a forward;
- growth: seconds against distinct tokens over a sixteenfold range, drawn in growth.svg.

Each side runs in a process of its own, in turn, so that a busy machine slows both; the same model, adapter, rows and
batch, no dropout. Counted are the rows' own tokens a second, as if each row stood alone. Every measurement is kept at
once: started again, a benchmark that was killed goes on.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.measuring import MODEL, NUMERIC, RESULTS, SCRATCH, Kept, code_of, measure, shown, spread
from benchmarks.one_training import Result, Task
from benchmarks.plot import Point, draw, fit
from benchmarks.sides import least_flop

WORKS = ("mixed", "shared", "matrix", "qlora", "growth")
CODE = (*NUMERIC, "benchmarks/one_training.py", "benchmarks/rows.py", "benchmarks/sides.py")
LOSSES_APART = 0.01
"""How far the losses of a step may differ, relative to the peer's, for its speed to count."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured. `shared`: rows a step, and of those the rows that TRL takes at once. `growth`: rows a step
    that stand alone, and that share a beginning."""

    steps: int = 4
    mixed: int = 8
    shared: tuple[tuple[int, int], ...] = ((32, 8), (64, 8))
    products: tuple[int, ...] = (1024, 2048)
    passes: int = 3
    reached: tuple[tuple[str, int], ...] = (("mixed", 8), ("mixed", 32), ("shared", 32))
    even: int = 8
    growth: tuple[tuple[str, tuple[int, ...]], ...] = (
        ("alone", (8, 16, 32, 64, 128)),
        ("shared", (16, 48, 112, 272, 588)),
    )


SMOKE = Sizes(
    steps=1,
    mixed=2,
    shared=((2, 1),),
    products=(64,),
    passes=1,
    reached=(("mixed", 2),),
    even=1,
    growth=(("alone", (1, 2)), ("shared", (1, 4))),
)


def tasks(work: str, sizes: Sizes, precision: str) -> list[Task]:
    """A round of a work, in the order in which it is measured. `precision` is what this machine multiplies fastest."""
    steps = sizes.steps
    if work == "mixed":
        hand = ["float32", *(["bfloat16"] if precision == "bfloat16" else [])]
        peers = [Task(work, f"trl-{one}", "mixed", sizes.mixed, steps, one, sizes.mixed) for one in hand]
        defaults = Task(work, "trl-defaults", "mixed", sizes.mixed, steps, "float32", sizes.mixed)
        return [Task(work, "luthier", "mixed", sizes.mixed, steps, precision), *peers, defaults]
    if work == "shared":
        return [
            task
            for batch, rows_a_pass in sizes.shared
            for task in (
                Task(work, "luthier", "shared", batch, steps, precision),
                Task(work, f"trl-{precision}", "shared", batch, steps, precision, rows_a_pass),
            )
        ]
    if work == "matrix":
        rate = Task(work, "products before", precision=precision, products=sizes.products, passes=sizes.passes)
        reached = [Task(work, "luthier", kind, batch, steps, precision) for kind, batch in sizes.reached]
        return [rate, *reached, Task(**{**asdict(rate), "side": "products after"})]
    if work == "qlora":
        return [
            Task(work, side, "even", sizes.even, steps, precision, tokens_a_pass=2048) for side in ("lora", "qlora")
        ]
    return [Task(work, "luthier", kind, batch, 1, precision) for kind, batches in sizes.growth for batch in batches]


# ------------------------------------------------------------------------------------------------ what came out


def beside(ours: list[Result], theirs: list[Result]) -> Result:
    """Speed, memory and losses against a peer, round by round. A peer that was stopped counts as just that slow."""
    both = list(zip(ours, theirs, strict=True))
    stopped = any("stopped_after_seconds" in peer for peer in theirs)
    rates = [
        (mine["row_tokens"] / mine["seconds"])
        / (mine["row_tokens"] / peer.get("stopped_after_seconds", peer.get("seconds")))
        for mine, peer in both
    ]
    found: Result = {"speed": spread(rates), "speed_is_a_lower_bound": stopped}
    if not stopped:
        found["memory"] = spread([mine["peak_memory_bytes"] / peer["peak_memory_bytes"] for mine, peer in both])
        found["losses_apart"] = max(
            abs(one - other) / abs(other)
            for mine, peer in both
            for one, other in zip(mine["losses"], peer["losses"], strict=True)
        )
        found["losses_agree"] = found["losses_apart"] <= LOSSES_APART
    return found


def summary(work: str, found: Mapping[Task, list[Result]]) -> Result:
    """What a work's measurements come to."""
    if work in ("mixed", "shared"):
        return {
            f"batch {mine.batch}, luthier / {peer.side}": beside(ours, theirs)
            for mine, ours in found.items()
            if mine.side == "luthier"
            for peer, theirs in found.items()
            if peer.side != "luthier" and peer.batch == mine.batch
        }
    if work == "matrix":
        return _shares(found)
    if work == "qlora":
        lora, qlora = found.values()
        both = list(zip(qlora, lora, strict=True))
        return {
            "speed": spread([other["seconds"] / one["seconds"] for one, other in both]),
            "weights": qlora[0]["weights_bytes"] / lora[0]["weights_bytes"],
            "peak_memory": spread([one["peak_memory_bytes"] / other["peak_memory_bytes"] for one, other in both]),
            "computed_tokens_a_step": qlora[0]["computed_tokens"] / len(qlora[0]["losses"]),
        }
    grown: Result = {}
    for kind, points in growth_points(found).items():
        peaks = [one["peak_memory_bytes"] for task, ours in found.items() if task.kind == kind for one in ours]
        most, least = max(points)[0], min(points)[0]
        grown[kind] = {
            **asdict(fit(points)),
            "range": most / least,
            "memory_most_over_least": max(peaks) / min(peaks),
            "points": points,
        }
    return grown


def _shares(found: Mapping[Task, list[Result]]) -> Result:
    """Of the rate of products before and after in the same round, what each training reached."""
    from luthier import models

    shape = models.describe(models.resolve(MODEL))
    products = [ours for task, ours in found.items() if task.side.startswith("products")]
    rates = [sum(one["flop_a_second"] for one in pair) / 2 for pair in zip(*products, strict=True)]
    shares: Result = {"gflop_a_second": spread([rate / 1e9 for rate in rates])}
    for task, ours in found.items():
        if task.side == "luthier":
            reached = [
                least_flop(shape, one["computed_tokens"], one["trained_tokens"]) / one["seconds"] for one in ours
            ]
            share = [one / rate for one, rate in zip(reached, rates, strict=True)]
            shares[f"{task.kind} rows, batch {task.batch}"] = spread(share)
    return shares


def growth_points(found: Mapping[Task, list[Result]]) -> dict[str, list[Point]]:
    """(distinct tokens, seconds) of each step, by kind of rows."""
    points: dict[str, list[Point]] = {}
    for task, ours in found.items():
        points.setdefault(task.kind, []).extend((one["computed_tokens"], one["seconds"]) for one in ours)
    return points


def goals(work: str, came_out: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(what, measured, goal) for people; which of them are judged is said above the table."""
    if work in ("mixed", "shared"):
        for name, one in came_out.items():
            batch, _, peer = name.partition(", luthier / ")
            if work == "mixed":
                speed, memory = ("6x", "at most 0.50") if peer == "trl-defaults" else ("4x", "")
            else:
                speed, memory = {"batch 32": "25x", "batch 64": "35x"}.get(batch, ""), "at most 0.33"
            least = "at least " if one["speed_is_a_lower_bound"] else ""
            yield f"{work} rows, {batch}: speed over {peer}", f"{least}{shown(one['speed'])}", speed
            if "memory" in one:
                yield f"{work} rows, {batch}: peak memory over {peer}'s", shown(one["memory"]), memory
                yield f"{work} rows, {batch}: losses from {peer}'s", f"{one['losses_apart']:.2%}", "at most 1%"
    elif work == "matrix":
        yield "products alone, GFLOP/s", shown(came_out["gflop_a_second"], 0), ""
        for name, one in came_out.items():
            if name != "gflop_a_second":
                yield f"share of that rate, {name}", shown(one), "0.65"
    elif work == "qlora":
        tokens = came_out["computed_tokens_a_step"]
        yield f"QLoRA's speed over LoRA's, {tokens:,.0f} tokens a forward", shown(came_out["speed"]), "0.75"
        yield "QLoRA's weights over LoRA's", f"{came_out['weights']:.2f}", "at most 0.45"
    else:
        for kind, one in came_out.items():
            yield f"seconds against distinct tokens, rows {kind}: R²", f"{one['r_squared']:.4f}", "a straight line"
            yield (
                f"peak memory, {one['range']:.0f} times the tokens, rows {kind}",
                (f"{one['memory_most_over_least']:.2f}"),
                "flat",
            )


def main() -> None:
    """Runs the works."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", default=",".join(WORKS), help="which, with commas between them")
    parser.add_argument("--rounds", type=int, help="3, or 1 with --smoke")
    parser.add_argument("--steps", type=int, help="optimizer steps a measurement: 4, or 1 with --smoke")
    parser.add_argument("--limit", type=float, default=2400.0, help="seconds after which a measurement is stopped")
    parser.add_argument(
        "--smoke", action="store_true", help="the smallest sizes: shows that it works, measures nothing"
    )
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    wanted = asked.work.split(",")
    if unknown := [work for work in wanted if work not in WORKS]:
        parser.error(f"--work: {', '.join(unknown)} is none of {', '.join(WORKS)}")
    out = asked.out or (SCRATCH / "smoke" / "train.json" if asked.smoke else RESULTS / "train.json")
    sizes = SMOKE if asked.smoke else Sizes()
    sizes = replace(sizes, steps=asked.steps or sizes.steps)
    agree = run(wanted, asked.rounds or (1 if asked.smoke else 3), sizes, asked.limit, out)
    if not agree:
        sys.exit("losses differ by more than 1%: the sides did not train the same, so their speeds say nothing")


def run(wanted: list[str], rounds: int, sizes: Sizes, limit: float, out: Path) -> bool:
    """All works, what is kept already left out. Whether the losses of all sides agree."""
    import torch

    from luthier.engine.precision import fast_precision

    precision, reason = fast_precision(torch.device("cpu"))
    kept, code = Kept(out), code_of(*CODE)
    with tempfile.TemporaryDirectory() as folder:
        adapter = Path(folder) / "adapter"
        lines: list[tuple[str, str, str]] = []
        agree = True
        for work in wanted:
            found: dict[Task, list[Result]] = {task: [] for task in tasks(work, sizes, precision)}
            for number in range(1, rounds + 1):
                for task, results in found.items():
                    result = kept.result(task.key(number), code)
                    if result is None:
                        if not adapter.is_dir():
                            measure("benchmarks.one_training", {"adapter": str(adapter)}, limit)
                        result = measure("benchmarks.one_training", {**asdict(task), "adapter": str(adapter)}, limit)
                        if "stopped_after_seconds" in result and not task.side.startswith("trl"):
                            sys.exit(f"{task.key(number)} did not end in {limit:g} s; --limit gives it longer")
                        kept.keep(task.key(number), code, result)
                    results.append(result)
                    print(f"{task.key(number)}: {_line(result)}", flush=True)
            came_out = summary(work, found)
            kept.summarize(work, {"rounds": rounds, "precision": precision, **came_out})
            agree = agree and all(one.get("losses_agree", True) for one in came_out.values() if isinstance(one, dict))
            lines += goals(work, came_out)
            if work == "growth":
                picture = out.with_name("growth.svg")
                names = {"alone": "rows that share nothing", "shared": "rows under one system prompt"}
                series = {names[kind]: points for kind, points in growth_points(found).items()}
                title = "Seconds of a step against the distinct tokens in it"
                picture.write_text(draw(title, "distinct tokens", "seconds", series), encoding="utf-8")
                print(f"drawn in {picture}")
    judged = "judged here" if precision == "bfloat16" else "printed, not judged here"
    print(f"\n{reason}; the goals are {judged}.\n\n| | median (range) | goal |\n|---|--:|--:|")
    for what, value, goal in lines:
        print(f"| {what} | {value} | {goal} |")
    print(f"\nkept in {out}")
    return agree


def _line(result: Result) -> str:
    if "stopped_after_seconds" in result:
        return f"stopped after {result['stopped_after_seconds']:g} s"
    if "flop_a_second" in result:
        return f"{result['flop_a_second'] / 1e9:.0f} GFLOP/s"
    losses = ", ".join(f"{loss:.4f}" for loss in result["losses"])
    rate, peak = result["row_tokens"] / result["seconds"], result["peak_memory_bytes"] / 1e9
    return f"{rate:.1f} row tokens/s, {result['seconds']:.1f} s, {peak:.2f} GB, losses {losses}"


if __name__ == "__main__":
    main()
