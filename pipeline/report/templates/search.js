// Chooses and orders the documents. Knows nothing of the page.
const Search = (() => {
  const SEARCHED = ["id", "title", "url", "detail", "text"];

  // One string per document, in which a search looks for words. A line end divides the fields.
  const haystacks = (docs) =>
    docs.map((doc) => SEARCHED.map((field) => doc[field] || "").join("\n").toLowerCase());

  const countIn = (text, words) => {
    let number = 0;
    for (let at = text.indexOf(words); at >= 0; at = text.indexOf(words, at + words.length)) number++;
    return number;
  };

  const known = (value) => value !== undefined && value !== "";
  const byText = (field) => (a, b) =>
    known(a[field]) !== known(b[field]) ? (known(a[field]) ? -1 : 1)  // what is not known comes last
      : (a[field] || "") < (b[field] || "") ? -1 : (a[field] || "") > (b[field] || "") ? 1 : 0;

  const ORDERS = {
    long: (a, b) => b.size - a.size,
    short: (a, b) => a.size - b.size,
    host: byText("host"),
    title: byText("title"),
    date: byText("date"),
  };

  // Rows of [dropped, kept]; either may be missing. In a group of pairs both belong together.
  const rowsOf = (group, docs, fits, order) => {
    const sorted = (places) => {
      if (order === "far") return places.slice().reverse();
      return ORDERS[order] ? places.slice().sort((a, b) => ORDERS[order](docs[a], docs[b])) : places;
    };
    if (group.paired) {
      const keptOf = new Map(group.dropped.map((place, number) => [place, group.kept[number]]));
      return sorted(group.dropped)
        .map((place) => [place, keptOf.get(place)])
        .filter(([dropped, kept]) => fits(dropped) || (kept >= 0 && fits(kept)));
    }
    const dropped = sorted(group.dropped.filter(fits)), kept = sorted(group.kept.filter(fits));
    return { dropped, kept };
  };

  // The groups with documents that fit, each with its dropped and its kept ones, and what was counted.
  const find = (data, texts, wanted) => {
    const words = wanted.text.trim().toLowerCase();
    const fits = (place) => {
      const doc = data.docs[place];
      return (!wanted.language || (doc.language || "unknown") === wanted.language) &&
        (!wanted.host || doc.host === wanted.host) && (!words || texts[place].includes(words));
    };
    const found = [], kept = new Set(), all = new Map();
    for (const group of data.groups) {
      if (wanted.source && group.source !== wanted.source) continue;
      if (wanted.reason && group.stage + ": " + group.reason !== wanted.reason) continue;
      const rows = rowsOf(group, data.docs, fits, wanted.sort);
      const one = Array.isArray(rows)
        ? { group, dropped: rows.map((row) => row[0]), kept: rows.map((row) => row[1]) }
        : { group, ...rows };
      if (wanted.side === "dropped") one.kept = [];
      if (wanted.side === "kept") { one.dropped = []; one.kept = one.kept.filter((place) => place >= 0); }
      const isFiltered = words || wanted.side === "kept";
      if (!one.dropped.length && !(isFiltered && one.kept.length)) continue;
      found.push(one);
      for (const place of [...one.dropped, ...one.kept]) {
        if (!(place >= 0 && fits(place))) continue;
        const key = group.source + "\n" + data.docs[place].id;  // a document may stand in several groups
        if (one.kept.includes(place)) kept.add(key);
        if (!all.has(key)) all.set(key, place);
      }
    }
    const places = words ? [...all.values()].reduce((sum, place) => sum + countIn(texts[place], words), 0) : 0;
    const numDropped = found.reduce((sum, one) => sum + one.dropped.filter(fits).length, 0);
    return { found, words, places, numDropped, numKept: kept.size };
  };

  return { find, haystacks };
})();
