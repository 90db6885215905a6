"""lm-eval through our engine: what its own HF backend finds, of base and of the adapter on it; a local task offline."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from luthier.errors import UserError
from luthier.flow import Tuned, result_of
from luthier.runs.run import Run
from luthier.workflow.harness import harness
from luthier.workflow.loaded_model import engine_of
from luthier.workflow.opened_run import decoder, open_run
from luthier.workflow.train import Trained
from tests.workflow.conftest import worked

# Warnings are of the harness and what it imports.
pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(find_spec("lm_eval") is None, reason="no lm-eval: python -m pip install 'luthier[lm-eval]'"),
]

PAIRS = [
    ("what colour has the sky", " blue"),
    ("what colour has the sky", " green and white"),
    ("ends in spaces  ", "coal"),
    ("", "a text that stands alone"),
    ("where is my package", "?"),
]


def requests(kind: str, arguments: list[tuple[Any, ...]]) -> list[Any]:
    from lm_eval.api.instance import Instance

    return [Instance(kind, {}, one, at) for at, one in enumerate(arguments)]


@pytest.mark.parametrize("tuned", [False, True])
def test_log_probabilities_and_answers_are_those_of_the_harness_s_own_backend(trained: Trained, tuned: bool) -> None:
    from lm_eval.models.huggingface import HFLM
    from peft import PeftModel

    from luthier.evaluation.harness import ThroughEngine

    opened = result_of(open_run(str(trained.folder), Path("runs")))
    theirs_model = opened.open_base()
    if tuned:
        theirs_model = PeftModel.from_pretrained(theirs_model, str(opened.run.weights)).eval()
    # Theirs counts what goes in, ours the last predicted token too.
    theirs = HFLM(pretrained=theirs_model, tokenizer=opened.tokenizer, batch_size=1, max_length=511)
    engine = opened.tuned(opened.open_base()) if tuned else engine_of(Tuned(opened.open_base(), None, {}))
    ours = ThroughEngine(engine, opened.tokenizer, opened.stops, decoder(opened.tokenizer), 512)
    for (mine, greedy), (other, theirs_greedy) in zip(
        ours.loglikelihood(requests("loglikelihood", PAIRS)),
        theirs.loglikelihood(requests("loglikelihood", PAIRS), disable_tqdm=True),
        strict=True,
    ):
        assert mine == pytest.approx(other, abs=1e-3)
        assert greedy == theirs_greedy
    texts: list[tuple[Any, ...]] = [("where is my package " * 60,), ("short",)]
    rolling = theirs.loglikelihood_rolling(requests("loglikelihood_rolling", texts), disable_tqdm=True)
    assert ours.loglikelihood_rolling(requests("loglikelihood_rolling", texts)) == pytest.approx(rolling, abs=1e-2)
    asked: list[tuple[Any, ...]] = [(context, {"until": ["e"], "max_gen_toks": 8}) for context, _ in PAIRS if context]
    answers = ours.generate_until(requests("generate_until", asked))
    assert all("e" not in answer for answer in answers)


def test_a_local_task_runs_offline_with_base_beside_tuned(
    trained: Trained, tmp_path: Path, refusing_network: Callable[..., Any]
) -> None:
    docs = [{"question": f"what colour has the {thing}?", "answer": at} for at, thing in enumerate(("sky", "grass"))]
    (tmp_path / "docs.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in docs * 3), encoding="utf-8")
    (tmp_path / "colours.yaml").write_text(
        f"task: colours\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {tmp_path}/docs.jsonl}}}}\n"
        "test_split: test\noutput_type: multiple_choice\ndoc_to_text: '{{question}}'\ndoc_to_target: answer\n"
        "doc_to_choice: [blue, green]\nmetric_list: [{metric: acc}]\n",
        encoding="utf-8",
    )
    found, _ = worked(harness(str(trained.folder), [str(tmp_path / "colours.yaml")]))
    assert set(found.base) == set(found.tuned) == {"colours"}
    assert 0 <= found.tuned["colours"]["acc"] <= 1
    assert found.largest_logit_difference > 0.01
    kept = json.loads((Run.open(trained.folder).folder / "reports" / "lm_eval.json").read_text(encoding="utf-8"))
    assert kept["lm_eval"]["tuned"]["colours"]["acc"] == found.tuned["colours"]["acc"]


def test_a_task_that_is_not_there_is_refused_with_what_to_name(trained: Trained) -> None:
    with pytest.raises(UserError, match="name a task file"):
        worked(harness(str(trained.folder), ["no-such-task-anywhere"]))
