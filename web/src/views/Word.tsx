// A word that explains itself: a link to its one line.

import { say } from "../words";
import { signal } from "@preact/signals-core";
import { placeOf } from "./parts";

/** The word whose line is shown, and where. */
export const asked = signal<{ word: string; x: number; y: number } | null>(null);

export function Word({ of, children }: { of: string; children?: preact.ComponentChildren }) {
  const line = say(`?${of}`);
  if (!line) return <>{children ?? of}</>;
  return (
    <button
      class="word"
      aria-label={`${typeof children === "string" ? children : of}: what is this?`}
      onClick={(event) => {
        const box = placeOf(event.currentTarget);
        asked.value = asked.value?.word === of ? null : { word: of, x: box.left, y: box.bottom };
        event.stopPropagation();
      }}
    >
      {children ?? of}
    </button>
  );
}

export function WordLine() {
  const now = asked.value;
  if (!now) return <div class="word-line" role="status" hidden />;
  const left = Math.max(12, Math.min(now.x, innerWidth - 332));
  return (
    <div class="word-line" role="status" style={{ left: `${left}px`, top: `${Math.min(now.y + 6, innerHeight - 96)}px` }}>
      <b>{now.word}</b> {say(`?${now.word}`)}
    </div>
  );
}
