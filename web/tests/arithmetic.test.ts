import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { bind, bindTransposed, field, met, pairs, reads, users, type Axis } from "../src/axis";
import { activate, run } from "../src/data/activate";
import { count, fixed, fromUnits, placesFor, printed, units } from "../src/decimal";
import { fsum } from "../src/sum";

const vectors = JSON.parse(readFileSync(new URL("../vectors/vectors.json", import.meta.url), "utf8"));

function agree(made: Axis, given: any): void {
  const positions = Array.from({ length: given.axis.n_out }, (_, o) => o);
  expect(positions.map((o) => reads(made, o).map((r) => [r.k, r.i + 0, r.real]))).toEqual(given.reads);
  const inputs = Array.from({ length: given.axis.n_in }, (_, i) => i);
  expect(inputs.map((i) => users(made, i).map(([k, o]) => [k, o + 0]))).toEqual(given.users);
  expect(pairs(made)).toBe(given.pairs);
  expect(field(made, 0, given.axis.n_out - 1).map((x) => x + 0)).toEqual(given.field);
}

test("a window binds to the axis that Python binds it to, or to none", () => {
  for (const { window, n_in, bound } of vectors.windows) {
    const made = bind(window, n_in);
    if (bound === null) {
      expect(made).toBeNull();
      continue;
    }
    expect(made).toMatchObject(bound.axis);
    agree(made!, bound);
  }
});

test("transposed axes and tables read, are used and reach as in Python", () => {
  for (const given of vectors.axes) agree(given.axis, given);
});

test("the uses of all kernel positions are the pairs of the axis", () => {
  for (const given of vectors.axes) {
    let total = 0;
    for (let k = 0; k < given.axis.kernel; k++) total += pairs(given.axis, k);
    if (given.axis.form === "equation") expect(total).toBe(given.pairs);
  }
});

test("the last dilation and the last kernel with something to read, by hand", () => {
  const places = (kernel: number, dilation: number, padding: "same" | "valid" | "causal" | [number, number], n: number, stride = 1) =>
    met(bind({ kernel, stride, dilation, padding, ceil: false }, n)!);
  // `same` on 28 cells: the outer places are `dilation` away, so 27 reaches from one end to the other.
  expect([1, 27, 28, 512].map((dilation) => places(3, dilation, "same", 28))).toEqual([3, 3, 1, 1]);
  // A stride of 2 has centres 1, 3, ..., 27: to the right 26 are left, to the left 27.
  expect([26, 27, 28].map((dilation) => places(3, dilation, "same", 28, 2))).toEqual([3, 2, 1]);
  // Of five places the outer two are twice as far: 14 is too far for them, not for the inner ones.
  expect([13, 14, 27, 28].map((dilation) => places(5, dilation, "same", 28))).toEqual([5, 3, 3, 1]);
  // Two places share the way: 27 to the left and 27 to the right, then one of them has no cell.
  expect([54, 55].map((dilation) => places(2, dilation, "same", 28))).toEqual([2, 1]);
  expect([27, 28].map((dilation) => places(2, dilation, "causal", 28))).toEqual([2, 1]);
  expect(places(3, 13, "valid", 28)).toBe(3);
  // Windows that start 5 cells before two cells: 3 apart, each place still comes to one of the two.
  expect([3, 4].map((dilation) => places(3, dilation, [5, 5], 2))).toEqual([3, 1]);
  // A kernel of 55 reaches from the last cell to the first; of 56 places one reads padding only.
  expect([55, 56].map((kernel) => places(kernel, 1, "same", 28))).toEqual([55, 55]);
});

test("every place that is counted is used, and no other", () => {
  for (const { axis } of vectors.axes) {
    if (axis.form === "table") continue;
    expect(met(axis)).toBe(Array.from({ length: axis.kernel }, (_, k) => pairs(axis, k)).filter((times) => times).length);
  }
});

test("a sum has the very bits of math.fsum", () => {
  for (const { terms, sum } of vectors.sums) expect(Object.is(fsum(terms) + 0, sum + 0)).toBe(true);
  expect(vectors.sums.length).toBeGreaterThan(250);
});

test("a sum with infinities is infinite or not a number", () => {
  expect(fsum([1, Infinity])).toBe(Infinity);
  expect(fsum([Infinity, -Infinity])).toBeNaN();
});

test("a number prints as Python prints it", () => {
  for (const { x, places, text } of vectors.decimals) expect(fixed(x, places)).toBe(text);
});

test("printed lines and their rounding line add up to the printed total", () => {
  for (const { terms, sum } of vectors.sums) {
    if (Math.abs(sum) > 1e15 || terms.some((t: number) => Math.abs(t) > 1e15)) continue;
    const places = placesFor(terms);
    const { lines, total, rounding } = printed(terms, sum, places);
    let all = rounding === "" ? 0n : units(rounding);
    for (const line of lines) all += units(line);
    expect(fromUnits(all, places).replace(/^-(?=0(\.0*)?$)/, "")).toBe(total.replace(/^-(?=0(\.0*)?$)/, ""));
  }
});

test("whole numbers get commas", () => {
  expect([0, 999, 1000, 18496, 1234567].map(count)).toEqual(["0", "999", "1,000", "18,496", "1,234,567"]);
});

test("a transposed window binds to the axis that Python binds it to, or to none", () => {
  for (const { window, n_in, axis } of vectors.turned) {
    const made = bindTransposed({ ...window, ceil: false }, n_in, window.output_padding);
    if (axis === null) expect(made).toBeNull();
    else expect({ ...made, pad: made!.pad + 0 }).toEqual(axis);
  }
});

test("functions of one number are Python's, but for the last bits", () => {
  for (const { name, program, made } of vectors.functions) {
    for (const [x, wanted] of made) {
      const y = Number(String(wanted).replace("inf", "Infinity"));
      const own = run(program, { x }) as number;
      if (Number.isNaN(y)) expect(own, `${name}(${x})`).toBeNaN();
      else expect(Math.abs(own - y), `${name}(${x}) = ${y}, not ${own}`).toBeLessThanOrEqual(2e-14 * Math.abs(y) + 1e-300);
    }
  }
  expect(vectors.functions.length).toBeGreaterThan(30);
});

test("formulas of a group take the numbers, the steps and the bound that Python takes", () => {
  for (const { recipe, shape, at, x, steps, value, bound } of vectors.groups) {
    const made = activate(recipe, shape, Float32Array.from(x), at, [])!;
    const exact = /norm/.test(recipe.name);
    for (const [n, step] of steps.entries()) {
      // The last bit of an exp, a log or a power is the machine's own; the rest is the same arithmetic.
      if (exact) expect(made.steps[n].value).toBe(step);
      else expect(Math.abs(made.steps[n].value - step)).toBeLessThanOrEqual(1e-14 * Math.abs(step));
    }
    expect(Math.abs(made.value - value)).toBeLessThanOrEqual((exact ? 0 : 1e-14) * Math.abs(value));
    expect(Math.abs(made.bound! - bound)).toBeLessThanOrEqual(1e-9 * bound);
  }
  expect(vectors.groups.length).toBe(60);
});
