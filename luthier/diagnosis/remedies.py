"""What may help, as changed settings: each function gives one remedy, or None where it would change nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from luthier.diagnosis.seen import Seen
from luthier.flow import Remedy
from luthier.settings import mission

HYPER: Final = "training_config.hyperparameters"
EVALUATION: Final = "training_config.evaluation"
HOLD: Final = "training_config.preference_config.kl_to_base"
LORA: Final = "training_config.lora_config"
_LORA_METHODS: Final = ("lora", "qlora")
_VIRTUAL: Final = {name: f"training_config.{name}_config" for name in ("prompt_tuning", "prefix_tuning")}
_LOSHCHILOV: Final = "Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization"


def those(*remedies: Remedy | None) -> tuple[Remedy, ...]:
    """The remedies that there are, in their order."""
    return tuple(remedy for remedy in remedies if remedy is not None)


def changed(seen: Seen, name: str, settings: Mapping[str, Any], why: str, source: str = "") -> Remedy | None:
    """A remedy of the settings that are others than the run's; None where none is."""
    other = {path: value for path, value in settings.items() if seen.setting(path, None) != value}
    return Remedy(name, other, why, source) if other else None


# --------------------------------------------------------------------------------------------- shorter and longer


def fewer_epochs(seen: Seen, epochs: float, why: str = "") -> Remedy | None:
    """So many epochs, and an end where validation stops getting better."""
    now = _number(seen, f"{HYPER}.epochs", mission.HYPERPARAMETERS.epochs)
    if epochs >= now:
        return None
    value = max(0.25, round(epochs * 4) / 4)
    why = why or f"validation was best after {epochs:.2g} of {now:g} epochs: the schedule then ends where the best was"
    settings = {f"{HYPER}.epochs": _plain(value), f"{HYPER}.max_steps": None, f"{HYPER}.early_stopping": 3}
    return changed(seen, "fewer_epochs", settings, why, "Prechelt 1998, Early Stopping - But When?")


def more_epochs(seen: Seen, factor: float) -> Remedy | None:
    now = _number(seen, f"{HYPER}.epochs", mission.HYPERPARAMETERS.epochs)
    settings = {f"{HYPER}.epochs": _plain(now * factor), f"{HYPER}.max_steps": None}
    return changed(seen, "more_epochs", settings, f"{factor:g} times the steps: the loss was still falling at the end")


# -------------------------------------------------------------------------------------------------- learning rate


def rate(seen: Seen, factor: float, why: str, source: str = "") -> Remedy | None:
    """The learning rate times `factor`, rounded to two digits."""
    now = _number(seen, f"{HYPER}.learning_rate", None)
    if now is None:
        return None
    name = "higher_rate" if factor > 1 else "lower_rate"
    return changed(seen, name, {f"{HYPER}.learning_rate": min(1.0, float(f"{now * factor:.2g}"))}, why, source)


def usual_rate(seen: Seen, why: str) -> Remedy | None:
    """The rate that is worked out by method, model and rank, where another one was written."""
    if f"{HYPER}.learning_rate" not in seen.written:
        return None
    return Remedy("usual_rate", {f"{HYPER}.learning_rate": "auto"}, why, "luthier estimate names its source")


def warmup(seen: Seen, share: float, name: str = "longer_warmup") -> Remedy | None:
    why = f"the rate rises over {share:.0%} of the steps, so that AdamW knows the gradients before the steps are large"
    source = "Ma and Yarats 2021, On the adequacy of untuned warmup for adaptive optimization"
    return changed(seen, name, {f"{HYPER}.warmup_ratio": share}, why, source)


def rate_and_warmup(seen: Seen, factor: float, share: float) -> Remedy | None:
    """A lower rate with a longer way up to it."""
    lower, longer = rate(seen, factor, ""), warmup(seen, share)
    if lower is None or longer is None:
        return None
    settings = {**lower.settings, **longer.settings}
    return Remedy("lower_rate_and_warmup", settings, f"a lower rate, reached over {share:.0%} of the steps")


def exact_numbers(seen: Seen) -> Remedy | None:
    return changed(seen, "float32", {f"{HYPER}.precision": "float32"}, "float32 has the range and digits to go on with")


def larger_batch(seen: Seen, factor: int) -> Remedy | None:
    now = int(_number(seen, f"{HYPER}.batch_size", mission.HYPERPARAMETERS.batch_size))
    why = f"a step over {factor} times the rows has 1/{factor} of the noise's variance"
    source = "McCandlish and others 2018, An Empirical Model of Large-Batch Training"
    return changed(seen, "larger_batch", {f"{HYPER}.batch_size": now * factor}, why, source)


# ------------------------------------------------------------------------------------------ capacity and freedom


def regularization(seen: Seen) -> Remedy | None:
    """Weight decay and, for an adapter, more dropout: the mission's own solution for overfitting."""
    settings: dict[str, Any] = {
        f"{HYPER}.weight_decay": max(0.1, _number(seen, f"{HYPER}.weight_decay", 0.0)),
    }
    if _method(seen) in _LORA_METHODS:
        settings[f"{LORA}.dropout"] = max(0.15, _number(seen, f"{LORA}.dropout", 0.0))
    why = f"{mission.TROUBLES['overfitting'].solution}: weights stay smaller and no single path is relied on"
    return changed(seen, "regularization", settings, why, _LOSHCHILOV)


def smaller(seen: Seen) -> Remedy | None:
    """A quarter of the rank, at the same scale; an adapter in place of the whole model."""
    if _method(seen) == "full":
        settings = {"tuning_method": "lora", f"{HYPER}.learning_rate": "auto"}
        return changed(seen, "adapter", settings, "an adapter has a hundredth of the freedom to memorize with")
    r = int(_number(seen, f"{LORA}.r", mission.LORA_CONFIG.r))
    if _method(seen) not in _LORA_METHODS or r < 2:
        return None
    return changed(seen, "smaller_rank", _rank(seen, max(1, r // 4)), "less freedom to memorize single rows with")


def larger(seen: Seen) -> Remedy | None:
    """Four times the rank on every linear layer; more virtual tokens."""
    method = _method(seen)
    settings: dict[str, Any]
    if method in _VIRTUAL:
        path = f"{_VIRTUAL[method]}.num_virtual_tokens"
        settings = {path: 4 * int(_number(seen, path, 20))}
        return changed(seen, "more_virtual_tokens", settings, "more tokens hold more of the task")
    if method not in _LORA_METHODS:
        return None
    r = int(_number(seen, f"{LORA}.r", mission.LORA_CONFIG.r))
    settings = {**_rank(seen, max(mission.LORA_CONFIG.r, 4 * r)), f"{LORA}.target_modules": "all-linear"}
    source = "Biderman and others 2024, LoRA Learns Less and Forgets Less"
    return changed(
        seen, "larger_adapter", settings, "the adapter reaches every linear layer with a higher rank", source
    )


def usual_adapter(seen: Seen) -> Remedy | None:
    """The mission's layers, where others were chosen."""
    if _method(seen) not in _LORA_METHODS:
        return None
    modules = {f"{LORA}.target_modules": list(mission.LORA_CONFIG.target_modules)}
    return changed(seen, "usual_modules", modules, "query and value projections stand in every text's way")


def other_method(seen: Seen) -> Remedy | None:
    """LoRA in place of a soft prompt, the whole model in place of LoRA."""
    method = _method(seen)
    other = "lora" if method in _VIRTUAL else "full" if method in _LORA_METHODS else None
    if other is None:
        return None
    settings = {"tuning_method": other, f"{HYPER}.learning_rate": "auto"}
    return changed(seen, f"method_{other}", settings, f"{mission.METHODS[other].title} can change more of the model")  # type: ignore[index]


def part_of_the_way(seen: Seen, share: float = 0.5) -> Remedy | None:
    """Half the way back to base, where there is something in between. It trains nothing, and leaves the cause."""
    if _method(seen) in _VIRTUAL or seen.setting(f"{LORA}.use_dora", False):
        return None
    why = "what lies between base and these weights has part of what was forgotten, and is had without training"
    source = "Wortsman and others 2022, Robust fine-tuning of zero-shot models"
    return changed(seen, "part_of_the_way", {f"{HYPER}.interpolation": share}, why, source)


def better_values(seen: Seen) -> Remedy | None:
    """The sixteen values that follow how weights are spread."""
    why = "nf4's values stand where weights are dense, so fewer are rounded far"
    source = "Dettmers and others 2023, QLoRA, table 2"
    return changed(seen, "nf4", {"training_config.qlora_config.quant_type": "nf4"}, why, source)


def plain_weights(seen: Seen) -> Remedy | None:
    """LoRA on weights that are kept as they are, where QLoRA's four bits did harm."""
    if _method(seen) != "qlora":
        return None
    return changed(seen, "plain_weights", {"tuning_method": "lora"}, "base then knows all that it knew, in more memory")


# ----------------------------------------------------------------------------------------------------------- data


def replay(seen: Seen, share: float = 0.25) -> Remedy | None:
    why = "base's own answers to general questions stand among the rows, and hold it where it was"
    source = "Scialom and others 2022, Fine-tuned Language Models are Continual Learners"
    return changed(seen, "replay", {"data.replay": max(share, _number(seen, "data.replay", 0.0))}, why, source)


def hold_to_base(seen: Seen, weight: float = 0.1) -> Remedy | None:
    """A distance to base in the loss: a wanted answer that base never gives still gets up to 1 / 1.1 = 91%."""
    why = "the loss also counts how far the model's expectations leave base's, so that no more is moved than rows need"
    source = "Li and Hoiem 2016, Learning without Forgetting"
    return changed(seen, "hold_to_base", {HOLD: max(weight, _number(seen, HOLD, 0.0))}, why, source)


def balance(seen: Seen) -> Remedy | None:
    return changed(seen, "balance", {"data.balance": True}, "each class counts the same in the loss, however few rows")


def balanced_and_longer(seen: Seen) -> Remedy | None:
    """Rare classes have few rows even where each counts more: they are gone through more often."""
    even, longer = balance(seen), more_epochs(seen, 2)
    if even is None or longer is None:
        return None
    return Remedy(
        "balance_and_more_epochs", {**even.settings, **longer.settings}, "and rare rows are seen twice as often"
    )


def train_on_answers(seen: Seen) -> Remedy | None:
    return changed(
        seen, "train_on_answers", {"data.train_on": "answers"}, "each answer is trained on with its end mark"
    )


def diversify(seen: Seen, augmentations: Iterable[str] = ("typos", "case", "paraphrase")) -> Remedy | None:
    """Rule-based changes that must not matter, under which the rows are trained on too."""
    now = tuple(seen.setting("data.augment", None) or ())
    wanted = tuple(dict.fromkeys([*now, *augmentations]))
    why = f"{mission.TROUBLES['generalization'].solution}: the same rows said in other ways"
    return None if wanted == now else Remedy("diversify", {"data.augment": list(wanted)}, why)


def keep_answers(seen: Seen) -> Remedy | None:
    """Rows that are too long lose their beginning, not the answer at their end."""
    settings = {"data.too_long": "cut_start", "data.max_length": "auto"}
    return changed(seen, "keep_answers", settings, "what is trained on stands at the end of a row, so the start is cut")


def larger_validation(seen: Seen) -> Remedy | None:
    """A share that holds some 50 rows back, a third of the rows at most."""
    kept = seen.rows.get("kept")
    if not isinstance(kept, int) or isinstance(seen.setting("data.validation", 0.1), str) or not kept:
        return None
    share = round(min(1 / 3, 50 / kept), 2)
    return changed(seen, "larger_validation", {"data.validation": share}, f"{share:.0%} of {kept:,} rows are held back")


def leak_free_split(seen: Seen, share: float = 0.1) -> Remedy | None:
    why = "rows that ask the same are held back together, so that validation sees none of training's"
    return changed(seen, "leak_free_split", {"data.validation": share}, why)


# --------------------------------------------------------------------------------------------------------- reading


def _rank(seen: Seen, r: int) -> dict[str, Any]:
    """A rank and the alpha that keeps the update's scale."""
    alpha = _number(seen, f"{LORA}.alpha", mission.LORA_CONFIG.alpha)
    now = _number(seen, f"{LORA}.r", mission.LORA_CONFIG.r)
    return {f"{LORA}.r": r, f"{LORA}.alpha": _plain(max(1.0, alpha / now * r))}


def _method(seen: Seen) -> str:
    return str(seen.setting("tuning_method", mission.DEFAULT_TUNING_METHOD))


def _number(seen: Seen, path: str, otherwise: Any) -> Any:
    value = seen.setting(path, None)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else otherwise


def _plain(value: float) -> float | int:
    return int(value) if float(value).is_integer() else float(f"{value:.4g}")
