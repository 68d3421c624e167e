"""Problems of a request's body in words: the field, its value, the allowed ones, and the fix."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from local_ai.engine.api.body import B, Defaults, Fix, Kinds, Must, Reason, Understood, shown
from local_ai.engine.api.hints import nearest_meaning
from local_ai.engine.errors import bad_field
from local_ai.serving.errors import ApiError
from local_ai.serving.json_body import parse_json
from local_ai.settings.findings import Finding, read_finding

M = TypeVar("M", bound=BaseModel)

_MOST_FINDINGS = 200  # of more, only the first unknown field is looked for: a million would take seconds
_SHORT = 80
_EXPECTED = {
    "string_type": "a text",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "float_type": "a number",
    "finite_number": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "greater_than_equal": "",
    "less_than_equal": "",
}


def read_model(raw: bytes, model: type[M]) -> M:
    """Read a body.

    Raises:
        ApiError: 400, it is no JSON object, or a field of it cannot be used: that one is named.
    """
    try:
        return parse_json(raw, model.model_validate_json)
    except ValidationError as exc:
        raise word(exc, model, raw) from None


def understand(raw: bytes, model: type[B], defaults: Defaults) -> Understood[B]:
    """Read a body that has a model generate text; ApiError (400) that names a wrong field."""
    body = read_model(raw, model)
    return Understood(body, body.asks(defaults(body.model)))


def word(exc: ValidationError, model: type[BaseModel], raw: bytes = b"{}") -> ApiError:
    """Put the finding that helps most into words."""
    if exc.error_count() > _MOST_FINDINGS:
        for name in from_json(raw):
            if name not in model.model_fields:
                return _unknown(name[:_SHORT], name, tuple(model.model_fields), model)
    findings = [read_finding(error, model) for error in exc.errors(include_url=False)[:_MOST_FINDINGS]]
    # Of a value that fits no member of a union, the member that fits furthest says most.
    refused = [finding for finding in findings if finding.kind == "refused"]
    first = (refused or findings)[0]
    same = [finding for finding in findings if finding.path[:1] == first.path[:1]]
    return _in_words(first if refused else max(same, key=lambda finding: len(finding.path)), model)


def _in_words(finding: Finding, model: type[BaseModel]) -> ApiError:
    name = finding.name or "the body"
    reason = next((note for note in finding.notes if isinstance(note, Reason)), None)
    if finding.kind == "refused" and reason:
        return bad_field(name, reason.why, reason.fix, details=reason.details)
    if finding.kind == "extra_forbidden":
        return _unknown(name[:_SHORT], str(finding.path[-1]), finding.siblings, model)
    if finding.kind in ("union_tag_invalid", "union_tag_not_found") and _must(finding) is None:
        return _wrong_tag(finding)
    if finding.kind == "missing" or finding.value is None:
        return bad_field(name, "it is required and missing", "add it")
    if finding.kind == "wrong":
        return bad_field(name, finding.context["why"], finding.context["fix"])
    if finding.kind == "too_long":
        length, most = finding.context["actual_length"], finding.context["max_length"]
        return bad_field(name, f"it has {length} entries, {most} are allowed", "send fewer")
    if finding.kind in ("too_short", "string_too_short"):
        fix = "add at least one entry" if finding.kind == "too_short" else "fill it in"
        return bad_field(name, "it is empty", fix)
    if reason:
        return bad_field(name, reason.why, reason.fix)
    instead = next((note.do for note in finding.notes if isinstance(note, Fix)), None)
    fix = instead if instead and finding.kind == "greater_than_equal" else "correct it or leave it out"
    return bad_field(name, f"it must be {_expected(finding)}, got {shown(finding.value)}", fix)


def _expected(finding: Finding) -> str:
    if (must := _must(finding)) is not None:
        return must.be
    if finding.kind in ("literal_error", "enum"):
        return f"one of {', '.join(finding.choices)}"
    words = _EXPECTED.get(finding.kind)
    if words is None:
        return finding.message[:1].lower() + finding.message[1:]
    low, high = finding.bound("ge"), finding.bound("le")
    within = "" if low is None or high is None else f"from {_number(low)} to {_number(high)}"
    return " ".join(part for part in (words, within) if part)


def _must(finding: Finding) -> Must | None:
    """Return what the field itself must be; nothing is said of the entries of a list."""
    if not finding.path or isinstance(finding.path[-1], int):
        return None
    return next((note for note in finding.notes if isinstance(note, Must)), None)


def _wrong_tag(finding: Finding) -> ApiError:
    field = str(finding.context.get("discriminator", "")).strip("'")
    at = f"{finding.name}.{field if field.isidentifier() else 'type'}"
    if not isinstance(finding.value, dict):
        why = f"it must be an object, got {shown(finding.value)}"
        return bad_field(finding.name, why, "correct it or leave it out")
    if finding.kind == "union_tag_not_found":
        return bad_field(at, "it is required and missing", "add it")
    tag = str(finding.context["tag"])[:40]
    for note in finding.notes:
        if isinstance(note, Kinds):
            return bad_field(finding.name, note.why.replace("{tag}", repr(tag)), note.fix)
    choices = ", ".join(finding.choices)
    return bad_field(at, f"it must be one of {choices}, got {tag!r}", "correct it or leave it out")


def _unknown(name: str, asked: str, siblings: tuple[str, ...], model: type[BaseModel]) -> ApiError:
    fix = nearest_meaning(asked, siblings, is_refused=lambda known: _is_refused(known, model))
    return bad_field(name, "there is no such field here", fix, code="unknown_parameter")


def _is_refused(name: str, model: type[BaseModel]) -> bool:
    field = model.model_fields.get(name)
    return field is not None and any(isinstance(note, Reason) for note in field.metadata)


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"
