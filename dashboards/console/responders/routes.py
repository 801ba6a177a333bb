"""The routes of this part in one router."""

from fastapi import APIRouter

from dashboards.console.responders import people, phones, policies

router = APIRouter()
for part in (people, phones, policies):
    router.include_router(part.router)
