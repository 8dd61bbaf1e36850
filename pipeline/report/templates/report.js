"use strict";
(() => {
  const data = JSON.parse(document.getElementById("samples-data").textContent);
  const byId = (id) => document.getElementById(id);
  const list = byId("samples-list"), status = byId("samples-status"), more = byId("samples-more");
  const form = byId("samples-form");
  const PAIRS = 12;
  const searched = data.docs.map((d) => (d[0] + "\n" + d[2] + "\n" + d[4]).toLowerCase());
  let shown = [], next = 0;

  const make = (name, className, text) => {
    const element = document.createElement(name);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;  // never as markup
    return element;
  };

  const matches = () => {
    const wanted = Object.fromEntries(new FormData(form));
    const words = wanted.text.trim().toLowerCase();
    const fits = (index) =>
      (!wanted.language || data.docs[index][1] === (wanted.language === "unknown" ? "" : wanted.language)) &&
      (!words || searched[index].includes(words));
    return data.groups
      .filter((g) => (!wanted.source || g.source === wanted.source) &&
        (!wanted.reason || g.stage + ": " + g.reason === wanted.reason))
      .map((g) => ({ group: g, dropped: g.dropped.filter(fits), kept: g.kept.filter(fits) }))
      .filter((m) => m.dropped.length || (words && m.kept.length));
  };

  const card = (index, isKept) => {
    const article = make("article", isKept ? "doc kept" : "doc fell");
    if (index === undefined) {
      article.classList.add("none");
      return article;
    }
    const [id, language, detail, measured, text] = data.docs[index];
    const head = make("header");
    head.append(make("b", "tag", isKept ? "kept" : "dropped"), " ", make("bdi", "id", id));
    const about = [language, measured, isKept ? "" : detail].filter(Boolean).join(" · ");
    if (about) head.append(make("bdi", "about", about));
    const body = make("pre", "", text);
    body.tabIndex = 0;
    body.dir = "auto";
    body.setAttribute("aria-label", (isKept ? "kept document " : "dropped document ") + id);
    article.append(head, body);
    return article;
  };

  const heading = (m) => {
    const g = m.group, head = make("div", "group");
    head.append(make("h3", "", g.source + " · " + g.stage + ": " + g.reason));
    const limit = g.limit ? "limit " + g.limit + "; " : "";
    head.append(make("p", "note", limit + g.count.toLocaleString("en") + " dropped, " + m.dropped.length +
      " of them here; beside them: " + g.beside));
    return head;
  };

  const render = () => {
    let room = PAIRS;
    while (next < shown.length && room > 0) {
      const m = shown[next], rows = Math.max(m.dropped.length, Math.min(m.kept.length, m.dropped.length || PAIRS));
      if (!m.at) list.append(heading(m));
      m.at = m.at || 0;
      for (; m.at < rows && room > 0; m.at++, room--) {
        const pair = make("div", "pair");
        pair.append(card(m.dropped[m.at], false), card(m.kept[m.at], true));
        list.append(pair);
      }
      if (m.at >= rows) next++;
    }
    more.hidden = next >= shown.length;
  };

  const refresh = () => {
    shown = matches();
    next = 0;
    list.replaceChildren();
    const total = shown.reduce((sum, m) => sum + m.dropped.length, 0);
    status.textContent = total.toLocaleString("en") + (total === 1 ? " dropped document in " : " dropped documents in ") + shown.length + (shown.length === 1 ? " group" : " groups");
    render();
  };

  let waiting = 0;
  form.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(refresh, 120); });
  form.addEventListener("submit", (event) => { event.preventDefault(); refresh(); });
  form.addEventListener("reset", () => setTimeout(refresh, 0));
  more.addEventListener("click", () => {
    const first = list.childElementCount;
    render();
    const card = list.children[first] && list.children[first].querySelector("pre");
    if (card) card.focus({ preventScroll: true });
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-source]");
    if (!link) return;
    form.reset();
    setTimeout(() => {
      form.elements.source.value = link.dataset.source;
      form.elements.reason.value = link.dataset.reason;
      refresh();
    }, 1);
  });
  refresh();
})();
