"""HTTP calls for people at a command line: whatever goes wrong is one clear line."""

import time
from typing import Any, Self

import httpx
from pydantic import ValidationError

from contracts.wire import STANDING_BY, Problem
from run.errors import CannotRun
from run.settings import variable_of

_TIMEOUT_S = 10.0
_STANDING_BY_S = 3.0
_PAUSE_S = 0.1


class Caller:
    """Calls one server.

    Args:
        setting: names the server's address, should nobody answer there.
    """

    def __init__(self, url: str, *, setting: str) -> None:
        self._url = url
        self._setting = setting
        self._http = self._connection()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, *, wait_s: float = 0) -> httpx.Response:
        """Raises: CannotRun, as `post` does."""
        return self._call("GET", path, wait_s=wait_s)

    def post(self, path: str, *, wait_s: float = 0, hint: str = "", **request: Any) -> httpx.Response:
        """One call, not repeated where its outcome is unknown; `hint` is added where its outcome is unknown.

        Raises:
            CannotRun: nobody answers, or the answer is an error.
        """
        return self._call("POST", path, wait_s=wait_s, hint=hint, **request)

    def _call(self, method: str, path: str, **request: Any) -> httpx.Response:
        deadline = time.monotonic() + _STANDING_BY_S
        while (response := self._answer(method, path, **request)).is_error:
            if _code(response) != STANDING_BY or time.monotonic() > deadline:
                raise CannotRun(_said(response))
            # Of several processes one is at work. Another connection may lead to it, or the next one takes over.
            self._http.close()
            self._http = self._connection()
            time.sleep(_PAUSE_S)
        return response

    def _connection(self) -> httpx.Client:
        return httpx.Client(base_url=self._url, trust_env=False)

    def _answer(self, method: str, path: str, *, wait_s: float = 0, hint: str = "", **request: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, timeout=_TIMEOUT_S + wait_s, **request)
        except (httpx.ConnectError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise CannotRun(
                f"nobody answers at {self._url} ({error}); make up starts everything, "
                f"and {variable_of(self._setting)} names another place"
            ) from None
        except httpx.TransportError as error:
            what = f"{self._url} did not answer: {error or type(error).__name__}"
            raise CannotRun("; ".join(filter(None, (what, hint)))) from None
        return response


def _code(response: httpx.Response) -> str | None:
    try:
        return Problem.model_validate_json(response.content).code
    except ValidationError:
        return None


def _said(response: httpx.Response) -> str:
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        return f"answered {response.status_code}: {response.text[:200]}"
    details = "".join(f"\n  {_detail(error)}" for error in problem.errors)
    return f"{problem.code}: {problem.detail}{details}"


def _detail(error: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in error.get("loc", ())) or "the body"
    return f"{place}: {error.get('msg', error)}"
