"use strict";
(() => {
  const source = document.getElementById("moments");
  if (source) {
    const { x, words, heights } = JSON.parse(source.textContent);
    const frames = [...document.querySelectorAll(".frame")];
    const values = [...document.querySelectorAll("[data-value]")];
    const still = values.map((element) => element.textContent);
    const shapes = frames.map((frame) => ({
      cursor: frame.querySelector(".cursor"),
      marks: [...frame.querySelectorAll(".on")],
    }));
    let place = x.length - 1;

    const show = (next) => {
      place = Math.max(0, Math.min(x.length - 1, next));
      for (const element of values) element.textContent = words[element.dataset.value][place];
      for (const { cursor, marks } of shapes) {
        cursor.setAttribute("x1", `${x[place]}%`);
        cursor.setAttribute("x2", `${x[place]}%`);
        cursor.removeAttribute("visibility");
        for (const mark of marks) {
          const height = heights[mark.dataset.curve][place];
          mark.setAttribute("visibility", height === null ? "hidden" : "visible");
          mark.setAttribute("cx", `${x[place]}%`);
          mark.setAttribute("cy", `${height ?? 0}%`);
        }
      }
      const said = Object.entries(words).map(([key, column]) => `${key.replaceAll("-", " ")} ${column[place]}`).join(", ");
      for (const frame of frames) {
        frame.setAttribute("aria-valuenow", String(place));
        frame.setAttribute("aria-valuetext", said);
      }
    };
    const hide = () => {
      values.forEach((element, i) => { element.textContent = still[i]; });
      for (const { cursor, marks } of shapes) {
        cursor.setAttribute("visibility", "hidden");
        for (const mark of marks) mark.setAttribute("visibility", "hidden");
      }
    };
    const nearest = (percent) => {
      let low = 0, high = x.length - 1;
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (x[middle] < percent) low = middle; else high = middle;
      }
      return percent - x[low] <= x[high] - percent ? low : high;
    };
    const keys = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity };

    frames.forEach((frame) => {
      const plot = frame.querySelector(".plot");
      const point = (event) => {
        const box = plot.getBoundingClientRect();
        show(nearest((100 * (event.clientX - box.left)) / box.width));
      };
      frame.tabIndex = 0;
      frame.setAttribute("role", "slider");
      frame.setAttribute("aria-label", `${plot.getAttribute("aria-label")} Arrow keys read the steps.`);
      frame.setAttribute("aria-valuemin", "0");
      frame.setAttribute("aria-valuemax", String(x.length - 1));
      frame.setAttribute("aria-valuenow", String(place));
      frame.addEventListener("pointermove", point);
      frame.addEventListener("pointerdown", point);
      frame.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hide(); });
      frame.addEventListener("focus", () => show(place));
      frame.addEventListener("blur", hide);
      frame.addEventListener("keydown", (event) => {
        if (!(event.key in keys)) return;
        event.preventDefault();
        show(place + keys[event.key]);
      });
    });
    document.documentElement.classList.add("live");
  }

  const folded = [...document.querySelectorAll("details")];
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = folded.filter((element) => !element.open);
    for (const element of opened) element.open = true;
  });
  addEventListener("afterprint", () => {
    for (const element of opened) element.open = false;
  });
})();
