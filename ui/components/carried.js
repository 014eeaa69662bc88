const { h, t } = stepwise;
const root = element.querySelector(".sw-field");
const names = h("span", {});
const drop = h("button", { type: "button", class: "sw-quiet", onclick: () => {
  props.value = "{}";
  show();
  trigger("input");
} }, t("carried.remove"));
root.replaceChildren(h("p", { class: "sw-note" }, names, " ", drop));

function show() {
  let fields = {};
  try { fields = JSON.parse(props.value || "{}"); } catch { /* the server refuses it in words */ }
  const goes_on = fields.init?.trajectory !== undefined;
  const parts = Object.keys(fields).filter((name) => name !== "init" || !goes_on);
  root.hidden = parts.length === 0 && !goes_on;
  names.textContent = [goes_on ? t("carried.onward", { step: fields.init.start }) : "", parts.length ? t("carried.note", { names: parts.join(", ") }) : ""].filter(Boolean).join(" ");
}
watch("value", show);
show();
