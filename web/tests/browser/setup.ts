// One Chromium, the pages to open, and a network that is cut.
//
// CONVLENS_PYTHON names the Python that has convlens (python3), CHROMIUM the browser
// (/usr/bin/chromium), CONVLENS_PAGES a folder of pages that were written before.

import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { chromium, type Browser, type Page } from "playwright-core";

export const root = resolve(import.meta.dirname, "../../..");
export const python = process.env.CONVLENS_PYTHON ?? "python3";
export const environment = { ...process.env, PYTHONPATH: join(root, "src") };

/** A folder of pages; `which` names a set of its own. */
export function makePages(...which: string[]): string {
  const given = process.env.CONVLENS_PAGES && join(process.env.CONVLENS_PAGES, ...which);
  if (given && existsSync(join(given, "cells.json"))) return given;
  const folder = mkdtempSync(join(tmpdir(), "convlens-pages-"));
  execFileSync(python, [join(import.meta.dirname, "make.py"), folder, ...which], { env: environment, stdio: "inherit" });
  return folder;
}

/** `convlens open` with these words; the page's address, and how to end it. */
export async function serve(...words: string[]): Promise<{ address: string; stop: () => void }> {
  const child = spawn(python, ["-m", "convlens", "open", ...words, "--no-browser"], { env: environment, stdio: ["ignore", "ignore", "pipe"] });
  const address = await new Promise<string>((found, failed) => {
    let text = "";
    child.stderr.on("data", (data) => {
      text += data;
      const match = /http:\S+/.exec(text);
      if (match) found(match[0]);
    });
    child.on("exit", () => failed(new Error(text)));
  });
  return { address, stop: () => void child.kill("SIGINT") };
}

export interface Cell {
  readonly layer: string;
  readonly at: readonly number[];
  readonly rule: string;
  readonly value: number;
  readonly pre_activation: number;
  readonly bias: number | null;
  readonly partial_sums: readonly { channel: number; sum: number }[];
  readonly terms: number;
  /** What the window reads of each axis of the first input, padding included; null: all of it. */
  readonly window: readonly (readonly [number, number] | null)[];
  readonly tolerance: number;
  /** How far a value may be off where a function of a math library made it; 0 elsewhere. */
  readonly last_bits: number;
}

export function cellsOf(folder: string): Record<string, Cell[]> {
  return JSON.parse(readFileSync(join(folder, "cells.json"), "utf8"));
}

export async function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
  });
}

export interface Look {
  readonly width?: number;
  readonly height?: number;
  readonly dark?: boolean;
  readonly calm?: boolean;
}

/** Open a file with the network off; every request but the file's own, and every error, is kept. */
export async function open(browser: Browser, file: string, hash = "", look: Look = {}) {
  const context = await browser.newContext({
    viewport: { width: look.width ?? 1280, height: look.height ?? 720 },
    colorScheme: look.dark ? "dark" : "light",
    reducedMotion: look.calm === false ? "no-preference" : "reduce",
    offline: true,
  });
  const page = await context.newPage();
  const wrong: string[] = [];
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(`file://${file}`) && !url.startsWith("data:") && !url.startsWith("blob:")) wrong.push(url);
  });
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") wrong.push(message.text());
  });
  page.on("dialog", (dialog) => {
    wrong.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await page.goto(`file://${file}${hash}`);
  await settled(page);
  return { page, wrong, close: () => context.close() };
}

/** Until the arrays are unpacked and the picture is drawn. */
export async function settled(page: Page): Promise<void> {
  await page.waitForSelector("html[data-ready]");
  await page.waitForFunction(() => !document.body.innerText.includes("reading the numbers"));
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(0)))));
}

/** Go to another address inside the page. */
export async function goTo(page: Page, hash: string): Promise<void> {
  await page.evaluate((next) => {
    location.hash = next;
  }, hash);
  await settled(page);
}
