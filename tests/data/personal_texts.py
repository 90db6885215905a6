"""Texts in which people leave their data, made by a seeded generator that knows nothing of the check's patterns.

Each text holds one value at a known place, or none: then it holds numbers and signs that look like one.
"""

from __future__ import annotations

import random
import string
from dataclasses import dataclass
from functools import partial


@dataclass(frozen=True, slots=True)
class Text:
    """`kind` is what `content[begin:end]` is; "" where the text holds nothing of anybody."""

    content: str
    kind: str = ""
    begin: int = 0
    end: int = 0


FIRST = ("maria", "Jonas", "li.wei", "OLGA", "fatima", "sven-erik", "chloe", "raj", "noor", "tomek")
LAST = ("keller", "okafor", "dasilva", "Lindqvist", "petrov", "haddad", "mcbride", "yamada", "rossi", "dubois")
HOSTS = (
    "gmail.com",
    "web.de",
    "orange.fr",
    "mail.ru",
    "uni-bonn.de",
    "bbc.co.uk",
    "telefonica.es",
    "icloud.com",
    "qq.com",
)
FRAMES = {
    "mail": ("Send the invoice to {}.", "my address is {}, thanks", "<{}>", "Kontakt: {}\nGruß", "{}", "cc {};",
    '"{}"'),
    "phone": ("Our phone is {}.", "call me on {} tomorrow", "Tel.: {}", "Meine Handynummer: {}", "mobile {}, please",
    "Téléphone {}"),
    "card": ("Charge {} for it.", "the card {} was refused", "Kartennummer {}, gültig bis 09/29", "{}",
    "CC: {} CVV 331"),
    "iban": ("Transfer it to {}.", "IBAN: {}", "Konto {}, danke", "the account {} belongs to her", "({})"),
    "national_id": ("{}", "it says {} there", "ref {}, born in Turin", "ID: {}."),
    "ip": ("login from {}", "The client {} sent two packets.", "[{}] GET /index.html", "blocked {} twice", "IP={}"),
}  # fmt: skip
NOTHING = (
    "In {y} they sold {n} units, {m} more than in {z}.", "The ratio is {n}:{m}, so {n}/{m} of it.",
    "ISBN 978-0-{n}-{m}-1",
    "version {a}.{b}.{c}.{a}", "from {y}-0{a}-1{b} to {z}-0{b}-2{c}", "order {n}{m}, parcel {m}-{n}",
    "{n} * {m} = {n}{m}",
    "@{w} said so on page {n}", "pi is 3.14159265{n}", "at 1{a}:3{b}:2{c} we met", "std::{w}::{w}() and a[{a}:{b}]",
    "the score was {a}-{b}, {b}-{c} and {c}-{a}", "${n},{m}.00 a year", "lot {n} {m} of {y}", "see RFC {n} and RFC {m}",
    "at {a}.{b} km, then {n}.{m} km", "{w}@ {w}", "192.168.{a}.{b} is the printer", "write to user@example.com",
    "coordinates 52.{n}, 13.{m}", "{n} {m} {y}", "f({a}, {b}) = {n}", "model XR{n}-{m}", "chapter {a}.{b}.{c}",
    "3 + 4 = 7, and 12 x 12 = 144", "the {y}/{z} season",
)  # fmt: skip


def texts(seed: int, each: int, nothing: int) -> list[Text]:
    """`each` texts of every kind and `nothing` without any, in any order."""
    chance = random.Random(seed)
    made = [_text(chance, kind) for kind in FRAMES for _ in range(each)]
    made += [Text(_nothing(chance)) for _ in range(nothing)]
    chance.shuffle(made)
    return made


def _text(chance: random.Random, kind: str) -> Text:
    value, near = _value(chance, kind)
    before, after = chance.choice(FRAMES[kind]).split("{}")
    before += f"{near} " if near else ""
    if chance.random() < 0.5:
        before = f"{_nothing(chance)}\n{before}"
    if chance.random() < 0.5:
        after = f"{after} And then: {_nothing(chance)}"
    return Text(before + value + after, kind, len(before), len(before) + len(value))


def _value(chance: random.Random, kind: str) -> tuple[str, str]:
    """A value, and a word that stands before it where the form alone says too little."""
    if kind == "mail":
        first, last, number = (
            chance.choice(FIRST),
            chance.choice(LAST),
            chance.choice(("", "", str(chance.randint(1, 99)))),
        )
        name = chance.choice((f"{first}.{last}{number}", f"{first}{number}", f"{last}_{first}", f"{first}+{last}"))
        at = chance.choice(("@", "@", "@", "@", " [at] "))
        return f"{name}{at}{chance.choice(HOSTS)}", ""
    if kind == "phone":
        return _phone(chance), ""
    if kind == "card":
        return _card(chance), ""
    if kind == "iban":
        return _iban(chance), ""
    if kind == "ip":
        return _ip(chance), ""
    return _identity(chance)


def _digits(chance: random.Random, count: int) -> str:
    return "".join(chance.choices(string.digits, k=count))


def _high(chance: random.Random, count: int) -> str:
    return "".join(chance.choices("23456789", k=count))


def _phone(chance: random.Random) -> str:
    """As people of the USA, Germany, France, Britain, Spain, India, Sweden, Brazil, Japan, Poland write theirs."""
    d, h = partial(_digits, chance), partial(_high, chance)
    return chance.choice((
        f"({h(3)}) {h(3)}-{d(4)}", f"{h(3)}-{h(3)}-{d(4)}", f"+1 {h(3)} {h(3)} {d(4)}", f"{h(3)}.{h(3)}.{d(4)}",
        f"+49 17{d(1)} {h(1)}{d(6)}", f"0{h(2)}1 {h(3)}{d(4)}", f"+49 (0) {h(2)} {h(1)}{d(5)}",
        f"0{h(2)}1/{h(3)}{d(3)}",
        f"06 {d(2)} {d(2)} {d(2)} {d(2)}", f"+33 6 {d(2)} {d(2)} {d(2)} {d(2)}", f"020 7{d(3)} {d(4)}",
        f"+44 7{h(3)} {d(6)}",
        f"6{d(2)} {d(3)} {d(3)}", f"+34 91{d(1)} {d(2)} {d(2)} {d(2)}", f"+91 9{d(4)} {d(5)}",
        f"+46 70-{d(3)} {d(2)} {d(2)}",
        f"+55 11 9{d(4)}-{d(4)}", f"+81-90-{h(4)}-{d(4)}", f"+48 5{d(2)} {d(3)} {d(3)}", f"00{h(2)} {h(3)} {d(6)}",
    ))  # fmt: skip


def _card(chance: random.Random) -> str:
    start, length = chance.choice(
        (("4", 16), ("4", 16), ("52", 16), ("2345", 16), ("37", 15), ("6011", 16), ("62", 16))
    )
    number = start + _digits(chance, length - 1 - len(start))
    # By hand: the digit that makes the sum, every second digit doubled, a multiple of ten.
    for last in string.digits:
        total = 0
        for place, sign in enumerate(reversed(number + last)):
            value = int(sign) * 2 if place % 2 else int(sign)
            total += value // 10 + value % 10
        if total % 10 == 0:
            number += last
            break
    mark = chance.choice(("", " ", "-"))
    groups = (4, 10, 15) if length == 15 else (4, 8, 12, 16)
    return mark.join(number[a:b] for a, b in zip((0, *groups), groups, strict=False))


def _iban(chance: random.Random) -> str:
    country, rest = chance.choice((
        ("DE", _digits(chance, 18)), ("FR", _digits(chance, 23)), ("GB", "NWBK" + _digits(chance, 14)), ("ES",
        _digits(chance, 20)),
        ("IT", "X" + _digits(chance, 22)), ("NL", "INGB" + _digits(chance, 10)), ("CH", _digits(chance, 17)), ("PL",
        _digits(chance, 24)),
        ("AT", _digits(chance, 16)), ("NO", _digits(chance, 11)), ("MT", "MALT" + _digits(chance, 23)),
    ))  # fmt: skip
    numeral = "".join(str(string.digits.find(s)) if s.isdigit() else str(ord(s) - 55) for s in f"{rest}{country}00")
    whole = f"{country}{98 - int(numeral) % 97:02d}{rest}"
    if chance.random() < 0.6:
        whole = " ".join(whole[i : i + 4] for i in range(0, len(whole), 4))
    return whole if chance.random() < 0.9 else whole.lower()


def _ip(chance: random.Random) -> str:
    if chance.random() < 0.7:
        first = chance.choice((23, 46, 81, 93, 140, 176, 188, 203, 217))
        return ".".join(map(str, [first, *(chance.randint(1, 250) for _ in range(3))]))
    groups = [f"{chance.randint(1, 65535):x}" for _ in range(5)]
    start = chance.choice(("2a02", "2001:4860", "2607:f8b0"))
    if chance.random() < 0.5:
        return f"{start}:{':'.join(groups[:2])}::{groups[3]}"
    return ":".join([*start.split(":"), *groups, "1a", "2", "9"][:8])


def _identity(chance: random.Random) -> tuple[str, str]:
    """Numbers of the USA, Britain, Spain, France, Italy, Poland, Brazil, the Netherlands, Sweden, each by its law."""
    d = partial(_digits, chance)
    year, month, day = chance.randint(40, 99), chance.randint(1, 12), chance.randint(1, 28)
    kind = chance.randrange(9)
    if kind == 0:
        return f"{chance.randint(101, 665)}-{chance.randint(10, 99)}-{chance.randint(1000, 9999)}", ""
    if kind == 1:
        mark = chance.choice(("", " "))
        return mark.join([chance.choice(("AB", "JK", "PT", "WE")), d(2), d(2), d(2), chance.choice("ABCD")]), ""
    if kind == 2:
        number = chance.randint(10_000_000, 99_999_999)
        return f"{number}{'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23]}", ""
    if kind == 3:
        body = f"{chance.choice('12')}{year}{month:02d}{chance.randint(10, 95)}{d(3)}{chance.randint(1, 999):03d}"
        return f"{body}{97 - int(body) % 97:02d}", ""
    if kind == 4:
        return chance.choice(("RSSMRA85T10A562S", "MRTMTT91D08F205J", "MLLSNT82P65Z404U")), ""
    if kind == 5:
        body = f"{year}{month:02d}{day:02d}{d(4)}"
        total = sum(int(s) * w for s, w in zip(body, (1, 3, 7, 9) * 3, strict=False))
        return f"{body}{-total % 10}", "PESEL"
    if kind == 6:
        body = _digits(chance, 8) + "1"
        for start in (10, 11):
            rest = sum(int(s) * w for s, w in zip(body, range(start, 1, -1), strict=False)) % 11
            body += str(0 if rest < 2 else 11 - rest)
        return f"{body[:3]}.{body[3:6]}.{body[6:9]}-{body[9:]}", ""
    if kind == 7:
        while True:
            body = str(chance.randint(1, 9)) + d(7)
            rest = sum(int(s) * w for s, w in zip(body, range(9, 1, -1), strict=False)) % 11
            if rest < 10:
                return f"{body}{rest}", "BSN"
    body = f"{year}{month:02d}{day:02d}{d(3)}"
    total = sum(sum(divmod(int(s) * (2 - place % 2), 10)) for place, s in enumerate(body))
    return f"{body[:6]}-{body[6:]}{-total % 10}", ""


def _nothing(chance: random.Random) -> str:
    return chance.choice(NOTHING).format(
        y=chance.randint(1850, 2030), z=chance.randint(1850, 2030), n=chance.randint(10, 9999), m=chance.randint(10,
        9999),
        a=chance.randint(1, 9), b=chance.randint(1, 9), c=chance.randint(1, 9), w=chance.choice(("vector", "anna",
        "map", "news")),
    )  # fmt: skip
