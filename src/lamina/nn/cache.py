"""What decoding remembers: keys and values of every layer in buffers that grow by buckets."""

from __future__ import annotations

from torch import Tensor

BUCKET = 64  # tokens; a buffer grows by this much, then by half its size


class KeyValueCache:
    """Keys and values of each layer, [rows, heads, capacity, head_dim], filled up to `length`.

    Owned by the caller and handed to the model as `past_key_values`. `cross` holds the keys and values of the source,
    computed once.
    """

    def __init__(self, num_layers: int, capacity: int = 0):
        self.keys: list[Tensor | None] = [None] * num_layers
        self.values: list[Tensor | None] = [None] * num_layers
        self.capacity = capacity
        self.length = 0
        self.cross: list[tuple[Tensor, Tensor]] | None = None

    def get_seq_length(self, layer: int = 0) -> int:
        """Tokens held, under the name callers of the reference know."""
        return self.length

    def write(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Append [rows, heads, tokens, head_dim] and return everything held; `advance` closes the step."""
        end = self.length + k.shape[2]
        keys, values = self.keys[layer], self.values[layer]
        if keys is None or values is None or keys.shape[2] < end:
            keys, values = self._grown(keys, k, end), self._grown(values, v, end)
            self.keys[layer], self.values[layer] = keys, values
        keys[:, :, self.length : end] = k
        values[:, :, self.length : end] = v
        return keys[:, :, :end], values[:, :, :end]

    def _grown(self, old: Tensor | None, new: Tensor, needed: int) -> Tensor:
        held = 0 if old is None else old.shape[2]
        capacity = max(needed, self.capacity, held + held // 2)
        capacity = -(-capacity // BUCKET) * BUCKET
        rows, heads, _, head_dim = new.shape
        buffer = new.new_empty(rows, heads, capacity, head_dim)
        if old is not None:
            buffer[:, :, : self.length] = old[:, :, : self.length]
        return buffer

    def advance(self, tokens: int) -> None:
        """Count the tokens that every layer has now written."""
        self.length += tokens

    def crop(self, length: int) -> None:
        """Forget everything after `length` tokens."""
        self.length = min(self.length, length)

    def reorder(self, rows: Tensor) -> None:
        """Row i goes on as what row `rows[i]` was; `rows` may repeat, drop or permute."""
        self.keys = [None if t is None else t.index_select(0, rows) for t in self.keys]
        self.values = [None if t is None else t.index_select(0, rows) for t in self.values]
        if self.cross is not None:
            self.cross = [(k.index_select(0, rows), v.index_select(0, rows)) for k, v in self.cross]
