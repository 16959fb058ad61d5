/** The words that plots are made of: SVG as text, with colours that suit a light page and a dark one. */

/** As far apart for eyes that confuse red and green (Okabe and Ito, "Color Universal Design", 2008); lighter in the dark. */
const LIGHT = ['#0072b2', '#d55e00', '#009e73', '#aa4499', '#666666'] as const;
const DARK = ['#56b4e9', '#ff9e5e', '#4fd1a5', '#e6a8cc', '#aaaaaa'] as const;

/** Which of the colours; every plot uses them in this order, the first for Tendril. */
export type Tone = 0 | 1 | 2 | 3 | 4;

const STYLE = `
text{font:13px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:#24292f}
.title{font-size:15px;font-weight:600}.small{font-size:11.5px}.tiny{font-size:10px}.faint{fill:#57606a}
.page{fill:#ffffff}.grid{stroke:#d8dee4;stroke-width:1}.axis{stroke:#57606a;stroke-width:1}
.line{fill:none;stroke-width:2;stroke-linejoin:round}.whisker{stroke:#24292f;stroke-width:1.2}.level{stroke:#57606a;stroke-width:1}.mark{stroke:#24292f;fill:none;stroke-width:1.5}
${LIGHT.map((colour, tone) => `.s${tone}{stroke:${colour}}.f${tone}{fill:${colour}}`).join('')}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.faint{fill:#9198a1}.page{fill:#0d1117}.grid{stroke:#2a313a}
.axis,.level{stroke:#9198a1}.whisker,.mark{stroke:#e6edf3}
${DARK.map((colour, tone) => `.s${tone}{stroke:${colour}}.f${tone}{fill:${colour}}`).join('')}}`.replaceAll('\n', '');

export type Attributes = Readonly<Record<string, string | number>>;

export function element(name: string, attributes: Attributes, content = ''): string {
  const words = Object.entries(attributes).map(
    ([key, value]) => ` ${key}="${typeof value === 'number' ? short(value) : escaped(value)}"`,
  );
  return content === '' ? `<${name}${words.join('')}/>` : `<${name}${words.join('')}>${content}</${name}>`;
}

export function text(x: number, y: number, content: string, attributes: Attributes = {}): string {
  return element('text', { x, y, ...attributes }, escaped(content));
}

export function line(x1: number, y1: number, x2: number, y2: number, attributes: Attributes): string {
  return element('line', { x1, y1, x2, y2, ...attributes });
}

export function path(points: readonly (readonly [number, number])[], attributes: Attributes): string {
  return element('path', { d: `M${points.map(([x, y]) => `${short(x)} ${short(y)}`).join('L')}`, ...attributes });
}

/** A whole picture. `title` is also what a reader of the page hears. */
export function picture(width: number, height: number, title: string, parts: readonly string[]): string {
  const page = element('rect', { width, height, class: 'page', rx: 6 });
  const frame = { xmlns: 'http://www.w3.org/2000/svg', viewBox: `0 0 ${width} ${height}`, width, height, role: 'img' };
  const content = [`<title>${escaped(title)}</title>`, `<style>${STYLE}</style>`, page, ...parts];
  return `${element('svg', frame, `\n${content.join('\n')}\n`)}\n`;
}

/** A tenth of a pixel is as exact as anybody can see. */
function short(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
