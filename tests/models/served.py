"""A server with the API of OpenAI's chat completions, which runs a model by transformers' own `generate`.

As vLLM's server, it knows of a model only what the model's folder says: the template, the end tokens, the positions.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a server of the model in a folder, which ends with the block."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer, turns = AutoTokenizer.from_pretrained(folder), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with turns:
                status, reply = completion(model, tokenizer, asked)
            body = json.dumps({"model": asked["model"], **reply}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@torch.inference_mode()
def completion(model: Any, tokenizer: Any, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """The status and the reply to a request for a greedy completion. A long prompt is refused in the words of vLLM 0.32."""
    text = tokenizer.apply_chat_template(asked["messages"], tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
    most, length = model.config.max_position_embeddings, ids.shape[1]
    if length >= most:
        said = (
            f"This model's maximum context length is {most} tokens. However, your prompt contains {length} input tokens, which "
            "exceeds this limit even without any output tokens. Please reduce the length of the input prompt."
        )
        return 400, {"error": {"message": said, "type": "BadRequestError", "param": "input_tokens", "code": 400}}
    written = model.generate(ids, max_new_tokens=min(asked["max_tokens"], most - length), do_sample=False)[0, length:].tolist()
    ends = model.generation_config.eos_token_id
    stopped = written[-1] in (ends if isinstance(ends, list) else [ends])
    message = {"role": "assistant", "content": tokenizer.decode(written, skip_special_tokens=True)}
    usage = {"prompt_tokens": length, "completion_tokens": len(written)}
    return 200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop" if stopped else "length"}], "usage": usage}
