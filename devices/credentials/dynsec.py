"""Keeps Mosquitto's dynamic security in step with our registry, through `$CONTROL`.

The embedded broker asks the registry itself; Mosquitto keeps names, secrets and rights in a file of
its own, changed by commands on `$CONTROL/dynamic-security/v1` (mosquitto.org/documentation/dynamic-
security). Each device has a role of its own, because Mosquitto 2.0 knows no pattern for "own id".
"""

import asyncio
import json
import ssl
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from devices.codecs import CODECS
from devices.credentials.model import PROTOCOL_PREFIX

CONTROL = "$CONTROL/dynamic-security/v1"
# What Mosquitto says when a thing that we remove is not there, or one that we add is.
_HARMLESS = ("not found", "already exists")

Command = dict[str, Any]


class DynsecError(Exception):
    """The broker refused a command or did not answer; the text says which."""


@dataclass(frozen=True, slots=True)
class DynsecSettings:
    """How to reach the broker as its administrator."""

    host: str
    port: int
    username: str
    password: str = field(repr=False)
    tls: bool = False
    ca_file: str = ""
    timeout_seconds: float = 10.0


def _acl(kind: str, topic: str, *, allow: bool = True, priority: int = 0) -> Command:
    return {"acltype": kind, "topic": topic, "allow": allow, "priority": priority}


def grant_commands(
    device_id: str, password: str | None, base_topics: Sequence[str]
) -> list[Command]:
    """Return the commands that let a device in; what it had before is replaced, its link cut.

    Without a password it gets in by a client certificate alone, whose common name is its id.
    """
    secret = {"password": password} if password is not None else {}
    own = f"{PROTOCOL_PREFIX}/{device_id}"
    acls = [
        _acl("publishClientSend", f"{own}/#"),
        _acl("publishClientSend", f"{own}/command", allow=False, priority=10),
        _acl("subscribeLiteral", f"{own}/command"),
    ]
    for base in base_topics:
        acls += [_acl("publishClientSend", f"{base}/#"), _acl("subscribePattern", f"{base}/#")]
    return [
        *revoke_commands(device_id),
        {"command": "createRole", "rolename": f"device:{device_id}", "acls": acls},
        {
            "command": "createClient",
            "username": device_id,
            **secret,
            "roles": [{"rolename": f"device:{device_id}"}],
        },
    ]


def revoke_commands(device_id: str) -> list[Command]:
    """Return the commands that put a device out at once."""
    return [
        {"command": "deleteClient", "username": device_id},
        {"command": "deleteRole", "rolename": f"device:{device_id}"},
    ]


def cut_commands(device_id: str) -> list[Command]:
    """Return the commands that cut a device's link; it may come again by what still counts."""
    return [
        {"command": "disableClient", "username": device_id},
        {"command": "enableClient", "username": device_id},
    ]


def service_commands(username: str, password: str) -> list[Command]:
    """Return the commands that let our own processes read everything and send commands down."""
    acls = [_acl("subscribePattern", "#"), _acl("publishClientReceive", "#")]
    # Apart, so that a role made by an earlier version gets them, too. Mosquitto 2.1 asks for the
    # right to the whole filter of a share, and `#` covers none that begins with `$`.
    later = [_acl("subscribePattern", "$share/#")]
    for codec in CODECS.values():
        later += [_acl("publishClientSend", topic) for topic in codec.down_topics]
    return [
        {"command": "createRole", "rolename": "silverline", "acls": acls},
        *({"command": "addRoleACL", "rolename": "silverline", **acl} for acl in later),
        {"command": "createClient", "username": username, "password": password},
        # Also brings a changed password of ours to a broker that knows us already.
        {
            "command": "modifyClient",
            "username": username,
            "password": password,
            "roles": [{"rolename": "silverline"}],
        },
    ]


class DynamicSecurity:
    """Sends commands and waits for the broker's answer. One connection for each call."""

    def __init__(self, settings: DynsecSettings) -> None:
        self._settings = settings

    async def send(self, commands: Sequence[Command]) -> None:
        """Carry the commands out. Raises DynsecError when one is refused or nobody answers."""
        answers = await asyncio.to_thread(self._exchange, list(commands))
        for answer in answers:
            error = str(answer.get("error", ""))
            if error and not any(phrase in error.lower() for phrase in _HARMLESS):
                raise DynsecError(f"{answer.get('command')}: {error}")

    def _client(self) -> mqtt.Client:
        settings = self._settings
        client = mqtt.Client(CallbackAPIVersion.VERSION2)
        client.username_pw_set(settings.username, settings.password)
        if settings.tls:
            client.tls_set(settings.ca_file or None, tls_version=ssl.PROTOCOL_TLS_CLIENT)
        return client

    def _exchange(self, commands: list[Command]) -> list[Command]:
        settings = self._settings
        answered, subscribed = threading.Event(), threading.Event()
        answers: list[Command] = []
        refused: list[str] = []

        def on_connect(c: mqtt.Client, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
            if reason.is_failure:
                refused.append(str(reason))
                answered.set()
                subscribed.set()
                return
            c.subscribe(f"{CONTROL}/response", qos=1)

        def on_message(_c: mqtt.Client, _u: Any, message: mqtt.MQTTMessage) -> None:
            answers.extend(json.loads(message.payload).get("responses", []))
            answered.set()

        client = self._client()
        client.on_connect = on_connect
        client.on_message = on_message
        client.on_subscribe = lambda *_: subscribed.set()
        try:
            client.connect(settings.host, settings.port)
        except OSError as error:
            raise DynsecError(f"the broker does not answer: {error}") from error
        client.loop_start()
        try:
            if subscribed.wait(settings.timeout_seconds) and not refused:
                client.publish(CONTROL, json.dumps({"commands": commands}), qos=1)
            answered.wait(settings.timeout_seconds)
        finally:
            client.disconnect()
            client.loop_stop()
        if refused:
            raise DynsecError(f"the broker refused its administrator: {refused[0]}")
        if not answers:
            raise DynsecError("the broker did not answer; is dynamic security loaded?")
        return answers
