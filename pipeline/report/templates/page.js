// Joins the form, the address and the list of documents.
(() => {
  const byId = (id) => document.getElementById(id);
  const openRules = () => {  // an address may lead into a folded list of rules
    const target = byId(decodeURIComponent(location.hash.slice(1)));
    const folded = target && target.closest("details");
    if (folded && !folded.open) { folded.open = true; target.scrollIntoView(); }
  };
  window.addEventListener("hashchange", openRules);
  openRules();
  if (!byId("samples-data")) return;

  const data = JSON.parse(byId("samples-data").textContent);
  const texts = Search.haystacks(data.docs);
  const list = byId("samples-list"), status = byId("samples-status"), more = byId("samples-more");
  const form = byId("samples-form");
  const HASH = "#read?";
  const ROWS = 12;
  let result = { found: [], words: "" }, next = 0;

  const wanted = () => ({ source: "", reason: "", language: "", host: "", side: "", sort: "", text: "",
    ...Object.fromEntries(new FormData(form)) });
  const hashOf = (values) => {
    const set = Object.entries(values).filter(([, value]) => value);
    return set.length ? HASH + new URLSearchParams(set) : "#read";
  };
  const counted = (number, what) => number.toLocaleString("en") + " " + what + (number === 1 ? "" : "s");

  const say = () => {
    const groups = " in " + counted(result.found.length, "group");
    const dropped = counted(result.numDropped, "dropped document");
    status.textContent = !result.words ? dropped + groups
      : dropped + " and " + counted(result.numKept, "kept document") + groups + " have “" + wanted().text.trim() +
        "”, in " + counted(result.places, "place");
  };

  const render = () => {
    let room = ROWS;
    const drawn = [];
    while (next < result.found.length && room > 0) {
      const one = result.found[next];
      const isKeptOnly = !one.dropped.length;
      const rows = isKeptOnly ? Math.min(one.kept.length, one.group.paired ? Infinity : ROWS) : one.dropped.length;
      if (one.at === undefined) { list.append(Cards.groupHead(one)); one.at = 0; }
      for (; one.at < rows && room > 0; one.at++, room--) {
        const pair = Cards.make("div", "pair");
        for (const [side, isKept] of [["dropped", false], ["kept", true]]) {
          if (!one[side].length) continue;
          const doc = data.docs[one[side][one.at]];
          const { source, stage, reason } = one.group;
          const link = doc && { isPaired: one.group.paired, about: reason + " at " + stage + " of " + source,
            hash: hashOf({ source, reason: stage + ": " + reason, text: doc.id }) };
          pair.append(Cards.card(doc, isKept, result.words, link));
        }
        list.append(pair);
        drawn.push(pair);
      }
      if (one.at >= rows) next++;
    }
    more.hidden = next >= result.found.length;
    drawn.forEach((pair) => pair.querySelectorAll("article").forEach(Cards.showMark));
  };

  const refresh = () => {
    result = Search.find(data, texts, wanted());
    next = 0;
    list.replaceChildren();
    say();
    render();
  };

  const changed = () => {
    refresh();
    const hash = hashOf(wanted());
    if (hash !== location.hash) history.replaceState(null, "", hash);
  };

  // Shows what the address asks for. Values that the form does not offer are left out.
  const follow = () => {
    if (!location.hash.startsWith(HASH)) return false;
    for (const field of form.elements) if (field.name) field.value = "";
    for (const [name, value] of new URLSearchParams(location.hash.slice(HASH.length))) {
      const field = form.elements[name];
      if (field) field.value = value;
      if (field && field.selectedIndex === -1) field.value = "";
    }
    refresh();
    byId("read").scrollIntoView();
    return true;
  };

  let waiting = 0;
  form.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(changed, 120); });
  form.addEventListener("submit", (event) => { event.preventDefault(); changed(); });
  form.addEventListener("reset", () => setTimeout(changed, 0));
  window.addEventListener("hashchange", follow);
  byId("samples-csv").addEventListener("click", () => Export.asCsv(result.found, data.docs));
  byId("samples-json").addEventListener("click", () => Export.asJson(result.found, data.docs));
  more.addEventListener("click", () => {
    const first = list.childElementCount;
    render();
    const body = list.children[first] && list.children[first].querySelector("pre");
    if (body) body.focus({ preventScroll: true });
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-source]");
    if (!button) return;
    location.hash = hashOf({ source: button.dataset.source, reason: button.dataset.reason });
    const head = byId("read-h");  // the keyboard goes on from where the documents are
    head.tabIndex = -1;
    head.focus({ preventScroll: true });
  });
  if (!follow()) refresh();
})();
