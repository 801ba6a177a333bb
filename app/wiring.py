"""Binds the wings together: what ingest finds, incidents react to; what they want leaves here.

The wings do not import each other. Everything that passes between them is in this file.
"""

from datetime import datetime, timedelta

from app.access_list import dynamic_security
from app.settings import Settings, SettingsError
from app.storage import telemetry_settings
from care.imports import jobs as import_jobs
from devices.alarms import ALARM_CLASSES, ClearedCondition, RaisedAlarm
from devices.attempts import jobs as attempt_jobs
from devices.codecs import CODECS
from devices.commands import jobs as command_jobs
from devices.commands.publisher import CommandPublisher, DownlinkSettings
from devices.credentials import jobs as credential_jobs
from devices.firmware import jobs as firmware_jobs
from devices.fleet import jobs as fleet_jobs
from devices.imports import jobs as device_import_jobs
from devices.modes import jobs as mode_jobs
from devices.selftests import jobs as selftest_jobs
from devices.selftests import service as selftests
from devices.technical import jobs as technical_jobs
from devices.technical import service as technical
from hotline import wing as hotline
from hotline.carrier.simulated import SimulatedCarrier
from ingest import jobs as ingest_jobs
from ingest.pipeline import Pipeline
from ingest.push.api import PushGate
from ingest.push.desk import PushDesk, PushSettings
from ingest.registry_cache import RegistryCache
from ingest.run import IngestSettings
from ingest.transports import mqtt
from kernel.db import Database, Tx
from kernel.jobs import Job, prune
from kernel.outbox import Handler
from kernel.ports import Carrier


def ingest_settings(settings: Settings) -> IngestSettings:
    """Return what ingest needs to know of the configuration. Raises SettingsError."""
    if settings.mqtt.share_group and not settings.mqtt.client_id:
        # A name of its own making (a container's, say) would change with the next installation, and
        # the broker would go on giving the old name its share of the alarms.
        raise SettingsError(
            "SILVERLINE_MQTT__CLIENT_ID is not set. With SILVERLINE_MQTT__SHARE_GROUP each ingest"
            " process needs a name of its own that stays the same."
        )
    listeners = _listeners(settings)
    setracker = listeners.pop("setracker", -1)
    return IngestSettings(
        mqtt_host=settings.mqtt.host,
        mqtt_port=settings.mqtt.port,
        mqtt_username=settings.mqtt.username,
        mqtt_password=settings.mqtt.password.get_secret_value(),
        mqtt_tls=settings.mqtt.tls,
        mqtt_ca_file=settings.mqtt.ca_file,
        mqtt_share_group=settings.mqtt.share_group,
        mqtt_protocol=settings.mqtt.protocol,
        mqtt_keepalive_seconds=settings.mqtt.keepalive,
        client_id=settings.mqtt.client_id,
        tcp_host=settings.watch.host,
        tcp_port=setracker,
        tcp_extra=tuple(listeners.items()),
        tcp_connections_per_address=settings.watch.connections_per_address,
        scaip_host=settings.scaip.host,
        scaip_port=settings.scaip.port or -1,
    )


def _listeners(settings: Settings) -> dict[str, int]:
    """The TCP port of each codec; there must be a codec of that name, and a port of its own."""
    listeners = dict(settings.watch.listeners)
    streams = {name for name, codec in CODECS.items() if codec.split is not None}
    unknown = sorted(listeners.keys() - streams)
    if unknown:
        raise SettingsError(
            f"SILVERLINE_WATCH__PORTS: {unknown[0]} is no codec of a TCP stream;"
            f" there are {', '.join(sorted(streams))}"
        )
    taken = [port for port in listeners.values() if port]
    if len(set(taken)) < len(taken):
        raise SettingsError("SILVERLINE_WATCH__PORTS: two codecs cannot share a port")
    return listeners


def ingest_subscriptions(settings: Settings) -> dict[str, list[str]]:
    """Return the sessions that ingest will have at the broker, with what each subscribes to."""
    ingest = ingest_settings(settings)
    return {
        mqtt.client_id(ingest, "bulk"): mqtt.bulk_filters(),
        mqtt.client_id(ingest, "express"): mqtt.express_filters(),
    }


def push_gate(db: Database) -> PushGate:
    """Return what platforms push to: a pipeline of the web process's own."""
    pipeline = Pipeline(db, RegistryCache(db), react_to_alarm, condition_cleared)
    return PushGate(PushDesk(db, pipeline, PushSettings()))


async def react_to_alarm(tx: Tx, alarm: RaisedAlarm, now: datetime) -> None:
    """What an alarm leads to, in the transaction that stores it.

    One that speaks of an elder opens or repeats an incident. One that speaks of the device goes to
    the technicians and never among the elders' incidents.
    """
    if ALARM_CLASSES[alarm.kind].technical:
        await technical.raised(tx, alarm, now)
        return
    await selftests.passed(tx, alarm, now)
    await hotline.react_to_alarm(tx, alarm, now)


async def condition_cleared(tx: Tx, cleared: ClearedCondition, now: datetime) -> None:
    """A condition that is over marks its incident, which a person still has to close.

    It clears a technical alarm. Incidents of such kinds were opened before there were any.
    """
    if ALARM_CLASSES[cleared.kind].technical:
        await technical.cleared(tx, cleared, now)
    await hotline.condition_cleared(tx, cleared, now)


def carrier(settings: Settings, db: Database) -> SimulatedCarrier:
    """Return the configured carrier."""
    del settings
    return SimulatedCarrier(db)


def command_publisher(settings: Settings) -> CommandPublisher:
    """Return the way down to devices on MQTT; it connects when it is first needed."""
    mqtt = settings.mqtt
    return CommandPublisher(
        DownlinkSettings(
            host=mqtt.host,
            port=mqtt.port,
            username=mqtt.username,
            password=mqtt.password.get_secret_value(),
            tls=mqtt.tls,
            ca_file=mqtt.ca_file,
            mqtt5=mqtt.protocol == "5",
        )
    )


def outbox_handlers(
    settings: Settings, db: Database, port: Carrier, downlink: CommandPublisher
) -> dict[str, Handler]:
    """Return the handler of every outbox topic."""
    cipher = settings.cipher()
    return {
        **hotline.outbox_handlers(db, cipher, port),
        **ingest_jobs.outbox_handlers(db, react_to_alarm, condition_cleared),
        **credential_jobs.outbox_handlers(db, cipher, dynamic_security(settings)),
        **command_jobs.outbox_handlers(db, downlink),
    }


async def due_deadlines(settings: Settings, db: Database, now: datetime) -> None:
    """Do what incidents are waiting for: escalate, call the next contact, warn."""
    await hotline.due_deadlines(db, settings.cipher(), settings.duty_phone, now)


async def jobs(settings: Settings, db: Database) -> list[Job]:
    """Return every scheduled job of this installation."""
    readings = telemetry_settings(settings)
    return [
        Job("kernel.prune", prune, every_seconds=3600),
        *await ingest_jobs.jobs(db, react_to_alarm, condition_cleared, readings),
        *hotline.jobs(),
        *import_jobs.JOBS,
        *command_jobs.jobs(timedelta(days=settings.storage.keep_commands_days)),
        *device_import_jobs.JOBS,
        *attempt_jobs.JOBS,
        *mode_jobs.JOBS,
        *technical_jobs.JOBS,
        *selftest_jobs.JOBS,
        *fleet_jobs.JOBS,
        *firmware_jobs.jobs(settings.web.public_url.rstrip("/")),
    ]
