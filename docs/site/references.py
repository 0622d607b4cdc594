"""References to names: from what a signature or a text says to where it is explained."""

from __future__ import annotations

import inspect
from typing import Any

from public_names import is_public, public_name_of
from sphinx.addnodes import desc_signature, pending_xref

__all__ = ["resolve", "settle", "show_public_bases"]


def resolve(_: Any, environment: Any, node: Any, content: Any) -> Any:
    """Takes Sphinx's event `missing-reference`; returns a node that refers, or plain text.

    A name of Smelt's that is public is found wherever it was defined. What belongs to Python,
    NumPy or another library is text: their inventories would have to be fetched. What is left is
    a name of Smelt's that is not public or does not exist: Sphinx warns of it.
    """
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    path = public_name_of(target, node.get("py:module") or "")
    if path and path != target:
        domain = environment.get_domain("py")
        return domain.resolve_xref(
            environment, node["refdoc"], environment.app.builder, "obj", path, node, content
        )
    return None if target.startswith("smelt") else content


def settle(_: Any, doctree: Any) -> None:
    """Takes Sphinx's event `doctree-read`: finds the types of signatures among the public names.

    Those that are not public become plain text at once. Sphinx would look for each of them among
    all names of the site, and that takes longer than everything else.
    """
    references = (
        node
        for signature in doctree.findall(desc_signature)
        for node in signature.findall(pending_xref)
    )
    for node in list(references):
        path = public_name_of(node["reftarget"], node.get("py:module") or "")
        if path is None:
            node.replace_self(node.children)
        else:
            node["reftarget"], node["refspecific"] = path, False


def show_public_bases(_: Any, name: str, value: type, options: Any, bases: list[type]) -> None:
    """Takes Sphinx's event `autodoc-process-bases`: in the place of a private base stand its own.

    What nobody can import says nothing to a reader.
    """
    bases[:] = list(dict.fromkeys(_public(bases))) or [object]


def _public(bases: Any) -> Any:
    for base in bases:
        origin = base if inspect.isclass(base) else getattr(base, "__origin__", object)
        if is_public(origin) or not origin.__module__.startswith("smelt"):
            if origin.__name__ not in ("object", "Generic", "ABC", "Protocol"):
                yield origin
        else:
            yield from _public(origin.__bases__)
