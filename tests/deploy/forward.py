"""A custom domain in front of an API: plain HTTP here, TLS to the server. The sandbox sends webhooks to it."""

import http.server
import threading
import urllib.parse

HOP = {"connection", "host", "keep-alive", "transfer-encoding", "content-length"}


class Forward:
    """Listens on loopback; `to` is the API's own origin, once it is known."""

    def __init__(self, web):
        self.to = None
        forward = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0)) or None
                headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
                answer = web.call(self.command, forward.to + self.path, body, headers)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    if name.lower() not in HOP:
                        self.send_header(name, value)
                self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = pass_on

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # a caller that went away
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://localhost:{server.server_port}"
