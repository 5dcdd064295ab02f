"""Of the many files of a repository, those that are fetched and looked for."""

from __future__ import annotations

from lamina.checkpoint.files import weight_patterns
from lamina.files.hubcache import choose

MODEL = ("config.json", "*.safetensors", "*.bin", "*.index.json")


def test_choosing_among_a_repository_s_files() -> None:
    listed = [
        "model.safetensors",
        "pytorch_model.bin",
        "config.json",
        "sub/model.safetensors",
        "../x.safetensors",
        "flax.msgpack",
    ]
    assert choose(listed, MODEL) == ["config.json", "model.safetensors"]
    assert choose(listed[1:3], MODEL) == ["config.json", "pytorch_model.bin"]
    more = ["model.safetensors", "model.fp16.safetensors", "adapter.safetensors", "training_args.bin", "config.json"]
    assert choose(more, MODEL) == choose(more, weight_patterns()) == ["config.json", "model.safetensors"]
    assert choose(more, weight_patterns("fp16")) == ["config.json", "model.fp16.safetensors"]
    assert choose(more[3:], weight_patterns()) == ["config.json"]
    shards = [f"model{infix}-0000{i}-of-00002.safetensors" for i in (1, 2) for infix in ("", ".fp16")]
    indexes = ["model.safetensors.index.json", "model.safetensors.index.fp16.json"]
    assert choose([*shards, *indexes], weight_patterns()) == [*shards[::2], indexes[0]]
    assert choose([*shards, *indexes], weight_patterns("fp16")) == [*shards[1::2], indexes[1]]
    assert choose(listed, MODEL, "sub") == ["sub/model.safetensors"]
