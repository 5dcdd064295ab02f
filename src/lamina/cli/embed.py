"""`lamina embed` and `lamina search`: vectors of texts into a file, and the texts in it that are nearest to a query."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ..errors import InputError
from ..files.formats import NAMES as FORMS
from ..files.shown import shown
from ..files.tables import open_rows
from .inputs import FILE_KINDS, find_sources
from .options import AS_JSON, LOADING, model_name, option, our_words, switch, with_options
from .output import Columns, Row, Rows, Writers, find_output, json_line, parquet_schema, write_cells
from .run import Answered, Job, model_files
from .tasks import Asked, CommandTask, Given, score_rows, show_vectors, text_of

TASK = CommandTask("sentence-similarity", "the vector of every text", show_vectors)
CHOICES = ("prompt", "prompt_name", "normalize_embeddings", "truncate_dim")
PROMPTS = (
    option("prompt", str, "What stands before every text, in place of a prompt that the model stores."),
    option("prompt_name", str, "The stored prompt to put there; left out, the one for documents or queries."),
)


@with_options(
    option("model", str, "A folder or a name on the Hub.", "-m", default=...),
    option("output", Path, "The new file: .npy, .parquet or .jsonl.", "-o", default=...),
    option("form", str, f"Of files and standard input: {', '.join(FORMS)}; else by the ending.", "--format"),
    option("text_column", str, "Column of texts; left out, text."),
    *PROMPTS,
    switch("normalize_embeddings", "Scale vectors to length one.", "--normalize"),
    option("truncate_dim", int, "Keep the first numbers of each vector.", min=1),
    option("batch_size", int, "Most texts in one pass; left out, a budget of tokens decides.", min=1),
    switch("resume", "Go on after the rows that a stopped run has left."),
    switch("overwrite", "Replace --output, if it is there, once the new rows are."),
    *LOADING,
)
def embed(
    file: Annotated[list[str], typer.Argument(metavar="FILE", help=f"Texts: {FILE_KINDS}; -: standard input.")],
    **said: Any,
) -> None:
    """Write the vector of every text in FILE.

    .npy holds the vectors alone, [texts, width]; .parquet and .jsonl hold the rows of FILE as well, which `lamina
    search` shows. A text too long is cut off; the first row that cannot be read ends the run.
    """
    sources, given = find_sources([], file, said["form"], hint="FILE"), Given(text_column=said["text_column"])
    model = model_name(said["model"])
    read = [*sources.paths, *map(Path, file), *model_files(model)]
    place = find_output(said["output"], read, said["resume"], said["overwrite"], WRITERS)
    sources.check_columns(TASK.columns(given))
    asked = {name: said[name] for name in CHOICES if said[name] not in (None, False)}
    loading = {"model": model, **{each.name: said[each.name] for each in LOADING}}
    job = Embedding(TASK, "embed", loading, sources, given, asked, said["batch_size"], place, strict=True)
    raise typer.Exit(job.run(said["resume"]))


@dataclass
class Embedding(Job):
    """A job whose answers are vectors: as numbers in JSON lines, else as their bytes until the file is made."""

    def run(self, resume: bool) -> int:
        """As every job; a whole file of another form than JSON lines is not gone through again."""
        place = self.place
        if resume and place is not None and place.make is not None and place.finished:
            print(f"{place.shown} is whole: nothing is left to do; --overwrite makes it anew", file=sys.stderr)
            return 0
        return super().run(resume)

    def answered(self, asked: Iterable[Asked]) -> Iterator[Answered]:
        """Every row with its vector; InputError at the first that is no text."""
        from ..inference.batching import AT_ONCE, runs

        model, options = load_model(self.loading), {**self.settings, "batch_size": self.batch_size}
        for part in runs(asked, AT_ONCE):
            for each in part:
                if each.error is not None or not isinstance(each.item, str):
                    raise InputError(f"{each.place}: {each.error or f'{shown(each.item)} is not text'}")
            vectors = model.encode_document([each.item for each in part], show_progress_bar=False, **options)
            yield from map(Answered, part, vectors)

    def line(self, found: Answered) -> tuple[str, Answered]:
        assert self.place is not None
        vector = found.output
        if WRITERS[self.place.path.suffix.lower()] is not None:
            output: Any = base64.b64encode(vector.astype("<f4").tobytes()).decode()
        else:
            output = [float(f"{number:.9g}") for number in vector.tolist()]
        return json_line({"input": found.asked.row, "output": output}), found


def load_model(loading: Mapping[str, Any]) -> Any:
    """The sentence model that options of loading name."""
    from ..sentences.transformer import SentenceTransformer

    given = {name: value for name, value in loading.items() if name != "model" and value is not None}
    with our_words():
        return SentenceTransformer(loading["model"], **given)


def vector_of(row: Row) -> Any:
    import numpy as np

    return np.frombuffer(base64.b64decode(row["output"]), dtype="<f4")


def _write_npy(rows: Rows, path: Path) -> None:
    import numpy as np

    count, first = sum(1 for _ in rows()), next(rows(), None)
    width = 0 if first is None else len(vector_of(first))
    with path.open("wb") as opened:
        shape = {"descr": "<f4", "fortran_order": False, "shape": (count, width)}
        np.lib.format.write_array_header_1_0(opened, shape)
        for row in rows():
            opened.write(vector_of(row).tobytes())


def _write_parquet(rows: Rows, path: Path) -> None:
    """The columns of the input, and "vector"."""
    import pyarrow

    columns = Columns(lambda: ({"input": row["input"]} for row in rows()))
    first = next(rows(), None)
    width = 0 if first is None else len(vector_of(first))
    vectors = pyarrow.field("vector", pyarrow.list_(pyarrow.float32(), width))
    cells = ({**columns.cells({"input": row["input"]}), "vector": vector_of(row)} for row in rows())
    write_cells(path, parquet_schema(columns).append(vectors), cells)


WRITERS: Writers = {
    ".npy": _write_npy,
    ".parquet": _write_parquet,
    ".jsonl": None,
    ".ndjson": None,
}


@with_options(
    option("model", str, "The model that made INDEX.", "-m", default=...),
    option("top_k", int, "How many, best first; left out, 10.", "-k", default=10, min=1),
    option("texts", str, "The file that INDEX was made of, for the rows that a .npy does not hold.", metavar="FILE"),
    *PROMPTS,
    AS_JSON,
    *LOADING,
)
def search(
    index: Annotated[Path, typer.Argument(metavar="INDEX", help="A file that `lamina embed` has written.")],
    query: Annotated[str, typer.Argument(metavar="QUERY", help="What to look for.")],
    **said: Any,
) -> None:
    """Show the rows of INDEX that are nearest to QUERY.

    The search is exact and in memory: every vector is compared, as the model says. A pipe gets JSON lines: {"row": ...,
    "score": ..., "input": ...}, where rows count from 0.
    """
    from ..sentences.similarity import semantic_search

    vectors, inputs = read_index(index, said["texts"])
    model = load_model({"model": model_name(said["model"]), **{each.name: said[each.name] for each in LOADING}})
    prompts = {name: said[name] for name in ("prompt", "prompt_name")}
    width = vectors.shape[1]
    if width > model.get_embedding_dimension():
        raise InputError(
            f"{index} holds vectors of {width} numbers, and the model makes {model.get_embedding_dimension()}: "
            "give the --model that made it"
        )
    wanted = model.encode_query(query, truncate_dim=width, convert_to_tensor=True, show_progress_bar=False, **prompts)
    ((*found,),) = semantic_search(wanted, vectors, top_k=said["top_k"], score_function=model.similarity)
    rows = [{"row": each["corpus_id"], "score": each["score"], **inputs(each["corpus_id"])} for each in found]
    if said["json"] or not sys.stdout.isatty():
        for row in rows:
            print(json_line(row))
    else:
        table = score_rows((str(row["row"]), row["score"], text_of(row["input"] or "")) for row in rows)
        Console(highlight=False).print(table)


def read_index(index: Path, texts: str | None) -> tuple[Any, Callable[[int], Row]]:
    """The vectors of a file, [rows, width], and what gives the input of a row; InputError where it is not one."""
    import numpy as np

    suffix = index.suffix.lower()
    if not index.is_file() or suffix not in WRITERS:
        wrong = "is not a file" if not index.is_file() else f"is not one of {', '.join(WRITERS)}"
        raise InputError(f"{index}: {wrong}; lamina embed makes one")
    if suffix == ".npy":
        try:
            vectors = np.load(index, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(f"{index} cannot be read as vectors: {error}") from None
        lines = [] if texts is None else [row.value for row in open_rows(Path(texts), InputError)]
        if texts is not None and len(lines) != len(vectors):
            raise InputError(f"{index} holds {len(vectors)} vectors and {texts} {len(lines)} rows: it is another file")
        found: Callable[[int], Row] = lambda row: {"input": lines[row] if lines else None}  # noqa: E731
    else:
        name = "vector" if suffix == ".parquet" else "output"
        rows = [row.value if row.error is None else {} for row in open_rows(index, InputError)]
        if any(not isinstance(row, dict) or not isinstance(row.get(name), list) for row in rows):
            raise InputError(f"{index} has rows without {name}: lamina embed makes such files")
        try:
            vectors = np.array([row[name] for row in rows], dtype=np.float32)
        except ValueError:
            raise InputError(f"{index}: its vectors are not all of one width") from None
        found = lambda row: {"input": _input(rows[row], name)}  # noqa: E731
    if vectors.ndim != 2 or not len(vectors) or vectors.dtype.kind != "f" or not np.isfinite(vectors).all():
        raise InputError(f"{index} holds no rows of finite numbers to search")
    return vectors.astype(np.float32), found


def _input(row: Row, vector: str) -> Any:
    """The input of a row, whose columns a table names with a dot."""
    if "input" in row:
        return row["input"]
    return {name.removeprefix("input."): value for name, value in row.items() if name != vector}
