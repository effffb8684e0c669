"""One row of `fc_upsert_lines`, checked, and the arithmetic of revisions and credits. No Odoo records here."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from .numbers import parse_decimal, plain
from .times import parse_instant

KEY_MAX_BYTES = 512
TEXT_MAX_BYTES = 255
AMOUNT_MAX = Decimal(10) ** 12
CHARGE_MODELS = ("standard", "package", "volume", "graduated")
_TEXTS = ("service", "subscription", "charge", "metric", "charge_model", "currency")
_NUMBERS = ("total", "quota", "billable_units", "batches", "batch_size", "price_per_unit", "amount")
_FINGERPRINTED = (*_TEXTS, *_NUMBERS, "period_start", "period_end", "counters")


@dataclass(frozen=True)
class Overage:
    """A rated charge of one period [period_start, period_end), both naive UTC."""

    key: str
    version: tuple
    service: str
    subscription: str
    charge: str
    metric: str
    period_start: datetime
    period_end: datetime
    total: Decimal
    quota: Decimal
    billable_units: Decimal
    batches: Decimal
    batch_size: Decimal
    price_per_unit: Decimal
    charge_model: str
    amount: Decimal
    currency: str
    counters: int

    @property
    def version_text(self):
        """The version as it is stored."""
        return ".".join(map(str, self.version))

    @property
    def detail(self):
        """The exact numbers behind the amount, as JSON; equal text means that nothing changed."""
        numbers = {name: plain(getattr(self, name)) for name in _NUMBERS}
        return json.dumps({**numbers, "charge_model": self.charge_model, "currency": self.currency}, sort_keys=True)


def parse_overage(row):
    """Return the checked row; raise ValueError with a sentence naming the field that is wrong."""
    if not isinstance(row, dict):
        raise ValueError("a row must be an object")
    values = {"key": _text(row, "key", KEY_MAX_BYTES), "version": _version(row.get("version"))}
    values |= {field: _text(row, field, TEXT_MAX_BYTES) for field in _TEXTS}
    values |= {field: parse_decimal(row.get(field), field) for field in _NUMBERS}
    values |= {field: parse_instant(row.get(field), field) for field in ("period_start", "period_end")}
    values["counters"] = _count(row.get("counters"), "counters")
    overage = Overage(**values)
    _check(overage)
    return overage


def fingerprint(row):
    """Return a digest of what a row says besides its key and version, checked or not: equal rows, equal digests."""
    told = repr([row.get(field) for field in _FINGERPRINTED])
    return hashlib.blake2b(told.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def short_fingerprint(row):
    """Return the digest that a short row has in place of its words, or None for a row that has words or neither."""
    digest = row.get("fingerprint") if isinstance(row, dict) and "service" not in row else None
    return digest if isinstance(digest, str) and digest else None


def _check(overage):
    prefix, _, start = overage.key.rpartition("/")
    if prefix != f"{overage.service}/{overage.subscription}/{overage.charge}":
        raise ValueError("key must be service/subscription/charge/period_start")
    if parse_instant(start, "key's period start") != overage.period_start:
        raise ValueError("key and period_start name different periods")
    if overage.period_end <= overage.period_start:
        raise ValueError("period_end must lie after period_start")
    if overage.charge_model not in CHARGE_MODELS:
        raise ValueError("charge_model is unknown")
    if not 0 <= overage.amount < AMOUNT_MAX:
        raise ValueError(f"amount must lie between 0 and {AMOUNT_MAX:,f}")


def _text(row, field, bytes_max):
    value = row.get(field)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{field} is required and must be text")
    try:
        size_bytes = len(value.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{field} must be valid Unicode text") from None
    if size_bytes > bytes_max:
        raise ValueError(f"{field} must have at most {bytes_max} bytes")
    if "\x00" in value:
        raise ValueError(f"{field} must not contain control characters")
    return value


def _count(value, field):
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise ValueError(f"{field} must be a whole number, 0 or more")
    return value


def _version(value):
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        raise ValueError("version must be three whole numbers")
    return tuple(_count(part, "version") for part in value)


def read_version(value):
    """Return a row's version as a tuple that compares, or None for one that is none."""
    try:
        return _version(value)
    except ValueError:
        return None


def parse_version(text):
    """Return a stored version as a tuple that compares; before any version comes the empty one."""
    return tuple(int(part) for part in text.split(".")) if text else ()


@dataclass(frozen=True)
class Book:
    """What one overage key has come to so far.

    `fixed` sums the lines that must not change any more, `open_amount` is the one that may (None: there is none).
    `waived` is what a person took off a line and accepted; `refunded` what credit notes gave back on its lines.
    """

    fixed: Decimal
    open_amount: Decimal | None
    credit_raised: Decimal
    credit_applied: Decimal
    waived: Decimal = Decimal(0)
    refunded: Decimal = Decimal(0)

    @property
    def amount(self):
        """The amount that lines, credits and waivers stand for together."""
        lines = self.fixed + (self.open_amount or 0)
        return lines - self.credit_raised + self.credit_applied + self.waived

    def goal(self, amount):
        """Return what to come to for an overage of `amount`.

        What a credit note gave back is neither billed again nor, when the usage falls, given back once more.
        """
        return max(amount, min(self.refunded, self.amount))


@dataclass(frozen=True)
class Settlement:
    """What to do so that a book comes to an amount: the open line's new amount, credit to take and to give."""

    open_amount: Decimal
    credit_used: Decimal
    credit_made: Decimal


def settle(book, amount, credit_pending):
    """Bring `book` to `amount`.

    A line never goes below zero: what is too much becomes a credit. An increase uses up pending credit first.
    """
    target = book.open_amount or Decimal(0)
    increase = amount - book.amount
    if increase <= 0:
        lowered = max(Decimal(0), target + increase)
        return Settlement(lowered, Decimal(0), -increase - (target - lowered))
    used = min(increase, credit_pending)
    return Settlement(target + increase - used, used, Decimal(0))
