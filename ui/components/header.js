const { h, icon, languages, lang, language, t, theme } = stepwise;
const root = element.querySelector(".sw-header");
const select = h("select", { class: "sw-input", "aria-label": t("header.language") }, languages.map((code) => h("option", { value: code }, t(`language.${code}`))));
select.value = lang;
select.addEventListener("change", () => language(select.value));
const shade = h("button", { type: "button", class: "sw-quiet sw-square", "aria-label": t("header.theme"), title: t("header.theme"),
  onclick: () => theme(theme() === "dark" ? "light" : "dark") }, icon("M8 1.8a6.2 6.2 0 1 0 0 12.4ZM8 1.8a6.2 6.2 0 0 1 0 12.4"));
root.replaceChildren(h("h1", { class: "sw-brand" }, "Stepwise"), h("span", { class: "sw-tools" }, props.guarded ? h("span", { class: "sw-hint" }, t("header.guarded")) : null, select, shade));
theme();
