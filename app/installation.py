"""The installation that `up` or `demo` keeps in a folder, found by the commands beside it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import SecretStr

from app.embedded.postgres import EmbeddedPostgres
from app.secrets import load_or_make, write_private
from app.settings import DatabaseSection, Settings, SettingsError

FOLDERS = (Path("var/silverline"), Path("var/demo"), Path("var"))
"""Where `up` and `demo` keep their data unless they are told otherwise."""
_SECRETS, _ADDRESSES = "secrets.json", "addresses.json"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running stack listens; beside its data while it runs."""

    web_port: int
    mqtt_port: int

    def write(self, data_dir: Path) -> None:
        """Leave word for the commands."""
        write_private(data_dir / _ADDRESSES, json.dumps(asdict(self)))

    @staticmethod
    def forget(data_dir: Path) -> None:
        """Take it back: nobody listens any more."""
        (data_dir / _ADDRESSES).unlink(missing_ok=True)

    @classmethod
    def read(cls, data_dir: Path) -> "Addresses | None":
        """Return where the stack on a folder listens, None where nothing is known of it."""
        try:
            return cls(**json.loads((data_dir / _ADDRESSES).read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None


@dataclass(frozen=True, slots=True)
class Installation:
    """A folder with an embedded installation, and whether its database runs now."""

    data_dir: Path
    running: bool


def find(settings: Settings) -> Installation | None:
    """Return the installation of this folder, None when there is none or another one is set.

    SILVERLINE_DATA_DIR names its folder, else those are looked at that the two take by themselves.
    One that runs goes before one that only lies there.
    """
    if settings.database.url.get_secret_value():
        return None
    if "data_dir" in settings.model_fields_set:
        folders: tuple[Path, ...] = (settings.data_dir, settings.data_dir / "demo")
    else:
        folders = FOLDERS
    found = [
        Installation(folder, EmbeddedPostgres(folder / "postgres").pid is not None)
        for folder in folders
        if (folder / _SECRETS).is_file()
    ]
    return next((one for one in found if one.running), found[0] if found else None)


def of_embedded(settings: Settings, data_dir: Path) -> Settings:
    """Return the settings of the installation on a folder, as far as they are its own.

    Raises SettingsError when its secrets belong to somebody else.
    """
    try:
        keys = load_or_make(data_dir / _SECRETS)
    except OSError as error:
        raise SettingsError(
            f"{error.filename} cannot be read ({error.strerror}): be the user who runs it"
        ) from error
    database = EmbeddedPostgres(data_dir / "postgres")
    known: dict[str, object] = {
        "data_dir": data_dir.resolve(),
        "master_key": SecretStr(keys.master_key),
        "database": DatabaseSection(url=SecretStr(database.url())),
    }
    addresses = Addresses.read(data_dir)
    if addresses is not None:
        broker = {"host": "127.0.0.1", "port": addresses.mqtt_port}
        known["mqtt"] = settings.mqtt.model_copy(update=broker)
    return settings.model_copy(update=known)
