"""What may stand in a run file: frozen models whose attribute paths are the run file's own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    create_model,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from luthier.settings import mission
from luthier.settings.targets import EXAMPLES, parse_target

Auto = Literal["auto"]
Rate = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]
PathText = Annotated[str, Field(min_length=1, json_schema_extra={"format": "path"})]
Names = Annotated[
    tuple[Annotated[str, Field(min_length=1, json_schema_extra={"format": "name"})], ...], Field(strict=False)
]

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "tuning_method": ("auto", *mission.METHODS),
    "data.columns": (
        *("instruction", "input", "response", "output", "messages", "tools", "conversations", "prompt", "completion"),
        *("text", "chosen", "preferred_output", "rejected", "non_preferred_output", "category", "label"),
    ),
    "training_config.evaluation.metric": ("loss", "perplexity", "accuracy", "token_accuracy", "label_accuracy"),
    "targets": ("loss", "perplexity", "accuracy", "token_accuracy", "label_accuracy", "human_eval"),
}
"""Names that a setting takes and that plug-ins may add to: a text's value, a list's entries or a mapping's keys."""


class Section(BaseModel):
    """A part of the run file. Methods hand in theirs as subclasses.

    A validator that looks at several settings raises `together(...)`, and is asked about the merged files only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _empty_is_nothing_written(cls, given: Any) -> Any:
        return {} if given is None else given


def together(key: str, message: str, remedy: str) -> PydanticCustomError:
    """The error of settings that do not fit each other: `key` is where the user should look."""
    return PydanticCustomError("together", "{message}", {"key": key, "message": message, "remedy": remedy})


def wrong(message: str, remedy: str) -> PydanticCustomError:
    """The error of one value: `message` goes on after the value, `remedy` is what to write."""
    return PydanticCustomError("wrong", "{message}", {"message": message, "remedy": remedy})


def _path(value: Any) -> Any:
    if isinstance(value, str) and (number := re.fullmatch(r"\s*(\d*\.?\d+)\s*(%?)\s*", value)):
        share = f"{float(number[1]) / (100 if number[2] else 1):g}"
        raise wrong("is a number written as text", f"write {share} for a share, ./{value} for a file of that name")
    return value


def _day(value: str) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise wrong("is no day", "write a day as 2026-11-23, or auto") from None


Day = Annotated[str, AfterValidator(_day)]
DataPath = Annotated[PathText, BeforeValidator(_path, json_schema_input_type=PathText)]


class DataFile(Section):
    """A file of rows and how often its rows count."""

    path: PathText = Field(description="A file of rows, relative to the run file's folder.")
    weight: float = Field(default=1.0, gt=0, description="How often its rows are drawn, against the other files' rows.")


def _files(written: Any) -> Any:
    if not isinstance(written, list | tuple):
        written = [written]
    return tuple({"path": file} if isinstance(file, str) else file for file in written)


Files = Annotated[
    tuple[DataFile, ...],
    Field(min_length=1),
    BeforeValidator(
        _files, json_schema_input_type=PathText | DataFile | Annotated[list[PathText | DataFile], Field(min_length=1)]
    ),
]


class Data(Section):
    """Where the rows come from and how they are read."""

    train: Files | None = Field(
        default=None, description="Rows to train on: a path, a list of paths, or a list of {path, weight}."
    )
    validation: Share | DataPath = Field(default=0.1, description="Rows held back: a share of the rows, or a path.")
    test: DataPath | None = Field(default=None, description="Rows that only `evaluate` sees: a path.")
    format: Literal["auto", "instruction", "chat", "sharegpt", "completion", "text", "preference"] = Field(
        default="auto", description="The form of the rows. auto: recognized and said."
    )
    template: Literal["auto", "model", "formats"] = Field(
        default="auto",
        description="Whose template renders the rows. auto: the model's own for chat rows, else `formats`.",
    )
    date: Auto | Day = Field(
        default="auto",
        description="The day that a template prints. auto: the day of the run's beginning, kept with it.",
    )
    columns: dict[str, Text] = Field(default={}, description="Columns under other names: our name, then theirs.")
    train_on: Literal["answers", "last_answer", "everything"] = Field(
        default="answers", description="Which tokens are trained on."
    )
    max_length: Auto | Annotated[int, Field(ge=2)] = Field(
        default="auto", description="Tokens a row may have. auto: the longest row, at most the model's context."
    )
    too_long: Literal["stop", "drop", "cut_start", "cut_end", "split"] = Field(
        default="stop", description="What happens to a row over max_length. split is for text rows."
    )
    bad_rows: Literal["stop", "drop"] = Field(
        default="stop", description="What happens to rows that cannot be used. They are always listed and counted."
    )
    limit: Count | None = Field(default=None, description="Use only this many rows.")
    balance: bool = Field(
        default=False, description="Weigh classes evenly: each category has the same total weight in the loss."
    )
    augment: Names = Field(
        default=(), description="Changes that must not matter, under which training rows are trained on too."
    )
    replay: Share = Field(
        default=0.0,
        description="Share of the training rows that are the base model's own answers to general questions.",
    )

    @field_validator("columns", mode="before")
    @classmethod
    def _no_columns(cls, columns: Any) -> Any:
        return {} if columns is None else columns


def _template(form: str, *placeholders: str) -> Callable[[str], str]:
    """A check that each placeholder stands in a template once, in this order: the answer is the last."""

    def check(template: str) -> str:
        wanted = " then ".join(f"{{{name}}}" for name in placeholders)
        found = re.findall(r"\{([A-Za-z_]\w*)\}", template)
        if unknown := [name for name in found if name not in placeholders]:
            raise wrong(f"holds {{{unknown[0]}}}, which is no placeholder here", f"the {form} template takes {wanted}")
        if tuple(found) != placeholders:
            raise wrong("does not hold its placeholders once each, in order", f"the {form} template takes {wanted}")
        return template

    return check


class InstructionFormat(Section):
    """How an instruction row becomes text."""

    template: str = Field(
        default=mission.FORMATS["instruction"], description="Text with {instruction} and then {response}, once each."
    )
    _check = field_validator("template")(_template("instruction", "instruction", "response"))


class ChatFormat(Section):
    """How a pair of messages becomes text; repeated for each pair."""

    template: str = Field(
        default=mission.FORMATS["chat"],
        description="Text with {user_message} and then {assistant_response}, once each.",
    )
    _check = field_validator("template")(_template("chat", "user_message", "assistant_response"))


class CompletionFormat(Section):
    """How a completion row becomes text."""

    template: str = Field(
        default=mission.FORMATS["completion"], description="Text with {input} and then {output}, once each."
    )
    _check = field_validator("template")(_template("completion", "input", "output"))


class Formats(Section):
    """The templates that are used where the model's own is not."""

    instruction: InstructionFormat = Field(default=InstructionFormat(), description="For instruction rows.")
    chat: ChatFormat = Field(default=ChatFormat(), description="For chat rows.")
    completion: CompletionFormat = Field(default=CompletionFormat(), description="For completion rows.")


class Hyperparameters(Section):
    """How training goes."""

    learning_rate: Auto | Rate = Field(
        default="auto", description="The highest learning rate. auto: by method, model and rank."
    )
    batch_size: Count = Field(
        default=mission.HYPERPARAMETERS.batch_size,
        description="Examples in one optimizer step.",
    )
    epochs: Annotated[float, Field(gt=0)] = Field(
        default=mission.HYPERPARAMETERS.epochs, description="How often the rows are gone through; fractions allowed."
    )
    warmup_ratio: Annotated[float, Field(ge=0, le=1)] = Field(
        default=mission.HYPERPARAMETERS.warmup_ratio, description="Share of the steps in which the learning rate rises."
    )
    schedule: Literal["cosine", "linear", "constant"] = Field(
        default="cosine", description="How the learning rate falls after the warmup."
    )
    weight_decay: Annotated[float, Field(ge=0, le=1)] = Field(default=0.0, description="AdamW's decay of the weights.")
    max_grad_norm: Annotated[float, Field(gt=0)] | None = Field(
        default=1.0, description="The gradient's norm is clipped to this. null: no clipping."
    )
    max_steps: Count | None = Field(default=None, description="Stop after this many optimizer steps.")
    max_minutes: Annotated[float, Field(gt=0)] | None = Field(default=None, description="Stop after this many minutes.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="Of the frozen weights and the products. auto: bfloat16 where the machine is fast at it.",
    )
    early_stopping: Count | None = Field(
        default=None, description="Stop after this many evaluations in a row without a better `metric`."
    )
    interpolation: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0,
        description="How far the result goes from base to what was learned; 1: all the way.",
    )


class PreferenceConfig(Section):
    """Settings of the preference objective."""

    beta: Annotated[float, Field(gt=0)] = Field(
        default=0.1, description="How near the tuned model stays to base: the larger, the nearer."
    )
    kl_to_base: Annotated[float, Field(ge=0)] = Field(
        default=0.0,
        description="Holds the tuned model near base, under every objective: this times the mean KL from base over the "
        "trained tokens is added to the loss.",
    )


class Evaluation(Section):
    """When to evaluate and save while training."""

    eval_steps: Auto | Count = Field(
        default="auto",
        description=f"Steps between evaluations. auto: a tenth of the run, at most {mission.EVALUATION.eval_steps}.",
    )
    save_steps: Auto | Count = Field(
        default="auto",
        description=f"Steps between checkpoints. auto: a tenth of the run, at most {mission.EVALUATION.save_steps}.",
    )
    metric: Text = Field(default=mission.EVALUATION.metric, description="What the best checkpoint is chosen by.")
    keep: Count = Field(default=3, description="Checkpoints kept beside the best one.")


class TrainingConfig(Section):
    """How to train. The sections of the methods (`lora_config`, ...) are handed in: see `run_file`."""

    hyperparameters: Hyperparameters = Field(default=Hyperparameters(), description="How training goes.")
    preference_config: PreferenceConfig = Field(
        default=PreferenceConfig(), description="For preference rows; `kl_to_base` for all."
    )
    evaluation: Evaluation = Field(default=Evaluation(), description="When to evaluate and save.")

    if TYPE_CHECKING:

        def __getattr__(self, section: str) -> Any: ...


def _name(name: str) -> str:
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise wrong("cannot name a folder", "write letters, digits, `.`, `_` and `-`, beginning with a letter or digit")
    return name


def _targets(written: Any) -> Any:
    defaults = {metric: line.expression for metric, line in mission.METRICS.items()}
    return defaults if written is None else {**defaults, **written} if isinstance(written, dict) else written


def _target(text: Any) -> Any:
    if isinstance(text, int | float) and not isinstance(text, bool):
        raise wrong("says no direction", f'write `"> {text}"` or `"< {text}"`')
    if text is not None:
        try:
            parse_target(str(text))
        except ValueError as error:
            raise wrong(str(error), f"write {EXAMPLES}, or `null` for no target") from None
    return text


def _shares(targets: dict[str, str | None]) -> dict[str, str | None]:
    """A metric that the mission gives in percent cannot pass 1."""
    for metric, text in targets.items():
        bound = parse_target(text).bound if text else None
        if bound is not None and bound > 1 and metric in mission.METRICS and "%" in mission.METRICS[metric].target:
            raise together(
                metric, f"`{metric}: {text}` is over 1, and {metric} is a share", 'write a share, such as `"> 90%"`'
            )
    return targets


class Settings(Section):
    """A whole run file."""

    name: Annotated[str, Field(min_length=1)] = Field(
        default="auto", description="The run's folder is runs/<name>. auto: the file's name, the method and a number."
    )
    model: Text = Field(
        default="smollm2-135m-instruct",
        description="A packaged model, a hub id, a local folder, a .gguf file, or a run's folder.",
    )
    objective: Literal["auto", "supervised", "preference", "text"] = Field(
        default="auto", description="What is learned. auto: by the rows."
    )
    data: Data = Field(default=Data(), description="Where the rows come from and how they are read.")
    tuning_method: str = Field(default=mission.DEFAULT_TUNING_METHOD, description="How the model is tuned.")
    dataset_size: Auto | mission.DatasetSize = Field(
        default="auto", description="<1k, 1k-10k, >10k examples. auto: counted."
    )
    compute_budget: mission.ComputeBudget = Field(
        default=mission.DEFAULT_COMPUTE_BUDGET, description="Bounds what `advise` and `auto` may choose."
    )
    formats: Formats = Field(default=Formats(), description="The templates that are used where the model's own is not.")
    training_config: TrainingConfig = Field(default=TrainingConfig(), description="How to train.")
    targets: dict[str, Annotated[str | None, BeforeValidator(_target, json_schema_input_type=str | None)]] = Field(
        default=_targets(None), description=f"What each metric should reach: {EXAMPLES}. null: no target."
    )
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = Field(default=0, description="Of everything random.")

    _check_name = field_validator("name")(_name)
    _fill_targets = field_validator("targets", mode="before")(_targets)
    _check_targets = field_validator("targets")(_shares)


@lru_cache
def _run_file(sections: tuple[tuple[str, type[Section]], ...]) -> type[Settings]:
    fields: dict[str, Any] = {
        name: (section, Field(default=section(), description=(section.__doc__ or "").partition("\n")[0]))
        for name, section in sections
    }
    training_config = create_model("TrainingConfig", __base__=TrainingConfig, **fields)
    field = Field(default=training_config(), description=Settings.model_fields["training_config"].description)
    return create_model("Settings", __base__=Settings, training_config=(training_config, field))


def run_file(sections: Mapping[str, type[Section]]) -> type[Settings]:
    """The model of a whole run file with the methods' sections in it: `{"lora_config": its Settings, ...}`."""
    return _run_file(tuple(sections.items()))
