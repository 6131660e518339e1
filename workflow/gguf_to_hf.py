"""Turn a GGUF file into a Hugging Face folder that vLLM reads: ``python workflow/gguf_to_hf.py FILE.gguf FOLDER``.

Runs in vLLM's environment (``workflow/envs/vllm/bin/python``); the weights are unpacked to bfloat16.
"""

import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig


def main(file: str, folder: str) -> None:
    """Write ``folder``; a model of 1.5 billion weights takes a minute or two and 3.6 GB."""
    source = Path(file)
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    model = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.bfloat16)
    # it is no quantized model any more
    model.hf_quantizer, model.is_quantized = None, False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    special = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    model.generation_config = GenerationConfig(**special, do_sample=False)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
