// What the page uses of Lit, for the check of types of ../jsconfig.json.
export const html: any, svg: any, nothing: any, live: any, ref: any, repeat: any;
export function render(view: any, root: HTMLElement): void;
