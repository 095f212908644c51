"""`page.accessibility`, which pyppeteer 2.0.0 does not have: the tree that assistive technology sees, as plain data."""

from __future__ import annotations

from typing import Any

_STRINGS = ("name", "value", "description", "keyshortcuts", "roledescription", "valuetext")
_BOOLEANS = (
    "disabled",
    "expanded",
    "focused",
    "modal",
    "multiline",
    "multiselectable",
    "readonly",
    "required",
    "selected",
)
_TRISTATES = ("checked", "pressed")
_NUMBERS = ("level", "valuemax", "valuemin")
_TOKENS = ("autocomplete", "haspopup", "invalid", "orientation")

# Roles that say nothing by themselves; their children take their place.
_UNINTERESTING = {"none", "generic", "InlineTextBox", "LineBreak", "ignored", "presentation", "StaticText", "paragraph"}
# What these contain is said by their own name.
_LEAVES = {"button", "link", "textbox", "searchbox", "checkbox", "radio", "image", "img", "heading", "option", "tab"}


class Accessibility:
    """The accessibility tree of one page."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def snapshot(
        self, options: dict[str, Any] | None = None, *, interestingOnly: bool = True, root: Any = None
    ) -> dict[str, Any] | None:
        """The tree from `root` (an element, the document by default) with `role`, `name`, states and `children`.

        `interestingOnly` leaves out nodes without a role or a name of their own; None if nothing is left.
        """
        settings = {"interestingOnly": interestingOnly, "root": root, **(options or {})}
        nodes = (await self._client.send("Accessibility.getFullAXTree"))["nodes"]
        tree = {node["nodeId"]: node for node in nodes}
        start = nodes[0] if nodes else None
        if settings["root"] is not None:
            described = await self._client.send(
                "DOM.describeNode", {"objectId": settings["root"]._remoteObject["objectId"]}
            )
            wanted = described["node"]["backendNodeId"]
            start = next((node for node in nodes if node.get("backendDOMNodeId") == wanted), None)
        if start is None:
            return None
        found = _serialize(start, tree, bool(settings["interestingOnly"]))
        return found[0] if found else None


def _serialize(node: dict[str, Any], tree: dict[str, dict[str, Any]], interesting_only: bool) -> list[dict[str, Any]]:
    own = _own(node)
    leaf = interesting_only and own["role"] in _LEAVES and bool(own.get("name"))
    children: list[dict[str, Any]] = []
    if not leaf:
        for child_id in node.get("childIds", ()):
            if child_id in tree:
                children.extend(_serialize(tree[child_id], tree, interesting_only))
    if interesting_only and not _interesting(node, own):
        return children
    return [{**own, "children": children} if children else own]


def _interesting(node: dict[str, Any], own: dict[str, Any]) -> bool:
    if node.get("ignored"):
        return False
    if own["role"] == "StaticText":
        return bool(own.get("name", "").strip())
    return own["role"] not in _UNINTERESTING or bool(own.get("name"))


def _own(node: dict[str, Any]) -> dict[str, Any]:
    properties = {one["name"].lower(): one["value"].get("value") for one in node.get("properties", ())}
    for key in ("name", "value", "description"):
        if node.get(key, {}).get("value") not in (None, ""):
            properties[key] = node[key]["value"]
    own: dict[str, Any] = {"role": node.get("role", {}).get("value", "ignored" if node.get("ignored") else "none")}
    own.update({key: properties[key] for key in _STRINGS if key in properties})
    # The document is always the focused one of its page; that says nothing.
    own.update({k: True for k in _BOOLEANS if properties.get(k) and not (k == "focused" and _is_root(own))})
    for key in _TRISTATES:
        if key in properties:
            own[key] = "mixed" if properties[key] == "mixed" else properties[key] in (True, "true")
    own.update({key: properties[key] for key in _NUMBERS if key in properties})
    own.update({key: properties[key] for key in _TOKENS if properties.get(key) not in (None, False, "false")})
    return own


def _is_root(own: dict[str, Any]) -> bool:
    return own["role"] in ("RootWebArea", "WebArea")
