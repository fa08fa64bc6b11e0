"""What is signed well, and means nothing or two things: the strict parser inside the payload."""

from __future__ import annotations

from collections.abc import Iterator

from tests.conformance.making.case import BUNDLE, Case
from tests.conformance.making.scene import (
    GOOD,
    KEY_GOOD,
    bent_bundle,
    packed,
    signed,
    statement,
)

JSON = "attestations/stemma_attestations/json_strict.py::"
VIEW = "attestations/stemma_attestations/statement.py::"
ENVELOPE = "attestations/stemma_attestations/envelope.py::"
SCORE = b'{"score":1}'
TYPE = b'"predicateType":'
REAL, LIE = GOOD[GOOD.index(b'"subject":') : -1], b'"subject":[]'


def scored(value: bytes) -> bytes:
    """The statement with another value as the score."""
    return GOOD.replace(SCORE, b'{"score":' + value + b"}")


def nested(levels: int) -> bytes:
    """The statement, nested so deep; the score itself is two levels down."""
    return scored(b"[" * (levels - 2) + b"]" * (levels - 2))


# name -> payload, reason, check, story
TWICE = {
    "predicate-type": (
        GOOD.replace(TYPE, b'"predicateType":"urn:example:harmless",' + TYPE),
        "duplicate key 'predicateType'",
        "The predicate type is said twice. A parser that keeps the first sees another statement.",
    ),
    "predicate": (
        GOOD.replace(b'"predicate":', b'"predicate":{"score":0},"predicate":'),
        "duplicate key 'predicate'",
        "The predicate is said twice, with two scores.",
    ),
    "subject": (
        GOOD.replace(REAL, LIE + b"," + REAL),
        "duplicate key 'subject'",
        "The subjects are listed twice: one list is empty.",
    ),
    "digest": (
        GOOD.replace(b'{"sha256":', b'{"sha256":"' + b"0" * 64 + b'","sha256":'),
        "duplicate key 'sha256'",
        "The subject's digest set has two values for SHA-256: of other bytes, and of these.",
    ),
    "escaped": (
        GOOD.replace(TYPE, b'"\\u0070redicateType":"urn:example:harmless",' + TYPE),
        "duplicate key 'predicateType'",
        "The predicate type is said twice, once with an escape in the field's name.",
    ),
    "same-value": (
        scored(b'1,"score":1'),
        "duplicate key 'score'",
        "A field is said twice with one value. Harmless here, and refused all the same.",
    ),
}
TOKENS = {
    "nan": (scored(b"NaN"), "NaN is not JSON", "`NaN` as a number.", "_constant"),
    "infinity": (scored(b"Infinity"), "Infinity is not JSON", "`Infinity`.", "_constant"),
    "minus-infinity": (scored(b"-Infinity"), "-Infinity is not JSON", "`-Infinity`.", "_constant"),
    "integer-2-53": (
        scored(b"9007199254740992"),
        "integer 9007199254740992 is beyond 2**53 - 1",
        "The first integer that a double cannot tell from the next.",
        "_integer",
    ),
    "integer-negative": (
        scored(b"-9007199254740992"),
        "integer -9007199254740992 is beyond 2**53 - 1",
        "The same, below zero.",
        "_integer",
    ),
    "integer-5000-digits": (
        scored(b"9" * 5000),
        "integer 99999999999999999999 is beyond 2**53 - 1",
        "An integer of 5,000 digits: some parsers give up on it, others take seconds.",
        "_integer",
    ),
    "float-infinite": (
        scored(b"1e999"),
        "number 1e999 is out of range",
        "A number that is infinite when it is read.",
        "_float",
    ),
    "float-integer": (
        scored(b"9007199254740993.0"),
        "number 9007199254740993.0 is out of range",
        "An integer beyond 2**53 written with a point.",
        "_float",
    ),
    "surrogate-high": (
        scored(b'"\\ud800"'),
        "a lone surrogate in a string",
        "Half of a surrogate pair, as an escape: no UTF-8 can write it.",
        "_check_surrogates",
    ),
    "surrogate-low": (
        scored(b'"\\udc00 x"'),
        "a lone surrogate in a string",
        "The other half of a surrogate pair.",
        "_check_surrogates",
    ),
    "surrogates-swapped": (
        scored(b'"\\udc00\\ud800"'),
        "a lone surrogate in a string",
        "Both halves of a surrogate pair, in the wrong order.",
        "_check_surrogates",
    ),
    "surrogate-key": (
        GOOD.replace(b'"score"', b'"\\udfff"'),
        "a lone surrogate in a string",
        "Half of a surrogate pair in the name of a field.",
        "_check_surrogates",
    ),
    "depth-65": (
        nested(65),
        "nested deeper than 64",
        "One level of nesting more than is read.",
        "_check_depth",
    ),
}
BYTES = {
    "utf8-invalid": (scored(b'"\xff"'), "not UTF-8 at byte", "A byte that UTF-8 never has."),
    "utf8-overlong": (scored(b'"\xc0\xaf"'), "not UTF-8 at byte", "A slash in two bytes."),
    "utf8-surrogate": (
        scored(b'"\xed\xa0\x80"'),
        "not UTF-8 at byte",
        "Half of a surrogate pair in three bytes (CESU-8).",
    ),
    "utf8-cut": (GOOD + b"\xe2\x82", "not UTF-8 at byte", "A character cut off at the end."),
    "latin-1": (scored('"\u00e9"'.encode("latin-1")), "not UTF-8 at byte", "Text in Latin-1."),
    "utf-16": (GOOD.decode().encode("utf-16"), "not UTF-8 at byte 0", "The statement in UTF-16."),
    "utf-16-bare": (
        GOOD.decode().encode("utf-16-le"),
        "not JSON: ",
        "The statement in UTF-16 without a byte order mark: valid UTF-8, with NUL bytes.",
    ),
    "bom": (
        b"\xef\xbb\xbf" + GOOD,
        "a byte order mark before the JSON",
        "A byte order mark before the statement. Some parsers pass over it.",
    ),
    "trailing-data": (
        GOOD + b"{}",
        "not JSON: Extra data",
        "A second document behind the first.",
    ),
    "trailing-nul": (GOOD + b"\0", "not JSON: Extra data", "A NUL byte behind the statement."),
    "trailing-comma": (scored(b"1,"), "not JSON: ", "A comma before a closing brace."),
    "comment": (scored(b"1/*0*/"), "not JSON: ", "A comment, as JSON5 has them."),
    "single-quotes": (scored(b"'1'"), "not JSON: ", "A text in single quotes."),
    "leading-zero": (scored(b"01"), "not JSON: ", "A number with a leading zero."),
    "leading-plus": (scored(b"+1"), "not JSON: ", "A number with a plus."),
    "hexadecimal": (scored(b"0x1"), "not JSON: ", "A number in hexadecimal."),
    "control": (
        scored(b'"a\nb"'),
        "not JSON: Invalid control character",
        "A line end inside a text, not escaped.",
    ),
    "brace": (b"{", "not JSON: ", "The payload is `{`."),
    "blank": (b" ", "not JSON: ", "The payload is one space."),
}
VALUES = {
    "null": (b"null", "expected a JSON object", "The payload is `null`."),
    "list": (b"[]", "expected a JSON object", "The payload is `[]`."),
    "list-of-one": (
        b"[" + GOOD + b"]",
        "expected a JSON object",
        "The payload is a list that holds the statement.",
    ),
    "text": (b'""', "expected a JSON object", "The payload is an empty text."),
    "number": (b"1", "expected a JSON object", "The payload is a number."),
    "true": (b"true", "expected a JSON object", "The payload is `true`."),
}
NO_TYPE = "not an in-toto Statement v1"
FIELDS = {
    "object-empty": (b"{}", NO_TYPE, "The payload is `{}`."),
    "statement-type-missing": (statement(_type=None), NO_TYPE, "The statement has no `_type`."),
    "statement-type-v0.1": (
        statement(_type="https://in-toto.io/Statement/v0.1"),
        NO_TYPE,
        "A statement of the old version, whose subjects mean something else.",
    ),
    "statement-type-link": (
        statement(_type="link"),
        NO_TYPE,
        "An in-toto link: it has the payload type of statements, and another meaning.",
    ),
    "statement-type-case": (
        statement(_type="https://in-toto.io/statement/v1"),
        NO_TYPE,
        "The `_type` in another case.",
    ),
    "predicate-type-missing": (
        statement(predicateType=None),
        "a statement has a predicateType",
        "The statement has no predicate type.",
    ),
    "predicate-type-list": (
        statement(predicateType=["urn:example:evaluation:v0.1"]),
        "a statement has a predicateType",
        "The predicate type is a list that holds the right one.",
    ),
    "predicate-list": (
        statement(predicate=[]),
        "a statement's predicate is an object",
        "The predicate is a list.",
    ),
    "subject-missing": (
        statement(subject=None),
        "a statement has at least one subject",
        "The statement is about nothing.",
    ),
    "subject-none": (
        statement([]),
        "a statement has at least one subject",
        "The list of subjects is empty.",
    ),
    "subject-object": (
        statement(subject={"name": "acme/model:1.0"}),
        "a statement has at least one subject",
        "The subjects are an object, not a list.",
    ),
}


def cases() -> Iterator[Case]:
    """All of them; every payload is signed as it stands, by the key that is believed."""
    yield KEY_GOOD
    boundaries = {
        "depth-64": (nested(64), "Nested as deep as is read."),
        "integer-largest": (scored(b"9007199254740991"), "The largest integer that is read."),
        "surrogate-pair": (scored(b'"\\ud83d\\ude00"'), "A whole surrogate pair."),
        "white-space": (GOOD + b" \n", "White space behind the statement."),
    }
    for name, (payload, story) in boundaries.items():
        files = {BUNDLE: packed(signed(payload))}
        yield KEY_GOOD.also_good(f"payload-{name}", story, files)
    for name, (payload, reason, story) in TWICE.items():
        yield _bad(f"twice-{name}", payload, reason, story, f"{JSON}_object")
    for name, (payload, reason, story, function) in TOKENS.items():
        yield _bad(name, payload, reason, story, JSON + function)
    for name, (payload, reason, story) in BYTES.items():
        yield _bad(name, payload, reason, story, f"{JSON}loads")
    for name, (payload, reason, story) in VALUES.items():
        yield _bad(name, payload, reason, story, f"{JSON}load_object")
    for name, (payload, reason, story) in FIELDS.items():
        check = "_parse_subjects" if name.startswith("subject") else "Statement.parse"
        yield _bad(name, payload, reason, story, VIEW + check)
    yield bent_bundle(
        "payload-empty",
        "The payload is empty, and signed as such.",
        f"{ENVELOPE}unbase64",
        "an envelope's payload is base64 text",
        signed(b""),
    )


def _bad(name: str, payload: bytes, reason: str, story: str, check: str) -> Case:
    story = f"{story} The signature over it is good."
    return bent_bundle(f"payload-{name}", story, check, reason, signed(payload))
