"""A stand-in for ab, the Apache HTTP server benchmarking tool, for the flags that the lab uses.

Requests are HTTP/1.0, as those of the real ab. It measures less: totals, no percentiles.
stream_events.sh starts it two hundred times, so it speaks HTTP/1.0 itself: importing http.client takes longer than all
the rest.
"""

import getopt
import socket
import sys
import threading
import time

USAGE = """Usage: ab [options] [http://]hostname[:port]/path
Options are:
    -n requests     Number of requests to perform
    -c concurrency  Number of multiple requests to make at a time
    -p postfile     File containing data to POST. Remember also to set -T
    -T content-type Content-type header to use for POST data, eg.
                    'application/x-www-form-urlencoded'
    -H attribute    Add Arbitrary header line, eg. 'Accept-Encoding: gzip' (repeatable)
    -m method       Method name"""
TIMEOUT = 30  # seconds of silence


class Refused(Exception):
    """The command line asks for something that ab refuses; `status` is ab's exit status for it."""

    def __init__(self, message: str, status: int = 22) -> None:
        """Keep ab's own message and exit status."""
        super().__init__(message)
        self.status = status


class Job:
    """What the command line asks for, and what came of it."""

    def __init__(self, argv: list[str]) -> None:
        """Read ab's arguments; raises Refused where ab refuses them."""
        try:
            options, urls = getopt.getopt(argv, "n:c:p:T:H:m:")
        except getopt.GetoptError as error:
            raise Refused(f"ab: {error}\n{USAGE}") from None
        if len(urls) != 1:
            raise Refused(f"ab: wrong number of arguments\n{USAGE}")
        chosen = dict(options)
        self.requests = positive(chosen.get("-n", "1"), "Invalid number of requests")
        self.concurrency = positive(chosen.get("-c", "1"), "Invalid concurrency")
        if self.concurrency > self.requests:
            raise Refused(f"ab: Cannot use concurrency level greater than total number of requests\n{USAGE}")
        self.host, self.port, self.path = split_url(urls[0])
        self.body = read_body(chosen["-p"]) if "-p" in chosen else b""
        self.method = chosen.get("-m", "POST" if "-p" in chosen else "GET")
        self.headers = {
            "Host": self.host if self.port == 80 else f"{self.host}:{self.port}",
            "User-Agent": "ApacheBench/2.3",
            "Accept": "*/*",
        }
        if "-p" in chosen:
            self.headers["Content-length"] = str(len(self.body))
            self.headers["Content-type"] = chosen.get("-T", "text/plain")
        for line in (value for option, value in options if option == "-H"):
            name, colon, value = line.partition(":")
            if not colon:
                raise Refused(f"ab: -H {line!r} is no header line: write 'Name: value'")
            # Only these three are replaced, as in ab; any other header is added.
            known = name.title() if name.title() in ("Host", "User-Agent", "Accept") else name
            self.headers[known] = value.strip()

        self.lock = threading.Lock()
        self.left = self.requests
        self.complete = self.failed = self.non_2xx = self.total_bytes = self.html_bytes = 0
        self.server = ""
        self.first_length: int | None = None
        self.error = ""
        self.status = 0

    def run(self) -> None:
        """Send all requests, `concurrency` at a time; stop at the first connection that is refused."""
        threads = [threading.Thread(target=self.work, daemon=True) for _ in range(self.concurrency)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def work(self) -> None:
        """Send requests until none are left."""
        while self.take():
            try:
                self.count(*self.send())
            except OSError as error:
                self.error = f"apr_socket_recv: {error.strerror or error} ({error.errno})"
                self.status = max(error.errno or 0, 1)  # ab exits with the system's number: 111 for refused
                return
            except ValueError as error:  # what HTTP cannot carry, or an answer that is no HTTP
                self.error, self.status = str(error), 1
                return

    def take(self) -> bool:
        """Reserve the next request; False when there is none or another thread met an error."""
        with self.lock:
            self.left -= 1
            return self.left >= 0 and not self.error

    def send(self) -> tuple[bytes, bytes]:
        """Make one request over a connection of its own; the answer's head and body."""
        lines = [f"{self.method} {self.path} HTTP/1.0", *(f"{name}: {value}" for name, value in self.headers.items())]
        if any(mark in line for line in lines for mark in "\r\n"):
            raise ValueError("a header cannot hold a line break")
        request = "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body
        with socket.create_connection((self.host, self.port), TIMEOUT) as connection:
            connection.sendall(request)
            answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))  # HTTP/1.0: the server closes
        head, found, body = answer.partition(b"\r\n\r\n")
        if not found or not head.startswith(b"HTTP/") or not head[9:12].isdigit():
            raise ValueError("the answer is not HTTP")
        return head, body

    def count(self, head: bytes, body: bytes) -> None:
        """Add one answer to the totals."""
        with self.lock:
            self.complete += 1
            self.non_2xx += not 200 <= int(head[9:12]) < 300
            if self.first_length is None:
                self.first_length, self.server = len(body), header(head, "Server")
            # As in ab, an answer of another length than the first is a failure.
            self.failed += len(body) != self.first_length
            self.html_bytes += len(body)
            self.total_bytes += len(head) + 4 + len(body)


def header(head: bytes, name: str) -> str:
    """The value of one header of an answer, or an empty text."""
    for line in head.decode("latin-1").split("\r\n")[1:]:
        key, _, value = line.partition(":")
        if key.lower() == name.lower():
            return value.strip()
    return ""


def positive(text: str, complaint: str) -> int:
    """The number in `text`, or Refused with status 1 if it is not a whole number above 0."""
    if not text.isdecimal() or int(text) == 0:
        raise Refused(f"ab: {complaint}", 1)
    return int(text)


def split_url(url: str) -> tuple[str, int, str]:
    """Host, port and path of `url`; ab insists on a path, if only a slash."""
    if url.startswith("https://"):
        raise Refused("SSL not compiled in; no https support", 1)
    address, slash, path = url.removeprefix("http://").partition("/")
    host, colon, port = address.partition(":")
    if not slash or not host or (colon and not port.isdecimal()):
        raise Refused(f"ab: invalid URL\n{USAGE}")
    return host, int(port or 80), slash + path


def read_body(name: str) -> bytes:
    """The bytes to POST."""
    try:
        with open(name, "rb") as file:  # noqa: PTH123 (pathlib takes its time to import, too)
            return file.read()
    except OSError as error:
        raise Refused(f"ab: Could not open POST data file ({name}): {error.strerror}", 1) from None


def summary(job: Job, seconds: float) -> str:
    """The lines of ab's report that this stand-in can give."""
    lines = [
        f"Server Software:        {job.server}",
        f"Server Hostname:        {job.host}",
        f"Server Port:            {job.port}",
        "",
        f"Document Path:          {job.path}",
        f"Document Length:        {job.first_length or 0} bytes",
        "",
        f"Concurrency Level:      {job.concurrency}",
        f"Time taken for tests:   {seconds:.3f} seconds",
        f"Complete requests:      {job.complete}",
        f"Failed requests:        {job.failed}",
    ]
    if job.failed:
        lines.append(f"   (Connect: 0, Receive: 0, Length: {job.failed}, Exceptions: 0)")
    if job.non_2xx:
        lines.append(f"Non-2xx responses:      {job.non_2xx}")
    return "\n".join(
        [
            *lines,
            f"Total transferred:      {job.total_bytes} bytes",
            f"HTML transferred:       {job.html_bytes} bytes",
            f"Requests per second:    {job.complete / seconds:.2f} [#/sec] (mean)",
        ]
    )


def main(argv: list[str] | None = None) -> int:
    """Run as `ab`; 0 when every request was answered, else ab's own exit status."""
    print("ab: this is Swordlab's stand-in for ApacheBench", file=sys.stderr)
    try:
        job = Job(sys.argv[1:] if argv is None else argv)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return refusal.status
    print(f"Benchmarking {job.host} (be patient).....", end="", flush=True)
    start = time.perf_counter()
    try:
        job.run()
    except KeyboardInterrupt:
        job.error, job.status = "interrupted", 1
    if job.error:
        print()
        print(f"ab: {job.host}:{job.port}: {job.error}", file=sys.stderr)
        print(f"Total of {job.complete} requests completed", file=sys.stderr)
        return job.status
    print("done\n\n")
    print(summary(job, time.perf_counter() - start))
    return 0


if __name__ == "__main__":
    sys.exit(main())
