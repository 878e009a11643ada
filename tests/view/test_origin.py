"""A page of another site cannot connect to the viewer."""

import pytest

from jaxvsnerf.errors import MissingExtra
from jaxvsnerf.view.origin import is_own_page, own_pages_alone
from jaxvsnerf.view.viewer import start_server

OWN = frozenset(("localhost", "127.0.0.1", "::1", "box"))


@pytest.mark.parametrize(
    ("origin", "address", "own"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1:8080", True),
        ("http://localhost:8080", "127.0.0.1:8080", True),
        ("HTTP://LocalHost:8080", "localhost:8080", True),
        ("http://[::1]:8080", "[::1]:8080", True),
        ("http://box:8080", "BOX:8080", True),
        ("http://10.0.0.7:8080", "10.0.0.7:8080", True),
        ("http://localhost", "localhost:80", True),
        # A port that is passed on, as ssh does.
        ("http://localhost:9000", "localhost:9000", True),
        ("http://evil.example", "127.0.0.1:8080", False),
        # A name of another site that was pointed at this machine.
        ("http://evil.example:8080", "evil.example:8080", False),
        ("http://127.0.0.1:8081", "127.0.0.1:8080", False),
        ("http://10.0.0.7:8080", "127.0.0.1:8080", False),
        ("http://127.0.0.1.evil.example:8080", "127.0.0.1:8080", False),
        ("http://localhost:8080@evil.example:8080", "localhost:8080", False),
        ("http://localhost:x", "localhost:8080", False),
        ("null", "localhost:8080", False),
        ("file://", "localhost:8080", False),
        ("", "localhost:8080", False),
    ],
)
def test_only_the_viewers_own_pages_are_its_own(origin, address, own):
    assert is_own_page(origin, address, OWN) == own


def test_the_viewer_refuses_a_connection_of_another_sites_page():
    viser = pytest.importorskip("viser", reason="viser, which serves the page, is not installed")
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    server = start_server("127.0.0.1", 0)
    try:
        port = server.get_port()
        options = {"subprotocols": [f"viser-v{viser.__version__}"], "max_size": None}
        for origin in (None, f"http://127.0.0.1:{port}", f"http://localhost:{port}"):
            with connect(f"ws://127.0.0.1:{port}", origin=origin, **options) as connection:
                assert connection.recv(timeout=20)
        for origin in ("https://evil.example", f"http://evil.example:{port}", "null"):
            with pytest.raises(InvalidStatus, match="403"):
                connect(f"ws://127.0.0.1:{port}", origin=origin, **options)
    finally:
        server.stop()


def test_a_viser_that_starts_its_server_otherwise_is_not_used():
    pytest.importorskip("websockets")
    with pytest.raises(MissingExtra, match="pages of other sites could connect"):
        with own_pages_alone("127.0.0.1"):
            pass
