"""Requests as honest clients send them."""

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
