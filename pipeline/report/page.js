// Show the examples that match all three filters.
const filters = Object.fromEntries(["kind", "true", "predicted"].map((id) => [id, document.getElementById(id)]));
const rows = [...document.querySelectorAll("#examples tbody tr")];
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
    const isShown =
      isOfKind(row.dataset) &&
      (!filters.true.value || filters.true.value === row.dataset.true) &&
      (!filters.predicted.value || filters.predicted.value === row.dataset.predicted);
    row.hidden = !isShown;
    count += isShown;
  }
  document.getElementById("count").textContent = count === 1 ? "1 example" : `${count.toLocaleString("en")} examples`;
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

for (const filter of Object.values(filters)) filter.addEventListener("change", applyFilters);
applyFilters();
