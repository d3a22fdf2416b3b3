"""`margintool judge mock-server`: the stand-in judge. The work is in margintool.judge.mock."""

import typer

from margintool.cli.from_options import Given, command_from
from margintool.judge.mock.settings import MockOptions

HELP = """Serve a stand-in judge on this machine: no key, no network, no cost.

Example: margintool judge mock-server --port 8000

It speaks OpenAI's API (chat completions, models, files, batches) and rates an answer by its
number of distinct words: good for trying the tool out, no judge of quality. Models: mock-judge,
mock-judge-strict, mock-judge-noisy. GET /mock/stats shows counts, POST /mock/reset forgets them.
Ctrl-C stops it.
"""


def _run(given: Given) -> None:
    from margintool.judge.mock.serving import serve

    options = MockOptions(**given)
    stats = serve(options, lambda url: typer.echo(_welcome(url, options.api_key)))
    typer.echo(stats.summary())


def _welcome(url: str, api_key: str | None) -> str:
    key = "KEY" if api_key else "none"
    return (
        f"Stand-in judge at {url} (Ctrl-C stops it). In another shell:\n"
        f"  export OPENAI_BASE_URL={url} OPENAI_API_KEY={key}\n"
        "  margintool score --source gpt4 --input pairs.jsonl --out pairs.parquet "
        "--judge-model mock-judge"
    )


mock_server_command = command_from(MockOptions, _run, help=HELP)
