// Text inside of HTML and SVG.

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
}

export const escape = (text: string): string => text.replace(/[&<>"]/g, (one) => ENTITIES[one]!)
