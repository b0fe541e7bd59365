"""The error texts of real programs, as they print them: which address is meant, and what happened to it."""

from __future__ import annotations

import pytest

from loopmon.why.target import Symptom, parse_target

IN_USE, REFUSED, RESET, TIMED_OUT = Symptom.IN_USE, Symptom.REFUSED, Symptom.RESET, Symptom.TIMED_OUT

NODE_LISTEN = """\
node:events:485
      throw er; // Unhandled 'error' event
      ^

Error: listen EADDRINUSE: address already in use :::3000
    at Server.setupListenHandle [as _listen2] (node:net:1904:16)
    at listenInCluster (node:net:1961:12)
    at Object.<anonymous> (/home/me/src/api/server.js:42:13)
Emitted 'error' event on Server instance at:
    at emitErrorNT (node:net:1940:8)
  code: 'EADDRINUSE',
  errno: -98,
  syscall: 'listen',
  address: '::',
  port: 3000
}

Node.js v22.11.0
"""
NODE_CONNECT = """\
Error: connect ECONNREFUSED 127.0.0.1:57573
    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1611:16) {
  errno: -111,
  code: 'ECONNREFUSED',
  syscall: 'connect',
  address: '127.0.0.1',
  port: 57573
}
"""
NODE_FETCH = """\
TypeError: fetch failed
    at node:internal/deps/undici/undici:13185:13
    at async main (file:///home/me/src/web/fetch.mjs:3:13) {
  [cause]: AggregateError [ECONNREFUSED]:
      at internalConnectMultiple (node:net:1122:18)
      at afterConnectMultiple (node:net:1689:7) {
    code: 'ECONNREFUSED',
    [errors]: [
      Error: connect ECONNREFUSED ::1:5173
          at createConnectionError (node:net:1652:14),
      Error: connect ECONNREFUSED 127.0.0.1:5173
          at createConnectionError (node:net:1652:14)
    ]
  }
}
"""
REQUESTS = """\
Traceback (most recent call last):
  File "/usr/lib/python3/dist-packages/urllib3/connection.py", line 203, in _new_conn
    sock = connection.create_connection(
ConnectionRefusedError: [Errno 111] Connection refused

The above exception was the direct cause of the following exception:

requests.exceptions.ConnectionError: HTTPConnectionPool(host='localhost', port=8000): Max retries exceeded with url: \
/items/17 (Caused by NewConnectionError('<urllib3.connection.HTTPConnection object at 0x7f3c5a1b2d90>: Failed to \
establish a new connection: [Errno 111] Connection refused'))
"""
NGINX = (
    '2026/01/02 10:00:00 [error] 812#812: *3 connect() failed (111: Connection refused) while connecting to upstream, '
    'client: 127.0.0.1, server: , request: "GET / HTTP/1.1", upstream: "http://127.0.0.1:3000/", host: "localhost:8080"'
)  # fmt: skip
SPRING = """\
2026-01-02T10:00:00.123+01:00  INFO 4312 --- [  main] o.s.b.w.e.tomcat.TomcatWebServer : Tomcat initialized with port 8080 (http)

***************************
APPLICATION FAILED TO START
***************************

Description:

Web server failed to start. Port 8080 was already in use.
"""  # noqa: E501  as it is printed
PSQL = """\
psql: error: connection to server at "localhost" (::1), port 5432 failed: Connection refused
\tIs the server running on that host and accepting TCP/IP connections?
connection to server at "localhost" (127.0.0.1), port 5432 failed: Connection refused
\tIs the server running on that host and accepting TCP/IP connections?
"""
WGET = """\
--2026-01-02 10:00:00--  http://localhost:3000/
Resolving localhost (localhost)... 127.0.0.1
Connecting to localhost (localhost)|127.0.0.1|:3000... failed: Connection refused.
"""
SSH_L = """\
bind [127.0.0.1]:8080: Address already in use
channel_setup_fwd_listener_tcpip: cannot listen to port: 8080
Could not request local forwarding.
"""

PRINTED: dict[str, tuple[str, str | None, int, Symptom | None]] = {
    "node listen": (NODE_LISTEN, "::", 3000, IN_USE),
    "node connect": (NODE_CONNECT, "127.0.0.1", 57573, REFUSED),
    "node fetch": (NODE_FETCH, "::1", 5173, REFUSED),
    "node reset": ("Error: read ECONNRESET 127.0.0.1:6379", "127.0.0.1", 6379, RESET),
    "node dns": ("Error: getaddrinfo EAI_AGAIN db:5432", "db", 5432, Symptom.NAME),
    "node no ports": (
        "Error: connect EADDRNOTAVAIL 127.0.0.1:5432 - Local (127.0.0.1:0)", "127.0.0.1", 5432, Symptom.NO_PORTS,
    ),
    "node privileged": ("Error: listen EACCES: permission denied 0.0.0.0:80", "0.0.0.0", 80, Symptom.NOT_PERMITTED),
    "vite": ("Error: Port 5173 is already in use", None, 5173, IN_USE),
    "vite proxy": (
        "10:00:00 AM [vite] http proxy error: /api/items\nError: connect ECONNREFUSED ::1:8000", "::1", 8000, REFUSED,
    ),
    "next.js": (
        "⨯ Failed to start server\nError: listen EADDRINUSE: address already in use :::3000",
        "::", 3000, IN_USE,
    ),
    "requests": (REQUESTS, "localhost", 8000, REFUSED),
    "asyncio and uvicorn": (
        "ERROR:    [Errno 98] error while attempting to bind on address ('127.0.0.1', 8000): address already in use",
        "127.0.0.1", 8000, IN_USE,
    ),
    "asyncpg": (
        "ConnectionRefusedError: [Errno 111] Connect call failed ('127.0.0.1', 5432)",
        "127.0.0.1", 5432, REFUSED,
    ),
    "flask": (
        "Address already in use\nPort 5000 is in use by another program. Either identify and stop that program, or "
        "start the server with a different port.", None, 5000, IN_USE,
    ),
    "gunicorn": (
        "[2026-01-02 10:00:00 +0000] [4312] [ERROR] Connection in use: ('127.0.0.1', 8000)", "127.0.0.1", 8000, IN_USE,
    ),
    "django": (
        "Starting development server at http://127.0.0.1:8000/\nQuit the server with CONTROL-C.\n"
        "Error: That port is already in use.", "127.0.0.1", 8000, IN_USE,
    ),
    "redis-py": ("Error 111 connecting to localhost:6379. Connection refused.", "localhost", 6379, REFUSED),
    "go listen": (
        "2026/01/02 10:00:00 listen tcp 127.0.0.1:8080: bind: address already in use",
        "127.0.0.1", 8080, IN_USE,
    ),
    "go listen anywhere": ("listen tcp :8080: bind: address already in use\nexit status 1", None, 8080, IN_USE),
    "go dial": ("dial tcp [::1]:5432: connect: connection refused", "::1", 5432, REFUSED),
    "go get": (
        'Get "http://localhost:8080/healthz": dial tcp 127.0.0.1:8080: i/o timeout', "127.0.0.1", 8080, TIMED_OUT,
    ),
    "go reset": ("read tcp 127.0.0.1:51234->127.0.0.1:8080: read: connection reset by peer", "127.0.0.1", 8080, RESET),
    "go dns": (
        'Get "http://db:8080/": dial tcp: lookup db on 127.0.0.11:53: no such host', "db", 8080, Symptom.NAME,
    ),
    "spring": (SPRING, None, 8080, IN_USE),
    "java": ("java.net.ConnectException: Connection refused: localhost/127.0.0.1:9092", "127.0.0.1", 9092, REFUSED),
    "kafka": (
        "[2026-01-02 10:00:00,123] WARN [AdminClient clientId=adminclient-1] Connection to node -1 "
        "(localhost/127.0.0.1:9092) could not be established. (org.apache.kafka.clients.NetworkClient)",
        "127.0.0.1", 9092, None,
    ),
    "rust": (
        "error sending request for url (http://localhost:3000/): error trying to connect: tcp connect error: "
        "Connection refused (os error 111)", "localhost", 3000, REFUSED,
    ),
    "rust debug": (
        "thread 'main' panicked at src/main.rs:5:48:\nconnecting to 127.0.0.1:7878: Os { code: 111, kind: "
        'ConnectionRefused, message: "Connection refused" }', "127.0.0.1", 7878, REFUSED,
    ),
    "curl 7": (
        "curl: (7) Failed to connect to localhost port 3000 after 0 ms: Couldn't connect to server",
        "localhost", 3000, REFUSED,
    ),
    "curl 28": (
        "curl: (28) Failed to connect to 127.0.0.1 port 8081 after 130412 ms: Couldn't connect to server",
        "127.0.0.1", 8081, TIMED_OUT,
    ),
    "curl 52": ("$ curl localhost:3000/x\ncurl: (52) Empty reply from server", "localhost", 3000, RESET),
    "curl 56": (
        "$ curl -s http://127.0.0.1:3000\ncurl: (56) Recv failure: Connection reset by peer",
        "127.0.0.1", 3000, RESET,
    ),
    "wget": (WGET, "127.0.0.1", 3000, REFUSED),
    "nc": ("nc: connect to 127.0.0.1 port 3000 (tcp) failed: Connection refused", "127.0.0.1", 3000, REFUSED),
    "nginx upstream": (NGINX, "127.0.0.1", 3000, REFUSED),
    "nginx bind": (
        "nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)", "0.0.0.0", 80, IN_USE,
    ),
    "nginx not permitted": (
        "nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)", "0.0.0.0", 80, Symptom.NOT_PERMITTED,
    ),
    "docker": (
        "docker: Error response from daemon: driver failed programming external connectivity on endpoint web "
        "(1f0e5c6b7a89): Bind for 0.0.0.0:8080 failed: port is already allocated.", "0.0.0.0", 8080, IN_USE,
    ),
    "docker proxy": (
        "Error starting userland proxy: listen tcp4 0.0.0.0:80: bind: address already in use.", "0.0.0.0", 80, IN_USE,
    ),
    "docker desktop": (
        "Ports are not available: exposing port TCP 0.0.0.0:5000 -> 0.0.0.0:0: listen tcp 0.0.0.0:5000: bind: address "
        "already in use", "0.0.0.0", 5000, IN_USE,
    ),
    "psql": (PSQL, "::1", 5432, REFUSED),
    "psql, an address": (
        'psql: error: connection to server at "127.0.0.1", port 5432 failed: Connection refused',
        "127.0.0.1", 5432, REFUSED,
    ),
    "redis-cli": ("Could not connect to Redis at 127.0.0.1:6379: Connection refused", "127.0.0.1", 6379, REFUSED),
    "mysql": (
        "ERROR 2003 (HY000): Can't connect to MySQL server on '127.0.0.1:3306' (111)", "127.0.0.1", 3306, REFUSED,
    ),
    "ssh": ("ssh: connect to host localhost port 2222: Connection refused", "localhost", 2222, REFUSED),
    "ssh -L": (SSH_L, "127.0.0.1", 8080, IN_USE),
    "puma": (
        'Address already in use - bind(2) for "127.0.0.1" port 3000 (Errno::EADDRINUSE)', "127.0.0.1", 3000, IN_USE,
    ),
    "php": (
        "[Fri Jan  2 10:00:00 2026] Failed to listen on localhost:8000 (reason: Address already in use)",
        "localhost", 8000, IN_USE,
    ),
    "asp.net": (
        "System.IO.IOException: Failed to bind to address http://127.0.0.1:5000: address already in use.",
        "127.0.0.1", 5000, IN_USE,
    ),
    "unreachable": ("dial tcp 127.0.0.1:8080: connect: network is unreachable", "127.0.0.1", 8080, Symptom.UNREACHABLE),
}  # fmt: skip


@pytest.mark.parametrize("program", PRINTED)
def test_the_error_text_of(program: str) -> None:
    text, host, port, symptom = PRINTED[program]
    target = parse_target(text)
    assert (target.host, target.port, target.symptom) == (host, port, symptom), target


def test_the_others_are_named() -> None:
    assert parse_target(NGINX).others == ("localhost:8080",)
    assert parse_target(NODE_FETCH).others == ("127.0.0.1:5173",)
    assert parse_target(PRINTED["go reset"][0]).others == ("127.0.0.1:51234",)
    assert parse_target(NODE_LISTEN).others == ()
