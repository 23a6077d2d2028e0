"""A single file as a folder in diffusers layout, in the user's cache: configs and tokenizers copied, weights referred
to. Torch-free.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from tracelang.models import configs, header, weights
from tracelang.models.inside import inside
from tracelang.models.single import reference, stock
from tracelang.models.single.kinds import Kind
from tracelang.models.single.kinds import kind as kind_of
from tracelang.models.single.reference import NUMBERS, Reference
from tracelang.plan.family import ModelError

FORMAT = 1
"""Of prepared folders; another one makes them anew."""
V = "v_prediction"
DRAWS = "vae"
"""What an edit in closed form does without: where neither file nor configs hold it, nothing is drawn or trained."""


def kind(file: Path) -> Kind:
    """What the file is. Raises ModelError."""
    return kind_of(file, header.read(file))


def stock_of(file: Path, found: Kind) -> Path:
    """The shipped configs for a file, as a folder. Raises ModelError for one that needs more than these."""
    lacking = [name for name in found.lacking if name != DRAWS]
    if lacking or found.pipeline == "FluxPipeline":
        what = " and no ".join(found.lacking) if found.lacking else "configs and no tokenizer for T5"
        raise ModelError(
            f"{file}: holds no {what}; pass --config FOLDER|ID, a {found.pipeline} in diffusers layout that has what "
            "is missing"
        )
    if found.stock is None and found.width == "sd2":
        raise ModelError(
            f"{file}: does not say what its UNet predicts; pass --config sd21 for v (768 pixels), --config sd21-base "
            "for noise (512 pixels), or --config FOLDER|ID"
        )
    if found.stock is None:
        raise ModelError(
            f"{file}: its UNet has the sizes of no model whose configs are shipped ({', '.join(stock.NAMES)}); pass "
            f"--config FOLDER|ID, a {found.pipeline} in diffusers layout"
        )
    return stock.folder(found.stock)


def prepared(file: Path, found: Kind, config: Path) -> Path:
    """The folder that stands for `file`, with what it lacks from the folder `config`, made where it is not there yet.

    Of a VAE that neither has there is the config alone.

    Raises ModelError: configs of another model, a component that neither has, a cache that cannot be written.
    """
    index = configs.index(config)
    if index.get("_class_name") != found.pipeline:
        raise ModelError(
            f"{config}: is a {index.get('_class_name')!r}, and {file} a {found.pipeline}; pass the configs of its model"
        )
    names = configs.named(config)
    wanted = [name for name in names if name in (*found.parts, *found.lacking) or _weightless(name)]
    for name in (*found.parts, *found.lacking):
        if name not in names:
            raise ModelError(f"{config / configs.INDEX}: names no {name}; pass a complete {found.pipeline}")
    borrowed = dict[str, str]()
    for name in found.lacking:
        try:
            weights.find(config / name)
            borrowed[name] = os.path.realpath(config / name)
        except ModelError as error:
            if name == DRAWS and not any((config / name).glob("*.safetensors")):
                continue
            raise ModelError(f"{file}: holds no {name}, and --config has none either: {error}") from None
    _agree(file, found, config)
    told = {name: value for name, value in index.items() if name in wanted or not isinstance(value, list)}
    files = {configs.INDEX: (json.dumps(told, indent=2) + "\n").encode()}
    files |= {path: (config / path).read_bytes() for path in _small(config, wanted, found, borrowed)}
    real = Path(os.path.realpath(file))
    status = real.stat()
    references = {
        name: Reference(str(real), status.st_size, status.st_mtime_ns, *found.parts[name], _number(config, name, found))
        for name in found.parts
    }
    given = Path(os.path.abspath(file))
    facts = [
        FORMAT,
        os.fsdecode(given),
        {path: hashlib.sha256(data).hexdigest() for path, data in files.items()},
        borrowed,
    ]
    key = hashlib.sha256(f"{json.dumps(facts, sort_keys=True)} {references}".encode()).hexdigest()
    where = reference.folder() / key[:32]
    if not where.is_dir():
        try:
            _write(where, given, files, references, borrowed)
        except OSError as error:
            raise ModelError(
                f"{where.parent}: cannot be written ({error.strerror}); set TRACELANG_CACHE to a folder that can"
            ) from None
    return where


def again(base: Path, file: Path) -> Path:
    """The folder of another file of the same model: an edit of the one that `base` stands for. Raises ModelError."""
    found = kind(file)
    for name in found.lacking:
        if reference.read(base / name) is not None:
            raise ModelError(f"{file}: lacks the {name} that its base holds; apply the recipe again")
    return prepared(file, found, base)


def _weightless(name: str) -> bool:
    return name == "scheduler" or name.startswith("tokenizer")


def _agree(file: Path, found: Kind, config: Path) -> None:
    """Do schedule and file say the same of what is predicted?"""
    if found.predicts_v is None:
        return
    path = config / "scheduler" / "scheduler_config.json"
    stated = configs.read(path).get("prediction_type", "epsilon")
    if (stated == V) != found.predicts_v:
        says = "predicts v" if found.predicts_v else "predicts noise"
        raise ModelError(f"{path}: prediction_type is {stated!r}, and {file} says that it {says}; pass its own configs")


def _small(config: Path, wanted: list[str], found: Kind, borrowed: Collection[str]) -> Iterator[str]:
    """The files besides weights and index, by path: of a component that is in the file, borrowed or in neither, its
    config; of the others, all that decides what they do.
    """
    belongs = inside(config)
    paths = [config / "tracelang.json"]
    for name in wanted:
        if name in found.parts or (name in found.lacking and name not in borrowed):
            paths.append(config / name / "config.json")
        elif name not in found.lacking:
            paths += sorted(p for p in (config / name).glob("[!.]*") if p.suffix in weights.SETTINGS)
    for path in paths:
        if not path.is_file():
            continue
        if not belongs(path):
            raise ModelError(f"{path}: is a link out of the folder; put the file itself there")
        if path.stat().st_size > configs.LONGEST:
            raise ModelError(f"{path}: too large for a configuration file; download the model again")
        yield path.relative_to(config).as_posix()


def _number(config: Path, name: str, found: Kind) -> int:
    layout = found.parts[name][0]
    if layout not in NUMBERS:
        return 0
    path = config / name / "config.json"
    try:
        value: Any = NUMBERS[layout](configs.read(path))
    except (KeyError, TypeError) as error:
        raise ModelError(f"{path}: does not say how the tensors are named ({error}); download it again") from None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= 1 << 16:
        raise ModelError(f"{path}: does not say how the tensors are named ({value!r}); download it again")
    return value


def _write(
    where: Path, file: Path, files: dict[str, bytes], references: dict[str, Reference], borrowed: dict[str, str]
) -> None:
    where.parent.mkdir(parents=True, exist_ok=True)
    for old in where.parent.glob("[!.]*"):  # of files that are gone
        if (gone := reference.origin(old)) is not None and not gone.exists():
            shutil.rmtree(old, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(prefix=".", dir=where.parent))
    try:
        for path, data in files.items():
            (draft / path).parent.mkdir(parents=True, exist_ok=True)
            (draft / path).write_bytes(data)
        for name, one in references.items():
            (draft / name).mkdir(exist_ok=True)
            reference.write(draft / name, one)
        for name, target in borrowed.items():
            (draft / name).symlink_to(target)
        (draft / reference.ORIGIN).write_text(str(file), encoding="utf-8", errors="surrogateescape")
        stock.publish(draft, where)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
