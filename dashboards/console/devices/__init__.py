"""Devices: the list, each one's page, and everything that is done with them (设备)."""

from fastapi import APIRouter

from dashboards.console.devices import (
    routes_access,
    routes_batches,
    routes_bind,
    routes_certificates,
    routes_claim,
    routes_command_form,
    routes_commands,
    routes_gateway,
    routes_import,
    routes_labels,
    routes_list,
    routes_modes,
    routes_page,
    routes_register,
    routes_state,
)

router = APIRouter()
# Pages with a name of their own go before the page of a device by its id (service.RESERVED_IDS).
for part in (
    routes_list, routes_labels, routes_claim, routes_import, routes_batches, routes_register,
    routes_page, routes_bind, routes_state, routes_modes, routes_access, routes_certificates,
    routes_commands, routes_command_form, routes_gateway,
):  # fmt: skip
    router.include_router(part.router)

__all__ = ["router"]
