// The table of posts shows those that all three choices name.
const choices = Object.fromEntries(["kind", "actual", "predicted"].map((id) => [id, document.getElementById(id)]));
const rows = [...document.querySelectorAll("#posts tbody tr")];
const fits = {
  mistakes: (row) => row.actual !== row.predicted,
  network: (row) => row.network === "right" && row.baseline === "wrong",
  baseline: (row) => row.network === "wrong" && row.baseline === "right",
  right: (row) => row.actual === row.predicted,
};
function choose() {
  const kind = fits[choices.kind.value];
  let count = 0;
  for (const row of rows) {
    const { actual, predicted } = choices;
    const is_chosen =
      kind(row.dataset) &&
      (!actual.value || actual.value === row.dataset.actual) &&
      (!predicted.value || predicted.value === row.dataset.predicted);
    row.hidden = !is_chosen;
    count += is_chosen;
  }
  document.getElementById("count").textContent = count === 1 ? "1 post" : `${count.toLocaleString("en")} posts`;
}

// MLflow shows the page in a frame that is not let follow its own links.
if (location.protocol === "blob:") {
  for (const link of document.querySelectorAll("nav a")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      document.querySelector(link.hash).scrollIntoView();
    });
  }
}

for (const choice of Object.values(choices)) choice.addEventListener("change", choose);
choose();
