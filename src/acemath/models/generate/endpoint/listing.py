"""Which models a server has: one request that generates nothing, to be made before anything is paid for."""

from __future__ import annotations

import difflib

import httpx

from acemath.errors import UserError
from acemath.models.generate.endpoint.errors import parsed, short
from acemath.models.generate.endpoint.replies import same_model
from acemath.models.spec import EndpointModel

PATIENCE = 10.0  # seconds to connect, and for each read
NAMED = 3  # the most names that a message has


def check_served(settings: EndpointModel) -> str:
    """Ask a server for its models (GET /models) and say what it answered.

    UserError if it does not answer, answers with a web page, refuses the key, or lists other models only. A server without such a list passes: its words say
    so. So does another name with `reports: "*"`.
    """
    key, url = settings.key(), httpx.URL(settings.url)
    try:
        reply = httpx.get(
            url.copy_with(path=url.path.rstrip("/") + "/models"),
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=min(PATIENCE, settings.timeout),
        )
    except httpx.RequestError as error:
        why = f"nothing within {PATIENCE:g} s" if isinstance(error, httpx.TimeoutException) else short(error) or type(error).__name__
        raise UserError(f"the server at {settings.url} does not answer ({why}); start it, or correct the model's url") from error
    if reply.status_code == 401:
        fix = f"correct the key in {settings.api_key_env}" if key else f"export its key as {settings.api_key_env}, or name another api_key_env"
        raise UserError(f"the server at {settings.url} refuses {'the key' if key else 'requests without a key'}; {fix}")
    if reply.status_code == 200 and reply.content.lstrip()[:1] == b"<":
        raise UserError(
            f"the server at {settings.url} answers with a web page; correct the model's url, or the proxy that stands between (HTTP_PROXY, "
            "NO_PROXY)"
        )
    names = _names(reply.content) if reply.status_code == 200 else []
    if not names:
        return f"the server at {settings.url} answers, but lists no models (status {reply.status_code})"
    if any(same_model(settings.id, name) or same_model(name, settings.id) for name in names):
        return f"the server at {settings.url} has {settings.id}"
    shown = ", ".join(difflib.get_close_matches(settings.id, names, NAMED, 0.0))
    has = f"{shown}{f' and {len(names) - NAMED} more' if len(names) > NAMED else ''}"
    if settings.reports == "*":
        return f"the server at {settings.url} has {has}, and takes any name (reports)"
    raise UserError(
        f"the server at {settings.url} has {has}, and no {settings.id!r}; correct the model's id or url, "
        'or set its reports to "*" if the server takes any name'
    )


def _names(content: bytes) -> list[str]:
    """The names in a server's list of models; none if it is no such list."""
    found = (parsed(content) or {}).get("data")
    rows = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
    return [short(name) for row in rows if (name := row.get("id"))]
