// Search by section, as you type: in the dialog that Ctrl+K opens, and on the search page. The records and MiniSearch are
// loaded when a reader first asks, as scripts, so that it works on pages opened from disk.
(() => {
  const root = new URL(document.documentElement.dataset.content_root || "./", location.href);
  const SHOWN = { dialog: 12, page: 40 };
  const KINDS = { page: "chapter or page", section: "section", term: "glossary", equation: "equation", figure: "figure", symbol: "symbol" };
  const GREEK = {
    α: "alpha", β: "beta", γ: "gamma", δ: "delta", ε: "epsilon", ζ: "zeta", η: "eta", θ: "theta", κ: "kappa", λ: "lambda",
    μ: "mu", ν: "nu", ξ: "xi", π: "pi", ρ: "rho", σ: "sigma", τ: "tau", φ: "phi", χ: "chi", ψ: "psi", ω: "omega",
    Λ: "lambda", Σ: "sigma", Ψ: "psi", Ω: "omega", Φ: "phi", Δ: "delta", ϕ: "phi", ϵ: "epsilon", ℓ: "l",
  };
  // What the field calls by several names: the words on the left are also looked for as those on the right.
  const SYNONYMS = [
    [/\bkl annealing\b|\bannealing\b/, "warm-up"],
    [/\bfree bits\b/, "posterior collapse"],
    [/(?:\bbeta|β)[- ]?vae\b/, "weight the kl"],
    [/\bkld[_ ]?weight\b|\bm\/n\b/, "weight the kl"],
    [/\bvq[- ]?vae\b/, "vector quantization codebook"],
    [/\biwae\b/, "importance-weighted bound"],
    [/\breinforce\b|\blog[- ]derivative\b|\blikelihood ratio\b/, "score function"],
    [/\blabel switching\b/, "identifiability"],
    [/\bsingular\b/, "collapsed"],
    [/\bgmm\b/, "gaussian mixture"],
    [/\bgumbel[- ]?softmax\b|\bconcrete distribution\b/, "gumbel-softmax"],
    [/\bppca\b/, "probabilistic pca"],
    [/\bddpm\b/, "diffusion"],
    [/\breparam\w*\b/, "reparameterization"],
    [/\bcvae\b/, "conditional vae"],
    [/\bgmvae\b/, "gaussian-mixture vae"],
    [/\bvrnn\b/, "variational rnn"],
    [/\bauto[- ]?encoder\b/, "autoencoder"],
  ];
  const BRITISH = [
    [/isation(s?)$/, "ization$1"], [/ise(d|s|r|rs)?$/, "ize$1"], [/ising$/, "izing"], [/yse(d|s)?$/, "yze$1"],
    [/our(s|ed|ing)?$/, "or$1"], [/(labell|modell)(ed|ing)$/, (all, stem, end) => stem.slice(0, -1) + end],
    [/metres?$/, "meter"], [/centre(s?)$/, "center$1"],
  ];
  const COMMON = new Set("a an and are as at be by do does for from how i in is it my not of on or that the to was what when why with".split(" "));

  // A word as it is looked for: small letters, no accents, American spelling, singular.
  const plain = (word) => {
    let one = word.toLowerCase().normalize("NFD").replace(/[\u0300-\u036f]/g, "").replace(/['’]s?$/, "");
    if (one.length > 4 && !["noise", "raise", "precise", "exercise", "otherwise", "four", "hour", "your"].includes(one)) {
      for (const [british, american] of BRITISH) one = one.replace(british, american);
    }
    if (one.length > 3 && /[^su]s$/.test(one) && !/(is|as)$/.test(one)) one = one.replace(/(?<=[a-z]{2})ies$/, "y").replace(/s$/, "");
    return one;
  };
  const split = (text) => {
    const named = text.replace(/[α-ωϕϵΛΣΨΩΦΔ]/gu, (letter) => ` ${GREEK[letter] ?? letter} `);
    const parts = named.split(/[^\p{L}\p{N}_.\-]+/u).flatMap((part) => {
      const pieces = part.split(/[-_.]+/).filter(Boolean);
      return pieces.length > 1 ? [...pieces, pieces.join("")] : pieces;
    });
    return parts.filter(Boolean);
  };

  let engine = null;
  const load = (name) => new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL(`_static/${name}`, root).href;
    script.onload = resolve;
    script.onerror = () => reject(new Error(`${name} cannot be loaded`));
    document.head.append(script);
  });
  const ready = () => {
    engine ??= Promise.all([load("vendor/minisearch.js"), load("search-records.js")]).then(() => {
      const search = new window.MiniSearch({
        fields: ["title", "text", "about", "page"],
        storeFields: ["kind", "title", "text", "page", "url", "about"],
        tokenize: split,
        processTerm: (word) => { const one = plain(word); return COMMON.has(one) ? null : one; },
      });
      search.addAll(window.bookRecords.map((record, id) => ({ id, about: "", ...record })));
      return search;
    });
    return engine;
  };

  const WEIGHT = { page: 1.5, section: 1.3, term: 1.2, symbol: 1.5, equation: 0.5, figure: 0.6 };
  const QUESTION = /^(why|how|what|when|can|is|do|does|should|may|must|which)\b/;
  const find = async (query) => {
    const search = await ready();
    const asked = split(query).map(plain).filter((word) => !COMMON.has(word));
    const whole = asked.join(" ");
    const question = QUESTION.test(query.trim().toLowerCase());
    const options = {
      boost: { title: 5, about: 1.5, page: 1.2 },
      prefix: (word) => word.length > 2,
      fuzzy: (word) => (word.length > 4 ? 0.2 : false),
      weights: { prefix: 0.6, fuzzy: 0.3 },
      boostDocument: (id, word, stored) => {
        const title = split(stored.title).map(plain).filter((one) => !COMMON.has(one)).join(" ");
        const exact = stored.title === query.trim() ? 5 : title === whole ? 4 : title.includes(whole) ? 1.6 : 1;
        const answer = question && /[?]$/.test(stored.title) ? 4 : 1;
        return WEIGHT[stored.kind] * exact * answer;
      },
    };
    const scores = new Map();
    const add = (results, share) => {
      for (const hit of results) {
        const kept = scores.get(hit.id);
        if (kept) kept.score += share * hit.score;
        else scores.set(hit.id, { ...hit, score: share * hit.score });
      }
    };
    add(search.search(query, { ...options, combineWith: "AND" }), 1);
    const low = query.toLowerCase();
    for (const [named, other] of SYNONYMS) {
      if (named.test(low)) add(search.search(low.replace(named, other), { ...options, combineWith: "AND" }), 0.9);
    }
    if (scores.size < 5) add(search.search(query, { ...options, combineWith: "OR" }), 0.2);
    return [...scores.values()].sort((one, other) => other.score - one.score);
  };
  window.bookSearch = find; // for the tests

  // What is shown of a record: the words around the first that was looked for.
  const excerpt = (text, terms) => {
    const low = text.toLowerCase();
    const at = Math.min(...terms.map((term) => low.indexOf(term)).filter((place) => place >= 0), text.length);
    const begin = at < 80 || at === text.length ? 0 : text.lastIndexOf(" ", at - 50) + 1;
    const end = text.length > begin + 170 ? text.lastIndexOf(" ", begin + 170) : text.length;
    return `${begin ? "… " : ""}${text.slice(begin, end)}${end < text.length ? " …" : ""}`;
  };
  const entry = (hit) => {
    const make = (tag, name, text) => Object.assign(document.createElement(tag), { className: name, textContent: text });
    const item = document.createElement("li");
    const link = make("a", "aevb-hit", "");
    link.href = new URL(hit.url, root).href;
    const where = hit.kind === "page" ? KINDS.page : hit.kind === "section" ? hit.page : `${KINDS[hit.kind]}, ${hit.page}`;
    link.append(make("span", "aevb-hit-title", hit.about ? `${hit.title} ${hit.about}` : hit.title), make("span", "aevb-hit-where", where));
    link.append(make("span", "aevb-hit-text", excerpt(hit.text, hit.terms)));
    item.append(link);
    return item;
  };

  const attach = (form, place, count) => {
    const input = form.querySelector("input");
    const status = Object.assign(document.createElement("p"), { className: "aevb-search-status" });
    const list = Object.assign(document.createElement("ol"), { className: "aevb-hits" });
    status.setAttribute("role", "status");
    place.append(status, list);
    let asked = "";
    const show = async () => {
      const query = input.value.trim();
      asked = query;
      if (!query) { status.textContent = ""; list.replaceChildren(); return; }
      try {
        const hits = await find(query);
        if (asked !== query) return; // a later letter has been typed
        list.replaceChildren(...hits.slice(0, count).map(entry));
        status.textContent = hits.length === 0 ? `Nothing was found for “${query}”: try fewer or other words.`
          : hits.length > count ? `The best ${count} of ${hits.length} places` : `${hits.length} place${hits.length > 1 ? "s" : ""}`;
      } catch (error) {
        status.textContent = `The search does not work here: ${error.message}.`;
      }
    };
    input.addEventListener("focus", () => { ready().catch(() => {}); });
    input.addEventListener("input", show);
    form.addEventListener("submit", (event) => {
      const first = list.querySelector("a");
      if (first && count === SHOWN.dialog) { event.preventDefault(); location.href = first.href; }
    });
    const move = (event) => {
      if (!["ArrowDown", "ArrowUp"].includes(event.key)) return;
      const stops = [input, ...list.querySelectorAll("a")];
      const next = stops.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
      if (next < 0 || next >= stops.length) return;
      event.preventDefault();
      stops[next].focus();
    };
    form.addEventListener("keydown", move);
    list.addEventListener("keydown", move);
    list.addEventListener("click", () => { document.querySelector("#pst-search-dialog")?.close?.(); });
    return show;
  };

  const dialog = document.querySelector("#pst-search-dialog");
  if (dialog) attach(dialog.querySelector("form"), dialog, SHOWN.dialog);
  const results = document.querySelector("#search-results");
  if (results) {
    const form = document.querySelector(".bd-search-container form.bd-search");
    const query = new URLSearchParams(location.search).get("q") ?? "";
    form.querySelector("input").value = query;
    attach(form, results, SHOWN.page)();
  }
})();
