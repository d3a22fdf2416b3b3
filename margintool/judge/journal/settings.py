"""What holds for a whole journal: its secret, and how its replies are read. Part of `Journal`."""

from margintool.judge.journal.file import JournalFile


class Settings(JournalFile):
    """The part of a journal that knows what holds for all of it."""

    @property
    def salt(self) -> str:
        """32 hex digits, random, made with the journal: the fences are derived from it."""
        return str(self.rows("SELECT value FROM meta WHERE name = 'salt'")[0][0])

    @property
    def pattern(self) -> str | None:
        """The regular expression that replies are read with; None for the built-in parser."""
        found = self.rows("SELECT value FROM meta WHERE name = 'pattern'")
        return str(found[0][0]) if found else None

    def keep_pattern(self, pattern: str | None) -> None:
        """Keep what replies are read with from now on."""
        with self.transaction() as db:
            db.execute("DELETE FROM meta WHERE name = 'pattern'")
            if pattern is not None:
                db.execute("INSERT INTO meta VALUES ('pattern', ?)", (pattern,))
