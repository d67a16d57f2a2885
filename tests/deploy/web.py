"""HTTP over real connections, and a minimal browser client: cookies by origin, redirects one by one."""

import http.client
import json
import ssl
import threading
import urllib.parse


class Answer:
    """Status, headers and body of an answer."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode(errors="replace")

    def json(self):
        return json.loads(self.body)

    @property
    def location(self):
        return self.headers.get("location", "")

    def __str__(self):
        return f"{self.status} {self.location} {self.text:.400}"


class Web:
    """Calls, of one thread each over its own connections. Every https name is the server's, on the port that it has."""

    def __init__(self, port, ca):
        self.port, self.kept = port, threading.local()
        self.context = ssl.create_default_context(cafile=ca)

    def call(self, method, url, body=None, headers=None):
        """A body that is neither text nor bytes is sent as JSON."""
        parts = urllib.parse.urlsplit(url)
        path = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        headers = {"host": parts.netloc} | {name.lower(): value for name, value in (headers or {}).items()}
        if body is not None and not isinstance(body, (str, bytes)):
            body, headers["content-type"] = json.dumps(body), "application/json"
        if isinstance(body, str):
            body = body.encode()
        for last in (False, True):
            link = self.link(parts)
            try:
                link.request(method, path, body, headers)
                answer = link.getresponse()
                return Answer(answer.status, answer.headers, answer.read())
            except (http.client.HTTPException, ConnectionError):
                # It was idle for too long, most likely.
                link.close()
                if last:
                    raise

    def link(self, parts):
        links = self.kept.__dict__.setdefault("links", {})
        if parts.netloc not in links:
            secure = parts.scheme == "https"
            # The certificate is the server's own, for `localhost`; an API's name below it goes into the header Host.
            new = http.client.HTTPSConnection("localhost", self.port, timeout=60, context=self.context) if secure else (
                http.client.HTTPConnection(parts.hostname, parts.port, timeout=60))
            links[parts.netloc] = new
        return links[parts.netloc]


class Browser:
    """Cookies by origin. A `Secure` one goes over https only; nothing is followed unless asked."""

    def __init__(self, web):
        self.web, self.cookies = web, {}

    def get(self, url):
        return self.send("GET", url)

    def post(self, url, fields, page=None):
        """A form of a page of the same origin, or of the origin `page`."""
        kind = {"content-type": "application/x-www-form-urlencoded", "origin": page or origin(url)}
        return self.send("POST", url, urllib.parse.urlencode(fields), kind)

    def send(self, method, url, body=None, headers=None):
        jar = self.cookies.setdefault(origin(url), {})
        shown = {"cookie": "; ".join(f"{name}={value}" for name, value in jar.items())} if jar else {}
        answer = self.web.call(method, url, body, {"accept": "text/html"} | shown | (headers or {}))
        for line in answer.headers.get_all("set-cookie") or ():
            name, _, value = line.partition(";")[0].partition("=")
            if "secure" in line.lower() and not url.startswith("https:"):
                continue
            if "max-age=0" in line.lower():
                jar.pop(name, None)
            else:
                jar[name] = value
        if answer.location.startswith("/"):
            answer.headers.replace_header("location", origin(url) + answer.location)
        return answer


def origin(url):
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def query(url):
    return urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query)
