"""Settings of judges. Each kind has a class of its own, so a key that the kind does not have is an error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import yaml
from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from acemath.errors import UserError
from acemath.files.settings import Settings, read_yaml
from acemath.models.engine import ChatFormat
from acemath.models.spec import EndpointModel, check_keys

Aggregation = Literal["min", "product", "last"]
PROBLEM, RESPONSE = "{problem}", "{response}"
TEMPLATE = (
    "Grade the solution to a math problem. Check each of its steps and its final answer.\n\n"
    f"Problem:\n{PROBLEM}\n\nSolution:\n{RESPONSE}\n\n"
    "Explain briefly what is right and what is wrong. End with a line `Score: n`, where n is a number from 0 (wrong) to 10 "
    "(correct and complete)."
)
_VLLM = ("tensor_parallel", "memory_share")  # keys of the engine vLLM alone
# Keys of an endpoint that a scoring server has no use for: it writes no text, and its requests are ours.
_WRITING = ("api", "per_request", "logprobs", "body")


class _Judge(Settings):

    OPERATION: ClassVar[frozenset[str]] = frozenset()
    """The settings that say how a judge is run, and do not change its scores."""

    def identity(self) -> dict[str, Any]:
        """The settings that scores depend on, as JSON."""
        return self.model_dump(mode="json", exclude=set(self.OPERATION))


class _Weights(_Judge):
    """A judge whose weights this machine loads."""

    model: str
    """A folder or hub name."""
    revision: str | None = None
    """The branch, tag or commit of the hub repository; by default its main branch."""
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """The number format of the weights; bfloat16 only where the hardware has it."""
    chat: ChatFormat | None = None
    """The system prompt and the instruction of its conversations; by default those that its files name."""
    max_length: int = Field(4096, ge=16)
    """The most tokens of a problem with its response."""
    engine: Literal["transformers", "vllm"] = "transformers"
    """The library that runs it."""
    tensor_parallel: int = Field(1, ge=1)
    """The number of GPUs that the weights are split over (vllm)."""
    memory_share: float = Field(0.9, gt=0, le=1)
    """The share of each GPU's memory that may be taken (vllm)."""

    OPERATION: ClassVar[frozenset[str]] = frozenset(_VLLM)

    @model_validator(mode="after")
    def _of_the_engine(self) -> Self:
        for key in _VLLM if self.engine != "vllm" else ("share_prefix",):
            if key in self.model_fields_set and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"{key!r} is no key of engine {self.engine}; leave it out, or change engine")
        return self

    def vllm_options(self) -> dict[str, Any]:
        """The settings that vLLM's `LLM` takes."""
        return {"tensor_parallel_size": self.tensor_parallel, "gpu_memory_utilization": self.memory_share}


class RewardModelSettings(_Weights):
    """A reward model: one number for each response, from a head on the last token."""

    kind: Literal["reward"] = "reward"
    """A reward model, which is the default."""
    share_prefix: bool = True
    """Whether each prompt is read once for all of its responses; some architectures do not support it."""

    OPERATION: ClassVar[frozenset[str]] = frozenset(["share_prefix", *_VLLM])


class ProcessModelSettings(_Weights):
    """A process reward model: a probability for each step of a response, and one number made from them."""

    kind: Literal["process"]
    """A process reward model; vllm runs the forms qwen and shepherd."""
    form: Literal["auto", "qwen", "shepherd", "skywork"] = "auto"
    """How steps are marked and judged: as in Qwen2.5-Math-PRM, Math-Shepherd or Skywork-o1-Open-PRM; by default as the
    files of the model show, which cannot show Math-Shepherd."""
    aggregation: Aggregation = "min"
    """The number made from the steps: the lowest probability, their product, or the last."""


class GenerativeSettings(_Judge):
    """A language model behind an endpoint that is asked for a score, whose last match of a pattern is read."""

    kind: Literal["generative"]
    """A language model that writes its judgement."""
    endpoint: EndpointModel
    """The server and its model, with the keys of a recipe's endpoint."""
    template: str = TEMPLATE
    """The question, with `{problem}` and `{response}` in it."""
    pattern: str = r"(?i)score\W{0,8}?(-?\d+(?:\.\d+)?)(?!\w)"
    """A regular expression whose first group is the number or the verdict; its last match in the reply counts."""
    verdicts: dict[str, float] = Field(default_factory=dict)
    """The score of each verdict, if the pattern's group is a word; capitals do not matter."""
    scale: tuple[float, float] = (0.0, 10.0)
    """The lowest and the highest number; a number outside counts as no score."""
    system: str = ""
    """The system prompt."""
    votes: int = Field(1, ge=1, le=128)
    """The number of judgements of each response, whose mean is the score."""
    temperature: float | None = Field(None, ge=0)
    """The temperature of sampling; by default 0 for one vote and 1 for more."""
    max_new_tokens: int = Field(2048, ge=1)
    """The most tokens of a judgement."""
    seed: int = 0
    """The seed of the judgements."""

    def identity(self) -> dict[str, Any]:
        """As for every judge, with what an endpoint's replies depend on in place of the endpoint."""
        return super().identity() | {"endpoint": self.endpoint.identity()}

    @field_validator("template")
    @classmethod
    def _both_places(cls, template: str) -> str:
        missing = [place for place in (PROBLEM, RESPONSE) if place not in template]
        if missing:
            raise ValueError(f"the template lacks {' and '.join(missing)}; write it where the text belongs")
        return template

    @field_validator("pattern")
    @classmethod
    def _one_group(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"the pattern is no regular expression ({error}); correct it") from error
        if groups < 1:
            raise ValueError("the pattern has no group; put parentheses around the number or the verdict")
        return pattern

    @model_validator(mode="after")
    def _sampled(self) -> GenerativeSettings:
        if self.votes > 1 and self.temperature == 0:
            raise ValueError(
                f"votes is {self.votes} and temperature 0, so all votes are equal; give a temperature above 0"
            )
        if not self.verdicts and not self.scale[0] < self.scale[1]:
            raise ValueError(f"scale is {list(self.scale)}; its first number must be below its second")
        return self

    @property
    def heat(self) -> float:
        """The temperature of sampling."""
        return (1.0 if self.votes > 1 else 0.0) if self.temperature is None else self.temperature


class ClassifySettings(_Judge):
    """A reward model on a vLLM or SGLang server. Token ids are sent, not texts."""

    kind: Literal["classify"]
    """A reward model on a server."""
    endpoint: EndpointModel
    """The server: `url` (without `/classify` or `/pooling`), `id` (the model's name there), and how it is asked."""
    server: Literal["vllm", "vllm-tokens", "sglang"] = "vllm"
    """The program that runs there: vLLM's `/classify`, vLLM's `/pooling` for models with which it gives a number for each
    token (Qwen2.5-Math-RM, InternLM2-reward), or SGLang's `/classify`."""
    tokenizer: str | None = None
    """The folder or hub name of the model's tokenizer; by default the endpoint's `id`."""
    chat: ChatFormat | None = None
    """The system prompt and the instruction of its conversations; by default those that the tokenizer's folder names."""
    end_ids: tuple[int, ...] = ()
    """Token ids after each conversation, at the last of which the server scores (InternLM2-reward: 92527)."""
    max_length: int = Field(4096, ge=16)
    """The most tokens of a problem with its response."""

    def identity(self) -> dict[str, Any]:
        """As for every judge, with the model's name in place of the endpoint."""
        return super().identity() | {"endpoint": {"id": self.endpoint.id}}

    @field_validator("endpoint")
    @classmethod
    def _only_asked(cls, endpoint: EndpointModel) -> EndpointModel:
        wrong = [key for key in _WRITING if key in endpoint.model_fields_set]
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: a server of kind classify writes no text; leave it out")
        return endpoint


KINDS: Mapping[str, type[_Judge]] = {
    "reward": RewardModelSettings,
    "process": ProcessModelSettings,
    "generative": GenerativeSettings,
    "classify": ClassifySettings,
}


def _kind(data: Any) -> str:
    return str(data.get("kind", "reward") if isinstance(data, Mapping) else data.kind)


def _fitting(data: Any) -> Any:
    if isinstance(data, Mapping):
        check_keys(data, _kind(data), KINDS, "kind", "kinds of judges", "a judge of kind")
    return data


JudgeSettings = Annotated[
    Annotated[
        Annotated[RewardModelSettings, Tag("reward")]
        | Annotated[ProcessModelSettings, Tag("process")]
        | Annotated[GenerativeSettings, Tag("generative")]
        | Annotated[ClassifySettings, Tag("classify")],
        Discriminator(_kind),
    ],
    BeforeValidator(_fitting),
]
_SETTINGS: TypeAdapter[JudgeSettings] = TypeAdapter(JudgeSettings)


def is_file(judge: str) -> bool:
    """Whether --judge names a YAML file; otherwise it is a model's folder or hub name."""
    return judge.endswith((".yaml", ".yml"))


def settings_from(data: Mapping[str, Any], where: str = "the judge") -> JudgeSettings:
    """Settings from plain data. UserError with the first fault; `where` is the place that the message names."""
    try:
        return _SETTINGS.validate_python(dict(data))
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"] if part not in KINDS)
        value = "" if isinstance(fault.get("input"), Mapping) else f" (it is {fault.get('input')!r})"
        said = fault["msg"].removeprefix("Value error, ")
        raise UserError(f"{where}: {place + ': ' if place else ''}{said}{value}") from error


def read_settings(path: Path) -> dict[str, Any]:
    """The keys and values of a judge's YAML file. UserError for a file that is missing or no such thing."""
    try:
        data = read_yaml(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(
            f"the judge's file {str(path)!r} cannot be read ({error.strerror}); name an existing one"
        ) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(
            f"{path}: not valid YAML ({' '.join(str(error).split())}); correct the file"
        ) from error
    if not isinstance(data, dict):
        raise UserError(
            f"{path}: a judge's file maps keys to values, such as `kind: reward`; this is {type(data).__name__}"
        )
    return {str(key): value for key, value in data.items()}
