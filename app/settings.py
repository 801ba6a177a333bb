"""Settings: frozen, read once from `silverline.toml` and `SILVERLINE_…`, passed down by hand.

A variable of a section is named with two underscores: SILVERLINE_DATABASE__URL. Instead of a
variable there may be a file of that name in /run/secrets, where Docker and Kubernetes put secrets.
Secrets have no default: `up` and `demo` make their own (app/secrets.py), everything else refuses to
start.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

from psycopg.conninfo import make_conninfo
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from kernel.crypto import FieldCipher, parse_master_key
from kernel.errors import DomainError


class SettingsError(DomainError):
    """The configuration cannot be used; the message names the setting and what it wants."""

    code = "settings"
    status = 500


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class DatabaseSection(_Section):
    """PostgreSQL 16 or newer, with or without TimescaleDB."""

    url: SecretStr = SecretStr("")
    password: SecretStr = SecretStr("")
    """Of the user in the URL, where the URL itself is no secret."""
    max_connections: int = Field(default=8, ge=2, le=100)


class MqttSection(_Section):
    """The broker that devices and ingest meet on."""

    host: str = "127.0.0.1"
    port: int = Field(default=1883, ge=0, le=65535)
    username: str = "silverline-ingest"
    password: SecretStr = SecretStr("")
    tls: bool = False
    ca_file: str = ""
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    keepalive: int = Field(default=30, ge=2, le=3600)
    """Seconds after which a silent connection to the broker is taken for dead, at most twice."""
    client_id: str = ""
    """Name of this ingest's session on the broker; with a share group each needs one of its own."""
    share_group: str = ""
    dynsec_username: str = "admin"
    dynsec_password: SecretStr = SecretStr("")
    """Set where Mosquitto keeps its own list of devices (dynamic security): we keep it in step."""
    bind: str = "127.0.0.1"


Port = Annotated[int, Field(ge=0, le=65535)]


class MqttsSection(_Section):
    """The embedded broker's listener over TLS; port 0 is off.

    Without files it uses those of `silverline ca` in the data folder.
    """

    port: Port = 0
    cert_file: Path | None = None
    key_file: Path | None = None
    client_ca_file: Path | None = None
    """Authorities of another house whose client certificates count (PEM); ours otherwise."""
    client_crl_file: Path | None = None
    client_certificates: Literal["off", "optional", "required"] = "optional"


class WatchSection(_Section):
    """The TCP listeners for watches and locators that do not speak MQTT."""

    host: str = "127.0.0.1"
    ports: dict[str, Port] = Field(default={"setracker": 5093})
    """A port for each codec of a byte stream (0 is any free one); without one nobody listens."""
    port: Port | None = None
    """That of Setracker, whatever the table says."""
    connections_per_address: int = Field(default=2_000, ge=1, le=65_536)
    """Of one address and listener, SCAIP's too; further ones are closed at once.

    Many devices share one behind a carrier's NAT: raise it where that is the whole city's.
    """

    @property
    def listeners(self) -> dict[str, int]:
        """The port of each codec."""
        return self.ports if self.port is None else self.ports | {"setracker": self.port}


class ScaipSection(_Section):
    """The SIP listener (UDP and TCP) for social alarm controllers; port 0 is off."""

    host: str = "127.0.0.1"
    port: Port = 0


class WebSection(_Section):
    """The web process. `public_url` is what browsers and phones use to reach it."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    public_url: str = "http://127.0.0.1:8080"
    secure_cookies: bool = True
    trusted_proxies: tuple[str, ...] = ()
    centre: str = "呼和浩特市"
    """Name of the place on the top bar."""
    hotline: str = "12349"
    tile_url: str = ""
    tile_gcj02: bool = False
    tile_attribution: str = ""
    map_app: Literal["none", "geo", "amap", "baidu"] = "geo"
    """The map that the link on a responder's phone opens; `geo` is what the phone itself has."""


class StorageSection(_Section):
    """How long readings, their rollups and settled commands are kept; days for ever."""

    keep_readings_days: int = Field(default=90, ge=7, le=3660)
    keep_15m_days: int = Field(default=180, ge=7, le=3660)
    keep_1h_days: int = Field(default=5 * 366, ge=7, le=36600)
    compress_after_days: int = Field(default=7, ge=1, le=3660)
    """Only the Community edition of TimescaleDB compresses."""
    keep_commands_days: int = Field(default=180, ge=30, le=36600)
    """Commands to devices, from their answer or end on; the audit log keeps who asked for what."""


class HealthSection(_Section):
    """Where processes without pages answer /healthz, /readyz and /metrics; port 0 is off."""

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)


class Settings(BaseSettings):
    """Everything that can be configured, in sections."""

    model_config = SettingsConfigDict(
        env_prefix="SILVERLINE_",
        env_nested_delimiter="__",
        toml_file="silverline.toml",
        frozen=True,
        extra="forbid",
    )

    database: DatabaseSection = DatabaseSection()
    mqtt: MqttSection = MqttSection()
    mqtts: MqttsSection = MqttsSection()
    watch: WatchSection = WatchSection()
    scaip: ScaipSection = ScaipSection()
    web: WebSection = WebSection()
    health: HealthSection = HealthSection()
    storage: StorageSection = StorageSection()
    master_key: SecretStr = SecretStr("")
    """Base64 of 32 bytes, or several for rotation: `1:BASE64,2:BASE64` (the highest encrypts)."""
    ca_passphrase: SecretStr = SecretStr("")
    """Opens the key of `silverline ca`; without it a secret of the master key's does."""
    duty_phone: str = ""
    """Called when nobody takes a critical incident."""
    carrier: Literal["simulated"] = "simulated"
    log_format: Literal["json", "console"] = "json"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    demo: bool = False
    data_dir: Path = Path("var")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, that over secrets' files, those over the TOML."""
        del dotenv_settings
        secrets = NestedSecretsSettingsSource(
            file_secret_settings,
            secrets_dir=os.environ.get("SILVERLINE_SECRETS_DIR", "/run/secrets"),
            secrets_dir_missing="ok",
            secrets_prefix="SILVERLINE_",
            secrets_nested_delimiter="__",
        )
        return init_settings, env_settings, secrets, TomlConfigSettingsSource(settings_cls)

    @property
    def database_url(self) -> str:
        """The connection string. Raises SettingsError when it is not set."""
        url = self.database.url.get_secret_value()
        if not url:
            raise SettingsError(
                "SILVERLINE_DATABASE__URL is not set. Give it a PostgreSQL address,"
                " or use `silverline up`, which brings its own."
            )
        password = self.database.password.get_secret_value()
        return make_conninfo(url, password=password) if password else url

    def cipher(self) -> FieldCipher:
        """The cipher of the configured master keys. Raises SettingsError when there is none."""
        text = self.master_key.get_secret_value()
        if not text:
            raise SettingsError(
                "SILVERLINE_MASTER_KEY is not set. Make one with `openssl rand -base64 32`, keep it"
                " apart from the database's backups: without it personal data cannot be read."
            )
        if ":" not in text:
            return FieldCipher({1: parse_master_key(text)})
        keys: dict[int, bytes] = {}
        for part in text.split(","):
            number, _, key = part.strip().partition(":")
            if not number.isdigit() or not 0 <= int(number) <= 255:
                raise SettingsError("SILVERLINE_MASTER_KEY: a key is written as NUMBER:BASE64")
            keys[int(number)] = parse_master_key(key)
        return FieldCipher(keys)


def load_settings() -> Settings:
    """Read the settings. Raises SettingsError with one line for each wrong value."""
    try:
        return Settings()
    except OSError as error:
        raise SettingsError(
            f"a secret cannot be read: {error.filename} ({error.strerror}); this process is user"
            f" {os.getuid()}"
        ) from error
    except ValidationError as error:
        lines = [
            f"SILVERLINE_{'__'.join(str(p).upper() for p in e['loc'])}: {e['msg']}"
            for e in error.errors(include_input=False)
        ]
        raise SettingsError("the configuration is wrong:\n  " + "\n  ".join(lines)) from error
