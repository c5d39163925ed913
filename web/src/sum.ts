// The correctly rounded sum of float64 numbers: the same bits as Python's math.fsum.
//
// Shewchuk's expansion: `partials` are non-overlapping doubles whose exact sum is the exact sum of
// everything added so far (J. R. Shewchuk, Adaptive Precision Floating-Point Arithmetic, 1997).

/** Adds numbers exactly; `value()` rounds once. */
export class ExactSum {
  private partials: number[] = [];
  private special = 0;
  private hasSpecial = false;

  add(term: number): void {
    if (!Number.isFinite(term)) {
      // inf - inf is NaN in either order, as in Python (which raises; we show NaN).
      this.special += term;
      this.hasSpecial = true;
      return;
    }
    const { partials } = this;
    let x = term;
    let kept = 0;
    for (let j = 0; j < partials.length; j++) {
      let y = partials[j];
      if (Math.abs(x) < Math.abs(y)) {
        const swap = x;
        x = y;
        y = swap;
      }
      const high = x + y;
      const low = y - (high - x);
      if (low !== 0) partials[kept++] = low;
      x = high;
    }
    partials.length = kept;
    if (x !== 0) partials.push(x);
  }

  value(): number {
    if (this.hasSpecial) return this.special;
    const { partials } = this;
    let n = partials.length;
    if (n === 0) return 0;
    let high = partials[--n];
    let low = 0;
    while (n > 0) {
      const x = high;
      const y = partials[--n];
      high = x + y;
      low = y - (high - x);
      if (low !== 0) break;
    }
    // Half-way cases: the remaining partials decide in which direction the tie goes.
    if (n > 0 && ((low < 0 && partials[n - 1] < 0) || (low > 0 && partials[n - 1] > 0))) {
      const twice = low * 2;
      const x = high + twice;
      if (twice === x - high) high = x;
    }
    return high;
  }
}

/** The correctly rounded sum of `terms`. */
export function fsum(terms: Iterable<number>): number {
  const sum = new ExactSum();
  for (const term of terms) sum.add(term);
  return sum.value();
}
