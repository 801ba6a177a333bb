"""The fleet for technicians: overview, technical alarms, self-tests, firmware (设备总览)."""

from fastapi import APIRouter

from dashboards.console.fleet import (
    routes_alarms,
    routes_firmware,
    routes_overview,
    routes_tests,
)

router = APIRouter()
for part in (routes_overview, routes_alarms, routes_tests, routes_firmware):
    router.include_router(part.router)

__all__ = ["router"]
