// The blind start that is pinned: how it stood, and further prompts to try on it. Nothing is shown while nothing is pinned.
const { h, t } = stepwise;
const root = element.querySelector(".sw-pin");
const still = h("img", { alt: t("variety.pin.alt"), draggable: "false" });
const said = h("p", {});
const hint = h("p", { class: "sw-hint" });
const remove = h("button", { type: "button", class: "sw-quiet", id: "variety-unpin", onclick: () => set("") }, t("variety.pin.remove"));
const more = h("textarea", { class: "sw-input", rows: "2", id: "variety-further", placeholder: t("variety.pin.more"), "aria-label": t("variety.pin.more") });
root.replaceChildren(h("div", { class: "sw-pin-head" }, still, h("div", {}, said, hint), remove), more);

function pinned() {
  try {
    return props.value ? JSON.parse(props.value) : null;
  } catch {
    return null;
  }
}
function set(value) {
  props.value = value;
  show();
  trigger("input");
}
more.addEventListener("input", () => set(JSON.stringify({ ...pinned(), prompts: more.value })));

function show() {
  const pin = pinned();
  root.hidden = !pin;
  if (!pin) return;
  still.hidden = !pin.src;
  if (pin.src) still.src = pin.src;
  said.textContent = t("variety.pin.of", { seed: pin.seed ?? "?" });
  hint.textContent = t("variety.pin.hint", { steps: pin.start });
  if (document.activeElement !== more) more.value = pin.prompts ?? "";
}
watch("value", show);
show();
