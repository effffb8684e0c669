"""SQL that the local stack needs: roles and databases. The only use of psycopg outside tests."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

from deploy.local.ports import HOST

_CONNECT_TIMEOUT_S = 5


@dataclass(frozen=True, slots=True)
class Login:
    """One role of the private cluster."""

    port: int
    user: str
    password: str

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """A connection in autocommit mode, since databases cannot be made inside a transaction."""
        return psycopg.connect(
            host=HOST,
            port=self.port,
            user=self.user,
            password=self.password,
            dbname=database,
            connect_timeout=_CONNECT_TIMEOUT_S,
            autocommit=True,
        )

    def environment(self) -> dict[str, str]:
        """The variables with which PostgreSQL's own programs log in."""
        return {"PGHOST": HOST, "PGPORT": str(self.port), "PGUSER": self.user, "PGPASSWORD": self.password}


def answers(login: Login) -> bool:
    """True when the server lets the role in and answers."""
    try:
        with login.connect() as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def ensure_role(owner: Login, user: str, password: str) -> None:
    """The role exists, may log in with the password and may make databases, nothing more."""
    with owner.connect() as connection:
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (user,)).fetchone()
        verb = sql.SQL("ALTER ROLE {}" if known else "CREATE ROLE {}").format(sql.Identifier(user))
        connection.execute(verb + sql.SQL(" LOGIN CREATEDB PASSWORD {}").format(sql.Literal(password)))


def databases(login: Login) -> set[str]:
    """The names of all databases."""
    with login.connect() as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database").fetchall()}


def create_database(login: Login, name: str, template: str = "template0") -> None:
    """A new database, a copy of `template`, to which nobody may be connected."""
    with login.connect() as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )


def rename_database(login: Login, old: str, new: str) -> None:
    """The database gets another name."""
    with login.connect() as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new)))


def drop_database(login: Login, name: str) -> None:
    """The database is gone, with whoever was connected to it."""
    with login.connect() as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def value(login: Login, database: str, query: str) -> object:
    """The first column of the query's first row, or None."""
    with login.connect(database) as connection:
        row = connection.execute(query.encode()).fetchone()
        return None if row is None else row[0]
