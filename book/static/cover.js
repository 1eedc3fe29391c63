// The first page's figure: EM on Old Faithful, half a step at a time. What is shown was computed by the book's code.
(() => {
  const figure = document.querySelector(".cover-em");
  if (!figure) return;
  const frames = JSON.parse(figure.querySelector(".cover-frames").textContent);
  const points = [...figure.querySelectorAll(".cover-points circle")];
  const rings = [...figure.querySelectorAll(".cover-ring")];
  const [elbo, kl, evidence] = ["elbo", "kl", "evidence"].map((name) => figure.querySelector(`rect.cover-${name}`));
  const numbers = ["evidence", "elbo", "kl"].map((name) => figure.querySelector(`b.cover-${name}`));
  const said = figure.querySelector(".cover-said");
  const left = Number(elbo.getAttribute("x"));

  const controls = document.createElement("div");
  controls.className = "cover-controls";
  controls.innerHTML = '<button type="button"></button><input type="range" min="0" value="0" aria-label="Half-steps of EM">';
  const [button, slider] = controls.children;
  slider.max = frames.length - 1;
  figure.append(controls);
  figure.classList.add("cover-live");

  const show = (index) => {
    const frame = frames[index];
    points.forEach((point, i) => point.setAttribute("class", frame.q ? `r${frame.q[i]}` : ""));
    rings.forEach((ring, c) => { ring.style.transform = `matrix(${frame.rings[c]})`; });
    elbo.setAttribute("width", Math.max(0, frame.elbo - left));
    kl.setAttribute("x", frame.elbo);
    kl.setAttribute("width", Math.max(0, frame.evidence - frame.elbo));
    evidence.setAttribute("x", frame.evidence - 1);
    numbers.forEach((number, i) => { number.textContent = frame.numbers[i]; });
    const next = frames[index + 1];
    said.textContent = next ? frame.said : "EM has arrived: a ring for each kind of eruption.";
    button.textContent = next ? `${next.kind}-step` : "Again";
    slider.setAttribute("aria-valuetext", `${index} of ${frames.length - 1}. ${said.textContent}`);
  };
  slider.addEventListener("input", () => show(Number(slider.value)));
  button.addEventListener("click", () => {
    slider.value = Number(slider.value) === frames.length - 1 ? 0 : Number(slider.value) + 1;
    show(Number(slider.value));
  });
  show(0);
})();
