"""Write a tiny Qwen3 mixture of experts with random weights and a tokenizer of its own; run by vLLM's own Python.

Its words are noise. One direction of its hidden state is a constant, on which the output leans: quotation marks, braces
and the end of a message are likely, so that strings end, lists end and answers end. Usage:
``python tiny_moe.py FOLDER TEXT…``, the texts being what the tokenizer is trained on.
"""

from __future__ import annotations

import sys
from pathlib import Path

VOCABULARY = 4096
HIDDEN, LAYERS, EXPERTS = 64, 2, 8
CONTEXT = 8192
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MARKUP = ["<tool_call>", "</tool_call>", "<parameter=", "\n</parameter>", "</function>"]
"""The last three are none of Qwen's: single tokens that begin and end an argument, so that they can be likely."""
SPREAD, CONSTANT = 0.15, 3.0
ENDS = {
    "<|im_end|>": 5.0,
    "\n</parameter>": 4.6,
    '"': 4.5,
    '",': 4.4,
    "}": 4.3,
    "]": 4.2,
    "<parameter=": 4.1,
    "</function>": 4.0,
    "</tool_call>": 3.9,
    "\u010a": 0.0,
}
"""What is likeliest wherever a grammar allows it, the likeliest first: an answer ends, then an argument, then a string."""
BLANK = -2.0
"""Tokens of nothing but blanks, as a byte-level tokenizer spells them: a grammar may allow them without end, and wants
a single line feed at times."""
TEMPLATE = """\
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if loop.first and tools %}
{{- '# Tools\\n' }}
{%- for tool in tools %}{{- tool | tojson + '\\n' }}{%- endfor %}
{%- endif %}
{{- message.content or '' }}
{%- for call in message.tool_calls or [] %}
{{- '<tool_call>\\n<function=' + call.function.name + '>\\n' }}
{%- for name, value in call.function.arguments | items %}
{{- '<parameter=' + name + '>\\n' + (value if value is string else value | tojson) + '\\n</parameter>\\n' }}
{%- endfor %}
{{- '</function>\\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""


def train_tokenizer(texts: list[str], folder: Path) -> dict[str, int]:
    """Train a byte-level BPE and write it as Qwen's are written; returns its vocabulary."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in MARKUP])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", model_max_length=CONTEXT
    )
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    return tokenizer.get_vocab()


def build_model(vocabulary: dict[str, int], folder: Path) -> None:
    """Write the weights."""
    import torch
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    torch.manual_seed(1)
    size = (max(vocabulary.values()) // 64 + 1) * 64
    config = Qwen3MoeConfig(
        vocab_size=size, hidden_size=HIDDEN, intermediate_size=128, moe_intermediate_size=32, num_hidden_layers=LAYERS,
        num_attention_heads=2, num_key_value_heads=1, head_dim=32, num_experts=EXPERTS, num_experts_per_tok=2,
        max_position_embeddings=CONTEXT, tie_word_embeddings=False, decoder_sparse_step=1, mlp_only_layers=[],
        bos_token_id=None, initializer_range=SPREAD, eos_token_id=vocabulary["<|im_end|>"], pad_token_id=vocabulary["<|endoftext|>"],
    )  # fmt: skip
    model = Qwen3MoeForCausalLM(config).to(torch.bfloat16)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            # Nothing that a layer adds reaches the first direction: it stays what the embedding put there.
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                weight[0, :] = 0
            elif name.endswith("experts.down_proj"):
                weight[:, 0, :] = 0
        model.model.embed_tokens.weight[:, 0] = CONSTANT
        model.lm_head.weight[:, 0] = 0
        blanks = {token: BLANK for token in vocabulary if not token.strip("\u0120\u010a\u0109\u010d")}
        for token, lean in (blanks | ENDS).items():
            if token in vocabulary:
                model.lm_head.weight[vocabulary[token], :] = 0
                model.lm_head.weight[vocabulary[token], 0] = lean
    model.save_pretrained(folder)


def main(folder: Path, texts: list[Path]) -> None:
    """Write tokenizer and weights, the weights last."""
    folder.mkdir(parents=True, exist_ok=True)
    build_model(train_tokenizer([path.read_text(encoding="utf-8") for path in texts], folder), folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(one) for one in sys.argv[2:]])
