// Filters the list of runs by words, verb and status. The choice is kept in the address, so that it can be shared.
(() => {
  const form = document.querySelector(".filters");
  const cards = [...document.querySelectorAll(".runs > li")];
  const none = document.querySelector(".none");
  const fields = ["find", "verb", "status"].map((name) => document.getElementById(name));
  const [find, verb, status] = fields;
  const texts = cards.map((card) => card.textContent.toLowerCase());

  function show() {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    cards.forEach((card, i) => {
      const fits = words.every((word) => texts[i].includes(word))
        && (!verb.value || card.dataset.verb === verb.value)
        && (!status.value || card.dataset.status === status.value);
      card.hidden = !fits;
      shown += fits;
    });
    document.getElementById("shown").textContent = shown === cards.length ? "" : `${shown} of ${cards.length}`;
    none.textContent = shown || !cards.length ? "" : "No run matches.";
    const kept = fields.filter((field) => field.value).map((field) => `${field.id}=${encodeURIComponent(field.value)}`);
    history.replaceState(null, "", kept.length ? `#${kept.join("&")}` : location.pathname);
  }

  const asked = new URLSearchParams(location.hash.slice(1));
  fields.forEach((field) => { field.value = asked.get(field.id) ?? ""; });
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = cards.length < 2;
  if (asked.size) show();
})();
