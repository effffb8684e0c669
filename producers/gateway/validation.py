"""Pydantic's verdict in the API's words."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from producers.gateway.errors import Detail, invalid

Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], document: Mapping[str, Any]) -> Model:
    """Return the document as `model`; a 400 names every field that is wrong."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise invalid(details_of(error)) from None


def details_of(error: ValidationError, index: int | None = None) -> list[Detail]:
    """Return what is wrong, one entry per field; a field inside a list reads ``lines.0.quantity``."""
    return [
        Detail(
            index=index,
            field=".".join(str(part) for part in found["loc"]) or None,
            message=found["msg"].removeprefix("Value error, "),
        )
        for found in error.errors(include_url=False, include_input=False, include_context=False)
    ]
