"""Any sequence of what a run does to a journal, against plain dicts that do the same."""

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from margintool.judge.item import Verdict
from margintool.judge.journal.journal import Failure, Journal, Stored
from tests.judge.journal_rows import SERVER, key, reply, request

numbers = st.lists(st.integers(0, 12), max_size=6)


class JournalModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.exits = ExitStack()
        folder = self.exits.enter_context(TemporaryDirectory())
        self.path = Path(folder, "journal.sqlite")
        self.planned: list[int] = []
        self.wanted: set[int] = set()
        self.values: dict[int, float] = {}
        self.errors: dict[int, str] = {}
        self.held: dict[int, int] = {}
        self.open()

    def open(self) -> None:
        self.opened = ExitStack()
        self.journal = self.opened.enter_context(Journal.open(self.path, write=True))

    def teardown(self) -> None:
        self.opened.close()
        self.exits.close()

    @rule(some=numbers)
    def plan(self, some: list[int]) -> None:
        new = [n for n in dict.fromkeys(some) if n not in self.planned]
        assert self.journal.plan(map(request, some)) == len(new)
        self.planned += new
        self.wanted |= set(some)

    @rule(some=numbers)
    def want(self, some: list[int]) -> None:
        self.journal.want([key(n) for n in some])
        self.wanted |= set(some) & set(self.planned)

    @rule(some=numbers, value=st.floats(1, 10))
    def store(self, some: list[int], value: float) -> None:
        known = [n for n in some if n in self.planned]
        new = {n for n in known if n not in self.values}
        assert self.journal.store([reply(n, value) for n in known]) == len(new)
        for n in new:
            self.values[n] = value
            self.errors.pop(n, None)

    @rule(some=numbers, error=st.text("ab", max_size=3))
    def fail(self, some: list[int], error: str) -> None:
        known = [n for n in some if n in self.planned]
        self.journal.fail([Failure(key(n), error) for n in known])
        self.errors.update({n: error for n in known if n not in self.values})

    @rule(some=numbers)
    def batch(self, some: list[int]) -> None:
        free = [n for n in dict.fromkeys(some) if n in self.waiting()]
        if free:
            made = self.journal.new_batch([key(n) for n in free], "gpt-4o", served_by=SERVER)
            self.held.update(dict.fromkeys(free, made))

    @rule(which=st.integers(1, 3))
    def close_batch(self, which: int) -> None:
        if which in self.held.values():
            released = [n for n, batch in self.held.items() if batch == which]
            unanswered = sum(n not in self.values for n in released)
            assert self.journal.close_batch(which, "expired") == unanswered
            for n in released:
                del self.held[n]

    @rule()
    def start_again(self) -> None:
        self.opened.close()
        self.wanted = set()
        self.open()

    def waiting(self) -> list[int]:
        return [n for n in self.planned if n not in self.values and n not in self.held]

    @invariant()
    def the_journal_says_what_the_dicts_say(self) -> None:
        waiting = self.waiting()
        for wanted_only in (True, False):
            due = [n for n in waiting if n in self.wanted or not wanted_only]
            found = self.journal.waiting(wanted_only=wanted_only)
            assert [int(r.key, 16) for r in found] == due
            assert self.journal.count_waiting(wanted_only=wanted_only) == len(due)
        counts = self.journal.counts()
        assert counts.planned == len(self.planned)
        assert counts.answered == len(self.values)
        assert counts.failed == len(self.errors)
        assert counts.waiting == len(waiting)
        assert counts.in_batches == len(self.planned) - len(self.values) - len(waiting)
        assert self.journal.verdicts([key(n) for n in range(13)]) == {
            key(n): Stored(
                Verdict(self.values[n]) if n in self.values else None, self.errors.get(n)
            )
            for n in range(13)
        }


TestJournalModel = JournalModel.TestCase
TestJournalModel.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
