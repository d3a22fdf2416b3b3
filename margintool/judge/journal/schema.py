"""The tables of a journal, as SQL. Read by journal_file.py, which makes and checks them.

Bodies and raw replies are compressed (journal_text.py); everything else is readable with any
SQLite tool: `sqlite3 pairs.journal.sqlite "SELECT reason, count(*) FROM replies GROUP BY 1"`.
"""

# "MJRN": tells a journal from any other SQLite file.
APPLICATION_ID = 0x4D4A524E
VERSION = 1

# batch: the batch that was open for the request when its reply came, else null.
_REPLY = """
        batch INTEGER REFERENCES batches (id),
        value REAL,
        read_from TEXT NOT NULL,
        aspects TEXT,
        reason TEXT,
        prompt_tokens INTEGER,
        completion_tokens INTEGER,
        finish_reason TEXT,
        seconds REAL NOT NULL,
        served_by TEXT NOT NULL,
        detail TEXT,
        rationale TEXT,
        raw BLOB NOT NULL
    )"""

TABLES = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE tasks (id INTEGER PRIMARY KEY, json TEXT NOT NULL UNIQUE)",
    # id: the order in which requests were planned.
    """CREATE TABLE requests (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        model TEXT NOT NULL,
        task INTEGER NOT NULL REFERENCES tasks (id),
        draw INTEGER NOT NULL,
        fence TEXT NOT NULL,
        body BLOB NOT NULL
    )""",
    f"CREATE TABLE replies (request INTEGER PRIMARY KEY REFERENCES requests (id), {_REPLY}",
    # Replies that could not be read and were asked for again: paid for, so they are kept.
    f"CREATE TABLE set_aside (request INTEGER NOT NULL REFERENCES requests (id), {_REPLY}",
    # The last error of a request that has no reply yet; attempts over all runs.
    """CREATE TABLE failures (
        request INTEGER PRIMARY KEY REFERENCES requests (id),
        error TEXT NOT NULL,
        attempts INTEGER NOT NULL
    )""",
    """CREATE TABLE batches (
        id INTEGER PRIMARY KEY,
        model TEXT NOT NULL,
        requests INTEGER NOT NULL,
        served_by TEXT NOT NULL,
        state TEXT NOT NULL,
        open INTEGER NOT NULL DEFAULT 1,
        sha256 TEXT,
        input_file_id TEXT,
        batch_id TEXT,
        output_file_id TEXT,
        error_file_id TEXT,
        error TEXT
    )""",
    """CREATE TABLE batch_requests (
        request INTEGER NOT NULL REFERENCES requests (id),
        batch INTEGER NOT NULL REFERENCES batches (id),
        PRIMARY KEY (request, batch)
    ) WITHOUT ROWID""",
    "CREATE INDEX batch_members ON batch_requests (batch, request)",
)

# The requests that this run wants; gone with the connection, in no file that others see.
WANTED = "CREATE TEMP TABLE wanted (request INTEGER PRIMARY KEY)"

# A request r that has no reply and is in no open batch.
IS_WAITING = """NOT EXISTS (SELECT 1 FROM replies WHERE replies.request = r.id)
    AND NOT EXISTS (
        SELECT 1 FROM batch_requests AS m JOIN batches AS b ON b.id = m.batch
        WHERE m.request = r.id AND b.open
    )"""
