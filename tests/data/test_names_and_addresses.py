"""Names and addresses: recall by class, on texts by a seeded generator whose names were not looked up in it."""

from __future__ import annotations

import random
from collections import Counter

from luthier.data.checks.names_and_addresses import spans

ENOUGH = 0.7
FIRST = [
    "Jessica",
    "Tyrone",
    "Beatrix",
    "Ludwig",
    "Hannelore",
    "Sigrid",
    "Étienne",
    "Margaux",
    "Solène",
    "Íñigo",
    "Pilar",
    "Rocío",
    "Gianluca",
    "Ornella",
    "Zbigniew",
    "Jadwiga",
    "Anil",
    "Deepika",
    "Tunde",
    "Folake",
    "Ines",
    "Björn",
    "Maria",
    "Thomas",
    "Anna",
    "Peter",
    "Sarah",
    "Ahmed",
    "Fatima",
    "Carlos",
    "Lucia",
    "Giulia",
    "Marek",
    "Katarzyna",
    "Sven",
    "Priya",
    "Emeka",
    "Julia",
    "David",
    "Nicole",
    "Laura",
    "Michael",
    "Sandra",
    "Pierre",
    "Camille",
    "Javier",
    "Elena",
    "Marco",
    "Paola",
    "Piotr",
]
LAST = [
    "Thompson",
    "Okonkwo",
    "Vandermeer",
    "Schwarzkopf",
    "Lindner",
    "Möller",
    "Lefèvre",
    "Charpentier",
    "Quintana",
    "Echeverría",
    "Bianchi",
    "Esposito",
    "Kowalczyk",
    "Wiśniewska",
    "Sharma",
    "Iyer",
    "Adeyemi",
    "Haddad",
    "Petersen",
    "Johansson",
    "Brown",
    "Carter",
    "Hughes",
    "Weber",
    "Moreau",
    "Torres",
    "Conti",
]
INTRODUCED = (
    "My name is {}.",
    "Best regards,\n{}",
    "Ich heiße {} und wohne hier.",
    "Je m'appelle {}.",
    "Customer: x\nName: {}",
    "Dear Mr. {},",
)
BARE = (
    "The parcel was sent to {} on Friday.",
    "{} called twice about the invoice.",
    "We spoke with {} last week.",
    "Ask {}, she knows.",
)
ADDRESSES = {
    "USA and Britain": (
        "{n} {w} Street",
        "{n} {w} Avenue, Apt 4",
        "{n} North {w} Road",
        "{n} {w} Lane, Springfield, IL 62704",
        "{n} {w} Close",
    ),
    "Germany and Austria": (
        "{w}straße {n}",
        "{w}weg {n}",
        "{w}gasse {n}",
        "Am {w}platz {n}",
        "{w}er Allee {n}",
        "{w}str. {n}, 50674 Köln",
    ),
    "France": ("{n} rue de {w}", "{n}, avenue {w}", "{n} bis boulevard {w}", "{n} place du {w}, 75011 Paris"),
    "Spain and Italy": ("Calle {w} {n}", "Avenida de {w}, {n}", "Via {w} {n}", "Piazza {w}, {n}", "C/ {w} {n}"),
    "Poland": ("ul. {w}a {n}", "al. {w}a {n}"),
}
WORDS = ("Maple", "Linden", "Garten", "Victor", "Colon", "Mozart", "Garibaldi", "Kościuszk", "Chopin", "Wilson")
FRAMES = ("I live at {}.", "Ship it to {} please", "The flat in {} is empty.", "Adresse: {}")


def made(seed: int) -> list[tuple[str, str, str]]:
    """(class, text, value), 100 of each class."""
    chance = random.Random(seed)
    texts = []
    for _ in range(100):
        name = f"{chance.choice(FIRST)} {chance.choice(LAST)}"
        texts += [
            (kind, chance.choice(frames).format(name), name)
            for kind, frames in (("introduced name", INTRODUCED), ("bare name", BARE))
        ]
        for kind, shapes in ADDRESSES.items():
            value = chance.choice(shapes).format(n=chance.randint(1, 240), w=chance.choice(WORDS))
            texts.append((kind, chance.choice(FRAMES).format(value), value))
    return texts


def test_seven_of_ten_names_and_addresses_are_found() -> None:
    found, of = Counter[str](), Counter[str]()
    named, right = Counter[str](), Counter[str]()
    for kind, text, value in made(seed=11):
        of[kind] += 1
        for span in spans(text):
            named[span.kind] += 1
            meant = span.kind == ("name" if kind.endswith("name") else "address")
            right[span.kind] += meant and span.begin < text.index(value) + len(value) and span.end > text.index(value)
        begin = text.index(value)
        found[kind] += any(
            (span.begin <= begin + 2 and span.end >= begin + len(value) - 2)
            or (span.begin >= begin and span.end <= begin + len(value) and span.end - span.begin >= len(value) / 2)
            for span in spans(text)
        )
    print({kind: f"{found[kind]} of {many}" for kind, many in of.items()})
    print({kind: f"{right[kind]} of {many} named are some" for kind, many in named.items()})
    assert found.total() / of.total() >= ENOUGH
    assert right.total() / named.total() >= ENOUGH
