// A line of ASCII maths as MathML: numbers, names, + - * / ( ) = and floor(...), ceil(...).

const tokens = /\s*([\d.,]*\d|[A-Za-z_ ]*[A-Za-z_]|[-+*/()=×])/gy;

type Part = preact.VNode<{ children?: any }> | undefined;

const signs: Record<string, string> = { "*": "×", "-": "−", "+": "+", "=": "=", "×": "×" };
const fences: Record<string, string> = { "(": "()", floor: "⌊⌋", ceil: "⌈⌉" };

/** What stands in parentheses without them: a fraction needs none. */
function bare(part: Part): Part {
  const inside = part?.props.children;
  return inside?.[0]?.props?.children === "(" ? inside[1] : part;
}

/** A number, a name, or all up to a closing parenthesis; taken off the front of `list`. */
function atom(list: string[]): Part {
  const token = list.shift() ?? "";
  const fence = fences[token];
  if (!fence || (token !== "(" && list[0] !== "(")) return /^\d/.test(token) ? <mn>{token}</mn> : <mi>{token}</mi>;
  if (token !== "(") list.shift();
  const inside = sum(list);
  list.shift();
  return <mrow><mo>{fence[0]}</mo>{inside}<mo>{fence[1]}</mo></mrow>;
}

function sum(list: string[]): Part {
  const parts: Part[] = [];
  while (list.length && list[0] !== ")") {
    const sign = signs[list[0]];
    if (list[0] === "/") {
      list.shift();
      parts.push(<mfrac>{bare(parts.pop())}{bare(atom(list))}</mfrac>);
    } else if (sign) {
      list.shift();
      parts.push(<mo>{sign}</mo>);
    } else parts.push(atom(list));
  }
  return <mrow>{parts}</mrow>;
}

export function Maths({ text }: { text: string }) {
  const list = Array.from(text.matchAll(tokens), ([, token]) => token.trim());
  return list.join("").replaceAll(" ", "") === text.replaceAll(" ", "") ? <math>{sum(list)}</math> : <span>{text}</span>;
}
