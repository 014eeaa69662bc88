const { h, t } = stepwise;
const root = element.querySelector(".sw-presets");
// "x-sd15" is the same experiment as "x" for SD1.5: a small button beside it.
const opens = (name, attributes, ...children) => h("button", { type: "button", "data-preset": name, onclick: () => trigger("opened", { name }), ...attributes }, ...children);
root.replaceChildren(...props.names.filter((name) => !name.endsWith("-sd15")).map((name) => {
  const title = t(`preset.${name}.title`), large = `${name}-sd15`;
  const card = opens(name, { class: "sw-preset" }, h("b", {}, title), h("span", {}, t(`preset.${name}.look`)));
  if (!props.names.includes(large)) return card;
  return h("div", { class: "sw-preset-pair" }, card, opens(large, { class: "sw-quiet", title: t("preset.sd15.hint"), "aria-label": `${title}, SD1.5` }, "SD1.5"));
}));
