"""Elders in the console: the list, a record, its forms, and the import of lists."""

from fastapi import APIRouter

from dashboards.console.elders import (
    routes_around,
    routes_edit,
    routes_import,
    routes_list,
    routes_page,
)

router = APIRouter(tags=["elders"])
# The page of a record comes last: its path would take /new and /import for an id.
for _part in (routes_list, routes_import, routes_edit, routes_around, routes_page):
    router.include_router(_part.router)
