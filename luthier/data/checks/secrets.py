"""Secrets: keys of well-known services, private keys, tokens, and passwords in the addresses of databases."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from math import log2
from typing import Any, Final

from luthier.data.checks import Hit, Row, Rows, Threshold
from luthier.data.checks._spans import HitsInRows, Span, apart, hits, hits_in, say_masked

BITS: Final = 3.0

criterion = "no_harmful_content"
what = "Keys of well-known services, private keys, signed tokens, and passwords in connection strings."
why = "Whoever can ask the model can have the key; and it was in a file that many hands have passed on."
remedy = "make the key invalid where it was issued, then: luthier check FILE --write KEPT --redact secrets"
severity = "error"
thresholds = (
    Threshold(0, "rows may hold any", "one key that works is enough"),
    Threshold(
        BITS,
        "bits a sign must carry",
        "random letters and digits carry 4 to 6, words and `xxxxxxxx` fewer (Shannon 1948)",
    ),
)

_KINDS: Final = {
    "private_key": ("a private key",
        r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:[\s\S]{1,8000}?-----END "
        r"(?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----)?"),
    "aws": ("a key of Amazon Web Services", r"(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Z0-9])"),
    "aws_secret": ("a secret key of Amazon Web Services",
        r"(?i:aws.{0,20}?secret.{0,20}?[=:\s\"']{1,4})[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])"),
    "github": ("a token of GitHub", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,251}|github_pat_[A-Za-z0-9_]{60,100})\b"),
    "gitlab": ("a token of GitLab", r"\bglpat-[\w-]{20,}"),
    "anthropic": ("a key of Anthropic", r"\bsk-ant-[\w-]{24,}"),
    "openai": ("a key of OpenAI", r"\bsk-(?!ant-)(?:proj-|svcacct-|admin-|or-v1-)?[A-Za-z0-9_-]{32,200}"),
    "stripe": ("a key of Stripe", r"\b(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}|\bwhsec_[A-Za-z0-9+/=]{24,}"),
    "slack": ("a token of Slack",
        r"\bxox[abeprs]-[A-Za-z0-9-]{20,}|\bxapp-\d-[A-Za-z0-9-]{20,}"
        r"|hooks\.slack\.com/services/T\w{6,}/B\w{6,}/\w{16,}"),
    "google": ("a key of Google", r"\bAIza[\w-]{35}(?![\w-])|\bya29\.[\w-]{30,}|\bGOCSPX-[\w-]{24,}"),
    "hugging_face": ("a token of Hugging Face", r"\bhf_[A-Za-z0-9]{30,}\b"),
    "sendgrid": ("a key of SendGrid", r"\bSG\.[\w-]{20,24}\.[\w-]{39,50}"),
    "twilio": ("a key of Twilio", r"\b(?:SK|AC)[0-9a-f]{32}\b"),
    "npm": ("a token of npm", r"\bnpm_[A-Za-z0-9]{36}\b"),
    "pypi": ("a token of PyPI", r"\bpypi-AgEI[\w-]{50,}"),
    "telegram": ("a token of a Telegram bot", r"\b\d{8,10}:AA[\w-]{32,35}(?![\w-])"),
    "discord": ("a token of Discord",
        r"\b[MNO][A-Za-z\d]{23,25}\.[\w-]{6}\.[\w-]{27,38}|discord(?:app)?\.com/api/webhooks/\d{17,20}/[\w-]{60,}"),
    "azure": ("a key of Azure storage", r"AccountKey=[A-Za-z0-9+/]{86}=="),
    "digitalocean": ("a token of DigitalOcean", r"\bdo[por]_v1_[a-f0-9]{64}\b"),
    "shopify": ("a token of Shopify", r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}\b"),
    "token": ("a signed token (JWT)", r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{16,}"),
    "connection": ("a password in an address",
        r"\b[a-z][a-z0-9+]{1,20}://[^\s:@/'\"<>]{0,64}:(?![{$<%*\[])[^\s@/'\"<>]{4,100}@[\w.-]+"),
    "assigned": ("a key or password that is assigned",
        r"(?i:\b(?:api[_-]?key|apikey|secret[_-]?key|client[_-]?secret|access[_-]?token|auth[_-]?token"
        r"|private[_-]?token)[\"']?\s{0,3}[:=]\s{0,3}[\"'])[\w+/=.-]{20,120}(?=[\"'])"),
}  # fmt: skip
"""By the issuers' published prefixes and lengths."""

_MARKS: Final = {
    "private_key": ("PRIVATE KEY",), "aws": ("AKIA", "ASIA"), "aws_secret": ("ecret", "ECRET"),
    "github": ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"), "gitlab": ("glpat-",),
    "anthropic": ("sk-ant",), "openai": ("sk-",),
    "stripe": ("k_live_", "k_test_", "whsec_"), "slack": ("xox", "xapp-", "hooks.slack"),
    "google": ("AIza", "ya29.", "GOCSPX-"), "hugging_face": ("hf_",), "sendgrid": ("SG.",), "twilio": ("SK", "AC"),
    "npm": ("npm_",), "pypi": ("pypi-",), "telegram": (":AA",), "discord": ("/webhooks/", "iscord", "ISCORD"),
    "azure": ("AccountKey=",), "digitalocean": ("_v1_",), "shopify": ("shpat_", "shpca_", "shppa_", "shpss_"),
    "token": ("eyJ",), "connection": ("://",),
    "assigned": ("key", "KEY", "Key", "ecret", "ECRET", "oken", "OKEN"),
}  # fmt: skip
"""A pattern is tried only where the text holds one of its marks."""
_PATTERNS: Final = tuple((kind, _MARKS[kind], re.compile(pattern)) for kind, (_, pattern) in _KINDS.items())
NAMES: Final = {kind: name for kind, (name, _) in _KINDS.items()}
_MADE_UP: Final = re.compile(
    r"(?i:x{6}|example|your|placeholder|changeme|dummy|redacted|sample|insert|abcdef|123456789|\.\.\.|0{8})"
)
_COMMON: Final = re.compile(
    r"(?i::(?:pass|passwd|password|pwd|pw|secret|test|user|postgres|root|admin|mypassword|guest|1234+)@|@(?:example\.))"
)
"""Passwords that stand for one in every manual."""


def look(row: Row) -> Iterator[Hit]:
    """Every secret in any of the row's texts, told by its first two letters."""
    return hits(row, spans, say_masked(NAMES))


def look_in(rows: Rows) -> HitsInRows:
    """The same of many rows: their marks are looked for in all of them at once."""
    look_at = rows.texts.holding(mark for _, marks, _ in _PATTERNS for mark in marks)
    return hits_in(rows, look_at, lambda number, text: spans(text), say_masked(NAMES))


def spans(text: str) -> list[Span]:
    """`spans("AKIAQ3EGXWZV7N5TLMPD is it")` is `[Span("aws", 0, 20)]`."""
    return apart(
        Span(kind, *match.span())
        for kind, marks, pattern in _PATTERNS
        if any(mark in text for mark in marks)
        for match in pattern.finditer(text)
        if _is_real(kind, match[0])
    )


def _is_real(kind: str, value: str) -> bool:
    if kind == "private_key":
        return value.count("\n") > 0 or len(value) > 80
    if kind == "connection":
        return not _COMMON.search(value) and not _MADE_UP.search(value)
    random_part = re.split(r"[\"'\s:=]+", value)[-1] if kind in ("assigned", "aws_secret") else value
    if kind in ("assigned", "openai") and not any(sign.isdigit() for sign in random_part):
        return False
    return not _MADE_UP.search(value) and bits_a_sign(random_part) >= BITS


def bits_a_sign(text: str) -> float:
    """The entropy of a text's signs: `aaaa` has 0 bits, `abab` 1, `abcd` 2."""
    counts = Counter(text)
    return -sum(count / len(text) * log2(count / len(text)) for count in counts.values())


def faulty() -> list[dict[str, Any]]:
    # Put together here, so that no tool that looks for secrets in this file finds one.
    return [
        {"instruction": "How do I log in?", "response": f"Set AWS_KEY to {'AKIA'}Q3EGXWZV7N5TLMPD first."},
        {"instruction": "Clone it.", "response": f"Use {'ghp'}_k7QmZt3VxW9sLr2NcYb8HpDf5JgXa1Te6UoR as the password."},
        {"instruction": "Connect.", "response": "psql postgres://admin:" + "t9Kq2vLx7w@db.internal:5432/main"},
        {"instruction": "Sign it.", "response": f"-----BEGIN RSA {'PRIVATE'} KEY-----\nMIIEowIBAAKCAQEAx8vN"},
    ]


def clean() -> list[dict[str, Any]]:
    return [
        {"instruction": "Set the key.", "response": 'client = Client(api_key="YOUR_API_KEY_GOES_HERE_12345")'},
        {"instruction": "Connect.", "response": "postgres://user:password@localhost:5432/mydb"},
        {
            "instruction": "What is task-based work?",
            "response": "Work by tasks; see risk-management-and-other-long-words.",
        },
        {"instruction": "Begin a key.", "response": "A PEM file starts with -----BEGIN PRIVATE KEY-----."},
    ]
