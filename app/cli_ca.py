"""`silverline ca …`: the certificate authority of this installation."""

import asyncio
import importlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from app.settings import Settings

ca_app = typer.Typer(
    help="Client certificates of devices: an authority of our own.", no_args_is_help=True
)
out = Console()
_chosen: list[Path] = []
Days = Annotated[int, typer.Option(min=1, max=3650, help="How long it counts")]


@ca_app.callback()
def ca_options(
    data_dir: Annotated[
        Path | None,
        typer.Option(help="The data folder of `silverline up`, whose keys and database count then"),
    ] = None,
) -> None:
    """Client certificates of devices: an authority of our own."""
    _chosen[:] = [data_dir] if data_dir else []


def _settings() -> "Settings":
    settings: Settings = importlib.import_module("app.cli").settings_with_logs()
    if not _chosen:
        return settings
    module = importlib.import_module("app.installation")
    embedded: Settings = module.of_embedded(settings, _chosen[0])
    return embedded


@ca_app.command("init")
def ca_init(
    name: Annotated[str, typer.Option(help="Name of the authority")] = "Silverline devices",
) -> None:
    """Make the authority; its key is encrypted in the data folder."""
    path = importlib.import_module("app.authority").init(_settings(), name)
    out.print(f"The authority is made; give its certificate to devices: {path}", highlight=False)


@ca_app.command("server")
def ca_server(
    names: Annotated[list[str], typer.Argument(help="Host names and addresses of the broker")],
    days: Days = 825,
) -> None:
    """Make key and certificate of the broker itself."""
    path = importlib.import_module("app.authority").server(_settings(), names, days)
    out.print(f"The broker's certificate: {path}", highlight=False)


@ca_app.command("issue")
def ca_issue(
    device: str,
    csr: Annotated[
        Path | None, typer.Option(help="Signing request of the device (PEM); else a key is made")
    ] = None,
    into: Annotated[Path, typer.Option("--out", help="Folder for the files")] = Path(),
    days: Days = 825,
) -> None:
    """Sign a certificate for a registered device."""
    module = importlib.import_module("app.authority")
    made = module.issue(_settings(), device, csr, into, days)
    out.print(f"Certificate {made.certificate.serial}: {made.certificate_file}", highlight=False)
    if made.key_file:
        out.print(f"Its key, for the device alone: {made.key_file}", highlight=False)


@ca_app.command("trust")
def ca_trust(device: str, certificate: Path) -> None:
    """Take in a device's certificate that another authority has issued (PEM)."""
    module = importlib.import_module("app.authority")
    text = certificate.read_text("utf-8", errors="replace")
    serial = asyncio.run(module.trust(_settings(), device, text))
    out.print(f"{device} may come in with certificate {serial}.", highlight=False)


@ca_app.command("revoke")
def ca_revoke(
    device: str,
    serial: Annotated[str, typer.Argument(help="As `silverline ca list` says it")],
    reason: Annotated[
        str, typer.Option(help="unspecified, key_compromise, superseded, …")
    ] = "unspecified",
) -> None:
    """End a certificate at once; the list of revoked ones is written anew."""
    module = importlib.import_module("app.authority")
    settings = _settings()
    asyncio.run(module.revoke(settings, device, serial, reason))
    if module.has_key(settings):
        asyncio.run(module.write_list(settings, 7))
    out.print(f"Certificate {serial} of {device} does not count any more.", highlight=False)


@ca_app.command("list")
def ca_list(device: str) -> None:
    """List the certificates of a device, as JSON."""
    module = importlib.import_module("app.authority")
    found = asyncio.run(module.listed(_settings(), device))
    sys.stdout.write(json.dumps(found, ensure_ascii=False, indent=2) + "\n")


@ca_app.command("crl")
def ca_crl(days: Days = 7) -> None:
    """Write the list of revoked certificates, for brokers that read one; do it every day."""
    module = importlib.import_module("app.authority")
    path = asyncio.run(module.write_list(_settings(), days))
    out.print(f"{path}", highlight=False)
