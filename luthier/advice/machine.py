"""How much a machine holds and how fast it computes: measured here, or from the data sheet of a GPU."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from luthier import plugins
from luthier.errors import mistake
from luthier.flow import Place, Tokenized

if TYPE_CHECKING:
    from luthier.advice.trace import Work

GIB = 2**30
REACHED = 0.5
"""Of a GPU's rates by its data sheet, what training reaches: model FLOP utilization of 38% to 57% is published for
large runs (Chowdhery et al., PaLM, 2022, table 3: 46%; Touvron et al., LLaMA, 2023: about 50% of an A100)."""
HEAP = 1.55
"""Of the C library's heap (glibc 2.36): a freed block does not fit the next one of its size, because aligning takes a
few bytes more. 1.45 to 1.67 were measured in single passes over frozen weights (docs/log.md)."""
HEAP_OF_TRAINED = 1.3
"""The same where the weights themselves are trained: every matrix then keeps its input, so that less is freed between
what stays. 1.21 to 1.33 were measured."""
HEAP_AGAIN = 1.35
"""How many times as much again where a step has several passes: each finds the heap as the one before it left it. 1.9
to 2.3 in all were measured over frozen weights."""
SMALL_BLOCKS = 24_000_000
"""Where layers are computed twice, large blocks are mapped by themselves and are gone when freed; the small ones stay
in the heap: 18 to 27 MB were measured beyond what is alive."""
MEASURED = ("products", "narrow_products", "attention", "moved", "operation_seconds")
WAY = 3
"""Of measuring: what was kept from another way is measured again."""
METHODS = "luthier.methods"
GPU_OPERATION_SECONDS = 8e-6
"""What starting a kernel takes."""
GPUS: dict[str, tuple[float, float, float, float]] = {
    "T4": (65e12, 8.1e12, 320e9, 16),
    "L4": (121e12, 30.3e12, 300e9, 24),
    "A10": (125e12, 31.2e12, 600e9, 24),
    "RTX 3090": (71e12, 35.6e12, 936e9, 24),
    "RTX 4090": (165e12, 82.6e12, 1008e9, 24),
    "L40S": (362e12, 91.6e12, 864e9, 48),
    "A100 40GB": (312e12, 19.5e12, 1555e9, 40),
    "A100 80GB": (312e12, 19.5e12, 2039e9, 80),
    "H100": (989e12, 67e12, 3350e9, 80),
    "H200": (989e12, 67e12, 4800e9, 141),
    "B200": (2250e12, 75e12, 8000e9, 180),
}
"""FLOP/s in bfloat16 (float16 on a T4) without sparsity and in float32, bytes/s of memory, its size in GB: NVIDIA's
data sheets."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Rates that seconds come from. `products` are FLOP/s in float32, `narrow_products` in 16 bits, `attention` FLOP/s,
    `moved` bytes/s, `operation_seconds` what each operation takes at least; None where they are not known. `source`
    says where they come from.

    `heap` is how many times as many bytes its allocator holds as are alive in a step of one pass, `heap_of_trained`
    where the weights themselves are trained, `heap_again` how many times that in several passes; `small_blocks` are
    what it holds beyond where layers are computed twice; `keeps_heap` says whether it holds them on.
    `memory_bytes` is what a process may use of it, None without a bound; `library_bytes` what a process of the method
    has before it loads a model.
    """

    name: str
    kind: str
    memory_bytes: int | None
    library_bytes: int = 0
    products: float | None = None
    narrow_products: float | None = None
    attention: float = 1.0
    moved: float = 1.0
    operation_seconds: float = 0.0
    heap: float = 1.0
    heap_of_trained: float = 1.0
    heap_again: float = 1.0
    small_blocks: int = 0
    keeps_heap: bool = False
    source: str = ""

    def seconds(self, work: Work) -> float:
        """A product takes as long as its FLOP or its bytes do, whichever is more; all else as long as its bytes.

        With 1e9 FLOP/s and 1e9 bytes/s a product of 2e9 FLOP on 1e6 bytes takes 2 s.
        """
        assert self.products is not None
        assert self.narrow_products is not None
        rates = {False: self.products, True: self.narrow_products}
        products = sum(max(one.flop / rates[one.narrow], one.moved / self.moved) for one in work.products)
        rest = work.attention / self.attention + work.moved / self.moved
        return products + rest + work.operations * self.operation_seconds


def machine(device: str, method: str) -> Machine:
    """The machine of a name: `cpu`, a GPU of `GPUS`, or a GPU of a stated size such as `24GiB`; for a tuning method,
    because each loads other libraries.

    Raises `UserError` for any other name.
    """
    if device.lower() == "cpu":
        return this_cpu(method)
    if size := re.fullmatch(r"(\d+(?:\.\d+)?)\s*(GiB|GB|G)", device, re.I):
        unit = 1e9 if size[2].lower() == "gb" else GIB
        why = "no rates are known of a GPU of which the size alone is given"
        return Machine(f"a GPU of {size[0]}", "gpu", int(float(size[1]) * unit), source=why)
    plain = {_plain(name): name for name in GPUS}
    if (name := plain.get(_plain(device))) is None:
        remedy = f"write cpu, a size such as 24GiB, or one of: {', '.join(GPUS)}"
        raise mistake(f"{device!r} is no machine that is known here", "--device", remedy)
    narrow, products, moved, size_gb = GPUS[name]
    return Machine(
        name=name,
        kind="gpu",
        memory_bytes=int(size_gb * 1e9),
        products=REACHED * products,
        narrow_products=REACHED * narrow,
        attention=REACHED * narrow / 2,
        moved=REACHED * moved,
        operation_seconds=GPU_OPERATION_SECONDS,
        source=f"{REACHED:.0%} of its data sheet",
    )


def this_cpu(method: str) -> Machine:
    """This machine's CPU as it is: its free memory, and what was measured of it once, in a process of its own (half a
    minute on a busy machine, and again for each method), and kept as long as torch and transformers stay the same."""
    import torch

    from luthier.engine.memory import available_bytes
    from luthier.models.cache import home

    path = home() / "machines" / f"{machine_key()}.json"
    kept: dict[str, Any] = {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["versions"] == versions():
            kept = found
    except (OSError, ValueError, KeyError, TypeError):
        pass
    try:
        facts = {name: float(kept[name]) for name in MEASURED}
        library_bytes = int(kept["library_bytes"][method])
    except (KeyError, TypeError, ValueError):
        afresh = _measured_afresh(method)
        known = kept.get("library_bytes")
        libraries = {**(known if isinstance(known, dict) else {}), method: afresh.pop("library_bytes")}
        facts, library_bytes = afresh, int(libraries[method])
        _keep(path, {**facts, "library_bytes": libraries, "versions": versions()})
    free = available_bytes(torch.device("cpu"))
    return Machine(
        cpu_name(),
        "cpu",
        free,
        library_bytes,
        **facts,
        heap=HEAP,
        heap_of_trained=HEAP_OF_TRAINED,
        heap_again=HEAP_AGAIN,
        small_blocks=SMALL_BLOCKS,
        keeps_heap=True,
        source="measured on this machine",
    )


def _measured_afresh(method: str) -> dict[str, float]:
    """What `measure` finds in a process of its own."""
    command = [sys.executable, "-c", "from luthier.advice.machine import child; child()", method]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        complaint = done.stderr.strip().rpartition("\n")[2]
        raise mistake(f"this machine could not be measured: {complaint}", "", "name a GPU: --device 24GiB")
    found: dict[str, float] = json.loads(lines[-1])
    return found


def child() -> None:
    """The measuring process: writes what it finds as a line of JSON."""
    print(json.dumps(measure(sys.argv[1])), flush=True)


def measure(method: str) -> dict[str, float]:
    """`library_bytes` once the smallest run of the method has loaded all that its runs load (58 MB more with LoRA than
    without, for bitsandbytes, which PEFT imports), and the rates of this CPU with as many threads as torch takes:
    products of 512 x 1,024 with 1,024 x 1,024 in float32 and bfloat16, attention of 8 heads over 512 tokens, scaling 64
    MB, and a chain of small operations there and back."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    _smallest_run(method)
    library_bytes = resident_bytes()
    left, right = torch.randn(512, 1024), torch.randn(1024, 1024)
    narrow_left, narrow_right = left.bfloat16(), right.bfloat16()
    heads = (torch.randn(1, 8, 512, 64),) * 3
    large = torch.randn(16 * 2**20)
    small = torch.randn(8, 8, requires_grad=True)

    def chain() -> None:
        value = small
        for _ in range(50):
            value = value * 1.01 + 0.1
        value.sum().backward()

    def attend() -> object:
        return scaled_dot_product_attention(*heads, is_causal=True)

    cores, flop = _cores(), 2 * 512 * 1024 * 1024
    return {
        "library_bytes": library_bytes,
        "products": flop / _seconds(lambda: left @ right, cores),
        "narrow_products": flop / _seconds(lambda: narrow_left @ narrow_right, cores),
        "attention": 2 * 8 * 512**2 * 64 / _seconds(attend, cores),
        "moved": 8 * large.numel() / _seconds(lambda: large.mul_(1.0001), cores),
        "operation_seconds": _seconds(chain, min(1.0, cores)) / 250,
    }


def _smallest_run(name: str) -> None:
    """A step of a method on a model of two layers and 50 tokens."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from luthier.engine.forward import Engine
    from luthier.settings.schema import Hyperparameters
    from luthier.training.loop import Plan, Training

    sizes = {"vocab_size": 50, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    model: Any = LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=4))
    method = plugins.load(METHODS, name)
    section = getattr(method, "SETTINGS_FROM", method.SECTION)
    modules = [plugins.load(METHODS, one) for one in plugins.names(METHODS)]
    own = next((one for one in modules if section and section == one.SECTION), method).Settings()
    if hasattr(method, "without_tokenizer"):
        own = method.without_tokenizer(own)
    weights = np.array([0, *[1] * 15], dtype=np.float32)
    rows = [Tokenized(np.arange(16, dtype=np.int32), weights, Place("smallest", 1))]
    plan = Plan(Hyperparameters(batch_size=1, epochs=1.0), 1e-5, 1, 2, 1, "loss", 0)
    for _ in Training(Engine(method.attach(model, own, 0, None)), rows, rows, plan).run():
        pass


def versions() -> str:
    """What measured rates hold for: those of others are measured again."""
    import torch
    import transformers

    return f"torch {torch.__version__}, transformers {transformers.__version__}, measured in way {WAY}"


def machine_key() -> str:
    """What distinguishes this machine where measurements are kept: its CPU and how many cores a process may take."""
    return re.sub(r"[^a-z0-9]+", "-", f"{cpu_name()} {len(os.sched_getaffinity(0))} cores".lower()).strip("-")


def cpu_name() -> str:
    """`AMD EPYC 7763 64-Core Processor`, or the kind of processor where the system says no more."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M)
    except OSError:
        found = None
    return found[1].strip() if found else platform.machine()


def resident_bytes() -> int:
    """The memory that this process holds now."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _seconds(work: Callable[[], object], cores: float, at_least: float = 0.3) -> float:
    """The median of as many goes as fit, after one that counts nothing: by the clock, or by the processor's time on so
    many cores where that is less, because then other work had the cores in between."""
    work()
    taken: list[float] = []
    end = time.perf_counter() + at_least
    while len(taken) < 3 or time.perf_counter() < end:
        started, processed = time.perf_counter(), time.process_time()
        work()
        taken.append(min(time.perf_counter() - started, (time.process_time() - processed) / cores))
    return sorted(taken)[len(taken) // 2]


def _cores() -> float:
    """The cores that torch's threads have, where a container's quota leaves them fewer than there are threads."""
    import torch

    threads = float(torch.get_num_threads())
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="utf-8").split()
        return min(threads, int(quota) / int(period))
    except (OSError, ValueError):  # no quota is written as `max`
        return threads


def _keep(path: Path, facts: Mapping[str, object]) -> None:
    """Where the folder may not be written, the next estimate measures again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(f".{os.getpid()}")
        aside.write_text(json.dumps(facts), encoding="utf-8")
        aside.rename(path)
    except OSError:
        pass
