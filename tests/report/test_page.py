"""The page: everything a person looks for stands in it, data cannot act in it, and it needs nothing outside itself."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from luthier.errors import Mistake
from luthier.flow import Measure
from luthier.report.page import choose, render, shared
from luthier.report.view import Pair, View

HOSTILE = "<script>alert(1)</script></style></textarea>\"'><img src=http://evil.example/x onerror=alert(2)>{{ 7*7 }}"


class Page(HTMLParser):
    """What a browser would find: each element with its attributes, the text of all, and that of every section."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.sections: dict[str, str] = {"": ""}
        self.text = ""
        self._section = ""
        self._raw = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag != "wbr":
            self.handle_data(" ")
        if tag == "section":
            self._section = dict(attributes)["id"] or ""
            self.sections[self._section] = ""
        if tag in ("script", "style"):
            self._raw = tag

    def handle_endtag(self, tag: str) -> None:
        self._section = "" if tag == "section" else self._section
        self._raw = "" if tag == self._raw else self._raw

    def handle_data(self, data: str) -> None:
        if not self._raw:
            self.text += data
            self.sections[self._section] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def words(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_targets_show_value_interval_rows_reason_and_verdict(whole: View) -> None:
    text = words(Page(render(whole)).sections["targets"])
    assert "Accuracy > 90% 91.0% [85.1, 94.8] likely n = 20; about 3,141 rows needed" in text
    assert "Perplexity < 4 4.32 [3.90, 4.81] missed n = 20" in text
    assert "Human eval > 80% not measured No votes yet." in text
    assert "Loss decreasing 0.400 [0.300, 0.500] met" in text


def test_every_metric_shows_base_beside_tuned_and_their_difference(whole: View) -> None:
    text = words(Page(render(whole)).sections["metrics"])
    assert "20.0% [8.1, 41.6] 91.0% [85.1, 94.8] +71.0 points [50.0, 85.0]" in text
    assert "1,234 [1,000, 1,500] 4.32 [3.90, 4.81] −1,230 [−1,490, −995]" in text


def test_a_metric_without_a_value_says_why(whole: View) -> None:
    assert whole.report is not None
    report = replace(whole.report, metrics={"accuracy": Measure(None, reason="long free answers")}, base={})
    assert "Not measured: long free answers" in words(Page(render(replace(whole, report=report))).sections["metrics"])


def test_ten_pairs_show_right_and_wrong_in_words(whole: View) -> None:
    page = render(whole)
    assert len(choose(whole.pairs)) == 10
    text = words(Page(page).sections["answers"])
    assert "10 of 20 rows" in text
    assert "2 of the 2 that the tuned model has wrong are among them" in text
    assert text.count("Message ") == 10
    assert "wanted returns base I am sorry to hear that. right tuned billing wrong" in text
    # base is right on rows 1 to 4, tuned on all but 2 and 8
    for outcome in (
        "15 only the tuned model is right",
        "3 both are right",
        "1 neither is right",
        "1 only base is right",
    ):
        assert outcome in text


def test_answers_are_not_called_right_or_wrong_where_accuracy_does_not_fit(whole: View) -> None:
    assert whole.report is not None
    report = replace(whole.report, metrics={"accuracy": Measure(None, reason="long free answers")}, categories={})
    text = words(Page(render(replace(whole, report=report))).sections["answers"])
    assert "10 of 20 rows, spread over the file." in text
    assert "right" not in text
    assert "wrong" not in text


def test_the_chosen_pairs_show_wrong_answers_but_not_only_them(whole: View) -> None:
    pairs = [replace(pair, tuned_right=pair.line > 12) for pair in whole.pairs]
    chosen = choose(pairs)
    assert [pair.line for pair in chosen] == sorted(pair.line for pair in chosen)
    assert [pair.line for pair in chosen if not pair.tuned_right] == [1, 4, 7, 10]
    assert sum(bool(pair.tuned_right) for pair in chosen) == 6
    assert [pair.tuned_right for pair in choose(pairs[:12])] == [False] * 10
    assert choose([]) == []


def test_what_all_prompts_share_is_shown_once() -> None:
    def asked(prompt: str) -> Pair:
        return Pair("a.jsonl", 1, None, prompt, "", "", "")

    begin, end = "<|system|>\nSort this.\n<|user|>\n", "\n<|assistant|>\n"
    pairs = [asked(f"{begin}{message}{end}") for message in ("Where is it?", "Where was it?", "Who?")]
    assert shared(pairs) == (begin, end)
    assert shared([asked("[INST] one? [/INST]"), asked("[INST] two? [/INST]")]) == ("", "[/INST]")
    assert shared([asked("the same"), asked("the same")]) == ("", "")
    assert shared([asked("a\nb\n"), asked("a\nb\nc\n")]) == ("a\nb\n", "")


def test_categories_show_the_lowest_first_with_base_counted_from_the_answers(whole: View) -> None:
    text = words(Page(render(whole)).sections["categories"])
    # of the ten rows of each category base has 2 right; Wilson's interval of 2 of 10 is 5.7% to 51.0%
    assert "returns 10 20.0% [5.7, 51.0] 80.0% [49.0, 94.3]" in text
    assert "billing 10 20.0% [5.7, 51.0] 100.0% [72.2, 100.0]" in text
    assert text.index("returns") < text.index("billing")


def test_rows_are_accounted_for(whole: View) -> None:
    text = words(Page(render(whole)).sections["rows"])
    assert "100 read = 92 kept + 8 dropped. 2 rows were cut to the length limit." in text
    assert "800 of 4,000 tokens are trained on" in text
    for part in ("82 trained on", "10 held back for validation", "5 dropped: duplicate", "3 dropped: too long"):
        assert part in text
    assert "tickets.jsonl 100 92 10 2 4,000 800" in text


def test_settings_show_the_resolved_ones_first_with_source_and_reason(whole: View) -> None:
    text = words(Page(render(whole)).sections["settings"])
    assert "training_config.hyperparameters.learning_rate 0.0002 methods/lora.py ten times full tuning" in text
    assert text.index("Chosen for this run") < text.index("Written") < text.index("Defaults (2)")
    assert "model smollm2-135m-instruct run.yaml:2" in text


def test_the_environment_and_the_next_commands_are_there(whole: View) -> None:
    page = Page(render(replace(whole, run="runs/my tickets")))
    assert "luthier train 'my file.yaml'" in page.sections["environment"]
    assert "memory 6.2 GB" in words(page.sections["environment"])
    assert "luthier chat 'runs/my tickets'" in page.sections["next"]


@pytest.mark.parametrize("state", ["stopped", "failed"])
def test_a_run_that_ended_early_says_how_to_go_on(whole: View, state: str) -> None:
    page = Page(render(replace(whole, state=state, report=None, pairs=())))  # type: ignore[arg-type]
    assert page.sections[""].count("luthier train --resume runs/tickets-lora-1") == 1
    assert "luthier evaluate runs/tickets-lora-1" in page.sections["next"]
    assert "targets" not in page.sections


def test_a_run_without_validation_says_so(whole: View) -> None:
    text = words(Page(render(replace(whole, evaluations=()))).sections["training"])
    assert "No validation loss" in text
    assert "validation loss 0" not in text


def test_the_navigation_leads_to_every_section_and_no_other(whole: View) -> None:
    for shown in (whole, replace(whole, report=None, pairs=(), rows=None, environment={})):
        page = Page(render(shown))
        links = [link["href"] for link in page.all("a")]
        assert links == [f"#{name}" for name in page.sections if name]


def test_tables_have_captions_and_pictures_have_names(whole: View) -> None:
    page = Page(render(whole))
    assert len(page.all("caption")) == len(page.all("table")) > 5
    named = [drawing for drawing in page.all("svg") if drawing.get("role") == "img"]
    assert len(named) > 5
    assert all(drawing.get("aria-label") for drawing in named)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def everywhere(text: str, whole: View) -> View:
    assert whole.report is not None
    assert whole.rows is not None
    pair = Pair(text, 1, text, text, text, text, text, False, False, True, False)
    return replace(
        whole,
        run=text,
        report=replace(
            whole.report,
            data=text,
            targets=tuple(replace(target, reason=text) for target in whole.report.targets),
            metrics={**whole.report.metrics, text: Measure(None, reason=text)},
            categories={text: {"accuracy": Measure(0.5, 0.2, 0.8, 2)}},
        ),
        pairs=(pair, replace(pair, prompt=text * 9)),
        rows=replace(
            whole.rows,
            total=replace(whole.rows.total, dropped={text: 8}),
            sources=((text, whole.rows.total),),
            categories=((text, whole.rows.total), (None, whole.rows.total)),
        ),
        settings=tuple(
            replace(setting, path=text, value=value, source=text, reason=text)
            for setting in whole.settings
            for value in (text, [text])
        ),
        environment={text: text, "machine": {text: text}, "data": [{text: text}], "command": [text]},
        absent=(Mistake(text, text, text),),
    )


def test_text_from_data_is_inert_wherever_it_stands(whole: View) -> None:
    tame, wild = Page(render(everywhere("tame", whole))), Page(render(everywhere(HOSTILE, whole)))
    for tag in ("script", "style", "img", "textarea"):
        assert len(wild.all(tag)) == len(tame.all(tag)), tag
    assert not any(name.startswith("on") for _, attributes in wild.elements for name in attributes)
    assert wild.text.count("<script>alert(1)</script>") > 20
    assert "{{ 7*7 }}" in wild.text


def test_odd_text_is_shown_whole(whole: View) -> None:
    odd = "🎻 👩‍👩‍👧 שלום مرحبا \x00\x1b[31m \ud800" + "W" * 2000
    page = render(everywhere(odd, whole))
    assert "🎻 👩‍👩‍👧 שלום مرحبا ␀␛[31m \\ud800" in page
    assert "W" * 2000 in page
    page.encode("utf-8")


def test_long_texts_are_folded_and_none_of_it_is_lost(whole: View) -> None:
    long = "one two three " * 100
    page = render(replace(whole, pairs=(replace(whole.pairs[0], tuned=long),)))
    found = re.search(r'<details class="text"><summary><span class="said" dir="auto">(.*?) …</span>', page)
    assert found is not None
    assert found[1] == "one two three " * 8 + "one two"  # three quarters of 160 characters, up to a space
    assert f'<div class="said" dir="auto">{long}</div>' in page
    assert "all 1,400 characters" in page


def test_the_page_refers_to_nothing_outside_itself(whole: View) -> None:
    for shown in (whole, everywhere(HOSTILE, whole)):
        html = render(shown)
        page = Page(html)
        for _, attributes in page.elements:
            for name in ("src", "href", "action", "poster", "data", "srcset", "background"):
                assert (attributes.get(name) or "#").startswith(("#", "data:,")), attributes
        assert not {"link", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.elements} - {"link"}
        style = html[html.index("<style>") : html.index("</style>")]
        assert "url(" not in style
        assert "@import" not in style


def test_the_policy_allows_our_style_and_script_alone(whole: View) -> None:
    html = render(whole)
    policy = next(m["content"] for m in Page(html).all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<[^>]* style=", html)
    for tag in ("style", "script"):
        content = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        assert len(content) == 1
        assert f"'sha256-{b64encode(sha256(content[0].encode()).digest()).decode()}'" in policy


def test_hovering_has_a_value_for_every_step(whole: View) -> None:
    found = re.search(r'<script type="application/json" id="moments">(.*?)</script>', render(whole), re.DOTALL)
    assert found is not None
    moments = json.loads(found[1])
    assert len(moments["x"]) == 40
    assert {len(column) for column in moments["words"].values()} == {40}
    assert moments["heights"]["validation-loss"][8:10] == [None, moments["heights"]["validation-loss"][10]]


def test_the_same_view_gives_the_same_page(whole: View) -> None:
    assert render(whole) == render(whole)
