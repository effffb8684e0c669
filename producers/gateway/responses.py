"""What the routes may answer besides a success, for the OpenAPI document."""

from typing import Any

from producers.gateway.errors import ErrorBody

Answers = dict[int | str, dict[str, Any]]

_RETRY_AFTER = {"Retry-After": {"description": "seconds", "schema": {"type": "string"}}}
ANSWERS: Answers = {
    401: {
        "model": ErrorBody,
        "description": "No valid API key",
        "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
    },
    429: {"model": ErrorBody, "description": "Too many requests", "headers": _RETRY_AFTER},
    503: {"model": ErrorBody, "description": "Nothing is wrong with it: send it again", "headers": _RETRY_AFTER},
}
BODY_ANSWERS: Answers = ANSWERS | {
    400: {"model": ErrorBody, "description": "Nothing was accepted; `details` names index and field"},
    408: {"model": ErrorBody, "description": "The body did not arrive in time"},
    413: {"model": ErrorBody, "description": "Send it in smaller pieces"},
}
ODOO_ANSWERS: Answers = BODY_ANSWERS | {
    502: {"model": ErrorBody, "description": "Odoo refused the call as a whole"},
}
CHANGE_ANSWERS: Answers = ODOO_ANSWERS | {
    404: {"model": ErrorBody, "description": "The service has no such thing"},
    409: {"model": ErrorBody, "description": "Its state does not allow that; nothing was changed"},
}
LOOK_ANSWERS: Answers = {status: answer for status, answer in CHANGE_ANSWERS.items() if status not in (408, 413)}
