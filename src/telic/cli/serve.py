"""`telic serve`: an OpenAI-compatible server with a purpose."""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from telic.cli.adapter_options import AdapterOptions
from telic.cli.controls import parse_controls
from telic.cli.output import load_model, print_json, print_line, print_notice
from telic.cli.usage import UsageError
from telic.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from telic.server import Keys, Service

__all__ = ["Serve"]


@dataclass
class Serve(AdapterOptions):
    """Serve a purpose to OpenAI's clients and on a dashboard, and store every conversation.

    The [serve] table of the purpose file has more settings, such as rate limits.

    Examples:
        telic serve travel.toml
        telic serve travel.toml --port 9000 --store travel.db
        telic serve travel.toml --host 0.0.0.0 --api-key-file keys.txt
    """

    purpose: tyro.conf.Positional[str] = "demo"
    """A purpose file, or `demo`."""
    model: str | None = None
    """Model to use instead of the one that the purpose names."""
    controls: tuple[str, ...] = ()
    """Controls to use instead of the purpose's own, such as `refresh` or `split_softmax:k=0.8`; `none` for none."""
    host: str = "127.0.0.1"
    """Address to listen on. An address that other machines can reach requires API keys or --insecure."""
    port: int = 8000
    """Port to listen on; 0 for any free port."""
    version: str | None = None
    """Version of the purpose to serve: v1, v2, ..., `latest`, or `base` for the purpose file as written. By default the
    promoted version, and each version promoted later."""
    store: str | None = None
    """Where conversations are stored: a file (SQLite), or postgresql://... By default the `store` of [serve]."""
    api_key_file: Path | None = None
    """File of API keys, written by `telic keys`. The environment variable TELIC_API_KEY sets a single key."""
    dashboard: bool = True
    """Serve the dashboard: chat, the model's beliefs, its drift."""
    insecure: bool = False
    """Listen on any address without API keys. Everyone who can reach the address can use the server."""
    trust: bool = False
    """Trust the purpose file: its judges may call functions in the Python files beside it."""
    json: bool = False
    """Print the addresses as a line of JSON."""

    def run(self) -> None:
        """Serve until interrupted."""
        require_server()
        if self.dashboard:
            from telic.server.dashboard import require_dashboard

            require_dashboard()
        from telic.promotion import load_version
        from telic.server import Keys, ServeConfig, Service, create_app
        from telic.server.http_server import make_server
        from telic.server.log import configure_logging
        from telic.server.middleware import LOCAL_HOSTS

        release = load_version(self.purpose, self.version, trust=self.trust)
        purpose = release.purpose
        config = ServeConfig.of_purpose(purpose, store=self.store)
        controls = parse_controls(self.controls)
        keys = Keys.load(self.api_key_file)
        self._require_keys(keys)
        with _listen(self.host, self.port) as listener:
            named = self.model is not None or self.adapter is not None
            # No name for the model here: a promotion may replace it, and then its memory is needed.
            service = Service(
                load_model(self.model or purpose, self.adapter), purpose, config, controls, release, fixed_model=named
            )
            hosts = None if keys or self.insecure else LOCAL_HOSTS | {self.host}
            port = listener.getsockname()[1]
            app = create_app(
                service, keys, hosts, on_start=lambda: self._announce(service, port), dashboard=self.dashboard
            )
            configure_logging()
            make_server(app).run([listener])

    def _require_keys(self, keys: Keys) -> None:
        from telic.server.middleware import LOCAL_HOSTS

        if self.host in LOCAL_HOSTS or keys or self.insecure:
            return
        raise ConfigError(
            f"--host {self.host} can be reached from other machines, and there are no API keys. Make one with: telic "
            "keys NAME --file keys.txt, and add --api-key-file keys.txt; or add --insecure to accept everyone"
        )

    def _announce(self, service: Service, port: int) -> None:
        name = f"[{self.host}]" if ":" in self.host else self.host
        from telic.promotion.records import BASE
        from telic.server.dashboard import PATH

        root = f"http://{name}:{port}"
        if self.json:
            dashboard = {"dashboard": f"{root}{PATH}/"} if self.dashboard else {}
            print_json({"url": f"{root}/v1", **dashboard, "store": service.store.location})
        else:
            served = service.purpose.name if service.version == BASE else f"{service.purpose.name} {service.version}"
            print_line(f"{served} on {service.runner.model.name}: {root}/v1")
            if service.purpose.best_of > 1:
                print_line(f"Each reply is the best of {service.purpose.best_of}, so a stream sends it in one piece.")
            if self.dashboard:
                print_line(f"Dashboard: {root}{PATH}/")
            print_notice(f"Conversations are stored in {service.store.location}. Press Ctrl-C to stop.", style="dim")
        sys.stdout.flush()


def require_server() -> None:
    """Check that the extra `server` is installed.

    Raises:
        MissingExtraError: it is not.
    """
    from importlib.util import find_spec

    if any(find_spec(name) is None for name in ("fastapi", "uvicorn", "sqlalchemy", "alembic", "prometheus_client")):
        raise MissingExtraError("serving", "server")


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port < 1 << 16:
        raise UsageError(f"--port is {port}; expected 0 to 65535")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}, port {port}: {error}; choose another address with --host or --port"
        ) from None
