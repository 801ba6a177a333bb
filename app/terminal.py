"""What `up` and `demo` say on the terminal while they work."""

import asyncio
import json
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from app.commands import ensure_administrator
from app.demo.run import Demo, run_headless, run_with_a_person
from app.processes import stop_on_signals
from app.stack import Stack, StackSettings
from kernel.logs import configure_logs

err = Console(stderr=True)


class _Steps:
    """Prints each step with the seconds since the start."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, text: str) -> None:
        err.print(f"[dim]{time.monotonic() - self._started:5.1f} s[/] {text}", highlight=False)


def run_up(data_dir: Path, host: str, port: int, mqtt_port: int, watch_port: int) -> None:
    """Run the embedded stack until Ctrl-C; the first start prints the administrator's password."""
    configure_logs(json=False, level="WARNING")
    settings = StackSettings(data_dir, port, mqtt_port, watch_port, host, fixed_ports=True)
    asyncio.run(_up(settings))


async def _up(settings: StackSettings) -> None:
    stop = stop_on_signals()
    steps = _Steps()
    stack = Stack(settings, steps)
    try:
        await stack.start_database()
        password = await ensure_administrator(stack.database_url)
        await stack.start_processes()
        err.print(f"\n  银龄 Silverline  [bold]{stack.url}[/]", highlight=False)
        err.print(f"  MQTT {stack.mqtt_port} · TCP {stack.watch_port}", highlight=False)
        if password:
            err.print(f"  admin / [bold]{password}[/]（首次登录须修改 · change at first login）")
        err.print("  Ctrl-C 停止 · stops\n")
        await stack.watch(stop)
    finally:
        await stack.stop()


def run_demo(
    data_dir: Path, devices: int, scenario: str, port: int, mqtt_port: int, watch_port: int
) -> None:
    """Run the demonstration until Ctrl-C."""
    configure_logs(json=False, level="WARNING")
    settings = StackSettings(data_dir / "demo", port, mqtt_port, watch_port, demo=True)
    asyncio.run(run_with_a_person(settings, devices, scenario, _Steps(), _welcome))


def _welcome(demo: Demo) -> None:
    err.print(f"\n  银龄 Silverline  [bold]{demo.stack.url}[/]\n", highlight=False)
    table = Table(
        "账号 account", "密码 password", "姓名 name", "角色 role", box=None, padding=(0, 2)
    )
    for account in demo.accounts:
        table.add_row(account.username, account.password, account.name, account.role)
    err.print(table, highlight=False)
    err.print(
        "\n  登录 wangfang 后等待报警，按 A 打开，再按 A 接警"
        " · log in as wangfang, wait for an alarm, press A to open it and A again to claim it"
        "\n  Ctrl-C 停止 · stops\n",
        highlight=False,
    )


def run_headless_demo(
    data_dir: Path, devices: int, seconds: float, scenario: str, as_json: bool
) -> bool:
    """Run without a person; print the result; return whether nothing was lost or left open."""
    configure_logs(json=False, level="WARNING")
    tally = asyncio.run(run_headless(data_dir, devices, seconds, scenario, _Steps()))
    if as_json:
        print(json.dumps(tally.as_json()), flush=True)  # noqa: T201 - the result is for programs
    else:
        for key, value in tally.as_json().items():
            err.print(f"  {key}: {value}", highlight=False)
    return tally.clean
