"""Every error the gateway answers, and the one body they all have.

{"status": "error", "error": {"code": …, "message": …, "details": [{"index": 0, "field": "quantity", "message": …}]}}
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from math import ceil

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

RETRY_AFTER_S = 1


class ErrorCode(StrEnum):
    """What went wrong, for programs. Stable."""

    MALFORMED = "malformed"  # 400: not a JSON object, a field twice, NaN
    INVALID = "invalid"  # 400: `details` says which fields
    UNAUTHORIZED = "unauthorized"  # 401
    NOT_FOUND = "not_found"  # 404
    METHOD_NOT_ALLOWED = "method_not_allowed"  # 405
    CONFLICT = "conflict"  # 409: the state of the thing does not allow it
    TIMEOUT = "timeout"  # 408: the body did not arrive in time
    TOO_LARGE = "too_large"  # 413
    TOO_MANY_REQUESTS = "too_many_requests"  # 429
    INTERNAL = "internal"  # 500
    REFUSED_BY_ODOO = "refused_by_odoo"  # 502
    UNAVAILABLE = "unavailable"  # 503: nothing is wrong with the request, send it again


class Detail(BaseModel):
    """One thing that is wrong with the request."""

    index: int | None = Field(None, description="position in `events`; null where the request is one object")
    field: str | None = Field(None, description="the offending field; null for the whole")
    message: str


class ErrorContent(BaseModel):
    """What went wrong."""

    code: ErrorCode
    message: str
    details: list[Detail] = []


class ErrorBody(BaseModel):
    """Body of every answer that is not a success."""

    status: str = Field("error", pattern="^error$")
    error: ErrorContent


class ApiError(Exception):
    """An answer other than a success; raised anywhere below a route."""

    def __init__(
        self,
        status: int,
        code: ErrorCode,
        message: str,
        details: Sequence[Detail] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.content = ErrorContent(code=code, message=message, details=list(details))
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        """Return the HTTP answer."""
        body = ErrorBody(status="error", error=self.content)
        return JSONResponse(body.model_dump(mode="json"), self.status, self.headers)


def malformed(message: str) -> ApiError:
    """400: the body is no JSON object that we read."""
    return ApiError(400, ErrorCode.MALFORMED, message)


def invalid(details: Sequence[Detail]) -> ApiError:
    """400: fields are wrong; nothing of the request was accepted."""
    return ApiError(400, ErrorCode.INVALID, "the request is invalid; nothing was accepted", details)


def unauthorized() -> ApiError:
    """401: no key, or not one of an active service."""
    return ApiError(
        401,
        ErrorCode.UNAUTHORIZED,
        "a valid API key is required: Authorization: Bearer <key>",
        headers={"WWW-Authenticate": "Bearer"},
    )


def not_found(message: str) -> ApiError:
    """404: the service has no such thing; another service's is as unknown."""
    return ApiError(404, ErrorCode.NOT_FOUND, message)


def conflict(message: str, field: str | None = None) -> ApiError:
    """409: understood, but the state of things does not allow it; nothing was changed."""
    return ApiError(409, ErrorCode.CONFLICT, message, [Detail(field=field, message=message)] if field else [])


def body_timeout() -> ApiError:
    """408: the client sends its body too slowly."""
    return ApiError(408, ErrorCode.TIMEOUT, "the body did not arrive in time", headers={"Connection": "close"})


def too_large(message: str, details: Sequence[Detail] = ()) -> ApiError:
    """413: send it in smaller pieces."""
    return ApiError(413, ErrorCode.TOO_LARGE, message, details)


def too_many_requests(retry_after_s: float) -> ApiError:
    """429: the service sends more requests than agreed."""
    return ApiError(429, ErrorCode.TOO_MANY_REQUESTS, "too many requests", headers=_retry_after(retry_after_s))


def unavailable(message: str, retry_after_s: float = RETRY_AFTER_S) -> ApiError:
    """503: a neighbour is away; the same request may be sent again, with the same keys."""
    return ApiError(503, ErrorCode.UNAVAILABLE, message, headers=_retry_after(retry_after_s))


def _retry_after(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, ceil(seconds)))}
