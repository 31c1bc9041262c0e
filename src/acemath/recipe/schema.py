"""The schema of a recipe: typed settings that are checked before any model is loaded.

The laptop demo and the 72B run have the same schema. An unknown key is an error. Each package defines its own settings;
this module puts them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from acemath.curate.settings import CurateSettings
from acemath.files.settings import Seed, Settings
from acemath.models.engine import ChatFormat
from acemath.models.hub import model_identity
from acemath.models.spec import Model, TransformersModel, VllmModel
from acemath.recipe.launch import LaunchSettings
from acemath.recipe.part import FolderName
from acemath.recipe.roles import Policies, Role, Roles
from acemath.recipe.sft import Sft
from acemath.recipe.sources import Problems, Source, check_apart, check_ready
from acemath.records import group_of
from acemath.train.reward.settings import GroupSettings, RewardSettings

REWARD = "reward"  # the reward model that a run trains, as a name under `models`
BASE_CHECK = "base-check"  # a ranker: the base model's own judgement of right and wrong
VOTES = "votes"  # a ranker: how many of a problem's candidates give the same answer
CHECKED_POOLS = ("math.checked", "math.unchecked")  # pools that a cross-check makes
MATH_TOKENS = 800  # of a response to a math problem, mean (paper, section 3.2: derived from its counts)
BASE_KEYS = {"engine", "id", "revision"}  # the keys of a model that a training starts from
RANKER_KEYS = BASE_KEYS | {"dtype", "max_length", "replicas", "tensor_parallel", "memory_share", "prefix_caching"}


class Reward(Settings):
    """The reward model: its candidates, how they are grouped, how it is trained."""

    base: str
    """What training starts from: a stage, a hub name, a folder, or a name under `models`."""
    chat: ChatFormat = ChatFormat(
        system="Please reason step by step, and check your final answer within \\boxed{}."
    )
    """The chat that the reward model is trained on and reads."""
    problems: int | None = Field(None, ge=1)
    """The most problems that get candidates; by default all."""
    candidates: Policies = Policies(policies={})
    """Whose responses the reward model learns from."""
    data: Source | None = None
    """Groups of labelled responses that exist already, in place of `candidates`; those that leak a benchmark problem are dropped."""
    groups: GroupSettings = GroupSettings()
    train: RewardSettings = RewardSettings()
    launch: str | None = None
    """A configuration of `accelerate launch`, a file or the name of one that ships, for training in several processes."""

    @model_validator(mode="after")
    def _one_origin(self) -> Reward:
        if bool(self.candidates.policies) == (self.data is not None):
            raise ValueError(
                "groups come from candidates or from data that exist already; give exactly one of candidates, data"
            )
        if apart := [name for name, policy in self.candidates.policies.items() if not policy.pooled]:
            raise ValueError(f"candidates.policies.{apart[0]} has pooled: false, which is for bench; leave it out")
        if self.data is not None:
            check_ready(self.data, "groups")
            if self.problems is not None or self.train.rm_k is not None:
                name = "problems" if self.problems is not None else "train.rm_k"
                raise ValueError(f"{name} is about candidates, which data replace; leave it out")
        return self


class Bench(Policies):
    """Evaluation: the policies that answer the benchmarks, and the k of the tables."""

    headline: str
    """The policy whose numbers are the headline."""
    k: int = Field(8, ge=1)
    """The number of responses to choose from in maj@k, rm@k and pass@k; at most what the headline policy gives."""
    curve: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    """The k of the curves; by default 1, 2, 4 … up to the most responses of a policy."""
    seed: Seed | None = None
    """The seed of sampling on the benchmarks; by default the recipe's."""
    validation: str | None = None
    """The benchmark on which the selector is chosen. It is in no headline and no average."""
    lengths: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Token limits below `max_new_tokens` at which accuracy is shown too: what is longer counts as cut."""
    demonstrations: bool = False
    """Whether benchmarks are asked after the demonstrations that the paper gives them (section 3.4: five for MMLU STEM, of its dev split)."""
    before_training: bool = False
    """Whether responses are also ranked by the reward model before its training."""
    browse: int = Field(35, ge=0)
    """The number of problems that the report shows in full."""

    @model_validator(mode="after")
    def _plain_prompts(self) -> Bench:
        for name, policy in self.policies.items():
            if policy.sources or isinstance(policy.shots, Source):
                key = "sources" if policy.sources else "shots from a source"
                raise ValueError(f"policies.{name} has {key}, which are for reward.candidates; leave them out")
        return self

    @model_validator(mode="after")
    def _enough_responses(self) -> Bench:
        if self.headline not in self.policies:
            raise ValueError(f"headline is {self.headline!r}; it must be one of {sorted(self.policies)}")
        each = self.policies[self.headline].each
        if "k" not in self.model_fields_set:
            object.__setattr__(self, "k", min(self.k, each))
        if self.k > each:
            raise ValueError(
                f"k is {self.k}, but the headline policy {self.headline!r} gives {each} responses a problem; lower k or "
                f"raise policies.{self.headline}.each"
            )
        if (pooled := sum(policy.each for policy in self.policies.values() if policy.pooled)) < self.k:
            raise ValueError(
                f"the pooled policies give {pooled} responses a problem in all, and k is {self.k}; leave pooled: false out of one"
            )
        if self.curve is not None and max(self.curve, default=1) > self.most:
            raise ValueError(
                f"curve names {max(self.curve)}, but no policy gives more than {self.most} responses a problem; leave it out"
            )
        return self

    @property
    def most(self) -> int:
        """The most responses that a policy gives to a problem."""
        return max(policy.each for policy in self.policies.values())

    def ks(self, policy: str) -> list[int]:
        """The k of a policy's curve: those that its number of responses allows."""
        wanted = self.curve or [2**power for power in range(self.most.bit_length())]
        return [k for k in wanted if k <= self.policies[policy].each]


class Recipe(Settings):
    """A whole run."""

    name: FolderName
    """The run's name, and its folder's under `runs`."""
    seed: Seed = 0
    """The seed of every random choice."""
    engine_slots: int | None = Field(None, ge=1)
    """The most responses that a transformers model generates at the same time; by default 512 on a CPU, and as many as fit into a GPU's memory, up to 2,048."""
    budget_usd: float | None = Field(None, ge=0)
    """The most US dollars that all endpoints together may cost."""
    partitions: int | None = Field(None, ge=1, le=4096)
    """The number of partitions of a new run, of its seeds and of its benchmarks; by default it follows from how many there are."""
    launch: LaunchSettings = LaunchSettings()
    """How the jobs of stages that need no model are started; `sft.launch` and `reward.launch` are for trainings."""
    response_tokens: int = Field(MATH_TOKENS, ge=1)
    """The mean tokens of a response to a math problem, for the plan alone (paper, section 3.2: 800)."""
    models: dict[str, Model] = Field(default_factory=dict)
    """The models by name: each is described here once, and roles refer to it."""
    problems: Problems
    roles: Roles = Roles()
    curate: CurateSettings = CurateSettings()
    sft: Sft
    reward: Reward
    bench: Bench

    @field_validator("models", mode="before")
    @classmethod
    def _ids(cls, data: Any) -> Any:
        """A model's id is by default its name."""
        if not isinstance(data, Mapping):
            return data
        return {
            name: {"id": name, **spec}
            if isinstance(spec, Mapping) and spec.get("engine") != "worksheets"
            else spec
            for name, spec in data.items()
        }

    @model_validator(mode="after")
    def _names_exist(self) -> Recipe:
        stages = self.sft.stages
        seen: set[str] = set()
        bases = {"sft.base": self.sft.base, "reward.base": self.reward.base}
        for name, stage in stages.items():
            if stage.base in stages and stage.base not in seen:
                raise ValueError(
                    f"sft.stages.{name}.base is {stage.base!r}, a stage that comes later; put it first"
                )
            seen.add(name)
            if stage.base is not None:
                bases[f"sft.stages.{name}.base"] = stage.base
        for where, base in bases.items():
            if base not in stages and (stage_name := self.stage_of(base)) is not None:
                raise ValueError(f"{where} is {base!r}, another name of the stage {stage_name!r}; name the stage itself")
            if base not in stages:
                self._only(where, base, ("transformers",), BASE_KEYS)
        if (ranker := self.roles.ranker) is not None and ranker.model not in (BASE_CHECK, VOTES):
            self._only("roles.ranker", ranker.model, ("transformers", "vllm"), RANKER_KEYS)
        if (judge := self.judge) is not None:
            self._only(f"models.{REWARD}", REWARD, ("transformers", "vllm"), RANKER_KEYS)
            if judge.revision is not None or self.bench.before_training and judge.engine == "vllm":
                key = "revision" if judge.revision is not None else "engine vllm, which does not go with bench.before_training"
                raise ValueError(f"models.{REWARD} is the reward model that this run trains, and has {key}; leave it out")
        for name, spec in self.models.items():
            if (
                isinstance(spec, TransformersModel | VllmModel)
                and spec.id in stages
                and spec.revision is not None
            ):
                raise ValueError(
                    f"models.{name} is the stage {spec.id!r}, which has no revision; leave revision out"
                )
        named = {"curate.evolve.sources": self.curate.evolve.sources}
        named |= {f"sft.pools.{name}.sources": pool.sources for name, pool in self.sft.pools.items()}
        policies = self.reward.candidates.policies
        named |= {f"reward.candidates.policies.{name}.sources": policy.sources for name, policy in policies.items()}
        for where, sources in named.items():
            if wrong := [name for name in sources if name not in self.problems.seeds]:
                raise ValueError(f"{where} names {wrong[0]!r}; the seeds are {', '.join(self.problems.seeds)}")
        if (vote := self.curate.solvability) is not None and vote.by not in self.roles.named():
            raise ValueError(
                f"curate.solvability.by is {vote.by!r}; the roles are {', '.join(self.roles.named())}"
            )
        return self

    @model_validator(mode="after")
    def _shots_are_apart(self) -> Recipe:
        """No worked problem is one that the candidate answers after it."""
        seeds = self.problems.seeds
        for name, policy in self.reward.candidates.policies.items():
            if isinstance(policy.shots, Source):
                asked = policy.sources or [seed for seed, source in seeds.items() if source.use != "sft"]
                check_apart(f"reward.candidates.policies.{name}", policy.shots, {seed: seeds[seed] for seed in asked})
        return self

    @model_validator(mode="after")
    def _teachers_for_seeds(self) -> Recipe:
        for name, source in self.problems.seeds.items():
            if source.subject and self.roles.teacher(group := group_of(source.subject)) is None:
                raise ValueError(
                    f"problems.seeds.{name} holds {source.subject} prompts, which no teacher answers; "
                    f"name roles.teachers.{group}, or leave the source out"
                )
        return self

    @model_validator(mode="after")
    def _seeds_are_used(self) -> Recipe:
        """Pools and candidates need seeds, seeds need one of them, and roles of reward data need candidates."""
        users = [f"sft.stages.{name}.blend" for name, stage in self.sft.stages.items() if stage.blend]
        users += ["reward.candidates"] if self.reward.data is None else []
        if users and not self.problems.seeds:
            raise ValueError(
                f"{users[0]} needs prompts; name problems.seeds, or give data that exist already"
            )
        if self.problems.seeds and not users:
            raise ValueError(
                "problems.seeds would do nothing, because all stages train on data; leave them out"
            )
        for name in ("labeller", "ranker") if self.reward.data is not None else ():
            if getattr(self.roles, name) is not None:
                raise ValueError(
                    f"roles.{name} would do nothing, because reward.data replaces candidates; leave it out"
                )
        return self

    @model_validator(mode="after")
    def _checked_and_chosen(self) -> Recipe:
        for name, stage in self.sft.stages.items():
            of = {pool: self.sft.pools[pool].of if pool in self.sft.pools else pool for pool in stage.blend}
            if not self.roles.checkers and (lost := [pool for pool in of if of[pool] in CHECKED_POOLS]):
                raise ValueError(
                    f"sft.stages.{name}.blend names {lost[0]!r}, which the cross-check fills; name roles.checker, or blend math"
                )
        wanted, benchmarks = self.bench.validation, self.problems.benchmarks
        if wanted is not None and (wanted not in benchmarks or len(benchmarks) < 2):
            raise ValueError(
                f"bench.validation is {wanted!r}; it is one of at least two benchmarks ({', '.join(benchmarks)})"
            )
        return self

    @model_validator(mode="after")
    def _chats(self) -> Recipe:
        """Give every role without a chat its default: `sft.chat`, or none for roles that do not solve math problems."""
        plain = {"writer", "teachers.code", "teachers.general"}
        policies = (*self.reward.candidates.policies.values(), *self.bench.policies.values())
        roles = [(name in plain, role) for name, role in self.roles.named().items()]
        for is_plain, role in [*roles, *((False, policy) for policy in policies)]:
            if role.chat is None:
                object.__setattr__(role, "chat", ChatFormat() if is_plain else self.sft.chat)
        return self

    def _only(self, where: str, ref: str, engines: tuple[str, ...], keys: set[str]) -> None:
        """ValueError if the model cannot be used here, or has settings that this use would ignore."""
        spec = self.model(ref)
        if spec.engine not in engines:
            raise ValueError(
                f"{where} is {ref!r}, a model of engine {spec.engine}; name one of engine {' or '.join(engines)}"
            )
        given = [k for k, field in type(spec).model_fields.items() if getattr(spec, k) != field.default]
        given += ["dtype: float16"] if getattr(spec, "dtype", "") == "float16" else []  # rewards: bfloat16 or float32
        if unused := [key for key in given if key not in keys]:
            raise ValueError(
                f"{where} is {ref!r}, and {unused[0]!r} of this model would do nothing there; "
                f"name a model with only {', '.join(sorted(keys))}"
            )

    def model(self, ref: str) -> Model:
        """The model that a role names: one of `models`, else a hub name, a folder, `nano` or a stage, in transformers."""
        return self.models[ref] if ref in self.models else TransformersModel(id=ref)

    @property
    def judge(self) -> TransformersModel | VllmModel | None:
        """How the reward model that the run trains is run where it scores responses; None: by transformers, on one device."""
        spec = self.models.get(REWARD)
        return spec if isinstance(spec, TransformersModel | VllmModel) and spec.id == REWARD else None

    def base_of(self, ref: str) -> dict[str, Any]:
        """The identity of a training's base: a stage's name, or a model with its revision and the content of its folder."""
        if ref in self.sft.stages:
            return {"id": ref, "revision": None}
        return {key: value for key, value in model_identity(self.model(ref)).items() if key in ("id", "revision", "content")}

    def stage_of(self, ref: str) -> str | None:
        """The fine-tuning stage that trains the model of this name; None for other models."""
        spec = self.model(ref)
        local = isinstance(spec, TransformersModel | VllmModel)
        return spec.name if local and spec.name in self.sft.stages else None

    def origin(self, ref: str) -> str:
        """The model that a fine-tuning stage, or this run's reward model, starts from through the stages before it; any other is its own."""
        if self.model(ref).name == REWARD:
            ref = self.reward.base
        names = list(self.sft.stages)
        while (stage := ref if ref in names else self.stage_of(ref)) is not None:
            at = names.index(stage)
            ref = self.sft.stages[stage].base or (names[at - 1] if at else self.sft.base)
        return ref

    def identity_of(self, role: Role) -> dict[str, Any]:
        """What a role's responses depend on, besides the prompts, their number and the seed."""
        kept = role.model_dump(
            mode="json", include={"chat", "temperature", "top_p", "max_new_tokens", "shots"}
        )
        model = self.model(role.model)
        trained = self.stage_of(role.model) is not None
        return {"model": model.identity() if trained else model_identity(model), **kept}
