import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { compareAll } from "./compare";
import { cellsOf, goTo, launch, makePages, open, settled, type Cell } from "./setup";

let browser: Browser;
let folder: string;
let cells: Record<string, Cell[]>;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

beforeAll(async () => {
  folder = makePages();
  cells = cellsOf(folder);
  browser = await launch();
});
afterAll(() => browser?.close());

const digits = () => join(folder, "digits.html");

test("the first screen answers the question without a click, above the fold at 1280x720", async () => {
  const { page, wrong, close } = await open(browser, digits());
  expect(await page.textContent("h1")).toBe("64 maps, not 32 × 64 = 2,048");
  expect(await page.textContent(".count-line")).toContain("weights (3,3,32,64) = 18,432 + 64 = 18,496");
  const seen = await page.evaluate(() => {
    const inView = (selector: string) => {
      const all = [...document.querySelectorAll(selector)].filter((element) => element.getClientRects().length);
      return all.length > 0 && all.every((element) => {
        const box = element.getBoundingClientRect();
        return box.top >= 0 && box.bottom <= innerHeight && box.left >= 0 && box.right <= innerWidth;
      });
    };
    const selectors = [".maps.picture", ".maps.inputs", ".terms", ".terms > li", ".rest", ".plus", "[data-bias]", "[data-pre]", "[data-value]", ".act", ".maps.outputs", ".focus-map", ".count-line", ".switch", ".walk", ".walk-nav"];
    return selectors.filter((selector) => !inView(selector));
  });
  expect(seen).toEqual([]);
  expect(await page.getAttribute(".maps.inputs", "data-count")).toBe("32");
  expect(await page.getAttribute(".maps.outputs", "data-count")).toBe("64");
  expect(await page.textContent(".picture-column .under")).toBe("sees 5×5 of it");
  expect(await page.textContent(".switch")).toContain("keep apart: 2,048 maps");
  const printed = await page.$$eval(".terms .num, .rest .num, .b-bias .num, .ledger > div:nth-child(2):not(.total) .num", (list) => list.map((item) => item.textContent ?? ""));
  const places = printed[0].split(".")[1].length;
  const whole = (text: string) => BigInt(text.replace("−", "-").replace(".", ""));
  const total = await page.textContent("[data-pre]");
  expect(printed.reduce((sum, text) => sum + whole(text), 0n)).toBe(whole(total ?? ""));
  expect(total?.split(".")[1].length).toBe(places);
  expect(await page.textContent(".terms-head")).toContain("its map");
  const inks = await page.$eval(".terms canvas", (element) => {
    const canvas = element as HTMLCanvasElement;
    const { data } = (canvas.getContext("2d") as CanvasRenderingContext2D).getImageData(112, 0, 34, canvas.height);
    return new Set(Array.from({ length: data.length / 4 }, (_, n) => data.slice(4 * n, 4 * n + 3).join())).size;
  });
  expect(inks).toBeGreaterThan(30);
  const sums = await page.$$eval(".terms .num", (list) => list.map((item) => Math.abs(Number(item.getAttribute("data-sum")))));
  expect(sums).toEqual([...sums].sort((a, b) => b - a));
  expect(wrong).toEqual([]);
  await close();
});

test("the walkthrough has five steps, each with its address and this network's numbers", async () => {
  const { page, wrong, close } = await open(browser, digits());
  const told: string[] = [];
  for (let step = 1; step <= 5; step++) {
    told.push((await page.textContent(".walk-text p")) ?? "");
    if (step > 1) expect(page.url()).toContain(`step=${step}`);
    if (step < 5) await page.click("text=Next");
  }
  expect(new Set(told).size).toBe(5);
  expect(told[1]).toContain("3×3×32 = 288 weights");
  expect(told[4]).toContain("32 × 64 = 2,048");
  expect(await page.isDisabled("text=Next")).toBe(true);
  await page.click("text=Back");
  expect(await page.textContent(".walk-text p")).toBe(told[3]);
  await page.goBack();
  await settled(page);
  expect(await page.textContent(".walk-text p")).toBe(told[4]);
  expect(wrong).toEqual([]);
  await close();
});

test("keeping apart bursts 64 maps into 2,048, and adding brings them back", async () => {
  const { page, wrong, close } = await open(browser, digits(), "", { calm: false });
  await page.click("text=keep apart");
  expect(await page.getAttribute("[data-burst]", "data-burst")).toBe("2048");
  expect(page.url()).toContain("apart=1");
  await page.waitForTimeout(1200);
  const drawn = await page.evaluate(() => {
    const canvas = document.querySelector<HTMLCanvasElement>(".burst canvas");
    const data = canvas?.getContext("2d")?.getImageData(0, 0, canvas.width, canvas.height).data ?? [];
    let colours = 0;
    for (let n = 3; n < data.length; n += 4 * 97) if (data[n]) colours++;
    return colours;
  });
  expect(drawn).toBeGreaterThan(500);
  await page.click("text=add the 32");
  expect(await page.$("[data-burst]")).toBeNull();
  await page.waitForFunction(() => !document.querySelector(".burst"));
  await page.click("text=keep apart");
  await page.keyboard.press("Escape");
  expect(await page.$("[data-burst]")).toBeNull();
  expect(wrong).toEqual([]);
  await close();
});

/** Watch the page for a second after a click: frames asked for, most animations at once, pictures of the burst. */
async function watched(page: Page, click: string) {
  await page.evaluate(() => {
    const seen = { frames: 0, animations: 0, pictures: [] as string[] };
    const asks = globalThis.requestAnimationFrame.bind(globalThis);
    globalThis.requestAnimationFrame = (draw) => {
      seen.frames++;
      return asks(draw);
    };
    const started = document.startViewTransition?.bind(document);
    if (started) document.startViewTransition = (move) => {
      seen.animations++;
      return started(move);
    };
    const look = setInterval(() => {
      seen.animations = Math.max(seen.animations, document.getAnimations().length);
      const canvas = document.querySelector<HTMLCanvasElement>(".burst canvas");
      if (canvas) seen.pictures.push(canvas.toDataURL());
    }, 40);
    (globalThis as any).watched = () => {
      clearInterval(look);
      globalThis.requestAnimationFrame = asks;
      if (started) document.startViewTransition = started;
      return seen;
    };
  });
  await page.click(click);
  await page.waitForTimeout(1500);
  const { frames, animations, pictures } = await page.evaluate(() => (globalThis as any).watched());
  const state = await page.evaluate(() => [location.hash, document.querySelector("main")?.innerText, document.querySelector(".burst") === null]);
  return { frames, animations, pictures: [...new Set<string>(pictures)], last: pictures.at(-1), state };
}

test("with reduced motion the maps jump: no frame moves, and all ends as it does with motion", async () => {
  const made = [];
  for (const calm of [true, false]) {
    const { page, wrong, close } = await open(browser, digits(), "", { calm });
    await page.mouse.move(0, 0);
    const apart = await watched(page, "text=keep apart");
    const together = await watched(page, "text=add the 32");
    made.push({ apart, together });
    expect(wrong).toEqual([]);
    await close();
  }
  const [jumped, moved] = made;
  // One frame draws the 2,048 maps where they belong (the first picture may be the empty canvas before it).
  expect(jumped.apart.frames).toBe(1);
  expect(jumped.apart.pictures.length).toBeLessThanOrEqual(2);
  expect(jumped.together.frames).toBe(1);
  expect([jumped.apart.animations, jumped.together.animations]).toEqual([0, 0]);
  expect(moved.apart.frames).toBeGreaterThan(3);
  expect(moved.apart.pictures.length).toBeGreaterThan(3);
  expect(jumped.apart.last).toBe(moved.apart.last);
  expect(jumped.apart.state).toEqual(moved.apart.state);
  expect(jumped.together.state).toEqual(moved.together.state);
  expect(jumped.together.state[2]).toBe(true);
}, 60_000);

test("with reduced motion nothing slides: no view, and no way down the page", async () => {
  const { page, wrong, close } = await open(browser, digits());
  expect(await page.evaluate(() => getComputedStyle(document.documentElement).scrollBehavior)).toBe("auto");
  for (const click of [".depths >> text=Number", ".depths >> text=Network", ".net-name >> text=dense", "text=Pictures"]) {
    const { animations } = await watched(page, click);
    expect(animations, click).toBe(0);
  }
  expect(wrong).toEqual([]);
  await close();
}, 60_000);

async function compare(name: string): Promise<number> {
  const { page, wrong, close } = await open(browser, join(folder, `${name}.html`));
  const compared = await compareAll(page, cells[name]);
  expect(wrong).toEqual([]);
  await close();
  return compared;
}

test("hovered sums of digits are those of explain --json, bit for bit, borders included", async () => {
  expect(await compare("digits")).toBeGreaterThan(25);
}, 120_000);

test("hovered numbers of a residual network are those of explain --json", async () => {
  expect(await compare("residual")).toBeGreaterThan(100);
}, 300_000);

test("norms, slopes and GELU are recomputed in the page: values and bounds of explain --json", async () => {
  expect(await compare("formulas")).toBeGreaterThan(40);
}, 200_000);

test("the three depths have addresses; Esc and the back button go up and back", async () => {
  const { page, wrong, close } = await open(browser, digits());
  await page.click(".depths >> text=Number");
  await settled(page);
  expect(page.url()).toMatch(/#\/number\/conv2d_1\?at=\d+,\d+,\d+/);
  expect(await page.textContent("#sum h2")).toContain("conv2d_1[");
  await page.keyboard.press("Escape");
  expect(page.url()).toContain("#/layer/conv2d_1");
  await page.keyboard.press("Escape");
  expect(page.url()).toContain("#/network/");
  expect(await page.locator(".net-body [role=row]").count()).toBe(5);
  await page.click(".net-name >> text=dense");
  await settled(page);
  expect(page.url()).toContain("#/layer/dense");
  await page.goBack();
  await page.waitForSelector(".network");
  await page.goBack();
  await page.waitForSelector(".stage");
  expect(wrong).toEqual([]);
  await close();
});

test("arrow keys move the cell, a click pins it, and the place is announced", async () => {
  const { page, wrong, close } = await open(browser, digits(), "#/layer/conv2d_1?at=5,12,27");
  await page.focus(".focus-map");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("PageDown");
  await page.waitForURL(/at=6,13,28/);
  await page.waitForFunction(() => document.querySelector("[data-live]")?.textContent?.includes("conv2d_1 [6, 13, 28]"));
  const box = await page.locator(".focus-map").boundingBox();
  await page.mouse.click((box?.x ?? 0) + 3, (box?.y ?? 0) + 3);
  await page.waitForURL(/at=0,0,28/);
  expect(wrong).toEqual([]);
  await close();
});

test("the slider adds the terms one by one to the total", async () => {
  const { page, close } = await open(browser, digits(), "#/number/conv2d_1?at=5,12,27");
  const slider = page.locator(".walker input");
  await slider.evaluate((element: HTMLInputElement) => {
    element.value = "1";
    element.dispatchEvent(new Event("input", { bubbles: true }));
  });
  const one = Number(await page.getAttribute("[data-running]", "data-running"));
  await slider.evaluate((element: HTMLInputElement) => {
    element.value = element.max;
    element.dispatchEvent(new Event("input", { bubbles: true }));
  });
  const all = Number(await page.getAttribute("[data-running]", "data-running"));
  const pre = Number(await page.getAttribute("[data-pre]", "data-pre"));
  expect(one).not.toBe(all);
  expect(all).toBe(pre);
  expect(await page.textContent(".walker .num")).toContain("289. bias = ");
  await close();
});

test("numbers in tables stand on one line, and none is cut off", async () => {
  const { page, close } = await open(browser, digits(), "#/number/conv2d_1?at=5,12,27");
  const tall = await page.$$eval(".terms-table tbody td", (list) => list.filter((cell) => cell.getBoundingClientRect().height > 30).map((cell) => cell.textContent));
  expect(tall).toEqual([]);
  const cut = await page.$$eval(".groups details[open]", (list) => list.filter((box) => box.scrollWidth > box.clientWidth).length);
  expect(cut).toBe(0);
  await close();
});

test("a hovered weight says how often it is used, a hovered input what it feeds", async () => {
  const { page, close } = await open(browser, digits());
  const graphic = await page.locator(".terms canvas").first().boundingBox();
  await page.mouse.move((graphic?.x ?? 0) + 65, (graphic?.y ?? 0) + 8);
  expect(await page.getAttribute("[data-uses]", "data-uses")).toBe("576");
  const pixels = () => page.evaluate(() => {
    const canvas = document.querySelector<HTMLCanvasElement>(".focus-map canvas:last-child");
    return canvas?.toDataURL().length ?? 0;
  });
  const before = await pixels();
  const inputs = await page.locator(".maps.inputs").boundingBox();
  await page.mouse.move((inputs?.x ?? 0) + 20, (inputs?.y ?? 0) + 20);
  await settled(page);
  expect(await pixels()).not.toBe(before);
  await close();
});

test("a pinned cell's window stands in every earlier layer, back to the picture", async () => {
  const { page, wrong, close } = await open(browser, digits(), "#/number/max_pooling2d?at=1,3,19");
  const steps = await page.$$eval(".trail li", (list) => list.map((item) => `${item.querySelector("bdi")?.textContent}: ${item.querySelector("small")?.textContent?.replace(/^map \d+; /, "")}`));
  expect(steps).toEqual(["conv2d_1: rows 4..7, columns 12..15", "conv2d: rows 4..9, columns 12..17", "picture: rows 4..11, columns 12..19"]);
  await page.click(".trail >> text=conv2d_1");
  expect(page.url()).toContain("#/layer/conv2d_1");
  await goTo(page, "#/layer/dense?at=7");
  expect(await page.$$eval(".trail bdi", (list) => list.map((item) => item.textContent))).toEqual(["flatten", "max_pooling2d", "conv2d_1", "conv2d", "picture"]);
  expect(wrong).toEqual([]);
  await close();
});

test("what if: a larger kernel moves every later shape and count", async () => {
  const { page, close } = await open(browser, digits());
  const knob = page.locator("[data-knob=kernel]");
  expect(await knob.getAttribute("max")).toBe("26");
  await knob.evaluate((element: HTMLInputElement) => {
    element.value = "5";
    element.dispatchEvent(new Event("input", { bubbles: true }));
  });
  const row = page.locator(".whatif tbody tr").first();
  expect(await row.textContent()).toContain("(22, 22, 64)");
  expect(await row.textContent()).toContain("51,264");
  expect(await page.locator(".whatif tbody tr").nth(2).textContent()).toContain("(1600,)");
  expect(await page.textContent(".copy code")).toBe('Conv2D(64, (5, 5), activation="relu")');
  expect(await page.textContent("[data-code=torch]")).toBe("nn.Conv2d(32, 64, (5, 5))\nnn.ReLU()");
  await close();
});

test("what if: a window grows until more of it would read padding only", async () => {
  const { page, wrong, close } = await open(browser, join(folder, "residual.html"), "#/layer/conv2d_6");
  const end = (name: string) => page.getAttribute(`[data-knob=${name}]`, "max");
  const put = (name: string, value: string) => page.locator(`[data-knob=${name}]`).evaluate((element: HTMLInputElement, next) => {
    element.value = next;
    element.dispatchEvent(new Event("input", { bubbles: true }));
  }, value);
  // 3x3 with dilation 2 and `same` on maps of 6x5: five to the side is the last cell there is.
  expect(await end("dilation")).toBe("5");
  // Six places two apart reach from -5 to 5.
  expect(await end("kernel")).toBe("6");
  await put("dilation", "1");
  expect(await end("kernel")).toBe("11");
  await put("dilation", "5");
  expect(await end("dilation")).toBe("5");
  expect(await page.locator(".whatif tbody tr").first().textContent()).toContain("(6, 5, 8)");
  await goTo(page, "#/layer/conv2d_2");
  // One place has nothing beside it.
  expect(await end("dilation")).toBe("1");
  expect(wrong).toEqual([]);
  await close();
});

for (const name of ["digits", "residual", "formulas"]) {
  test(`what if without a change is the model itself (${name})`, async () => {
    const { page, close } = await open(browser, join(folder, `${name}.html`));
    await goTo(page, name === "formulas" ? "#/layer/up_sampling2d" : "#/layer/conv2d");
    const rows = await page.$$eval(".whatif tbody tr:not(.sum-row)", (list) => list.map((row) => [...row.querySelectorAll("td")].map((cell) => cell.textContent ?? "")));
    const facts = await page.evaluate(() => JSON.parse(document.getElementById("page")?.textContent ?? ""));
    const known = facts.layers.map((layer: any) => {
      const field = facts.shared[layer.field];
      const shape = layer.output_shape.slice(1);
      const text = `(${shape.join(", ")}${shape.length === 1 ? "," : ""})`;
      const count = (n: number) => n.toLocaleString("en");
      return [layer.name, text, text, count(layer.params), count(layer.macs), field ? String(field[0].size) : ""];
    });
    const own = known.slice(known.length - rows.length);
    rows.forEach((row, n) => {
      const columns = row[5] === "?" || !own[n][5] ? 5 : 6;
      expect(row.slice(0, columns), own[n][0]).toEqual(own[n].slice(0, columns));
    });
    expect(rows.length).toBeGreaterThan(2);
    await close();
  });
}

test("a digit of the gallery runs through the network in the page", async () => {
  const { page, wrong, close } = await open(browser, digits());
  await page.click("text=Pictures");
  for (const digit of [3, 8, 0]) {
    await page.click(`.gallery [aria-label='a handwritten ${digit}'] >> nth=0`);
    await page.waitForFunction((d) => document.querySelector("[data-answer]")?.textContent === String(d), digit);
  }
  await page.click("text=draw one");
  const pad = await page.locator(".pad").boundingBox();
  const at = (x: number, y: number): [number, number] => [(pad?.x ?? 0) + x * (pad?.width ?? 0), (pad?.y ?? 0) + y * (pad?.height ?? 0)];
  await page.mouse.move(...at(0.5, 0.2));
  await page.mouse.down();
  for (let n = 0; n <= 8; n++) await page.mouse.move(...at(0.5, 0.2 + 0.075 * n));
  await page.mouse.up();
  await page.waitForFunction(() => document.querySelector("[data-answer]")?.textContent === "1");
  expect(wrong).toEqual([]);
  await close();
}, 120_000);

test("preprocessing can be changed, runs the picture again, and is in the address", async () => {
  const { page, wrong, close } = await open(browser, digits(), "#/number/conv2d?at=0,0,0");
  const number = () => page.$eval("[data-pre]", (element) => Number(element.getAttribute("data-pre")));
  const before = await number();
  await page.click("text=Pictures");
  await page.click("text=preprocessing");
  await page.selectOption(".prep select >> nth=1", "2:1:");
  await page.waitForURL(/prep=stretch:rgb:2:1:/);
  // The corner of the picture is black: every weight of the filter now meets -1.
  await page.waitForFunction((old) => Number(document.querySelector("[data-pre]")?.getAttribute("data-pre")) !== old, before);
  const products = await page.$$eval(".terms-table tr:not(.sum-row) td:nth-child(3)", (list) => list.map((item) => item.textContent));
  expect(products).toEqual(Array(9).fill("−1.00000"));
  const after = await number();
  expect(await page.textContent(".prep p")).toContain("pixel / 255 × 2 − 1");
  await close();
  const again = await open(browser, digits(), "#/number/conv2d?at=0,0,0&prep=stretch:rgb:2:1:");
  await again.page.waitForFunction((value) => Number(document.querySelector("[data-pre]")?.getAttribute("data-pre")) === value, after);
  await again.page.click("text=Pictures");
  await again.page.click(".inputs-panel >> text=back");
  await again.page.waitForFunction((value) => Number(document.querySelector("[data-pre]")?.getAttribute("data-pre")) === value, before);
  expect([...wrong, ...again.wrong]).toEqual([]);
  await again.close();
}, 120_000);

test("another preprocessing starts from the picture that was given, not from the scaled one", async () => {
  const { page, wrong, close } = await open(browser, join(folder, "given.html"), "#/number/conv2d?at=0,0,0");
  const inputs = () => page.$$eval(".terms-table tr:not(.sum-row) td:nth-child(3)", (list) => list.map((item) => Number(item.textContent)));
  expect(await inputs()).toEqual(Array(9).fill(1));
  await page.click("text=Pictures");
  await page.click("text=preprocessing");
  expect(await page.textContent(".inputs-panel")).toContain("pixels 0..255 were divided by 255; scaled from 56x28 to 28x28.");
  expect(await page.textContent(".prep")).toContain("starts from the picture as it was given");
  await page.selectOption(".prep select >> nth=0", "crop");
  await page.waitForURL(/prep=crop:/);
  await page.waitForFunction(() => document.querySelector(".terms-table tr:not(.sum-row) td:nth-child(3)")?.textContent === "0");
  expect(await inputs()).toEqual(Array(9).fill(0));
  expect(wrong).toEqual([]);
  await close();
});

test("what if: a transposed layer and a resize move what follows, and give their code", async () => {
  const { page, close } = await open(browser, join(folder, "formulas.html"), "#/layer/conv2d_transpose");
  const put = (name: string, value: string) => page.locator(`[data-knob=${name}]`).evaluate((element, next) => {
    (element as HTMLInputElement).value = next;
    element.dispatchEvent(new Event("input", { bubbles: true }));
  }, value);
  expect(await page.textContent(".copy code")).toBe('Conv2DTranspose(4, (3, 3), strides=(2, 2), padding="same", activation="gelu")');
  expect(await page.textContent("[data-code=torch]")).toBe("nn.ConvTranspose2d(6, 4, (3, 3), stride=(2, 2))\nnn.ZeroPad2d((0, -1, 0, -1))\nnn.GELU()");
  await put("stride", "3");
  expect(await page.locator(".whatif tbody tr").first().textContent()).toContain("(54, 42, 4)");
  await goTo(page, "#/layer/up_sampling2d");
  await put("scale", "3");
  expect(await page.locator(".whatif tbody tr").first().textContent()).toContain("(27, 21, 6)");
  expect(await page.locator(".whatif tbody tr").nth(1).textContent()).toContain("(54, 42, 4)");
  expect(await page.textContent(".copy code")).toContain('UpSampling2D((3, 3), interpolation="bilinear")');
  await close();
});

test("a browser that cannot unpack the page says so", async () => {
  const context = await browser.newContext({ offline: true });
  const page = await context.newPage();
  await page.addInitScript(() => Reflect.deleteProperty(globalThis, "DecompressionStream"));
  await page.goto(`file://${digits()}`);
  await page.waitForFunction(() => document.getElementById("app")?.textContent);
  expect(await page.textContent("#app")).toBe(
    "This page could not be unpacked. It needs a browser of 2023 or newer. (ReferenceError: DecompressionStream is not defined)",
  );
  await context.close();
});

test("names from a model are only text", async () => {
  const { page, wrong, close } = await open(browser, join(folder, "hostile.html"));
  await goTo(page, "#/network/");
  const text = await page.textContent("main");
  expect(text).toContain("<img src=x onerror=document.title='owned'>");
  expect(text).toContain("<script>document.title='owned'<!--");
  expect(await page.locator("main img, main script").count()).toBe(0);
  expect(await page.title()).not.toContain("owned'");
  expect(await page.title()).toBe("<b>bold - convlens");
  expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
  expect(wrong).toEqual([]);
  await close();
});

const views: [string, string][] = [["first screen", ""], ["number", "#/number/conv2d_1?at=5,12,27"], ["dense", "#/layer/dense"], ["pool", "#/layer/max_pooling2d"], ["network", "#/network/"], ["apart", "#/layer/conv2d_1?apart=1"]];

for (const dark of [false, true]) {
  test(`axe finds nothing serious, and no text is below 12 px (${dark ? "dark" : "light"})`, async () => {
    const { page, close } = await open(browser, digits(), "", { dark });
    await page.evaluate(axe);
    const found: string[] = [];
    for (const [name, hash] of views) {
      await goTo(page, hash || "#/layer/conv2d_1");
      if (name === "network") await page.waitForSelector(".network");
      const result = await page.evaluate(() => (globalThis as any).axe.run(document, { resultTypes: ["violations"] }));
      for (const item of result.violations) {
        if (item.impact === "serious" || item.impact === "critical") found.push(`${name}: ${item.id} ${item.nodes.slice(0, 3).map((node: any) => node.html.slice(0, 120)).join(" | ")}`);
      }
      const small = await page.evaluate(() => {
        const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        const list: string[] = [];
        for (let node = walker.nextNode(); node; node = walker.nextNode()) {
          const parent = node.parentElement;
          if (!parent || !node.textContent?.trim() || !parent.getClientRects().length) continue;
          if (parent.closest("math, script, noscript")) continue;
          if (parseFloat(getComputedStyle(parent).fontSize) < 12) list.push(node.textContent);
        }
        return list;
      });
      found.push(...small.map((text) => `${name}: small text ${text}`));
    }
    expect(found).toEqual([]);
    await close();
  }, 120_000);
}

test("a narrow screen scrolls down only, and keeps the sum", async () => {
  for (const [name, hashes] of [["digits", views.map(([, hash]) => hash || "#/layer/conv2d_1")], ["hostile", ["#/network/", ...["a_very_long_name_".repeat(12), "שכבה_ראשונה"].map((layer) => `#/number/${encodeURIComponent(layer)}`)]]] as const) {
    const { page, wrong, close } = await open(browser, join(folder, `${name}.html`), "", { width: 360, height: 780 });
    for (const hash of hashes) {
      await goTo(page, hash);
      expect(await page.evaluate(() => document.documentElement.scrollWidth), hash).toBeLessThanOrEqual(360);
    }
    expect(wrong).toEqual([]);
    await close();
  }
});
