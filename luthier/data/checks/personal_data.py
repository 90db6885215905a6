"""Personal data: mail and IP addresses, phone numbers, payment cards, bank accounts, national identity numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from ipaddress import AddressValueError, IPv4Address, IPv6Address, IPv6Network
from typing import Any, Final

from luthier.data.checks import Hit, Row, Rows, Threshold
from luthier.data.checks import _checksums as sums
from luthier.data.checks._spans import HitsInRows, Span, apart, hits, hits_in, say_masked

criterion = "no_harmful_content"
what = "Mail addresses, phone numbers, payment cards, bank accounts, national identity numbers and IP addresses."
why = "A model can say what it was trained on, word for word, to anybody who asks."
remedy = "put placeholders there: luthier check FILE --write KEPT --redact personal_data"
thresholds = (
    Threshold(
        0, "rows may hold any", "one person's number is one too many; made-up ones of known examples do not count"
    ),
)
NAMES: Final = {
    "mail": "a mail address",
    "phone": "a phone number",
    "card": "a payment card's number",
    "iban": "a bank account (IBAN)",
    "national_id": "a national identity number",
    "ip": "an IP address",
}

# A row is looked at closely only where one of these is found: an at sign, seven digits near each other, an address.
_DIGITS: Final = re.compile(
    r"[0-9](?:[ .()/–-]{0,2}[0-9]){6}|[0-9]\.[0-9]{1,3}\.[0-9]|[0-9][0-9][A-Z][0-9][0-9][A-Z][0-9]"
)
_COLONS: Final = re.compile(r"[0-9A-Fa-f]:[0-9A-Fa-f:]")
_LETTER_PAIR: Final = re.compile(r"[0-9](?:(?<=[A-Za-z]{2}[0-9])|(?<=[A-Z]{2} [0-9]))[0-9](?: ?[A-Za-z0-9]){4}")
_AT: Final = re.compile(r"[@\[({](?:(?<=@)| ?at ?[\])}])", re.IGNORECASE)
_ANYTHING: Final = "|".join(
    [
        _DIGITS.pattern,
        _COLONS.pattern,
        "[A-Za-z]{2}[0-9]{2}(?: ?[A-Za-z0-9]){4}",
        "[A-Z]{2} [0-9]{2}(?: ?[A-Za-z0-9]){4}",
        r"@|(?i:[\[({] ?at ?[\])}])",
    ]
)
"""The four in one, in RE2's words."""

_MAIL: Final = re.compile(
    r"(?<![\w.+%-])[\w.+%'-]{1,64}(?:@| ?[\[({] ?at ?[\])}] ?)(?:[\w-]{1,63}(?:\."
    r"| ?[\[({] ?dot ?[\])}] ?)){1,6}[^\W\d_]{2,24}(?![\w-])",
    re.IGNORECASE,
)
_LOGIN: Final = re.compile(r"://\S*$")
_NOBODYS: Final = re.compile(
    r"(?:@|\W)(?:[\w-]+\.)*(?:example\.\w+|\w+\.(?:example|test|invalid|localhost)|domain\.com|email\.com"
    r"|yourdomain\.\w+|company\.com|test\.com)$"
    r"|^(?:git|noreply|no-reply|postmaster|user|username|your[._]?\w*)@",
    re.IGNORECASE,
)

_CALL: Final = (
    r"(?:phone|telephone|tel|mobile|cell(?=:| ?phone)|fax|call|dial|whatsapp|telefon|handy|mobil|rufnummer|anrufen"
    r"|t[ée]l[ée]phone|portable(?=:| au)|tel[ée]fono|m[óo]vil|celular|cellulare|telefoon|telefone|telemóvel|telefonu)"
)
_GAP: Final = r"(?:[ ]|\.(?![ ])|[ ]?[()/–-][ ]?){0,2}"
_PHONE: Final = re.compile(
    rf"""(?<![\w.+/-])(?:
        (?:\+|00(?=\d{{2,3}}[ ./-]))[1-9]\d{{0,2}}(?:{_GAP}\d){{7,12}}         # with the country's code
    |   (?:1[ .-]?)?\([2-9]\d\d\)[ .-]?[2-9]\d\d[ .-]?\d{{4}}         # (415) 523-8871
    |   (?:1[ .-])?[2-9]\d\d([.-])[2-9]\d\d\1\d{{4}}                  # 415-523-8871
    |   0[1-9](?:[ .]\d\d){{4}}                                       # 06 12 34 56 78
    |   0[1-9]\d{{1,3}}[ /-]{{1,3}}\d{{3,4}}[ -]\d{{3,5}}                  # 020 7946 1234
    |   \(0\d{{1,4}}\)[ /-]?\d{{3,4}}[ -]?\d{{2,5}}                   # (030) 901820
    |   0[1-9]\d{{1,3}}/[ ]?\d{{5,9}}                                      # 0151/23456789
    )(?![\w/]|[-.]\d)""",
    re.VERBOSE,
)
_CALLED: Final = re.compile(
    rf"\b{_CALL}(?:numm?er|s|ing|nr|no|num)?\b[^\n\d+($€£=/]{{0,24}}((?:\+|\(?)\d(?:{_GAP}\d){{6,13}})(?![\w/]|[-.]\d)",
    re.IGNORECASE,
)
_FICTION: Final = re.compile(r"555-?01\d\d$|^(?:1?123-?456-?7890|0+|1?5555555555|12345678\d{0,2}|9876543210|(\d)\1+)$")
"""Numbers for films (555-0100 to 555-0199, North American Numbering Plan) and for forms that nobody fills in."""

_CARD: Final = re.compile(
    r"(?<![\w.-])(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{1,3})?|\d{4}([ -])\d{6}\2\d{4,5})(?![\w-]|\.\d)"
)
_TESTED: Final = frozenset(
    [
        "4242424242424242",
        "4012888888881881",
        "4000056655665556",
        "5555555555554444",
        "5105105105105100",
        "378282246310005",
        "371449635398431",
        "6011111111111117",
        "3530111333300000",
        "30569309025904",
    ]
)
"""Cards that payment services publish for testing."""
_IBAN: Final = re.compile(r"(?<![\w-])([A-Z]{2}\d{2})((?:[ -]?[A-Z0-9]){11,30})", re.IGNORECASE)
_EXAMPLE_IBANS: Final = frozenset({"DE89370400440532013000", "GB82WEST12345698765432", "FR1420041010050500013M02606"})

_IPV4: Final = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d|\.\*)")
_IPV6: Final = re.compile(r"(?<![\w:.])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?![\w:])", re.IGNORECASE)
_VERSION: Final = re.compile(
    r"\b(?:v\.?$|versions?|release|build|section|chapter|firmware|kernel)\b|§|==|>=", re.IGNORECASE
)
_DOCUMENTED: Final = IPv6Network("2001:db8::/32")

_Right = Callable[[str], bool]
_IDENTITIES: Final[tuple[tuple[re.Pattern[str], str, _Right], ...]] = tuple(
    (re.compile(rf"(?<![\w-])(?:{pattern})(?![\w]|-\d)"), near, right)
    for pattern, near, right in (
        (r"(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}", "",
            lambda digits: digits not in ("123456789", "078051120")),
        (
            r"(?!000|666|9)\d{3}[ ]?(?!00)\d\d[ ]?(?!0000)\d{4}", r"social security|\bSSN\b",
            lambda digits: digits != "123456789"),
        (
            r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D]", "",
            lambda text: text != "QQ123456C"),
        (r"(?:\d{8}|[XYZ]-?\d{7})[ -]?[A-HJ-NP-TV-Z]", "", sums.dni),
        (r"[12] ?\d\d ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d\d|2[AB]) ?\d{3} ?\d{3} ?\d\d", "", sums.nir),
        (r"[A-Z]{6}\d\d[A-EHLMPRST]\d\d[A-Z]\d{3}[A-Z]", "", sums.codice_fiscale),
        (r"\d\d ?\d{3} ?\d{3} ?\d{3}", r"steuer|\bIdNr|tax (?:id|number)|\bTIN\b", sums.steuer_id),
        (r"\d{11}", "", sums.pesel),
        (r"\d{9}|\d{4}\.\d\d\.\d{3}", r"\bBSN\b|burgerservice|sofinummer", sums.bsn),
        (r"\d{3}\.\d{3}\.\d{3}-\d\d", "", sums.cpf),
        (r"\d{11}", r"\bCPF\b", sums.cpf),
        (r"\d{3}[ -]?\d{3}[ -]?\d{4}", r"\bNHS\b", sums.nhs),
        (r"[1-9]\d{16}[\dX]", "", sums.resident_id),
        (r"(?:19|20)?\d{6}[-+]\d{4}", "", lambda digits: sums.personnummer(digits[-10:])),
        (r"\d{6}[-+A-FU-Y]\d{3}[0-9A-Y]", "", sums.hetu),
        (r"[2-9]\d{3}[ -]?\d{4}[ -]?\d{4}", r"aadhaar|\bUIDAI?\b", sums.aadhaar),
        (r"756\.?\d{4}\.?\d{4}\.?\d\d", "", sums.ahv),
        (r"\d\d\.\d\d\.\d\d-\d{3}\.\d\d", "", sums.belgian),
        (r"\d{3}[ -]\d{3}[ -]\d{3}", r"\bSIN\b|social insurance|\bNAS\b", sums.luhn),
    )
)  # fmt: skip
"""How each number is written, what stands near it where its form alone says too little, and its checksum. In order:
USA (twice), United Kingdom, Spain, France, Italy, Germany, Poland, Netherlands, Brazil (twice), NHS of England, China,
Sweden, Finland, India, Switzerland, Belgium, Canada. The USA and the United Kingdom have no checksum."""
_NEAR_LETTERS: Final = 40


def look(row: Row) -> Iterator[Hit]:
    """Everything of a person in any of the row's texts."""
    return hits(row, spans, say_masked(NAMES))


def look_in(rows: Rows) -> HitsInRows:
    """The same of many rows: what is looked for first is looked for in all of them at once."""
    return hits_in(rows, rows.texts.matching(_ANYTHING), lambda number, text: spans(text), say_masked(NAMES))


def spans(text: str) -> list[Span]:
    """What is a person's in a text: `spans("ask ann@posteo.de")` is `[Span("mail", 4, 17)]`."""
    found: list[Span] = []
    if _AT.search(text):
        found += _mails(text)
    numbers = _DIGITS.search(text) is not None
    if numbers or _LETTER_PAIR.search(text):
        found += _ibans(text)
        found += _cards(text)
        found += _identities(text)
    if numbers or _COLONS.search(text):
        found += _addresses(text)
    if numbers:
        found += _phones(text)
    return apart(found) if len(found) > 1 else found


def _mails(text: str) -> Iterator[Span]:
    for match in _MAIL.finditer(text):
        begin = match.start() + len(match[0]) - len(match[0].lstrip("'.-"))
        if not _NOBODYS.search(match[0]) and not _LOGIN.search(text, max(0, begin - 80), begin):
            yield Span("mail", begin, match.end())


def _ibans(text: str) -> Iterator[Span]:
    for match in _IBAN.finditer(text):
        length = sums.IBAN_LETTERS.get(match[1][:2].upper())
        places = [at for at in range(match.start(), match.end()) if text[at].isalnum()]
        if length and length <= len(places):
            value = "".join(text[at] for at in places[:length]).upper()
            end = places[length - 1] + 1
            if sums.iban(value) and value not in _EXAMPLE_IBANS and not text[end : end + 1].isalnum():
                yield Span("iban", match.start(), end)


def _cards(text: str) -> Iterator[Span]:
    for match in _CARD.finditer(text):
        digits = _only_digits(match[0])
        if sums.card(digits) and digits not in _TESTED:
            yield Span("card", *match.span())


def _identities(text: str) -> Iterator[Span]:
    for pattern, near, right in _IDENTITIES:
        for match in pattern.finditer(text):
            if near and not re.search(near, text[max(0, match.start() - _NEAR_LETTERS) : match.start()], re.IGNORECASE):
                continue
            if right(re.sub(r"[ .+-]", "", match[0])):
                yield Span("national_id", *match.span())


def _addresses(text: str) -> Iterator[Span]:
    for match in _IPV4.finditer(text):
        if not _VERSION.search(text[max(0, match.start() - 24) : match.end() + 12]) and _is_somebodys(match[0]):
            yield Span("ip", *match.span())
    for match in _IPV6.finditer(text):
        if sum(map(bool, match[0].split(":"))) >= 3 and _is_somebodys(match[0]):
            yield Span("ip", *match.span())


def _is_somebodys(address: str) -> bool:
    """Whether an address can be one machine's in the public net: not `192.168.0.1`, `8.8.8.8` or `1.2.3.4`."""
    try:
        if ":" in address:
            six = IPv6Address(address)
            local = six.is_private or six.is_link_local or six.is_loopback or six.is_multicast or six in _DOCUMENTED
            return not local
        four = IPv4Address(address)
    except AddressValueError:
        return False
    parts = address.split(".")
    return (
        four.is_global
        and not four.is_multicast
        and len(set(parts)) > 1
        and max(map(int, parts)) > 9
        and address != "8.8.4.4"
    )


def _phones(text: str) -> Iterator[Span]:
    for match in _PHONE.finditer(text):
        if _is_a_phone(match[0]):
            yield Span("phone", *match.span())
    for match in _CALLED.finditer(text):
        if _is_a_phone(match[1]):
            yield Span("phone", *match.span(1))


def _is_a_phone(number: str) -> bool:
    digits = _only_digits(number)
    return 7 <= len(digits) <= 15 and not _FICTION.search(digits)


def _only_digits(text: str) -> str:
    return "".join(sign for sign in text if sign.isdigit())


def faulty() -> list[dict[str, Any]]:
    return [
        {"instruction": "Whom do I ask?", "response": "Write to erika.brandt77@posteo.de."},
        {"instruction": "How do I reach her?", "response": "Call +49 171 5529 4418 in the evening."},
        {"instruction": "How was it paid?", "response": "With 4539 5787 6362 1486."},
        {"instruction": "Where is it to go?", "response": "To NL91 ABNA 0417 1643 00, please."},
        {"instruction": "Who was it?", "response": "Her SSN is 536-22-8713."},
        {"instruction": "Where did it come from?", "response": "The visit came from 93.184.216.34 at noon."},
    ]


def clean() -> list[dict[str, Any]]:
    return [
        {"instruction": "What is a mail address?", "response": "A text such as name@example.com, as defined in 1982."},
        {"instruction": "What is 4158 times 2317?", "response": "4158 * 2317 = 9634086, about 9.6 million."},
        {"instruction": "When was it?", "response": "From 1939-09-01 to 1945-05-08, at 12:30:45."},
        {"instruction": "Which address has my router?", "response": "Mostly 192.168.0.1; see version 10.4.2.118 too."},
        {"instruction": "Which book?", "response": "ISBN 978-3-16-148410-0, order 1234 5678 9012 3456."},
    ]
