"""Strict JSON from a request: bounded, exact numbers, no field twice, no NaN."""

import asyncio
import json
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect, Request

from producers.gateway.errors import body_timeout, malformed, too_large

_INTEGER_DIGITS_MAX = 64
_BODY_TIMEOUT_S = 30


async def read_body(request: Request, size_bytes_max: int) -> bytes:
    """Return the request's body; 413 as soon as it is clear that it is too large."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > size_bytes_max:
        raise too_large(f"the body has {announced} bytes, at most {size_bytes_max} are accepted")
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > size_bytes_max:
                    raise too_large(f"the body has more than {size_bytes_max} bytes")
    except TimeoutError as error:
        raise body_timeout() from error
    except ClientDisconnect as error:
        raise malformed("the body ended early") from error
    return bytes(body)


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object; fractions become Decimal, never float. Anything else is a 400."""
    try:
        document = json.loads(
            body.decode(),
            parse_float=_number,
            parse_int=_number,
            parse_constant=_no_constant,
            object_pairs_hook=_no_duplicates,
        )
    except (ValueError, RecursionError) as error:
        raise malformed(f"the body is not JSON that is accepted here: {error}") from None
    if not isinstance(document, dict):
        raise malformed("the body must be a JSON object")
    return document


def _number(digits: str) -> int | Decimal:
    """Return an int where one is written and of sane size; else a Decimal, whose bounds the models check."""
    if len(digits) <= _INTEGER_DIGITS_MAX and digits.removeprefix("-").isdecimal():
        return int(digits)
    try:
        return Decimal(digits)
    except InvalidOperation:
        raise ValueError("a number is out of range") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for name, value in pairs:
        if name in document:
            raise ValueError(f"the field {name[:64]!r} occurs twice in one object")
        document[name] = value
    return document
