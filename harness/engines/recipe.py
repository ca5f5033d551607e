"""All that it takes to make an engine, in plain values, so that another process can make the same one.

The one place that knows which module holds which engine. Each is imported only when it is used.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

import msgspec

from harness.errors import SpecError
from harness.interfaces import Engine
from harness.schema import EngineSpec, Request
from harness.spec import ENGINE_SETTINGS, EngineConfig

if TYPE_CHECKING:
    from harness.engines.hf import HfRenderer

Render = Callable[[Request], tuple[str, list[int] | None]]
"""A request's prompt as the engine sends it: text, and token ids (None where the engine has no tokenizer)."""

CAN_WEIGH = frozenset({"hf", "vllm", "openai"})
"""Engines that can tell how likely a given continuation is, which multiple-choice tasks and judges need; openai after
plain text, and after a conversation where each continuation is a single word."""


@dataclass(frozen=True)
class EngineRecipe:
    """A checkpoint and how it is run."""

    config: EngineConfig
    """Its name is an engine's, never auto."""
    source: str
    """Folder of the weights; the served model's name, empty for its only one; the script."""
    chat_template: str | None = None
    """Jinja text used instead of the tokenizer's template."""
    enable_thinking: bool | None = None
    """Passed to the template unless None."""

    @property
    def inner(self) -> "EngineRecipe":
        """The recipe of each of Ray's actors; the recipe itself for all other engines."""
        if self.config.name != "ray":
            return self
        return replace(self, config=msgspec.structs.replace(self.config, name=self.config.inner))


def choose_engine(config: EngineConfig, is_scripted: bool) -> EngineConfig:
    """Return the settings with the engine named that `auto` stands for.

    Raises:
        SpecError: if a setting is one that the engine has no use for.
    """
    name = config.name
    if name == "auto":
        name = "scripted" if is_scripted else "vllm" if _has_vllm_and_gpu(config) else "hf"
    config = msgspec.structs.replace(config, name=name)
    check_settings(config)
    return config


def _has_vllm_and_gpu(config: EngineConfig) -> bool:
    if config.device not in ("auto", "cuda") or find_spec("vllm") is None:
        return False
    import torch

    return torch.cuda.is_available()


def check_settings(config: EngineConfig) -> None:
    """Refuse settings that would be ignored.

    Raises:
        SpecError: naming the setting and the engines that read it.
    """
    known = ENGINE_SETTINGS[config.name]
    used = known | (ENGINE_SETTINGS[config.inner] if config.name == "ray" else frozenset())
    for field in msgspec.structs.fields(EngineConfig):
        value = getattr(config, field.name)
        default = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
        if field.name != "name" and value != default and field.name not in used:
            readers = ", ".join(name for name, settings in ENGINE_SETTINGS.items() if field.name in settings)
            raise SpecError(f"engine.{field.name} is read by {readers}, and this run uses {config.name}; leave it out")


def resolve_engine(recipe: EngineRecipe) -> EngineSpec:
    """Return what decides the engine's tokens, with `auto` replaced.

    Raises:
        HarnessError: if the engine cannot work here, with what to install.
    """
    config = recipe.inner.config
    if recipe.config.name == "ray":
        from harness.engines.ray import resolve_ray

        return resolve_ray(recipe)
    if config.name == "vllm":
        from harness.engines.vllm import resolve_vllm

        return resolve_vllm(config)
    if config.name == "openai":
        from harness.engines.openai import resolve_openai

        return resolve_openai(config)
    if config.name == "scripted":
        from harness.engines.scripted import ScriptedEngine

        return ScriptedEngine(recipe.source).spec
    from harness.engines.hf import resolve_hf

    return resolve_hf(config.dtype, config.device)


def make_engine(recipe: EngineRecipe, spec: EngineSpec, renderer: "HfRenderer | None" = None) -> Engine:
    """Return the engine; it loads its weights when it is first used. A renderer that is there already is used again.

    Raises:
        HarnessError: if it cannot be had.
    """
    config = recipe.config
    if config.name == "ray":
        from harness.engines.ray import RayEngine

        return RayEngine(recipe, spec)
    if config.name == "openai":
        from harness.engines.openai import OpenAiEngine

        return OpenAiEngine(recipe, spec)
    if config.name == "scripted":
        from harness.engines.scripted import ScriptedEngine

        return ScriptedEngine(recipe.source)
    from harness.engines.hf import HfEngine

    renderer = renderer or make_renderer(recipe)
    assert renderer is not None, "both engines below have one"
    if config.name == "vllm":
        from harness.engines.vllm import VllmEngine

        return VllmEngine(recipe, spec, renderer)
    return HfEngine(
        recipe.source,
        spec,
        renderer,
        max_batch_tokens=config.max_batch_tokens,
        max_batch_size=config.max_batch_size,
    )


def make_renderer(recipe: EngineRecipe) -> "HfRenderer | None":
    """Return what turns requests into token ids; None where a server does, or nobody.

    Raises:
        CheckpointError: if the tokenizer is missing or damaged.
    """
    if recipe.inner.config.name in ("openai", "scripted"):
        return None
    from harness.engines.hf import HfRenderer

    return HfRenderer(recipe.source, chat_template=recipe.chat_template, enable_thinking=recipe.enable_thinking)


def plain_text(request: Request) -> tuple[str, None]:
    """Return a request's prompt for people, where a server renders it, or nobody."""
    text = request.prompt or "\n".join(f"{message.role}: {message.content}" for message in request.messages or ())
    return text, None
