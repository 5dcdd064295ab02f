"""The modules that a sentence model is a chain of: from texts to token states, and from these to a vector of each text.

Formats of their folders and arguments: sentence-transformers 5.7.0 and older. Whatever could change a number and is not
known here is refused by name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from tokenizers.normalizers import Lowercase
from torch import Tensor, nn

from ..auto import find
from ..checkpoint.files import open_weights, save_weights
from ..errors import PipelineError
from ..files.atomic import staged
from ..files.jsonfile import read_json_object
from ..files.paths import inside
from ..files.shown import shown
from ..inference.rows import UNLIMITED, Batch, Row, encode_texts, longest_row

CONFIG = "config.json"
VECTOR, STATES = "sentence_embedding", "token_embeddings"  # what modules call a text's vector and its tokens' states
ACTIVATIONS = frozenset(
    {"ELU", "GELU", "Hardswish", "Hardtanh", "Identity", "LeakyReLU", "LogSigmoid", "Mish", "ReLU", "ReLU6", "SELU"}
    | {"SiLU", "Sigmoid", "Softplus", "Softsign", "Tanh"}
)
TANH = nn.Tanh()
Pool = Callable[[Tensor, int], Tensor]  # states [tokens, hidden] and how many come before them, to [hidden]
MODES: Mapping[str, Pool] = {  # in the order in which older folders that switch several on join them
    "cls": lambda states, before: states[0],
    "max": lambda states, before: states.max(0).values,
    "mean": lambda states, before: states.mean(0),
    "mean_sqrt_len_tokens": lambda states, before: states.sum(0) / math.sqrt(len(states)),
    "weightedmean": lambda states, before: _weights(states, before) @ states,
    "lasttoken": lambda states, before: states[-1],
}
SWITCHES = {  # of older folders, in the order of MODES
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


def _weights(states: Tensor, before: int) -> Tensor:
    """Shares that grow with the position, [tokens]."""
    positions = torch.arange(before + 1, before + len(states) + 1, device=states.device, dtype=states.dtype)
    return positions / positions.sum()


@dataclass
class Features:
    """What one module hands to the next, for all rows of a batch."""

    batch: Batch
    states: list[Tensor]  # of each row, [tokens, hidden]
    layers: Sequence[Tensor] | None = None  # states of all layers, where the model gives them
    vectors: Tensor | None = field(default=None)  # [rows, width]

    @property
    def pooled(self) -> Tensor:
        assert self.vectors is not None  # the order of modules was checked
        return self.vectors


class Module(nn.Module):
    """What modules after the Transformer have in common: a folder, which may hold weights, and a config there."""

    known: ClassVar[tuple[str, ...]] = ()  # keys of its config
    reads_tokens = False  # whether it reads token states, and so stands before the end of the pooling
    pools = False  # whether it makes a vector of token states

    @classmethod
    def load(cls, folder: Path) -> Any:
        """What a folder describes; PipelineError, naming the file, for what is not known."""
        path = inside(folder, CONFIG, PipelineError)
        found = read_json_object(path, error=PipelineError)
        for key, value in found.items():
            if key not in cls.known and value not in (None, False, {}, []):
                raise PipelineError(f"{path}: {shown(key)} is {shown(value)}, and it is not known here what that means")
        made = cls.described(found, path)
        shapes = {name: tuple(tensor.shape) for name, tensor in made.state_dict().items()}
        if shapes:
            with open_weights(folder) as weights:
                for name, shape in shapes.items():
                    if name not in weights or tuple(weights.shape(name)) != shape:
                        raise PipelineError(
                            f"{folder} holds no {name} of the shape {shown(shape)} that its config.json says"
                        )
                made.load_state_dict({name: weights[name].float() for name in shapes})
        return made.requires_grad_(True)

    @classmethod
    def described(cls, config: Mapping[str, Any], path: Path) -> Any:
        raise NotImplementedError

    def config(self) -> dict[str, Any] | None:
        """What its config.json says; None where it needs none."""
        return None

    def save(self, folder: Path) -> None:
        """Write its folder so that sentence-transformers reads it too."""
        config, tensors = self.config(), {name: tensor.detach().cpu() for name, tensor in self.state_dict().items()}
        if config is None:
            return
        with staged(folder, PipelineError) as new:
            new(CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
            if tensors:
                save_weights(folder, tensors)

    def width(self, before: int) -> int:
        """Numbers of a vector after this module, where it had `before`."""
        return before

    def forward(self, features: Features) -> Features:
        raise NotImplementedError


class Pooling(Module):
    """Token states [tokens, hidden] to the vector of a text, [hidden] times the number of modes.

    `pooling_mode` is one of cls, max, mean, mean_sqrt_len_tokens, weightedmean and lasttoken, or several, whose vectors
    are joined. `include_prompt=False` leaves the tokens of a prompt out. `embedding_dimension` and the older switches
    such as `pooling_mode_cls_token=True` are taken as sentence-transformers takes them.
    """

    known = ("embedding_dimension", "word_embedding_dimension", "pooling_mode", "include_prompt", *SWITCHES)
    reads_tokens = pools = True

    def __init__(
        self,
        embedding_dimension: int | None = None,
        pooling_mode: str | Sequence[str] | None = None,
        include_prompt: bool = True,
        **older: Any,
    ):
        super().__init__()
        modes = _modes({"pooling_mode": pooling_mode, **older} if older else {"pooling_mode": pooling_mode or "mean"})
        if modes is None:
            raise PipelineError(f"pooling_mode={shown(pooling_mode or older)} is not one of {', '.join(MODES)}")
        self.modes, self.include_prompt = modes, include_prompt
        self.embedding_dimension = embedding_dimension or older.get("word_embedding_dimension")

    @classmethod
    def described(cls, config: Mapping[str, Any], path: Path) -> Any:
        modes = _modes(config)
        if modes is None:
            raise PipelineError(f"{path} names no pooling that is known here: {', '.join(MODES)}")
        width = config.get("embedding_dimension") or config.get("word_embedding_dimension")
        return cls(width, modes, config.get("include_prompt", True) is not False)

    def get_embedding_dimension(self) -> int | None:
        """Numbers of a text's vector, where the model has said how many a token's state has."""
        return None if self.embedding_dimension is None else self.embedding_dimension * len(self.modes)

    get_sentence_embedding_dimension = get_embedding_dimension

    @property
    def pooling_mode(self) -> str | tuple[str, ...]:
        return self.modes[0] if len(self.modes) == 1 else self.modes

    def config(self) -> dict[str, Any]:
        """In the words that every version reads, unless these have no word for the order of the modes."""
        order = sorted(self.modes, key=list(MODES).index)
        if list(self.modes) != order or len(set(order)) < len(order):
            how: dict[str, Any] = {"embedding_dimension": self.embedding_dimension, "pooling_mode": self.pooling_mode}
        else:
            how = {"word_embedding_dimension": self.embedding_dimension}
            how |= {switch: mode in self.modes for switch, mode in SWITCHES.items()}
        return {**how, "include_prompt": self.include_prompt}

    def width(self, before: int) -> int:
        self.embedding_dimension = before
        return before * len(self.modes)

    def forward(self, features: Features) -> Features:
        rows = zip(features.states, features.batch.rows, strict=False)  # a packed batch may end in a row of filling
        vectors = [self.pool(states, 0 if self.include_prompt else row.memory or 0) for states, row in rows]
        return replace(features, vectors=torch.stack(vectors))

    def pool(self, states: Tensor, before: int = 0) -> Tensor:
        """The vector of one text; `before` is how many of its first tokens are not to count."""
        own = states[before:] if before < len(states) else states[-1:]
        made = [MODES[mode](own, before) for mode in self.modes]
        return made[0] if len(made) == 1 else torch.cat(made)


def _modes(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The pooling that a config names, in the newer or the older way; None where it names none that is known."""
    named = config.get("pooling_mode")
    switches = [key for key in SWITCHES if key in config]
    if named is None and switches:
        named = [mode for key, mode in SWITCHES.items() if config.get(key)] or ["mean"]
    modes = [named] if isinstance(named, str) else named
    if not isinstance(modes, list | tuple) or not modes:
        return None
    return tuple(modes) if all(isinstance(one, str) and one in MODES for one in modes) else None


class WeightedLayerPooling(Module):
    """States of tokens as the weighted mean of those of the layers from `layer_start` on.

    As in sentence-transformers it does something only where the model's config says `output_hidden_states`.
    """

    known = ("embedding_dimension", "word_embedding_dimension", "layer_start", "num_hidden_layers")
    reads_tokens = True

    def __init__(
        self,
        embedding_dimension: int | None = None,
        num_hidden_layers: int = 12,
        layer_start: int = 4,
        layer_weights: Tensor | None = None,
    ):
        super().__init__()
        self.embedding_dimension, self.num_hidden_layers = embedding_dimension, num_hidden_layers
        self.layer_start = layer_start
        weights = torch.ones(num_hidden_layers + 1 - layer_start) if layer_weights is None else layer_weights
        self.layer_weights = nn.Parameter(weights)

    @classmethod
    def described(cls, config: Mapping[str, Any], path: Path) -> Any:
        first, count = config.get("layer_start", 4), config.get("num_hidden_layers", 12)
        if not all(type(one) is int and 0 <= one <= 10_000 for one in (first, count)) or first > count:
            raise PipelineError(f"{path}: layers {shown(first)} to {shown(count)} cannot be weighted")
        return cls(config.get("embedding_dimension") or config.get("word_embedding_dimension"), count, first)

    def config(self) -> dict[str, Any]:
        return {
            "word_embedding_dimension": self.embedding_dimension,
            "layer_start": self.layer_start,
            "num_hidden_layers": self.num_hidden_layers,
        }

    def width(self, before: int) -> int:
        self.embedding_dimension = before
        return before

    def forward(self, features: Features) -> Features:
        if features.layers is None:
            return features
        chosen = [layer.float() for layer in features.layers[self.layer_start :]]
        if len(chosen) != len(self.layer_weights):
            raise PipelineError(
                f"WeightedLayerPooling has weights for {len(self.layer_weights)} layers and the model gives "
                f"{len(chosen)} from layer {self.layer_start} on"
            )
        shares = self.layer_weights / self.layer_weights.sum()
        mixed = sum((share * layer for share, layer in zip(shares, chosen, strict=True)), torch.zeros(()))
        return replace(features, states=features.batch.own(mixed))


class Dense(Module):
    """A linear layer and a function, of token states or of a vector, whichever `module_input_name` says."""

    known = ("in_features", "out_features", "bias", "activation_function", "module_input_name", "module_output_name")

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        activation_function: Callable[[Tensor], Tensor] | None = TANH,
        init_weight: Tensor | None = None,
        init_bias: Tensor | None = None,
        module_input_name: str = VECTOR,
        module_output_name: str | None = None,
    ):
        super().__init__()
        if module_input_name not in (VECTOR, STATES) or module_output_name not in (None, module_input_name):
            raise PipelineError(
                f"a Dense from {shown(module_input_name)} to {shown(module_output_name)} is not known here"
            )
        self.linear = nn.Linear(in_features, out_features, bias=bias)
        self.activation_function = nn.Identity() if activation_function is None else activation_function
        self.module_input_name, self.reads_tokens = module_input_name, module_input_name == STATES
        for parameter, given in ((self.linear.weight, init_weight), (self.linear.bias, init_bias)):
            if given is not None and parameter is not None:
                parameter.data = given

    @classmethod
    def described(cls, config: Mapping[str, Any], path: Path) -> Any:
        size, to = config.get("in_features"), config.get("out_features")
        if not (isinstance(size, int) and isinstance(to, int) and min(size, to) > 0):
            raise PipelineError(f"{path} must say in_features and out_features as whole numbers")
        source = config.get("module_input_name") or VECTOR
        target = config.get("module_output_name") or source
        if source not in (VECTOR, STATES) or target != source:
            raise PipelineError(f"{path}: a Dense from {shown(source)} to {shown(target)} is not known here")
        function = activation(config.get("activation_function", "torch.nn.Tanh"), path)
        return cls(size, to, config.get("bias", True) is not False, function, module_input_name=source)

    def config(self) -> dict[str, Any]:
        own = {"in_features": self.linear.in_features, "out_features": self.linear.out_features}
        named = {} if self.module_input_name == VECTOR else {"module_input_name": self.module_input_name}
        function = function_name(self.activation_function)
        return {**own, "bias": self.linear.bias is not None, "activation_function": function, **named}

    def width(self, before: int) -> int:
        if before != self.linear.in_features:
            raise PipelineError(f"a Dense reads {self.linear.in_features} numbers, and gets {before}")
        return self.linear.out_features

    def forward(self, features: Features) -> Features:
        if not self.reads_tokens:
            return replace(features, vectors=self.activation_function(self.linear(features.pooled)))
        made = self.activation_function(self.linear(torch.cat(features.states)))
        return replace(features, states=list(made.split([len(states) for states in features.states])))


class Normalize(Module):
    """Vectors scaled to length one."""

    @classmethod
    def load(cls, folder: Path) -> Any:
        return cls()

    def forward(self, features: Features) -> Features:
        return replace(features, vectors=nn.functional.normalize(features.pooled, dim=-1))


class LayerNorm(Module):
    """Vectors normalized, scaled and shifted."""

    known = ("dimension",)

    def __init__(self, dimension: int):
        super().__init__()
        self.norm = nn.LayerNorm(dimension)

    @classmethod
    def described(cls, config: Mapping[str, Any], path: Path) -> Any:
        size = config.get("dimension")
        if type(size) is not int or size < 1:
            raise PipelineError(f"{path}: dimension is {shown(size)}; it must be a whole number of at least 1")
        return cls(size)

    def config(self) -> dict[str, Any]:
        return {"dimension": self.norm.normalized_shape[0]}

    def width(self, before: int) -> int:
        if (before,) != self.norm.normalized_shape:
            raise PipelineError(f"a LayerNorm reads {self.norm.normalized_shape[0]} numbers, and gets {before}")
        return before

    def forward(self, features: Features) -> Features:
        return replace(features, vectors=self.norm(features.pooled))


class Dropout(Module):
    """Parts of vectors dropped while training."""

    known = ("dropout",)

    def __init__(self, dropout: float = 0.2):
        super().__init__()
        self.dropout = nn.Dropout(dropout)

    @classmethod
    def described(cls, config: Mapping[str, Any], path: Path) -> Any:
        share = config.get("dropout", 0.2)
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise PipelineError(f"{path}: dropout is {shown(share)}; it must be a number from 0 to 1")
        return cls(float(share))

    def config(self) -> dict[str, Any]:
        return {"dropout": self.dropout.p}

    def forward(self, features: Features) -> Features:
        return replace(features, vectors=self.dropout(features.pooled))


class Transformer(nn.Module):
    """The first module: a model with its tokenizer, and how many tokens of a text it reads.

    `model` is a model of ours, with `tokenizer` beside it, or a folder or name that both are loaded from. Of an
    encoder-decoder that is loaded here the encoder alone is.
    """

    def __init__(
        self, model: Any, tokenizer: Any = None, max_seq_length: int | None = None, do_lower_case: bool = False
    ):
        super().__init__()
        if isinstance(model, str | Path):
            name, model = model, find("AutoModelForTextEncoding").from_pretrained(model)
            tokenizer = find("AutoTokenizer").from_pretrained(name) if tokenizer is None else tokenizer
        self.auto_model, self.tokenizer = model, tokenizer
        self.stated_length, self.do_lower_case = max_seq_length, do_lower_case

    @property
    def max_seq_length(self) -> int | None:
        """Tokens that are read of a text; None: all of them."""
        said = self.stated_length
        if said is None and self.tokenizer.model_max_length < UNLIMITED:
            said = int(self.tokenizer.model_max_length)
        return min((length for length in (said, longest_row(self.auto_model)) if length is not None), default=None)

    @max_seq_length.setter
    def max_seq_length(self, length: int | None) -> None:
        self.stated_length = length

    def get_embedding_dimension(self) -> int:
        """Numbers of a token's state."""
        return int(self.auto_model.config.hidden_size)

    get_word_embedding_dimension = get_embedding_dimension

    def call(self) -> dict[str, Any]:
        """Arguments of the tokenizer."""
        limit = self.max_seq_length
        return {} if limit is None else {"truncation": True, "max_length": limit}

    def rows(self, texts: Sequence[str], prompt: str = "", counted: bool = True) -> list[Row]:
        """A row for each text after `prompt`; its memory is how many of its first tokens are not `counted`."""
        before = 0 if counted or not prompt else self.prompt_tokens(prompt)
        read = [self.prompted(text, prompt) for text in texts]
        return [replace(row, memory=before) for row in encode_texts(self.tokenizer, read, None, self.call())]

    def prompted(self, text: str, prompt: str = "") -> str:
        """A text as the tokenizer gets it: after its prompt, and in lower case where the folder says so."""
        text = prompt + text
        return self._lower(text) if self.do_lower_case else text

    def _lower(self, text: str) -> str:
        marks = [token for token in self.tokenizer.all_special_tokens if token != token.lower()]
        mark: str | None = next((mark for mark in marks if mark in text), None)
        if mark is not None:
            return mark.join(self._lower(part) for part in text.split(mark))
        lowered: str = Lowercase().normalize_str(text)
        return lowered

    def prompt_tokens(self, prompt: str) -> int:
        """Tokens that a row begins with where its prompt is `prompt`."""
        ids = self.tokenizer(self.prompted("", prompt), **self.call())["input_ids"]
        return len(ids) - (ids[-1] in self.tokenizer.all_special_ids)


MODULES: Mapping[str, type[Module]] = {
    "Pooling": Pooling,
    "Normalize": Normalize,
    "Dense": Dense,
    "LayerNorm": LayerNorm,
    "Dropout": Dropout,
    "WeightedLayerPooling": WeightedLayerPooling,
}


def activation(name: Any, where: Path | str) -> nn.Module:
    """The function that a file names by its place in torch; raises PipelineError for any other."""
    kind = str(name).rsplit(".", 1)[-1]
    if not str(name).startswith("torch.nn.") or kind not in ACTIVATIONS:
        known = ", ".join(sorted(ACTIVATIONS))
        raise PipelineError(
            f"{where}: the activation function {shown(name)} is not known here; known of torch.nn are {known}"
        )
    made: nn.Module = getattr(nn, kind)()
    return made


def function_name(function: Any) -> str:
    """What files call an activation function, such as torch.nn.modules.activation.Tanh."""
    return f"{type(function).__module__}.{type(function).__name__}"
