const { h, t } = stepwise;
const root = element.querySelector(".sw-field");
const box = h("input", { type: "checkbox" });
root.replaceChildren(h("label", { class: "sw-check" }, box, h("span", {}, t(props.label_key))), h("p", { class: "sw-hint" }, props.hint_key ? t(props.hint_key) : ""));
const show = () => { box.checked = props.value === true; };
box.addEventListener("change", () => {
  props.value = box.checked;
  trigger("input");
});
watch("value", show);
show();
