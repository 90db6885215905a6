"""Names and addresses of people, by lists of first names and by how streets are written; with `--deep` alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from luthier.data.checks import Hit, Row, Threshold
from luthier.data.checks._first_names import FIRST_NAMES
from luthier.data.checks._spans import Span, apart, hits

criterion = "no_harmful_content"
what = "Full names of people, names that somebody is introduced or addressed by, and street addresses."
why = "With a name beside it, what a row tells is told about somebody."
remedy = (
    "see whether they are people of public life; else: luthier check FILE --write KEPT --redact names_and_addresses"
)
deep = True
leaves_out = False
tolerated = 0.02
thresholds = (
    Threshold(
        tolerated, "of the rows may hold any", "people of history and of novels have names as well, and are let pass so"
    ),
)
NAMES: Final = {"name": "a person's name", "address": "an address"}
"""Not found: names without a first name of the list, an introduction or a title; names in other than Latin letters and
in lower case; addresses without a street or a house number."""

_CAPITAL: Final = r"[A-ZÀ-ÖØ-ÞŁŚŻŽČŠĐİ]"
_SURNAME: Final = (
    rf"(?:(?:van|von|de|di|da|del|della|der|den|dos|du|la|le|el|al|bin|ben|ibn|ter|zu|y|e|Mc|Mac|O['’])[ ]?){{0,2}}"
    rf"(?:Mc|Mac|O['’]|D['’]|al-|El-)?{_CAPITAL}[a-zà-öø-ÿąćęłńóśźżăâîșțčšžđğışőűřěů'’]+(?:-{_CAPITAL}[\w'’]+)?"
)
_WORD: Final = re.compile(rf"(?<![\w@/.-])({_CAPITAL}[\w'’-]+)(?=[ ])")
_FULL: Final = re.compile(rf"({_CAPITAL}[\w'’-]+)(?: (?:{_CAPITAL}\.|{_CAPITAL}[\w'’-]+))? ({_SURNAME})(?![\w])")
_TITLED: Final = re.compile(
    r"\b(?:Mr|Mrs|Ms|Miss|Dr|Prof|Professor|Sir|Dear|Herrn?|Frau|Monsieur|Madame|Mme|Señora?|Sra?|Signora?|Sig|Pan|Pani"
    rf"|Liebe[r]?|Hallo|Cher|Chère|Estimad[oa]|Caro|Cara)\b\.? (?:(?:Dr|Prof|Mr|Mrs|Ms|Herr"
    rf"|Frau)\.? )?({_SURNAME}(?: {_SURNAME})?)"
)
_INTRODUCED: Final = re.compile(
    r"\b(?:[Mm]y name is|[Mm]y name['’]s|I am called|[Nn]ame ?:|[Nn]amed|[Ss]igned,?|[Rr]egards,"
    r"|[Ss]incerely,|[Yy]ours,|[Ii]ch hei(?:ß|ss)e|[Mm]ein Name ist"
    r"|[Jj]e m['’]appelle|[Mm]i nombre es|[Mm]e llamo|[Mm]i chiamo|[Nn]azywam się|[Mm]eu nome é|[Cc]ustomer"
    r"|[Pp]atient|[Ee]mployee|[Tt]enant|[Cc]lient)"
    rf"\s+({_SURNAME}(?: {_SURNAME}){{0,2}})"
)
_NO_NAMES: Final = frozenset(
    [
        "The",
        "This",
        "That",
        "There",
        "These",
        "Those",
        "And",
        "But",
        "For",
        "With",
        "From",
        "Not",
        "Sir",
        "Madam",
        "All",
        "Team",
        "Friend",
        "Customer",
        "Street",
        "Avenue",
        "Road",
        "City",
        "University",
        "River",
        "Lake",
        "Mount",
        "North",
        "South",
        "East",
        "West",
        "New",
        "Day",
        "Park",
        "School",
        "Company",
        "Inc",
        "Ltd",
        "Bank",
        "Island",
        "County",
        "Church",
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
        "Monday",
        "Tuesday",
        "Wednesday",
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
        "Hiring",
        "Manager",
        "Doctor",
        "Santa",
        "Claus",
        "Support",
        "Service",
        "Is",
        "Was",
        "Has",
        "Will",
        "Can",
    ]
)
_STREET: Final = (
    r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Place|Pl|Square|Sq|Terrace|Way"
    r"|Close|Crescent"
    r"|Highway|Hwy|Parkway|Pkwy|Circle|Row|Mews|Grove|Gardens|Hill)"
)
_PLACE: Final = rf"(?:,?\s+\d{{4,5}}(?:-\d{{3,4}})? {_CAPITAL}[\w'’.-]+(?: {_CAPITAL}[\w'’-]+)?)?"
_ADDRESSES: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\b\d{{1,5}}[A-Za-z]? (?:[NSEW]\.? )?(?:(?:{_CAPITAL}[\w'’-]+|\d+(?:st|nd|rd"
        rf"|th)) ){{1,3}}{_STREET}\b\.?(?:,? (?:Apt|Suite|Unit|Flat|#)\.? ?\w+)?"
        rf"(?:,\s+{_CAPITAL}[\w'’. -]{{2,30}}?(?:, [A-Z]{{2}} \d{{5}}(?:-\d{{4}})?"
        rf"|,? [A-Z]{{1,2}}\d[A-Z\d]? ?\d[A-Z]{{2}}))?",
        rf"\b(?:{_CAPITAL}[\wäöüß-]*(?:stra(?:ß|ss)e|str\.|weg|gasse|platz|allee|ring|ufer|damm|hof|steig"
        rf"|markt|straat|laan|plein|gracht)|(?:Am|An der|Auf dem|Im|Unter den|Zur|Zum) {_CAPITAL}[\wäöüß-]+"
        rf"|{_CAPITAL}[\wäöüß-]+(?: |-)(?:Straße|Strasse|Str\.|Weg|Allee|Platz"
        rf"|Ring)) \d{{1,4}} ?[a-z]?\b{_PLACE}",
        rf"\b\d{{1,4}}(?: ?(?:bis|ter))?,? (?:rue|avenue|boulevard|bd|place|quai|impasse|allée|chemin|cours) "
        rf"(?:(?:de la|de l['’]|des|du|de|d['’]) ?)?{_CAPITAL}?[\w'’éèêàçôî-]+"
        rf"(?: {_CAPITAL}[\w'’éèêàçôî-]+){{0,2}}{_PLACE}",
        rf"\b(?:[Cc]alle|[Cc]/|[Aa]venida|[Aa]vda\.|[Pp]laza|[Pp]aseo|[Vv]ia|[Vv]iale|[Pp]iazza|[Cc]orso"
        rf"|[Rr]ua|[Tt]ravessa|[Uu]l\.|[Uu]lica|[Aa]l\.|[Aa]leja) (?:(?:de la|de los|del|de|dei|della|da|do"
        rf"|dos) )?{_CAPITAL}[\w'’áéíóúñąćęłńóśźż-]+(?: {_CAPITAL}[\w'’áéíóúñąćęłńóśźż-]+){{0,2}},? "
        rf"(?:n[.ºo°]{{1,2}} ?)?\d{{1,4}}[a-z]?\b{_PLACE}",
        r"\bP\.? ?O\.? Box \d{1,6}\b|\bPostfach \d{2,6}\b|\bBP \d{2,5}\b",
    )
)


def look(row: Row) -> Iterator[Hit]:
    """Each name and address, told whole: it has to be looked at."""
    return hits(
        row, spans, lambda span, text, where: f"{where} holds {NAMES[span.kind]}: `{text[span.begin : span.end]}`"
    )


def spans(text: str) -> list[Span]:
    """`spans("my name is Erika Brandt")` is `[Span("name", 11, 23)]`."""
    found = [Span("address", *match.span()) for pattern in _ADDRESSES for match in pattern.finditer(text)]
    for pattern in (_INTRODUCED, _TITLED):
        found += [
            Span("name", *match.span(1)) for match in pattern.finditer(text) if not _NO_NAMES & {*match[1].split()}
        ]
    for word in _WORD.finditer(text):
        if word[1].casefold() in FIRST_NAMES or word[1].split("-")[0].casefold() in FIRST_NAMES:
            full = _FULL.match(text, word.start())
            if full and not _NO_NAMES & {*full[0].split()}:
                found.append(Span("name", *full.span()))
    return apart(found)


def faulty() -> list[dict[str, Any]]:
    return [
        {"instruction": "Who is it?", "response": "The form was sent in by Maria Keller of the third floor."},
        {"instruction": "Where to?", "response": "Send it to 42 Maple Street, please."},
        {"instruction": "Wohin?", "response": "In die Lindenstraße 12, 50674 Köln."},
    ]


def clean() -> list[dict[str, Any]]:
    return [
        {"instruction": "Where is it?", "response": "In New York, near the East River, on the third floor."},
        {"instruction": "When?", "response": "On Monday, March 3, the Grand Hotel opens. Dear Sir or Madam is old."},
        {"instruction": "How many?", "response": "About 42 people walked down the street in May."},
    ]
