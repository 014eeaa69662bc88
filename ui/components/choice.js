const { field, h, t } = stepwise;
const select = h("select", { class: "sw-input" });
const restate = field(element, props, select);

const shown = (label) => (label.startsWith("=") ? label.slice(1) : t(label)); // "=name" is a plain name, else a text key

function show() {
  const value = props.value ?? "";
  const options = props.choices.map(([name, label]) => h("option", { value: name }, shown(label)));
  // A value from an opened recipe that is not here stays visible, so that the error about it makes sense.
  if (!props.choices.some(([name]) => name === value)) options.unshift(h("option", { value }, t("choice.missing", { name: value })));
  select.replaceChildren(...options);
  select.value = value;
}
select.addEventListener("change", () => {
  props.value = select.value;
  trigger("input");
});
watch(["value", "choices"], show);
watch("reason", restate);
show();
