// A person at a browser, for tests: reads one order a line (JSON) from standard input and answers
// each with one line {ok: …} or {failed: text}. Which buttons there are is the test's business;
// what went over the page's socket and what the console said is kept and told by "heard".
//
// robot.mjs <folder of playwright-core> <browser's binary>

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [playwright, binary] = process.argv.slice(2);
const { chromium } = createRequire(`${playwright}/`)("./index.js");
const browser = await chromium.launch({
  executablePath: binary,
  args: ["--no-sandbox", "--disable-gpu", "--disable-software-rasterizer", "--disable-dev-shm-usage"],
});
const page = await browser.newPage({ viewport: { width: 1400, height: 1000 }, locale: "en-US" });
page.setDefaultTimeout(20_000);

const heard = { asked: [], refused: [], console: [] };
page.on("console", (line) => line.type() === "error" && heard.console.push(line.text()));
page.on("pageerror", (error) => heard.console.push(String(error)));
page.on("websocket", (socket) => {
  const names = new Map();
  const read = (text) => {
    try {
      return JSON.parse(text);
    } catch {
      return {};
    }
  };
  socket.on("framesent", ({ payload }) => {
    const { type, id, method } = read(payload);
    if (type !== "req") return;
    names.set(id, method);
    heard.asked.push(method);
  });
  socket.on("framereceived", ({ payload }) => {
    const { type, id, ok, error } = read(payload);
    if (type === "res" && !ok) heard.refused.push(`${names.get(id)}: ${error?.message}`);
  });
});

const first = (at) => page.locator(at).first();
const verbs = {
  // Opens a page whose two storages hold these values.
  async open({ url, local, session }) {
    await page.addInitScript(([local, session]) => {
      const fill = (storage, values) => {
        for (const [key, value] of Object.entries(values)) {
          if (storage.getItem(key) === null) storage.setItem(key, value);
        }
      };
      fill(localStorage, local);
      fill(sessionStorage, session);
    }, [local, session]);
    await page.goto(url, { waitUntil: "domcontentloaded" });
  },
  click: ({ at }) => first(at).click(),
  fill: ({ at, text }) => first(at).fill(text),
  choose: ({ at, text }) => first(at).selectOption(text).then(() => null),
  press: ({ at, text }) => first(at).press(text),
  // Waits until it can be seen, or no more.
  shows: ({ at }) => first(at).waitFor({ state: "visible" }),
  hides: ({ at }) => first(at).waitFor({ state: "hidden" }),
  texts: ({ at }) => page.locator(at).allInnerTexts(),
  value: ({ at }) => first(at).inputValue(),
  picture: ({ text }) => page.screenshot({ path: text }).then(() => null),
  async heard() {
    const told = structuredClone(heard);
    for (const list of Object.values(heard)) list.length = 0;
    return told;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  const answer = await verbs[order.do](order).then(
    (ok) => ({ ok: ok ?? null }),
    (error) => ({ failed: String(error) }),
  );
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
