"""Databases on the servers of the storage modes, cloned from one that was prepared once."""

import itertools
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

_numbers = itertools.count()


@dataclass
class Servers:
    """Makes databases and drops them; `templates` are by server and by what they were made for."""

    templates: dict[tuple[str, str], str] = field(default_factory=dict)

    def create(self, server: str, template: str = "template0") -> str:
        """Make a database on a server (its address); return the name."""
        name = f"storage_{os.getpid()}_{next(_numbers)}"
        query = "CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY"
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(sql.SQL(query).format(sql.Identifier(name), sql.Identifier(template)))
        return name

    def drop(self, server: str, name: str) -> None:
        """Drop a database, whoever still looks at it."""
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    async def template(
        self, server: str, kind: str, prepare: Callable[[str], Awaitable[None]]
    ) -> str:
        """Return the name of a database that `prepare` has made ready, the first time."""
        if (server, kind) not in self.templates:
            name = self.create(server)
            await prepare(make_conninfo(server, dbname=name))
            self._seal(server, name)
            self.templates[server, kind] = name
        return self.templates[server, kind]

    def _seal(self, server: str, name: str) -> None:
        # TimescaleDB's own workers go where connections are allowed, and keep it from being cloned.
        with psycopg.connect(server, autocommit=True) as admin:
            lock = "ALTER DATABASE {} ALLOW_CONNECTIONS false"
            admin.execute(sql.SQL(lock).format(sql.Identifier(name)))
            admin.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s",
                (name,),
            )

    def clear(self, server: str) -> None:
        """Drop the templates of a server that goes on without us."""
        for key in [key for key in self.templates if key[0] == server]:
            self.drop(server, self.templates.pop(key))
