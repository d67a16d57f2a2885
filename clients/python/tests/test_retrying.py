"""When a call is repeated, and how long it waits: against answers that are given in turn."""

import asyncio
import unittest

import httpx

from intertie import AsyncRetrying, Repeats, Retrying, intertie, pages


def answer(status, wait=None):
    return httpx.Response(status, headers={} if wait is None else {"Retry-After": wait})


def run(method, answers, headers=None):
    """Calls with these answers in turn, in both ways: the last status, the number of calls, and the waits in seconds."""
    outcomes = []
    for transport in (Retrying, AsyncRetrying):
        waits, calls = [], []

        def given(request):
            calls.append(request.content)
            if isinstance(answers[len(calls) - 1], Exception):
                raise answers[len(calls) - 1]
            return answers[len(calls) - 1]

        async def slept(seconds):
            waits.append(seconds)

        request = httpx.Request(method, "http://localhost/", headers=headers)
        inner = httpx.MockTransport(given)
        try:
            if transport is Retrying:
                outcome = Retrying(inner, Repeats(), waits.append).handle_request(request).status_code
            else:
                outcome = asyncio.run(AsyncRetrying(inner, Repeats(), slept).handle_async_request(request)).status_code
        except httpx.TransportError as error:
            outcome = str(error)
        outcomes.append([outcome, len(calls), waits])
    assert outcomes[0][:2] == outcomes[1][:2], outcomes
    return outcomes[0]


class RetryingTest(unittest.TestCase):
    def test_what_was_not_done_is_repeated_after_the_time_that_is_asked_for(self):
        self.assertEqual(run("POST", [answer(429, "7"), answer(200)]), [200, 2, [7]])
        self.assertEqual(run("GET", [answer(500, "10"), answer(502, "1"), answer(200)]), [200, 3, [10, 1]])
        self.assertEqual(run("POST", [answer(429, "31"), answer(200)]), [429, 1, []])

    def test_what_may_have_been_done_is_repeated_only_where_that_is_safe(self):
        for failed in (answer(502), answer(503, "1"), answer(500, "1"), httpx.ReadError("broken")):
            for headers in (None, {"Idempotency-Key": "order-1"}):
                self.assertEqual(run("POST", [failed, answer(200)], headers)[1], 1)
            self.assertEqual(run("DELETE", [failed, answer(200)])[0], 200)
        for status in (400, 401, 404, 409, 422, 500):
            self.assertEqual(run("GET", [answer(status), answer(200)]), [status, 1, []])

    def test_attempts_end(self):
        outcome, calls, waits = run("GET", [answer(503)] * 4)
        self.assertEqual([outcome, calls, len(waits)], [503, 4, 3])
        self.assertTrue(waits[0] > 0.3 and waits[2] < 2.6, waits)

    def test_a_client_with_more_headers_has_the_token_and_the_repeats(self):
        client = intertie("http://localhost", "token", headers={"X-Mine": "1"}, follow_redirects=True)
        more = client.with_headers({"X-More": "2"}).with_timeout(httpx.Timeout(1))
        for made in (more.get_httpx_client(), more.get_async_httpx_client()):
            self.assertEqual((made.headers["X-Mine"], made.headers["X-More"], made.timeout.read), ("1", "2", 1))
            request = next(made.auth.auth_flow(httpx.Request("GET", "http://localhost/")))
            self.assertEqual(request.headers["Authorization"], "Bearer token")
            self.assertTrue(made.follow_redirects)
            self.assertIsInstance(made._transport, (Retrying, AsyncRetrying))
        self.assertEqual(client.get_httpx_client().timeout.read, 35)

    def test_a_list_is_read_to_its_end_and_not_for_ever(self):
        class Part:
            def __init__(self, next_):
                self.next_ = next_

        lists = {None: Part("a"), "a": Part("b"), "b": Part(None)}
        self.assertEqual(len(list(pages(lists.__getitem__))), 3)
        self.assertEqual(len(list(pages(lambda after: Part("same")))), 2)


if __name__ == "__main__":
    unittest.main()
