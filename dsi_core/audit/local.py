"""A suspect that is loaded here: a folder, a GGUF file or a hub id, perhaps with an adapter."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from dsi_core.runtime import store
from dsi_core.settings import templates
from dsi_core.settings.schema import Model

CONFIG, ADAPTER = "config.json", "adapter_config.json"
TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json")
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack")
HUB_ID = r"[\w-][\w.-]*/[\w.-]+"
CONVERT = (
    "python -c \"from transformers import AutoModelForCausalLM as M; M.from_pretrained('{0}')"
    ".save_pretrained('{0}')\""
)
# Options that go with a local suspect, by the field of `Model` that each sets
OPTIONS = {
    "revision": "--revision",
    "dtype": "--dtype",
    "load_in_4bit": "--load-in-4bit",
    "load_in_8bit": "--load-in-8bit",
    "adapter": "--adapter",
    "chat_template": "--chat-template",
    "device_map": "--device-map",
    "trust_remote_code": "--trust-remote-code",
}


def model(given: str, **options: Any) -> tuple[str, Model]:
    """Find a suspect: its name, and where and how it is loaded.

    Parameters
    ----------
    given
        A folder with a config.json; a folder with an adapter, which names its base; a GGUF file;
        owner/name, or owner/name/file.gguf, on the hub.
    options
        Those of `OPTIONS`; chat_template: a file that holds one. None or False = not given.

    Raises
    ------
    ValueError
        With a remedy, for what is not there or could not be loaded, before anything is.
    """
    how = {name: value for name, value in options.items() if value}
    if template := how.get("chat_template"):
        how["chat_template"] = _template(Path(template))
    place = Path(given)
    if place.is_dir() and (place / ADAPTER).is_file():
        return _of_adapter(place, how)
    name, where = _weights(given, local="revision" not in how)
    if adapter := how.get("adapter"):
        folder = Path(adapter)
        if folder.is_dir():
            _check_adapter(folder)
            how |= {"adapter": str(folder.resolve()), "adapter_sha256": _sha256(folder)}
        elif not re.fullmatch(HUB_ID, adapter):
            raise ValueError(f"--adapter {adapter}: is neither a folder nor a hub id")
        name = f"{name}+{folder.name}"
    return name, Model.model_validate({**where, **how})


def _weights(given: str, *, local: bool) -> tuple[str, dict[str, Any]]:
    """(the name, the fields of `Model` that say where the weights are).

    local: whether they may be files here.
    """
    place = Path(given)
    if place.exists() and not local:
        raise ValueError(f"--suspect {given} lies here, and has no --revision")
    if place.suffix.lower() == ".gguf" and place.is_file():
        whole = place.resolve()
        state = _state([whole])
        return place.stem, {"path": str(whole.parent), "gguf": whole.name, "revision": state}
    if place.is_dir():
        _check_folder(place)
        folder = place.resolve()
        return folder.name, {"path": str(folder), "revision": _state(list(folder.iterdir()))}
    if found := re.fullmatch(rf"({HUB_ID})/(.+\.gguf)", given):
        return Path(found[2]).stem, {"hub": found[1], "gguf": found[2]}
    if place.exists() or not re.fullmatch(HUB_ID, given):
        raise ValueError(
            f"--suspect {given!r} is neither a folder with a {CONFIG} (or {ADAPTER}), nor a GGUF "
            "file, nor a hub id like owner/name"
        )
    return place.name, {"hub": given}


def _of_adapter(folder: Path, how: dict[str, Any]) -> tuple[str, Model]:
    """The suspect that an adapter's folder is, on the base that it names."""
    if (folder / CONFIG).is_file():
        raise ValueError(
            f"--suspect {folder} holds a whole model ({CONFIG}) and an adapter ({ADAPTER}); "
            "keep them in folders of their own, and give --suspect BASE --adapter FOLDER"
        )
    if "adapter" in how:
        raise ValueError(f"--suspect {folder} is an adapter itself; give its base, and --adapter")
    content = _json(folder / ADAPTER)
    base = content.get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise ValueError(
            f"{folder / ADAPTER} names no base; give --suspect BASE --adapter {folder}"
        )
    beside = folder / base
    where = str(beside) if not Path(base).exists() and beside.exists() else base
    if not Path(where).exists() and not re.fullmatch(HUB_ID, where):
        raise ValueError(
            f"{folder / ADAPTER}: its base {base!r} is not here; give --suspect BASE "
            f"--adapter {folder}"
        )
    if content.get("revision") and not Path(where).exists():
        how = {"revision": content["revision"], **how}
    _, found = model(where, **{**how, "chat_template": None, "adapter": str(folder)})
    template = how.get("chat_template")
    return folder.resolve().name, found.changed(chat_template=template)


def _check_folder(folder: Path) -> None:
    """Refuse a folder that could not be loaded, or that holds more than one model."""
    names = sorted(f.name for f in folder.iterdir())
    ggufs = [n for n in names if n.lower().endswith(".gguf")]
    if CONFIG not in names:
        remedy = f"; give one of {', '.join(ggufs)}" if ggufs else ""
        raise ValueError(f"--suspect {folder} has no {CONFIG} (or {ADAPTER}){remedy}")
    config = _json(folder / CONFIG)
    if not isinstance(config.get("model_type"), str):
        raise ValueError(f"{folder / CONFIG} has no model_type: it is not that of a model")
    if not any(n in names for n in TOKENIZERS):
        raise ValueError(
            f"--suspect {folder} has no tokenizer ({' or '.join(TOKENIZERS)}): copy it from the "
            "model that it was tuned from"
        )
    _check_weights(folder, "model", CONVERT.format(folder))


def _check_adapter(folder: Path) -> None:
    if not (folder / ADAPTER).is_file():
        raise ValueError(f"--adapter {folder} has no {ADAPTER}: it is no adapter of peft")
    _check_weights(folder, "adapter_model", "save it again with peft (save_pretrained)")


def _check_weights(folder: Path, name: str, convert: str) -> None:
    """Weights are safetensors, of one model; a pickled file may run code when it is opened."""
    index = folder / f"{name}.safetensors.index.json"
    if index.is_file():
        parts = set(_json(index).get("weight_map", {}).values())
        if odd := sorted(str(part) for part in parts if not _safe(part)):
            raise ValueError(
                f"{index} names {', '.join(odd[:3])}: allowed are .safetensors files beside it"
            )
        if missing := sorted(part for part in parts if not (folder / part).is_file()):
            raise ValueError(
                f"{index} names {len(parts)} files, of which {', '.join(missing[:3])} "
                f"{'is' if len(missing) == 1 else 'are'} not there: download the rest"
            )
        return
    if (folder / f"{name}.safetensors").is_file():
        return
    others = sorted(f.name for f in folder.glob("*.safetensors"))
    pickled = sorted(f.name for f in folder.iterdir() if f.suffix in PICKLED)
    if others:
        raise ValueError(
            f"{folder} has no {name}.safetensors, but {', '.join(others[:3])}: rename the one that "
            "is meant, or write the index that goes with them"
        )
    if pickled:
        raise ValueError(
            f"{folder} has pickled weights only ({', '.join(pickled[:3])}), which may run code "
            f"when they are opened: {convert}"
        )
    raise ValueError(f"{folder} has no weights ({name}.safetensors)")


def _safe(part: Any) -> bool:
    """Whether an index names a file beside it that runs no code when it is opened."""
    return isinstance(part, str) and Path(part).name == part and part.endswith(".safetensors")


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is a JSON {type(content).__name__}, needs an object")
    return content


def _template(path: Path) -> str:
    if not path.is_file():
        raise ValueError(f"--chat-template {path}: no such file")
    template = path.read_text(encoding="utf-8")
    if why := templates.mistake(template):
        raise ValueError(f"--chat-template {path}: no Jinja template: {why}")
    return template


def _state(files: list[Path]) -> str:
    """Names, sizes and times of a model's files: other weights are another suspect."""
    seen = [f for f in files if f.is_file() and not f.name.startswith(".")]
    stats = [(file.name, file.stat()) for file in seen]
    return store.key(sorted((name, s.st_size, s.st_mtime_ns) for name, s in stats))


def _sha256(folder: Path) -> str:
    """One hash of an adapter's settings and weights."""
    whole = hashlib.sha256()
    for file in sorted([folder / ADAPTER, *folder.glob("adapter_model*.safetensors")]):
        with file.open("rb") as content:
            whole.update(hashlib.file_digest(content, "sha256").digest())
    return whole.hexdigest()
