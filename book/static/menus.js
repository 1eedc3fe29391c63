// The theme's menus and hints are Bootstrap's, a script of 80 kB: it comes when a reader is at one of them. The button
// "Back to top", which the same script moves, is moved here.
(() => {
  const held = document.querySelector("script[data-later]");
  const kinds = ["pointerover", "focusin", "click"];
  let pressed = null;
  let asked = false;
  const come = ({ type, target }) => {
    const at = target.closest?.("[data-bs-toggle]");
    if (!at) return;
    if (type === "click" && at.dataset.bsToggle === "dropdown") pressed = at; // it opens when the script is there
    if (asked) return;
    asked = true;
    const script = document.createElement("script");
    script.src = held.dataset.later;
    script.onload = () => {
      for (const kind of kinds) removeEventListener(kind, come);
      pressed?.click();
    };
    script.onerror = () => {
      asked = false; // so that the next touch tries again
      script.remove();
    };
    document.head.append(script);
  };
  if (held) for (const kind of kinds) addEventListener(kind, come);

  const top = document.getElementById("pst-back-to-top");
  const header = document.querySelector(".bd-header");
  if (!top || !header) return;
  const end = header.getBoundingClientRect().bottom;
  let before = scrollY;
  top.addEventListener("click", () => scrollTo(0, 0));
  addEventListener("scroll", () => {
    top.style.display = scrollY < before && scrollY > end ? "block" : "none";
    before = scrollY;
  }, { passive: true });
})();
