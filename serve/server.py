"""`daytwo serve`: the address, the token and the server around the API."""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
from pathlib import Path

from agent.settings import Settings, load_settings
from serve.terminal import note
from tools.errors import OperatorError, SiteConfigError

TOKEN_FILE = Path("token")
TOKEN_BYTES = 32
PRIVATE_MODE = 0o600
BACKLOG = 128
BIND_FIX = "daytwo serve --bind 127.0.0.1:8220"


def run_server(bind: str) -> int:
    """Serve until a signal comes.

    Raises:
        OperatorError: The address is none, or is taken.
        SiteConfigError: It is not this machine's own and no token was set on purpose.
    """
    settings = load_settings()
    host, port = parse_bind(bind)
    if not is_loopback(host) and settings.api_token is None:
        raise SiteConfigError(
            f"The API does not listen on {host}, which others reach, with a token that nobody chose.",
            fix="export DAYTWO_API_TOKEN=$(openssl rand -hex 32), and put TLS in front of it",
        )
    token, place = find_token(settings)
    listener = open_listener(host, port)

    import uvicorn

    from serve.api import build_api
    from serve.logs import start_logs

    start_logs(settings.log_format)
    config = uvicorn.Config(build_api(settings, token), log_level="warning", access_log=False)
    note(f"daytwo: listening on http://{_spell(listener)}, bearer token in {place}")
    uvicorn.Server(config).run(sockets=[listener])
    return 0


def parse_bind(bind: str) -> tuple[str, int]:
    """Split ``HOST:PORT``, ``[::1]:PORT``.

    Raises:
        OperatorError: It is neither.
    """
    host, colon, port = bind.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535 or not host:
        raise OperatorError(f"--bind {bind!r} is no HOST:PORT.", fix=BIND_FIX)
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches the address; a name other than localhost may lead anywhere."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def find_token(settings: Settings) -> tuple[str, str]:
    """The token of the settings, or the kept one, made at the first start.

    Returns:
        The token, and where it stands, in words.

    Raises:
        SiteConfigError: Others may read the kept token, or it can be neither read nor made.
    """
    if settings.api_token is not None and settings.api_token.get_secret_value():
        return settings.api_token.get_secret_value(), "DAYTWO_API_TOKEN"
    path = settings.data_dir / TOKEN_FILE
    try:
        return _read_or_make(path), str(path)
    except OSError as error:
        raise SiteConfigError(
            f"The token {path} can be neither read nor made: {error.strerror}.",
            fix="export DAYTWO_DATA_DIR=/some/other/folder",
        ) from None


def _read_or_make(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE)
    except FileExistsError:
        return _read_private(path)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(token + "\n")
    return token


def _read_private(path: Path) -> str:
    if path.stat().st_mode & 0o077:
        raise SiteConfigError(f"Others on this machine may read the token {path}.", fix=f"chmod 600 {path}")
    token = path.read_text(encoding="ascii").strip()
    if not token:
        raise SiteConfigError(f"The token {path} is empty.", fix=f"rm {path}, then start again: a new one is made")
    return token


def open_listener(host: str, port: int) -> socket.socket:
    """Bind before anything else starts, so that a taken port is one clear sentence.

    Raises:
        OperatorError: The address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise OperatorError(
            f"The API cannot listen on {host}:{port}: {error.strerror or error}.",
            fix=f"daytwo serve --bind {host}:{port + 1}",
        ) from None
    return listener


def _spell(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
