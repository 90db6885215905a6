"""One battery over every tuning method, each of its variants on a grouped-query Llama and on a GPT-2."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from luthier import plugins
from luthier.engine.forward import Engine
from luthier.engine.generation import answers
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
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "full": ("full", {}),
    "lora": ("lora", LORA),
    "lora, rsLoRA": ("lora", LORA | {"use_rslora": True}),
    "lora, DoRA": ("lora", LORA | {"use_dora": True}),
    "lora, PiSSA": ("lora", LORA | {"init": "pissa"}),
    "lora, PiSSA and rsLoRA": ("lora", LORA | {"init": "pissa", "use_rslora": True}),
    "lora, a pattern": ("lora", LORA | {"target_modules": r".*\.(q_proj|down_proj|c_attn)"}),
    "qlora": ("qlora", LORA),
    "qlora, DoRA": ("qlora", LORA | {"use_dora": True}),
    "prompt_tuning": ("prompt_tuning", {"num_virtual_tokens": 5, "init": "vocabulary"}),
    "prompt_tuning, text": ("prompt_tuning", {"num_virtual_tokens": 5} | TEXT),
    "prompt_tuning, random": ("prompt_tuning", {"num_virtual_tokens": 5, "init": "random"}),
    "prefix_tuning": ("prefix_tuning", {"num_virtual_tokens": 5} | TEXT),
    "prefix_tuning, random": ("prefix_tuning", {"num_virtual_tokens": 5, "init": "random"}),
    "prefix_tuning, projection": ("prefix_tuning", {"num_virtual_tokens": 5, "projection": True} | TEXT),
    "prefix_tuning, random projection": (
        "prefix_tuning",
        {"num_virtual_tokens": 5, "projection": True, "init": "random"},
    ),
}
ADAPTERS = [name for name, (method, _) in VARIANTS.items() if method != "full"]
MERGED = [name for name in ADAPTERS if hasattr(plugins.load(METHODS, VARIANTS[name][0]), "merge")]


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


@pytest.fixture(params=["llama", "gpt2"])
def source(request: pytest.FixtureRequest) -> Source:
    fixture = {"llama": "tiny_model", "gpt2": "tiny_gpt2"}[request.param]
    found: Source = request.getfixturevalue(fixture)
    return found


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
def case(request: pytest.FixtureRequest, source: Source) -> Case:
    return case_of(request.param, source)


def case_of(variant: str, source: Source) -> Case:
    name, written = VARIANTS[variant]
    method = plugins.load(METHODS, name)
    settings = (lora if hasattr(method, "SETTINGS_FROM") else method).Settings(**written)
    return Case(method, settings, source)


def over(variants: Any) -> Callable[..., Any]:
    return pytest.mark.parametrize("case", list(variants), indirect=True)


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


@over(VARIANTS)
def test_step_0_is_the_base_where_the_method_says_so(case: Case) -> None:
    base = in_peft(case.base())
    apart = gap(ours(case.engine(case.attached())), base)
    assert (apart < 1e-5) == case.method.STARTS_AS_THE_BASE


@over(name for name, (method, _) in VARIANTS.items() if method in ("full", "lora", "qlora"))
def test_step_0_is_the_base_in_bfloat16_too(case: Case) -> None:
    if case.method.TRAINS_THE_BASE:
        pytest.skip("what trains the base is float32")
    base = in_peft(case.base(torch.bfloat16))
    assert gap(ours(case.engine(case.attached(dtype=torch.bfloat16))), base) < 1e-2


@over(VARIANTS)
def test_only_declared_weights_get_gradients_and_every_one_of_them_does(case: Case) -> None:
    tuned = case.moved()
    backward(Engine(tuned), random_rows(0), 1.0)
    assert all(one.grad is not None and bool(one.grad.abs().sum() > 0) for one in tuned.trainable.values())
    declared = {id(one) for one in tuned.trainable.values()}
    others = [name for name, one in tuned.model.named_parameters() if id(one) not in declared]
    assert [name for name in others if tuned.model.get_parameter(name).grad is not None] == []
    assert [name for name in others if tuned.model.get_parameter(name).requires_grad] == []


def alone(tuned: Tuned, row: Tokenized) -> torch.Tensor:
    """The row's weighted loss by transformers, on what stands before it."""
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
    likely = model(**given).logits[0, -len(row.tokens) :][:-1].log_softmax(-1)
    loss: torch.Tensor = -(likely.gather(1, tokens[0, 1:, None])[:, 0] * torch.from_numpy(row.weights[1:])).sum()
    return loss


@over(VARIANTS)
def test_the_gradients_of_a_tree_are_those_of_its_rows_one_by_one(case: Case) -> None:
    tuned, rows = case.moved(), random_rows(0)
    names, weights = list(tuned.trainable), list(tuned.trainable.values())
    expected = torch.autograd.grad(sum(alone(tuned, row) for row in rows), weights)  # type: ignore[arg-type]
    backward(case.engine(tuned), rows, 1.0, 50)
    for name, wanted in zip(names, expected, strict=True):
        found = tuned.trainable[name].grad
        assert found is not None
        assert float((found - wanted).norm() / wanted.norm()) < 2e-5, name


@over(VARIANTS)
def test_the_loss_falls_at_the_method_s_own_rate_or_ten_times_that(case: Case) -> None:
    rate, reason, where = case.method.learning_rate(case.settings)
    assert reason
    assert where
    hyper = Hyperparameters(batch_size=12, epochs=25)
    plan = Plan(hyper, min(10 * rate, 0.02), evaluate_every=100, save_every=100, keep=1, metric="loss", seed=0)
    training = Training(Engine(case.attached()), random_rows(0), [], plan)
    losses = [entry.train_loss for entry in training.run() if isinstance(entry, StepLog)]
    assert losses[-1] < losses[0] - 0.02


@over(VARIANTS)
def test_what_is_saved_loads_back_bit_by_bit(case: Case, tmp_path: Path) -> None:
    tuned = case.moved()
    folder = case.written(tuned, tmp_path / "saved")
    again = case.attached(seed=7)
    case.method.load(again, folder)
    assert all(torch.equal(again.trainable[name], one) for name, one in tuned.trainable.items())
    assert torch.equal(ours(case.engine(again)), ours(case.engine(tuned)))


@over(ADAPTERS)
def test_a_saved_adapter_opens_with_the_same_logits(case: Case, tmp_path: Path) -> None:
    tuned = case.moved()
    folder = case.written(tuned, tmp_path / "saved")
    for name in getattr(case.method, "ONLY_TO_RESUME", ()):
        (folder / name).unlink(missing_ok=True)
    opened = case.method.open_adapter(case.base(), folder)
    assert gap(ours(case.engine(opened)), ours(case.engine(tuned))) < 1e-5
    assert not any(one.requires_grad for one in opened.model.parameters())


@over(ADAPTERS)
def test_peft_loads_the_files_and_gives_the_same_logits(case: Case, tmp_path: Path) -> None:
    from peft import PeftModel

    tuned = case.moved()
    folder = case.written(tuned, tmp_path / "saved")
    theirs: Any = PeftModel.from_pretrained(case.base(), str(folder))
    assert gap(ours(case.engine(tuned)), in_peft(theirs)) < 1e-5
    assert gap(ours(case.engine(tuned)), in_peft(theirs.get_base_model())) > 1e-3 or theirs.peft_type == "LORA"


@over(["lora", "qlora", "prompt_tuning", "prefix_tuning"])
def test_an_adapter_made_by_peft_opens_here_with_the_same_logits(case: Case, tmp_path: Path) -> None:
    import peft

    common: dict[str, Any] = {"task_type": "CAUSAL_LM"}
    layers = ["c_attn", "c_proj"] if "gpt2" in str(case.source.folder) else ["k_proj", "down_proj"]
    config: Any = {
        "lora": lambda: peft.LoraConfig(
            r=3,
            lora_alpha=9,
            target_modules=layers,
            init_lora_weights=False,
            fan_in_fan_out=layers[0] == "c_attn",
            **common,
        ),
        "qlora": lambda: peft.LoraConfig(r=3, target_modules=layers, init_lora_weights=False, use_dora=True, **common),
        "prompt_tuning": lambda: peft.PromptTuningConfig(num_virtual_tokens=6, **common),
        "prefix_tuning": lambda: peft.PrefixTuningConfig(num_virtual_tokens=6, prefix_projection=True, **common),
    }[case.method.__name__.rpartition(".")[2]]()
    theirs: Any = peft.get_peft_model(case.base(), config)
    expected = in_peft(theirs)
    theirs.save_pretrained(tmp_path)
    opened = case.method.open_adapter(case.base(), tmp_path)
    assert gap(ours(case.engine(opened)), expected) < 1e-5


@over(MERGED)
def test_merged_is_unmerged_and_a_plain_model(case: Case, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    tuned = case.moved()
    expected = ours(case.engine(tuned))
    plain = {name: type(module) for name, module in load_model(case.source, torch.float32).named_modules()}
    case.method.merge(tuned)
    assert gap(in_peft(tuned.model), expected) < 1e-5
    assert {name: type(module) for name, module in tuned.model.named_modules()} == plain
    model: Any = tuned.model
    model.save_pretrained(tmp_path)
    causal: Any = AutoModelForCausalLM
    assert gap(in_peft(causal.from_pretrained(tmp_path)), expected) < 1e-5


@over(VARIANTS)
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


@over(VARIANTS)
def test_the_same_seed_starts_the_same_and_leaves_the_random_state_alone(case: Case) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first = case.attached(seed=4)
    assert torch.equal(torch.rand(2), expected)
    second = case.attached(seed=4)
    assert all(torch.equal(one, second.trainable[name]) for name, one in first.trainable.items())


def test_an_adapter_has_one_method_that_opens_it(tiny_model: Source, tmp_path: Path) -> None:
    from luthier.methods._adapter import read_config

    for variant in ADAPTERS:
        case = case_of(variant, tiny_model)
        folder = case.written(case.attached(), tmp_path / variant)
        modules = [plugins.load(METHODS, name) for name in plugins.names(METHODS)]
        opening = [one for one in modules if hasattr(one, "opens") and one.opens(folder, read_config(folder))]
        assert opening == [case.method]


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
