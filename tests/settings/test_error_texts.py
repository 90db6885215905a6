"""Every mistake in a run file, with the text that the user reads: error_texts.txt holds them all.

After a change of words: LUTHIER_REGENERATE=1 pytest tests/settings/test_error_texts.py, and read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from luthier.errors import UserError
from luthier.methods import lora, prefix_tuning, prompt_tuning, qlora
from luthier.settings import load, require_rows

GOLDEN = Path(__file__).parent / "error_texts.txt"
SECTIONS = {str(method.SECTION): method.Settings for method in (lora, qlora, prompt_tuning, prefix_tuning)}

HYPER = "training_config:\n  hyperparameters:\n    "
LORA = "training_config:\n  lora_config:\n    "

FILES: dict[str, str | bytes] = {
    # files that are no run files
    "an empty file": "",
    "a file of comments": "# nothing\n",
    "a list at top level": "- data\n- model\n",
    "a single word": "train\n",
    "a binary file": b"PK\x03\x04\x00\x00",
    "a UTF-16 file": "seed: 1\n".encode("utf-16"),
    "a Latin-1 file": b"seed: 1\nname: caf\xe9\n",
    "a control character": "seed: 1\nname: a\x07b\n",
    "a huge file": "# " + "x" * 1_000_001,
    # broken YAML
    "a tab as indentation": "data:\n\ttrain: rows.jsonl\n",
    "two colons in a line": "data:\n  train: a: b\n",
    "a target without quotes": "targets:\n  accuracy: > 90%\n",
    "a target without quotes in braces": "targets: {accuracy: > 90%}\n",
    "an open bracket": LORA + "target_modules: [q_proj, v_proj\nseed: 1\n",
    "an open quote": "name: 'a\n",
    "a backslash in double quotes": 'model: "C:\\models"\n',
    "a text that begins with @": "name: @home\n",
    "a pattern without quotes": LORA + "target_modules: *.q_proj\n",
    "keys out of line": "data:\n    train: a.jsonl\n  test: b.jsonl\n",
    "a key without a colon": "seed: 1\nname\nmodel: x\n",
    "two documents": "seed: 1\n---\nseed: 2\n",
    "nested too deeply": "name: " + "[" * 600 + "]" * 600,
    "a value that is missing": "model: [",
    "a list that holds itself": "name: &a [*a]\n",
    "an unknown tag": "name: !!python/object:os.system x\n",
    "a tag that does not fit": "seed: !!int x\n",
    "a list as a key": "? [a, b]\n: 1\n",
    "half a character": 'name: "\\ud83d"\n',
    # keys
    "a key twice": HYPER + "epochs: 3\n    batch_size: 8\n    epochs: 5\n",
    "a misspelt key": HYPER + "epoch: 3\n",
    "a misspelt section": "traning_config:\n  hyperparameters: {epochs: 1}\n",
    "a key of no meaning": "data: {colour: red}\n",
    "a key of no meaning at top level": "colour: red\n",
    "a key at the wrong level": "epochs: 3\n",
    "a section at the wrong level": "lora_config: {r: 8}\n",
    "a misspelt key at the wrong level": "learning-rte: 1e-4\n",
    "a merge key": "data: {<<: {train: a.jsonl}}\n",
    "a number as a key": "1: x\n",
    "LLaMA-Factory": (
        "model_name_or_path: m\nfinetuning_type: lora\nlora_rank: 8\nlora_target: all\ndataset: d\ncutoff_len: 512\n"
        "output_dir: out\nper_device_train_batch_size: 1\ngradient_accumulation_steps: 8\nnum_train_epochs: 3\n"
        "lr_scheduler_type: cosine\nwarmup_ratio: 0.1\nbf16: true\nval_size: 0.1\nlogging_steps: 10\n"
    ),
    "Axolotl": (
        "base_model: m\nadapter: lora\nload_in_4bit: true\ndatasets:\n  - path: d\n"
        "val_set_size: 0.1\nsequence_len: 512\nlora_r: 8\n"
        "lora_alpha: 16\nlora_dropout: 0.05\nlora_target_linear: true\nmicro_batch_size: 1\nnum_epochs: 1\n"
        "lr: 1e-4\nwarmup_steps: 10\nevals_per_epoch: 4\nsample_packing: true\nfp16: true\n"
    ),
    "OpenAI": "hyperparameters: {n_epochs: 3, learning_rate_multiplier: 2}\ntraining_file: d\nsuffix: x\n",
    "TRL and Unsloth": "max_seq_length: 512\nrandom_state: 1\npeft_config: {r: 8}\ngradient_checkpointing: true\n",
    # values
    "a misspelt value": HYPER + "schedule: cosin\n",
    "another tool's value": "objective: sft\n",
    "a method in capitals": "tuning_method: LoRA\n",
    "a method that does not exist": "tuning_method: galore\n",
    "a misspelt metric": "training_config: {evaluation: {metric: los}}\n",
    "a misspelt metric in targets": 'targets: {acuracy: "> 90%"}\n',
    "a misspelt column": "data: {columns: {instructions: question}}\n",
    "values out of range": (
        "seed: -1\ndata: {validation: 1.0, max_length: 0, limit: 0, replay: 1, train: {path: a, weight: 0}}\n"
        "training_config:\n"
        "  hyperparameters: {learning_rate: 2e5, batch_size: 0, epochs: 0, warmup_ratio: 1.5, weight_decay: -0.1,\n"
        "    max_grad_norm: 0, max_steps: 0, max_minutes: -1, early_stopping: 0}\n"
        "  lora_config: {r: 0, alpha: 0, dropout: 1}\n"
        "  prompt_tuning_config: {num_virtual_tokens: 0}\n"
        "  preference_config: {beta: 0, kl_to_base: -1}\n"
        "  evaluation: {eval_steps: 0, save_steps: -1, keep: 0}\n"
    ),
    "not a number, and infinity": HYPER + "epochs: .nan\n    learning_rate: .inf\n    max_minutes: -.inf\n",
    "half a row": HYPER + "batch_size: 8.5\n",
    "a number in quotes": HYPER + 'epochs: "3"\n',
    "a percentage": HYPER + "warmup_ratio: 10%\n",
    "a percentage for validation": "data: {validation: 10%}\n",
    "yes for true": LORA + "use_dora: yes\n    use_rslora: off\n",
    "true for a number": HYPER + "batch_size: true\n",
    "a word for a number": HYPER + "epochs: three\n",
    "nothing for a number": HYPER + "epochs:\n",
    "a number for a name": "name: 2024\n",
    "a name that is no folder's": "name: ../other\n",
    "an empty model": 'model: ""\n',
    "a list for a number": HYPER + "epochs: [1, 2]\n",
    "a section for a number": HYPER + "epochs: {value: 1}\n",
    "a number for a section": "training_config: 5\n",
    "no target modules": LORA + "target_modules: []\n",
    "a number among target modules": LORA + "target_modules: [q_proj, 3]\n",
    "rows without a path": "data: {train: [a.jsonl, {weight: 2}]}\n",
    "rows with a misspelt weight": "data: {train: [{path: a.jsonl, wieght: 2}]}\n",
    "a number among the rows": "data: {train: [3]}\n",
    "no rows in the list": "data: {train: []}\n",
    "a target without a direction": "targets: {accuracy: 0.9}\n",
    "a target of a share over 1": 'targets: {accuracy: "> 90"}\n',
    "a target that is none": 'targets: {loss: falling, perplexity: "about 10", accuracy: true}\n',
    "a tolerance below zero": 'targets: {loss: "not worse than base by -1"}\n',
    "a placeholder that does not exist": 'formats: {instruction: {template: "{instruction} {output}"}}\n',
    "a template without its answer": 'formats: {chat: {template: "{user_message}"}}\n',
    "a template that begins with its answer": 'formats: {completion: {template: "{output}{input}"}}\n',
    "a start text that is missing": "training_config: {prompt_tuning_config: {init: text}}\n",
    "a start text that is not used": "training_config: {prefix_tuning_config: {init: random, init_text: Hello}}\n",
    "a PiSSA start with DoRA": "training_config: {lora_config: {init: pissa, use_dora: true}}\n",
    "a long value": f"tuning_method: {'x' * 100}\n",
}

COMMANDS: dict[str, tuple[list[str], str | None, list[str]]] = {
    "a file that does not exist": (["rnu.yaml"], None, []),
    "a file unlike any other": (["elsewhere/my.yaml"], None, []),
    "a folder": (["folder"], None, []),
    "two files, both wrong": (["bad.yaml", "worse.yaml"], None, []),
    "a wrong value that a later file replaces": (["bad.yaml", "run.yaml"], None, []),
    "a file and --set, both wrong": (["bad.yaml"], None, ["seed=x", "training_config.lora_config.r=0"]),
    "--set without a value": (["run.yaml"], None, ["seed"]),
    "--set with a short name": (["run.yaml"], None, ["epochs=1", "lora_alpha=32", "eval_steps=5"]),
    "--set with a misspelt path": (["run.yaml"], None, ["training_config.lora_config.rr=1"]),
    "--set under a value": (["run.yaml"], None, ["seed.value=1"]),
    "--set with broken YAML": (["run.yaml"], None, ["training_config.lora_config.target_modules=[q_proj"]),
    "settings that do not fit across files": (["text.yaml", "random.yaml"], None, []),
    "rows named twice": (["rows.jsonl"], "other.jsonl", []),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    contents = {
        "run.yaml": "seed: 1\n",
        "bad.yaml": "seed: -1\n",
        "worse.yaml": "sed: 1\nmodel: 5\n",
        "text.yaml": "training_config: {prompt_tuning_config: {init: text, init_text: Hello}}\n",
        "random.yaml": "training_config: {prompt_tuning_config: {init: random}}\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "folder").mkdir()
    return tmp_path


def test_each_mistake_reads_as_it_was_reviewed(folder: Path) -> None:
    texts = []
    for title, content in FILES.items():
        case = folder / "case"
        case.mkdir(exist_ok=True)
        (case / "run.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(UserError) as caught:
            load(["run.yaml"], sections=SECTIONS, folder=case)
        texts.append(f"== {title}\n{caught.value}\n")
    for title, (files, data, overrides) in COMMANDS.items():
        with pytest.raises(UserError) as caught:
            load(files, data=data, overrides=overrides, sections=SECTIONS, folder=folder)
        texts.append(f"== {title}\n{caught.value}\n")
    with pytest.raises(UserError) as caught:
        require_rows(load(["run.yaml"], sections=SECTIONS, folder=folder).settings)
    texts.append(f"== no rows\n{caught.value}\n")
    text = "\n".join(texts)
    if os.environ.get("LUTHIER_REGENERATE"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_no_mistake_speaks_the_libraries_language() -> None:
    text = GOLDEN.read_text(encoding="utf-8").lower()
    for word in ("pydantic", "input should", "ruamel", "scalar", "traceback", "<stream end>", "constrained", "mapping"):
        assert word not in text


def test_each_mistake_says_what_to_write() -> None:
    blocks = GOLDEN.read_text(encoding="utf-8").split("== ")[1:]
    for block in blocks:
        lines = block.strip().splitlines()[1:]
        assert len(lines) >= 2, block
        for place, remedy in zip(lines[::2], lines[1::2], strict=True):
            assert not place.startswith(" "), block
            assert remedy.startswith("  "), block
            assert len(remedy) > 6, block
