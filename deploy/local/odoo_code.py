"""Odoo 19's code and its own Python environment, shared by all stacks of the checkout.

The code is Debian's package `odoo-19`, unpacked, not installed: its dependencies want a newer Debian's Python. It
exists in sid only, so it is downloaded through a private package list beside the machine's own, which stays as it is.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.local import programs
from deploy.local.errors import LocalStackError
from deploy.local.files import fingerprint, write_private

if TYPE_CHECKING:
    from deploy.local.layout import Layout
    from deploy.local.progress import Progress

# Odoo's web pages link to files of other packages and answer 500 without them. Icons need bookworm's Font Awesome 4
# (sid's has other file names); Montserrat exists in sid only.
PACKAGES = (
    "odoo-19/sid",
    "fonts-montserrat/sid",
    "libjs-jquery/bookworm",
    "libjs-jquery-form/bookworm",
    "libjs-underscore/bookworm",
    "fonts-font-awesome/bookworm",
    "fonts-roboto-unhinted/bookworm",
    "fonts-inconsolata/bookworm",
    "fonts-ocr-b/bookworm",
)
_PACKAGES_MB, _UNPACKED_MB = 132, 1150
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_DEBIAN = re.compile(r"^(\S+/debian)/? bookworm$", re.MULTILINE)
_REQUIREMENTS = Path(__file__).with_name("odoo-requirements.txt")


@dataclass(frozen=True, slots=True)
class OdooCode:
    """Odoo's program files."""

    layout: Layout
    progress: Progress

    @property
    def source(self) -> Path:
        """The folder that Python imports `odoo` from."""
        return self._root / "usr/lib/python3/dist-packages"

    @property
    def python(self) -> Path:
        """The interpreter of Odoo's own environment."""
        return self._venv / "bin/python"

    def ensure_installed(self) -> None:
        """Download and unpack what is missing."""
        if not self._root.is_dir():
            self._fetch()
            self._unpack()
        if not self._venv.is_dir():
            self._make_venv()

    @property
    def _root(self) -> Path:
        return self.layout.shared / "odoo" / f"root-{fingerprint(PACKAGES)}"

    @property
    def _venv(self) -> Path:
        return self.layout.shared / "odoo" / f"venv-{fingerprint([], [_REQUIREMENTS])}"

    @property
    def _packages(self) -> Path:
        return self.layout.cache / "deb"

    def _fetch(self) -> None:
        wanted = [package.partition("/")[0] for package in PACKAGES]
        if all(any(self._packages.glob(f"{name}_*.deb")) for name in wanted):
            return
        self._packages.mkdir(parents=True, exist_ok=True)
        options = self._private_lists()
        with self.progress.step("Odoo: read Debian's package lists"):
            programs.run(["apt-get", *options, "update", "-qq"])
        with self.progress.step("Odoo: download", growing=self._packages, about_mb=_PACKAGES_MB):
            programs.run(["apt-get", *options, "download", "-qq", *PACKAGES], cwd=self._packages)

    def _private_lists(self) -> list[str]:
        """The options that make apt use lists and caches of ours, from the mirror the machine uses already."""
        apt = self.layout.cache / "apt"
        for folder in ("lists/partial", "cache/archives/partial"):
            (apt / folder).mkdir(parents=True, exist_ok=True)
        mirror = debian_mirror()
        lines = [f"deb [signed-by={_KEYRING}] {mirror} {suite} main\n" for suite in ("sid", "bookworm")]
        write_private(apt / "sources.list", "".join(lines))
        settings = {
            "Dir::Etc::sourcelist": str(apt / "sources.list"),
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": str(apt / "lists"),
            "Dir::Cache": str(apt / "cache"),
            "Acquire::Languages": "none",
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
            **({"APT::Sandbox::User": "root"} if os.geteuid() == 0 else {}),
        }
        return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]

    def _unpack(self) -> None:
        partial = self._root.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        with self.progress.step("Odoo: unpack", growing=partial, about_mb=_UNPACKED_MB):
            for package in sorted(self._packages.glob("*.deb")):
                programs.run(["dpkg-deb", "-x", str(package), str(partial)])
        partial.rename(self._root)

    def _make_venv(self) -> None:
        uv = programs.find("uv", self.layout.shared / "uv/bin")
        partial = self._venv.with_suffix(".partial")
        env = {**programs.clean_environment(), "UV_CACHE_DIR": str(self.layout.cache / "uv")}
        env.setdefault("UV_SYSTEM_CERTS", "true")
        with self.progress.step("Odoo: Python environment"):
            # Relocatable: made beside its place and renamed when complete.
            venv = [uv, "venv", "--quiet", "--clear", "--relocatable", "--python", "3.11", str(partial)]
            programs.run(venv, env=env)
            sync = [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(partial / "bin/python")]
            programs.run([*sync, str(_REQUIREMENTS)], env=env)
        partial.rename(self._venv)


def debian_mirror() -> str:
    """The address from which this machine gets bookworm.

    Raises: LocalStackError when it gets it from nowhere.
    """
    targets = ["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)", "Created-By: Packages"]
    found = _DEBIAN.search(programs.run(targets))
    if found is None:
        raise LocalStackError("apt knows no mirror of Debian 12 (bookworm); add one to /etc/apt/sources.list")
    return found[1]
