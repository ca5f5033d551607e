"""What does a harness cost around its engine? `harness eval`, lm-eval and the engine's bare call on the same prompts.

    OMP_NUM_THREADS=1 python benchmarks/beside_peers.py --data-dir DIR [--engine vllm] [--rounds 3] [--tokens 32]

GSM8K's 1,319 in the chat template, greedy; everyone has the same batch size (hf) or the same arguments of vllm.LLM, and
judges with our scorer (lm-eval through tasks/lm_eval). Each turn is a process of its own; turns go round. Start-up is
Python, imports, tokenizer and weights; leaving is the shutdown of engine and Python; work is all else: rows, prompts,
generation, scoring, files. The bare call's work is generation alone, from token ids to texts (transformers: in batches
sorted by length). Overhead is our work over that of the bare call, minus one. "Engine alone" is ours without scores and
files, which tells what is the harness's and what the decoder's.

Engine vllm needs the Python of an environment with vLLM. Not covered: long completions, which hide all else; GPUs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from clock import Clock
from figures import Figure, Results, add_json, save

Texts = Callable[[], list[str]]
"""Gives the completions in the order of the prompts."""


def run_harness(job: dict[str, Any], clock: Clock) -> Texts:
    """Run `harness eval`."""
    with clock.measure("startup"):
        import torch
        import transformers

        from harness.cli import eval as _command
        from harness.cli.main import main
        from harness.engines.hf import HfEngine, HfRenderer
        from harness.engines.vllm import VllmEngine

        del torch, transformers, _command  # the command imports them later, in pieces
    clock.follow(HfRenderer, "__init__", "startup")
    for engine in (HfEngine, VllmEngine):
        clock.follow(engine, "load", "startup")
        clock.follow(engine, "close", "closing")
        clock.follow_iterator(engine, "generate", "generating")
    config = job["config"]
    arguments = ["--ckpt", config["ckpt"], "--task", "gsm8k", "--prompting", "chat", "--data-dir", config["data_dir"]]
    arguments += ["--out", job["out"], "--set", f"sampling.max_tokens={config['sampling']['max_tokens']}"]
    arguments += ["--limit", str(config["limit"])] if "limit" in config else []
    for name, value in config["engine"].items():
        arguments += ["--set", f"engine.{name}={json.dumps(value)}"]
    assert main(["eval", *arguments]) == 0

    def read() -> list[str]:
        (path,) = Path(job["out"]).glob("*/*/generations.jsonl")
        found = {row["key"]["example_id"]: row["text"] for row in map(json.loads, path.open())}
        return [found[prompt["example_id"]] for prompt in job["prompts"]]

    return read


def run_engine(job: dict[str, Any], clock: Clock) -> Texts:
    """Run our engine on our requests, and keep the texts in memory."""
    with clock.measure("startup"):
        from harness.api.evaluation import open_run
        from harness.plan import plan_requests
        from harness.reading import parse_record
        from harness.spec import EvalConfig

        with open_run(parse_record(job["config"], EvalConfig, "job")) as prepared:
            requests = list(plan_requests(prepared.planned, prepared.spec.prompting))
            engine: Any = prepared.make_engine()
            engine.load()
    with clock.measure("generating"):
        found = {generation.key.example_id: generation.text for generation in engine.generate(requests)}
    with clock.measure("closing"):
        engine.close()
    return lambda: [found[prompt["example_id"]] for prompt in job["prompts"]]


def run_lm_eval(job: dict[str, Any], clock: Clock, make_model: Callable[[dict[str, Any]], Any]) -> Texts:
    """Run lm-eval's simple_evaluate on our task."""
    with clock.measure("startup"):
        import lm_eval
        from lm_eval.tasks import TaskManager

        model = make_model(job)
    clock.follow(type(model), "generate_until", "generating")
    own = str(Path(__file__).parent.parent / "tasks/lm_eval")
    found = lm_eval.simple_evaluate(
        model=model,
        tasks=["grlo_gsm8k"],
        task_manager=TaskManager(include_path=own, include_defaults=False),
        gen_kwargs={"max_gen_toks": job["config"]["sampling"]["max_tokens"]},
        apply_chat_template=True,
        limit=job["config"].get("limit"),
    )

    def read() -> list[str]:
        texts = {sample["doc"]["example_id"]: sample["resps"][0][0] for sample in found["samples"]["grlo_gsm8k"]}
        return [texts[prompt["example_id"]] for prompt in job["prompts"]]

    return read


def make_hflm(job: dict[str, Any]) -> Any:
    """Return lm-eval's model of transformers."""
    from lm_eval.models.huggingface import HFLM

    size = job["config"]["engine"]["max_batch_size"]
    return HFLM(pretrained=job["folder"], dtype=job["dtype"], device=job["device"], batch_size=size)


def make_vllm(job: dict[str, Any]) -> Any:
    """Return lm-eval's model of vLLM; batch size auto hands it all prompts at once."""
    from lm_eval.models.vllm_causallms import VLLM

    arguments = {name: value for name, value in job["llm_arguments"].items() if name != "model"}
    return VLLM(pretrained=job["folder"], batch_size="auto", **arguments)


def run_transformers(job: dict[str, Any], clock: Clock) -> Texts:
    """Run transformers' generate on batches of prompts sorted by length."""
    with clock.measure("startup"):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer: Any = AutoTokenizer.from_pretrained(job["folder"])
        dtype = getattr(torch, job["dtype"])
        model: Any = AutoModelForCausalLM.from_pretrained(job["folder"], dtype=dtype).to(job["device"]).eval()
    limit, size = job["config"]["sampling"]["max_tokens"], job["config"]["engine"]["max_batch_size"]
    prompts = [prompt["input_ids"] for prompt in job["prompts"]]
    texts = [""] * len(prompts)
    with clock.measure("generating"):
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]), reverse=True)
        for first in range(0, len(order), size):
            chosen = order[first : first + size]
            width = len(prompts[chosen[0]])
            gaps = [width - len(prompts[i]) for i in chosen]
            ids = torch.tensor([[0] * gap + prompts[i] for gap, i in zip(gaps, chosen, strict=True)])
            mask = torch.tensor([[0] * gap + [1] * (width - gap) for gap in gaps])
            output = model.generate(
                ids.to(job["device"]),
                attention_mask=mask.to(job["device"]),
                max_new_tokens=limit,
                do_sample=False,
                eos_token_id=job["ends"],
                pad_token_id=job["ends"][0],
            )
            found = tokenizer.batch_decode(output[:, width:].tolist(), skip_special_tokens=True)
            for i, text in zip(chosen, found, strict=True):
                texts[i] = text
    return lambda: texts


def run_vllm(job: dict[str, Any], clock: Clock) -> Texts:
    """Run vLLM's LLM.generate on all prompts."""
    with clock.measure("startup"):
        from vllm import LLM, SamplingParams

        model = LLM(**job["llm_arguments"])
    with clock.measure("generating"):
        limit = job["config"]["sampling"]["max_tokens"]
        sampling = SamplingParams(temperature=0.0, max_tokens=limit, stop_token_ids=job["ends"])
        found = model.generate([{"prompt_token_ids": prompt["input_ids"]} for prompt in job["prompts"]], sampling)
    return lambda: [output.outputs[0].text for output in found]


Run = Callable[[dict[str, Any], Clock], Texts]
CONTESTANTS: dict[str, dict[str, Run]] = {
    "hf": {
        "harness eval, hf": run_harness,
        "engine hf alone": run_engine,
        "lm-eval, HFLM": partial(run_lm_eval, make_model=make_hflm),
        "transformers' generate": run_transformers,
    },
    "vllm": {
        "harness eval, vllm": run_harness,
        "engine vllm alone": run_engine,
        "lm-eval, VLLM": partial(run_lm_eval, make_model=make_vllm),
        "LLM.generate": run_vllm,
    },
}
"""By engine; ours comes first, lm-eval third, the bare call last."""


@dataclass
class Measured:
    """Seconds of one contestant, a number a round, and what it said."""

    numbers: dict[str, list[float]] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)

    def median(self, name: str) -> float:
        """Return the median over the rounds."""
        return statistics.median(self.numbers[name])


def take_turn(engine: str, name: str, job: dict[str, Any], folder: Path, measured: Measured) -> None:
    """Let a contestant do everything once, in a process of its own."""
    folder.mkdir()
    (folder / "job.json").write_text(json.dumps(job | {"out": str(folder / "runs")}))
    with (folder / "log.txt").open("w") as sink:
        started = time.monotonic()
        command = [sys.executable, __file__, "--engine", engine, "--worker", name, "--job", str(folder / "job.json")]
        process = subprocess.Popen(
            [*command, "--started", str(started)],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env=os.environ | job["variables"],
        )
        code, ended = process.wait(), time.monotonic()
    if code:
        sys.exit(f"{name} failed:\n" + "\n".join((folder / "log.txt").read_text().splitlines()[-20:]))
    answer = json.loads((folder / "answer.json").read_text())
    measured.texts = answer["texts"]
    phases, total = answer["phases"], answer["total"]
    closing = phases.get("closing", [0.0, 0.0])
    numbers = {
        "startup": phases["startup"][0],
        "work": total[0] - phases["startup"][0] - closing[0],
        "generating": phases["generating"][0],
        "work_cpu": total[1] - phases["startup"][1] - closing[1],
        "generating_cpu": phases["generating"][1],
        "leaving": ended - started - answer["ended"] + closing[0],
    }
    for key, number in numbers.items():
        measured.numbers.setdefault(key, []).append(number)


def work(options: argparse.Namespace) -> None:
    """Be a contestant: do the job and write down how long it took."""
    clock = Clock(options.started)
    job = json.loads(options.job.read_text())
    read = CONTESTANTS[options.engine][options.worker](job, clock)
    answer: dict[str, Any] = {"total": clock.total(), "phases": clock.phases, "texts": read()}
    answer["ended"] = clock.total()[0]
    (options.job.parent / "answer.json").write_text(json.dumps(answer))


def make_job(options: argparse.Namespace) -> dict[str, Any]:
    """Return what every contestant is given: the harness's settings, and the same in the words of the others."""
    from harness.api.evaluation import open_run
    from harness.engines.hf import HfRenderer
    from harness.engines.recipe import EngineRecipe
    from harness.engines.vllm_settings import llm_arguments, process_variables, read_checkpoint
    from harness.plan import plan_requests
    from harness.reading import parse_record
    from harness.spec import EvalConfig
    from trainers.lab import SHIPPED

    data_dir = str(options.data_dir.resolve())
    config: dict[str, Any] = {"ckpt": options.base, "tasks": ["gsm8k"], "prompting": "chat", "data_dir": data_dir}
    config |= {"sampling": {"max_tokens": options.tokens}, "engine": {"name": options.engine}}
    if options.engine == "hf":
        config["engine"]["max_batch_size"] = options.batch
    if options.limit is not None:
        config["limit"] = options.limit
    folder = SHIPPED.get(options.base, Path(options.base).resolve())
    parsed = parse_record(config, EvalConfig, "benchmark")
    with open_run(parsed) as prepared:
        spec = prepared.spec.engine
        prompts = [
            {"example_id": request.key.example_id, "input_ids": prepared.render(request)[1]}
            for request in plan_requests(prepared.planned, "chat")
        ]
    recipe = EngineRecipe(parsed.engine, str(folder))
    arguments, variables = {}, {"HARNESS_DATA": data_dir, "HF_HUB_OFFLINE": "1"}
    if options.engine == "vllm":
        arguments, variables = llm_arguments(recipe, spec), variables | process_variables(recipe, spec)[0]
    return {
        "config": config,
        "folder": str(folder),
        "prompts": prompts,
        "dtype": spec.dtype,
        "device": spec.device,
        "ends": sorted(read_checkpoint(HfRenderer(folder), spec.dtype)),
        "llm_arguments": arguments,
        "variables": variables,
    }


def show(measured: dict[str, Measured]) -> None:
    """Print medians, each contestant's work as a multiple of the bare call's, and what that comes to for ours."""
    *_, bare = measured.values()
    print(
        f"{'medians':24} {'start-up':>8} {'work':>7} {'range':>14} {'of CPU':>7} {'generating':>10} {'of CPU':>7} "
        f"{'leaving':>7} {'ratio':>6} {'of CPU':>7} {'same texts':>10}"
    )
    for name, one in measured.items():
        seconds, cpu = one.median("work"), one.median("work_cpu")
        spread = f"{min(one.numbers['work']):.2f} to {max(one.numbers['work']):.2f}"
        same = sum(text == other for text, other in zip(one.texts, bare.texts, strict=True))
        print(
            f"{name:24} {one.median('startup'):8.2f} {seconds:7.2f} {spread:>14} {cpu:7.2f} "
            f"{one.median('generating'):10.2f} {one.median('generating_cpu'):7.2f} {one.median('leaving'):7.2f} "
            f"{seconds / bare.median('work'):6.2f} {cpu / bare.median('work_cpu'):7.2f} {same:10}"
        )
    ours, engine, peer, _ = measured.values()
    for name, other in (("the bare call", bare), ("engine alone", engine), ("lm-eval", peer)):
        shown = []
        for part in ("work", "work_cpu"):
            rounds = [a / b - 1 for a, b in zip(ours.numbers[part], other.numbers[part], strict=True)]
            overall = ours.median(part) / other.median(part) - 1
            shown.append(f"{overall:+.1%} ({min(rounds):+.1%} to {max(rounds):+.1%})")
        print(f"harness eval over {name}: {shown[0]} on the clock, {shown[1]} of CPU; in brackets, by round")
    whole = [one.median("startup") + one.median("work") + one.median("leaving") for one in (ours, peer)]
    print(f"whole processes: {whole[0]:.1f} s, lm-eval {whole[1]:.1f} s, ratio {whole[0] / whole[1]:.2f}")


def describe(engine: str, num_prompts: int, measured: dict[str, Measured]) -> tuple[Figure, ...]:
    """Return our work beside the bare call's and lm-eval's."""
    ours, _, peer, bare = measured.values()
    *_, peer_name, bare_name = measured
    label = f"harness eval, {engine}"
    return tuple(
        Figure(
            f"harness eval, {engine}, {num_prompts:,} prompts",
            ours.median("work"),
            "s",
            other.median("work"),
            name,
            label,
        )
        for other, name in ((bare, f"{bare_name}, bare"), (peer, peer_name))
    )


def main() -> None:
    """Parse arguments, let the contestants take turns, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--engine", choices=list(CONTESTANTS), default="hf")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=int, help="prompts; all if left out")
    parser.add_argument("--tokens", type=int, default=32, help="most new tokens of a completion")
    parser.add_argument("--batch", type=int, default=64, help="of hf, for everyone")
    parser.add_argument("--base", default="lab/base")
    add_json(parser)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--job", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--started", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options)
        return
    if options.data_dir is None:
        parser.error("--data-dir is needed: the folder that holds gsm8k/test.jsonl")
    job = make_job(options)
    print(f"{len(job['prompts'])} prompts, at most {options.tokens} tokens, load {os.getloadavg()[0]:.1f} at the start")
    measured = {name: Measured() for name in CONTESTANTS[options.engine]}
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(options.rounds):
            for place, (name, one) in enumerate(measured.items()):
                take_turn(options.engine, name, job, Path(scratch) / f"{number}-{place}", one)
                print(f"round {number + 1}: {name}: {one.numbers['work'][-1]:.2f} s of work", flush=True)
    show(measured)
    save(options.json, Results(describe(options.engine, len(job["prompts"]), measured)))


if __name__ == "__main__":
    main()
