// Small helps for a reader: copy a formula's LaTeX, show the page to a room, see which section one is in, go on there.
(() => {
  const article = document.querySelector("article.bd-article");
  if (!article) return;
  const make = (tag, attributes, text) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.textContent = text;
    return element;
  };

  // A formula under the pointer, or tapped, offers its LaTeX.
  const copy = make("button", { type: "button", class: "aevb-copy" }, "Copy LaTeX");
  copy.addEventListener("click", async () => {
    const latex = copy.parentElement.querySelector("annotation").textContent;
    try {
      await navigator.clipboard.writeText(latex);
      copy.textContent = "Copied";
    } catch {
      copy.textContent = "The browser does not allow it";
    }
  });
  const offer = (event) => {
    const box = event.target.closest?.("div.math");
    if (!box || !article.contains(box) || box.closest(".aevb-preview") || copy.parentElement === box) return;
    copy.textContent = "Copy LaTeX";
    box.append(copy);
  };
  if (navigator.clipboard) {
    article.addEventListener("pointerover", offer);
    article.addEventListener("focusin", offer);
  }

  // Paper is light, and all that is folded is open there.
  const page = document.documentElement;
  let opened = [];
  let theme = "";
  addEventListener("beforeprint", () => {
    theme = page.dataset.theme;
    page.dataset.theme = "light";
    opened = [...article.querySelectorAll("details:not([open])")];
    for (const details of opened) details.open = true;
  });
  addEventListener("afterprint", () => {
    page.dataset.theme = theme;
    for (const details of opened) details.open = false;
  });

  // For a projector: large letters, nothing beside them; the arrow keys go from section to section, Escape goes back.
  const sections = [...article.querySelectorAll("h1, h2, h3")];
  const present = make("button", { type: "button", class: "btn btn-sm aevb-present", "aria-pressed": "false" }, "");
  present.innerHTML = '<svg width="20" height="16" viewBox="0 0 20 16" aria-hidden="true"><path fill="none" stroke="currentColor" stroke-width="2" d="M1 2h18M3 2v8h14V2M10 10v3M6 15l4-2 4 2"/></svg>';
  present.setAttribute("aria-label", "Present this page");
  present.title = "Present this page (arrow keys: sections, Escape: back)";
  const show = (on) => {
    const at = sections.filter((heading) => heading.getBoundingClientRect().top < 160).pop();
    page.toggleAttribute("data-present", on);
    present.setAttribute("aria-pressed", String(on));
    at?.scrollIntoView();
  };
  present.addEventListener("click", () => show(!page.hasAttribute("data-present")));
  document.querySelector(".bd-header-article .article-header-buttons")?.prepend(present);
  addEventListener("keydown", (event) => {
    if (!page.hasAttribute("data-present") || event.target.closest?.("input, select, textarea, figure, dialog")) return;
    const step = { ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1 }[event.key];
    if (event.key === "Escape") show(false);
    if (!step) return;
    event.preventDefault();
    const tops = sections.map((heading) => heading.getBoundingClientRect().top);
    const next = step > 0 ? tops.findIndex((top) => top > 80) : tops.findLastIndex((top) => top < 20);
    sections[next]?.scrollIntoView();
  });

  // Where the reader is: in the contents beside the page, in the bar on top of a narrow one, and for the next visit. It
  // is the last section whose heading has come to the top; at the page's end the last one; after a jump, where it led.
  const headings = [...article.querySelectorAll("section > h2, section > h3")];
  const contents = document.querySelector("#pst-page-toc-nav");
  const links = [...(contents?.querySelectorAll("a") ?? [])];
  const mark = (heading) => {
    const link = heading && links.find((each) => each.hash === `#${heading.parentElement.id}`);
    for (const each of links) {
      each.classList.toggle("active", each === link);
      if (each === link) each.setAttribute("aria-current", "true");
      else each.removeAttribute("aria-current");
    }
    for (const entry of contents?.querySelectorAll(".toc-entry") ?? []) {
      entry.classList.toggle("active", entry.contains(link ?? null));
    }
    const box = contents?.closest(".bd-sidebar-secondary"); // which scrolls by itself
    if (!box) return;
    const inside = box.getBoundingClientRect(), at = link?.getBoundingClientRect();
    if (!at) box.scrollTop = 0;
    else if (at.top < inside.top || at.bottom > inside.bottom) box.scrollTop += at.top - inside.top - inside.height / 2;
  };
  const headingAt = (hash) => {
    let section = document.getElementById(hash.slice(1).split("?")[0])?.closest("section"); // a figure has its state there
    while (section && !headings.includes(section.querySelector(":scope > :is(h2, h3)"))) {
      section = section.parentElement.closest("section");
    }
    return section?.querySelector(":scope > :is(h2, h3)") ?? null;
  };
  let jump = { heading: headingAt(location.hash), from: NaN }; // what was jumped to, and where the page is since then
  const read = () => {
    if (Number.isNaN(jump.from)) jump.from = scrollY;
    if (jump.heading && jump.from === scrollY && jump.heading.getBoundingClientRect().top < innerHeight) return jump.heading;
    const end = scrollY > 0 && page.scrollHeight - innerHeight - scrollY < 2;
    return headings.findLast((heading) => heading.getBoundingClientRect().top < (end ? innerHeight : 120)) ?? null;
  };

  const many = headings.length >= 4;
  const words = (heading) => [...heading.childNodes].filter((node) => !node.classList?.contains("headerlink"))
    .map((node) => node.textContent).join("").trim();
  const here = make("a", { class: "aevb-here", href: "#" }, "");
  const bar = document.querySelector(".bd-header-article .header-article__inner");
  if (many) bar?.querySelector(".header-article-items__start")?.after(here);
  const key = `aevb-place ${location.pathname}`;
  const remembered = (() => { try { return localStorage.getItem(key); } catch { return null; } })();
  let current = null;
  let waiting = false;
  const look = () => {
    waiting = false;
    const last = read();
    if (last === current) return;
    current = last;
    mark(last);
    here.textContent = last ? words(last) : "";
    here.href = last ? `#${last.parentElement.id}` : "#";
    try {
      if (last && many) localStorage.setItem(key, last.parentElement.id);
    } catch { /* a browser that keeps nothing */ }
  };
  const soon = () => {
    if (!waiting) { waiting = true; requestAnimationFrame(look); }
  };
  addEventListener("scroll", soon, { passive: true });
  addEventListener("resize", soon, { passive: true });
  addEventListener("click", (event) => {
    const link = event.target.closest?.("a");
    if (!link?.hash || link.href.split("#")[0] !== location.href.split("#")[0]) return;
    jump = { heading: headingAt(link.hash), from: NaN };
    soon();
  });
  requestAnimationFrame(() => setTimeout(look)); // when the page has been laid out for its first picture

  const left = many && remembered && document.getElementById(remembered);
  const title = article.querySelector("h1");
  if (left && title && !location.hash && scrollY < 200 && headings.indexOf(left.querySelector("h2, h3")) > 0) {
    const link = make("a", { class: "aevb-resume", href: `#${remembered}` }, `Go on at “${words(left.querySelector("h2, h3"))}”`);
    title.after(link);
  }
})();
