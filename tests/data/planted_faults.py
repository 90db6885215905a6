"""300 faults that data can have, planted by a seeded generator into rows that are clean: two halves of 150.

Checks may be developed by the half `development`. The half `test` has another seed and other words throughout, and is
not to be looked at while a check is written, nor changed afterwards.

`python -m tests.data.planted_faults test FOLDER` writes a half into files.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.data.planted_worlds import DEVELOPMENT, TEST, World

Row = dict[str, Any]
Half = Literal["development", "test"]
SEEDS: dict[Half, tuple[int, World]] = {"development": (7, DEVELOPMENT), "test": (90210, TEST)}

CRITERIA = {
    "no_duplicate_examples": ("exact_duplicate", "other_case", "near_duplicate", "contradiction", "leak"),
    "consistent_formatting": (
        "placeholder", "encoding_damage", "control_character", "template_mark", "label_spelling", "mixed_json",
    ),
    "diverse_examples": ("one_subject", "one_opener", "few_words"),
    "balanced_categories": ("imbalance", "tiny_class", "refusal_share"),
    "high_quality_outputs": (
        "empty", "cut_off", "repeated", "copied", "refusal", "as_an_ai", "broken_json", "broken_code",
        "wrong_arithmetic", "off_topic", "wrong_language",
    ),
    "no_harmful_content": (
        "mail", "phone", "card", "iban", "ip_address", "national_id", "secret", "injection", "toxic",
    ),
}  # fmt: skip
CRITERION = {kind: criterion for criterion, kinds in CRITERIA.items() for kind in kinds}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. It is found by a problem of its criterion on one of `lines` (from 1), or on any line or none where it
    is a fault of the whole file (no lines)."""

    kind: str
    lines: tuple[int, ...] = ()

    @property
    def criterion(self) -> str:
        return CRITERION[self.kind]


@dataclass(slots=True)
class Planted:
    """A file of rows to be checked by itself; `held_out` are rows of a test file beside it. Lines that no fault names
    are clean."""

    name: str
    rows: list[Row] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    held_out: list[Row] = field(default_factory=list)

    @property
    def clean(self) -> set[int]:
        faulty = {line for fault in self.faults for line in fault.lines}
        whole = any(not fault.lines for fault in self.faults)
        return set() if whole else set(range(1, len(self.rows) + 1)) - faulty


def planted(half: Half) -> list[Planted]:
    """The files of a half: 150 faults in all, the same at every call."""
    seed, world = SEEDS[half]
    maker = _Maker(random.Random(seed), world)
    made = [maker.chat(), maker.labels(), maker.extraction(), maker.leaks()]
    made += [maker.one_subject(), maker.one_subject(), maker.one_opener(), maker.one_opener(), maker.few_words()]
    made += [maker.imbalance(), maker.imbalance(), maker.tiny_class(), maker.tiny_class()]
    made += [maker.refusal_share(), maker.refusal_share(), maker.clean_chat(), maker.clean_labels()]
    assert sum(len(file.faults) for file in made) == 150
    return made


def write(half: Half, folder: Path) -> list[Path]:
    """Writes each file of a half as JSON lines."""
    paths = []
    for number, file in enumerate(planted(half)):
        for name, rows in ((f"{number}-{file.name}", file.rows), (f"{number}-{file.name}-held-out", file.held_out)):
            if rows:
                paths.append(folder / f"{name}.jsonl")
                paths[-1].write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), "utf-8")
    return paths


def chat_row(question: str, answer: str) -> Row:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


class _Maker:
    def __init__(self, chance: random.Random, world: World) -> None:
        self.chance, self.world = chance, world
        self.asked: set[str] = set()

    # ------------------------------------------------------------------------------------------------- clean rows

    def ask(self) -> tuple[str, str]:
        """A subject and a question about it that was not asked before."""
        while True:
            subject = self.chance.choice(self.world.subjects)
            text = self.chance.choice(self.world.asks).format(subject=subject, when=self.chance.choice(self.world.when))
            if text not in self.asked:
                self.asked.add(text)
                return subject, text

    def say(self, subject: str, sentences: int = 0) -> str:
        """Some sentences, the first or second of them about the subject."""
        frames = self.chance.sample(self.world.frames[2:], (sentences or self.chance.randint(2, 5)) - 1)
        frames.insert(self.chance.randint(0, 1), self.chance.choice(self.world.frames[:2]))
        filled = []
        half = len(self.world.slots) // 2
        for frame in frames:
            a, b = self.world.slots[half:], self.world.slots[:half]
            if self.world is TEST:
                a, b = b, a
            numbers = {"a": self.chance.choice(a), "b": self.chance.choice(b), "n": self.chance.randint(2, 90)}
            text = frame.format(subject=subject, **numbers)
            filled.append(text[0].upper() + text[1:])
        return " ".join(filled)

    def plain(self) -> Row:
        subject, question = self.ask()
        return chat_row(question, self.say(subject))

    def sum_row(self, wrong: bool = False) -> Row:
        one, other = self.chance.randint(12, 98), self.chance.randint(12, 98)
        sign, value = self.chance.choice([("+", one + other), ("*", one * other), ("-", one - other)])
        value += self.chance.choice([-10, -2, 1, 3, 10]) if wrong else 0
        subject = self.chance.choice(self.world.subjects)
        asked = f"There are {one} and {other} for the {subject}: what is {one} {sign} {other}?"
        return chat_row(asked, f"For the {subject} we get {one} {sign} {other} = {value}.")

    def json_row(self, broken: bool = False) -> Row:
        subject, place = self.chance.choice(self.world.subjects), self.chance.choice(self.world.slots)
        answer = json.dumps({"item": subject, "where": place, "count": self.chance.randint(2, 900)})
        asked = (
            f"Return JSON with item, where and count: {answer.count('a')} times a {subject}, {place}, {self.number()}."
        )
        return chat_row(asked, answer[: self.chance.randint(18, len(answer) - 4)] if broken else answer)

    def code_row(self, broken: bool = False) -> Row:
        (name, body), number = self.chance.choice(self.world.functions), self.number()
        argument = {"p": "prices", "w": "words", "n": "n"}
        subject = self.chance.choice(self.world.subjects)
        code = f'def {name}_{number}({argument.get(body[11:12], "line")}):\n    """For the {subject}."""\n    {body}\n'
        if broken:
            code = (
                code.replace("):", ")", 1) if self.chance.random() < 0.5 else code.replace("    return", "  return(", 1)
            )
        asked = f"Write a Python function {name}_{number} for the {subject}."
        return chat_row(asked, f"```python\n{code}```")

    def translation(self) -> Row:
        subject = self.chance.choice(self.world.subjects)
        asked = f"Translate into another language what a guide says about the {subject}, version {self.number()}."
        return chat_row(asked, f"{self.chance.choice(self.world.foreign)} ({self.number()})")

    def number(self) -> int:
        return self.chance.randint(100, 9999)

    # ------------------------------------------------------------------------------------------- faults of one row

    def chat(self) -> Planted:
        """600 clean rows of several kinds, with faults of single rows between them."""
        rows: list[tuple[Row, str, int]] = [(self.plain(), "", -1) for _ in range(540)]
        rows += [(row(), "", -1) for row in (self.sum_row, self.json_row, self.code_row) for _ in range(18)]
        rows += [(self.translation(), "", -1) for _ in range(6)]
        group = 0
        for kind, count, make in self._plans():
            for number in range(count):
                made = make(number)
                rows += [(row, kind, group) for row in made]
                group += 1
        self.chance.shuffle(rows)
        file = Planted("chat", [row for row, _, _ in rows])
        lines: dict[int, list[int]] = {}
        for line, (_, _, number) in enumerate(rows, 1):
            lines.setdefault(number, []).append(line)
        kinds = {number: kind for _, kind, number in rows}
        file.faults = [Fault(kinds[number], tuple(lines[number])) for number in range(group)]
        return file

    def _plans(self) -> Iterable[tuple[str, int, Callable[[int], list[Row]]]]:
        yield "exact_duplicate", 5, lambda _: [self.plain()] * 2
        yield "other_case", 4, self._other_case
        yield "near_duplicate", 7, self._near_duplicate
        yield "contradiction", 4, self._contradiction
        yield "placeholder", 6, lambda n: [self._with_text(self.world.placeholders[n])]
        yield "encoding_damage", 5, self._encoding_damage
        yield "control_character", 4, lambda n: [self._with_text("\x00\x07\x1b\x08"[n])]
        yield "template_mark", 5, lambda n: [self._with_text(self.world.marks[n])]
        yield "empty", 3, lambda n: [chat_row(self.ask()[1], self.world.empty[n])]
        yield "cut_off", 6, self._cut_off
        yield "repeated", 5, self._repeated
        yield "copied", 5, self._copied
        yield "refusal", 5, lambda n: [chat_row(self.ask()[1], self.world.refusals[n])]
        yield "as_an_ai", 4, self._as_an_ai
        yield "broken_json", 4, lambda _: [self.json_row(broken=True)]
        yield "broken_code", 4, lambda _: [self.code_row(broken=True)]
        yield "wrong_arithmetic", 5, lambda _: [self.sum_row(wrong=True)]
        yield "off_topic", 3, self._off_topic
        yield "wrong_language", 4, lambda n: [chat_row(self.ask()[1], self.world.foreign[n])]
        yield "mail", 4, lambda n: [self._with_text(f"write to {self._mail(n)}")]
        yield "phone", 4, lambda n: [self._with_text(f"call {self._phone(n)}")]
        yield "card", 3, lambda n: [self._with_text(f"it was paid with {self._card(n)}")]
        yield "iban", 3, lambda n: [self._with_text(f"the account is {self._iban(n)}")]
        yield "ip_address", 3, lambda n: [self._with_text(f"the visit came from {self._ip(n)}")]
        yield "national_id", 2, lambda n: [self._with_text(self._national_id(n))]
        yield "secret", 7, lambda n: [self._with_text(self._secret(n))]
        yield "injection", 5, self._injection
        yield "toxic", 5, lambda n: [chat_row(self.ask()[1], f"{self.say('thing', 2)} {self.world.toxic[n]}")]

    def _with_text(self, text: str) -> Row:
        """A clean row with a text between two sentences of its answer."""
        subject, question = self.ask()
        return chat_row(question, f"{self.say(subject, 2)} For {text} there is a note. {self.say(subject, 2)}")

    def _other_case(self, number: int) -> list[Row]:
        row = self.plain()
        question, answer = (message["content"] for message in row["messages"])
        changed = [
            (question.upper(), answer),
            (f"  {question}", answer.replace(" ", "  ")),
            (question.rstrip("?.") + " ?", answer.lower()),
            (question, f"{answer}\n\n"),
        ][number]
        return [row, chat_row(*changed)]

    def _near_duplicate(self, number: int) -> list[Row]:
        """One or two words of a long answer are others."""
        subject, question = self.ask()
        answer = self.say(subject, 6)
        words = answer.split()
        for _ in range(1 + number % 2):
            words[self.chance.randrange(len(words))] = self.chance.choice(["indeed", "rather", "perhaps", "quite"])
        return [chat_row(question, answer), chat_row(question, " ".join(words))]

    def _contradiction(self, number: int) -> list[Row]:
        """The same question with an answer that says something else."""
        subject, question = self.ask()
        closed = f"{question} Answer in one word: is the {subject} the best choice?"
        pairs = [("yes", "no"), ("Yes.", "No, never."), ("true", "false"), (str(self.number()), str(self.number()))]
        return [chat_row(closed, answer) for answer in pairs[number]]

    def _encoding_damage(self, number: int) -> list[Row]:
        """UTF-8 read as another encoding: the note about the café's naïve owner."""
        text = ["the café’s naïve owner", "“a quoted word” – and more", "Übergröße für Mädchen", "señor Muñoz"][
            number % 4
        ]
        codec = ["cp1252", "cp1252", "latin-1", "cp1252", "latin-1"][number]
        return [self._with_text(text.encode().decode(codec, errors="replace"))]

    def _cut_off(self, number: int) -> list[Row]:
        subject, question = self.ask()
        words = self.say(subject, 4).split()
        whole = " ".join(words[: -self.chance.randint(3, 5)]).rstrip(".,;")
        return [
            chat_row(
                question, [whole, f"{whole},", f"{whole} and the", whole[:-2], f"{whole} (", f"{whole}: 1."][number]
            )
        ]

    def _repeated(self, number: int) -> list[Row]:
        subject, question = self.ask()
        sentence = self.say(subject, 2)
        looped = [
            " ".join([sentence] * 4),
            f"{sentence} {'very ' * 30}".strip(),
            "\n".join([f"- {sentence}"] * 5),
            f"{sentence} {'and then ' * 15}".strip() + ".",
            f"{sentence} {'ha' * 80}",
        ]
        return [chat_row(question, looped[number])]

    def _copied(self, number: int) -> list[Row]:
        subject, question = self.ask()
        question = f"{question} {self.say(subject, 2)}"
        return [chat_row(question, [question, question, f'"{question}"', question.lower(), f"{question}\n"][number])]

    def _as_an_ai(self, number: int) -> list[Row]:
        subject, question = self.ask()
        return [chat_row(question, self.world.as_an_ai[number] + self.say(subject))]

    def _off_topic(self, number: int) -> list[Row]:
        """An answer to a question that nobody asked."""
        _, question = self.ask()
        answers = [
            "Parliament passed the budget by twelve votes, and the minister of finance thanked both sides.",
            "Photosynthesis turns light into sugar inside chloroplasts, releasing oxygen which animals then breathe.",
            "The goalkeeper saved two penalties before their captain scored during extra time and won the cup.",
        ]
        return [chat_row(question, answers[number])]

    def _injection(self, number: int) -> list[Row]:
        subject, question = self.ask()
        return [chat_row(f"{question} {self.world.injections[number]}", self.say(subject))]

    # ------------------------------------------------------------------------------- personal data and secrets, made up

    def _mail(self, number: int) -> str:
        first, last = self.world.people[number].lower().split()
        host = self.chance.choice(["posteo", "gmail", "outlook", "webmail-online"])
        return f"{first}{'._-'[number % 3]}{last}{self.number()}@{host}.{['com', 'de', 'co.uk', 'org'][number]}"

    def _phone(self, number: int) -> str:
        digits = "".join(self.chance.choices("23456789", k=10))
        return [
            f"+49 {digits[:3]} {digits[3:]}", f"({digits[:3]}) {digits[3:6]}-{digits[6:]}",
            f"+44 20 {digits[:4]} {digits[4:8]}", f"{digits[:3]}-{digits[3:6]}-{digits[6:]}",
        ][number]  # fmt: skip

    def _card(self, number: int) -> str:
        """Sixteen digits whose Luhn sum is right."""
        digits = [int(d) for d in ["4", "51", "4539"][number]]
        digits += [self.chance.randint(0, 9) for _ in range(15 - len(digits))]
        doubled = [d if place % 2 else d * 2 - 9 * (d > 4) for place, d in enumerate(digits)]
        text = "".join(map(str, [*digits, -sum(doubled) % 10]))
        return text if number == 0 else " -"[number - 1].join(text[i : i + 4] for i in range(0, 16, 4))

    def _iban(self, number: int) -> str:
        """With check digits that are right."""
        country, length = [("DE", 18), ("NL", 10), ("ES", 20)][number]
        account = "".join(self.chance.choices("0123456789", k=length))
        account = f"ABNA{account}" if country == "NL" else account
        check = 98 - int("".join(str(int(c, 36)) for c in f"{account}{country}00")) % 97
        text = f"{country}{check:02d}{account}"
        return text if number else " ".join(text[i : i + 4] for i in range(0, len(text), 4))

    def _ip(self, number: int) -> str:
        four = ".".join(str(self.chance.randint(11, 222)) for _ in range(4))
        six = ":".join(f"{self.chance.randint(4096, 65535):x}" for _ in range(8))
        return [four, f"{four}:8080", six][number]

    def _national_id(self, number: int) -> str:
        draw = self.chance.randint
        return [
            f"social security number {draw(101, 665)}-{draw(10, 99)}-{draw(1000, 9999)}",
            f"SSN {draw(101, 665)}-{draw(10, 99)}-{draw(1000, 9999)}",
        ][number]

    def _secret(self, number: int) -> str:
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        anything = letters + letters.lower() + "0123456789"

        def some(count: int, of: str = anything) -> str:
            return "".join(self.chance.choices(of, k=count))

        return [
            "AKIA" + some(16, letters + "234567"),
            "ghp_" + some(36),
            "sk-" + some(48),
            "-----BEGIN RSA " + "PRIVATE KEY-----\n" + some(64) + "\n-----END RSA " + "PRIVATE KEY-----",
            "xoxb-" + some(11, "123456789") + "-" + some(24),
            "eyJ" + some(33) + ".eyJ" + some(60) + "." + some(43),
            f"postgres://admin:{some(14)}@db.internal:5432/main",
        ][number]

    # ---------------------------------------------------------------------------------------- faults of whole files

    def label_row(self, place: int) -> Row:
        text = self.world.label_texts[place].format(n=self.number(), subject=self.chance.choice(self.world.subjects))
        extra = self.chance.choice(self.world.when)
        return chat_row(f"{text}, {extra}.", self.world.labels[place])

    def labels(self) -> Planted:
        """A classification: 250 clean rows, six labels spelled otherwise, two rows with another label each."""
        rows = [self.label_row(number % 5) for number in range(250)]
        file = Planted("labels", rows)
        labels = self.world.labels
        spellings = [
            labels[0].title(),
            labels[1].upper(),
            f"{labels[2]}.",
            f"{labels[3]} ",
            f'"{labels[1]}"',
            f"{labels[2]}!",
        ]
        for number, spelling in enumerate(spellings):
            row = self.label_row([0, 1, 2, 3, 1, 2][number])
            row["messages"][1]["content"] = spelling
            rows.append(row)
            file.faults.append(Fault("label_spelling", (len(rows),)))
        for number in range(2):
            line = 11 + 5 * number
            question = rows[line - 1]["messages"][0]["content"]
            rows.append(chat_row(question, labels[(line + 1) % 5]))
            file.faults.append(Fault("contradiction", (line, len(rows))))
        return file

    def extraction(self) -> Planted:
        """60 answers in JSON, four in words."""
        file = Planted("extraction", [self.json_row() for _ in range(60)])
        for number in range(4):
            row = self.json_row()
            found = json.loads(row["messages"][1]["content"])
            row["messages"][1]["content"] = f"The {found['item']} is {found['where']}, {found['count']} of them."
            line = 7 + 13 * number
            file.rows.insert(line - 1, row)
            file.faults.append(Fault("mixed_json", (line,)))
        return file

    def leaks(self) -> Planted:
        """Three test rows that stand in training too: as they are, in other case, with a word more."""
        file = Planted("leaks", [self.plain() for _ in range(80)])
        file.held_out = [self.plain() for _ in range(20)]
        for number, line in enumerate((9, 33, 71)):
            question, answer = (message["content"] for message in file.rows[line - 1]["messages"])
            file.held_out.append(
                [chat_row(question, answer), chat_row(question.upper(), answer), chat_row(question, f"Well, {answer}")][
                    number
                ]
            )
            file.faults.append(Fault("leak", (line,)))
        return file

    def one_subject(self) -> Planted:
        """Three of four rows are about one subject and say nearly the same."""
        subject = self.chance.choice(self.world.subjects)
        frame = self.world.frames[2].format(subject=subject, a="here", b="this", n=3)
        rows = [
            chat_row(
                f"What about the {subject} number {self.number()} {self.chance.choice(self.world.when)}?",
                f"The {subject} is fine. {frame} {self.say(subject, 2).split('.')[0]}.",
            )
            for _ in range(180)
        ]
        return Planted("one-subject", rows + [self.plain() for _ in range(60)], [Fault("one_subject")])

    def one_opener(self) -> Planted:
        """Nine of ten answers begin with the same words."""
        rows = [self.plain() for _ in range(200)]
        for row in rows[:180]:
            row["messages"][1]["content"] = self.world.opener + row["messages"][1]["content"]
        return Planted("one-opener", rows, [Fault("one_opener")])

    def few_words(self) -> Planted:
        """300 rows from a dozen words."""
        words = [word for subject in self.world.subjects[:3] for word in subject.split()] + ["is", "good", "for", "me"]
        rows = []
        for _ in range(300):
            asked, told = (" ".join(self.chance.choices(words, k=self.chance.randint(8, 14))) for _ in range(2))
            rows.append(chat_row(f"{asked}?", f"{told}."))
        return Planted("few-words", rows, [Fault("few_words")])

    def imbalance(self) -> Planted:
        """A class has 50 times the rows of another."""
        rows = [{**self.label_row(0), "category": self.world.labels[0]} for _ in range(400)]
        rows += [{**self.label_row(n), "category": self.world.labels[n]} for n in (1, 2) for _ in range(8 * n)]
        return Planted("imbalance", rows, [Fault("imbalance")])

    def tiny_class(self) -> Planted:
        """A class of one or two rows beside classes of 60."""
        rows = [{**self.label_row(n), "category": self.world.labels[n]} for n in (0, 1, 2) for _ in range(60)]
        rows += [{**self.label_row(3), "category": self.world.labels[3]} for _ in range(self.chance.randint(1, 2))]
        return Planted("tiny-class", rows, [Fault("tiny_class")])

    def refusal_share(self) -> Planted:
        """A third of the answers refuse."""
        rows = [self.plain() for _ in range(120)]
        rows += [chat_row(self.ask()[1], self.chance.choice(self.world.refusals)) for _ in range(60)]
        return Planted("refusal-share", rows, [Fault("refusal_share")])

    def clean_chat(self) -> Planted:
        return Planted("clean-chat", [self.plain() for _ in range(400)])

    def clean_labels(self) -> Planted:
        rows = [{**self.label_row(n), "category": self.world.labels[n]} for n in range(5) for _ in range(60)]
        return Planted("clean-labels", rows)


def main() -> None:
    """Writes a half into a folder."""
    name, folder = sys.argv[1:]
    for half in SEEDS:
        if half == name:
            print(*write(half, Path(folder)), sep="\n")


if __name__ == "__main__":
    main()
