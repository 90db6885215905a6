"""Training on a GPU beside TRL: an 8B Llama shape with random weights, LoRA on rows of 4,096 tokens, and QLoRA.

`make bench-gpu`, or `python -m benchmarks.gpu [--shape 8b] [--rounds 3] [--wheels DIR] [--out FILE] [--commit TEXT]`

Needed are torch 2.11 and transformers 5.17 or later. What else a machine lacks can be carried along as wheels:
`--wheels DIR` installs all of a folder's into build/benchmarks/site, without a network. Sides:

- products: the rate of matrix products alone, in the model's own shapes;
- luthier: LoRA, bfloat16;
- trl-defaults: SFTTrainer as it comes: float32 weights, autocast, each layer computed twice, 8 rows at once;
- trl-liger: the same with bfloat16 weights and liger-kernel;
- trl-liger-by-hand: that without computing layers twice, 2 rows at once;
- luthier-qlora: QLoRA on 2 rows of 2,048 tokens.

Each runs in a process of its own, in turn; the same random tokens, all trained on. Two steps warm up. Where the GPU's
memory does not suffice, that is the result. A benchmark that was killed goes on.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.measuring import NUMERIC, RESULTS, ROOT, SCRATCH, Kept, code_of, measure, shown, spread
from benchmarks.rows import Row
from benchmarks.sides import ended_by_memory, least_flop, matrix_rate, train_luthier, train_trl

CODE = (*NUMERIC, "benchmarks/gpu.py", "benchmarks/sides.py")
SITE = SCRATCH / "site"
NEEDED = ("torch", "transformers", "peft", "trl", "datasets", "accelerate", "bitsandbytes", "liger_kernel")
NEEDED_BY_LUTHIER = ("pydantic", "msgspec", "ruamel.yaml", "safetensors", "numpy", "scipy")
SIDES = ("products", "luthier", "trl-defaults", "trl-liger", "trl-liger-by-hand", "luthier-qlora")
STEPS, WARM_UP = 6, 2
LIMIT_SECONDS = 580.0
LOSSES_APART = 0.01

Result = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """A Llama's sizes, and the rows that it is trained on: (rows a step, tokens a row) of LoRA and of QLoRA."""

    vocabulary: int
    width: int
    inner: int
    layers: int
    heads: int
    key_heads: int
    lora: tuple[int, int]
    qlora: tuple[int, int]


SHAPES = {
    "8b": Shape(128_256, 4096, 14_336, 32, 32, 8, (8, 4096), (2, 2048)),
    "tiny": Shape(512, 64, 128, 2, 4, 2, (4, 64), (2, 32)),
}


@dataclass(frozen=True)
class Task:
    """A measurement."""

    side: str
    shape: str
    device: str
    tokens_a_pass: int | None = None

    def key(self, number: int) -> str:
        """What it is kept under."""
        own = f" | {self.tokens_a_pass} tokens a pass" if self.tokens_a_pass else ""
        return f"{self.side} | {self.shape} on {self.device}{own} | round {number}"


# --------------------------------------------------------------------------------------------- one measurement


def measured_here(task: Task) -> Result:
    """The figures of a side, in this process."""
    import torch

    from luthier.engine.precision import fast_precision

    shape, device = SHAPES[task.shape], torch.device(task.device)
    fast = getattr(torch, fast_precision(device)[0])
    if task.side == "products":
        tokens = [max(1, shape.lora[1] // 2), shape.lora[1], 2 * shape.lora[1]]
        return matrix_rate(described(shape), fast, device, tokens, 5)
    count, length = shape.qlora if task.side == "luthier-qlora" else shape.lora
    made = random_rows(shape, count * STEPS, length)
    weights = torch.float32 if task.side == "trl-defaults" else fast
    model = random_model(shape, weights, device, quantized=task.side == "luthier-qlora")
    if task.side.startswith("luthier"):
        tuned = _attached(model)
        return train_luthier(tuned, made, count, task.tokens_a_pass)
    by_hand = task.side == "trl-liger-by-hand"
    settings: dict[str, Any] = {"use_cpu": device.type == "cpu"}
    settings |= {"use_liger_kernel": True} if "liger" in task.side else {}
    settings |= {"gradient_checkpointing": False} if by_hand else {}
    return train_trl(_peft(model), _tokenizer(shape), made, count, 2 if by_hand else count, settings)


def described(shape: Shape) -> Any:
    """The sizes as the package describes them."""
    from luthier import models

    with tempfile.TemporaryDirectory() as folder:
        _config(shape).save_pretrained(folder)
        return models.describe(Path(folder))


def random_rows(shape: Shape, count: int, length: int) -> list[Row]:
    """Rows of random tokens, all but the first trained on."""
    import numpy as np

    tokens = np.random.default_rng(0).integers(1, shape.vocabulary, (count, length))
    return [(row.tolist(), 1) for row in tokens]


def random_model(shape: Shape, dtype: Any, device: Any, quantized: bool) -> Any:
    """The same random weights on every side, as bfloat16 files would hold them."""
    import torch
    from transformers import AutoModelForCausalLM

    causal: Any = AutoModelForCausalLM
    torch.manual_seed(0)
    with torch.device(device):
        model = causal.from_config(_config(shape), dtype=torch.bfloat16)
    if quantized:
        _quantize(model, dtype)
        for parameter in model.parameters():
            if parameter.is_floating_point():
                parameter.data = parameter.data.to(dtype)
    else:
        model.to(dtype)
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return model


def _config(shape: Shape) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_heads,
        max_position_embeddings=131_072,
        rope_parameters={"rope_type": "default", "rope_theta": 500_000.0},
        tie_word_embeddings=False,
        use_cache=False,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )


def _quantize(model: Any, computing: Any) -> None:
    """Each layer's matrices to four bits where they stand, one after another: NF4 with double quantization."""
    import torch
    from bitsandbytes.nn import Linear4bit, Params4bit

    head = model.get_output_embeddings()
    for name, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Linear) and module is not head:
            weight = module.weight.data
            packed = Linear4bit(
                module.in_features,
                module.out_features,
                bias=False,
                compute_dtype=computing,
                compress_statistics=True,
                quant_type="nf4",
                device="meta",
            )
            own = Params4bit(weight, requires_grad=False, compress_statistics=True, quant_type="nf4", module=packed)
            packed.weight = own.to(weight.device)
            packed.support_avx512bf16_for_cpu = False
            model.set_submodule(name, packed)
    model.is_loaded_in_4bit = True


def _attached(model: Any) -> Any:
    from luthier.methods import lora

    settings = lora.Settings(r=16, alpha=32, dropout=0.0, target_modules=("q_proj", "v_proj"))
    tuned = lora.attach(model, settings, 0)
    _same_start(model)
    return tuned


def _peft(model: Any) -> Any:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=16, lora_alpha=32, lora_dropout=0.0, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"
    )
    wrapped = get_peft_model(model, config)
    _same_start(wrapped)
    return wrapped


def _same_start(model: Any) -> None:
    """The first of the thin matrices from the same numbers on every side; the second is 0."""
    import torch

    random = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if ".lora_A." in name:
            start = torch.randn(parameter.shape, generator=random) / parameter.shape[1] ** 0.5
            parameter.data.copy_(start)


def _tokenizer(shape: Shape) -> Any:
    """What SFTTrainer asks for, although the rows are tokens already."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, "<unknown>": shape.vocabulary - 1}
    whole = Tokenizer(WordLevel(words, unk_token="<unknown>"))
    return PreTrainedTokenizerFast(tokenizer_object=whole, pad_token="<pad>", eos_token="<pad>")


# ------------------------------------------------------------------------------------------------ what came out


def tokens_a_second(result: Result) -> float | None:
    """Row tokens a second after the steps that warm up; none where memory did not suffice."""
    if "step_seconds" not in result:
        return None
    steps = result["step_seconds"]
    return float(result["row_tokens"] * (len(steps) - WARM_UP) / len(steps) / sum(steps[WARM_UP:]))


def summary(found: Mapping[str, Sequence[Result]], shape: Shape) -> dict[str, Any]:
    """Each side's speed and memory, and Luthier against each of TRL's, round by round."""
    sides: dict[str, Any] = {}
    for side, results in found.items():
        rates = [tokens_a_second(result) for result in results]
        if side == "products":
            sides[side] = {"tflop_a_second": spread([result["flop_a_second"] / 1e12 for result in results])}
        elif any(rate is None for rate in rates):
            sides[side] = {"did_not_end": results[0]}
        else:
            peaks = [result["peak_memory_bytes"] / 2**30 for result in results]
            sides[side] = {
                "tokens_a_second": spread([rate for rate in rates if rate is not None]),
                "peak_memory_gib": spread(peaks),
            }
    beside = {
        side: _beside(found["luthier"], results)
        for side, results in found.items()
        if side.startswith("trl") and "tokens_a_second" in sides[side] and "tokens_a_second" in sides["luthier"]
    }
    came_out: dict[str, Any] = {"sides": sides, "luthier / ": beside}
    if "products" in found and "tokens_a_second" in sides["luthier"]:
        came_out["share_of_products"] = spread(list(_shares(found, shape)))
    return came_out


def _beside(ours: Sequence[Result], theirs: Sequence[Result]) -> dict[str, Any]:
    both = list(zip(ours, theirs, strict=True))
    apart = max(
        abs(one - other) / abs(other)
        for mine, peer in both
        for one, other in zip(mine["losses"], peer["losses"], strict=True)
    )
    return {
        "speed": spread([(tokens_a_second(mine) or 0) / (tokens_a_second(peer) or 1) for mine, peer in both]),
        "memory": spread([mine["peak_memory_bytes"] / peer["peak_memory_bytes"] for mine, peer in both]),
        "losses_apart": apart,
        "losses_agree": apart <= LOSSES_APART,
    }


def _shares(found: Mapping[str, Sequence[Result]], shape: Shape) -> Iterator[float]:
    sizes = described(shape)
    for mine, products in zip(found["luthier"], found["products"], strict=True):
        least = least_flop(sizes, mine["computed_tokens"], mine["trained_tokens"])
        yield least / mine["row_tokens"] * (tokens_a_second(mine) or 0) / products["flop_a_second"]


def table(came_out: Mapping[str, Any]) -> str:
    """The summary as Markdown."""
    lines = ["| side | tokens/s | peak memory, GiB |", "|---|--:|--:|"]
    for side, one in came_out["sides"].items():
        if "tokens_a_second" in one:
            lines.append(f"| {side} | {shown(one['tokens_a_second'], 0)} | {shown(one['peak_memory_gib'])} |")
        elif "did_not_end" in one:
            lines.append(f"| {side} | {', '.join(one['did_not_end'])} | |")
        else:
            lines.append(f"| {side} | {shown(one['tflop_a_second'])} TFLOP/s | |")
    lines += ["", "| luthier over | speed | peak memory | losses apart |", "|---|--:|--:|--:|"]
    for side, one in came_out["luthier / "].items():
        lines.append(f"| {side} | {shown(one['speed'])} | {shown(one['memory'])} | {one['losses_apart']:.2%} |")
    if "share_of_products" in came_out:
        lines += ["", f"share of the products' rate: {shown(came_out['share_of_products'])}"]
    lines.append("")
    lines.append("goals at 8b: 15,000 tokens/s, 2x trl-defaults at 0.60 of its memory; luthier-qlora under 8 GiB")
    return "\n".join(lines)


def main() -> None:
    """Runs the sides, or one of them where `--one` says so."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="8b")
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to try the script on --shape tiny")
    parser.add_argument("--sides", default=",".join(SIDES), help="which, with commas between them; luthier is needed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens-a-pass", type=int, help="of Luthier; its own where left out")
    parser.add_argument("--wheels", type=Path, help="a folder of wheels that this machine lacks")
    parser.add_argument("--commit", help="where the folder is no repository")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        task = Task(**json.loads(asked.one))
        print(json.dumps(ended_by_memory(lambda: measured_here(task))))
        return
    wanted = asked.sides.split(",")
    if unknown := [side for side in wanted if side not in SIDES]:
        parser.error(f"--sides: {', '.join(unknown)} is none of {', '.join(SIDES)}")
    if "luthier" not in wanted:
        parser.error("--sides: luthier is what the others are compared with")
    if asked.device == "cpu":
        wanted = [side for side in wanted if "liger" not in side]
        print("liger-kernel needs a GPU: its sides are left out")
    paths = _wheels(asked.wheels)
    _check(asked.device, wanted)
    out = asked.out or (RESULTS if asked.shape == "8b" else SCRATCH / "smoke") / "gpu.json"
    kept, code = Kept(out, asked.commit), code_of(*CODE)
    found: dict[str, list[Result]] = {side: [] for side in wanted}
    for number in range(1, asked.rounds + 1):
        for side, results in found.items():
            task = Task(side, asked.shape, asked.device, asked.tokens_a_pass if side.startswith("luthier") else None)
            result = kept.result(task.key(number), code)
            if result is None:
                result = measure("benchmarks.gpu", asdict(task), LIMIT_SECONDS, paths)
                kept.keep(task.key(number), code, result)
            results.append(result)
            print(f"{task.key(number)}: {_line(result)}", flush=True)
    came_out = summary(found, SHAPES[asked.shape])
    kept.summarize(f"{asked.shape} on {asked.device}", {"rounds": asked.rounds, **came_out})
    print(f"\n{table(came_out)}\n\nkept in {out}")
    if not all(one["losses_agree"] for one in came_out["luthier / "].values()):
        sys.exit("losses differ by more than 1%: the sides did not train the same, so their speeds say nothing")


def _line(result: Result) -> str:
    if "flop_a_second" in result:
        return f"{result['flop_a_second'] / 1e12:.2f} TFLOP/s"
    rate = tokens_a_second(result)
    if rate is None:
        return ", ".join(f"{name}: {value}" for name, value in result.items())
    losses = ", ".join(f"{loss:.4f}" for loss in result["losses"])
    return f"{rate:,.0f} tokens/s, {result['peak_memory_bytes'] / 2**30:.2f} GiB, losses {losses}"


def _wheels(folder: Path | None) -> list[str]:
    """Installs a folder's wheels aside, where the sides look first."""
    if folder is None:
        return []
    wheels = sorted(str(wheel) for wheel in folder.glob("*.whl"))
    if not wheels:
        sys.exit(f"there are no wheels in {folder}")
    options = ["--no-index", "--no-deps", "--no-compile", "--upgrade", "--quiet", "--target", str(SITE)]
    done = subprocess.run([sys.executable, "-m", "pip", "install", *options, *wheels], cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(f"the wheels in {folder} could not be installed")
    sys.path.insert(0, str(SITE))
    return [str(SITE)]


def _check(device: str, wanted: Sequence[str]) -> None:
    """Ends with what to do where a package or the GPU is not there."""
    if device == "cuda" and _there("torch"):
        import torch

        if not torch.cuda.is_available():
            sys.exit(
                "there is no GPU here that torch can use; type the same on a machine that has one. "
                "To try the script without: python -m benchmarks.gpu --shape tiny --device cpu"
            )
    liger = any("liger" in side for side in wanted)
    packages = [name for name in NEEDED if liger or name != "liger_kernel"]
    if missing := [name for name in (*packages, *NEEDED_BY_LUTHIER) if not _there(name)]:
        sys.exit(f"this machine lacks {', '.join(missing)}: bring their wheels along and name the folder by --wheels")


def _there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


if __name__ == "__main__":
    main()
