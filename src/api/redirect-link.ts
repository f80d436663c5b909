/** What a redirect needs of a link; ids are PostgreSQL's own text. */
export interface RedirectLink {
  readonly shortCode: string;
  readonly urlId: string;
  readonly userId: string | null;
  readonly target: string;
  /** JSON text of what the link does besides leading to its target; `null` for a plain one. */
  readonly options: string | null;
}

/** Links on their way to a gateway: a column a field, all of one length. It costs less than objects. */
export type ResolvedLinks = { readonly [Field in keyof RedirectLink]: RedirectLink[Field][] };

export function noLinks(): ResolvedLinks {
  return { shortCode: [], urlId: [], userId: [], target: [], options: [] };
}

export function linkAt(links: ResolvedLinks, index: number): RedirectLink {
  const { shortCode, urlId, userId, target, options } = links;
  return {
    shortCode: shortCode[index] ?? '',
    urlId: urlId[index] ?? '',
    userId: userId[index] ?? null,
    target: target[index] ?? '',
    options: options[index] ?? null,
  };
}

/** The links of these codes, of those that were found for more. */
export function linksOf(links: ResolvedLinks, shortCodes: ReadonlySet<string>): ResolvedLinks {
  const own = noLinks();
  for (const [index, code] of links.shortCode.entries()) {
    if (shortCodes.has(code)) addLink(own, linkAt(links, index));
  }
  return own;
}

export function addLink(links: ResolvedLinks, link: RedirectLink): void {
  links.shortCode.push(link.shortCode);
  links.urlId.push(link.urlId);
  links.userId.push(link.userId);
  links.target.push(link.target);
  links.options.push(link.options);
}
