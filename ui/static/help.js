// A quiet "?" beside a setting; its card opens in place, beside the control and never over it.
(() => {
  const { h, t } = window.stepwise;
  if (window.stepwise.help) return;
  const GAP = 8; // pixels
  let serial = 0;

  /** Under the control, else above it, else beside it; where nothing fits, on its roomier side, and scrolled. */
  function place(panel, control) {
    const at = control.getBoundingClientRect(), wide = document.documentElement.clientWidth, high = window.innerHeight;
    panel.style.maxHeight = "";
    const { width, height } = panel.getBoundingClientRect();
    const below = high - at.bottom - 2 * GAP, above = at.top - 2 * GAP;
    const clamp = (value, size, most) => Math.max(GAP, Math.min(value, most - size - GAP));
    const put = (left, top, most) => Object.assign(panel.style, { left: `${left}px`, top: `${top}px`, maxHeight: `${Math.max(most, 0)}px` });
    if (Math.max(below, above) < height && wide - at.right >= width + 2 * GAP) return put(at.right + GAP, clamp(at.top, height, high), high - 2 * GAP);
    const under = below >= Math.min(height, above);
    return put(clamp(at.left, width, wide), under ? at.bottom + GAP : Math.max(GAP, at.top - GAP - height), under ? below : above);
  }

  function words(id, title) {
    const said = ["low", "high", "none", "usual"].map((part) => [t(`explain.${part}`), t(`card.${id}.${part}`)]).filter(([, text]) => text);
    return [
      h("p", { class: "sw-help-title", id: title }, t(`card.${id}.title`)), h("p", {}, t(`card.${id}.what`)), h("p", { class: "sw-help-like" }, t(`card.${id}.like`)),
      h("dl", {}, said.flatMap(([name, text]) => [h("dt", {}, name), h("dd", {}, text)])),
    ];
  }

  /** The explainer's tab, which on a phone lies behind a button that knows it by its name alone. */
  const tab = () => document.getElementById("tab-explainer-button")
    ?? [...document.querySelectorAll("#tabs .overflow-dropdown button")].find((one) => one.textContent.trim() === t("tab.explainer"));

  /** To the setting's card in the explainer, once its tab has been drawn. */
  function show(id, frames = 120) {
    const card = document.getElementById(`card-${id}`);
    if (!card?.getClientRects().length) {
      if (frames) requestAnimationFrame(() => show(id, frames - 1));
      return;
    }
    const title = card.querySelector(`#card-${id}-title`) ?? card;
    title.tabIndex = -1;
    title.focus({ preventScroll: true });
    card.scrollIntoView({ block: "start" });
  }

  /** The "?" of a card, with the card that it opens; they stand within the field that they explain. */
  function help(id) {
    const name = `sw-help-${++serial}`;
    const ask = h("button", { type: "button", class: "sw-help-ask", "aria-label": t("explain.help.ask", { name: t(`card.${id}.title`) }), "aria-expanded": "false", "aria-controls": name, "data-card": id },
      h("span", { "aria-hidden": "true" }, "?"));
    const panel = h("div", { class: "sw-help-card", id: name, popover: "auto", role: "group", "aria-labelledby": `${name}-title` });
    const link = () => h("button", { type: "button", class: "sw-help-move", onclick: () => {
      panel.hidePopover();
      tab()?.click();
      show(id);
    } }, t("explain.help.move"));
    const again = (event) => { if (event.target !== panel) place(panel, ask.closest(".sw-field") ?? ask); };
    const escape = (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      event.stopPropagation(); // it would stop the run, too
      panel.hidePopover();
      ask.focus({ preventScroll: true });
    };
    panel.addEventListener("beforetoggle", ({ newState }) => {
      const opens = newState === "open", change = opens ? "addEventListener" : "removeEventListener";
      ask.setAttribute("aria-expanded", String(opens));
      if (opens) panel.replaceChildren(...words(id, `${name}-title`), link());
      panel.style.visibility = opens ? "hidden" : ""; // until its place is known
      document[change]("keydown", escape, true);
      window[change]("scroll", again, { capture: true, passive: true });
      window[change]("resize", again);
    });
    panel.addEventListener("toggle", (event) => {
      if (event.newState !== "open") return;
      again({});
      panel.style.visibility = "";
    });
    ask.popoverTargetElement = panel;
    return h("span", { class: "sw-help" }, ask, panel);
  }
  window.stepwise.help = help;
})();
