"""The models of an evaluation: checked before anything is asked, one in memory at a time, identified by their content."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from acemath.benchmarks.registry import BENCHMARKS
from acemath.benchmarks.shots import Shots, demonstrations
from acemath.errors import UserError
from acemath.models.engine import Engine, close
from acemath.models.generate.endpoint.account import Account
from acemath.models.hub import at_revision, content_of, model_identity
from acemath.models.spec import EndpointModel, Model, TransformersModel, VllmModel, WorksheetsModel
from acemath.notices import quiet_transformers
from acemath.recipe.roles import Role
from acemath.records import Problem, content_key, fingerprint, key_of_all
from acemath.run.context import ENDPOINTS
from acemath.run.demonstrations import asked
from acemath.run.engines import make_engine
from acemath.run.measuring.settings import Measured


@dataclass
class Measuring:
    """One evaluation in its folder: what the stages of responses need of it."""

    folder: Path
    policies: Mapping[str, Measured]
    shots: Mapping[str, Mapping[str, Shots]] = field(default_factory=dict)  # by policy and benchmark
    seed: int = 0  # of greedy responses; samples name their own
    _held: dict[str, Engine] = field(default_factory=dict)
    _commits: dict[str, str] = field(default_factory=dict)

    @cached_property
    def account(self) -> Account:
        """The account of all endpoints, which keeps every response as it arrives. The lowest budget holds for all of them."""
        account = Account(self.folder / ENDPOINTS)
        models = (policy.model for policy in self.policies.values())
        budgets = [m.budget_usd for m in models if isinstance(m, EndpointModel) and m.budget_usd is not None]
        account.whole.usd = min(budgets, default=None)
        return account

    def close(self) -> None:
        """Let go of the model in memory, and close the account."""
        self.release()
        if "account" in self.__dict__:
            self.account.close()
            del self.account

    def release(self) -> None:
        """Let go of the model in memory, so that another one has room."""
        for engine in self._held.values():
            close(engine)
        self._held.clear()
        gc.collect()

    def finished(self, engine: Engine) -> None:
        """A model in this process stays until another one is needed."""

    def model(self, ref: str) -> Model:
        """The model of a policy."""
        return self.policies[ref].model

    def made_by(self, ref: str) -> tuple[str, ...]:
        """No stage of an evaluation trains a model."""
        return ()

    def identity_of(self, role: Role) -> dict[str, Any]:
        """What a policy's responses depend on: the content of its model, wherever it lies, its chat and its sampling."""
        kept = role.model_dump(mode="json", include={"chat", "temperature", "top_p", "max_new_tokens"})
        return {"model": self._identity(role.model), "shots": fingerprint(self.shots.get(role.model, {})), **kept}

    def asked(self, name: str, problems: Sequence[Problem]) -> list[Problem]:
        """The problems as a policy is asked them: after the demonstrations of their benchmarks."""
        return asked(problems, self.shots.get(name, {}))

    def _identity(self, ref: str) -> dict[str, Any]:
        """A folder counts by its content, wherever it lies, a hub model also by its commit."""
        model = self.model(ref)
        found = model_identity(model)
        if "content" in found:
            del found["id"]
        elif isinstance(model, TransformersModel | VllmModel):
            if ref not in self._commits:
                self._commits[ref] = content_of(at_revision(model.id, model.revision))
            found["content"] = self._commits[ref]
        return found

    def engine(self, role: Role, name: str, stage: str) -> Engine:
        """The engine of a policy. A model in this process stays for the policy's next stage."""
        model = self.model(role.model)
        if isinstance(model, EndpointModel):
            return make_engine(model, role.chat, name, self.account, stage)
        if name not in self._held:
            self.release()
            self._held[name] = make_engine(model, role.chat, name)
        return self._held[name]

    def facts(self, name: str, problems: Sequence[Problem]) -> dict[str, Any]:
        """What the manifest says of a policy: its settings, revision, template, and the prompts as they are asked.

        A model in this process must have a chat template. UserError if it has none, before anything is asked of any model.
        """
        policy = self.policies[name]
        chats = [policy.chat.messages(p.prompt) for p in self.asked(name, problems)]
        found: dict[str, Any] = {
            "shots": {b: len(next(iter(shots.values()))) for b, shots in self.shots.get(name, {}).items()},
            "settings": policy.model_dump(mode="json"),
            "prompts": key_of_all(fingerprint(messages) for messages in chats),
        }
        model = policy.model
        if isinstance(model, EndpointModel | WorksheetsModel):
            return {**found, "template": None, "example": chats[0]}
        quiet_transformers()
        from acemath.models.chat import chat_template
        from acemath.models.loading import chat_tokenizer

        place = at_revision(model.id, model.revision)
        tokenizer = chat_tokenizer(place, model.template(), model.trust_remote_code)
        template = tokenizer.chat_template
        return {
            **found,
            "content": content_of(place),
            "template": content_key(template if isinstance(template, str) else fingerprint(template)),
            "example": chat_template(tokenizer).prompt(chats[0]),
        }


def shots_of(
    policies: Mapping[str, Measured], places: Mapping[str, str], data: Path | None = None
) -> dict[str, dict[str, Shots]]:
    """The demonstrations before each policy's problems, by policy and benchmark; `places` are the benchmarks' by name.

    By default a benchmark of the registry has its own number of them (paper, section 3.4: five for MMLU), a file none.
    UserError for demonstrations of a file, and as in `demonstrations`.
    """
    known: dict[tuple[str, int], Shots] = {}
    found: dict[str, dict[str, Shots]] = {name: {} for name in policies}
    for name, policy in policies.items():
        for benchmark, place in places.items():
            registered = place == benchmark
            own = BENCHMARKS[benchmark].shots if registered else 0
            count = own if policy.shots is None else policy.shots
            if count and not registered:
                raise UserError(f"{place} is a file, which has no demonstrations; leave --shots out")
            if count:
                if (benchmark, count) not in known:
                    known[benchmark, count] = demonstrations(benchmark, count, data=data)
                found[name][benchmark] = known[benchmark, count]
    return found
