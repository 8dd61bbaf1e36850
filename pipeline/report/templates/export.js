// Saves the chosen documents as a file. Nothing leaves the computer.
const Export = (() => {
  const FIELDS = ["source", "stage", "reason", "side", "id", "language", "url", "host", "title", "date", "detail",
    "signal", "value", "limit", "characters", "characters_stored", "starts_at", "text"];

  const rows = (found, docs) => {
    const all = [];
    for (const one of found)
      for (const side of ["dropped", "kept"])
        for (const place of one[side]) {
          const doc = docs[place], group = one.group;
          if (!doc) continue;
          all.push({ source: group.source, stage: group.stage, reason: group.reason, side, id: doc.id,
            language: doc.language || "", url: doc.url || "", host: doc.host || "", title: doc.title || "",
            date: doc.date || "", detail: doc.detail || "", signal: group.signal, value: doc.value ?? null,
            limit: group.limit, characters: doc.is_beginning ? null : doc.size, characters_stored: doc.size, starts_at: doc.at || 0, text: doc.text || "" });
        }
    return all;
  };

  // A spreadsheet would run a cell that begins like a formula. An apostrophe makes it text. JSON has the text as it is.
  const cell = (value) => {
    const text = value === null ? "" : String(value);
    const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? "'" + text : text;
    return /[",\n\r]/.test(safe) ? '"' + safe.replaceAll('"', '""') + '"' : safe;
  };

  const csv = (all) => [FIELDS.join(","), ...all.map((row) => FIELDS.map((name) => cell(row[name])).join(","))].join("\r\n") + "\r\n";

  const save = (name, type, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };

  return {
    asCsv: (found, docs) => save("documents.csv", "text/csv;charset=utf-8", csv(rows(found, docs))),
    asJson: (found, docs) => save("documents.json", "application/json", JSON.stringify(rows(found, docs), null, 1) + "\n"),
  };
})();
