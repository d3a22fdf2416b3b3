"""How servers want to be asked, as a journal keeps it. Part of `Journal`."""

import json
from dataclasses import asdict
from pathlib import Path
from sqlite3 import Connection

from margintool.judge.item import Dialect
from margintool.judge.journal.file import JournalFile
from margintool.judge.journal.records import Aside


class Dialects(JournalFile):
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


def _name(served_by: str, model: str) -> str:
    return "dialect " + json.dumps([served_by, model])
