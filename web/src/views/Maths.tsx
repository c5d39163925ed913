// A line of ASCII maths as MathML: numbers, names, + - * / ( ) = and floor(...), ceil(...).

const tokens = /\s*([\d.,]*\d|[A-Za-z_ ]*[A-Za-z_]|[-+*/()=×])/gy;

type Part = preact.ComponentChild;

interface Reader {
  readonly list: readonly string[];
  at: number;
}

const operators: Record<string, string> = { "*": "×", "-": "−" };

function atom(reader: Reader): Part {
  const token = reader.list[reader.at++];
  if (token === "(") {
    const inside = sum(reader);
    reader.at++;
    return <mrow><mo>(</mo>{inside}<mo>)</mo></mrow>;
  }
  const fence = { floor: "⌊⌋", ceil: "⌈⌉" }[token];
  if (fence && reader.list[reader.at] === "(") {
    reader.at++;
    const inside = sum(reader);
    reader.at++;
    return <mrow><mo>{fence[0]}</mo>{inside}<mo>{fence[1]}</mo></mrow>;
  }
  return /^\d/.test(token ?? "") ? <mn>{token}</mn> : <mi>{token}</mi>;
}

function bare(part: Part): Part {
  const node = part as { type?: unknown; props?: { children?: Part[] } };
  const children = node.props?.children;
  return node.type === "mrow" && Array.isArray(children) && (children[0] as { props?: { children?: unknown } })?.props?.children === "(" ? children[1] : part;
}

function product(reader: Reader): Part {
  let left = atom(reader);
  while (reader.list[reader.at] === "*" || reader.list[reader.at] === "/" || reader.list[reader.at] === "×") {
    const operator = reader.list[reader.at++];
    const right = atom(reader);
    left = operator === "/" ? <mfrac>{bare(left)}{bare(right)}</mfrac> : <mrow>{left}<mo>×</mo>{right}</mrow>;
  }
  return left;
}

function sum(reader: Reader): Part {
  const parts: Part[] = [];
  while (reader.at < reader.list.length && reader.list[reader.at] !== ")") {
    const token = reader.list[reader.at];
    if (token === "+" || token === "-" || token === "=") {
      reader.at++;
      parts.push(<mo>{operators[token] ?? token}</mo>);
    } else parts.push(product(reader));
  }
  return <mrow>{parts}</mrow>;
}

export function Maths({ text }: { text: string }) {
  const list: string[] = [];
  tokens.lastIndex = 0;
  for (let match = tokens.exec(text); match; match = tokens.exec(text)) list.push(match[1].trim());
  if (list.join("").replaceAll(" ", "") !== text.replaceAll(" ", "")) return <span>{text}</span>;
  return <math>{sum({ list, at: 0 })}</math>;
}
