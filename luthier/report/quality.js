"use strict";
(() => {
  const choice = document.getElementById("only");
  if (!choice) return;
  const checks = [...document.querySelectorAll(".check")];
  const show = (name) => {
    for (const check of checks) check.hidden = name !== "" && check.id !== name;
    choice.value = name;
  };
  choice.addEventListener("change", () => show(choice.value));
  document.getElementById("open").addEventListener("click", () => {
    const shown = checks.filter((check) => !check.hidden).flatMap((check) => [...check.querySelectorAll(".problem")]);
    const open = !shown.every((problem) => problem.open);
    for (const problem of shown) problem.open = open;
  });
  addEventListener("hashchange", () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.hidden) { show(""); target.scrollIntoView(); }
  });
  document.documentElement.classList.add("live");
})();
