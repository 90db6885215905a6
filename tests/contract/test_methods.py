"""One battery over every tuning method and its variants, on a Llama with grouped queries and on a GPT-2."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from luthier import plugins
from luthier.engine.forward import Engine
from luthier.engine.generation import answers
from luthier.engine.hold import BaseEngine, Hold
from luthier.engine.step import backward
from luthier.flow import Place, Question, StepLog, Tokenized, Tuned
from luthier.methods import lora
from luthier.models import Source, load_model, load_tokenizer, resolve
from luthier.settings.schema import Hyperparameters
from luthier.training.loop import Plan, Training
from tests.conftest import write_tiny_tokenizer
from tests.engine.test_exactness import random_rows

METHODS = "luthier.methods"
LORA = {"r": 4, "alpha": 8, "dropout": 0.0, "target_modules": "all-linear"}
TEXT = {"init": "text", "init_text": "Where is my package?"}
FIVE: dict[str, Any] = {"num_virtual_tokens": 5}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "full": ("full", {}),
    "lora": ("lora", LORA),
    "lora, DoRA": ("lora", LORA | {"use_dora": True}),
    "lora, PiSSA and rsLoRA": ("lora", LORA | {"init": "pissa", "use_rslora": True}),
    "qlora": ("qlora", LORA),
    "qlora, DoRA": ("qlora", LORA | {"use_dora": True}),
    "prompt_tuning": ("prompt_tuning", FIVE | {"init": "vocabulary"}),
    "prompt_tuning, text": ("prompt_tuning", FIVE | TEXT),
    "prefix_tuning": ("prefix_tuning", FIVE | TEXT),
    "prefix_tuning, random": ("prefix_tuning", FIVE | {"init": "random"}),
    "prefix_tuning, projection": ("prefix_tuning", FIVE | {"projection": True} | TEXT),
}
ON_GPT_2 = ("lora, DoRA", "lora, PiSSA and rsLoRA", "qlora", "prompt_tuning", "prefix_tuning, projection")
"""Its matrices stand the other way round, and it has as many key heads as heads."""
CASES = [*VARIANTS, *(f"{variant} on GPT-2" for variant in ON_GPT_2)]
ADAPTERS = [case for case in CASES if case != "full"]
MERGED = [case for case in ADAPTERS if hasattr(plugins.load(METHODS, VARIANTS[case.split(" on ")[0]][0]), "merge")]


def write_tiny_gpt2(folder: Path) -> Path:
    """A GPT-2 of 2 layers and 4 heads of width 8, random, with the tiny tokenizer."""
    from transformers import GPT2Config, GPT2LMHeadModel

    from luthier.models.quiet import quiet

    folder.mkdir()
    sizes = {"n_positions": 128, "n_embd": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.2}
    plain: dict[str, Any] = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    marks = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(0)
        model: Any = GPT2LMHeadModel(
            GPT2Config(vocab_size=len(write_tiny_tokenizer(folder)), **sizes, **plain, **marks)
        )
        model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_gpt2(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return resolve(str(write_tiny_gpt2(tmp_path_factory.mktemp("models") / "gpt2")))


@dataclass(frozen=True)
class Case:
    """A method with settings on a model, as workflow puts them together."""

    method: Any
    settings: Any
    source: Source

    def base(self, dtype: torch.dtype = torch.float32) -> Any:
        """The model before tuning, as the method loads it."""
        if hasattr(self.method, "load_base"):
            return self.method.load_base(self.source, dtype, self.method.Settings())
        return load_model(self.source, dtype)

    def attached(self, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tuned:
        found: Tuned = self.method.attach(self.base(dtype), self.settings, seed, load_tokenizer(self.source))
        return found

    def moved(self) -> Tuned:
        """No longer where it begins."""
        tuned = self.attached()
        random = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in tuned.trainable.values():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=random))
        return tuned

    def written(self, tuned: Tuned, folder: Path) -> Path:
        folder.mkdir()
        for name, write in self.method.files(tuned, self.settings, str(self.source.folder)).items():
            write(folder / name)
        return folder

    def engine(self, tuned: Tuned) -> Engine:
        tuned.model.eval()
        return Engine(tuned)


@pytest.fixture
def case(request: pytest.FixtureRequest, tiny_model: Source) -> Case:
    variant, _, on_gpt_2 = request.param.partition(" on ")
    return case_of(variant, request.getfixturevalue("tiny_gpt2") if on_gpt_2 else tiny_model)


def case_of(variant: str, source: Source) -> Case:
    name, written = VARIANTS[variant]
    method = plugins.load(METHODS, name)
    settings = (lora if hasattr(method, "SETTINGS_FROM") else method).Settings(**written)
    return Case(method, settings, source)


@dataclass(frozen=True)
class Saved:
    """A moved adapter's folder, its trained weights and what it says after each token of `ROW`."""

    folder: Path
    weights: dict[str, torch.Tensor]
    logits: torch.Tensor


@pytest.fixture(scope="session")
def kept() -> dict[Case, Saved]:
    return {}


@pytest.fixture
def saved(case: Case, kept: dict[Case, Saved], tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """Made once a case. Tests only read it."""
    if case not in kept:
        tuned = case.moved()
        folder = case.written(tuned, tmp_path_factory.mktemp("saved") / "adapter")
        weights = {name: one.detach().clone() for name, one in tuned.trainable.items()}
        kept[case] = Saved(folder, weights, ours(case.engine(tuned)))
    return kept[case]


def over(cases: Iterable[str]) -> Callable[..., Any]:
    return pytest.mark.parametrize("case", list(cases), indirect=True)


ROW = random_rows(0)[0]


def gap(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The largest difference, relative to the largest number."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


def in_peft(model: Any, row: Tokenized = ROW) -> torch.Tensor:
    """What a PEFT model says after each of the row's own tokens."""
    tokens = torch.from_numpy(row.tokens.astype(np.int64))[None]
    with torch.no_grad():
        logits: torch.Tensor = model.eval()(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits[0]
    return logits[-len(row.tokens) :]


def ours(engine: Engine, row: Tokenized = ROW) -> torch.Tensor:
    return engine.logits(row, len(row.tokens))


def test_every_method_has_its_variants_here() -> None:
    assert {method for method, _ in VARIANTS.values()} == set(plugins.names(METHODS))


@over(CASES)
def test_step_0_is_the_base_where_the_method_says_so(case: Case) -> None:
    base = in_peft(case.base())
    apart = gap(ours(case.engine(case.attached())), base)
    assert (apart < 1e-5) == case.method.STARTS_AS_THE_BASE


@over(["lora", "lora, DoRA", "lora, PiSSA and rsLoRA", "qlora, DoRA"])
def test_step_0_is_the_base_in_bfloat16_too(case: Case) -> None:
    # By the same engine: transformers computes attention in bfloat16, which is further from float32 than the engine is.
    base = ours(Engine(Tuned(case.base(torch.bfloat16), None, {})))
    assert gap(ours(case.engine(case.attached(dtype=torch.bfloat16))), base) < 1e-2


def likely_in(tuned: Tuned, row: Tokenized) -> torch.Tensor:
    """The log-probabilities before each of a row's tokens but the first by transformers, on what stands before it."""
    from transformers import DynamicCache

    model: Any = tuned.model
    tokens = torch.from_numpy(row.tokens.astype(np.int64))[None]
    given: dict[str, Any] = {"input_ids": tokens}
    if tuned.root is not None and tuned.root.embeddings is not None:
        before = tuned.root.embeddings()[None]
        given = {"inputs_embeds": torch.cat([before, model.get_input_embeddings()(tokens)], 1)}
    elif tuned.root is not None and tuned.root.keys_and_values is not None:
        pairs = tuned.root.keys_and_values()
        given |= {"past_key_values": DynamicCache([(key[None], value[None]) for key, value in pairs])}
    likely: torch.Tensor = model(**given).logits[0, -len(row.tokens) :][:-1].log_softmax(-1)
    return likely


def alone(tuned: Tuned, row: Tokenized) -> torch.Tensor:
    """The row's weighted loss by transformers, on what stands before it."""
    likely, tokens = likely_in(tuned, row), torch.from_numpy(row.tokens.astype(np.int64))[None]
    loss: torch.Tensor = -(likely.gather(1, tokens[0, 1:, None])[:, 0] * torch.from_numpy(row.weights[1:])).sum()
    return loss


@over(CASES)
def test_declared_weights_alone_get_gradients_and_a_tree_s_are_those_of_its_rows_one_by_one(case: Case) -> None:
    tuned, rows = case.moved(), random_rows(0)[::3]
    names, weights = list(tuned.trainable), list(tuned.trainable.values())
    expected = torch.autograd.grad(sum(alone(tuned, row) for row in rows), weights)  # type: ignore[arg-type]
    backward(case.engine(tuned), rows, 1.0, 50)
    for name, wanted in zip(names, expected, strict=True):
        found = tuned.trainable[name].grad
        assert found is not None
        assert float(wanted.norm()) > 0, name
        assert float((found - wanted).norm() / wanted.norm()) < 2e-5, name
    declared = {id(one) for one in weights}
    others = {name: one for name, one in tuned.model.named_parameters() if id(one) not in declared}
    assert [name for name, one in others.items() if one.requires_grad or one.grad is not None] == []


def apart(tuned: Tuned, base: Any, row: Tokenized) -> torch.Tensor:
    """The row's weighted KL from a plain base model, both by transformers."""
    with torch.no_grad():
        expected = likely_in(Tuned(base, None, {}), row)
    each = torch.nn.functional.kl_div(likely_in(tuned, row), expected, reduction="none", log_target=True).sum(-1)
    return (each * torch.from_numpy(row.weights[1:])).sum()


@over(CASES)
def test_it_is_held_near_a_base_that_stays_while_it_moves(case: Case) -> None:
    """The base is loaded anew here, so it is not what the method says that it was."""
    tuned, rows = case.attached(), random_rows(0)[::3]
    base = BaseEngine(case.method.base_of(tuned))
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in tuned.trainable.values():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=random))
    names, weights = list(tuned.trainable), list(tuned.trainable.values())
    plain = case.base().eval()
    kl = torch.stack([apart(tuned, plain, row) for row in rows]).sum()
    loss = torch.stack([alone(tuned, row) for row in rows]).sum()
    expected = torch.autograd.grad(loss / 30 + 3 * kl / 40, weights)
    computed = backward(case.engine(tuned), rows, 30, 50, Hold(base, 3.0, 40))
    assert computed.loss == pytest.approx(loss.item(), rel=1e-5)
    assert computed.kl == pytest.approx(kl.item(), rel=1e-4)
    assert kl.item() > 0.1
    for name, wanted in zip(names, expected, strict=True):
        found = tuned.trainable[name].grad
        assert found is not None
        assert float((found - wanted).norm() / wanted.norm()) < 5e-5, name


@over(CASES)
def test_the_loss_falls(case: Case) -> None:
    plan = Plan(
        Hyperparameters(batch_size=12, epochs=8), 5e-3, evaluate_every=9, save_every=9, keep=1, metric="loss", seed=0
    )
    training = Training(Engine(case.attached()), random_rows(0), [], plan)
    losses = [entry.train_loss for entry in training.run() if isinstance(entry, StepLog)]
    assert losses[-1] < losses[0] - 0.02


@over(VARIANTS)
def test_a_rate_left_out_has_a_value_a_reason_and_a_source(case: Case) -> None:
    rate, reason, where = case.method.learning_rate(case.settings, case.base())
    assert 0 < rate < 0.1
    assert reason
    assert where


@over(CASES)
def test_what_is_saved_loads_back_bit_by_bit(case: Case, saved: Saved) -> None:
    again = case.attached(seed=7)
    case.method.load(again, saved.folder)
    assert all(torch.equal(again.trainable[name], one) for name, one in saved.weights.items())
    assert torch.equal(ours(case.engine(again)), saved.logits)


@over(ADAPTERS)
def test_a_saved_adapter_opens_with_the_same_logits(case: Case, saved: Saved, tmp_path: Path) -> None:
    left_out = getattr(case.method, "ONLY_TO_RESUME", ())
    folder = shutil.copytree(saved.folder, tmp_path / "result", ignore=lambda *_: left_out)
    opened = case.method.open_adapter(case.base(), folder)
    assert gap(ours(case.engine(opened)), saved.logits) < 1e-5
    assert not any(one.requires_grad for one in opened.model.parameters())


@over(ADAPTERS)
def test_peft_loads_the_files_and_gives_the_same_logits(case: Case, saved: Saved) -> None:
    from peft import PeftModel

    base = case.base()
    before = in_peft(base)
    theirs: Any = PeftModel.from_pretrained(base, str(saved.folder))
    assert gap(in_peft(theirs), saved.logits) < 1e-5
    assert gap(before, saved.logits) > 1e-2


@over(["lora", "qlora", "prompt_tuning", "prefix_tuning", "lora, DoRA on GPT-2", "prefix_tuning, projection on GPT-2"])
def test_an_adapter_made_by_peft_opens_here_with_the_same_logits(case: Case, tmp_path: Path) -> None:
    import peft

    layers = ["c_attn", "c_proj"] if "gpt2" in str(case.source.folder) else ["k_proj", "down_proj"]
    made_of: dict[str, tuple[Any, dict[str, Any]]] = {
        "lora": (peft.LoraConfig, {"r": 3, "lora_alpha": 9, "fan_in_fan_out": layers[0] == "c_attn"}),
        "qlora": (peft.LoraConfig, {"r": 3, "use_dora": True}),
        "prompt_tuning": (peft.PromptTuningConfig, {"num_virtual_tokens": 6}),
        "prefix_tuning": (peft.PrefixTuningConfig, {"num_virtual_tokens": 6, "prefix_projection": True}),
    }
    kind, chosen = made_of[case.method.__name__.rpartition(".")[2]]
    if kind is peft.LoraConfig:
        chosen |= {"target_modules": layers, "init_lora_weights": False}
    config = kind(task_type="CAUSAL_LM", **chosen)
    theirs: Any = peft.get_peft_model(case.base(), config)
    expected = in_peft(theirs)
    theirs.save_pretrained(tmp_path)
    opened = case.method.open_adapter(case.base(), tmp_path)
    assert gap(ours(case.engine(opened)), expected) < 1e-5


@over(MERGED)
def test_merged_is_unmerged_and_a_plain_model(case: Case, saved: Saved, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    plain = {name: type(module) for name, module in load_model(case.source, torch.float32).named_modules()}
    tuned = case.method.open_adapter(case.base(), saved.folder)
    case.method.merge(tuned)
    assert gap(in_peft(tuned.model), saved.logits) < 1e-5
    assert {name: type(module) for name, module in tuned.model.named_modules()} == plain
    causal: Any = AutoModelForCausalLM
    tuned.model.save_pretrained(tmp_path)
    assert gap(in_peft(causal.from_pretrained(tmp_path)), saved.logits) < 1e-5


@over(["full", "lora, DoRA", "qlora", "prompt_tuning", "prefix_tuning", "prefix_tuning, projection on GPT-2"])
def test_generation_is_a_plain_loop_without_a_cache(case: Case) -> None:
    engine = case.engine(case.moved())
    asked = [Question(row.tokens, "", "", Place("x", 1)) for row in random_rows(2)[:4]]
    found = dict(answers(engine, asked, lambda tokens: repr(list(tokens)), [], 5))
    for index, question in enumerate(asked):
        tokens = question.tokens.tolist()
        for _ in range(5):
            row = Tokenized(np.array(tokens, dtype=np.int32), np.zeros(len(tokens), dtype=np.float32), Place("x", 1))
            tokens.append(int(ours(engine, row)[-1].argmax()))
        assert found[index].text == repr(tokens[len(question.tokens) :])


@over(CASES)
def test_the_same_seed_starts_the_same_and_leaves_the_random_state_alone(case: Case) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first = case.attached(seed=4)
    assert torch.equal(torch.rand(2), expected)
    # The fused optimizer goes through memory in order: a weight and its moments must lie there alike.
    assert all(one.is_contiguous() for one in first.trainable.values())
    second = case.attached(seed=4)
    assert all(torch.equal(one, second.trainable[name]) for name, one in first.trainable.items())


@over(ADAPTERS)
def test_an_adapter_is_opened_by_its_own_method_alone(case: Case, saved: Saved) -> None:
    config = json.loads((saved.folder / "adapter_config.json").read_bytes())
    modules = [plugins.load(METHODS, name) for name in plugins.names(METHODS)]
    assert [one for one in modules if hasattr(one, "opens") and one.opens(saved.folder, config)] == [case.method]


# Llama-2-7B: 32 layers of width 4,096, 32 heads. docs/mission.md names these counts.
LLAMA_2_7B = {
    "lora": (lora.Settings(), 8_388_608),  # 16 * (4096 + 4096) for q and v, in 32 layers
    "prompt_tuning": (None, 81_920),  # 20 * 4096
    "prefix_tuning": (None, 5_242_880),  # 20 * 2 * 32 * 4096
    "full": (None, 6_738_415_616),
}


@pytest.mark.parametrize("name", LLAMA_2_7B)
def test_the_counts_of_llama_2_7b_are_those_of_the_mission(name: str) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig())
    method = plugins.load(METHODS, name)
    chosen, expected = LLAMA_2_7B[name]
    settings = chosen or method.Settings(**({"init": "random"} if name.startswith("p") else {}))
    tuned = method.attach(copy.copy(model), settings, 0)
    assert sum(parameter.numel() for parameter in tuned.trainable.values()) == expected
