"""Preparation beside TRL: from a file of chat rows to tokens and masks, in rows a second; reading alone; and memory.

`make bench-prepare`, or `python -m benchmarks.prepare [--rounds 3] [--rows 50000] [--large 2000000] [--out FILE]`

Each side runs in a process of its own, in turn, so that a busy machine slows both. TRL's part is what SFTTrainer does
with its rows before training (chat template, tokens, mask), with one process, its default, and with one a core. Ours is
from the file to proven rows on disk, with nothing kept from before. Imports are not counted on either side. `large` is
the memory of all our processes together (shared pages counted once) while that many rows are prepared.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measuring import MODEL, ROOT, commit, machine

SIDES = ("read", "luthier", "trl", "trl-all-cores")


def write_rows(path: Path, count: int) -> None:
    """Chat rows of three messages: real instructions and answers, numbered so that no two are equal."""
    data = ROOT.parent / "shared" / "data" / "llama_factory" / "alpaca_en_demo.json"
    if not data.is_file():
        raise SystemExit(f"the benchmark's rows are absent: {data}")
    found = json.loads(data.read_text(encoding="utf-8"))
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            row = found[number % len(found)]
            asked = f"{row['instruction']}\n\n{row['input']}".strip()
            messages = [
                {"role": "system", "content": "You are a helpful assistant."},
                {"role": "user", "content": f"{asked} ({number})"},
                {"role": "assistant", "content": row["output"].strip()},
            ]
            file.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")


def run_read(path: Path) -> dict[str, Any]:
    """Reading and validating, as `luthier check FILE` does."""
    from luthier.data.check import check_block, look
    from luthier.data.parallel import each_block

    def kept(number: int, block: Any) -> int:
        return sum(count for _, _, count in check_block(block, sources[number]).counts)

    sources, _ = look([(path, 1.0)])
    started = time.perf_counter()
    rows = sum(count for *_, count in each_block([path], kept) if isinstance(count, int))
    return {"rows": rows, "seconds": time.perf_counter() - started}


def run_luthier(path: Path) -> dict[str, Any]:
    """What `luthier train FILE` does with its rows before the model is loaded."""
    from luthier.flow import result_of
    from luthier.workflow import run_file
    from luthier.workflow.loaded_model import find
    from luthier.workflow.prepare import prepare

    loaded = run_file.read([], str(path), ["data.validation=0"])
    named = result_of(find(MODEL))
    with tempfile.TemporaryDirectory() as home:
        os.environ["LUTHIER_HOME"] = home
        stop, peak = _memory()
        started = time.perf_counter()
        prepared = result_of(prepare(loaded, named.tokenizer, named.context_length, named.eos))
        seconds = time.perf_counter() - started
        stop()
        tokens = prepared.account.total.tokens
    return {"rows": len(prepared.train), "seconds": seconds, "tokens": tokens, "peak_memory_bytes": peak[0]}


def run_trl(path: Path, processes: int | None) -> dict[str, Any]:
    """What TRL's SFTTrainer does with the same rows before training."""
    import datasets
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
    from trl import SFTConfig, SFTTrainer

    from luthier import models

    tokenizer: Any = AutoTokenizer.from_pretrained(models.resolve(MODEL).folder)
    config: Any = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1
    )
    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line)["messages"] for line in file]
    columns = {"prompt": [row[:-1] for row in rows], "completion": [row[-1:] for row in rows]}
    seconds = [0.0]

    class Timed(SFTTrainer):  # type: ignore[misc]
        def _prepare_dataset(self, *args: Any, **options: Any) -> Any:
            started = time.perf_counter()
            made = super()._prepare_dataset(*args, **options)
            seconds[0] = time.perf_counter() - started
            return made

    with tempfile.TemporaryDirectory() as folder:
        trainer = Timed(
            model=LlamaForCausalLM(config),
            args=SFTConfig(
                output_dir=folder, max_length=None, dataset_num_proc=processes, use_cpu=True, report_to=[], bf16=False
            ),
            train_dataset=datasets.Dataset.from_dict(columns),
            processing_class=tokenizer,
        )
        rows_made = trainer.train_dataset
    return {"rows": len(rows_made), "seconds": seconds[0], "tokens": sum(len(row) for row in rows_made["input_ids"])}


def _memory() -> tuple[Callable[[], None], list[int]]:
    """Watches the proportional memory of this process and its children until told to stop; the list holds the peak."""
    peak, stopped = [0], threading.Event()

    def watch() -> None:
        while not stopped.wait(0.2):
            peak[0] = max(peak[0], sum(proportional(process) for process in _processes()))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()

    def stop() -> None:
        stopped.set()
        thread.join()

    return stop, peak


def _processes() -> list[str]:
    me = str(os.getpid())
    children = Path(f"/proc/{me}/task/{me}/children").read_text(encoding="ascii").split()
    return [me, *children]


def proportional(process: str) -> int:
    """The bytes of a process (its number), with each page that others share counted in equal parts; 0 once it ended."""
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    return 1024 * next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)


def one(side: str, path: Path) -> dict[str, Any]:
    """One side in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.prepare", "--side", side, "--file", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr[-4000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def side_of(name: str, path: Path) -> dict[str, Any]:
    """The figures of a side, in this process."""
    if name == "read":
        return run_read(path)
    if name == "luthier":
        return run_luthier(path)
    return run_trl(path, None if name == "trl" else len(os.sched_getaffinity(0)))


def main() -> None:
    """Runs the rounds, or one side of one where `--side` says so."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--large", type=int, default=2_000_000, help="0 leaves it out")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "prepare.json")
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--file", type=Path)
    asked = parser.parse_args()
    if asked.side:
        print(json.dumps(side_of(asked.side, asked.file)))
        return
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        write_rows(path, asked.rows)
        for number in range(asked.rounds):
            for side in SIDES:
                result = one(side, path)
                found[side].append(result)
                rate = result["rows"] / result["seconds"]
                print(f"round {number + 1}  {side:13} {rate:9,.0f} rows/s", flush=True)
        if asked.large:
            write_rows(path, asked.large)
            report["large"] = {"read": one("read", path), "prepare": one("luthier", path)}
    rates = {side: [one["rows"] / one["seconds"] for one in rounds] for side, rounds in found.items()}
    report["rows_a_second"] = {side: _middle(rate) for side, rate in rates.items()}
    for side in ("trl", "trl-all-cores"):
        ratios = [ours / theirs for ours, theirs in zip(rates["luthier"], rates[side], strict=True)]
        report[f"luthier / {side}"] = _middle(ratios)
    whole = {"commit": commit(), **machine(), **report, "rounds": found}
    asked.out.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))
    print(f"kept in {asked.out}")


def _middle(values: list[float]) -> dict[str, Any]:
    return {"median": median(values), "range": [min(values), max(values)]}


if __name__ == "__main__":
    main()
