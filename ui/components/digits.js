const { field, h } = stepwise;
const input = h("input", { class: "sw-input", type: "text", inputmode: "numeric", autocomplete: "off", spellcheck: "false" });
const restate = field(element, props, input);
const show = () => {
  if (document.activeElement !== input) input.value = props.value ?? "";
  input.placeholder = props.ghost ?? "";
};
input.addEventListener("input", () => {
  props.value = input.value.trim();
  trigger("input");
});
input.addEventListener("blur", show);
watch(["value", "ghost"], show);
watch("reason", restate);
show();
