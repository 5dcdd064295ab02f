"""Published weights answer here what they answer in the reference: figures taken from it, tolerances as printed."""

from __future__ import annotations

import json
import re

import pytest
import torch
from safetensors import safe_open

import lamina
from lamina.legacy.convert import convert_checkpoint

from .assets import asset

# How the publisher of the reaction model cuts SMILES into tokens.
SMILES = re.compile(
    r"%\([0-9]{3}\)|\[[^\]]+\]|Br?|Cl?|N|O|S|P|F|I|b|c|n|o|s|p|\||\(|\)|\.|=|#|-|\+|\\|/|:|~|@|\?|>>?|\*|\$|%[0-9]{2}|[0-9]"
)


def recovered(model: torch.nn.Module, ids: list[int], mask: int) -> int:
    """Of the tokens between the first and the last, how many the model names when each is masked in turn."""
    count = len(ids) - 2
    rows, at = torch.arange(count), torch.arange(1, count + 1)
    masked = torch.tensor([ids]).repeat(count, 1)
    masked[rows, at] = mask
    with torch.no_grad():
        logits = model(input_ids=masked, attention_mask=torch.ones_like(masked)).logits
    return int((logits[rows, at].argmax(-1) == torch.tensor(ids[1:-1])).sum())


def test_minilm_knows_dogs_from_stock_markets():
    folder = asset("minilm")
    tokenizer = lamina.AutoTokenizer.from_pretrained(folder)
    model, report = lamina.AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values())  # its keys have no prefix, and a buffer that carries nothing
    texts = ["A dog is happy.", "A puppy is joyful.", "Stock market crash"]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    vectors = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)
    likeness = vectors @ vectors.T
    assert likeness[0, 1] == pytest.approx(0.794293, abs=1e-5)
    assert likeness[0, 2] == pytest.approx(0.001247, abs=1e-5)


def test_sparse_retriever_expands_a_sentence():
    folder = asset("bert_tiny")
    tokenizer = lamina.AutoTokenizer.from_pretrained(folder)
    model, report = lamina.AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values())  # gamma and beta are read as weight and bias, the decoder is tied
    batch = tokenizer("the cat sat on the mat", return_tensors="pt")
    with torch.no_grad():
        logits = model(**batch).logits
    weights = torch.log1p(logits.relu()).amax(1)[0]
    values, indices = weights.topk(5)
    assert tokenizer.convert_ids_to_tokens(indices.tolist()) == ["mat", "cat", "sat", "cats", "sit"]
    torch.testing.assert_close(values, torch.tensor([2.4938, 2.3987, 2.1500, 1.8378, 1.2758]), atol=6e-5, rtol=0)


def test_legacy_names_are_written_anew(tmp_path):
    model = lamina.AutoModelForMaskedLM.from_pretrained(asset("bert_tiny"))
    model.save_pretrained(tmp_path)
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        names = set(file.keys())
    assert not [name for name in names if name.endswith(("gamma", "beta"))]
    assert "bert.embeddings.LayerNorm.weight" in names
    again = lamina.AutoModelForMaskedLM.from_pretrained(tmp_path)
    ids = torch.tensor([[101, 1996, 4937, 102]])
    with torch.no_grad():
        torch.testing.assert_close(again(ids).logits, model(ids).logits, atol=1e-5, rtol=0)


def test_reaction_model_fills_in_an_esterification():
    folder = asset("albert_smiles")
    model, report = lamina.AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    leftover = {problem: sorted(names) for problem, names in report.items() if names}
    assert set(leftover) <= {"unexpected_keys"}
    assert all("pooler" in name for names in leftover.values() for name in names)
    vocabulary = {token: i for i, token in enumerate((folder / "vocab.txt").read_text().splitlines())}
    tokens = SMILES.findall("CC(=O)O.OCC>>CC(=O)OCC")
    ids = [vocabulary[token] for token in ("[CLS]", *tokens, "[SEP]")]
    assert len(tokens) == 21
    assert recovered(model, ids, vocabulary["[MASK]"]) == 15


@pytest.mark.parametrize(
    ("chain", "residues", "hits"),
    [
        (
            "vl",
            "DIQMTQSPSSLSASVGDRVTITCRASQSISSYLNWYQQKPGKAPKLLIYAASSLQSGVPSRFSGSGSGTDFTLTISSLQPEDFATYYCQQSYSTPLTFGGGTKVEIK",
            107,
        ),
        (
            "vl",
            "DIQMTQSPSSLSASVGDRVTITCRASQDVNTAVAWYQQKPGKAPKLLIYSASFLYSGVPSRFSGSRSGTDFTLTISSLQPEDFATYYCQQHYTTPPTFGQGTKVEIK",
            91,
        ),
        (
            "vh",
            "EVQLVESGGGLVQPGGSLRLSCAASGFTFSSYAMSWVRQAPGKGLEWVSAISGSGGSTYYADSVKGRFTISRDNSKNTLYLQMNSLRAEDTAVYYCAKDLGYSSGWYYFDYWGQGTLVTVSS",
            119,
        ),
        (
            "vh",
            "QVQLVQSGVEVKKPGASVKVSCKASGYTFTNYYMYWVRQAPGQGLEWMGGINPSNGGTNFNEKFKNRVTLTTDSSTTTAYMELKSLQFDDTAVYYCARRDYRFDMGFDYWGQGTTVTVSS",
            91,
        ),
    ],
    ids=["germline-vl", "trastuzumab-vl", "germline-vh", "pembrolizumab-vh"],
)
def test_antibody_model_converts_from_fairseq(chain, residues, hits, tmp_path):
    convert_checkpoint(asset("roberta_sapiens") / f"checkpoint_{chain}.pt", tmp_path / "converted")
    model, report = lamina.AutoModelForMaskedLM.from_pretrained(tmp_path / "converted", output_loading_info=True)
    assert not any(report.values())
    vocabulary = json.loads((tmp_path / "converted" / "vocab.json").read_text())
    ids = [vocabulary[token] for token in ("<s>", *residues, "</s>")]
    assert recovered(model, ids, vocabulary["<mask>"]) == hits
