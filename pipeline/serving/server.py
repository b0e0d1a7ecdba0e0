"""uvicorn with the settings of this service."""

import uvicorn
from fastapi import FastAPI

MAX_CONNECTIONS = 500
DRAIN_SECONDS = 30  # that requests under way have after SIGTERM


class Server(uvicorn.Server):
    """Prints its address when it listens: with port 0, nobody knows it before."""

    async def startup(self, sockets=None) -> None:
        await super().startup(sockets)
        for each in self.servers if self.started else []:
            for socket in each.sockets:
                host, port = socket.getsockname()[:2]
                print(f"http://{host}:{port} (stop with Ctrl-C)", flush=True)


def run(app: FastAPI, host: str, port: int) -> bool:
    """Serve until SIGTERM or Ctrl-C, then finish the requests under way. False if the address cannot be listened on."""
    config = uvicorn.Config(
        app, host, port, log_level="critical", access_log=False, server_header=False, limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=5, timeout_graceful_shutdown=DRAIN_SECONDS,
    )  # fmt: skip
    server = Server(config)
    try:
        # It opens the socket itself: one from `config.bind_socket` delays each answer by 40 ms (no TCP_NODELAY).
        server.run()
    except SystemExit:
        if server.started:
            raise  # at a signal
        return False  # uvicorn's way to say that it cannot listen
    return True
