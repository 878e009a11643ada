"""Lets pages of the viewer's own address alone connect to the viewer.

A browser lets any page open a websocket to any address, also to this machine's own, and says in the
header Origin where the page came from. viser does not look at that header.
"""

from __future__ import annotations

import http
import ipaddress
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from jaxvsnerf.errors import MissingExtra
from jaxvsnerf.system.extras import require

LOCAL = ("localhost", "127.0.0.1", "::1")


def is_own_page(origin: str, address: str, own: frozenset[str]) -> bool:
    """Whether a page comes from the address that it connects to.

    That the two are equal is not enough: a page of another site can have its site's name point to
    this machine. A name must be one of the viewer's own; an address of numbers cannot be pointed.

    Args:
      origin: the header Origin, such as `http://localhost:8080`.
      address: the header Host, such as `localhost:8080`.
      own: lower-case names of the viewer's machine.
    """
    try:
        page, asked = urlsplit(origin), urlsplit(f"//{address}")
        port = page.port or {"http": 80, "https": 443}.get(page.scheme)
        same_port = port == (asked.port or {"http": 80, "https": 443}.get(page.scheme))
    except ValueError:
        return False
    if page.scheme not in ("http", "https") or not same_port or not page.hostname:
        return False
    if page.hostname == asked.hostname:
        return page.hostname in own or _is_numbers(page.hostname)
    return {page.hostname, asked.hostname} <= set(LOCAL)


def _is_numbers(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@contextmanager
def own_pages_alone(host: str) -> Iterator[None]:
    """Has every server of websockets that the block starts refuse pages of other sites.

    Choice: viser takes no function that looks at a request, so websockets' `serve` is replaced
    while viser starts. Programs other than browsers send no Origin and may connect.

    Args:
      host: the name or address that is served.

    Raises:
      MissingExtra: the block started no server through `serve`, so that nothing would be refused.
    """
    server = require("websockets.asyncio.server", "the live viewer")
    serve, started = server.serve, []
    names = (host, *LOCAL, socket.gethostname(), socket.getfqdn())
    own = frozenset(name.lower() for name in names)

    def guarded(*args: Any, process_request: Callable | None = None, **options: Any) -> Any:
        started.append(True)

        def look(connection: Any, request: Any) -> Any:
            asked = request.headers.get_all("Host")
            for origin in request.headers.get_all("Origin"):
                if len(asked) != 1 or not is_own_page(origin, asked[0], own):
                    words = f"expected a page of this viewer, got one of {ascii(origin)}\n"
                    return connection.respond(http.HTTPStatus.FORBIDDEN, words)
            return process_request(connection, request) if process_request else None

        return serve(*args, process_request=look, **options)

    server.serve = guarded
    try:
        yield
    finally:
        server.serve = serve
    if not started:
        raise MissingExtra(
            "this version of viser starts its server otherwise than versions 1.1, and pages of "
            "other sites could connect to the viewer; install it with: pip install 'viser<1.2'"
        )
