"""The command line: `silverline …`. Every error is a sentence and an exit code, not a trace."""

import asyncio
import importlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from app.cli_ca import ca_app
from kernel.clock import utcnow
from kernel.errors import DomainError

if TYPE_CHECKING:
    from app.settings import Settings

app = typer.Typer(
    name="silverline",
    help="银龄 Silverline: the software of a 12349 elder-care centre.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
user_app = typer.Typer(help="People who log in.", no_args_is_help=True)
audit_app = typer.Typer(help="The audit log.", no_args_is_help=True)
source_app = typer.Typer(
    help="Platforms that push what devices said to /ingest/http.", no_args_is_help=True
)
responder_app = typer.Typer(help="People who can be sent.", no_args_is_help=True)
duty_phone_app = typer.Typer(help="Phones to ring when nobody claims.", no_args_is_help=True)
app.add_typer(responder_app, name="responder")
app.add_typer(duty_phone_app, name="duty-phone")
app.add_typer(user_app, name="user")
app.add_typer(source_app, name="source")
app.add_typer(audit_app, name="audit")
app.add_typer(ca_app, name="ca")
storage_app = typer.Typer(help="How readings are stored.", no_args_is_help=True)
app.add_typer(storage_app, name="storage")
out = Console()
err = Console(stderr=True)


def settings_with_logs() -> "Settings":
    """Read the settings and set up the logs by them."""
    # Loaded by name here too: `--help` and a mistyped option are answered without them.
    settings: Settings = importlib.import_module("app.settings").load_settings()
    logs = importlib.import_module("kernel.logs")
    logs.configure_logs(json=settings.log_format == "json", level=settings.log_level)
    return settings


def installed_settings() -> "Settings":
    """Read the settings; where they name no database, those of what `up` or `demo` keeps here."""
    settings = settings_with_logs()
    module = importlib.import_module("app.installation")
    found = module.find(settings)
    if found is None:
        return settings
    err.print(f"silverline: the installation in {found.data_dir}", highlight=False)
    embedded: Settings = module.of_embedded(settings, found.data_dir)
    return embedded


def _run_process(name: str) -> None:
    # Loaded by name: a process pays only for what it uses, five of them start on two cores.
    settings = settings_with_logs()
    module = importlib.import_module(f"app.processes.{name}")
    asyncio.run(module.run(settings))


@app.command()
def web() -> None:
    """Serve the pages, the JSON interface and the live feed."""
    _run_process("web")


@app.command()
def ingest() -> None:
    """Take messages of devices into the database."""
    _run_process("ingest")


@app.command()
def worker() -> None:
    """Send what leaves the system and keep the incidents' deadlines."""
    _run_process("worker")


@app.command()
def scheduler() -> None:
    """Run scheduled jobs; several may run, one leads."""
    _run_process("scheduler")


@app.command()
def broker() -> None:
    """Run the embedded MQTT broker alone (`up` does it for you)."""
    _run_process("broker")


@app.command()
def up(
    data_dir: Annotated[Path, typer.Option(help="Where the data lies")] = Path("var/silverline"),
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the pages")] = 8080,
    mqtt_port: Annotated[int, typer.Option(help="Port for devices over MQTT")] = 1883,
    watch_port: Annotated[int, typer.Option(help="Port for watches over TCP")] = 5093,
) -> None:
    """Run everything on this machine with its own database and broker."""
    show = importlib.import_module("app.terminal")
    show.run_up(data_dir, host, port, mqtt_port, watch_port)


@app.command()
def demo(
    headless: Annotated[bool, typer.Option(help="Without a person: a scripted operator")] = False,
    seconds: Annotated[float, typer.Option(help="How long devices publish (headless)")] = 20,
    devices: Annotated[int, typer.Option(min=10, max=5000, help="How many devices")] = 200,
    scenario: Annotated[
        str, typer.Option(help="A scenario of firmware-sim; mixed, or rescue when headless")
    ] = "",
    port: Annotated[int, typer.Option(help="Port of the pages")] = 8080,
    mqtt_port: Annotated[int, typer.Option(help="Port for devices over MQTT")] = 1883,
    watch_port: Annotated[int, typer.Option(help="Port for watches over TCP")] = 5093,
    data_dir: Annotated[Path, typer.Option(help="Where the data lies")] = Path("var"),
    as_json: Annotated[bool, typer.Option("--json", help="Last line is JSON (headless)")] = False,
) -> None:
    """Show everything with simulated devices and plausible data."""
    show = importlib.import_module("app.terminal")
    if headless:
        if not show.run_headless_demo(data_dir, devices, seconds, scenario or "rescue", as_json):
            raise typer.Exit(1)
        return
    show.run_demo(data_dir, devices, scenario or "mixed", port, mqtt_port, watch_port)


@app.command()
def migrate() -> None:
    """Bring the database up to date."""
    commands = importlib.import_module("app.commands")
    applied = asyncio.run(commands.migrate_database(settings_with_logs()))
    out.print("\n".join(f"applied {name}" for name in applied) or "nothing to apply")


@app.command()
def doctor() -> None:
    """Say what is wrong with this installation and how to mend it."""
    commands = importlib.import_module("app.doctor")
    findings = asyncio.run(commands.examine())
    for finding in findings:
        mark = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "problem": "[red]✗[/]"}[
            finding.level
        ]
        out.print(f"{mark} {finding.subject}: {finding.text}", highlight=False)
        if finding.remedy:
            out.print(f"    → {finding.remedy}", highlight=False)
    if any(finding.level == "problem" for finding in findings):
        raise typer.Exit(1)


@app.command()
def decode(
    codec: Annotated[str, typer.Option(help="Name of the codec; see `silverline codecs`")],
    hex_text: Annotated[str | None, typer.Option("--hex", help="The frame in hexadecimal")] = None,
    text: Annotated[str | None, typer.Option(help="The frame as text")] = None,
    topic: Annotated[str, typer.Option(help="The MQTT topic, where it matters")] = "",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="A file with the payload of an MQTT message")
    ] = None,
    characteristic: Annotated[
        str, typer.Option(help="Codec gatt: what --hex is a value of, such as 2A35")
    ] = "",
    profile: Annotated[
        str | None, typer.Option(help="A model, whose states then become alarms")
    ] = None,
    announced: Annotated[
        Path | None,
        typer.Option(help="Codec homeassistant: a file with topic and config of the entity"),
    ] = None,
) -> None:
    """Print what a frame says as JSON; exit code 2 and a sentence when it cannot be decoded.

    The frame is given by exactly one of --hex, --text and --json. What was odd about it, who sent
    it and what would be answered goes to standard error.
    """
    decoding = importlib.import_module("app.decoding")
    frame = decoding.frame_of(
        hex_text=hex_text,
        text=text,
        topic=topic or characteristic,
        json_file=json_file,
        now=utcnow(),
    )
    named = decoding.codec_named(codec)
    frame, note = decoding.placed(named, frame)
    entities = decoding.announced_in(announced) if announced else None
    decoded = decoding.decode(named, frame, profile, entities)
    for label, remark in decoding.remarks(decoded, note):
        err.print(f"[yellow]{label}:[/] {escape(remark)}", highlight=False, soft_wrap=True)
    sys.stdout.write(json.dumps(decoding.records(decoded), ensure_ascii=False, indent=2) + "\n")


@app.command()
def codecs() -> None:
    """List the codecs with what they serve and can do, as JSON."""
    decoding = importlib.import_module("app.decoding")
    sys.stdout.write(json.dumps(decoding.codec_list(), ensure_ascii=False, indent=2) + "\n")


@user_app.command("add")
def user_add(
    username: str,
    name: Annotated[str, typer.Option(help="Name as it is shown")],
    role: Annotated[list[str], typer.Option(help="May be given several times")],
    division: Annotated[str, typer.Option(help="Division code or its prefix; empty is all")] = "",
    password_stdin: Annotated[
        bool, typer.Option(help="Read the password from standard input instead of making one")
    ] = False,
) -> None:
    """Add a person who may log in; prints a first password that must be changed."""
    commands = importlib.import_module("app.commands")
    given = sys.stdin.readline().rstrip("\n") if password_stdin else None
    password = asyncio.run(
        commands.add_user(installed_settings(), username, name, role, division, given)
    )
    out.print(f"{username} may log in now.", highlight=False)
    if given is None:
        out.print(f"First password, to be changed at the first login: {password}", highlight=False)


@source_app.command("add")
def source_add(
    name: str,
    codec: Annotated[
        str, typer.Option(help="What it speaks: chirpstack, tts, owntracks, …; or fhir, to read")
    ],
    division: Annotated[
        str, typer.Option(help="Division prefix whose devices it speaks for; empty is all")
    ] = "",
    days: Annotated[
        int | None,
        typer.Option(help="How long it holds; 0 until revoked, else 365 to read and 0 to push"),
    ] = None,
) -> None:
    """Let a platform push or a system read; prints its token, which is shown this once."""
    commands = importlib.import_module("app.sources")
    made = asyncio.run(commands.add(installed_settings(), name, codec, division, days))
    may = "read" if codec == "fhir" else "push"
    ends = made.source.expires_at
    until = f"until {ends:%Y-%m-%d}" if ends else "until it is revoked"
    err.print(f"{name} may {may} {until}; its token, shown this once:", highlight=False)
    sys.stdout.write(made.token + "\n")


@source_app.command("revoke")
def source_revoke(name: str) -> None:
    """End the token of a platform at once."""
    commands = importlib.import_module("app.sources")
    asyncio.run(commands.revoke(installed_settings(), name))
    out.print(f"{name} may not push any more.", highlight=False)


@source_app.command("list")
def source_list() -> None:
    """List the platforms that push, or did, as JSON."""
    commands = importlib.import_module("app.sources")
    found = asyncio.run(commands.listed(installed_settings()))
    sys.stdout.write(json.dumps(found, ensure_ascii=False, indent=2) + "\n")


@responder_app.command("add")
def responder_add(
    name: str,
    phone: Annotated[str, typer.Option(help="Where texts and calls go")],
    division: Annotated[str, typer.Option(help="Division code or its prefix")],
    skill: Annotated[
        list[str] | None, typer.Option(help="first_aid, nursing, …; may be given several times")
    ] = None,
    station: Annotated[str, typer.Option(help="Where the person is stationed")] = "",
    account: Annotated[str, typer.Option(help="Username whose duty this person follows")] = "",
    on_duty: Annotated[bool, typer.Option(help="Can be sent at once")] = False,
) -> None:
    """Register a person who can be sent."""
    people = importlib.import_module("app.people")
    asyncio.run(
        people.add_responder(
            installed_settings(), name, phone, division, skill or [], station, account, on_duty
        )
    )
    out.print(f"{name} can be sent{'' if on_duty else ' when on duty'}.", highlight=False)


@responder_app.command("list")
def responder_list() -> None:
    """List the people who can be sent, as JSON; their numbers are masked."""
    people = importlib.import_module("app.people")
    found = asyncio.run(people.responders(installed_settings()))
    sys.stdout.write(json.dumps(found, ensure_ascii=False, indent=2) + "\n")


@duty_phone_app.command("set")
def duty_phone_set(
    name: str,
    phone: Annotated[str, typer.Option(help="The number")],
    division: Annotated[str, typer.Option(help="Division code or prefix; empty is all")] = "",
    position: Annotated[int, typer.Option(min=1, max=20, help="1 is rung first")] = 1,
    account: Annotated[str, typer.Option(help="Username that key 1 claims for")] = "",
) -> None:
    """Set the phone that rings at this place when nobody claims an incident."""
    people = importlib.import_module("app.people")
    asyncio.run(
        people.set_duty_phone(installed_settings(), name, phone, division, position, account)
    )
    out.print(f"{name} is duty phone {position} of {division or 'everything'}.", highlight=False)


@audit_app.command("verify")
def audit_verify() -> None:
    """Walk the hash chain of the audit log; exit code 1 when it is broken."""
    commands = importlib.import_module("app.commands")
    result = asyncio.run(commands.verify_audit(installed_settings()))
    out.print(result.text, highlight=False)
    if not result.intact:
        raise typer.Exit(1)


@storage_app.command("status")
def storage_status(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON")] = False,
) -> None:
    """Say mode, sizes, partitions, what is kept, and how far behind the rollup is."""
    storage = importlib.import_module("app.storage")
    found = asyncio.run(storage.status(installed_settings()))
    if as_json:
        sys.stdout.write(json.dumps(found, ensure_ascii=False, indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(storage.lines(found)) + "\n")


@storage_app.command("adopt-timescale")
def storage_adopt(
    dry_run: Annotated[bool, typer.Option(help="Only say what would be done")] = False,
    cancel: Annotated[bool, typer.Option(help="Undo a move that is half done")] = False,
) -> None:
    """Move the readings onto a hypertable while ingest keeps writing; may be run again."""
    storage = importlib.import_module("app.storage")
    settings = installed_settings()
    if cancel:
        undone = asyncio.run(storage.cancel(settings))
        out.print("undone; readings are as they were" if undone else "there is nothing to undo")
        return
    plan = asyncio.run(storage.plan_adoption(settings))
    if dry_run:
        out.print("\n".join(plan), highlight=False)
        return

    def say(line: str) -> None:
        # At once, also into a file: it may be all that is known of a run that was killed.
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    say("\n".join(plan[:2]))
    say(f"mode: {asyncio.run(storage.adopt(settings, say))}")


def main() -> None:
    """Entry point of `silverline`."""
    try:
        app()
    except DomainError as error:
        err.print(f"[red]silverline:[/] {error.message}", highlight=False)
        for field, text in getattr(error, "fields", {}).items():
            err.print(f"  {field}: {text}", highlight=False)
        sys.exit(2)
    except _database_errors() as error:
        said = str(error).strip().partition("\n")[0]
        err.print(f"[red]silverline:[/] the database does not answer: {escape(said)}")
        err.print("    → is it running? `silverline doctor` says more", highlight=False)
        sys.exit(2)


def _database_errors() -> tuple[type[Exception], ...]:
    # Asked for only when something was raised: `--help` needs no database driver.
    errors: tuple[type[Exception], ...] = importlib.import_module("kernel.db").TRANSIENT_ERRORS
    return errors


if __name__ == "__main__":
    main()
