// Shows what a reference points to while the pointer is on it or the keyboard is at it. Escape closes it.
// What there is to show comes from _previews/, one script for each page, loaded when it is first asked for.
(() => {
  const PATIENCE = 250; // milliseconds until it opens, and until it closes
  const GAP = 6; // pixels between the reference and the preview
  const root = new URL(document.documentElement.dataset.content_root || "./", location.href);
  const pages = new Map();
  let shown = null; // the reference whose preview is open
  let wanted = null; // the reference whose preview is open or about to be
  let timer = 0;

  window.bookPreviews = {};

  const load = (page) => {
    if (!pages.has(page)) {
      pages.set(page, new Promise((resolve) => {
        const script = document.createElement("script");
        script.src = new URL(`_previews/${page}.js`, root).href;
        script.onload = () => resolve(window.bookPreviews[page] ?? {});
        script.onerror = () => resolve({});
        document.head.append(script);
      }));
    }
    return pages.get(page);
  };

  const target = (link) => {
    const url = new URL(link.href);
    if (!url.pathname.startsWith(root.pathname) || !url.pathname.endsWith(".html")) return null;
    const page = decodeURI(url.pathname.slice(root.pathname.length)).replace(/\.html$/, "");
    return { page, url, anchor: decodeURIComponent(url.hash.slice(1)) };
  };

  const article = document.querySelector("article.bd-article");
  if (!article) return;
  const preview = document.createElement("div");
  preview.id = "book-preview";
  preview.className = "aevb-preview";
  preview.setAttribute("role", "tooltip");
  preview.hidden = true;
  article.append(preview);

  const place = () => {
    if (!shown) return;
    const words = shown.getBoundingClientRect();
    const width = document.documentElement.clientWidth;
    const below = innerHeight - words.bottom - 2 * GAP;
    const above = words.top - 2 * GAP;
    const low = preview.scrollHeight <= below || below >= above;
    preview.style.maxHeight = `${Math.max(low ? below : above, 0)}px`;
    preview.style.top = low ? `${words.bottom + GAP}px` : "auto";
    preview.style.bottom = low ? "auto" : `${innerHeight - words.top + GAP}px`;
    const left = Math.min(words.left, width - preview.offsetWidth - GAP);
    preview.style.left = `${Math.max(left, GAP)}px`;
  };

  const close = () => {
    clearTimeout(timer);
    wanted = null;
    if (!shown) return;
    shown.removeAttribute("aria-describedby");
    shown = null;
    preview.hidden = true;
    preview.replaceChildren();
  };

  const open = async (link) => {
    if (link === shown) return;
    close();
    wanted = link;
    const { page, url, anchor } = target(link);
    const html = (await load(page))[anchor];
    if (wanted !== link || !html) return;
    const content = document.createElement("template");
    content.innerHTML = html;
    for (const image of content.content.querySelectorAll("img")) image.src = new URL(image.getAttribute("src"), url).href;
    preview.replaceChildren(content.content);
    preview.style.visibility = "hidden";
    preview.hidden = false;
    await Promise.all([...preview.querySelectorAll("img")].map((image) => image.decode().catch(() => {})));
    if (wanted !== link) return;
    for (const box of preview.querySelectorAll(".aevb-formula")) { // a formula that is too wide is drawn smaller
      const drawn = box.firstElementChild.getBoundingClientRect().width;
      if (drawn > box.clientWidth) box.style.fontSize = `${Math.floor((98 * box.clientWidth) / drawn)}%`;
    }
    shown = link;
    link.setAttribute("aria-describedby", preview.id);
    place();
    preview.style.visibility = "visible";
  };

  const later = (action) => {
    clearTimeout(timer);
    timer = setTimeout(action, PATIENCE);
  };
  const reference = (element) => {
    const link = element.closest?.("a.reference.internal");
    return link && article.contains(link) && target(link) ? link : null;
  };

  document.addEventListener("pointerover", (event) => {
    if (event.pointerType === "touch") return; // a tap follows the link
    const link = reference(event.target);
    if (link) later(() => open(link));
    else if (preview.contains(event.target)) clearTimeout(timer);
    else if (wanted && !wanted.matches(":focus-visible")) later(close);
    else clearTimeout(timer);
  });
  document.addEventListener("focusin", (event) => {
    const link = reference(event.target);
    if (link?.matches(":focus-visible")) open(link);
    else close();
  });
  document.addEventListener("focusout", close);
  document.addEventListener("click", close);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
  addEventListener("pagehide", close);
  addEventListener("scroll", place, { passive: true, capture: true });
  addEventListener("resize", place);
})();
