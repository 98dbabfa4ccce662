// Two masks on top of each other, and a slider that is where one ends and the other begins.
(function () {
  "use strict";

  for (const masks of document.querySelectorAll(".masks")) {
    const names = [...masks.querySelectorAll("span")].map((span) => span.textContent);
    const slider = document.createElement("input");
    slider.type = "range";
    slider.value = 50;
    slider.step = 5;
    slider.setAttribute("aria-label", names.join(" to ") + ": " + masks.querySelector("img").alt);
    const wipe = () => {
      masks.style.setProperty("--cut", slider.value + "%");
      slider.setAttribute("aria-valuetext", slider.value + " % " + names[0]);
    };
    slider.addEventListener("input", wipe);
    masks.append(slider);
    masks.classList.add("wiped");
    wipe();
  }
})();
