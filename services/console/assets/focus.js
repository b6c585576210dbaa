// Keeps the place of the keyboard: pages redraw parts of themselves, and what had the focus may
// be gone then. It goes on at what looks the same, else before it, else at the place or the
// heading above it.
// Escape closes a question that was opened and goes back to the button that opened it.
(() => {
  const REACHED = "a[href], button, input, select, textarea, summary, [tabindex='0']";
  const shown = (element) => element.isConnected && element.checkVisibility();
  const reachable = (element) => element.tabIndex >= 0 && !element.disabled && shown(element);
  const likeness = (element) => JSON.stringify([
    element.tagName, element.name, element.getAttribute("href"),
    element.getAttribute("aria-label"), element.textContent,
  ]);
  const pathOf = (element) => {
    const path = [];
    for (let one = element.parentElement; one; one = one.parentElement) path.push(one);
    return path;
  };
  let last = null;
  let waiting = 0;

  const isLost = () => {
    const active = document.activeElement;
    return last && !shown(last.element) && (active === document.body || !shown(active));
  };
  const before = (place, element) => element.isConnected && [...place.querySelectorAll(REACHED)]
    .filter((one) => reachable(one)
      && one.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_FOLLOWING).pop();
  const next = ({ element, like, path }) => {
    for (const place of path.filter(shown)) {
      const same = [...place.querySelectorAll(REACHED)]
        .find((one) => reachable(one) && likeness(one) === like);
      if (same) return same;
      if (!place.matches(".choices, .card, .title, #content") || !place.innerText.trim()) continue;
      return before(place, element) || place.querySelector("h1, h2") || place;
    }
    return null;
  };
  const goOn = () => {
    if (!isLost()) return;
    const target = next(last);
    last = null;
    if (!target) return;
    if (!reachable(target)) target.tabIndex = -1;
    target.focus({ preventScroll: true });
    target.scrollIntoView({ block: "nearest" });
  };

  addEventListener("focusin", ({ target }) => {
    last = { element: target, like: likeness(target), path: pathOf(target) };
  });
  addEventListener("focusout", ({ target }) => setTimeout(() => {
    // Somebody clicked beside it: there is no place to keep.
    if (last?.element === target && shown(target) && document.activeElement === document.body) last = null;
  }));
  addEventListener("DOMContentLoaded", () => {
    const watch = new MutationObserver(() => {
      if (!isLost()) return;
      clearTimeout(waiting);
      waiting = setTimeout(goOn, 60); // a part that is drawn anew comes in two steps
    });
    const attributeFilter = ["class", "style", "hidden", "open"];
    watch.observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter });
  });
  addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && event.target.closest?.("details:is(.confirm, .more)[open]");
    if (!open) return;
    open.open = false;
    open.querySelector("summary").focus();
  });
})();
