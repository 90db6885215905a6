"""A site on this machine's own address, served beside the work of the process that started it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from luthier.app.pages.guard import App
from luthier.errors import mistake

LOOPBACK = "127.0.0.1"


def listening(host: str, port: int | None, before: int) -> socket.socket:
    """A socket at `port`; where none is named, at the one used `before` if it is free, else at any.

    Raises `UserError` where the port is taken, or the address is not this machine's.
    """
    for tried in [port] if port is not None else [before, 0]:
        opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            opened.bind((host, tried))
            opened.listen(128)
        except (OSError, OverflowError) as error:
            opened.close()
            if tried == before and port is None:
                continue
            why = error.strerror if isinstance(error, OSError) else "a port is a number up to 65535"
            remedy = "name another with --port, or leave it out for one that is free"
            raise mistake(f"cannot listen there: {why}", f"{host}:{tried}", remedy) from error
        return opened
    raise AssertionError("port 0 is always tried last")


def hosts_of(host: str, port: int) -> set[str]:
    """By which names in the Host header the site may be asked for."""
    names = {host, LOOPBACK, "localhost"} if host in (LOOPBACK, "localhost") else {f"[{host}]" if ":" in host else host}
    return {f"{name}:{port}" for name in names} | (names if port == 80 else set())


@contextmanager
def served(app: App, at: socket.socket) -> Iterator[None]:
    """Inside, the site answers. After it, every request that came is answered and the socket is closed."""
    config = uvicorn.Config(
        app,
        log_level="critical",
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=3,
        timeout_keep_alive=30,
        log_config=None,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [at]}, name="pages", daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        thread.join(10)
        at.close()
