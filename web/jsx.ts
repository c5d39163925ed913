// What JSX becomes: calls of `h`, shorter in the bundle than the automatic runtime's.
export { Fragment, h } from "preact";
