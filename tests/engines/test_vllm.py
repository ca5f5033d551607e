"""Engine `vllm`. Tests with a model run where vLLM is installed, on a GPU or a CPU: `make test-vllm`."""

import json
import os
import signal
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
import torch
from safetensors.torch import load_file, save_file

from harness.engines.hf import WINDOW, HfEngine, HfRenderer
from harness.engines.recipe import EngineRecipe
from harness.engines.vllm import VllmEngine, resolve_vllm
from harness.engines.vllm_process import Job, Result, weigh
from harness.engines.vllm_replica import Replica, advice, find_attention, find_cause
from harness.engines.vllm_request import Asked
from harness.engines.vllm_settings import llm_arguments, process_variables, read_checkpoint
from harness.errors import CheckpointError, EngineError, HarnessError
from harness.schema import Choice, EngineSpec, Generation, Message, Request, RequestKey, Sampling
from harness.spec import EngineConfig
from tests.tiny_model import CONTEXT_LENGTH, IM_END, build_tiny_checkpoint

HAS_VLLM = find_spec("vllm") is not None
CPU = EngineSpec(name="vllm", dtype="float32", device="cpu")
GPU = EngineSpec(name="vllm", dtype="bfloat16", device="cuda")
SMALL = EngineConfig(name="vllm", max_batch_size=16, args={"kv_cache_memory_bytes": 2**26})
"""16 rows and 64 MB: two engines of a test must fit beside each other."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A tiny checkpoint with a ChatML template."""
    return build_tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def engine(checkpoint) -> Iterator[VllmEngine]:
    """vLLM with the tiny checkpoint."""
    engine = make_vllm(checkpoint)
    yield engine
    engine.close()


def make_vllm(path: Path, config: EngineConfig = SMALL) -> VllmEngine:
    """Return an engine, where vLLM is installed."""
    if not HAS_VLLM:
        pytest.skip("vLLM is not installed; `make test-vllm` installs its CPU build and runs this")
    config = msgspec.structs.replace(config, dtype="float32")
    return VllmEngine(EngineRecipe(config, str(path)), resolve_vllm(config), HfRenderer(path))


def make_hf(path: Path) -> HfEngine:
    return HfEngine(path, EngineSpec(name="hf", dtype="float32", device="cpu"), HfRenderer(path))


def make_request(text: str, sampling: Sampling, name: str = "0", index: int = 0, seed: int = 1) -> Request:
    key = RequestKey(task="t", example_id=name, index=index)
    return Request(key=key, messages=(Message(role="user", content=text),), sampling=sampling, seed=seed)


def plain(text: str, sampling: Sampling, name: str = "0") -> Request:
    return Request(key=RequestKey(task="t", example_id=name, index=0), prompt=text, sampling=sampling, seed=1)


def collect(engine: VllmEngine | HfEngine, requests: list[Request]) -> dict[RequestKey, Generation]:
    """Generate; check that every request ends exactly once; leave out the seconds."""
    generations = list(engine.generate(requests))
    by_key = {item.key: msgspec.structs.replace(item, seconds=0.0) for item in generations}
    assert len(generations) == len(requests)
    assert set(by_key) == {request.key for request in requests}
    return by_key


def take_log(error: EngineError) -> str:
    """Return the text of the log that an error names, and remove it."""
    path = Path(str(error).rpartition("its log: ")[2].rstrip(")"))
    text = path.read_text()
    path.unlink()
    return text


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# --- settings


@pytest.mark.skipif(HAS_VLLM, reason="vLLM is installed")
def test_missing_vllm_is_an_error_that_says_how_to_install_it():
    """Without vLLM the engine names the command that installs it, and the engine that needs none."""
    with pytest.raises(EngineError, match=r'pip install "grlo-harness\[vllm\]".*--engine hf') as raised:
        resolve_vllm(EngineConfig(name="vllm"))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dtype": "float64"}, "no dtype float64"),
        ({"device": "tpu"}, "expected auto, cpu or cuda"),
        ({"args": {"tensor_parallel_size": 2}}, "setting of its own: engine.tensor_parallel"),
        ({"args": {"hf_token": "hf_secret"}}, r"setting of its own: \$HF_TOKEN"),
        ({"args": {"generation_config": "auto"}}, "cannot be set"),
    ],
)
def test_settings_that_do_not_fit_are_errors(settings, message):
    """What vLLM has not, what has a setting of its own, and what results rest on is refused by name."""
    with pytest.raises(HarnessError, match=message):
        resolve_vllm(EngineConfig(name="vllm", **settings))


@pytest.mark.skipif(not HAS_VLLM, reason="vLLM is not installed")
def test_what_decides_tokens_is_in_the_spec():
    """The spec holds the user's arguments and the context length; what only decides speed is left out."""
    config = EngineConfig(name="vllm", max_model_len=100, max_batch_size=4, args={"quantization": "fp8"})
    assert resolve_vllm(config).args == {"quantization": "fp8", "max_model_len": 100}


def test_arguments_of_vllm(checkpoint):
    """Nothing of the checkpoint's generation_config is used, only safetensors are read, the user's arguments win."""
    config = EngineConfig(name="vllm", max_batch_size=4, gpu_memory=0.5, tensor_parallel=2)
    spec = msgspec.structs.replace(GPU, args={"quantization": "fp8", "load_format": "dummy"})
    arguments = llm_arguments(EngineRecipe(config, str(checkpoint)), spec)
    assert arguments == {
        "model": str(checkpoint),
        "tokenizer": str(checkpoint),
        "dtype": "bfloat16",
        "tensor_parallel_size": 2,
        "generation_config": "vllm",
        "load_format": "dummy",
        "enable_prefix_caching": True,
        "use_tqdm_on_load": False,
        "max_num_seqs": 4,
        "gpu_memory_utilization": 0.5,
        "quantization": "fp8",
    }


def test_copies_share_out_the_gpus(checkpoint, monkeypatch):
    """Each copy sees its own GPUs, of those that this process sees; too few are an error with both numbers."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,6,5,3,2")
    recipe = EngineRecipe(EngineConfig(name="vllm", tensor_parallel=2, data_parallel=2), str(checkpoint))
    assert [v["CUDA_VISIBLE_DEVICES"] for v in process_variables(recipe, GPU)] == ["7,6", "5,3"]
    recipe = EngineRecipe(EngineConfig(name="vllm", tensor_parallel=2, data_parallel=3), str(checkpoint))
    with pytest.raises(EngineError, match="needs 6 GPUs and this machine shows 5"):
        process_variables(recipe, GPU)


def test_the_users_environment_stays(checkpoint, monkeypatch):
    """A variable that is set already is not set again."""
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("VLLM_CPU_KVCACHE_SPACE", raising=False)
    (variables,) = process_variables(EngineRecipe(EngineConfig(name="vllm"), str(checkpoint)), CPU)
    assert "OMP_NUM_THREADS" not in variables
    assert variables["VLLM_CPU_KVCACHE_SPACE"] == "4"


@pytest.mark.parametrize("has_generation_config", [True, False])
@pytest.mark.parametrize("quantization", [None, {"quant_method": "fp8"}], ids=["plain", "quantised"])
def test_end_tokens_are_those_of_engine_hf(tmp_path, has_generation_config, quantization):
    """The tokens that end a completion are found without the weights, of quantised checkpoints too."""
    build_tiny_checkpoint(tmp_path, eos_token_id=5)
    if not has_generation_config:
        (tmp_path / "generation_config.json").unlink()
    hf = make_hf(tmp_path)
    hf.load()
    edit_config(tmp_path, quantization_config=quantization)
    found = read_checkpoint(HfRenderer(tmp_path), "float32")
    assert sorted(found) == hf.describe()["end_tokens"]
    assert 5 in found


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tie_word_embeddings": False}, r"lacks 1 of the weights .*\(lm_head.weight\)"),
        ({"num_hidden_layers": 3, "layer_types": ["full_attention"] * 3}, "lacks 11 of the weights"),
        ({"num_hidden_layers": 1, "layer_types": ["full_attention"]}, "holds 11 weights"),
        ({"hidden_size": 96}, "other shapes than config.json"),
        ({"model_type": "zork"}, "zork"),
    ],
)
def test_incomplete_weights_are_an_error(tmp_path, changes, message):
    """Weights that do not fit config.json are refused before vLLM fills in what it finds in memory."""
    edit_config(build_tiny_checkpoint(tmp_path), **changes)
    with pytest.raises(CheckpointError, match=message) as raised:
        read_checkpoint(HfRenderer(tmp_path), "float32")
    assert "\n" not in str(raised.value)


# --- what vLLM says


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        (
            "(EngineCore pid=7) ERROR 11-23 [core.py:9] Traceback\n"
            "(EngineCore pid=7) ERROR 11-23 [core.py:9] ValueError: No available memory for the cache blocks.\n"
            "RuntimeError: Engine core initialization failed. See root cause above.",
            "ValueError: No available memory for the cache blocks.",
        ),
        (
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB\n"
            "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.",
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB",
        ),
        ("INFO 11-23 all is well", None),
    ],
)
def test_the_first_error_of_a_log_is_the_cause(log, cause):
    """Of a log's errors the one that is no echo of another is shown."""
    assert find_cause(log) == cause


def test_well_known_causes_come_with_advice():
    """Too little memory names the settings that need less; other causes get no advice."""
    assert "engine.gpu_memory" in advice("torch.OutOfMemoryError: CUDA out of memory.")
    assert "engine.max_model_len" in advice("ValueError: No available memory for the cache blocks.")
    assert advice("KeyError: 'layers.9'") == ""


def test_the_attention_kernel_is_read_from_the_log():
    """The kernel that vLLM chose is in its log, in one of two ways."""
    assert find_attention("INFO Using FLASH_ATTN attention backend out of potential backends: []") == "FLASH_ATTN"
    assert find_attention("INFO Using HND KV cache layout for CPU_ATTN backend.") == "CPU_ATTN"
    assert find_attention("") is None


@pytest.mark.parametrize(
    ("result", "reason", "text"),
    [
        (Result(0, [10, 11, 2], "stop", is_end_token=True), "stop", "ab"),
        (Result(0, [10, 11, 12, 13], "stop"), "stop", "a"),
        (Result(0, [10, 11, 12, 13], "length"), "length", "abcd"),
        (Result(0, [10], "abort"), "error", ""),
        (Result(0, error="refused"), "error", ""),
    ],
)
def test_endings_mean_what_they_mean_in_engine_hf(checkpoint, result, reason, text):
    """End token and stop string are not in the text, but counted; what vLLM cannot finish is an error."""
    tokenizer = HfRenderer(checkpoint).tokenizer
    letters = {10 + i: tokenizer.convert_tokens_to_ids(letter) for i, letter in enumerate("abcd")}
    result.tokens = [letters.get(token, token) for token in result.tokens]
    request = make_request("x", Sampling(stop=("zz", "bc")))
    asked = Asked(request, [1, 2, 3], [], 8, frozenset({2}))
    generation = asked.generation([result], tokenizer, 1.0)
    assert (generation.finish_reason, generation.text) == (reason, text)
    assert (generation.num_prompt_tokens, generation.num_completion_tokens) == (3, len(result.tokens))
    assert (generation.error is not None) == (reason == "error")


def test_likelihoods_add_up_over_the_continuation():
    """Log-probabilities of the last tokens are summed; a token that ties with the best one is greedy."""
    entries = [{4: -9.0}, {5: -1.0, 6: -0.5}, {7: -0.25}, {8: -2.0, 9: -2.0}]
    logprobs = [None, *({t: SimpleNamespace(logprob=p) for t, p in entry.items()} for entry in entries)]
    job = Job(0, [3, 4, 5, 7, 8], {}, num_weighed=2)
    assert weigh(job, logprobs) == (-2.25, True)
    assert weigh(Job(0, job.prompt, {}, num_weighed=3), logprobs) == (-3.25, False)


def test_a_process_that_cannot_load_says_why(tmp_path):
    """A failure while loading is one line that names the cause and the log, which is kept."""
    replica = Replica("no-model", {"model": str(tmp_path), "no_such_argument": 1}, {"VLLM_NO_USAGE_STATS": "1"})
    with pytest.raises(EngineError, match=r"while loading no-model: .*Error: ") as raised:
        replica.receive()
    message = str(raised.value)
    assert "\n" not in message
    assert "Error" in take_log(raised.value)


# --- with a model


def mixed_requests() -> list[Request]:
    """Chats of many lengths, plain text, stop strings, and requests that cannot be served."""
    limit = Sampling(max_tokens=40)
    words = ["what", "is", "the", "sum", "of", "twelve", "poem", "sea", "blue", "answer", "done", "42"]
    chats = [make_request(" ".join((words * 4)[i : i + 1 + i % 30]), limit, f"chat{i}") for i in range(30)]
    texts = [plain(" ".join(words[i : i + 3]), limit, f"plain{i}") for i in range(6)]
    stops = [
        make_request(" ".join(words[:i]), Sampling(max_tokens=60, stop=("e", "\n", "th", IM_END)), f"stop{i}")
        for i in range(8)
    ]
    penalised = [make_request(w, Sampling(max_tokens=20, repetition_penalty=1.3), f"penalty-{w}") for w in words]
    hopeless = [plain("", limit, "empty"), make_request("sum " * CONTEXT_LENGTH, limit, "long")]
    full = [plain("1" * (CONTEXT_LENGTH - 10), Sampling(max_tokens=100), "full")]
    return [*chats, *texts, *stops, *penalised, *hopeless, *full]


def test_greedy_generations_are_those_of_engine_hf(checkpoint, engine):
    """Text, reason, token counts and errors agree request by request."""
    requests = mixed_requests()
    ours, theirs = collect(engine, requests), collect(make_hf(checkpoint), requests)
    assert ours == theirs
    assert {item.finish_reason for item in ours.values()} == {"stop", "length", "error"}


def test_likelihoods_are_those_of_engine_hf(checkpoint, engine):
    """Log-probabilities agree to 1e-4, and which choices are greedy."""
    texts = (" 42", " the sea is blue", "done", " 7 apples")
    choices = tuple(Choice(text=text) for text in texts)
    requests = []
    for i, text in enumerate(("The answer is", "Question: how many ", "")):
        request = msgspec.structs.replace(plain(text, Sampling(), f"p{i}"), choices=choices)
        requests += [request, msgspec.structs.replace(make_request(text, Sampling(), f"c{i}"), choices=choices)]
    likely = collect(make_hf(checkpoint), [plain("The answer is", Sampling(max_tokens=3), "likely")])
    greedy = Choice(text=next(iter(likely.values())).text)
    requests.append(msgspec.structs.replace(plain("The answer is", Sampling(), "greedy"), choices=(greedy,)))
    ours, theirs = collect(engine, requests), collect(make_hf(checkpoint), requests)
    for key, generation in ours.items():
        reference = theirs[key]
        assert [item.num_tokens for item in generation.likelihoods] == [n.num_tokens for n in reference.likelihoods]
        assert [item.is_greedy for item in generation.likelihoods] == [n.is_greedy for n in reference.likelihoods]
        for one, other in zip(generation.likelihoods, reference.likelihoods, strict=True):
            assert one.logprob == pytest.approx(other.logprob, abs=1e-4)
        bare = [msgspec.structs.replace(item, likelihoods=()) for item in (generation, reference)]
        assert bare[0] == bare[1]


def test_choices_that_leave_no_room_are_an_error(engine):
    """vLLM has to generate a token after what it weighs: the context must leave room for it."""
    request = plain("1" * (CONTEXT_LENGTH - 1), Sampling(), "long")
    (generation,) = collect(engine, [msgspec.structs.replace(request, choices=(Choice(text="1"),))]).values()
    assert generation.finish_reason == "error"
    assert str(CONTEXT_LENGTH - 2) in (generation.error or "")


def test_seeds_decide(engine):
    """The same prompt with other seeds gives other completions, with the same seed the same."""
    drawn = Sampling(temperature=1.0, top_p=0.95, top_k=50, max_tokens=40)
    requests = [make_request("the sum", drawn, index=i, seed=2**62 + i % 8) for i in range(16)]
    texts = [item.text for _, item in sorted(collect(engine, requests).items())]
    assert texts[:8] == texts[8:]
    assert len(set(texts)) == 8


def test_draws_do_not_depend_on_the_company(engine):
    """Long prompts with seeds, more of them than fit in a step, give the same in any order."""
    drawn = Sampling(temperature=1.0, max_tokens=20)
    requests = [make_request(f"{i} sum of " * (80 + i % 8), drawn, str(i), seed=i) for i in range(33)]
    assert sum(len(engine._renderer.render(request)[1]) for request in requests) > 8192
    assert collect(engine, requests) == collect(engine, requests[2::3] + requests[0::3] + requests[1::3])


def test_draws_follow_the_filtered_distribution(checkpoint, engine):
    """Of 3,000 first tokens at temperature 1.5, top-k 6 and top-p 0.9, each token's share is the model's own."""
    sampling = Sampling(temperature=1.5, top_k=6, top_p=0.9, max_tokens=1)
    requests = [make_request("the sum", sampling, index=i, seed=i) for i in range(3000)]
    texts = [item.text for item in collect(engine, requests).values()]
    renderer, model = HfRenderer(checkpoint), make_hf(checkpoint).load()
    ids = torch.tensor([renderer.render(requests[0])[1]])
    top = (model(ids).logits[0, -1] / 1.5).topk(6)
    shares = top.values.softmax(dim=-1)
    kept = shares.cumsum(dim=-1) - shares < 0.9
    assert 1 < int(kept.sum()) <= 6
    expected = (shares * kept / shares[kept].sum()).tolist()
    names = [renderer.tokenizer.decode([token], skip_special_tokens=True) for token in top.indices.tolist()]
    assert set(texts) <= {name for name, share in zip(names, expected, strict=True) if share}
    for name in set(names):
        share = sum(s for n, s in zip(names, expected, strict=True) if n == name)
        assert texts.count(name) / 3000 == pytest.approx(share, abs=4 * (share * (1 - share) / 3000) ** 0.5)


def test_requests_are_read_as_they_are_needed(engine):
    """A lazy source of requests is read a window at a time, and only so far as the model's queue has room."""
    num_read = 0

    def source() -> Iterator[Request]:
        nonlocal num_read
        for i in range(3 * WINDOW):
            num_read += 1
            yield make_request("the sum", Sampling(max_tokens=2), str(i))

    generations = engine.generate(source())
    next(generations)
    assert num_read == WINDOW
    assert 1 + sum(1 for _ in generations) == 3 * WINDOW


def test_repeated_prompts_are_read_once(engine):
    """Completions of one prompt use what is cached of it, a block of tokens at a time."""
    before = engine.describe()["num_prompt_tokens_cached"]
    sampling = Sampling(temperature=1.0, max_tokens=2)
    collect(engine, [make_request("sum " * 300, sampling, index=i, seed=i) for i in range(8)])
    assert engine.describe()["num_prompt_tokens_cached"] - before >= 7 * 128


def test_description(engine):
    """What is recorded says with what, how much at a time, and the first prompt with its token ids."""
    collect(engine, [make_request("the sum", Sampling(max_tokens=2))])
    described = engine.describe()
    assert described["context_length"] == CONTEXT_LENGTH
    assert described["max_batch_size"] == 16
    assert described["attention"]
    assert described["first_prompt_token_ids"][0] == 1
    json.dumps(described)


def test_two_copies_give_what_one_gives(checkpoint, engine):
    """With two copies of the model each request ends once, greedy texts are the same, and both have worked."""
    requests = mixed_requests()
    pair = make_vllm(checkpoint, msgspec.structs.replace(SMALL, data_parallel=2))
    try:
        assert collect(pair, requests) == collect(engine, requests)
        assert len(pair._replicas) == 2
    finally:
        pair.close()


def test_a_killed_process_is_an_engine_error(checkpoint):
    """If the model's process is killed, what it had done is out and the rest ends in one line; nothing is left over."""
    dying = make_vllm(checkpoint)
    generations = dying.generate(make_request("the sum", Sampling(max_tokens=200), str(i)) for i in range(500))
    next(generations)
    (replica,) = dying._replicas
    os.killpg(replica.pid, signal.SIGKILL)
    with pytest.raises(EngineError, match=r"while generating .*signal SIGKILL.*memory ran out") as raised:
        list(generations)
    take_log(raised.value)
    dying.close()


def test_closing_ends_the_process(checkpoint):
    """After close there is no process, and no log."""
    closing = make_vllm(checkpoint)
    collect(closing, [make_request("the sum", Sampling(max_tokens=2))])
    (replica,) = closing._replicas
    assert replica.log.exists()
    closing.close()
    assert not replica.log.exists()
    with pytest.raises(ProcessLookupError):
        os.killpg(replica.pid, 0)


def test_damaged_weights_are_an_error(tmp_path):
    """Weights that hold NaN are one line, never tokens."""
    build_tiny_checkpoint(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights["model.norm.weight"][3] = float("nan")
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    broken = make_vllm(tmp_path)
    with pytest.raises(EngineError, match=r"while loading .* not finite") as raised:
        collect(broken, [make_request("the sum", Sampling(max_tokens=2))])
    broken.close()
    assert "vllm" in take_log(raised.value), "closing the engine keeps the log that the error names"


def test_the_command_line_gives_the_generations_of_engine_hf(tmp_path, run_harness):
    """`harness eval --engine vllm` stores what `--engine hf` stores, greedy in float32."""
    if not HAS_VLLM:
        pytest.skip("vLLM is not installed; `make test-vllm` installs its CPU build and runs this")
    stored = []
    for name in ("hf", "vllm"):
        command = ["eval", "--ckpt", "lab/base", "--task", "lab_math", "--limit", "24", "--set", f"engine.name={name}"]
        code, _, stderr = run_harness(*command, "--set", "engine.dtype=float32", "--out", str(tmp_path / name))
        assert code == 0, stderr
        (path,) = (tmp_path / name).glob("*/*/generations.jsonl")
        lines = [json.loads(line) | {"seconds": 0} for line in path.read_text().splitlines()]
        stored.append(sorted(lines, key=lambda line: line["key"]["example_id"]))
    assert stored[0] == stored[1]
