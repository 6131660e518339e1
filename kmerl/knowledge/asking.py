"""Asking: each question once, answers kept as they come, unusable ones asked for again; whatever the engine."""

import json
import math
import os
import sqlite3
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from tqdm import tqdm

from kmerl.artifacts import write_json
from kmerl.knowledge.answers import AnswerStore, canonical
from kmerl.knowledge.constraints import check as check_constraint
from kmerl.knowledge.engines import Engine, open_engine
from kmerl.knowledge.engines.messages import Request, Response
from kmerl.knowledge.engines.params import EngineParams
from kmerl.knowledge.parsing import UnusableError
from kmerl.knowledge.prompts import Task, prompt
from kmerl.knowledge.requests import Answer, AskParams, RequestMaker, RequestWriter, read_answer

REQUESTS, RESPONSES, COST = "requests.jsonl", "responses.jsonl", "cost.json"
_OPEN, _USABLE, _FAULT = range(3)  # states of a question; an open one may have unusable answers


@dataclass(frozen=True)
class Asking:
    """Who is asked, how, and where answers are kept for all runs.

    Attributes:
        engine: which engine answers.
        ask: how questions are put.
        store: folder of kept answers.
        tell: gets what a dialogue cost in this run, when it ends; see :class:`Tally`.
    """

    engine: EngineParams
    ask: AskParams
    store: Path
    tell: Callable[["Tally"], None] | None = None


@dataclass
class Tally:
    """What a dialogue cost in this run, which depends on what was kept before.

    Attributes:
        questions: distinct ones.
        kept: of these answered by an earlier run.
        asked: sent to the engine, with repetitions.
        prompt_tokens, completion_tokens: of the answers that came.
        cached_tokens: of the prompts, found in the engine's prefix cache.
        seconds: from the first question to the last answer.
    """

    questions: int = 0
    kept: int = 0
    asked: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        if not self.asked:
            return f"{self.questions} questions, all answered before"
        rate = f"{self.asked / self.seconds:.1f}/s" if self.seconds >= 0.1 else "at once"
        shared = f", {self.cached_tokens / self.prompt_tokens:.0%} of the former cached" if self.cached_tokens else ""
        before = f" ({self.kept} answered before)" if self.kept else ""
        return (
            f"{self.questions} questions{before}, {self.asked} asked ({rate}), "
            f"{self.prompt_tokens} + {self.completion_tokens} tokens in and out{shared}"
        )


class Dialogue:
    """The questions and answers of one step, written to ``requests.jsonl`` and ``responses.jsonl`` of a folder.

    Answers are kept in the store as soon as they come; the two files follow from them, in the order of the
    questions, so that a run that was killed and repeated ends with the same bytes. Memory holds 22 bytes per distinct
    question and 8 each time that it is put; ids and texts are on disk.

    Args:
        asking: who is asked, and how.
        task: which prompt is put.
        max_tokens: longest answer at the first try.
        read: what an answer's text means; raises UnusableError if it cannot be read, and then it is asked for again.
        folder: gets the files, and ``cost.json``.
    """

    def __init__(self, asking: Asking, task: Task, max_tokens: int, read: Callable[[str], Any], folder: Path) -> None:
        self._asking, self._task, self._folder, self._read = asking, task, folder, read
        self._makers: dict[Task, RequestMaker] = {}
        self._writer = RequestWriter()
        self._limits = [math.ceil(max_tokens * asking.ask.growth**i) for i in range(asking.ask.retries + 1)]
        self.tally = Tally()
        self._state, self._tried = bytearray(), bytearray()  # of each question; how often it was answered
        self._place, self._begin, self._kind = array("q"), array("q"), array("I")
        self._constraints: list[dict[str, Any] | None] = []  # distinct ones, in which ``_kind`` points

    def __enter__(self) -> "Dialogue":
        self._folder.mkdir(parents=True, exist_ok=True)
        self._engine: Engine = open_engine(self._asking.engine)
        self._store = AnswerStore(self._asking.store, self._engine.model)
        # a private file that SQLite deletes by itself: ids of any number of questions take no memory
        self._ids = sqlite3.connect("")
        self._ids.execute("CREATE TABLE ids (id TEXT PRIMARY KEY, number INTEGER) WITHOUT ROWID")
        self._requests = (self._folder / REQUESTS).open("w+b")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if kind is None:
                self._write_responses()
                if self._asking.tell:
                    self._asking.tell(self.tally)
        finally:
            self._engine.close()
            self._store.close()
            self._requests.close()
            self._ids.close()

    def request(self, constraint: dict[str, Any] | None = None, task: Task | None = None, **fields: str) -> Request:
        """A question: the prompt with its fields filled in.

        Args:
            constraint: of the answer, if answers are constrained.
            task: another prompt than the dialogue's own.
            fields: of the prompt.
        """
        task = task or self._task
        if task not in self._makers:
            engine, ask = self._asking.engine, self._asking.ask
            self._makers[task] = RequestMaker(prompt(task), self._engine.model, engine, ask, self._limits[0])
        return self._makers[task].make(constraint, **fields)

    def ask(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Ask what was not asked before, by this run or an earlier one.

        Args:
            requests: may repeat each other; taken one at a time.

        Returns:
            One answer per request, in their order, each read when it is taken; if no try was of use, the last one and
            its problem.

        Raises:
            UserError: the engine cannot go on, or answers cannot be kept.
        """
        first = len(self._state)
        self._requests.seek(0, os.SEEK_END)
        numbers = array("q", map(self._add, requests))
        self._requests.flush()
        self._find_kept(first)
        todo, begin = len(self._waiting(first, len(self._limits))), time.monotonic()
        with tqdm(total=todo, desc=self._task, unit="question", disable=None) as bar:
            for attempt in range(len(self._limits)):
                if waiting := self._waiting(first, attempt + 1):
                    self._round(waiting, attempt, bar)
        if todo:
            self.tally.seconds += time.monotonic() - begin
        return map(self._answer, numbers)

    # --- questions

    def _add(self, request: Request) -> int:
        """The number of a question; a new one is written down."""
        number = len(self._state)
        row = (request["custom_id"], number)
        if self._ids.execute("INSERT OR IGNORE INTO ids VALUES (?, ?)", row).rowcount == 0:
            known = self._number(request["custom_id"])
            assert known is not None
            return known
        self._begin.append(self._requests.tell())
        self._requests.write(self._writer.line(request))
        self._state.append(_OPEN)
        self._tried.append(0)
        self._place.append(-1)
        constraint = request["body"].get("structured_outputs")
        if not self._constraints or constraint is not self._constraints[-1]:
            self._constraints.append(constraint)
        self._kind.append(len(self._constraints) - 1)
        self.tally.questions += 1
        return number

    def _number(self, request: str) -> int | None:
        found = self._ids.execute("SELECT number FROM ids WHERE id = ?", (request,)).fetchone()
        return None if found is None else int(found[0])

    def _waiting(self, first: int, attempts: int) -> "array[int]":
        """The questions from ``first`` on that have no usable answer and were tried less than so many times."""
        of = range(first, len(self._state))
        return array("q", (n for n in of if self._state[n] == _OPEN and self._tried[n] < attempts))

    def _pending(self, numbers: Iterable[int], max_tokens: int) -> Iterator[Request]:
        # engines take questions in a thread of their own, hence a handle of its own
        with (self._folder / REQUESTS).open("rb") as file:
            for number in numbers:
                file.seek(self._begin[number])
                request: Request = json.loads(file.readline())
                request["body"]["max_tokens"] = max_tokens
                self.tally.asked += 1
                yield request

    # --- answers

    def _find_kept(self, first: int) -> None:
        """Take what earlier runs kept: a usable answer of any limit, else as many tries as were made."""

        def wanted(request: str) -> int | None:
            number = self._number(request)
            return None if number is None or number < first else number

        for number, limit, place in self._store.find(wanted):
            response = self._store.read(place)
            if response is None or self._state[number] == _USABLE:
                continue
            attempt = self._limits.index(limit) if limit in self._limits else 0
            usable = self._judged(number, response).problem is None
            if usable or limit in self._limits:
                self._place[number], self._tried[number] = place, max(self._tried[number], attempt + 1)
                self._state[number] = _USABLE if usable else _OPEN
        kept = (
            self._state[n] == _USABLE or self._tried[n] == len(self._limits) for n in range(first, len(self._state))
        )
        self.tally.kept += sum(kept)

    def _round(self, waiting: "array[int]", attempt: int, bar: "tqdm[Any]") -> None:
        """Ask what has no usable answer yet, with the limit of this attempt."""
        limit = self._limits[attempt]
        for response in self._engine.answer(self._pending(waiting, limit)):
            number = self._number(str(response.get("custom_id")))
            if number is None or self._state[number] == _USABLE:
                continue
            self._count(response)
            self._place[number], self._tried[number] = self._store.keep(response, limit), attempt + 1
            if response.get("error"):
                self._state[number] = _FAULT
            elif self._judged(number, response).problem is None:
                self._state[number] = _USABLE
            if self._state[number] != _OPEN or attempt + 1 == len(self._limits):
                bar.update()

    def _answer(self, number: int) -> Answer:
        response = self._response(number)
        if response is None:
            self._requests.seek(self._begin[number])
            return Answer(json.loads(self._requests.readline())["custom_id"], "", "no answer")
        return self._judged(number, response)

    def _judged(self, number: int, response: Response) -> Answer:
        """An answer with what it means, or why it cannot be used."""
        answer = read_answer(response)
        if answer.problem:
            return answer
        try:
            if self._state[number] != _USABLE:
                check_constraint(self._constraints[self._kind[number]], answer.content)
            return replace(answer, value=self._read(answer.content))
        except UnusableError as error:
            return replace(answer, problem=str(error))

    def _response(self, number: int) -> Response | None:
        place = self._place[number]
        return None if place < 0 else self._store.read(place)

    def _count(self, response: Response) -> None:
        usage = ((response.get("response") or {}).get("body") or {}).get("usage") or {}
        for name in ("prompt_tokens", "completion_tokens", "cached_tokens"):
            setattr(self.tally, name, getattr(self.tally, name) + int(usage.get(name) or 0))

    def _write_responses(self) -> None:
        """All answers in the order of the questions, and what they cost whoever asks them anew."""
        cost = {
            "questions": len(self._state),
            "asked": sum(self._tried),
            "again": sum(tried > 1 for tried in self._tried),
            "unusable": 0,
            "prompt_tokens": 0,
            "completion_tokens": 0,
        }
        with (self._folder / RESPONSES).open("w", encoding="utf-8") as file:
            for number in range(len(self._state)):
                response = self._response(number)
                cost["unusable"] += self._state[number] != _USABLE
                if response is None:
                    continue
                line = canonical(response)
                usage = ((line["response"] or {}).get("body") or {}).get("usage") or {}
                for name in ("prompt_tokens", "completion_tokens"):
                    cost[name] += int(usage.get(name) or 0)
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        write_json(self._folder / COST, {"model": self._engine.model, **cost})
