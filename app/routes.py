"""Every router of the application, in one list: pages, and JSON under /api."""

from fastapi import APIRouter

from dashboards.console import deadletters, devices, elders, fleet, live
from dashboards.console.account import login
from dashboards.console.account import routes as account
from dashboards.console.audit import routes as audit
from dashboards.console.found import routes as found
from dashboards.console.incidents import routes as incidents
from dashboards.console.outbox import routes as outbox
from dashboards.console.responders import routes as responders
from dashboards.console.users import routes as users
from dashboards.portal import responder
from devices.certificates import api as certificates_api
from devices.provisioning import api as provisioning_api
from hotline.carrier import api as carrier_api
from hotline.incidents import api as incidents_api
from ingest.fhir import api as fhir_api
from ingest.push import api as push_api

PAGE_ROUTERS: tuple[APIRouter, ...] = (
    login.router,
    account.router,
    live.router,
    incidents.router,
    elders.router,
    devices.router,
    deadletters.router,
    fleet.router,
    found.router,
    users.router,
    responders.router,
    outbox.router,
    audit.router,
    responder.router,
)
API_ROUTERS: tuple[APIRouter, ...] = (
    account.api_router,
    incidents_api.router,
    certificates_api.router,
)
# Only where the process runs in demo mode.
DEMO_API_ROUTERS: tuple[APIRouter, ...] = (carrier_api.router,)
# For platforms that push what devices said and systems that read; each request has its own token.
PUSH_ROUTERS: tuple[APIRouter, ...] = (
    push_api.router,
    fhir_api.router,
    provisioning_api.router,
)
