"""Merging, paths and sources of a run file."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from luthier.errors import Mistake, UserError
from luthier.methods import lora, prefix_tuning, prompt_tuning, qlora
from luthier.settings import Loaded, Source, load, require_rows, resolve, resolve_auto, to_data, to_yaml

SECTIONS = {str(method.SECTION): method.Settings for method in (lora, qlora, prompt_tuning, prefix_tuning)}


def read(folder: Path, text: str, *more: str, **arguments: Any) -> Loaded:
    """Loads the texts as files 1.yaml, 2.yaml, ..."""
    for number, content in enumerate((text, *more), 1):
        (folder / f"{number}.yaml").write_text(content, encoding="utf-8")
    files = [f"{number}.yaml" for number in range(1, len(more) + 2)]
    return load(files, sections=SECTIONS, folder=folder, **arguments)


def test_attribute_paths_are_the_run_files_own(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        "training_config: {hyperparameters: {learning_rate: 2e-5}, lora_config: {r: 4}}\n"
        "formats: {chat: {template: '{user_message}>{assistant_response}'}}\n",
    ).settings
    assert settings.training_config.hyperparameters.learning_rate == 2e-5
    assert settings.training_config.lora_config.r == 4
    assert settings.training_config.lora_config.alpha == 32
    assert settings.formats.chat.template == "{user_message}>{assistant_response}"
    assert settings.formats.completion.template == "{input}{output}"


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    loaded = read(tmp_path, "seed: 1")
    with pytest.raises(pydantic.ValidationError):
        loaded.settings.seed = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        loaded.settings = None  # type: ignore[misc, assignment]


@pytest.mark.parametrize(
    ("written", "value"),
    [("2e-5", 2e-5), ("1e-4", 1e-4), ("1E-4", 1e-4), (".5", 0.5), ("1", 1.0), ("auto", "auto")],
)
def test_a_learning_rate_is_a_number_however_it_is_written(tmp_path: Path, written: str, value: object) -> None:
    config = f"training_config: {{hyperparameters: {{learning_rate: {written}}}}}"
    assert read(tmp_path, config).settings.training_config.hyperparameters.learning_rate == value


@pytest.mark.parametrize("word", ["no", "yes", "on", "off", "y", "n", "2024-01-31"])
def test_words_that_other_yaml_takes_for_something_else_are_text(tmp_path: Path, word: str) -> None:
    assert read(tmp_path, f"name: {word}").settings.name == word


def test_epochs_may_be_fractional(tmp_path: Path) -> None:
    assert (
        read(
            tmp_path, "training_config: {hyperparameters: {epochs: 0.5}}"
        ).settings.training_config.hyperparameters.epochs
        == 0.5
    )


def test_later_files_win_key_by_key_and_lists_are_replaced(tmp_path: Path) -> None:
    loaded = read(
        tmp_path,
        "training_config:\n  lora_config: {r: 4, alpha: 8, target_modules: [a, b, c]}\nseed: 1\n",
        "training_config:\n  lora_config: {alpha: 16, target_modules: [d]}\n",
        overrides=["training_config.lora_config.dropout=0", "seed=3", "seed=4"],
    )
    config = loaded.settings.training_config.lora_config
    assert (config.r, config.alpha, config.dropout, config.target_modules) == (4, 16, 0, ("d",))
    assert loaded.settings.seed == 4


def test_an_empty_section_writes_nothing(tmp_path: Path) -> None:
    loaded = read(tmp_path, "data: {limit: 5}\ntargets: {loss: '< 1'}\n", "data:\ntargets:\ntraining_config:\n")
    assert loaded.settings.data.limit == 5
    assert loaded.settings.targets["loss"] == "< 1"
    assert loaded.provenance["data.limit"] == Source(5, "1.yaml:1")


def test_settings_that_belong_together_may_stand_in_two_files(tmp_path: Path) -> None:
    section = "training_config: {prompt_tuning_config: {%s}}"
    loaded = read(tmp_path, section % "init: text", section % "init_text: Sort the message.")
    config = loaded.settings.training_config.prompt_tuning_config
    assert (config.init, config.init_text) == ("text", "Sort the message.")


def test_a_written_target_joins_the_others_and_null_takes_one_away(tmp_path: Path) -> None:
    loaded = read(tmp_path, "targets: {perplexity: null, token_accuracy: '> 50%'}")
    assert loaded.settings.targets == {
        "loss": "decreasing",
        "accuracy": "> 90%",
        "perplexity": None,
        "human_eval": "> 80%",
        "token_accuracy": "> 50%",
    }


def test_a_target_needs_no_quotes_after_set(tmp_path: Path) -> None:
    loaded = read(
        tmp_path, "seed: 1", overrides=["targets.accuracy=> 85%", "targets.loss=< 2", "targets.perplexity=>= base"]
    )
    assert [loaded.settings.targets[metric] for metric in ("accuracy", "loss", "perplexity")] == [
        "> 85%",
        "< 2",
        ">= base",
    ]


def test_a_value_after_set_is_yaml(tmp_path: Path) -> None:
    loaded = read(tmp_path, "seed: 1", overrides=["data.columns={input: question}", "data.limit=", "data.balance=true"])
    assert loaded.settings.data.columns == {"input": "question"}
    assert loaded.settings.data.limit is None
    assert loaded.settings.data.balance is True


def test_paths_in_a_file_are_relative_to_it_and_typed_ones_to_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "run.yaml").write_text(
        "model: ./m\ndata: {train: [a.jsonl, {path: ../b.jsonl, weight: 2}], validation: v.jsonl, test: /t.jsonl}\n"
    )
    loaded = load(["conf/run.yaml"], overrides=["data.validation=w.jsonl"], sections=SECTIONS, folder=tmp_path)
    data = loaded.settings.data
    assert data.train is not None
    assert [(file.path, file.weight) for file in data.train] == [
        (f"{tmp_path}/conf/a.jsonl", 1.0),
        (f"{tmp_path}/b.jsonl", 2.0),
    ]
    assert (data.validation, data.test) == (f"{tmp_path}/w.jsonl", "/t.jsonl")
    assert loaded.settings.model == f"{tmp_path}/conf/m"
    assert loaded.provenance["data.train"].value == ["a.jsonl", {"path": "../b.jsonl", "weight": 2}]
    assert loaded.provenance["data.validation"] == Source("w.jsonl", "--set")
    assert loaded.provenance["model"] == Source("./m", "conf/run.yaml:1")


@pytest.mark.parametrize("model", ["smollm2-135m-instruct", "org/model", "runs/first"])
def test_a_models_name_is_left_alone(tmp_path: Path, model: str) -> None:
    assert read(tmp_path, f"model: {model}").settings.model == model


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.CSV", "a.tsv.gz", "a.parquet", "a.txt.zst"])
def test_a_file_of_rows_stands_for_a_run_file(tmp_path: Path, name: str) -> None:
    loaded = load([name], sections=SECTIONS, folder=tmp_path)
    assert loaded.settings.data.train is not None
    assert loaded.settings.data.train[0].path == f"{tmp_path}/{name}"
    assert loaded.provenance["data.train"] == Source(name, "command line")


def test_rows_typed_win_over_rows_written(tmp_path: Path) -> None:
    loaded = read(tmp_path, "data: {train: a.jsonl, limit: 3}", data="b.jsonl")
    assert loaded.settings.data.train is not None
    assert [file.path for file in loaded.settings.data.train] == [f"{tmp_path}/b.jsonl"]
    assert loaded.settings.data.limit == 3
    assert loaded.provenance["data.train"] == Source("b.jsonl", "--data")


def test_two_files_of_rows_are_both_trained_on(tmp_path: Path) -> None:
    loaded = load(["a.jsonl", "b.jsonl"], sections=SECTIONS, folder=tmp_path)
    assert loaded.settings.data.train is not None
    assert [Path(file.path).name for file in loaded.settings.data.train] == ["a.jsonl", "b.jsonl"]


def test_rows_are_asked_for_only_where_they_are_needed(tmp_path: Path) -> None:
    require_rows(read(tmp_path, "data: {train: a.jsonl}").settings)
    without = read(tmp_path, "formats: {completion: {template: '{input} {output}'}}").settings
    with pytest.raises(UserError, match="--data F"):
        require_rows(without)


def test_every_value_has_a_source(tmp_path: Path) -> None:
    loaded = read(tmp_path, "seed: 1\ntraining_config:\n  hyperparameters:\n    epochs: 5\n    learning_rate: auto\n")
    sources = loaded.provenance
    assert sources["seed"] == Source(1, "1.yaml:1")
    assert sources["training_config.hyperparameters.epochs"] == Source(5, "1.yaml:4")
    assert sources["training_config.hyperparameters.learning_rate"] == Source("auto", "1.yaml:5")
    assert sources["training_config.evaluation.eval_steps"] == Source("auto", "auto")
    assert sources["training_config.lora_config.r"] == Source(16, "default (contract)")
    assert sources["targets.loss"] == Source("decreasing", "default (contract)")

    def leaves(value: Any, path: str) -> list[str]:
        inner = dict(value) if isinstance(value, pydantic.BaseModel) else value
        if isinstance(inner, dict) and inner:
            return [leaf for name, part in inner.items() for leaf in leaves(part, f"{path}.{name}" if path else name)]
        return [path]

    assert list(sources) == leaves(loaded.settings, "")
    assert to_data(sources)["seed"] == {"value": 1, "source": "1.yaml:1", "reason": ""}
    assert to_data(sources)["training_config.lora_config.target_modules"]["value"] == ["q_proj", "v_proj"]


def test_an_auto_is_resolved_with_value_reason_and_source(tmp_path: Path) -> None:
    path = "training_config.hyperparameters.learning_rate"
    before = read(tmp_path, "data: {train: a.jsonl}")
    after = resolve(before, path, 2e-4, "ten times the rate of full tuning", "methods/lora")
    assert before.settings.training_config.hyperparameters.learning_rate == "auto"
    assert after.settings.training_config.hyperparameters.learning_rate == 2e-4
    assert after.settings.data == before.settings.data
    assert after.provenance[path] == Source(2e-4, "methods/lora", "ten times the rate of full tuning")
    assert f"learning_rate: {2e-4!r}  # methods/lora: ten times the rate of full tuning\n" in to_yaml(after)


def test_resolve_auto_decides_an_auto_and_leaves_what_is_written(tmp_path: Path) -> None:
    path = "training_config.evaluation.eval_steps"
    after = resolve_auto(read(tmp_path, "seed: 1"), path, 3, "a tenth of 30 steps")
    assert after.settings.training_config.evaluation.eval_steps == 3
    assert after.provenance[path] == Source(3, "auto", "a tenth of 30 steps")
    written = read(tmp_path, "training_config: {evaluation: {eval_steps: 7}}")
    assert resolve_auto(written, path, 3, "a tenth of 30 steps") is written


def test_a_default_that_nobody_wrote_may_be_resolved_and_what_is_written_stays(tmp_path: Path) -> None:
    loaded = read(tmp_path, "training_config: {lora_config: {target_modules: [q_proj]}}")
    with pytest.raises(ValueError, match=r"written in 1\.yaml:1"):
        resolve(loaded, "training_config.lora_config.target_modules", ["query"], "", "")
    unwritten = resolve(
        read(tmp_path, "seed: 1"), "training_config.lora_config.target_modules", ["query"], "no q_proj", "model"
    )
    assert unwritten.settings.training_config.lora_config.target_modules == ("query",)


def test_names_that_plug_ins_bring_are_known(tmp_path: Path) -> None:
    metrics = {"training_config.evaluation.metric": ["loss", "rouge"], "data.augment": ["case"]}
    text = "training_config: {evaluation: {metric: rouge}}\ndata: {augment: [case]}\n"
    assert read(tmp_path, text, choices=metrics).settings.training_config.evaluation.metric == "rouge"
    with pytest.raises(UserError, match=r"`rouge`") as caught:
        read(tmp_path, text.replace("rouge", "rogue").replace("[case]", "[case, cse]"), choices=metrics)
    assert [mistake.where for mistake in caught.value.mistakes] == ["1.yaml:1:40", "1.yaml:2:24"]


def test_reading_settings_starts_no_torch() -> None:
    code = (
        "import sys, luthier.settings as s, luthier.methods.qlora as q;"
        "s.to_yaml(s.load([], sections={'qlora_config': q.Settings}));"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


TEXTS = st.text(min_size=1, max_size=30)
NUMBERS = st.floats(min_value=0, exclude_min=True, allow_infinity=False)


@st.composite
def run_files(draw: st.DrawFn) -> dict[str, Any]:
    """Values of every kind for settings of every kind."""
    return {
        "name": draw(st.from_regex(r"\A[a-zA-Z0-9][\w.-]{0,9}\Z")),
        "model": draw(TEXTS),
        "seed": draw(st.integers(0, 2**32 - 1)),
        "data": {
            "train": draw(
                st.none()
                | TEXTS
                | st.lists(TEXTS | st.fixed_dictionaries({"path": TEXTS, "weight": NUMBERS}), min_size=1, max_size=3)
            ),
            "validation": draw(st.floats(0, 1, exclude_max=True)),
            "columns": draw(st.dictionaries(st.sampled_from(["input", "output"]), TEXTS)),
            "augment": draw(st.lists(TEXTS, max_size=2)),
            "balance": draw(st.booleans()),
        },
        "formats": {
            "completion": {
                "template": draw(plain_text()) + "{input}" + draw(plain_text()) + "{output}" + draw(plain_text())
            }
        },
        "training_config": {
            "hyperparameters": {"epochs": draw(NUMBERS), "learning_rate": draw(st.just("auto") | st.floats(1e-9, 1))},
            "lora_config": {"target_modules": draw(TEXTS | st.lists(TEXTS, min_size=1, max_size=3))},
            "prefix_tuning_config": {"init_text": draw(st.none() | TEXTS)},
        },
        "targets": {"loss": draw(st.sampled_from(["decreasing", "< 1", None]))},
    }


def plain_text() -> st.SearchStrategy[str]:
    """Text of lines, with no placeholder in it."""
    return st.text(
        st.sampled_from("ab #:-|>'\"\n \t\\é\u2028\x85\U0001f600")
        | st.characters(codec="utf-8", exclude_characters="{}"),
        max_size=12,
    )


@profile(deadline=None, max_examples=60)
@given(tree=run_files())
def test_what_is_written_gives_the_same_settings_when_read(
    tree: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("round")
    (folder / "run.yaml").write_text(json.dumps(tree), encoding="utf-8")
    loaded = load(["run.yaml"], sections=SECTIONS, folder=folder)
    (folder / "settings.yaml").write_text(to_yaml(loaded), encoding="utf-8", newline="")
    again = load(["settings.yaml"], sections=SECTIONS, folder=folder)
    assert again.settings == loaded.settings


@pytest.mark.parametrize(
    "text", ["null", "True", "no", "1e5", "a: b", "a  \nb\n", "\n a\n", "a\n\nb", "a\tb\nc", "a\n\n"]
)
def test_a_text_that_yaml_could_take_for_something_else_stays_that_text(tmp_path: Path, text: str) -> None:
    loaded = read(tmp_path, json.dumps({"model": text}))
    assert loaded.settings.model == text
    assert read(tmp_path, to_yaml(loaded)).settings.model == text


@profile(deadline=None)
@given(content=st.binary(max_size=60) | st.text("ab:-[]{}'\"\n\t >|*&!#%@?,1.e~<", max_size=40).map(str.encode))
def test_no_content_of_a_file_ends_in_anything_but_settings_or_mistakes(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "run.yaml").write_bytes(content)
    mistakes: list[Mistake] = []
    try:
        load(["run.yaml"], sections=SECTIONS, folder=folder)
    except UserError as error:
        mistakes += error.mistakes
    for mistake in mistakes:
        assert mistake.message
        assert mistake.where.startswith("run.yaml")
        assert mistake.remedy
