// What the LoRAs in use do, by one click: without and with, by strength, by the step from which they act.
const { h, t } = stepwise;
const root = element.querySelector(".sw-lora-sweeps");
root.replaceChildren(h("div", { class: "sw-actions" }, ...["pair", "strength", "start"].map((kind) =>
  h("button", { type: "button", class: "sw-quiet", id: `lora-${kind}`, title: t(`lora.${kind}.hint`), onclick: () => trigger("sweep", { kind }) }, t(`lora.${kind}`)))));
