"""The questions a locator asks inside the page, each one function of JavaScript and one round trip."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Step:
    """One narrowing of a locator: elements below the ones so far, by CSS, by text and by position."""

    css: str | None = None
    has_text: str | None = None
    index: int | None = None

    def as_argument(self) -> dict[str, Any]:
        """Return the step as the JSON that `FIND` reads."""
        return {"css": self.css, "hasText": self.has_text, "index": self.index}

    def __str__(self) -> str:
        parts = []
        if self.css is not None:
            parts.append(self.css)
        if self.has_text is not None:
            parts.append(f"has_text={self.has_text!r}")
        if self.index is not None:
            parts.append("last" if self.index == -1 else f"nth={self.index}")
        return " ".join(parts)


# Shared by every question. Open shadow roots are searched too, since what a user sees does not tell them apart.
_LIBRARY = r"""
const squeeze = text => (text || '').replace(/\s+/g, ' ').trim();
const roots = root => {
    const found = [root];
    for (const element of root.querySelectorAll('*'))
        if (element.shadowRoot) found.push(...roots(element.shadowRoot));
    return found;
};
const find = steps => {
    let found = [document];
    for (const step of steps) {
        if (step.css !== null) {
            const next = new Set();
            for (const start of found)
                for (const root of [...(start.shadowRoot ? roots(start.shadowRoot) : []), ...roots(start)])
                    for (const element of root.querySelectorAll(step.css)) next.add(element);
            found = [...next];
        }
        if (step.hasText !== null) {
            const wanted = squeeze(step.hasText).toLowerCase();
            found = found.filter(e => squeeze(e.innerText ?? e.textContent).toLowerCase().includes(wanted));
        }
        if (step.index !== null) {
            const one = found.at(step.index);
            found = one ? [one] : [];
        }
    }
    return found;
};
const visible = element => {
    if (!element.isConnected) return false;
    const style = getComputedStyle(element);
    if (style.visibility !== 'visible') return false;
    if (style.display === 'contents')
        return [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE
            ? squeeze(node.data) !== '' : node.nodeType === Node.ELEMENT_NODE && visible(node));
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.height > 0;
};
const disabled = element => element.matches(':disabled') || !!element.closest('[aria-disabled="true"]');
const readonly = element => element.readOnly === true || element.getAttribute('aria-readonly') === 'true';
const checked = element => 'checked' in element ? element.checked : element.getAttribute('aria-checked') === 'true';
const secret = element => element instanceof HTMLInputElement && element.type === 'password';
const describe = element => {
    const copy = element.cloneNode(false);
    if (secret(element)) copy.removeAttribute('value');
    const html = copy.outerHTML;
    return html.length > 120 ? html.slice(0, 117) + '...' : html;
};
"""


def _question(parameters: str, body: str, *, is_async: bool = False) -> str:
    prefix = "async " if is_async else ""
    return f"{prefix}({parameters}) => {{{_LIBRARY}{body}}}"


# What the assertions compare. One answer for all of them: a second trip would look at a second moment.
STATE = _question(
    "steps, most",
    """
    let found;
    try { found = find(steps); } catch (error) { return {error: String(error)}; }
    const first = found[0];
    const told = found.slice(0, most ?? found.length);
    const answer = {count: found.length, texts: told.map(e => e.innerText ?? e.textContent ?? '')};
    answer.visible = found.map(visible);
    if (found.length === 1) {
        answer.enabled = !disabled(first);
        answer.checked = checked(first);
        answer.value = 'value' in first ? String(first.value) : null;
        answer.secret = secret(first);
        answer.element = describe(first);
    }
    return answer;
    """,
)

# Whether an action may be done now. `still` is two animation frames at one place; a page that is not drawn has no
# frames, so a timer stands in for them. An animation that is pending has not moved anything yet, but will.
ACTIONABLE = _question(
    "steps, needs",
    """
    let found;
    try { found = find(steps); } catch (error) { return {error: String(error)}; }
    if (found.length !== 1) return {count: found.length, problem: found.length ? 'many' : 'no element matches'};
    const element = found[0];
    const answer = problem => ({count: 1, problem, element: describe(element)});
    if (!element.isConnected) return answer('it is not attached');
    if (needs.visible && !visible(element)) return answer('it is not visible');
    if (needs.enabled && disabled(element)) return answer('it is disabled');
    if (needs.editable && readonly(element)) return answer('it is read-only');
    if (needs.still) {
        const place = () => { const b = element.getBoundingClientRect(); return [b.x, b.y, b.width, b.height].join(); };
        const frame = () => new Promise(done => {
            requestAnimationFrame(() => done(true));
            setTimeout(() => done(false), 100);
        });
        const starting = () => {
            for (let node = element; node; node = node.parentElement)
                if (node.getAnimations().some(animation => animation.pending)) return true;
            return false;
        };
        const drawn = await frame();
        const before = place();
        await frame();
        if (before !== place() || (drawn && starting())) return answer('it is moving');
    }
    if (needs.hit) {
        element.scrollIntoView({block: 'center', inline: 'center', behavior: 'instant'});
        const box = element.getBoundingClientRect();
        let top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
        while (top && top.shadowRoot) {
            const inner = top.shadowRoot.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
            if (!inner || inner === top) break;
            top = inner;
        }
        const within = (node, outer) => {
            for (let n = node; n; n = n.parentNode || n.host) if (n === outer) return true;
            return false;
        };
        const label = top && top.closest && top.closest('label');
        if (top && !within(top, element) && !within(element, top) && !(label && label.control === element))
            return answer('it is covered by ' + describe(top));
    }
    return answer(null);
    """,
    is_async=True,
)

# The one element of a locator that was found actionable, or null if it is gone again.
ELEMENT = _question("steps", "return find(steps)[0] || null;")

# As if typed over what was there: `execCommand` gives the input event of typing and obeys maxlength; kinds of
# input that nobody types into (date, color, range) take the value itself.
FILL = r"""
(element, value) => {
    const input = element instanceof HTMLInputElement || element instanceof HTMLTextAreaElement;
    if (!input && !element.isContentEditable)
        return 'it is not an <input>, <textarea> or [contenteditable] element';
    if (input && ['checkbox', 'radio', 'file', 'button', 'submit', 'reset', 'image'].includes(element.type))
        return 'an <input type=' + element.type + '> cannot be filled';
    element.focus();
    if (!input) {
        document.getSelection().selectAllChildren(element);
        if (value) document.execCommand('insertText', false, value); else document.execCommand('delete');
        return null;
    }
    const direct = ['color', 'date', 'time', 'datetime-local', 'month', 'range', 'week'].includes(element.type);
    if (!direct) {
        element.select();
        if (value) document.execCommand('insertText', false, value); else document.execCommand('delete');
        const kept = element.maxLength >= 0 ? value.slice(0, element.maxLength) : value;
        if (element.value === kept || element.value !== '' && element.type === 'number') return null;
    }
    const prototype = element instanceof HTMLInputElement ? HTMLInputElement.prototype : HTMLTextAreaElement.prototype;
    Object.getOwnPropertyDescriptor(prototype, 'value').set.call(element, value);
    if (direct && element.value !== value) return 'the value is malformed for an <input type=' + element.type + '>';
    element.dispatchEvent(new InputEvent('input', {bubbles: true, composed: true, data: value}));
    element.dispatchEvent(new Event('change', {bubbles: true}));
    return null;
}
"""

SELECT = r"""
(element, wanted) => {
    if (!(element instanceof HTMLSelectElement)) return {problem: 'it is not a <select> element'};
    const options = [...element.options];
    const named = want => options.find(o => o.value === want) || options.find(o => o.label.trim() === want);
    const chosen = wanted.map(named);
    const missing = wanted.filter((want, i) => !chosen[i]);
    if (missing.length) return {problem: 'it has no option ' + JSON.stringify(missing[0])};
    if (!element.multiple && wanted.length !== 1) return {problem: 'it takes one option'};
    for (const option of options) option.selected = chosen.includes(option);
    element.dispatchEvent(new Event('input', {bubbles: true, composed: true}));
    element.dispatchEvent(new Event('change', {bubbles: true}));
    return {values: options.filter(o => o.selected).map(o => o.value)};
}
"""

CHECKED = "element => 'checked' in element ? element.checked : element.getAttribute('aria-checked') === 'true'"


def shown(value: object) -> str:
    """Return a value of the page as a message shows it: one line, quoted, not too long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 300 else f"{text[:297]}..."
