// A link into something folded opens it: not every browser does so on its own.
(function () {
  "use strict";

  function reveal() {
    const id = decodeURIComponent(window.location.hash.slice(1));
    const target = id && document.getElementById(id);
    if (!target) return;
    let folded = target.closest("details:not([open])");
    if (!folded) return;
    for (; folded; folded = target.closest("details:not([open])")) folded.open = true;
    target.scrollIntoView({ behavior: "instant" });
  }

  window.addEventListener("hashchange", reveal);
  reveal();
})();
