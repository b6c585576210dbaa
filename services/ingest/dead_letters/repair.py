"""What is changed alike in many dead letters before they are replayed. Pure.

A repair gives a letter's body as it should have been, or says why it cannot. It is data that
people write: a JSON Patch (RFC 6902), or a JMESPath expression that selects the new body from
the old one. Numbers stay as they were written.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jsonpatch
import jsonpointer
import msgspec

from schemas.validation import Fault
from services.ingest.dead_letters.model import Letter
from services.ingest.expression import compiled, find
from services.ingest.rules import decode

Repair = Callable[[Letter], bytes | Fault]

LONGEST = 4_000
"""Characters of an expression that makes a whole body."""
_encode = msgspec.json.Encoder(decimal_format="number").encode


def by_patch(patch: Sequence[Any]) -> Repair:
    """Change each body by a JSON Patch. Codes: of ``decode``; bad_patch."""

    def repair(letter: Letter) -> bytes | Fault:
        said = decode(letter.body or b"")
        if isinstance(said, Fault):
            return said
        try:
            changed = jsonpatch.apply_patch(said, patch)
        except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
            return Fault("bad_patch", _line(error))
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            # The library lets what its own types do not cover through.
            return Fault("bad_patch", f"The patch does not fit this body ({type(error).__name__}).")
        return _encode(changed)

    return repair


def by_expression(text: str) -> Repair | Fault:
    """Make each body anew by a JMESPath expression over the old one.

    Code: bad_expression. A repair's: of ``decode``; expression_failed; not_an_object.
    """
    expression = compiled(text, LONGEST)
    if isinstance(expression, Fault):
        return expression

    def repair(letter: Letter) -> bytes | Fault:
        said = decode(letter.body or b"")
        found = said if isinstance(said, Fault) else find(expression, said)
        if isinstance(found, Fault):
            return found
        if not isinstance(found, dict):
            return Fault("not_an_object", "The expression does not make an object of this body.")
        return _encode(found)

    return repair


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
