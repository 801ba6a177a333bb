"""What a browser sent in a form, as plain values: one reading for every page of the console."""

import uuid
from collections.abc import Mapping

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.responses import RedirectResponse, Response


async def form_values(request: Request) -> dict[str, str]:
    """Return the text fields of a form, without spaces around them and what no database takes.

    Of a name that comes twice the last one counts: a button's value stands behind a hidden field
    of the same name.
    """
    form = await request.form()
    return {
        name: value.replace("\0", "").strip()
        for name, value in form.multi_items()
        if not isinstance(value, UploadFile)
    }


def uuid_in(values: Mapping[str, str], name: str) -> uuid.UUID | None:
    """Return an id that a form sent, None when it is none."""
    try:
        return uuid.UUID(values.get(name, ""))
    except ValueError:
        return None


def number_in(values: Mapping[str, str], name: str, default: int = 0) -> int:
    """Return a whole number that a form sent, the default when it is none."""
    text = values.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default


def version_in(values: Mapping[str, str]) -> int:
    """Return the version that the person saw; 0, which nothing has, when the form has none."""
    return number_in(values, "version")


def see_other(path: str) -> Response:
    """Send the browser on after something was done."""
    return RedirectResponse(path, 303)


def whole(text: str, most: int) -> int | None:
    """Return a whole number from 0 to `most` that somebody sent, None for anything else."""
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        return None
    number = int(text)
    return number if number <= most else None
