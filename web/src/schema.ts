// Written by `python -m convlens.page.schema > web/src/schema.ts`. Change the Python file,
// then run that again; a test compares the two.

export type Program = null | number | string | readonly Program[];

export interface Row {
  readonly lane: number;
  readonly passing: readonly number[];
  readonly joins: readonly number[];
  readonly begins: boolean;
}

export interface Fold {
  readonly first: number;
  readonly last: number;
  readonly period: number;
  readonly times: number;
}

export interface Equation {
  readonly form: "equation";
  readonly n_in: number;
  readonly n_out: number;
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly pad: number;
  readonly up: number;
}

export interface Rows {
  readonly form: "table";
  readonly n_in: number;
  readonly n_out: number;
  readonly kernel: number;
  readonly rows: readonly (readonly (readonly [number, number, number])[])[];
}

export interface WindowRecipe {
  readonly form: "window";
  readonly axes: readonly (Equation | Rows)[];
  readonly groups: number;
  readonly channels_in: number;
  readonly channels_out: number;
  readonly combine: "sum" | "max" | "mean";
  readonly divisor: "all" | "real";
  readonly weight: string | null;
  readonly bias: string | null;
}

export interface RowRecipe {
  readonly form: "row";
  readonly weight: string;
  readonly bias: string | null;
}

export interface Reads {
  readonly order: readonly (number | null)[];
  readonly axes: readonly (Equation | Rows)[];
  readonly per: readonly number[];
}

export interface ScatterRecipe {
  readonly form: "scatter";
  readonly how: "reshape" | "axes" | "digits" | "lookup";
  readonly reads: Reads | null;
  readonly digits: readonly (readonly [number, number])[];
  readonly table: string | null;
  readonly fill: number;
}

export interface MergeRecipe {
  readonly form: "merge";
  readonly op: "add" | "subtract" | "multiply" | "divide" | "average" | "weighted" | "maximum" | "minimum" | "concat";
  readonly axis: number;
  readonly factors: readonly number[];
}

export interface GatherRecipe {
  readonly form: "gather";
  readonly combine: "sum" | "mean" | "max" | "min";
  readonly reads: readonly Reads[];
  readonly factors: readonly number[];
  readonly roundings: number;
}

export interface FormulaRecipe {
  readonly form: "formula";
  readonly name: string;
  readonly axis: number;
  readonly numbers: readonly (number | null)[];
  readonly constants: readonly (string | number | null)[];
  readonly reads: Reads | null;
  readonly steps: readonly (readonly [string, string, Program])[];
  readonly bound: Program;
}

export interface OverTimeRecipe {
  readonly form: "over_time";
  readonly inner: WindowRecipe | RowRecipe | ScatterRecipe | GatherRecipe | MergeRecipe | FormulaRecipe | OverTimeRecipe | ListedRecipe | NoRecipe;
}

export interface ListedRecipe {
  readonly form: "listed";
  readonly lists: readonly string[];
  readonly steps: readonly (readonly [string, string])[];
  readonly summed: boolean;
}

export interface Grids {
  readonly sources: readonly (readonly [number, number | null])[];
  readonly kernel: string | null;
  readonly axis: number;
}

export interface NoRecipe {
  readonly form: "none";
}

export interface Drawing {
  readonly lanes: number;
  readonly rows: readonly Row[];
  readonly folds: readonly Fold[];
}

export interface Tensor {
  readonly id: string;
  readonly shape: readonly number[];
  readonly axes: readonly string[];
  readonly channel: number | null;
  readonly blob: string | null;
  readonly preview: Preview | null;
  readonly clipped_from: string | null;
}

export interface Preview {
  readonly blob: string;
  readonly maps: number;
  readonly height: number;
  readonly width: number;
}

export interface Weight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly axes: readonly string[];
  readonly count: number;
  readonly trainable: boolean;
}

export interface Field {
  readonly size: number;
  readonly stride: number;
  readonly start: number | null;
  readonly exact: boolean;
}

export interface Derivation {
  readonly id: string;
  readonly title: string;
  readonly formula: string;
  readonly sentence: string;
}

export interface Knobs {
  readonly form: "window" | "transposed" | "resize" | "row";
  readonly kernel: readonly number[] | null;
  readonly stride: readonly number[] | null;
  readonly dilation: readonly number[] | null;
  readonly padding: string | readonly (readonly [number, number])[] | null;
  readonly filters: number | null;
  readonly groups: number | null;
  readonly bias: boolean;
  readonly ceil: boolean;
  readonly more: readonly number[] | null;
  readonly scale: readonly number[] | null;
}

export interface Counts {
  readonly kernel: string;
  readonly maps: number;
  readonly own: number;
  readonly filters: number;
  readonly product: number;
  readonly per: number;
  readonly products: number;
  readonly weights: number;
}

export interface Layer {
  readonly number: number;
  readonly nth: string;
  readonly name: string;
  readonly kind: string;
  readonly picture: "window" | "row" | "scatter" | "merge" | "formula" | "none";
  readonly rule: "sum" | "choice" | "formula" | "opaque";
  readonly sources: readonly number[];
  readonly inputs: readonly string[];
  readonly output: string;
  readonly pre: string | null;
  readonly activation: FormulaRecipe | null;
  readonly after: string | null;
  readonly recipe: WindowRecipe | RowRecipe | ScatterRecipe | GatherRecipe | MergeRecipe | FormulaRecipe | OverTimeRecipe | ListedRecipe | NoRecipe;
  readonly grids: Grids | null;
  readonly input_shapes: readonly (readonly (number | null)[])[];
  readonly output_shape: readonly (number | null)[];
  readonly weights: readonly Weight[];
  readonly params: number;
  readonly params_working: string;
  readonly trainable_params: number;
  readonly macs: number | null;
  readonly macs_textbook: number | null;
  readonly macs_working: string;
  readonly field: readonly Field[] | null;
  readonly memory: number | null;
  readonly mean_activation: number | null;
  readonly shared_with: string | null;
  readonly knobs: Knobs | null;
  readonly code: readonly [string, string] | null;
  readonly derivations: readonly Derivation[];
  readonly counts: Counts | null;
  readonly title: string;
  readonly answer: string;
  readonly notes: readonly string[];
  readonly left_out: string | null;
}

export interface Picture {
  readonly id: string;
  readonly label: string;
  readonly blob: string | null;
  readonly png: string | null;
}

export interface Preprocess {
  readonly size: readonly [number, number];
  readonly channels: number;
  readonly prep: string;
}

export interface Start {
  readonly layer: number | null;
  readonly at: readonly number[] | null;
}

export interface Budget {
  readonly kept: number;
  readonly total: number;
  readonly words: string;
}

export interface Totals {
  readonly params: number;
  readonly trainable_params: number;
  readonly non_trainable_params: number;
  readonly macs: number | null;
  readonly macs_textbook: number | null;
}

export interface Page {
  readonly schema: number;
  readonly mode: "served" | "exported";
  readonly version: string;
  readonly model: string;
  readonly weights: "file" | "live" | "random" | "trained";
  readonly input_words: string;
  readonly input_said: readonly string[];
  readonly framework: string;
  readonly input: string;
  readonly inputs: readonly string[];
  readonly classes: readonly string[];
  readonly layers: readonly Layer[];
  readonly tensors: readonly Tensor[];
  readonly graph: Drawing;
  readonly totals: Totals;
  readonly pictures: readonly Picture[];
  readonly picture: string;
  readonly preprocess: Preprocess | null;
  readonly recomputable: boolean;
  readonly start: Start;
  readonly budget: Budget;
  readonly recent: readonly string[];
  readonly words: Readonly<Record<string, string>>;
}

export type Recipe = WindowRecipe | RowRecipe | ScatterRecipe | GatherRecipe | MergeRecipe | FormulaRecipe | OverTimeRecipe | ListedRecipe | NoRecipe;

export const shared = ["activation", "answer", "code", "counts", "derivations", "field", "input_shapes", "knobs", "notes", "title", "weights"] as const;
