"""Serve the page from a thread of this process, e.g. of a notebook."""

import socket
from collections.abc import Callable
from threading import Thread

import uvicorn
from fastapi import FastAPI

from src.demo.server import LOCAL_HOSTS


def serve_in_background(app: FastAPI) -> tuple[str, Callable[[], None]]:
    """Serve the page on a free port of this machine.

    Returns:
        the address of the page, and a function that stops the server.
    """
    listener = socket.create_server((LOCAL_HOSTS[0], 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()

    def stop() -> None:
        server.should_exit = True
        thread.join()
        listener.close()

    return "http://{}:{}/".format(*listener.getsockname()), stop
