"""Descriptions of Debian's packages in several languages, through apt, without touching the system: real, short texts.

Each package has a synopsis of some seven words and a long description, written by people under the package's license.
They are fetched into `.cache` and never committed.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "debian"
FIELD = re.compile(r"Description-(\w+)(?:-\w+)?: (.*)")
FAMILY = re.compile(r"^(?:lib|python3?-|r-cran-|r-bioc-|golang-|node-|ruby-|haskell-)?([a-z]+)")


@dataclass(frozen=True)
class Description:
    """What one package is, shortly and at length."""

    package: str
    synopsis: str
    long: str

    @property
    def tenth(self) -> int:
        """Which tenth of the data it is in; packages of one family, which share their words, are in the same."""
        found = FAMILY.match(self.package)
        family = found.group(1) if found else self.package
        return int(hashlib.md5(family.encode()).hexdigest(), 16) % 10


def descriptions(language: str) -> dict[str, Description]:
    """All descriptions in a language, by the digest of the English text that they translate."""
    text = catalog(language).read_text(encoding="utf-8")
    found = {}
    for stanza in text.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Description-md5): (\S+)", stanza, re.MULTILINE))
        at = re.search(rf"^Description-{language}: (.*(?:\n .*)*)", stanza, re.MULTILINE)
        if at is None or len(fields) < 2:
            continue
        synopsis, _, rest = at.group(1).partition("\n")
        paragraphs = rest.replace("\n .", "\n\n").split("\n\n")
        long = " ".join(" ".join(paragraph.split()) for paragraph in paragraphs).strip()
        found[fields["Description-md5"]] = Description(fields["Package"], synopsis.strip(), long)
    return found


def catalog(language: str) -> Path:
    """The file of a language, fetched where it is not there."""
    path = CACHE / f"{language}.txt"
    if path.exists():
        return path
    if shutil.which("apt-get") is None:
        raise SystemExit("Debian's descriptions come through apt-get, which this machine has not")
    home = CACHE / "apt"
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    config = home / "apt.conf"
    config.write_text(
        f'Dir::State "{home}/state";\nDir::State::status "/var/lib/dpkg/status";\nDir::Cache "{home}/cache";\n'
        f'Acquire::Languages "{language}";\nAPT::Get::List-Cleanup "false";\nAPT::Sandbox::User "root";\n'
    )
    subprocess.run(["apt-get", "update", "-qq", "-c", str(config)], check=True)
    lists = sorted((home / "state" / "lists").glob(f"*main_i18n_Translation-{language}*"))
    if not lists:
        raise SystemExit(f"apt-get brought no descriptions in {language!r}")
    command = ["/usr/lib/apt/apt-helper", "cat-file", *map(str, lists)]
    path.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    return path
