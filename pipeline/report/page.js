// Show the examples that match all three filters: the first ten, and more on request.
const N_AT_FIRST = 10;
const N_MORE = 50;
const filters = Object.fromEntries(["kind", "true", "predicted"].map((id) => [id, document.getElementById(id)]));
const rows = [...document.querySelectorAll("#examples tbody tr")];
const more = document.getElementById("more");
let limit = N_AT_FIRST;
const kinds = {
  errors: (row) => row.true !== row.predicted,
  network: (row) => row.network === "1" && row.baseline === "0",
  baseline: (row) => row.network === "0" && row.baseline === "1",
  correct: (row) => row.true === row.predicted,
};
function applyFilters() {
  const isOfKind = kinds[filters.kind.value];
  let count = 0;
  for (const row of rows) {
    const isMatch =
      isOfKind(row.dataset) &&
      (!filters.true.value || filters.true.value === row.dataset.true) &&
      (!filters.predicted.value || filters.predicted.value === row.dataset.predicted);
    count += isMatch;
    row.hidden = !isMatch || count > limit;
  }
  document.getElementById("count").textContent = count === 1 ? "1 example" : `${count.toLocaleString("en")} examples`;
  more.hidden = count <= limit;
  more.textContent = `Show ${Math.min(N_MORE, count - limit)} more`;
}

// MLflow shows the page in a sandboxed frame, in which links to its own sections do not work.
if (location.protocol === "blob:") {
  for (const link of document.querySelectorAll("nav a")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      document.querySelector(link.hash).scrollIntoView();
    });
  }
}

for (const filter of Object.values(filters)) {
  filter.addEventListener("change", () => {
    limit = N_AT_FIRST;
    applyFilters();
  });
}
more.addEventListener("click", () => {
  limit += N_MORE;
  applyFilters();
});
applyFilters();
