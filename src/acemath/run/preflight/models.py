"""Checks of the models: config, head, chat template, tokens that end a response, licence, length, key and price."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from math import inf
from pathlib import Path
from typing import Any, Literal

from acemath.curate.licences import non_commercial
from acemath.errors import UserError
from acemath.files.atomic import read_json
from acemath.models.builtin import resolve
from acemath.models.engine import ChatFormat
from acemath.models.hub import AGAIN, check_fitting, check_weights
from acemath.models.spec import EndpointModel, TransformersModel, VllmModel, WorksheetsModel
from acemath.recipe.roles import Policy, Role
from acemath.recipe.schema import BASE_CHECK, REWARD, VOTES, Recipe
from acemath.records import Problem
from acemath.run.preflight.finding import Findings
from acemath.run.preflight.sources import BENCH, Read, terms

LAST = ("data", "sft", "reward", "tables")  # the parts of a run in order; a part needs the models of those before it
Kind = Literal["writes", "trains", "trains a reward model", "ranks", "scores"]


@dataclass(frozen=True, slots=True)
class Use:
    """What a recipe uses a model for: the key that names it, its name there, and for models that write also the role.

    `reads` are the kinds of prompts that it gets (`Read.longest`), `part` the part of a run that needs it, `stages` those in which
    it writes.
    """

    key: str
    ref: str
    kind: Kind
    part: str
    role: Role | None = None
    reads: tuple[str, ...] = ()
    chat: ChatFormat | None = None
    stages: tuple[str, ...] = ()


def uses(recipe: Recipe, last: str = "tables") -> list[Use]:
    """Everything that a run up to a part uses models for."""
    kept = LAST[: LAST.index(last) + 1]
    return [use for use in _uses(recipe) if use.part in kept]


def _uses(recipe: Recipe) -> Iterator[Use]:
    for name, role in recipe.roles.named().items():
        group = name.removeprefix("teachers.") if name.startswith("teachers.") else "math"
        part = "reward" if name == "labeller" else "data"
        stages = {"writer": "evolve", "labeller": "labels"}.get(name, name.replace("s.", "-", 1))  # teachers.math: teacher-math
        vote = recipe.curate.solvability
        votes = ("votes",) if vote is not None and vote.by == name else ()
        yield Use(f"roles.{name}.model", role.model, "writes", part, role, (group,), role.chat, (stages, *votes))
    bases = {"sft.base": recipe.sft.base} | {f"sft.stages.{n}.base": s.base for n, s in recipe.sft.stages.items() if s.base}
    yield from (Use(key, ref, "trains", "sft", chat=recipe.sft.chat) for key, ref in bases.items())
    groups: tuple[tuple[str, str, dict[str, Policy], str, tuple[str, ...]], ...] = (
        ("reward.candidates", "reward", recipe.reward.candidates.policies, "math", ("candidates",)),
        ("bench", "tables", recipe.bench.policies, BENCH, ("samples", "greedy")),
    )
    for place, part, policies, reads, kinds in groups:
        for name, policy in policies.items():
            key, written = f"{place}.policies.{name}.model", tuple(f"{kind}-{name}" for kind in kinds)
            yield Use(key, policy.model, "writes", part, policy, (reads,), policy.chat, written)
    ranker = recipe.roles.ranker
    if ranker is not None and ranker.model not in (BASE_CHECK, VOTES):
        yield Use("roles.ranker", ranker.model, "ranks", "reward", chat=ranker.chat)
    yield Use("reward.base", recipe.reward.base, "trains a reward model", "reward", chat=recipe.reward.chat)
    yield Use(f"models.{REWARD}", REWARD, "scores", "tables")  # the reward model that this run trains


def check_models(recipe: Recipe, wanted: list[Use], found: Findings, read: Read, network: bool) -> None:
    """Check every model that a run uses, each use of it on its own. Nothing is loaded but tokenizers and configurations."""
    places: dict[str, str | UserError | None] = {}
    for use in wanted:
        scores = use.kind == "scores"
        if scores and not isinstance(recipe.judge, VllmModel):
            continue  # its files are those of reward.base
        with found.faults(use.key):
            ref = recipe.origin(use.ref)  # which has the config and the chat template of what is trained from it
            spec = recipe.model(ref)
            if isinstance(spec, WorksheetsModel):
                found.add(use.key, "good", "answers worksheets by itself")
            elif isinstance(spec, EndpointModel):
                _endpoint(recipe, use, spec, found)
            else:
                if not scores:
                    _named(recipe, use)
                if ref not in places:
                    try:
                        places[ref] = _place(spec, network)
                    except UserError as error:
                        places[ref] = error
                place = places[ref]
                if isinstance(place, UserError):
                    raise place  # of each use: it is not on this machine for any
                _weights(recipe, use, spec, place, found, read, network)


def _endpoint(recipe: Recipe, use: Use, spec: EndpointModel, found: Findings) -> None:
    key = spec.key()
    priced = {"price_in", "price_out"} & spec.model_fields_set
    if recipe.budget_usd is not None and not priced:
        raise UserError(
            f"model {spec.id!r} has no price, so the budget of US$ {recipe.budget_usd:g} would not hold for it; give price_in "
            "and price_out (0 for a server that costs nothing)"
        )
    words = "" if key else f"; {spec.api_key_env} is not set, which is right for a server without keys"
    price = f"US$ {spec.price_in:g} and {spec.price_out:g} a million tokens" if priced else "no price"
    found.add(use.key, "good" if key else "note", f"{spec.id} at {spec.url}, {price}{words}")


def _named(recipe: Recipe, use: Use) -> None:
    """UserError if a model is neither a stage, a folder nor a hub name. A name with an owner passes."""
    spec = recipe.model(use.ref)
    assert isinstance(spec, TransformersModel | VllmModel)
    spec.template()
    if recipe.stage_of(use.ref) or use.ref in recipe.sft.stages or spec.id == "nano":
        return
    if "/" in spec.id or Path(spec.id).is_dir():
        return
    from acemath.models.hub import model_file

    if model_file(spec.id, "config.json", fetch=True) is None:  # a few hub names have no owner
        stages = ", ".join(recipe.sft.stages)
        raise UserError(
            f"{use.key} is {use.ref!r}, which is neither one of models nor a stage of this recipe ({stages}), "
            "nor a model's folder; correct it, or name a hub model as owner/name"
        )


def _place(spec: TransformersModel | VllmModel, network: bool) -> str | None:
    """The folder of a model's small files, fetched if the network may be used; None if they are not on this machine.

    UserError for a folder that does not exist, and for a hub model that is gated or does not exist.
    """
    source = resolve(spec.id)
    if Path(source).is_dir() or find_spec("huggingface_hub") is None:
        return source if Path(source).is_dir() else None
    if source.startswith((".", "/", "~")) or source.count("/") > 1:
        raise UserError(
            f"cannot load model {source!r}: there is no such folder; give an existing one, or a hub name such as owner/model"
        )
    from huggingface_hub import errors, snapshot_download

    small = ["*.json", "*.jinja", "*.txt", "*.model", "README.md"]
    try:
        return str(snapshot_download(source, revision=spec.revision, allow_patterns=small, local_files_only=not network))
    except errors.GatedRepoError as error:
        raise UserError(terms(f"model {source!r}", source)) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise UserError(
            f"the hub has no model {source!r}" + (f" at revision {spec.revision!r}" if spec.revision else "")
            + ", or you may not see it; correct the name, or log in (hf auth login)"
        ) from error
    except errors.HFValidationError as error:
        raise UserError(f"model {source!r} is neither a folder nor a name that the hub takes, owner/name; correct it") from error
    except (OSError, ValueError):
        return None


def _weights(
    recipe: Recipe, use: Use, spec: TransformersModel | VllmModel, place: str | None, found: Findings, read: Read, network: bool
) -> None:
    """Check the small files of a model in `place` for one use."""
    own = recipe.model(use.ref)
    assert isinstance(own, TransformersModel | VllmModel)
    if find_spec("transformers") is None:
        found.add(use.key, "not checked", f"{spec.id}: transformers is not installed")
        return
    if place is None:
        why = "does not answer" if network else "was not asked"
        found.add(use.key, "not checked", f"{spec.id} is not on this machine, and the hub {why}")
        return
    config = _config(spec, place)
    _settings(use, own, place, config, found)
    if use.kind == "scores":
        return
    if Path(resolve(spec.id)).is_dir():
        check_weights(Path(place))
    _head(use, place, found)
    words = [spec.id, str(config.get("model_type"))]
    if use.kind == "ranks":
        from acemath.models.loading import chat_tokenizer

        chat_tokenizer(place)
    else:
        words += _chat(use, own, spec, place, config, found, read)
    if Path(resolve(spec.id)).is_dir():
        check_fitting(Path(place))
    words += _licences(use, place, found)
    found.add(use.key, "good", ", ".join(words))


def _settings(use: Use, own: TransformersModel | VllmModel, place: str, config: Mapping[str, Any], found: Findings) -> None:
    """UserError for settings with which vLLM would refuse to start, in the middle of a run."""
    from acemath.models.vllm import fitting

    if own.max_length is not None and (most := fitting(place, own.max_length)) < own.max_length:
        says = f"max_length of {use.ref} is {own.max_length:,}, and it has {most:,} positions"
        if isinstance(own, VllmModel):
            raise UserError(f"{says}; lower it, or leave it out")
        found.add(use.key, "note", f"{says}: what it writes beyond them means nothing")
    if not isinstance(own, VllmModel):
        return
    heads = (config.get("text_config") or config).get("num_attention_heads")
    if isinstance(heads, int) and heads % own.tensor_parallel:
        fit = ", ".join(str(n) for n in range(1, own.tensor_parallel) if not heads % n)
        raise UserError(
            f"tensor_parallel of {use.ref} is {own.tensor_parallel}, which does not divide the {heads} attention heads; give one of {fit}"
        )


def _config(spec: TransformersModel | VllmModel, place: str) -> dict[str, Any]:
    """A model's config.json. UserError if it has none or cannot be read, and for an architecture that nothing here knows."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    from acemath.models.loading import check_built
    from acemath.models.score.heads import check_architecture

    file = Path(place) / "config.json"
    if not file.is_file():
        raise UserError(f"model {spec.id!r} has no config.json; give a model's folder with safetensors, or a hub name")
    found = read_json(file, AGAIN)
    kind = found.get("model_type")
    if not isinstance(kind, str | None):
        raise UserError(f"{file}: model_type is {kind!r}, not a name; copy or download the model again")
    if not spec.trust_remote_code:
        check_architecture(place, fetch=False)
    if isinstance(spec, TransformersModel) and kind not in CONFIG_MAPPING_NAMES and "auto_map" not in found:
        raise UserError(
            f"model {spec.id!r} has the architecture {kind!r}, which the installed transformers does not know; install a newer one, or name "
            "another model"
        )
    if isinstance(spec, TransformersModel) and kind in CONFIG_MAPPING_NAMES:
        check_built(place, json.dumps(found, sort_keys=True))
    return found


def _head(use: Use, place: str, found: Findings) -> None:
    """UserError for a head that the use of a model does not read. Weights that are not on this machine are not fetched."""
    from acemath.models.score.heads import check_base, check_head, head_kind

    if head_kind(place, fetch=False) is None:
        found.add(use.key, "not checked", f"the head of {use.ref}: its weights are not on this machine")
    if use.kind == "ranks":
        check_head(place, fetch=False)
    elif use.kind == "trains a reward model":
        check_base(place, fetch=False)
    elif head_kind(place, fetch=False) not in (None, "none"):
        raise UserError(f"{use.ref!r} is a reward model, which writes no text; name a model that does")


def _chat(
    use: Use, own: TransformersModel | VllmModel, spec: TransformersModel | VllmModel, place: str, config: dict[str, Any],
    found: Findings, read: Read,
) -> list[str]:  # fmt: skip
    """Check the chat template, the tokens that end a response, and the room for prompts; words for the table."""
    from acemath.models.chat import chat_template
    from acemath.models.loading import chat_tokenizer

    tokenizer = chat_tokenizer(place, own.template() or spec.template(), own.trust_remote_code)
    template, chat = chat_template(tokenizer), use.chat or ChatFormat()
    if chat.system and not template.takes_system:
        found.add(
            use.key, "note", f"the chat template of {spec.id} has no system role: the system prompt is put before the user's text"
        )
    text = template.conversation(chat.messages("1+1?", "2")).text
    ends = {end for end in (*template.stop_ids(_generation(place)), *own.stop_ids) if end < _size(config)}
    _vocabulary(spec.id, config, tokenizer(text, add_special_tokens=False)["input_ids"], own.stop_ids)
    if not ends:
        raise UserError(
            f"no token ends a response of {spec.id}: neither its chat template nor its tokenizer nor its generation config names "
            "one; name it: stop_ids of the model"
        )
    if template.end is None and not own.stop_ids:
        found.add(use.key, "note", f"the chat template of {spec.id} ends a response with no token; only {sorted(ends)} end one")
    most = own.max_length or config.get("max_position_embeddings") or (config.get("text_config") or {}).get("max_position_embeddings")
    if use.role is not None and isinstance(most, int):
        _room(use, spec.id, most, template, tokenizer, found, read)
    return [f"ends with {' or '.join(map(str, sorted(ends)))}", *([f"{most:,} tokens"] if isinstance(most, int) else [])]


def _vocabulary(name: str, config: Mapping[str, Any], used: Sequence[int], stop_ids: Sequence[int]) -> None:
    """UserError for tokens of a conversation, and for stop ids, that the model does not have."""
    size = _size(config)
    if (most := max(used, default=0)) >= size:
        raise UserError(f"the tokenizer of {name} writes the token {most:,}, and the model has {size:,} tokens; give it its own tokenizer")
    if wrong := [end for end in stop_ids if not 0 <= end < size]:
        raise UserError(f"stop_ids names {wrong[0]}, and {name} has {size:,} tokens; correct it")


def _size(config: Mapping[str, Any]) -> float:
    """The number of a model's tokens; infinite if its configuration does not say."""
    size = (config.get("text_config") or config).get("vocab_size")
    return size if isinstance(size, int) else inf


def _generation(place: str) -> Any:
    """What a generation config says, as an object with `eos_token_id`."""
    file = Path(place) / "generation_config.json"
    named = read_json(file, AGAIN).get("eos_token_id") if file.is_file() else None
    return type("Named", (), {"eos_token_id": named})


def _room(use: Use, name: str, most: int, template: Any, tokenizer: Any, found: Findings, read: Read) -> None:
    """Compare the longest prompts that a role gets with the most tokens of its model."""
    from acemath.run.responses import after_shots  # which needs pyarrow

    role, chat = use.role, use.chat or ChatFormat()
    assert role is not None
    shots = read.shots.get(use.key.removesuffix(".model"), role.listed if isinstance(role, Policy) else ())

    def tokens(prompt: str) -> int:
        asked = after_shots([Problem("", prompt, "")], shots)[0].prompt
        text = template.prompt(chat.messages(asked))
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    if (least := tokens("1+1?")) >= most:
        raise UserError(f"the chat alone has {least:,} tokens, and {name} takes {most:,}; shorten the chat or the shots")
    if least + role.max_new_tokens > most:
        found.add(use.key, "note", f"max_new_tokens is {role.max_new_tokens:,}, but {name} takes {most:,} with the prompt: responses end there")
    for kind in use.reads:
        key, prompt = read.longest.get(kind, ("", ""))
        if key and (length := tokens(prompt)) >= most:
            then = "counts as wrong" if kind == BENCH else "is dropped"
            found.add(use.key, "note", f"a prompt of {key} has {length:,} tokens, and {name} takes {most:,}: each such row {then}")


def _licences(use: Use, place: str, found: Findings) -> list[str]:
    """What a model's card says of its licence."""
    from acemath.train.provenance import stated_licences

    stated = stated_licences(place)
    if use.kind.startswith("trains") and (forbidding := non_commercial(stated)):
        found.add(use.key, "note", f"its licence {', '.join(forbidding)} forbids commercial use, of what is trained from it too")
    return [f"licence {', '.join(stated)}"]
