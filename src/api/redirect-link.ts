/** What a redirect needs of a link; ids are PostgreSQL's own text. */
export interface RedirectLink {
  /** The code that was asked for, which may be another spelling of the link's own. */
  readonly asked: string;
  readonly shortCode: string;
  readonly urlId: string;
  readonly userId: string | null;
  readonly target: string;
  /** JSON of the link's options; `null` for a plain link. */
  readonly options: string | null;
  /** When it was created, ms since 1970. */
  readonly createdMs: number;
}

/**
 * Links on their way to a gateway: one text, as the database wrote it, because a text crosses threads at a fraction of
 * the cost of objects or arrays. It may contain links that another gateway asked for.
 */
export interface ResolvedLinks {
  /** `LINK_LINES` lines a link. */
  readonly text: string;
  /** The database that they are in; `null` if it has no name yet. */
  readonly databaseId: string | null;
}

/** Lines of a link: asked (empty for its own code), code, id, owner, created, options, target. */
const LINK_LINES = 7;

/** The links of a text, by the code that was asked for. */
export function linksByAsked(text: string): Map<string, RedirectLink> {
  const links = new Map<string, RedirectLink>();
  if (text === '') return links;
  const lines = text.split('\n');
  if (lines.length % LINK_LINES !== 0) throw new Error(`${lines.length} lines are no whole links`);
  for (let line = 0; line < lines.length; line += LINK_LINES) {
    const link = linkAt(lines, line);
    links.set(link.asked, link);
  }
  return links;
}

/** Those links of a text whose code is kept. */
export function keepLinks(text: string, isKept: (shortCode: string) => boolean): string {
  if (text === '') return text;
  const lines = text.split('\n');
  const kept: string[] = [];
  for (let line = 0; line < lines.length; line += LINK_LINES) {
    if (isKept(linkAt(lines, line).shortCode)) kept.push(...lines.slice(line, line + LINK_LINES));
  }
  return kept.length === lines.length ? text : kept.join('\n');
}

/** The only link of a text. */
export function redirectLinkIn(text: string): RedirectLink {
  const lines = text.split('\n');
  if (lines.length !== LINK_LINES) throw new Error(`${lines.length} lines are not one link`);
  return linkAt(lines, 0);
}

function linkAt(lines: readonly string[], line: number): RedirectLink {
  const shortCode = lines[line + 1] as string;
  return {
    asked: (lines[line] as string) || shortCode,
    shortCode,
    urlId: lines[line + 2] as string,
    userId: (lines[line + 3] as string) || null,
    target: lines[line + 6] as string,
    options: (lines[line + 5] as string) || null,
    createdMs: Number(lines[line + 4]),
  };
}
