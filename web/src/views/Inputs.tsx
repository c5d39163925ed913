import { signal } from "@preact/signals";
export const inputsOpen = signal(false);
