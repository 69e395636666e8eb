/**
 * Just enough XML to read what routers write, and nothing an attacker could grow: no entities but the five predefined,
 * no attributes, no external anything, no recursion. The work is linear in the length, which the caller has bounded.
 */

/** The contents of all elements with this local name, whatever their prefix, outermost first, at most `limit`. */
export function contentsOf(xml: string, localName: string, limit = 64): string[] {
  const found: string[] = [];
  let at = 0;
  while (found.length < limit) {
    const open = findTag(xml, localName, at, '<');
    if (!open) break;
    if (xml[open.end - 1] === '/') {
      found.push('');
      at = open.end + 1;
      continue;
    }
    const close = findTag(xml, localName, open.end + 1, '</');
    if (!close) break;
    found.push(xml.slice(open.end + 1, close.start));
    at = close.end + 1;
  }
  return found;
}

/** The text of the first such element, entities resolved, trimmed; undefined when there is none or it holds elements. */
export function textOf(xml: string, localName: string): string | undefined {
  const [content] = contentsOf(xml, localName, 1);
  if (content === undefined || content.includes('<')) return undefined;
  return content.replace(/&(lt|gt|amp|quot|apos);/g, (_, name: keyof typeof entities) => entities[name]).trim();
}

export function escapeXml(text: string): string {
  return text.replace(/[<>&"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

const entities = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

/** `end` is the index of the tag's ">". Every octet is looked at once: malformed text must not cost more than its length. */
function findTag(
  xml: string,
  localName: string,
  from: number,
  opening: '<' | '</',
): { start: number; end: number } | undefined {
  let start = xml.indexOf('<', from);
  while (start >= 0) {
    const end = xml.indexOf('>', start);
    if (end < 0) return undefined;
    const closing = xml[start + 1] === '/';
    if (closing === (opening === '</')) {
      const name = /^[^\s/>]*/.exec(xml.slice(start + opening.length, Math.min(end, start + 128)))![0];
      if (name.slice(name.indexOf(':') + 1) === localName) return { start, end };
    }
    start = xml.indexOf('<', end + 1);
  }
  return undefined;
}
