"""What makes a browser context signed in, as plain data: cookies, and the storages of each origin.

The data have the form that pytest-playwright's users know: `cookies`, and `origins` with `localStorage`; to that
come `sessionStorage` and `indexedDB`. An origin is opened without asking its server: the request is answered here
with an empty document.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from typing import Any

from pyppeteer.errors import NetworkError

from ._origins import origin_of, visited
from ._sessions import lenient

VISIT_PATIENCE = 10.0
"""Seconds that opening one origin and reading or writing its storage may take."""

_HISTORY_ATTEMPTS = 20
_HISTORY_PAUSE = 0.05
BLANK_PATIENCE = 2.0
"""Seconds that an empty document may take to load."""

_EMPTY = base64.b64encode(b"<!doctype html><title></title>").decode("ascii")

_READ = """async () => {
  const pairs = storage => Object.keys(storage).map(name => ({name, value: storage.getItem(name)}));
  const done = request => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const databases = [];
  for (const {name, version} of await indexedDB.databases()) {
    const database = await done(indexedDB.open(name));
    const stores = [];
    for (const storeName of database.objectStoreNames) {
      const store = database.transaction(storeName).objectStore(storeName);
      const indexes = [...store.indexNames].map(one => store.index(one)).map(
        ({name, keyPath, unique, multiEntry}) => ({name, keyPath, unique, multiEntry}));
      const {keyPath, autoIncrement} = store;
      const [keys, values] = await Promise.all([done(store.getAllKeys()), done(store.getAll())]);
      const records = keys.map((key, i) => keyPath === null ? {key, value: values[i]} : {value: values[i]});
      stores.push({name: storeName, keyPath, autoIncrement, indexes, records});
    }
    database.close();
    databases.push({name, version, stores});
  }
  const state = {localStorage: pairs(localStorage), sessionStorage: pairs(sessionStorage), indexedDB: databases};
  return JSON.parse(JSON.stringify(state));
}"""
_WRITE = """async state => {
  for (const {name, value} of state.localStorage || []) localStorage.setItem(name, value);
  for (const {name, value} of state.sessionStorage || []) sessionStorage.setItem(name, value);
  for (const {name, version, stores} of state.indexedDB || []) {
    const database = await new Promise((resolve, reject) => {
      const request = indexedDB.open(name, version);
      request.onerror = () => reject(request.error);
      request.onsuccess = () => resolve(request.result);
      request.onupgradeneeded = () => {
        for (const {name, keyPath, autoIncrement, indexes} of stores) {
          const store = request.result.createObjectStore(name, {keyPath, autoIncrement});
          for (const {name, keyPath, unique, multiEntry} of indexes)
            store.createIndex(name, keyPath, {unique, multiEntry});
        }
      };
    });
    for (const {name, records} of stores) {
      const transaction = database.transaction(name, 'readwrite');
      for (const {key, value} of records) transaction.objectStore(name).put(value, key);
      await new Promise((resolve, reject) => {
        transaction.oncomplete = resolve;
        transaction.onerror = () => reject(transaction.error);
      });
    }
    database.close();
  }
}"""
CLEAR_SESSION_STORAGE = "() => sessionStorage.clear()"

# What `Storage.setCookies` takes of a cookie; the rest of one that was read only describes it.
_COOKIE = (
    "name",
    "value",
    "url",
    "domain",
    "path",
    "secure",
    "httpOnly",
    "sameSite",
    "expires",
    "priority",
    "sourceScheme",
    "sourcePort",
    "partitionKey",
)


async def read(page: Any) -> dict[str, Any]:
    """The state of a page's context. Session storage is the tab's own and given for the origin that is open."""
    target = page._target
    connection = page._client._connection
    cookies = (await connection.send("Storage.getCookies", page._context_param()))["cookies"]
    here = origin_of(page.url)
    origins = []
    others = [origin for origin in visited(target.browserContext).origins if origin not in (here, "file://")]
    if here is not None and here != "file://":
        origins.append({"origin": here, **await page.evaluate(_READ)})
    if others:
        origins.extend(await _read_others(connection, page._context_param(), others))
    kept = [one for one in origins if one["localStorage"] or one["sessionStorage"] or one["indexedDB"]]
    return {"cookies": cookies, "origins": kept}


async def _read_others(connection: Any, where: dict[str, str], origins: list[str]) -> list[dict[str, Any]]:
    created = await lenient(connection.send("Target.createTarget", {"url": "about:blank", **where}))
    if created is None:
        return []  # a browser that makes no further pages can be asked for the one that it has
    info = {"targetId": created["targetId"], "type": "page"}
    try:
        client = await connection.createSession(info)
        return [{"origin": origin, **await visit(client, origin, _READ)} for origin in origins]
    finally:
        await lenient(connection.send("Target.closeTarget", {"targetId": created["targetId"]}))


async def apply(connection: Any, target: Any, state: Mapping[str, Any], where: dict[str, str]) -> None:
    """Put cookies, local storage and databases into the context of a fresh page.

    Another tab goes to the origins, so that the page has no history; where there is none, the page's own goes.
    """
    cookies = [_cookie(cookie) for cookie in state.get("cookies", ())]
    if cookies:
        await connection.send("Storage.setCookies", {"cookies": cookies, **where})
    origins = [entry for entry in state.get("origins", ()) if entry.get("localStorage") or entry.get("indexedDB")]
    if not origins:
        return
    created = await lenient(connection.send("Target.createTarget", {"url": "about:blank", **where}))
    client = await connection.createSession({"type": "page", **created} if created else target._targetInfo)
    try:
        for entry in origins:
            values = {key: entry[key] for key in ("localStorage", "indexedDB") if key in entry}
            await visit(client, entry["origin"], f"() => ({_WRITE})({json.dumps(values)})")
        if not created:
            await blank(client)
    finally:
        if created:
            await lenient(connection.send("Target.closeTarget", created))
        else:
            await lenient(client.detach())


async def seed_session_storage(page: Any, state: Mapping[str, Any]) -> None:
    """Fill the tab's session storage when it first comes to each origin: it is the tab's, no other can do it."""
    scripts: dict[str, str] = {}
    for entry in state.get("origins", ()):
        if entry.get("sessionStorage"):
            values = json.dumps({"sessionStorage": entry["sessionStorage"]})
            source = f"if (location.origin === {json.dumps(entry['origin'])} && window === top) ({_WRITE})({values})"
            added = await page._client.send("Page.addScriptToEvaluateOnNewDocument", {"source": source})
            scripts[entry["origin"]] = added["identifier"]

    def navigated(frame: Any) -> None:
        identifier = scripts.pop(origin_of(frame.url) or "", None) if frame.parentFrame is None else None
        if identifier is not None:
            # Once only: what the site takes out of it later must stay out.
            answer = page._client.send("Page.removeScriptToEvaluateOnNewDocument", {"identifier": identifier})
            page._client._loop.create_task(lenient(answer))

    if scripts:
        page._frameManager.on("framenavigated", navigated)


async def blank(client: Any) -> None:
    """Bring a page to `about:blank` without a past."""
    stopped: asyncio.Future[None] = client._loop.create_future()
    client.once("Page.frameStoppedLoading", lambda event: _set(stopped))
    await client.send("Page.enable")
    await client.send("Page.navigate", {"url": "about:blank"})
    # While a navigation is under way the browser keeps the history.
    await asyncio.wait([stopped], timeout=BLANK_PATIENCE)
    for _ in range(_HISTORY_ATTEMPTS):
        await lenient(client.send("Page.resetNavigationHistory"))
        history = await lenient(client.send("Page.getNavigationHistory"))
        if history is not None and len(history["entries"]) <= 1:
            return
        # What stopped was the document before, or the page is between two processes and answers with an error.
        await asyncio.sleep(_HISTORY_PAUSE)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def visit(client: Any, origin: str, function: str) -> Any:
    """Run a function in an empty document of an origin, without a request to its server; gives its value."""

    def answer(event: dict[str, Any]) -> None:
        headers = [{"name": "content-type", "value": "text/html"}]
        params = {"requestId": event["requestId"], "responseCode": 200, "responseHeaders": headers, "body": _EMPTY}
        client._loop.create_task(lenient(client.send("Fetch.fulfillRequest", params)))

    client.on("Fetch.requestPaused", answer)
    try:
        await client.send("Fetch.enable", {"patterns": [{"urlPattern": "*"}]})
        return await asyncio.wait_for(_evaluate_at(client, origin, function), VISIT_PATIENCE)
    finally:
        client.remove_listener("Fetch.requestPaused", answer)
        await lenient(client.send("Fetch.disable"))


async def _evaluate_at(client: Any, origin: str, function: str) -> Any:
    went = await client.send("Page.navigate", {"url": f"{origin}/"})
    if went.get("errorText"):
        raise NetworkError(f"the storage of {origin} cannot be reached: {went['errorText']}")
    params = {"expression": f"({function})()", "awaitPromise": True, "returnByValue": True}
    answer = await client.send("Runtime.evaluate", params)
    if "exceptionDetails" in answer:
        details = answer["exceptionDetails"]
        raise NetworkError(f"the storage of {origin} could not be used: {details.get('exception', details)}")
    return answer["result"].get("value")


def _cookie(cookie: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: cookie[key] for key in _COOKIE if cookie.get(key) is not None}
    if kept.get("expires", 0) <= 0:
        kept.pop("expires", None)  # a cookie of the session
    return kept
