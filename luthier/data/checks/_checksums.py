"""Checksums of numbers that name a person: whether the digits of a card, an account or an identity can be right."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Final

IBAN_LETTERS: Final = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15,
    "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24, "SI": 19,
    "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}  # fmt: skip
"""How many letters and digits an IBAN has by country (ISO 13616, SWIFT's registry)."""
_CARDS: Final = re.compile(
    r"4\d{15}(?:\d{3})?|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}"
    r"|3(?:0[0-5]|[689]\d)\d{11}|(?:6011|65\d\d|64[4-9]\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14}|(?:50|5[6-8]|6[37])\d{14}"
)
"""Beginnings and lengths of Visa, Mastercard, American Express, Diners, Discover, JCB, UnionPay and Maestro."""
_DNI: Final = "TRWAGMYFPDXBNJZSQVHLCKE"
_ODD: Final = dict(
    zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", (
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10,
        22, 25, 24, 23,
    ), strict=True)
)  # fmt: skip
"""The values of letters and digits in the odd places of an Italian codice fiscale (decree of 23 December 1976)."""


def luhn(digits: str) -> bool:
    """Every second digit from the right doubled, all digits added: a multiple of 10. `79927398713` is one."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 * (value > 9)
    return total % 10 == 0


def card(digits: str) -> bool:
    """A length and beginning that a brand has, and a right checksum."""
    return _CARDS.fullmatch(digits) is not None and len(set(digits[1:])) > 1 and luhn(digits)


def iban(text: str) -> bool:
    """The first four letters moved behind, letters as two digits (A is 10): 1 modulo 97 (ISO 7064)."""
    if IBAN_LETTERS.get(text[:2]) != len(text):
        return False
    return int("".join(str(int(sign, 36)) for sign in text[4:] + text[:4])) % 97 == 1


def weighed(digits: str, weights: Sequence[int]) -> int:
    """The sum of the digits, each by its weight: `weighed("123", (1, 2, 3))` is 14."""
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def dni(text: str) -> bool:
    """Spain's DNI and NIE: the letter is that of the number modulo 23; X, Y, Z before an NIE count as 0, 1, 2."""
    number = text[:-1].translate({ord("X"): "0", ord("Y"): "1", ord("Z"): "2"})
    return _DNI[int(number) % 23] == text[-1]


def codice_fiscale(text: str) -> bool:
    even = sum(int(sign) if sign.isdigit() else ord(sign) - ord("A") for sign in text[1:15:2])
    return (even + sum(_ODD[sign] for sign in text[:15:2])) % 26 == ord(text[15]) - ord("A")


def nir(text: str) -> bool:
    """France's social security number: its key is 97 less the number modulo 97; Corsica's 2A and 2B count 19 and 18."""
    number = int(text[:13].replace("2A", "19").replace("2B", "18"))
    return 97 - number % 97 == int(text[13:]) and 1 <= int(text[3:5]) <= 42


def steuer_id(digits: str) -> bool:
    """Germany's tax number: ISO 7064 modulo 11, 10; among the first ten digits one stands twice or three times."""
    product = 10
    for digit in digits[:10]:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return digits[0] != "0" and len(set(digits[:10])) in (8, 9) and (11 - product) % 10 == int(digits[10])


def pesel(digits: str) -> bool:
    """Poland's number: a date of birth, with the century in the month, and a sum by 1, 3, 7, 9."""
    month = int(digits[2:4])
    century = {0: 1900, 1: 2000, 2: 2100, 3: 2200, 4: 1800}[month // 20]
    right = _is_date(century + int(digits[:2]), month % 20, int(digits[4:6]))
    return right and (weighed(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) + int(digits[10])) % 10 == 0


def bsn(digits: str) -> bool:
    """The Netherlands' number: the sum by 9, 8, ... 2, -1 is a multiple of 11."""
    return int(digits) > 0 and weighed(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def cpf(digits: str) -> bool:
    """Brazil's number: each of the last two digits is 10 times a sum by 10, 9, ... modulo 11 and 10."""
    if len(set(digits)) == 1:
        return False
    return all(weighed(digits[:n], range(n + 1, 1, -1)) * 10 % 11 % 10 == int(digits[n]) for n in (9, 10))


def nhs(digits: str) -> bool:
    """The number of England's health service: 11 less a sum by 10, 9, ... 2 modulo 11."""
    return (11 - weighed(digits[:9], range(10, 1, -1)) % 11) % 11 == int(digits[9])


def resident_id(text: str) -> bool:
    """China's number: a date of birth and ISO 7064 modulo 11, 2."""
    sign = "10X98765432"[weighed(text, (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)) % 11]
    return sign == text[17] and _is_date(int(text[6:10]), int(text[10:12]), int(text[12:14]))


def personnummer(digits: str) -> bool:
    """Sweden's number, the last ten of its digits: a date of birth (the day plus 60 for some) and Luhn's sum."""
    return luhn(digits) and _is_date(2000 + int(digits[:2]), int(digits[2:4]), (int(digits[4:6]) - 1) % 60 + 1)


def hetu(text: str) -> bool:
    """Finland's code: a date of birth, three digits, and the sign of both modulo 31."""
    day, month, year = int(text[:2]), int(text[2:4]), int(text[4:6])
    sign = "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(text[:6] + text[-4:-1]) % 31]
    return sign == text[-1] and _is_date(2000 + year, month, day)


def aadhaar(digits: str) -> bool:
    """India's number: Verhoeff's scheme, a checksum over the symmetries of a pentagon."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit)
        for _ in range(place % 8):
            value = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)[value]
        check = _turned(check, value)
    return check == 0


def ahv(digits: str) -> bool:
    """Switzerland's number is an EAN-13: the digits by 1 and 3 in turn add up to a multiple of 10."""
    return weighed(digits, (1, 3) * 6 + (1,)) % 10 == 0


def belgian(digits: str) -> bool:
    """Belgium's number: 97 less the first nine digits modulo 97; a 2 stands before them from 2000 on."""
    return int(digits[9:]) in {97 - int(century + digits[:9]) % 97 for century in ("", "2")}


def _turned(one: int, other: int) -> int:
    """The product in the dihedral group of ten elements: turns 0 to 4, mirrored turns 5 to 9."""
    if one < 5:
        return (one + other) % 5 if other < 5 else (one + other) % 5 + 5
    return (one - other) % 5 + 5 if other < 5 else (one - other) % 5


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True
