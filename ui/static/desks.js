// The tabs in which a picture's settings can be opened.
(() => {
  const { h, t } = window.stepwise;
  if (window.stepwise.openIn) return;

  /** A button for each tab but `here`; `events`: in_text2image and so on, of the widget that they stand in; `go(event)` asks for it.
   * Returns the group, and a function that says which picture it is now. */
  function openIn(events, here, go) {
    const hint = h("span", { class: "sw-hint", id: `sw-open-in-${here || "gallery"}`, hidden: true }, t("open_in.variety.reason"));
    const buttons = events.filter((event) => event !== `in_${here}`).map((event) => {
      const tab = t(`tab.${event.slice(3)}`);
      return h("button", { type: "button", class: "sw-quiet", "data-open": event, "aria-label": t("open_in.tab", { tab }), onclick: () => go(event) }, tab);
    });
    const node = h("span", { class: "sw-open-in", role: "group", "aria-label": t("open_in") }, h("span", { class: "sw-hint", "aria-hidden": "true" }, t("open_in")), buttons, hint);
    const show = (picture) => {
      const closed = Boolean(picture?.id) && !picture.flow; // a blind start means nothing to its model
      for (const button of buttons) {
        const off = closed && button.dataset.open === "in_variety";
        button.disabled = !picture?.id || off;
        button.title = off ? hint.textContent : "";
        if (off) button.setAttribute("aria-describedby", hint.id);
        else button.removeAttribute("aria-describedby");
      }
      hint.hidden = !closed || here === "variety";
    };
    show(null);
    return [node, show];
  }
  window.stepwise.openIn = openIn;
})();
