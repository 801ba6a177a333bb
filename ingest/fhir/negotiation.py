"""How a client wants to be answered: which format (R4, 3.1.0.1.11), and how strictly (3.1.1.2)."""

from starlette.requests import Request

from ingest.fhir.model import FhirError

MEDIA_TYPE = "application/fhir+json"
_NAMES = frozenset({MEDIA_TYPE, "application/json", "text/json", "json"})
_RANGES = frozenset({"*/*", "application/*"})
_VERSIONS = frozenset({"", "4.0"})


def check_format(request: Request) -> None:
    """Raise FhirError (406) unless JSON of R4 will do; `_format` goes before the header Accept."""
    wanted = request.query_params.getlist("_format")
    # The plus sign that nobody escapes arrives as a space.
    named = [value.replace(" ", "+") for value in wanted]
    accepted = named or request.headers.get("accept", "*/*").split(",")
    if not any(_fits(each) for each in accepted):
        text = f"Only {MEDIA_TYPE} of FHIR 4.0 is served."
        raise FhirError(text, issue="not-supported", status=406)


def _fits(media_range: str) -> bool:
    name, *parameters = (part.strip().lower() for part in media_range.split(";"))
    said = dict(part.partition("=")[::2] for part in parameters)
    try:
        wanted = float(said.get("q", "1")) > 0
    except ValueError:
        wanted = False
    version = said.get("fhirversion", "").strip('"')
    return wanted and name in _NAMES | _RANGES and version in _VERSIONS


def is_lenient(request: Request) -> bool:
    """Whether what is not served may be passed over: `Prefer: handling=lenient`."""
    wishes = request.headers.get("prefer", "").lower().replace(";", ",").split(",")
    return "handling=lenient" in (wish.strip().replace(" ", "") for wish in wishes)


def is_pretty(request: Request) -> bool:
    """Whether a person is to read it: `_pretty=true`."""
    return request.query_params.get("_pretty") == "true"
