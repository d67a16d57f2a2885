"""Repeats calls where that is safe."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

# Methods that may be repeated: RFC 9110 §9.2.2.
IDEMPOTENT = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"}


@dataclass(frozen=True)
class Repeats:
    """After 429, which nothing was done for; and after 500 with `Retry-After`, 502, 503 and a broken connection if the method is
    idempotent. `Retry-After` says how long it waits. Under an `Idempotency-Key` an action whose outcome is unknown runs again, so that
    whether to repeat that is the caller's to decide.
    """

    attempts: int = 4
    """How often a call is made at most."""
    longest: float = 30
    """The longest wait before a further attempt, in seconds. An answer that asks for more is passed on."""

    def after(self, request: httpx.Request, outcome: httpx.Response | httpx.TransportError, attempt: int) -> float | None:
        """The seconds until a further attempt; None if the outcome stands."""
        if attempt >= self.attempts:
            return None
        safe = request.method in IDEMPOTENT
        if isinstance(outcome, httpx.TransportError):
            return _growing(attempt) if safe else None
        asked, status = outcome.headers.get("Retry-After"), outcome.status_code
        passes = status in (502, 503) or (status == 500 and asked is not None)
        if status != 429 and not (safe and passes):
            return None
        wait = _growing(attempt) if asked is None else _seconds(asked, attempt)
        return wait if wait <= self.longest else None


class Retrying(httpx.BaseTransport):
    def __init__(self, inner: httpx.BaseTransport, repeats: Repeats, sleep: Callable[[float], object] = time.sleep):
        self._inner, self._repeats, self._sleep = inner, repeats, sleep

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        attempt = 1
        while True:
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = self._inner.handle_request(request)
            except httpx.TransportError as error:
                outcome = error
            wait = self._repeats.after(request, outcome, attempt)
            if wait is None:
                if isinstance(outcome, httpx.TransportError):
                    raise outcome
                return outcome
            if isinstance(outcome, httpx.Response):
                outcome.close()
            self._sleep(wait)
            attempt += 1

    def close(self) -> None:
        self._inner.close()


class AsyncRetrying(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, repeats: Repeats, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep):
        self._inner, self._repeats, self._sleep = inner, repeats, sleep

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        attempt = 1
        while True:
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = await self._inner.handle_async_request(request)
            except httpx.TransportError as error:
                outcome = error
            wait = self._repeats.after(request, outcome, attempt)
            if wait is None:
                if isinstance(outcome, httpx.TransportError):
                    raise outcome
                return outcome
            if isinstance(outcome, httpx.Response):
                await outcome.aclose()
            await self._sleep(wait)
            attempt += 1

    async def aclose(self) -> None:
        await self._inner.aclose()


def _seconds(asked: str, attempt: int) -> float:
    """`Retry-After` is seconds or a date: RFC 9110 §10.2.3."""
    if asked.isdecimal():
        return int(asked)
    try:
        return max(0.0, (parsedate_to_datetime(asked) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return _growing(attempt)


def _growing(attempt: int) -> float:
    """Half a second, doubled each time, with jitter."""
    return 0.25 * float(2**attempt) * random.uniform(0.75, 1.25)
