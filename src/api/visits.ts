import type { RedirectLink } from './redirect-link.js';

/** A gateway's calls to a worker for a visit that the cache can't answer; no route performs these. */
export interface VisitInputs {
  readonly claimClick: {
    readonly shortCode: string;
    /** Whether the link's password was given; irrelevant if it has none. */
    readonly isAuthorized: boolean;
    /** Whether to check for a claim without making one. */
    readonly isDry: boolean;
  };
  readonly checkPassword: { readonly shortCode: string; readonly password: string };
  readonly previewLink: { readonly shortCode: string };
}

export type VisitOperation = keyof VisitInputs;

/**
 * - *claimed*: one redirect of the link is the visitor's, or the link has no limit any more.
 * - *protected*: it has a password, which was not given.
 */
export type ClaimState = 'claimed' | 'used_up' | 'unknown' | 'expired' | 'protected';

/** JSON of an answer to `claimClick`. */
export interface ClaimAnswer {
  readonly state: ClaimState;
  /** The link as it is now, unless it is unknown. */
  readonly link: RedirectLink | null;
}

/** JSON of an answer to `checkPassword`; a link without a password takes any. */
export interface PasswordAnswer {
  readonly state: 'right' | 'wrong' | 'unknown';
  readonly link: RedirectLink | null;
}

/** JSON of an answer to `previewLink`. */
export interface LinkPreview {
  readonly short_code: string;
  readonly short_url: string;
  readonly original_url: string;
  readonly title: string;
  readonly created_at: string;
  readonly expires_at: string | null;
}
