"""Requests as honest clients send them, and answers as honest servers do."""

from __future__ import annotations

from typing import Final

CLEAN: Final = {
    "a request of a browser": (
        b"GET /style.css?v=3 HTTP/1.1\r\nHost: localhost:8000\r\nConnection: keep-alive\r\n"
        b'sec-ch-ua: "Chromium";v="156", "Not)A;Brand";v="24"\r\nsec-ch-ua-mobile: ?0\r\n'
        b'sec-ch-ua-platform: "Linux"\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/css,*/*;q=0.1\r\n'
        b"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: style\r\n"
        b"Referer: http://localhost:8000/\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
        b"Accept-Language: en-US,en;q=0.9\r\n\r\n"
    ),
    "a form": (
        b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 7\r\n\r\na=1&b=2"
    ),
    "an upload in chunks": (
        b"PUT /up HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    ),
    "curl": b"GET / HTTP/1.1\r\nHost: localhost:8000\r\nUser-Agent: curl/8.17.0\r\nAccept: */*\r\n\r\n",
    "a WebSocket": (
        b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: http://a\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ),
    "a preflight": (
        b"OPTIONS /api HTTP/1.1\r\nHost: a\r\nAccess-Control-Request-Method: PUT\r\n"
        b"Access-Control-Request-Headers: content-type\r\nOrigin: http://b\r\n\r\n"
    ),
    "a tunnel": (
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nProxy-Connection: Keep-Alive\r\n\r\n"
    ),
    "a part of a video": (
        b'GET /v.mp4 HTTP/1.1\r\nHost: [::1]:80\r\nRange: bytes=0-\r\nIf-Range: "x"\r\n'
        b'If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\nIf-None-Match: W/"abc", "d"\r\n'
        b"Sec-Fetch-Dest: video\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Site: same-origin\r\n"
        b"Sec-Purpose: prefetch;prerender\r\nPriority: u=0, i\r\nCookie: a=b; c=d%20e; f=\r\n\r\n"
    ),
    "OPTIONS for the whole server": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
}
"""Requests in which nothing is worse than good."""

_DATE = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
_OK = b"HTTP/1.1 200 OK\r\n" + _DATE

CLEAN_ANSWERS: Final = {
    "a page": (
        CLEAN["a request of a browser"],
        _OK
        + b'Content-Type: text/css; charset=utf-8\r\nContent-Length: 2\r\nCache-Control: max-age=60\r\nETag: "a"\r\n'
        b"Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nVary: Accept-Encoding\r\nConnection: keep-alive\r\n"
        b'Keep-Alive: timeout=5\r\nServer-Timing: db;dur=5.1;desc="a b", miss\r\nLink: </a.css>; rel=preload\r\n\r\nhi',
    ),
    "content in chunks": (
        CLEAN["curl"],
        _OK
        + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nCache-Control: no-store\r\n\r\n"
        b"2\r\n{}\r\n0\r\n\r\n",
    ),
    "a session begins": (
        CLEAN["a form"],
        b"HTTP/1.1 303 See Other\r\n" + _DATE + b"Location: /home?a=%20b#c\r\nContent-Length: 0\r\n"
        b"Set-Cookie: __Host-id=abc123; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=3600\r\n"
        b"Set-Cookie: theme=dark; Path=/; SameSite=Strict; Expires=Mon, 06 Nov 2034 08:49:37 GMT\r\n\r\n",
    ),
    "a WebSocket opens": (
        CLEAN["a WebSocket"],
        (
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x02hi"
        ),
    ),
    "a preflight is allowed": (
        CLEAN["a preflight"],
        b"HTTP/1.1 204 No Content\r\n" + _DATE + b"Access-Control-Allow-Origin: http://b\r\n"
        b"Access-Control-Allow-Methods: PUT, DELETE\r\nAccess-Control-Allow-Headers: Content-Type\r\n"
        b"Access-Control-Max-Age: 600\r\nVary: Origin\r\nCache-Control: no-store\r\n\r\n",
    ),
    "a tunnel opens": (
        CLEAN["a tunnel"],
        b"HTTP/1.1 200 Connection established\r\n" + _DATE + b"\r\n\x16\x03\x01",
    ),
    "a part": (
        CLEAN["a part of a video"],
        b"HTTP/1.1 206 Partial Content\r\n"
        + _DATE
        + b"Content-Type: video/mp4\r\nContent-Range: bytes 0-1/9\r\n"
        b'Content-Length: 2\r\nETag: "x"\r\nAccept-Ranges: bytes\r\nCache-Control: private, max-age=60\r\n\r\nab',
    ),
    "nothing has changed": (
        b'GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: "x"\r\n\r\n',
        b"HTTP/1.1 304 Not Modified\r\n" + _DATE + b'ETag: "x"\r\nCache-Control: max-age=60\r\n\r\n',
    ),
    "events": (
        CLEAN["curl"],
        _OK + b"Content-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
        b"Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n0\r\n\r\n",
    ),
    "hints and a protected page": (
        CLEAN["curl"],
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload; as=style\r\n\r\n"
        + _OK
        + b"Content-Type: text/html; charset=utf-8\r\nContent-Length: 2\r\nCache-Control: private, no-store\r\n"
        b"Content-Security-Policy: default-src 'self'; script-src 'nonce-a'; img-src * data:; base-uri 'none'\r\n"
        b"Strict-Transport-Security: max-age=31536000; includeSubDomains\r\nX-Content-Type-Options: nosniff\r\n"
        b"X-Frame-Options: DENY\r\nReferrer-Policy: no-referrer, strict-origin\r\n"
        b"Permissions-Policy: camera=(), geolocation=(self)\r\n"
        b'Cross-Origin-Opener-Policy: same-origin\r\nClear-Site-Data: "cache"\r\n\r\nhi',
    ),
    "a download": (
        CLEAN["curl"],
        _OK + b"Content-Type: application/pdf\r\nContent-Length: 1\r\nCache-Control: private, max-age=0\r\n"
        b"Content-Disposition: attachment; filename=\"a b.pdf\"; filename*=UTF-8''a%20b.pdf\r\n\r\nx",
    ),
    "HEAD": (
        b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        _OK + b"Content-Type: text/plain\r\nContent-Length: 99\r\nCache-Control: no-store\r\n\r\n",
    ),
}
"""Requests, and answers to them in which nothing is worse than good."""
