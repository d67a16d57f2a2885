"""Client of Intertie: typed calls in `intertie.api`, their types in `intertie.models`, and what makes them convenient here."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from typing import Any, Protocol, TypeVar

import httpx

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


def intertie(
    url: str, token: str | Callable[[], str], repeats: Repeats = Repeats(), **more: Any
) -> AuthenticatedClient:
    """A client for the functions in `intertie.api`. `token` is a session token, or gives one for each call."""
    client = AuthenticatedClient(base_url=url, token="", timeout=httpx.Timeout(35), **more)
    options: dict[str, Any] = {"base_url": url, "timeout": httpx.Timeout(35), "auth": _Bearer(token)}
    client.set_httpx_client(httpx.Client(transport=Retrying(httpx.HTTPTransport(), repeats), **options))
    client.set_async_httpx_client(httpx.AsyncClient(transport=AsyncRetrying(httpx.AsyncHTTPTransport(), repeats), **options))
    return client


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
