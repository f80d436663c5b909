/** What a redirect needs of a link; ids are PostgreSQL's own text. */
export interface RedirectLink {
  /** The code that was asked for, which may be written otherwise than the link's own. */
  readonly asked: string;
  readonly shortCode: string;
  readonly urlId: string;
  readonly userId: string | null;
  readonly target: string;
  /** JSON text of what the link does besides leading to its target; `null` for a plain one. */
  readonly options: string | null;
  /** When it was created, ms since 1970. */
  readonly createdMs: number;
  /** The database that it is in. */
  readonly databaseId: string | null;
}

/** Links on their way to a gateway: a column a field, all of one length. It costs less than objects. */
export type ResolvedLinks = { readonly [Field in keyof RedirectLink]: RedirectLink[Field][] };

export function noLinks(): ResolvedLinks {
  return {
    asked: [],
    shortCode: [],
    urlId: [],
    userId: [],
    target: [],
    options: [],
    createdMs: [],
    databaseId: [],
  };
}

export function linkAt(links: ResolvedLinks, index: number): RedirectLink {
  const { asked, shortCode, urlId, userId, target, options, createdMs, databaseId } = links;
  return {
    asked: asked[index] ?? '',
    shortCode: shortCode[index] ?? '',
    urlId: urlId[index] ?? '',
    userId: userId[index] ?? null,
    target: target[index] ?? '',
    options: options[index] ?? null,
    createdMs: createdMs[index] ?? 0,
    databaseId: databaseId[index] ?? null,
  };
}

/** The links that were found for these codes, of those that were found for more. */
export function linksOf(links: ResolvedLinks, codes: ReadonlySet<string>): ResolvedLinks {
  const own = noLinks();
  for (const [index, code] of links.asked.entries()) {
    if (codes.has(code)) addLink(own, linkAt(links, index));
  }
  return own;
}

export function addLink(links: ResolvedLinks, link: RedirectLink): void {
  links.asked.push(link.asked);
  links.shortCode.push(link.shortCode);
  links.urlId.push(link.urlId);
  links.userId.push(link.userId);
  links.target.push(link.target);
  links.options.push(link.options);
  links.createdMs.push(link.createdMs);
  links.databaseId.push(link.databaseId);
}
