"""Turn a GGUF file of a Qwen2 model into the bf16 folder that vLLM reads; run as a script by vLLM's own Python.

It needs NumPy and the `gguf` package and nothing of ours, and writes what Hugging Face's own folder has: weights as
safetensors, `config.json`, tokenizer and chat template. Usage: ``python gguf_folder.py MODEL.gguf FOLDER``.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ARCHITECTURE = "qwen2"
CONTROL, USER_DEFINED, UNUSED = 3, 4, 5
"""Types of tokens in a GGUF file (gguf-py, `TokenType`)."""
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen2's tokenizer cuts text before it merges (its published `tokenizer.json`)."""
TOP = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
LAYER = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
DOUBLED = r"{{\"name\": <function-name>, \"arguments\": <args-json-object>}}"
"""A template that shows calls in doubled braces teaches them: a slip of some published files."""


def convert(source: Path, folder: Path) -> None:
    """Write the folder.

    Args:
        source: A GGUF file.
        folder: Made where it is not there; the weights are written last, so that a folder with weights is whole.

    Raises:
        ValueError: It is no Qwen2 model.
    """
    from gguf import GGUFReader

    reader = GGUFReader(source)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    if fields.get("general.architecture") != ARCHITECTURE:
        raise ValueError(f"{source} holds a {fields.get('general.architecture')} model, not {ARCHITECTURE}")
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "config.json": build_config(fields),
        "generation_config.json": build_generation(fields),
        "tokenizer.json": build_tokenizer(fields),
        "tokenizer_config.json": build_tokenizer_config(fields),
    }
    for name, document in texts.items():
        (folder / name).write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    tensors = {name: tensor for tensor in reader.tensors if (name := rename(tensor.name))}
    embedding = "model.embed_tokens.weight"
    # Embedding and output are one matrix in these models; where the file has both, the finer of the two is kept.
    tensors[embedding] = next((one for one in reader.tensors if one.name == "output.weight"), tensors[embedding])
    write_weights(tensors, folder / "model.safetensors")


def build_config(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The shape of the model."""
    own = {name.removeprefix(f"{ARCHITECTURE}."): value for name, value in fields.items()}
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": ARCHITECTURE,
        "hidden_act": "silu",
        "hidden_size": own["embedding_length"],
        "intermediate_size": own["feed_forward_length"],
        "num_hidden_layers": own["block_count"],
        "num_attention_heads": own["attention.head_count"],
        "num_key_value_heads": own["attention.head_count_kv"],
        "max_position_embeddings": own["context_length"],
        "rms_norm_eps": round(own["attention.layer_norm_rms_epsilon"], 12),
        "rope_theta": own["rope.freq_base"],
        "rope_parameters": {"rope_type": "default", "rope_theta": own["rope.freq_base"]},
        "vocab_size": len(fields["tokenizer.ggml.tokens"]),
        "tie_word_embeddings": True,
        "use_sliding_window": False,
        "torch_dtype": "bfloat16",
        "transformers_version": "5.0.0",
        "bos_token_id": fields["tokenizer.ggml.bos_token_id"],
        "eos_token_id": fields["tokenizer.ggml.eos_token_id"],
    }


def build_generation(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Where an answer ends: at the end of the message, or of the text."""
    ends = [fields["tokenizer.ggml.eos_token_id"], fields["tokenizer.ggml.padding_token_id"]]
    return {"eos_token_id": ends, "pad_token_id": ends[1], "bos_token_id": fields["tokenizer.ggml.bos_token_id"]}


def build_tokenizer(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The tokenizer in the form of the `tokenizers` library."""
    tokens, kinds = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    bytes_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added = [
        {"id": number, "content": token, **plain, "special": kind == CONTROL}
        for number, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
        if kind in (CONTROL, USER_DEFINED)
    ]
    split = {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, bytes_level]},
        "post_processor": bytes_level,
        "decoder": bytes_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {
                token: number
                for number, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
                if kind not in (CONTROL, USER_DEFINED, UNUSED)
            },
            "merges": [merge.split(" ", 1) for merge in fields["tokenizer.ggml.merges"]],
        },
    }


def build_tokenizer_config(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Special tokens and the chat template."""
    tokens = fields["tokenizer.ggml.tokens"]
    end, pad = (tokens[fields[f"tokenizer.ggml.{name}_token_id"]] for name in ("eos", "padding"))
    return {
        "tokenizer_class": "Qwen2Tokenizer",
        "model_max_length": fields[f"{ARCHITECTURE}.context_length"],
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "bos_token": None,
        "eos_token": end,
        "pad_token": pad,
        "chat_template": mend_template(fields["tokenizer.chat_template"]),
    }


def mend_template(template: str) -> str:
    """Show calls in single braces, as the model is to write them."""
    return template.replace(DOUBLED, DOUBLED[1:-1])


def rename(name: str) -> str:
    """The name of a tensor in the folder; empty for what the folder does without."""
    match = re.fullmatch(r"blk\.(\d+)\.(\w+)\.(weight|bias)", name)
    if match is None:
        return TOP.get(name, "")
    return f"model.layers.{match[1]}.{LAYER[match[2]]}.{match[3]}"


def write_weights(tensors: Mapping[str, Any], path: Path) -> None:
    """Write tensors as safetensors in bf16: the length of the header, the header, then the bytes of each."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    place = 0
    for name, tensor in tensors.items():
        shape = [int(size) for size in reversed(tensor.shape)]
        size = 2 * int(tensor.n_elements)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [place, place + size]}
        place += size
    spelled = json.dumps(header, separators=(",", ":")).encode()
    spelled += b" " * (-len(spelled) % 8)
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as out:
        out.write(len(spelled).to_bytes(8, "little") + spelled)
        for number, piece in enumerate(read_pieces(tensors), 1):
            out.write(piece)
            _tell(sys.stdout.buffer, f"{number} of {len(tensors)} tensors")
    fresh.replace(path)


def read_pieces(tensors: Mapping[str, Any]) -> Iterator[bytes]:
    """The bytes of each tensor in bf16."""
    from gguf.quants import dequantize

    for tensor in tensors.values():
        yield round_to_bf16(dequantize(tensor.data, tensor.tensor_type)).tobytes()


def round_to_bf16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Round 32-bit floats to the upper 16 bits, to the nearest even; values are finite."""
    import numpy as np

    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def _tell(out: BinaryIO, words: str) -> None:
    out.write(words.encode() + b"\n")
    out.flush()


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
