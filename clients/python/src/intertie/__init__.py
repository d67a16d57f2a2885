"""Client of Intertie: typed calls in `intertie.api`, their types in `intertie.models`, and what makes them convenient here."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from typing import Any, Protocol, TypeVar

import httpx
from attrs import define, field

from .client import AuthenticatedClient
from .models import GatewayMessage, Problem, ProblemDetail
from .retrying import AsyncRetrying, Repeats, Retrying
from .types import Response

__all__ = ["AsyncRetrying", "IntertieError", "Repeats", "Retrying", "async_pages", "intertie", "pages", "unwrap"]

T = TypeVar("T")


class Part(Protocol):
    """A part of a list."""

    @property
    def next_(self) -> str | None:
        """Where the list goes on; None at its end."""


P = TypeVar("P", bound=Part)


class IntertieError(Exception):
    """An answer that is no success. `problem` is None if API Gateway answered in place of a function."""

    def __init__(self, status: int, problem: ProblemDetail | None, message: str):
        super().__init__(problem.message if problem else message)
        self.status = status
        self.problem = problem

    @property
    def kind(self) -> str | None:
        """One of `intertie.models.ProblemKind`."""
        return self.problem.kind.value if self.problem else None


class _Bearer(httpx.Auth):
    def __init__(self, token: str | Callable[[], str]):
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        token = self._token if isinstance(self._token, str) else self._token()
        request.headers["Authorization"] = f"Bearer {token}"
        yield request


@define
class _Client(AuthenticatedClient):
    """What `with_headers` and the like return has the token and the repeats, too."""

    bearer: _Bearer = field(kw_only=True)
    repeats: Repeats = field(kw_only=True)
    proxy: str | None = field(kw_only=True, default=None)

    def _options(self) -> dict[str, Any]:
        return {
            "base_url": self._base_url,
            "cookies": self._cookies,
            "headers": self._headers,
            "timeout": self._timeout,
            "follow_redirects": self._follow_redirects,
            "auth": self.bearer,
            **self._httpx_args,
        }

    def get_httpx_client(self) -> httpx.Client:
        if self._client is None:
            inner = httpx.HTTPTransport(verify=self._verify_ssl, proxy=self.proxy)
            self._client = httpx.Client(transport=Retrying(inner, self.repeats), **self._options())
        return self._client

    def get_async_httpx_client(self) -> httpx.AsyncClient:
        if self._async_client is None:
            inner = httpx.AsyncHTTPTransport(verify=self._verify_ssl, proxy=self.proxy)
            self._async_client = httpx.AsyncClient(transport=AsyncRetrying(inner, self.repeats), **self._options())
        return self._async_client


def intertie(
    url: str, token: str | Callable[[], str], repeats: Repeats = Repeats(), proxy: str | None = None, **more: Any
) -> AuthenticatedClient:
    """A client for the functions in `intertie.api`. `token` is a session token, or gives one for each call. `proxy` is the address of
    a proxy: those of the environment are not used. `more` are fields of `intertie.client.AuthenticatedClient`.
    """
    options = {"timeout": httpx.Timeout(35), **more}
    return _Client(base_url=url, token="", bearer=_Bearer(token), repeats=repeats, proxy=proxy, **options)


def unwrap(response: Response[Problem | GatewayMessage | T]) -> T:
    """The data of an answer of `sync_detailed` or `asyncio_detailed`. Raises an `IntertieError` if there is none."""
    status, parsed = int(response.status_code), response.parsed
    if isinstance(parsed, Problem):
        raise IntertieError(status, parsed.error, "")
    if isinstance(parsed, GatewayMessage):
        raise IntertieError(status, None, parsed.message)
    if not 200 <= status < 300:
        raise IntertieError(status, None, f"The API answered {status}.")
    return parsed  # type: ignore[return-value]  # of an answer without a body it is None


def pages(load: Callable[[str | None], P]) -> Iterator[P]:
    """All parts of a list: `load` gets the `next` of the part before, and gives one part."""
    after = None
    while True:
        part = load(after)
        yield part
        # What a list gives twice would be read for ever.
        if part.next_ is None or part.next_ == after:
            return
        after = part.next_


async def async_pages(load: Callable[[str | None], Awaitable[P]]) -> AsyncGenerator[P, None]:
    """The same, for `asyncio_detailed`."""
    after = None
    while True:
        part = await load(after)
        yield part
        if part.next_ is None or part.next_ == after:
            return
        after = part.next_
