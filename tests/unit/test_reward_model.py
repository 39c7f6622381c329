"""A reward function that asks a model, in verl's own reward worker: what preflight lets through."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from verl.experimental.reward_loop.reward_loop import RewardLoopWorker

from tests.unit.recipes import passes, recipe, rows, write
from tests.unit.reward_rollouts import rollout

FUNCTION = '''
import aiohttp

async def compute_score(
    solution_str, ground_truth, reward_router_address, reward_model_tokenizer, **_
):
    """Ask the model whether the response is right."""
    asked = {"prompt": f"{solution_str} for {ground_truth}?"}
    url = f"http://{reward_router_address}/v1/chat/completions"
    async with aiohttp.ClientSession() as session, session.post(url, json=asked) as reply:
        right = (await reply.json())["right"]
    return {"score": right, "acc": right, "judged_by": len(reward_model_tokenizer)}
'''


class Judge(BaseHTTPRequestHandler):
    """Finds right what ends in the truth."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["prompt"]
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps({"right": float(asked == "cx for x?")}).encode())

    def log_message(self, *_):
        """Keep the test's output clean."""


@pytest.fixture
def router():
    with HTTPServer(("127.0.0.1", 0), Judge) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def tokenizer(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path("recipes/quickstart").resolve())])
    from model import build_tokenizer

    build_tokenizer().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_judge_behind_a_function_gives_the_reward_and_the_accuracy(tmp_path, router, tokenizer):
    (tmp_path / "judge.py").write_text(FUNCTION)
    settings = {
        "data.train_files": write(tmp_path / "train.parquet", rows()),
        "actor_rollout_ref.model.path": str(tokenizer),
        "reward.reward_model.enable": True,
        "reward.reward_model.enable_resource_pool": True,
        "reward.reward_model.model_path": str(tokenizer),
        "reward.custom_reward_function.path": str(tmp_path / "judge.py"),
    }
    config = passes(recipe("uniform", settings))

    async def scored():
        worker = RewardLoopWorker(config, reward_router_address=router)
        return [await worker.compute_score(rollout(list(text.encode()))) for text in ("cx", "cy")]

    right, wrong = asyncio.run(scored())
    assert (right["reward_score"], wrong["reward_score"]) == (1.0, 0.0)
    assert right["reward_extra_info"]["acc"] == 1.0
    assert wrong["reward_extra_info"]["acc"] == 0.0
    assert right["reward_extra_info"]["sparft_tokens"] == 2
    assert right["reward_extra_info"]["judged_by"] > 256
