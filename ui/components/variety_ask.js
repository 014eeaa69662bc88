// The plot and the endless run: a button each, and what it will take, said before it begins.
const { h, t } = stepwise;
const root = element.querySelector(".sw-variety-ask");
const asks = ["grid", "endless"].map((name) => {
  const hint = h("p", { class: "sw-hint", id: `variety-${name}-hint` });
  const act = { grid: () => trigger("grid"), endless: () => trigger("endless") }[name];
  const button = h("button", { type: "button", class: "sw-quiet", id: `variety-${name}`, "aria-describedby": hint.id, onclick: act }, t(`variety.${name}`));
  root.append(h("div", { class: "sw-variety-way" }, button, hint));
  return [name, button, hint];
});

function show() {
  for (const [name, button, hint] of asks) {
    hint.textContent = props.value?.off || props.value?.[name] || "";
    button.disabled = Boolean(props.value?.off);
  }
}
watch("value", show);
show();
