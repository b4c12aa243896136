"""A game that answers 404 to everything, run where the student's programs run: it prints its port, then each path."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMAND = "python -m swordlab.grading.refusing"


class Refuse(BaseHTTPRequestHandler):
    """404, whatever is asked."""

    def do_GET(self) -> None:
        """Print the path and refuse."""
        print(self.path, flush=True)
        self.send_error(404)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refuse)
    print(server.server_port, flush=True)
    server.serve_forever()
