"""How servers want to be asked, as a journal keeps it. Part of `Journal`."""

import json
from dataclasses import asdict
from pathlib import Path
from sqlite3 import Connection

from margintool.judge.item import Dialect
from margintool.judge.journal.records import Aside
from margintool.judge.journal.settings import Settings


class Dialects(Settings):
    """The part of a journal that knows dialects, by server and model.

    `aside` is not in the file: what this process used to find dialects out, to be counted with
    what its run uses.
    """

    def __init__(self, path: Path, connection: Connection) -> None:
        super().__init__(path, connection)
        self.aside: list[Aside] = []

    def dialect(self, served_by: str, model: str) -> Dialect | None:
        """Return how a server wants to be asked for a model, or None if not found out yet."""
        found = self.rows("SELECT value FROM meta WHERE name = ?", (_name(served_by, model),))
        return Dialect(**json.loads(found[0][0])) if found else None

    def keep_dialect(self, served_by: str, model: str, dialect: Dialect) -> None:
        """Keep how a server wants to be asked for a model, over what was kept before."""
        with self.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)",
                (_name(served_by, model), json.dumps(asdict(dialect))),
            )

    def forget_dialect(self, served_by: str, model: str) -> None:
        """Forget how a server wants to be asked for a model: it refuses what it took before."""
        with self.transaction() as db:
            db.execute("DELETE FROM meta WHERE name = ?", (_name(served_by, model),))

    def written_for(self, model: str) -> set[Dialect]:
        """Return the dialects in which questions to a model may be written out by now."""
        found = self.rows("SELECT value FROM meta WHERE name = ?", (_written(model),))
        return {Dialect(**one) for one in json.loads(found[0][0])} if found else set()

    def keep_written(self, model: str, dialect: Dialect) -> None:
        """Keep that questions to a model are written out in a dialect from now on."""
        before = self.written_for(model)
        if dialect not in before:
            value = json.dumps([*map(asdict, before), asdict(dialect)])
            with self.transaction() as db:
                db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_written(model), value))


def _written(model: str) -> str:
    return "written " + json.dumps(model)


def _name(served_by: str, model: str) -> str:
    return "dialect " + json.dumps([served_by, model])
