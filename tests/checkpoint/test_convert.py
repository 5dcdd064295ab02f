"""Tensors find their parameters through the name table, in every form files have them; gaps are told by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lamina.checkpoint.convert import LoadReport, check_plausible, export, few, load_into
from lamina.checkpoint.files import open_weights, save_weights
from lamina.errors import CheckpointError

TABLE = {
    "tokens": "body.wte | body.shared",
    "layers.*.qkv": "body.h.*.attn.{query,key,value}",
    "layers.*.down": "body.h.*.c_proj^T",
    "layers.*.norm": "body.h.*.LayerNorm",
    "head.bias": "final_logits_bias^row",
    "head": "lm_head",
}


class Layer(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(size, 3 * size)
        self.down = nn.Linear(size, 2 * size)
        self.norm = nn.LayerNorm(size)


class Toy(nn.Module):
    """Tied head, a frozen bias, layers: one of everything that tables describe."""

    def __init__(self, size: int = 4, vocab: int = 6) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocab, size)
        self.layers = nn.ModuleList(Layer(size) for _ in range(2))
        self.head = nn.Linear(size, vocab)
        self.head.weight = self.tokens.weight
        bias = self.head.bias.detach()
        del self.head.bias
        self.head.register_buffer("bias", torch.zeros_like(bias))
        self.register_buffer("waves", torch.zeros(3), persistent=False)


def on_meta() -> Toy:
    with torch.device("meta"):
        model = Toy()
    model.waves = torch.zeros(3)
    return model


def drawn() -> Toy:
    torch.manual_seed(0)
    model = Toy()
    nn.init.normal_(model.head.bias)
    return model


def theirs() -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in export(drawn(), TABLE)}


def load(folder: Path, tensors: Mapping[str, Tensor], model: nn.Module | None = None, **options: Any) -> Any:
    save_weights(folder, tensors)
    model = on_meta() if model is None else model
    with open_weights(folder) as weights:
        return model, load_into(model, TABLE, weights, prefix="body.", **options)


def equal(model: nn.Module, other: nn.Module) -> bool:
    ours, wanted = model.state_dict(), other.state_dict()
    return ours.keys() == wanted.keys() and all(torch.equal(ours[name], wanted[name]) for name in ours)


def test_export_splits_turns_and_names() -> None:
    model, tensors = drawn(), theirs()
    assert set(tensors) == {
        "body.wte.weight",
        *(
            f"body.h.{i}.attn.{part}.{leaf}"
            for i in (0, 1)
            for part in ("query", "key", "value")
            for leaf in ("weight", "bias")
        ),
        *(
            f"body.h.{i}.{part}.{leaf}"
            for i in (0, 1)
            for part in ("c_proj", "LayerNorm")
            for leaf in ("weight", "bias")
        ),
        "final_logits_bias",
    }
    assert torch.equal(tensors["body.h.1.attn.key.weight"], model.layers[1].qkv.weight[4:8])
    assert torch.equal(tensors["body.h.0.c_proj.weight"], model.layers[0].down.weight.T)
    assert tensors["final_logits_bias"].shape == (1, 6)


def test_export_takes_no_memory() -> None:
    model = drawn()
    held = [(p.data_ptr(), p.data_ptr() + p.nbytes) for p in (*model.parameters(), *model.buffers())]
    for _, tensor in export(model, TABLE):
        assert any(start <= tensor.data_ptr() < end for start, end in held)


def test_what_is_exported_loads_bit_by_bit(tmp_path: Path) -> None:
    model, report = load(tmp_path, theirs(), complete=True)
    assert equal(model, drawn())
    assert model.head.weight is model.tokens.weight
    assert not report and str(report) == ""
    assert model.tokens.weight.requires_grad and isinstance(model.tokens.weight, nn.Parameter)


@pytest.mark.parametrize("spell", [lambda name: name.removeprefix("body."), lambda name: name])
def test_the_prefix_may_be_there_or_not(tmp_path: Path, spell: Any) -> None:
    model, report = load(tmp_path, {spell(name): tensor for name, tensor in theirs().items()}, complete=True)
    assert equal(model, drawn()) and not report


def test_the_prefix_may_be_in_the_file_alone(tmp_path: Path) -> None:
    table = {left: right.replace("body.", "") for left, right in TABLE.items()}
    save_weights(tmp_path, theirs())
    model = on_meta()
    with open_weights(tmp_path) as weights:
        assert not load_into(model, table, weights, prefix="body.", complete=True)
    assert equal(model, drawn())


def test_older_spellings_are_read(tmp_path: Path) -> None:
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma")
        .replace("LayerNorm.bias", "LayerNorm.beta")
        .replace("wte", "shared"): tensor
        for name, tensor in theirs().items()
    }
    assert "body.h.0.LayerNorm.gamma" in old and "body.shared.weight" in old
    model, report = load(tmp_path, old, complete=True)
    assert equal(model, drawn()) and not report


def test_a_tied_tensor_is_found_under_its_other_name(tmp_path: Path) -> None:
    tensors = theirs()
    tensors["lm_head.weight"] = tensors.pop("body.wte.weight")
    model, report = load(tmp_path, tensors, complete=True)
    assert equal(model, drawn()) and not report
    tensors["body.wte.weight"] = tensors["lm_head.weight"].clone()
    assert not load(tmp_path, tensors)[1], "a copy of a tied tensor is nothing unexpected"


def test_two_of_ours_that_read_one_of_theirs_share_no_memory(tmp_path: Path) -> None:
    save_weights(tmp_path, theirs())
    model = on_meta()
    model.head.weight = nn.Parameter(torch.empty(6, 4, device="meta"))
    with open_weights(tmp_path) as weights:
        load_into(model, TABLE | {"head": "lm_head | body.wte"}, weights, prefix="body.")
    assert torch.equal(model.head.weight, model.tokens.weight)
    assert model.head.weight.data_ptr() != model.tokens.weight.data_ptr()


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("wanted", [torch.float32, torch.bfloat16, None])
def test_types_are_cast_to_the_model_s(tmp_path: Path, stored: torch.dtype, wanted: torch.dtype | None) -> None:
    model, _ = load(tmp_path, {name: tensor.to(stored) for name, tensor in theirs().items()}, dtype=wanted)
    dtype = wanted or torch.float32
    for name, parameter in drawn().named_parameters():
        assert torch.equal(dict(model.named_parameters())[name], parameter.to(stored).to(dtype))


def test_a_model_that_has_memory_already_is_filled_in_place(tmp_path: Path) -> None:
    model = Toy()
    before = {name: parameter.data_ptr() for name, parameter in model.named_parameters()}
    load(tmp_path, theirs(), model)
    assert equal(model, drawn())
    assert {name: parameter.data_ptr() for name, parameter in model.named_parameters()} == before


def test_tensors_as_we_hold_them_stay_mapped(tmp_path: Path) -> None:
    save_weights(tmp_path, theirs())
    model = on_meta()
    with open_weights(tmp_path) as weights:
        load_into(model, TABLE, weights, prefix="body.")
        ranges = [
            (weights[name].data_ptr(), weights[name].nbytes) for name in ("body.wte.weight", "body.h.0.LayerNorm.bias")
        ]
    assert model.tokens.weight.data_ptr() == ranges[0][0]
    assert model.layers[0].norm.bias.data_ptr() == ranges[1][0]


def test_what_the_file_lacks_is_zero_and_reported_in_both_spellings(tmp_path: Path) -> None:
    tensors = theirs()
    for name in ("body.h.0.c_proj.weight", "body.h.1.attn.key.bias"):
        del tensors[name]
    model, report = load(tmp_path, tensors)
    assert report.fresh == {"layers.0.down.weight", "layers.1.qkv.bias"}
    assert report.as_dict()["missing_keys"] == ["body.h.0.c_proj.weight", "body.h.1.attn.key.bias"]
    assert "body.h.1.attn.key.bias (our layers.1.qkv.bias)" in str(report)
    assert "train before use" in str(report) and "\n" not in str(report)
    assert not model.layers[0].down.weight.any()


def test_the_same_architecture_may_lack_nothing(tmp_path: Path) -> None:
    tensors = theirs()
    del tensors["body.h.1.attn.key.bias"]
    model = on_meta()
    with pytest.raises(CheckpointError, match=r"body\.h\.1\.attn\.key\.bias \(our layers\.1\.qkv\.bias\)"):
        load(tmp_path, tensors, model, complete=True)
    assert all(parameter.is_meta for parameter in model.parameters()), "half-loaded"


def test_a_buffer_may_be_absent_without_a_word(tmp_path: Path) -> None:
    tensors = theirs()
    del tensors["final_logits_bias"]
    model, report = load(tmp_path, tensors, complete=True)
    assert not report and not model.head.bias.any()


def test_shapes_that_do_not_fit_are_named_and_change_nothing(tmp_path: Path) -> None:
    tensors = theirs() | {"body.wte.weight": torch.zeros(7, 4)}
    model = on_meta()
    with pytest.raises(
        CheckpointError, match=r"body\.wte\.weight is \[7, 4\].*wants \[6, 4\].*ignore_mismatched_sizes=True"
    ):
        load(tmp_path, tensors, model)
    assert all(parameter.is_meta for parameter in model.parameters()), "half-loaded"


@pytest.mark.parametrize("name", ["body.h.0.c_proj.weight", "body.h.0.attn.query.weight", "final_logits_bias"])
def test_shapes_are_told_as_the_file_has_them(tmp_path: Path, name: str) -> None:
    right = theirs()[name]
    with pytest.raises(CheckpointError) as caught:
        load(tmp_path, theirs() | {name: torch.zeros(2, 2)})
    assert f"{name} is [2, 2]" in str(caught.value) and str(list(right.shape)) in str(caught.value)


def test_mismatched_tensors_start_anew_where_that_is_asked_for(tmp_path: Path) -> None:
    model, report = load(tmp_path, theirs() | {"body.wte.weight": torch.ones(7, 4)}, ignore_mismatched_sizes=True)
    assert report.fresh == {"tokens.weight"}
    assert "body.wte.weight [7, 4] -> [6, 4]" in str(report)
    assert model.tokens.weight.shape == (6, 4)


def test_integers_are_no_weights(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"int64, not weights"):
        load(tmp_path, theirs() | {"body.wte.weight": torch.zeros(6, 4, dtype=torch.int64)})


def test_what_is_not_used_is_listed_unless_it_carries_nothing(tmp_path: Path) -> None:
    extra = {
        "body.position_ids": torch.arange(3),
        "h.1.attn.bias": torch.zeros(2),
        "cls.extra": torch.zeros(1),
        "body.h.0.attn.query.spare": torch.zeros(1),
    }
    _, report = load(tmp_path, theirs() | extra, ignored=("position_ids", "h.*.attn.bias"))
    assert set(report.unexpected) == {"cls.extra", "body.h.0.attn.query.spare"}
    assert str(report).startswith("not used: ")


@pytest.mark.parametrize(
    ("used", "other"),
    [
        ("body.wte.weight", "lm_head.weight"),
        ("body.wte.weight", "body.shared.weight"),
        ("body.wte.weight", "wte.weight"),
        ("body.h.1.LayerNorm.weight", "body.h.1.LayerNorm.gamma"),
        ("body.h.0.attn.query.weight", "h.0.attn.query.weight"),
        ("final_logits_bias", "body.final_logits_bias"),
    ],
)
def test_a_tensor_that_is_there_twice_with_other_numbers_is_told(tmp_path: Path, used: str, other: str) -> None:
    tensors = theirs()
    _, report = load(tmp_path / "same", tensors | {other: tensors[used].clone()})
    assert not report
    model, report = load(tmp_path / "other", tensors | {other: tensors[used] + 1})
    assert report.differing == {other: used} and f"{other} (used: {used})" in str(report)
    for name, tensor in drawn().named_parameters():
        assert torch.equal(model.get_parameter(name), tensor), name
    assert load(tmp_path / "wider", tensors | {other: torch.zeros(2, 2)})[1].differing == {other: used}


@pytest.mark.parametrize("scale", ["body.wte.weight_scale", "body.wte.weight_scale_inv", "body.wte.weight.scales"])
def test_eight_bits_with_scales_that_are_not_read_are_refused(tmp_path: Path, scale: str) -> None:
    narrow = theirs() | {"body.wte.weight": torch.ones(6, 4).to(torch.float8_e4m3fn)}
    assert load(tmp_path / "alone", narrow)[0].tokens.weight.eq(1).all()
    with pytest.raises(CheckpointError, match=f"holds {scale}, scales of a format that is not read"):
        load(tmp_path / "scaled", narrow | {scale: torch.ones(1)})


def test_a_file_of_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none of this model's tensors.*body\.wte\.weight.*something\.else"):
        load(tmp_path, {"something.else": torch.zeros(2)})


def test_a_gap_in_a_table_is_our_mistake(tmp_path: Path) -> None:
    save_weights(tmp_path, theirs())
    table = {left: right for left, right in TABLE.items() if "norm" not in left}
    with open_weights(tmp_path) as weights, pytest.raises(KeyError, match=r"layers\.0\.norm"):
        load_into(on_meta(), table, weights)


def test_absurd_configs_are_refused_against_the_bytes_at_hand() -> None:
    check_plausible({"model_type": "bert"}, 440_000_000, 110_000_000)
    check_plausible({"model_type": "bert"}, 1000, 1_000_000)
    with pytest.raises(CheckpointError, match=r"bert.*30,000,000,000 parameters.*17,000,000 bytes"):
        check_plausible({"model_type": "bert"}, 17_000_000, 30_000_000_000)


def test_reports_stay_short() -> None:
    report = LoadReport(missing={f"a.{i}": f"b.{i}" for i in range(16)}, unexpected=tuple("xyz"), mismatched={})
    assert str(report).splitlines()[0].endswith("b.3 (our a.3) and 12 more")
    assert len(str(report).splitlines()) == 2
    assert len(few(["x" * 1000] * 5, 2)) < 500


@pytest.mark.parametrize("terminal", [True, False])
def test_large_files_show_their_progress_on_a_terminal_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], terminal: bool
) -> None:
    monkeypatch.setattr("lamina.checkpoint.convert.LARGE", 0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    model, _ = load(tmp_path, theirs())
    assert equal(model, drawn())
    assert ("Loading weights" in capsys.readouterr().err) == terminal
