const { field, h, hear, icon, t } = stepwise;
const input = h("input", { class: "sw-input", type: "text", inputmode: "numeric", autocomplete: "off", spellcheck: "false" });
const dice = h("button", { type: "button", class: "sw-quiet", title: t("seed.random.hint"), onclick: () => set("-1") }, t("seed.random"));
const reuse = h("button", { type: "button", class: "sw-quiet", title: t("seed.reuse.hint"), onclick: () => set(last) }, t("seed.reuse"));
const restate = field(element, props, h("div", { class: "sw-row" }, input, dice, reuse), { labelled: input });
let last = "";

// -1 is what a recipe says; a person reads "random".
function show() {
  const value = props.value ?? "-1";
  const random = value === "-1" || value === "";
  if (document.activeElement !== input) input.value = random ? "" : value;
  input.placeholder = t("seed.placeholder");
  dice.setAttribute("aria-pressed", String(random));
  reuse.disabled = !last;
}
function set(value) {
  props.value = value;
  show();
  if (document.activeElement !== input) input.value = value === "-1" ? "" : value;
  trigger("input");
}
input.addEventListener("input", () => set(input.value.trim() || "-1"));
input.addEventListener("blur", show);
hear("seed", (seed) => {
  last = seed;
  show();
}, element);
watch("value", show);
watch("reason", restate);
show();
