// Draws documents. Whatever a document holds becomes text, never markup.
const Cards = (() => {
  const make = (name, className, text) => {
    const element = document.createElement(name);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  // Appends a text in which the words of a search are marked.
  const appendFound = (parent, text, words) => {
    const lower = text.toLowerCase();
    let from = 0;
    // A letter may have another length in lower case. Then places would not fit, and nothing is marked.
    for (let at = words && lower.length === text.length ? lower.indexOf(words) : -1; at >= 0; at = lower.indexOf(words, from)) {
      parent.append(text.slice(from, at), make("mark", "hit", text.slice(at, at + words.length)));
      from = at + words.length;
    }
    parent.append(text.slice(from));
  };

  // Marks are places in characters of the run, of which one may be two units of a JavaScript string.
  const appendMarked = (parent, text, marks, words) => {
    const hasPairs = /[\ud800-\udfff]/.test(text);
    const chars = hasPairs ? Array.from(text) : text;
    const part = (start, end) => (hasPairs ? chars.slice(start, end).join("") : chars.slice(start, end));
    let from = 0;
    for (const [start, end] of marks || []) {
      appendFound(parent, part(from, start), words);
      const mark = make("mark", "why");
      appendFound(mark, part(start, end), words);
      parent.append(mark);
      from = end;
    }
    appendFound(parent, part(from), words);
  };

  const line = (className, text, words) => {
    const element = make("bdi", className);
    appendFound(element, text, words);
    return element;
  };

  const number = (value) => value.toLocaleString("en");

  // Of a dropped document only the beginning is stored, so its length may not be known.
  const sizeOf = (doc) => (doc.is_beginning ? "the first " : "") + number(doc.size) + " characters";

  const header = (doc, isKept, words, link) => {
    const head = make("header");
    head.append(make("b", "tag", isKept ? "kept" : "dropped"), " ");
    if (doc.title) head.append(line("title", doc.title, words), " ");
    if (doc.url) head.append(line("url", doc.url, words), " ");
    head.append(line("id", doc.id, words), " ");
    const about = [doc.language, (doc.date || "").slice(0, 10), sizeOf(doc)].filter(Boolean);
    head.append(make("bdi", "about", about.join(" · ")));
    const detail = isKept || !doc.detail ? "" : (link.isPaired ? "kept in its place: " : "") + doc.detail;
    const why = [doc.measured, detail].filter(Boolean).join(" · ");
    if (why) head.append(line("about", why, words));
    if (doc.why) head.append(make("span", "about marked", "marked: " + doc.why));
    const anchor = make("a", "permalink", "link");
    anchor.href = link.hash;
    anchor.setAttribute("aria-label", "link to document " + doc.id + ", " + link.about);
    head.append(anchor);
    return head;
  };

  const card = (doc, isKept, words, link) => {
    const article = make("article", isKept ? "doc kept" : "doc fell");
    if (!doc) {
      article.classList.add("none");
      return article;
    }
    const body = make("pre");
    body.tabIndex = 0;
    body.dir = "auto";
    body.setAttribute("role", "region");
    body.setAttribute("aria-label", (isKept ? "kept document " : "dropped document ") + doc.id);
    if (doc.at) body.append(make("span", "cut", "… " + number(doc.at) + " characters before\n"));
    appendMarked(body, doc.text || "", doc.marks, words);
    const behind = doc.size - (doc.at || 0) - Array.from(doc.text || "").length;
    if (behind > 0) body.append(make("span", "cut", "\n… " + number(behind) + " characters more" +
      (doc.is_beginning ? ", and what is not stored" : "")));
    article.append(header(doc, isKept, words, link), body);
    return article;
  };

  const groupHead = (one) => {
    const group = one.group, head = make("div", "group");
    head.append(make("h3", "", group.source + " · " + group.stage + ": " + group.reason));
    const limit = group.limit ? "limit " + group.limit + "; " : "";
    head.append(make("p", "note", limit + number(group.count) + " dropped, " + one.dropped.length +
      " of them here; beside them: " + group.beside));
    return head;
  };

  // A text that opens in its middle is scrolled to the first mark.
  const showMark = (article) => {
    const mark = article.querySelector("mark.why, mark.hit"), body = article.querySelector("pre");
    if (mark && body) body.scrollTop = Math.max(0, mark.offsetTop - body.offsetTop - 60);
  };

  return { card, groupHead, make, showMark };
})();
