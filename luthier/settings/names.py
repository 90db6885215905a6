"""What other tools call our settings, and the nearest known name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Final

_HYPER = "training_config.hyperparameters"
_LORA = "training_config.lora_config"
_QLORA = "training_config.qlora_config"
_PROMPT = "training_config.prompt_tuning_config"
_PREFIX = "training_config.prefix_tuning_config"
_EVALUATION = "training_config.evaluation"

OTHER_KEYS: Final[Mapping[str, str]] = {
    # the model
    "model_name_or_path": "model",
    "model_name": "model",
    "model_id": "model",
    "model_path": "model",
    "base_model": "model",
    "pretrained_model_name_or_path": "model",
    "adapter_name_or_path": "model",
    "lora_model_dir": "model",
    # the rows
    "dataset": "data.train",
    "datasets": "data.train",
    "dataset_name": "data.train",
    "dataset_path": "data.train",
    "train_file": "data.train",
    "training_file": "data.train",
    "train_data": "data.train",
    "train_dataset": "data.train",
    "data_files": "data.train",
    "validation_file": "data.validation",
    "eval_dataset": "data.validation",
    "val_dataset": "data.validation",
    "val_size": "data.validation",
    "val_set_size": "data.validation",
    "valid_file": "data.validation",
    "test_file": "data.test",
    "test_datasets": "data.test",
    "cutoff_len": "data.max_length",
    "sequence_len": "data.max_length",
    "seq_length": "data.max_length",
    "max_seq_length": "data.max_length",
    "max_seq_len": "data.max_length",
    "model_max_length": "data.max_length",
    "max_samples": "data.limit",
    "chat_template": "data.template",
    "field_mapping": "data.columns",
    "dataset_text_field": "data.columns",
    "train_on_inputs": "data.train_on",
    "train_on_prompt": "data.train_on",
    "mask_prompt": "data.train_on",
    "mask_history": "data.train_on",
    "roles_to_train": "data.train_on",
    "assistant_only_loss": "data.train_on",
    "completion_only_loss": "data.train_on",
    "train_on_responses_only": "data.train_on",
    # the method and the objective
    "finetuning_type": "tuning_method",
    "fine_tune_type": "tuning_method",
    "adapter": "tuning_method",
    "peft_type": "tuning_method",
    "peft_method": "tuning_method",
    "method": "tuning_method",
    "stage": "objective",
    "rl": "objective",
    "task_type": "objective",
    # hyperparameters
    "lr": f"{_HYPER}.learning_rate",
    "num_train_epochs": f"{_HYPER}.epochs",
    "num_epochs": f"{_HYPER}.epochs",
    "n_epochs": f"{_HYPER}.epochs",
    "max_epochs": f"{_HYPER}.epochs",
    "train_batch_size": f"{_HYPER}.batch_size",
    "global_batch_size": f"{_HYPER}.batch_size",
    "lr_scheduler_type": f"{_HYPER}.schedule",
    "lr_scheduler": f"{_HYPER}.schedule",
    "scheduler": f"{_HYPER}.schedule",
    "lr_schedule": f"{_HYPER}.schedule",
    "warmup_proportion": f"{_HYPER}.warmup_ratio",
    "max_gradient_norm": f"{_HYPER}.max_grad_norm",
    "gradient_clipping": f"{_HYPER}.max_grad_norm",
    "grad_clip": f"{_HYPER}.max_grad_norm",
    "iters": f"{_HYPER}.max_steps",
    "num_steps": f"{_HYPER}.max_steps",
    "max_train_steps": f"{_HYPER}.max_steps",
    "early_stopping_patience": f"{_HYPER}.early_stopping",
    "torch_dtype": f"{_HYPER}.precision",
    "dtype": f"{_HYPER}.precision",
    "mixed_precision": f"{_HYPER}.precision",
    # LoRA
    "lora_r": f"{_LORA}.r",
    "lora_rank": f"{_LORA}.r",
    "rank": f"{_LORA}.r",
    "lora_alpha": f"{_LORA}.alpha",
    "lora_dropout": f"{_LORA}.dropout",
    "lora_target": f"{_LORA}.target_modules",
    "lora_target_modules": f"{_LORA}.target_modules",
    "lora_modules": f"{_LORA}.target_modules",
    "peft_use_rslora": f"{_LORA}.use_rslora",
    "peft_use_dora": f"{_LORA}.use_dora",
    "init_lora_weights": f"{_LORA}.init",
    "peft_config": _LORA,
    "peft": _LORA,
    "lora": _LORA,
    "lora_parameters": _LORA,
    "bnb_4bit_quant_type": f"{_QLORA}.quant_type",
    "bnb_4bit_use_double_quant": f"{_QLORA}.double_quant",
    "double_quantization": f"{_QLORA}.double_quant",
    "bnb_4bit_compute_dtype": f"{_QLORA}.compute_dtype",
    "quantization_config": _QLORA,
    "bnb_config": _QLORA,
    # soft prompts
    "prompt_tuning_init": f"{_PROMPT}.init",
    "prompt_tuning_init_text": f"{_PROMPT}.init_text",
    "prefix_projection": f"{_PREFIX}.projection",
    # evaluation and what is kept
    "steps_per_eval": f"{_EVALUATION}.eval_steps",
    "save_every": f"{_EVALUATION}.save_steps",
    "save_total_limit": f"{_EVALUATION}.keep",
    "metric_for_best_model": f"{_EVALUATION}.metric",
    "output_dir": "name",
    "run_name": "name",
    "adapter_path": "name",
    "suffix": "name",
    "random_seed": "seed",
    "random_state": "seed",
    "data_seed": "seed",
}
"""Another tool's key -> the path of our setting of the same meaning."""

_BATCH = "counts the examples in one optimizer step, all devices and accumulation included"
_STEPS = "their number follows from the rows; write a share of the run"
_BY_ITSELF = "leave it out: the engine does this by itself where it helps"
_QUANTIZED = "write `tuning_method: qlora`; how is set under `training_config.qlora_config`"
_PRECISION = "write `bfloat16` or `float32`"

NOTES: Final[Mapping[str, tuple[str, str]]] = {
    "per_device_train_batch_size": (f"{_HYPER}.batch_size", _BATCH),
    "micro_batch_size": (f"{_HYPER}.batch_size", _BATCH),
    "gradient_accumulation_steps": (f"{_HYPER}.batch_size", _BATCH),
    "accumulate_grad_batches": (f"{_HYPER}.batch_size", _BATCH),
    "warmup_steps": (f"{_HYPER}.warmup_ratio", _STEPS),
    "warmup": (f"{_HYPER}.warmup_ratio", _STEPS),
    "evals_per_epoch": (f"{_EVALUATION}.eval_steps", "it counts the steps between evaluations"),
    "saves_per_epoch": (f"{_EVALUATION}.save_steps", "it counts the steps between checkpoints"),
    "learning_rate_multiplier": (f"{_HYPER}.learning_rate", "write the rate itself, or `auto`"),
    "bf16": (f"{_HYPER}.precision", _PRECISION),
    "fp16": (f"{_HYPER}.precision", _PRECISION),
    "tf32": (f"{_HYPER}.precision", _PRECISION),
    "fp32": (f"{_HYPER}.precision", _PRECISION),
    "lora_target_linear": (f"{_LORA}.target_modules", "write `all-linear`"),
    "loftq_config": (f"{_LORA}.init", "LoftQ is not offered"),
    "load_in_4bit": ("", _QUANTIZED),
    "load_in_8bit": ("", _QUANTIZED),
    "quantization_bit": ("", _QUANTIZED),
    "logging_steps": ("", "leave it out: every step is logged in log.jsonl"),
    "report_to": ("", "leave it out: log.jsonl and TensorBoard files are always written"),
    "do_train": ("", "leave it out: `luthier train` trains"),
    "do_eval": ("", "leave it out: training evaluates, and `luthier evaluate` does"),
    "resume_from_checkpoint": ("", "leave it out: type `luthier train --resume RUN`"),
    "overwrite_output_dir": ("", "leave it out: a run is never written over, `name` names a new one"),
    "trust_remote_code": ("", "leave it out: code that comes with a model is never run"),
    "optimizer": ("", "leave it out: AdamW trains"),
    "optim": ("", "leave it out: AdamW trains"),
    "packing": ("", _BY_ITSELF),
    "sample_packing": ("", _BY_ITSELF),
    "pad_to_sequence_len": ("", _BY_ITSELF),
    "group_by_length": ("", _BY_ITSELF),
    "gradient_checkpointing": ("", _BY_ITSELF),
    "use_gradient_checkpointing": ("", _BY_ITSELF),
    "flash_attn": ("", _BY_ITSELF),
    "flash_attention": ("", _BY_ITSELF),
    "xformers_attention": ("", _BY_ITSELF),
    "attn_implementation": ("", _BY_ITSELF),
    "preprocessing_num_workers": ("", _BY_ITSELF),
    "dataset_num_proc": ("", _BY_ITSELF),
    "deepspeed": ("", "leave it out: for several devices start with torchrun"),
    "fsdp": ("", "leave it out: for several devices start with torchrun"),
    "<<": ("", "merge keys are not read: name several files, and the later one wins"),
}
"""Another tool's key that means something else, or nothing, here -> our path (or none) and what to do."""

OTHER_VALUES: Final[Mapping[tuple[str, str], str]] = {
    ("objective", "sft"): "supervised",
    ("objective", "dpo"): "preference",
    ("objective", "pt"): "text",
    ("objective", "pretrain"): "text",
    (f"{_HYPER}.precision", "bf16"): "bfloat16",
    (f"{_HYPER}.precision", "fp32"): "float32",
    (f"{_QLORA}.compute_dtype", "bf16"): "bfloat16",
    (f"{_QLORA}.compute_dtype", "fp16"): "float16",
    (f"{_QLORA}.compute_dtype", "fp32"): "float32",
    (f"{_EVALUATION}.metric", "eval_loss"): "loss",
    ("data.format", "alpaca"): "instruction",
    ("data.format", "sharegpt"): "chat",
    ("data.format", "openai"): "chat",
    ("data.format", "messages"): "chat",
}
"""(our path, another tool's value) -> our value."""


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The known name that a misspelt one most likely means: `nearest("epoch", ["epochs", "seed"])` is `"epochs"`."""
    known = {_plain(candidate): candidate for candidate in names}
    close = get_close_matches(_plain(name), list(known), 1, 0.6)
    return known[close[0]] if close else None


def unknown_key(path: tuple[str, ...], known: Iterable[str]) -> str:
    """What to write instead of a key that nobody knows, given all known paths (`data.train`, ...)."""
    section, name = ".".join(path[:-1]), _plain(path[-1])
    paths = list(known)
    prefix = f"{section}." if section else ""
    siblings = [full.removeprefix(prefix) for full in paths if full.startswith(prefix)]
    siblings = [sibling for sibling in siblings if "." not in sibling]
    if name in NOTES:
        here, note = NOTES[name]
        return f"here `{here}`: {note}" if here else note
    if name in OTHER_KEYS:
        return f"here `{OTHER_KEYS[name]}`"
    elsewhere = [full for full in paths if full.rpartition(".")[2] == name]
    if elsewhere:
        return "it stands at " + " or ".join(f"`{full}`" for full in elsewhere)
    if near := nearest(name, siblings):
        return f"did you mean `{near}`?"
    if near := nearest(name, [full.rpartition(".")[2] for full in paths]):
        return "did you mean " + " or ".join(f"`{full}`" for full in paths if full.rpartition(".")[2] == near) + "?"
    return f"known {'under `' + section + '`' if section else 'here'}: {', '.join(siblings)}"


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_").lstrip("_")
