"""A tiny Qwen3 with byte-level BPE and a chat template, built into a folder; random weights, always the same.

For tests of machinery only: it knows nothing.
"""

from pathlib import Path
from typing import Any

CHATML = (
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false -%}{{ '<think>\\n\\n</think>\\n\\n' }}{%- endif -%}"
    "{%- endif -%}"
)
"""ChatML with Qwen3's switch for thinking."""

WITH_BOS = (
    "{{ bos_token }}{%- for message in messages -%}{{ '[' + message.role + '] ' + message.content + '\\n' }}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{ '[assistant] ' }}{%- endif -%}"
)
"""A template that writes the BOS token itself, as Llama's does."""

END_OF_TEXT, IM_START, IM_END, BOS = "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|bos|>"
SPECIAL_TOKENS = (END_OF_TEXT, IM_START, IM_END, BOS)

CORPUS = (
    "What is the sum of 12 and 30? The answer is 42.",
    "Question: how many apples are left? Answer: 7",
    "def add(a, b):\n    return a + b\n",
    "Write a short poem about the sea. The sea is wide and the sea is blue.",
    "Please answer in one sentence and end with the word done.",
)
"""What the tokenizer's merges are learned from."""

CONTEXT_LENGTH = 512


def build_tiny_checkpoint(
    path: Path,
    *,
    chat_template: str | None = CHATML,
    add_bos: bool = False,
    seed: int = 0,
    twins: float | None = None,
    **config: Any,
) -> Path:
    """Write config, weights, generation config and tokenizer into `path` and return it.

    Args:
        path: Folder to fill; made if it is missing.
        chat_template: Jinja text; None leaves the tokenizer without one.
        add_bos: Whether the tokenizer puts a BOS token before plain text by default.
        seed: Seed of the random weights.
        twins: If set, each odd token's embedding is the one before it plus noise of this size, so that logits tie.
        config: Fields of Qwen3Config to override.
    """
    import torch
    from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

    tokenizer = _build_tokenizer(chat_template, add_bos)
    ends = tokenizer.convert_tokens_to_ids([IM_END, END_OF_TEXT])
    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "tie_word_embeddings": True,
        "max_position_embeddings": CONTEXT_LENGTH,
        # Ten times the usual spread: logits of the usual one are all nearly equal.
        "initializer_range": 0.2,
        "bos_token_id": tokenizer.convert_tokens_to_ids(BOS),
        "eos_token_id": ends[0],
        "pad_token_id": ends[1],
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen3ForCausalLM(Qwen3Config(**(settings | config)))
        if twins is not None:
            weight = model.get_input_embeddings().weight.data
            odd = weight[1::2]
            odd.copy_(weight[0::2][: len(odd)] + twins * torch.randn(odd.shape))
    model.generation_config = GenerationConfig(eos_token_id=ends, pad_token_id=ends[1])
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def _build_tokenizer(chat_template: str | None, add_bos: bool) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=384,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    if add_bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
        )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=IM_END,
        pad_token=END_OF_TEXT,
        additional_special_tokens=[IM_START],
        clean_up_tokenization_spaces=False,
    )
    if chat_template is not None:
        fast.chat_template = chat_template
    return fast
