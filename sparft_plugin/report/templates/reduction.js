"use strict";
(() => {
  const map = document.getElementById("map");
  const tip = document.getElementById("tip");
  let pinned = null;

  const show = (arm) => {
    document.body.classList.toggle("one", arm !== null);
    for (const part of document.querySelectorAll("[data-arm]")) {
      part.classList.toggle("lit", part.dataset.arm === arm);
    }
  };
  const pin = (arm) => {
    pinned = arm === pinned ? null : arm;
    for (const button of document.querySelectorAll("button[data-arm]")) {
      button.setAttribute("aria-pressed", String(button.dataset.arm === pinned));
    }
    show(pinned);
  };

  for (const button of document.querySelectorAll("button[data-arm]")) {
    button.addEventListener("pointerenter", () => show(button.dataset.arm));
    button.addEventListener("pointerleave", () => show(pinned));
    button.addEventListener("focus", () => show(button.dataset.arm));
    button.addEventListener("blur", () => show(pinned));
    button.addEventListener("click", () => pin(button.dataset.arm));
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && pinned !== null) pin(pinned);
  });

  if (map) {
    // The nearest dot is easier to hit than a dot; the native titles stay for pages without script.
    const reach = 14;
    const dots = [...map.querySelectorAll(".dot")].map((dot) => ({
      dot,
      x: Number(dot.getAttribute("cx")),
      y: Number(dot.getAttribute("cy")),
      arm: dot.parentNode.dataset.arm,
      title: dot.querySelector("title").textContent,
    }));
    map.classList.add("live");
    const nearest = (event) => {
      const toMap = map.getScreenCTM().inverse();
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(toMap);
      let best = null;
      let least = (reach * toMap.a) ** 2;
      for (const one of dots) {
        const away = (one.x - at.x) ** 2 + (one.y - at.y) ** 2;
        if (away <= least && (pinned === null || one.arm === pinned)) [best, least] = [one, away];
      }
      return best;
    };
    let near = null;
    const point = (event) => {
      near?.dot.classList.remove("near");
      near = nearest(event);
      tip.hidden = near === null;
      if (near === null) return;
      near.dot.classList.add("near");
      const end = near.title.indexOf("\n");
      tip.querySelector("b").textContent = near.title.slice(0, end);
      tip.querySelector("p").textContent = near.title.slice(end + 1);
      const page = document.documentElement;
      const left = Math.min(event.clientX + 14, page.clientWidth - tip.offsetWidth - 8);
      const below = event.clientY + 18;
      const fits = below + tip.offsetHeight < page.clientHeight;
      tip.style.left = `${Math.max(8, left)}px`;
      tip.style.top = `${fits ? below : event.clientY - tip.offsetHeight - 14}px`;
    };
    map.addEventListener("pointermove", point);
    map.addEventListener("pointerdown", point);
    map.addEventListener("pointerleave", () => {
      near?.dot.classList.remove("near");
      near = null;
      tip.hidden = true;
    });
    map.addEventListener("click", () => {
      if (near !== null) pin(near.arm);
      else if (pinned !== null) pin(pinned);
      const button = document.querySelector('button[aria-pressed="true"]');
      if (button !== null) button.parentNode.scrollTop = button.offsetTop - button.parentNode.offsetTop;
    });
  }

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const one of closed) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of closed) one.open = false;
  });
})();
