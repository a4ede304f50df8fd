"""Cross-origin resource sharing (Fetch, HTTP-CORS protocol): preflights answered, and the fields on other answers.

Without `wrong` a browser accepts exactly what the table allows. An origin is echoed only when it is allowed, never the
wildcard together with credentials, and the answer says by Vary what it depends on. With `wrong` one thing is wrong
and the rest is right.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from inspectd.rules.behaviour import asked, saying
from inspectd.rules.tables import CorsTable

if TYPE_CHECKING:
    from inspectd.rules.draft import Call, Draft, Step
    from inspectd.rules.tables import AnswerTable

_OTHER: Final = b"https://other.example"
_REQUEST_METHOD: Final = b"access-control-request-method"
_REQUEST_HEADERS: Final = b"access-control-request-headers"
# field names of a preflight: 1#field-name
_NAMES: Final = re.compile(
    rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++(?:[ \t]*+,[ \t]*+[!#$%&'*+\-.^_`|~0-9A-Za-z]++)*+"
)


class Cors:
    """What one table allows, and says."""

    def __init__(self, words: CorsTable) -> None:
        self._wrong = words.wrong
        self._origins = frozenset(_lines("cors.origins", words.origins))
        self._methods = _lines("cors.methods", words.methods)
        self._headers = _lines("cors.headers", words.headers)
        self._expose = _lines("cors.expose", words.expose)
        self._credentials = words.credentials or words.wrong == "wildcard-with-credentials"
        self._max_age = words.max_age

    def preflight(self, call: Call, draft: Draft) -> Draft:
        """The answer to a preflight, which no other step touches; other requests pass."""
        request = call.request
        asked_for = asked.value(request, _REQUEST_METHOD)
        if request.head.method != b"OPTIONS" or asked_for is None or not asked.values(request, b"origin"):
            return draft
        said = saying.instead(draft, "204 No Content")
        if self._wrong == "preflight-404":
            said = saying.instead(draft, "404 Not Found")
        elif self._wrong == "preflight-redirect":
            said = saying.instead(draft, "307 Temporary Redirect")
            saying.add(said, b"Location: " + asked.own_path(request) + b"?preflight=again")
        if self._grant(call, said):
            self._permit(call, said, asked_for)
        said.final = True
        return said

    def fields(self, call: Call, draft: Draft) -> Draft:
        """The fields on an answer that is no preflight's."""
        if self._grant(call, draft) and self._expose:
            saying.add(draft, b"Access-Control-Expose-Headers: " + b", ".join(self._expose))
        return draft

    def on_endings(self, step: Step) -> Step:
        """`step`, with the fields on an answer in which it ends: a page must be able to read a refusal too."""

        def ended(call: Call, draft: Draft) -> Draft:
            said = step(call, draft)
            return self.fields(call, said) if said.final else said

        return ended

    def on_otherwise(self, call: Call, draft: Draft) -> Draft:
        """The fields on the answer that is given when a wait comes to its end."""
        if draft.otherwise is not None:
            self.fields(call, draft.otherwise)
        return draft

    def _grant(self, call: Call, draft: Draft) -> bool:
        """Say which origin may read the answer, and whether one may."""
        anybody = b"*" in self._origins
        if not anybody or self._credentials:
            saying.add(draft, b"Vary: Origin")
        origin = asked.value(call.request, b"origin")
        if origin is None or not asked.is_visible(origin) or not (anybody or origin in self._origins):
            return False
        match self._wrong:
            case "no-origin":
                pass
            case "other-origin":
                _allow_origin(draft, _OTHER)
            case "two-origins":
                _allow_origin(draft, origin)
                _allow_origin(draft, _OTHER)
            case "wildcard-with-credentials":
                _allow_origin(draft, b"*")
            case _:
                _allow_origin(draft, b"*" if anybody and not self._credentials else origin)
        if self._credentials:
            saying.add(draft, b"Access-Control-Allow-Credentials: true")
        return True

    def _permit(self, call: Call, draft: Draft, method: bytes) -> None:
        """Say which methods and fields a preflighted request may have."""
        methods = self._methods
        if self._wrong == "no-method":
            methods = tuple(one for one in methods if one not in {method, b"*"})
        elif b"*" in methods and self._credentials and _NAMES.fullmatch(method):
            methods = (method,)  # with credentials `*` is a method of that name, and no wildcard
        if methods:
            saying.add(draft, b"Access-Control-Allow-Methods: " + b", ".join(methods))
        if self._wrong != "no-header" and (names := self._allowed_names(call, draft)):
            saying.add(draft, b"Access-Control-Allow-Headers: " + names)
        if self._max_age is not None:
            saying.add(draft, b"Access-Control-Max-Age: %d" % self._max_age)

    def _allowed_names(self, call: Call, draft: Draft) -> bytes:
        """The field names that are allowed. The wildcard echoes what was asked: `*` wouldn't cover Authorization."""
        if b"*" not in self._headers:
            return b", ".join(self._headers)
        saying.add(draft, b"Vary: Access-Control-Request-Headers")
        names = asked.value(call.request, _REQUEST_HEADERS)
        return names if names is not None and _NAMES.fullmatch(names) else b""


def make(table: AnswerTable) -> Cors:
    """What the table's `cors` means. Raises `CraftError`."""
    return Cors(table.cors if isinstance(table.cors, CorsTable) else CorsTable())


def _allow_origin(draft: Draft, origin: bytes) -> None:
    saying.add(draft, b"Access-Control-Allow-Origin: " + origin)


def _lines(key: str, texts: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(saying.one_line(key, text) for text in texts)
