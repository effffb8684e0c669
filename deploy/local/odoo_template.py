"""Prepared Odoo databases, so that a fresh one is a copy, made in about a second.

Two layers, each named after a hash of what it was made of: `base` has Odoo's own modules and costs 45 s, `ours` adds
our addons to a copy of it and costs its own installation only. Both are also dumped to the cache, from where another
stack of the checkout, or this one after `down --wipe`, restores them.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy.local import postgres_client, programs
from deploy.local.errors import CommandFailed, LocalStackError
from deploy.local.files import fingerprint
from deploy.local.odoo_code import PACKAGES
from deploy.local.odoo_config import Server
from deploy.local.postgres import binaries

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from deploy.local.odoo_config import Installation
    from deploy.local.progress import Progress

BASE_MODULES = ("sale_management", "account", "account_payment", "payment_demo", "l10n_ca")
ADMIN_LOGIN = ADMIN_PASSWORD = "admin"  # noqa: S105 - of a database that only this machine can reach
_COUNTRY = "CA"  # before `account`: the company's country decides on chart, currency and taxes
# The company's province likewise decides on the default tax, here HST 13 %; new customers inherit it. The update's
# result also tells whether the database is whole.
_PROVINCE = """
    UPDATE res_partner
    SET state_id = (SELECT res_id FROM ir_model_data WHERE module = 'base' AND name = 'state_ca_on')
    WHERE country_id IS NOT NULL AND id IN (SELECT partner_id FROM res_company)
    RETURNING id
"""
_ADDON_FILES = frozenset({".py", ".xml", ".csv", ".po", ".js", ".scss", ".html", ".png", ".svg"})


@dataclass(frozen=True, slots=True)
class Templates:
    """The prepared databases of one stack."""

    odoo: Installation
    progress: Progress

    def ensure(self) -> str:
        """The name of the database with everything installed; made if it is missing."""
        addons = our_addons(self.odoo.addon_folders)
        if not addons:
            return self.ensure_base()
        ours_key = fingerprint([self._base_key, addons_fingerprint(self.odoo.addon_folders)])
        return self._ensure(
            f"fusion_ours_{ours_key}", lambda name: self._install_ours(self.ensure_base(), name, addons)
        )

    def ensure_base(self) -> str:
        """The name of the database without our addons; made if it is missing."""
        return self._ensure(f"fusion_base_{self._base_key}", self._install_base)

    @property
    def _base_key(self) -> str:
        return fingerprint([*PACKAGES, *BASE_MODULES, _COUNTRY, _PROVINCE])

    def copy(self, template: str, name: str) -> None:
        """A new database and its attachments, equal to the template's."""
        postgres_client.create_database(self.odoo.login, name, template)
        source, target = self._files(template), self._files(name)
        shutil.rmtree(target, ignore_errors=True)
        if source.is_dir():
            # Attachments are named after their content and never rewritten, so links do.
            shutil.copytree(source, target, copy_function=os.link)

    def drop(self, name: str) -> None:
        """The database and its attachments are gone."""
        postgres_client.drop_database(self.odoo.login, name)
        shutil.rmtree(self._files(name), ignore_errors=True)

    def update(self, database: str, addons: Sequence[str]) -> None:
        """Bring the addons of a database, which no server may use meanwhile, up to their files."""
        self._odoo(database, "-u", ",".join(addons), "--stop-after-init", "--no-http")

    def _ensure(self, name: str, install: Callable[[str], None]) -> str:
        if name in postgres_client.databases(self.odoo.login):
            return name
        building = f"{name}_building"
        self.drop(building)
        kind = name.rpartition("_")[0]
        if self._dump(name).exists():
            with self.progress.step(f"Odoo: restore the database {kind}"):
                self._restore(name, building)
        else:
            with self.progress.step(f"Odoo: install the database {kind}"):
                install(building)
                self._save(building, name)
        if self._files(building).is_dir():
            shutil.rmtree(self._files(name), ignore_errors=True)
            self._files(building).rename(self._files(name))
        postgres_client.rename_database(self.odoo.login, building, name)
        self._forget_older(name)
        return name

    def _install_base(self, name: str) -> None:
        user = ["--username", ADMIN_LOGIN, "--password", ADMIN_PASSWORD]
        self._odoo(name, "init", "--force", "--country", _COUNTRY, *user, name, command="db")
        # `odoo db init` ends with 0 also when it failed; the company's country is what it sets last.
        if not postgres_client.value(self.odoo.login, name, _PROVINCE):
            raise LocalStackError(f"Odoo could not prepare its database; see {self._log(name)}")
        self._odoo(name, "-i", ",".join(BASE_MODULES), "--stop-after-init", "--no-http")

    def _install_ours(self, base: str, name: str, addons: Sequence[str]) -> None:
        self.copy(base, name)
        self._odoo(name, "-i", ",".join(addons), "--stop-after-init", "--no-http")

    def _odoo(self, database: str, *words: str, command: str = "server") -> None:
        """Run `odoo` on the database; its output goes to a log of its own."""
        config = self.odoo.layout.run / "odoo-command.conf"
        self.odoo.write_config(config, Server(database=database, port=0, gevent_port=0))
        log = self._log(database)
        argv = self.odoo.argv(command, "-c", str(config), *words)
        try:
            programs.run(argv, env=self.odoo.environment(), cwd=self.odoo.layout.stack, log=log)
        except CommandFailed as error:
            raise LocalStackError(f"Odoo could not prepare the database {database}: {error}") from error

    def _save(self, database: str, name: str) -> None:
        """Dump the database and its attachments to the cache; the dump comes last and says that both are whole."""
        dump = self._dump(name)
        dump.parent.mkdir(parents=True, exist_ok=True)
        if self._files(database).is_dir():
            shutil.copytree(self._files(database), self._cached_files(name), dirs_exist_ok=True)
        partial = dump.with_suffix(".partial")
        self._postgres("pg_dump", "--format=custom", "--compress=1", f"--file={partial}", database)
        partial.rename(dump)

    def _restore(self, name: str, database: str) -> None:
        postgres_client.create_database(self.odoo.login, database)
        self._postgres("pg_restore", "--no-owner", "--exit-on-error", "--jobs=2", "-d", database, str(self._dump(name)))
        if self._cached_files(name).is_dir():
            shutil.copytree(self._cached_files(name), self._files(database))

    def _postgres(self, program: str, *words: str) -> None:
        # Statements need not reach the disk one by one: a broken copy is dropped, and renaming a whole one waits.
        quick = {"PGOPTIONS": "-c synchronous_commit=off"}
        env = {**programs.clean_environment(), **self.odoo.login.environment(), **quick}
        programs.run([str(binaries() / program), *words], env=env)

    def _forget_older(self, name: str) -> None:
        """Drop what earlier versions of the same layer left in this cluster and in the cache."""
        kind = name.rpartition("_")[0]
        for database in postgres_client.databases(self.odoo.login):
            if database.startswith(f"{kind}_") and database != name:
                self.drop(database)
        for cached in self._dump(name).parent.glob(f"{kind}_*"):
            if cached.is_dir() and cached.stem != name:
                shutil.rmtree(cached)
            elif cached.stem != name:
                cached.unlink()

    def _files(self, database: str) -> Path:
        return self.odoo.data / "filestore" / database

    def _dump(self, name: str) -> Path:
        return self.odoo.layout.cache / "odoo" / f"{name}.dump"

    def _cached_files(self, name: str) -> Path:
        return self._dump(name).with_suffix(".files")

    def _log(self, database: str) -> Path:
        return self.odoo.layout.log / f"odoo-{database.removesuffix('_building')}.log"


def our_addons(folders: Sequence[Path]) -> list[str]:
    """The technical names of the addons in the folders."""
    return sorted(manifest.parent.name for folder in folders for manifest in folder.glob("*/__manifest__.py"))


def addons_fingerprint(folders: Sequence[Path]) -> str:
    """Changes whenever a file of our addons does that Odoo reads when installing."""
    files = [file for folder in folders for file in folder.rglob("*") if file.suffix in _ADDON_FILES]
    wanted = [file for file in files if "tests" not in file.parts]
    return fingerprint([str(file.relative_to(file.parents[3])) for file in sorted(wanted)], wanted)
