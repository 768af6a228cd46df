"""The comparison at load time that a fast path has to pass before it answers anyone.

What MLflow's code hands to the model is compared for generated rows in every request format, the model standing
aside. Answers are compared for the model's own example, and for estimators of listed flavours also for generated
rows: made-up data never reaches a user's own code.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import sys
import time
import warnings
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from . import estimators, log
from .fastpath import ArrayPath, FastPath, FramePath, Rows, behind
from .plain import (
    INPUT_RECORDS,
    INPUTS,
    INSTANCES,
    RECORDS,
    SPLIT,
    Column,
    Frames,
    Matrix,
    Reader,
    columns_of,
)
from .pyfuncs import Seen
from .results import Encoder
from .verdicts import EARLIER, Memo

FORMATS = (SPLIT, RECORDS, INPUTS, INPUT_RECORDS, INSTANCES)
# A prediction that takes longer gains nothing, and its time would be spent again on every start.
SLOW = 1.0
_ORDINARY: Dict[str, List[Any]] = {
    "double": [0.5, 2.25, -1.5, 7.0, 0.1],
    "float": [0.5, 2.25, -1.5, 7.0, 0.125],
    "long": [1, 3, 0, 7, 2],
    "integer": [1, 3, 0, 7, 2],
    "boolean": [True, False, True, True, False],
    "string": ["a", "b", "a", "c", "d"],
}
_EDGES: Dict[str, List[Any]] = {
    "double": [0.1, -1e300, 2**53 + 1, -0.0],
    "float": [0.1, -1e15, 16777217, -0.0],
    "long": [0, -(2**62), 2**62 + 1, 2**53 + 1],
    "integer": [0, -(2**31), 2**31 - 1, -1],
    "boolean": [True, False, False, True],
    "string": ["", 'ä€ \\ "', "1.5", "nan"],
}


class Learned(NamedTuple):
    """A path, or None, and why.

    ``memo``: what ``recall`` makes the same of; None after a check that was not completed.
    """

    path: Optional[FastPath]
    reason: str
    memo: Optional[Memo] = None


class Unfit(Exception):
    """There is no fast path; the text says why."""


class Slow(Unfit):
    """The same, found by a clock: it may be otherwise on a machine that is less busy."""


@contextlib.contextmanager
def spied(model: Any) -> Iterator[List[Tuple[Tuple[Any, ...], Dict[str, Any]]]]:
    """Calls of the flavour's predict are noted in the list instead of made."""
    calls: List[Tuple[Tuple[Any, ...], Dict[str, Any]]] = []
    own = model._predict_fn

    @functools.wraps(own)
    def note(*arguments: Any, **named: Any) -> Any:
        calls.append((arguments, named))
        raise Seen

    model._predict_fn = note
    try:
        yield calls
    finally:
        model._predict_fn = own


class Comparison:
    """``slow`` answers a request through MLflow's own code: (status, body)."""

    def __init__(
        self,
        model: Any,
        encoder: Encoder,
        slow: Callable[[bytes], Tuple[int, bytes]],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._model = model
        self._encoder = encoder
        self._slow = slow
        self._clock = clock

    def learn(self, example: Optional[bytes]) -> Learned:
        """The fastest path whose answers are equal; never raises."""
        try:
            columns = self._columns()
            named = self._named(columns)
            answer = self._steady(example)
            reasons = []
            for candidate in (self._array, self._frame):
                try:
                    return _equal(candidate(columns, named, example, answer), named)
                except Unfit as unfit:
                    reasons.append(str(unfit))
            return _off(reasons[-1])
        except Slow as slow:
            return _off(str(slow), timed=True)
        except Unfit as unfit:
            return _off(str(unfit))
        except Exception as error:
            return Learned(None, f"the comparison failed: {log.last_line(error)}")

    def recall(self, memo: Memo) -> Learned:
        """The same again without comparing anything.

        Raises:
            Unfit: it cannot be made any more; so may anything else that a damaged memo leads to.
        """
        reason = f"{memo['reason']}{EARLIER}"
        if memo["kind"] is None:
            return Learned(None, reason, memo)
        columns = self._columns()
        named = self._named(columns) if memo["named"] is None else dict(memo["named"])
        build = {"array": self._array_path, "frame": self._frame_path}[memo["kind"]]
        path = build(columns, named)
        path.reader.formats = frozenset(memo["formats"]) & frozenset(FORMATS)
        if not path.reader.formats:
            raise Unfit("no format is left")
        return Learned(path, reason, memo)

    def _columns(self) -> List[Column]:
        metadata = self._model.metadata
        from_hint = getattr(metadata, "_is_signature_from_type_hint", None)
        if from_hint is not None and from_hint():
            raise Unfit("the signature comes from type hints")
        columns = columns_of(metadata.get_input_schema())
        if columns is None:
            raise Unfit("the signature is not one of named, required columns of simple types")
        if not hasattr(self._model, "_predict_fn"):
            raise Unfit("this version of MLflow is built otherwise")
        return columns

    def _named(self, columns: Sequence[Column]) -> Dict[str, Any]:
        """The arguments besides the data with which MLflow calls the flavour's predict."""
        for format in FORMATS:
            calls = self._calls(request(format, columns, _ORDINARY, 1))
            if calls:
                arguments, named = calls[0]
                if len(arguments) == 1 and set(named) <= {"params"}:
                    return named
                break
        raise Unfit("MLflow does not hand plain rows to this model")

    def _steady(self, example: Optional[bytes]) -> Optional[bytes]:
        """The example's answer, None without one; Unfit where a second call shows that no comparison can hold."""
        if example is None:
            return None
        heard = Heard(sys.stdout)
        began = self._clock()
        with contextlib.redirect_stdout(heard):
            status, first = self._slow(example)
        if heard.characters:
            raise Unfit("predict prints")
        if self._clock() - began > SLOW:
            raise Slow(f"a prediction takes more than {SLOW:.0f} s: nothing to gain")
        if status != 200:
            return None
        if canonical(self._slow(example)[1]) != canonical(first):
            raise Unfit("predict answers the same request differently")
        return first

    def _array(
        self,
        columns: Sequence[Column],
        named: Dict[str, Any],
        example: Optional[bytes],
        answer: Optional[bytes],
    ) -> FastPath:
        path = self._array_path(columns, named)
        self._compare_inputs(path, columns)
        format = next(name for name in FORMATS if name in path.reader.formats)
        bodies = [request(format, columns, _ORDINARY, count) for count in (1, 5)]
        equal = [self._same_answer(path, body) for body in bodies]
        if example is not None and answer is not None:
            equal.append(self._same_answer(path, example, answer))
        if not any(equal):
            raise Unfit("no example, and the model refuses generated rows")
        return path

    def _array_path(self, columns: Sequence[Column], named: Dict[str, Any]) -> FastPath:
        raw = estimators.raw_model(self._model)
        method = estimators.method_of(self._model)
        if raw is None or method not in estimators.METHODS or named.get("params"):
            raise Unfit("not an estimator of a listed flavour")
        if not hasattr(raw, "get_params") or not estimators.is_row_wise(raw):
            raise Unfit("not composed of listed estimators only")
        if not Matrix.takes(columns):
            raise Unfit("not all columns are of one numeric type")
        predict = getattr(estimators.without_names(raw), method)
        path = ArrayPath(self._reader(columns), Matrix(columns), self._encoder, predict)
        path.row_wise = True
        return path

    def _frame(
        self,
        columns: Sequence[Column],
        named: Dict[str, Any],
        example: Optional[bytes],
        answer: Optional[bytes],
    ) -> FastPath:
        path = self._frame_path(columns, named)
        self._compare_inputs(path, columns)
        if example is not None and answer is not None:
            self._same_answer(path, example, answer)
        return path

    def _frame_path(self, columns: Sequence[Column], named: Dict[str, Any]) -> FastPath:
        reader, cells = self._reader(columns), Frames(columns)
        probe = FramePath(reader, cells, self._encoder, self._model.predict)
        rows = probe.parse(request(INPUTS, columns, _ORDINARY, 1))
        predict = behind(self._model, named, None if rows is None else probe.input(rows))
        path = FramePath(reader, cells, self._encoder, predict)
        raw = estimators.raw_model(self._model)
        path.row_wise = raw is not None and estimators.is_row_wise(raw)
        return path

    @staticmethod
    def _reader(columns: Sequence[Column]) -> Reader:
        return Reader(columns, frozenset(FORMATS))

    def _compare_inputs(self, path: FastPath, columns: Sequence[Column]) -> None:
        """Leave to the path the request formats in which the model is given the same by both."""
        equal = set()
        for format in FORMATS:
            bodies = [
                request(format, columns, values, count)
                for values, count in ((_ORDINARY, 1), (_EDGES, 4))
            ]
            if all(self._same_input(path, body) for body in bodies):
                equal.add(format)
        path.reader.formats = frozenset(equal)
        if not equal:
            raise Unfit("the model would be given other data than by MLflow")

    def _same_input(self, path: FastPath, body: bytes) -> bool:
        calls, rows = self._calls(body), path.parse(body)
        if not calls or rows is None:
            return False
        given = calls[0][0][0]
        if isinstance(path, ArrayPath):
            return same_array(path.input(rows), given)
        return same_frame(path.input(rows), given)

    def _calls(self, body: bytes) -> List[Tuple[Tuple[Any, ...], Dict[str, Any]]]:
        with spied(self._model) as calls:
            self._slow(body)
        return calls

    def _same_answer(self, path: FastPath, body: bytes, answer: Optional[bytes] = None) -> bool:
        """Whether both answered, and alike; False where both refuse or the path leaves it; Unfit where they differ."""
        rows = path.parse(body)
        if rows is None:
            return False
        if answer is None:
            status, answer = self._slow(body)
            if status != 200:
                return False
        ours = [self._answer(path, rows) for _ in range(2)]
        if any(each is None or canonical(each) != canonical(answer) for each in ours):
            raise Unfit(f"{path.kind}: the answers differ")
        return True

    @staticmethod
    def _answer(path: FastPath, rows: Rows) -> Optional[bytes]:
        with warnings.catch_warnings():
            # The names were taken away: a warning of theirs would come with every request.
            warnings.filterwarnings("error", message=".*feature names.*")
            try:
                return path.encode(path.predict(rows))
            except BaseException:
                return None


def _equal(path: FastPath, named: Dict[str, Any]) -> Learned:
    reason = "answers are equal"
    # Parameters hold values of any type: they are asked of MLflow again.
    kept = None if named.get("params") else named
    formats = sorted(path.reader.formats)
    memo = {"kind": path.kind, "reason": reason, "named": kept, "formats": formats}
    return Learned(path, reason, memo)


def _off(reason: str, **more: Any) -> Learned:
    return Learned(None, reason, {"kind": None, "reason": reason, **more})


class Heard(io.TextIOBase):
    """Passes text on and counts it."""

    def __init__(self, out: Any) -> None:
        self._out = out
        self.characters = 0

    def write(self, text: str) -> int:
        """Pass ``text`` on."""
        self.characters += len(text)
        return int(self._out.write(text))

    def flush(self) -> None:
        """Flush what it is passed on to."""
        self._out.flush()


def request(
    format: str, columns: Sequence[Column], values: Dict[str, List[Any]], count: int
) -> bytes:
    """A request of ``count`` rows in one of MLflow's formats; each column begins at another of its kind's values."""
    cells = []
    for place, column in enumerate(columns):
        choice = values[column.kind]
        cells.append([choice[(place + row) % len(choice)] for row in range(count)])
    names = [column.name for column in columns]
    if format == INPUTS:
        return json.dumps({format: dict(zip(names, cells))}).encode()
    rows = list(zip(*cells))
    if format == SPLIT:
        return json.dumps({format: {"columns": names, "data": rows}}).encode()
    key = INPUTS if format == INPUT_RECORDS else format
    return json.dumps({key: [dict(zip(names, row)) for row in rows]}).encode()


def same_array(array: Any, frame: Any) -> bool:
    """Whether scikit-learn would see the same: values, dtype and memory order of a DataFrame's array."""
    import numpy

    theirs = numpy.asarray(frame)
    return bool(
        theirs.dtype == array.dtype
        and theirs.flags.f_contiguous == array.flags.f_contiguous
        and numpy.array_equal(theirs, array)
    )


def same_frame(ours: Any, theirs: Any) -> bool:
    """Whether two DataFrames are alike: values, dtypes, columns, kind of row labels."""
    return bool(
        type(ours) is type(theirs)
        and ours.dtypes.tolist() == theirs.dtypes.tolist()
        and ours.columns.dtype == theirs.columns.dtype
        and type(ours.index) is type(theirs.index)
        and ours.index.dtype == theirs.index.dtype
        and ours.equals(theirs)
        and _kinds(ours) == _kinds(theirs)
    )


def _kinds(frame: Any) -> List[List[type]]:
    """The types of the objects in columns of objects, where 'a' and numpy.str_('a') are equal."""
    return [list(map(type, column)) for _, column in frame.items() if column.dtype == object]


def canonical(body: bytes) -> str:
    """JSON text in one spelling, in which 1, 1.0 and true differ."""
    return json.dumps(json.loads(body), sort_keys=True)
